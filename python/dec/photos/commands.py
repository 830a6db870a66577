"""The commands `dec photos fetch`, `clean`, `stats` and `resize`."""

import argparse
import math
from collections.abc import Callable
from pathlib import Path

from dec.base.arguments import hash_bits, natural, positive, width_x_height
from dec.base.errors import DecError
from dec.base.files import REJECTED, printable, report_folder
from dec.base.text_tables import aligned
from dec.photos.reasons import MOVABLE, MOVED_BY_DEFAULT

_EXAMPLES = """examples:
  dec photos fetch photos.txt --base-url https://cdn.example.org/photo/ --out photos
  dec photos clean photos                  look at every file, move nothing
  dec photos clean photos --move           move what is not usable to photos/rejected
  dec photos stats photos
  dec photos resize photos small --size 200x120 --keep 200x120..200x165

Each command can be stopped and called again: it goes on where it was.
"""


def register(commands, describer: Callable) -> None:
    """Adds `photos` to the subparsers of `dec`.

    describer: gives a dec.photos.clean.Describer by the name of a net; nets are of
    rooms that this one does not import.
    """
    text = "fetch, clean, count and resize photos"
    photos = commands.add_parser(
        "photos",
        help=text,
        description=text,
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parts = photos.add_subparsers(metavar="command", required=True)
    _add_fetch(parts)
    _add_clean(parts, describer)
    _add_stats(parts)
    _add_resize(parts)


def _add(parts, name, command, text) -> argparse.ArgumentParser:
    sub = parts.add_parser(name, help=text, description=text)
    sub.set_defaults(command=command)
    if name != "fetch":
        sub.add_argument("folder", type=Path, metavar="DIR", help="a folder of photos")
        sub.add_argument(
            "--report",
            type=Path,
            metavar="DIR",
            help=f"folder for what is written about it (runs/{name}-<name of DIR>)",
        )
        sub.add_argument(
            "--jobs", type=positive, metavar="N", help="processes (one a core)"
        )
    return sub


def _add_fetch(parts):
    sub = _add(parts, "fetch", _fetch, "fetch the photos of a list over http(s)")
    sub.add_argument("photos", type=Path, help="lines of `id | description | language`")
    sub.add_argument(
        "--base-url",
        required=True,
        metavar="URL",
        help="where photos are: the id is appended, or replaces {id} in it",
    )
    sub.add_argument("--out", required=True, type=Path, metavar="DIR")
    sub.add_argument(
        "--at-once", type=positive, default=8, metavar="N", help="requests (8)"
    )
    sub.add_argument(
        "--rate",
        type=_above_zero,
        default=20.0,
        metavar="N",
        help="requests a second to one host, at most (20)",
    )
    sub.add_argument(
        "--timeout",
        type=_above_zero,
        default=60.0,
        metavar="S",
        help="seconds for one request, from first to last byte (60)",
    )
    sub.add_argument(
        "--attempts", type=positive, default=5, metavar="N", help="at one photo (5)"
    )
    sub.add_argument(
        "--again",
        action="store_true",
        help="ask once more for photos that the server has refused before",
    )


def _fetch(options: argparse.Namespace) -> None:
    from dec.photos.fetch import Options, fetch

    chosen = {name: getattr(options, name) for name in Options._fields[:4]}
    done = fetch(
        options.photos,
        options.base_url,
        options.out,
        Options(**chosen, again=options.again),
    )
    print(
        f"{done.lines:,} lines, {done.ids:,} ids, {done.duplicates:,} duplicates: "
        f"{done.fetched:,} fetched, {done.there:,} already there, "
        f"{done.failed:,} failed, {done.rejected:,} rejected"
    )
    for words, count in done.errors[:10]:
        print(f"  {count:>9,}  {words}")
    print(f"manifest: {printable(options.out / 'manifest.csv')}")


def _add_clean(parts, describer):
    sub = _add(parts, "clean", _clean, "find what is broken, odd, or there twice")
    sub.set_defaults(describer=describer)
    sub.add_argument(
        "--move",
        nargs="?",
        const=MOVED_BY_DEFAULT,
        default=(),
        type=_reasons,
        metavar="REASONS",
        help=f"move files to DIR/{REJECTED}/<reason>/: those of these reasons, "
        "separated by commas (without: all but ok and wrong-extension)",
    )
    sub.add_argument(
        "--list",
        type=Path,
        metavar="FILE",
        dest="listed",
        help="photos.txt or manifest.csv of what should be there (DIR/manifest.csv)",
    )
    sub.add_argument(
        "--near",
        type=hash_bits,
        default=4,
        metavar="N",
        help="bits of 64 by which hashes of near duplicates may differ, 0 to 10 (4)",
    )
    sub.add_argument(
        "--alike",
        metavar="NET",
        help="find near duplicates and bursts by a net's features too: a net of "
        "prototxt/features, such as squeezenet",
    )
    sub.add_argument(
        "--least",
        type=_cosine,
        metavar="X",
        help="cosine from which photos are alike for the net, above 0 to 1 (0.97)",
    )
    _add_max_pixels(sub)


def _add_max_pixels(sub):
    sub.add_argument(
        "--max-pixels",
        type=_number,
        default=100_000_000,
        metavar="N",
        help="photos of more are too large (1e8, which takes 0.6 GB a process)",
    )


def _clean(options: argparse.Namespace) -> None:
    from dec.photos.clean import ALIKE, clean

    if options.least is not None and options.alike is None:
        raise DecError("--least is for --alike NET: name the net too")
    report = report_folder(options.report, "clean", options.folder)
    counts = clean(
        options.folder,
        report,
        move=options.move,
        listed=options.listed,
        near=options.near,
        alike=options.alike and options.describer(options.alike, options.max_pixels),
        least=options.least or ALIKE,
        max_pixels=options.max_pixels,
        jobs=options.jobs,
    )
    moved = any(gone for _, gone in counts.values())
    total = [sum(column) for column in zip(*counts.values(), strict=True)]
    rows = [("", "photos", "moved")]
    for reason, numbers in [*counts.items(), ("total", total)]:
        rows.append((reason, *(f"{number:,}" for number in numbers)))
    shown = rows if moved else [row[:2] for row in rows]
    print("\n".join(aligned(shown, ("<16", ">10", ">10"))))
    print(f"report: {printable(report / 'report.csv')}")
    if moved:
        print(f"moved to: {printable(options.folder / REJECTED)}")


def _add_stats(parts):
    sub = _add(parts, "stats", _stats, "how many photos there are of each resolution")
    sub.add_argument(
        "--within",
        type=natural,
        default=10,
        metavar="N",
        help="pixels that count as the same (10)",
    )
    sub.add_argument(
        "--top", type=positive, default=20, metavar="N", help="rows to print (20)"
    )


def _stats(options: argparse.Namespace) -> None:
    from dec.photos.stats import stats

    report = report_folder(options.report, "stats", options.folder)
    groups, bad = stats(
        options.folder, report, tolerance=options.within, jobs=options.jobs
    )
    total = sum(group.photos for group in groups)
    rows = [("resolution", "photos", "share", "   widths", "heights")]
    for group in groups[: options.top]:
        size = f"{group.width:>6} x {group.height:<6}"
        widths = f"   {_range(group.min_width, group.max_width)}"
        heights = _range(group.min_height, group.max_height)
        rows.append((size, *_shares(group.photos, total), widths, heights))
    if rest := groups[options.top :]:
        photos = sum(group.photos for group in rest)
        rows.append((f"{len(rest):,} others", *_shares(photos, total)))
    rows.append(("total", f"{total:,}"))
    if bad:
        rows.append(("unreadable", f"{bad:,}"))
    lines = aligned(rows, (">15", ">10", ">8", "<15", "<0"))
    if bad:
        lines[-1] += "   (dec photos clean tells why)"
    print("\n".join(lines))
    print(
        f"smallest width {min(group.min_width for group in groups)}, "
        f"smallest height {min(group.min_height for group in groups)}"
    )
    print(f"table: {printable(report / 'resolutions.csv')}")
    print(f"picture: {printable(report / 'resolutions.png')}")


def _shares(photos, total):
    return f"{photos:,}", f"{photos / total:.1%}"


def _range(low, high):
    return f"{low}" if low == high else f"{low}..{high}"


def _add_resize(parts):
    sub = _add(parts, "resize", _resize, "write all photos at one size to a new folder")
    sub.add_argument("out", type=Path, metavar="OUT", help="the new folder")
    size = sub.add_mutually_exclusive_group(required=True)
    size.add_argument(
        "--size", type=width_x_height, metavar="WxH", help="such as 200x120"
    )
    size.add_argument(
        "--smallest",
        action="store_true",
        help="the smallest width and the smallest height of all",
    )
    sub.add_argument(
        "--keep",
        type=_size_range,
        metavar="WxH..WxH",
        help="only photos from this to that size, such as 200x120..200x165",
    )
    _add_max_pixels(sub)


def _resize(options: argparse.Namespace) -> None:
    from dec.photos.resize import Plan, resize

    report = report_folder(options.report, "resize", options.folder)
    done = resize(
        options.folder,
        options.out,
        report,
        Plan(options.size, options.keep, options.max_pixels),
        options.jobs,
    )
    print(
        f"{done.size[0]} x {done.size[1]} pixels: {done.resized:,} resized, "
        f"{done.there:,} already there, {done.outside:,} outside --keep, "
        f"{done.skipped:,} skipped"
    )
    print(f"photos: {printable(options.out)}")
    if done.others:
        print(
            f"{done.others:,} other files are there too, of earlier calls or of photos "
            "that are gone; a new folder would be without them"
        )
    if done.skipped:
        print(f"skipped: {printable(report / 'skipped.csv')}")


def _above_zero(text: str) -> float:
    number = float(text)
    if not (math.isfinite(number) and number > 0):
        raise argparse.ArgumentTypeError(f"{text} is not above zero")
    return number


def _cosine(text: str) -> float:
    number = _above_zero(text)
    if number > 1:
        raise argparse.ArgumentTypeError(f"{text} is above 1")
    return number


def _number(text: str) -> int:
    return int(_above_zero(text))


def _reasons(text: str) -> tuple[str, ...]:
    chosen = tuple(text.split(","))
    if unknown := set(chosen) - set(MOVABLE):
        raise argparse.ArgumentTypeError(
            f"{', '.join(sorted(unknown))}: not one of {', '.join(MOVABLE)}"
        )
    return chosen


def _size_range(text: str) -> tuple[tuple[int, int], tuple[int, int]]:
    low, dots, high = text.partition("..")
    if not dots:
        raise argparse.ArgumentTypeError(f"{text} is not such as 200x120..200x165")
    sizes = width_x_height(low), width_x_height(high)
    if sizes[0][0] > sizes[1][0] or sizes[0][1] > sizes[1][1]:
        raise argparse.ArgumentTypeError(f"{text}: no photo is in that range")
    return sizes
