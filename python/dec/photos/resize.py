"""`dec photos resize`: all photos of a folder at one size, into another folder."""

import errno
import functools
import io
import os
from collections import Counter
from pathlib import Path
from typing import NamedTuple

from PIL import Image

from dec.base import files, parallel, tables
from dec.base.errors import DecError
from dec.base.files import printable
from dec.base.progress import bar, say
from dec.photos import kinds
from dec.photos.load import MAX_PIXELS, BadPhoto, load_rgb, opened, photo_size
from dec.photos.stats import size_or_bad

_WORK = ".dec-resize"
_NAMED = 10  # skipped photos that are named on the terminal
Size = tuple[int, int]


class Plan(NamedTuple):
    """size: width and height in pixels, of every photo that comes out. keep: smallest
    and largest (width, height), both included, of those to go in; None: all."""

    size: Size | None
    keep: tuple[Size, Size] | None = None
    max_pixels: int = MAX_PIXELS


class Summary(NamedTuple):
    """size: as used. Counts of photos; there: done by an earlier call. others: files
    in the new folder that are of none of this call's photos."""

    size: Size
    resized: int
    there: int
    outside: int
    skipped: int
    others: int


def resize(
    folder: str | Path,
    out: str | Path,
    report: str | Path,
    plan: Plan,
    jobs: int | None = None,
) -> Summary:
    """Writes every photo of `folder`, resized, under its name below `out`.

    A plan without a size takes the smallest width and the smallest height there are.
    JPEGs stay JPEGs (quality 95, colours at full resolution), all else becomes PNG,
    with that suffix behind its name. A second call does what is new or has changed.
    Photos that cannot be read are skipped and named in `report`/skipped.csv.

    Raises DecError when one folder is in the other, when the folder cannot be read or
    has nothing to resize, or when the disk is full.
    """
    folder, out, report = Path(folder), Path(out), Path(report)
    total = sum(1 for _ in files.walk(folder))
    if not total:
        raise DecError(f"{printable(folder)}: no files in it")
    _keep_apart(folder, out)
    if plan.size is None:
        plan = plan._replace(size=_smallest(folder, plan, total, jobs))
    counts: Counter[str] = Counter()
    skipped: list[tuple[str, str, str]] = []
    with (
        files.own_folder(report, "dec photos resize"),
        files.own_folder(out / _WORK, "dec photos resize", remove=True),
    ):
        work = functools.partial(_resize_one, os.fspath(folder), os.fspath(out), plan)
        names = files.walk(
            folder, lambda name, words: skipped.append((name, "", words))
        )
        with bar(total, "resizing", "photo") as shown:
            for batch in parallel.each(work, names, jobs):
                for name, answer in batch:
                    if isinstance(answer, BadPhoto):
                        skipped.append((name, answer.reason, answer.detail))
                    elif isinstance(answer, DecError):
                        raise answer
                    else:
                        counts[answer] += 1
                shown.update(len(batch))
        skipped.sort()
        tables.write_table(
            report / "skipped.csv", [("file", "reason", "detail"), *skipped]
        )
    _say_skipped(folder, report, skipped)
    if not counts["resized"] + counts["there"]:
        raise DecError(
            f"{printable(folder)}: nothing to resize: {counts['outside']:,} photos "
            f"outside --keep, {len(skipped):,} that cannot be read"
        )
    done = counts["resized"] + counts["there"]
    return Summary(
        plan.size,
        counts["resized"],
        counts["there"],
        counts["outside"],
        len(skipped),
        sum(1 for _ in files.walk(out)) - done,
    )


def _keep_apart(folder, out):
    a, b = os.path.realpath(folder), os.path.realpath(out)
    if os.path.commonpath([a, b]) in (a, b):
        raise DecError(
            f"{printable(out)}: must be a folder of its own, neither in "
            f"{printable(folder)} nor around it"
        )


def _smallest(folder, plan, total, jobs) -> Size:
    """The smallest width and height among the photos to keep."""
    work = functools.partial(size_or_bad, os.fspath(folder), plan.max_pixels)
    sizes = set()
    with bar(total, "measuring", "photo") as shown:
        for batch in parallel.each(work, files.walk(folder), jobs):
            good = {size for _, size in batch if not isinstance(size, BadPhoto)}
            sizes |= {size for size in good if _kept(size, plan.keep)}
            shown.update(len(batch))
    if not sizes:
        raise DecError(f"{printable(folder)}: no photo that can be read and is kept")
    widths, heights = zip(*sizes, strict=True)
    return min(widths), min(heights)


def _kept(size, keep):
    return keep is None or all(
        low <= side <= high
        for low, side, high in zip(keep[0], size, keep[1], strict=True)
    )


def _resize_one(folder, out, plan, name) -> str | DecError:
    """resized, there, outside, or the error. Runs in a process of its own."""
    path = os.path.join(folder, name)
    try:
        if not _kept(photo_size(path, plan.max_pixels), plan.keep):
            return "outside"
        with opened(path) as file:
            kind = kinds.sniff(file.read(kinds.HEAD))
        target = os.path.join(out, _out_name(folder, name, kind))
        if _is_done(target, path, plan.size):
            return "there"
        # A little more than needed, so that the last step is a good filter's.
        at_least = (2 * plan.size[0], 2 * plan.size[1])
        image = load_rgb(path, plan.max_pixels, at_least)
        image = image.resize(plan.size, Image.Resampling.LANCZOS)
        data = io.BytesIO()
        if kind is kinds.JPEG:
            image.save(data, "JPEG", quality=95, subsampling=0)
        else:
            image.save(data, "PNG")
        _write(target, data.getvalue(), os.path.join(out, _WORK))
    except DecError as error:
        return error
    return "resized"


def _out_name(folder, name, kind):
    """`name` with the suffix of what is written, which no other photo has."""
    good = kinds.JPEG if kind is kinds.JPEG else kinds.PNG
    suffix = os.path.splitext(name)[1].lower()
    if suffix in good.suffixes:
        return name
    out = name + good.suffixes[0]
    while os.path.lexists(os.path.join(folder, out)):
        out += good.suffixes[0]
    return out


def _is_done(target, path, size):
    try:
        if os.stat(target).st_mtime_ns < os.stat(path).st_mtime_ns:
            return False
        return photo_size(target) == size
    except (OSError, BadPhoto):
        return False


def _write(target, data, work):
    part = os.path.join(work, f"{os.getpid()}.part")
    try:
        os.makedirs(os.path.dirname(target), exist_ok=True)
        with open(part, "wb") as file:
            file.write(data)
        os.replace(part, target)
    except OSError as error:
        full = " Make room; the same command goes on from here."
        raise DecError(
            f"{printable(target)}: cannot be written: {error.strerror}."
            + (full if error.errno == errno.ENOSPC else "")
        ) from error


def _say_skipped(folder, report, skipped):
    for name, reason, detail in skipped[:_NAMED]:
        say(f"{printable(folder / name)}: skipped: {reason}: {detail}")
    if len(skipped) > _NAMED:
        more = len(skipped) - _NAMED
        say(f"... and {more:,} more, see {printable(report / 'skipped.csv')}")
