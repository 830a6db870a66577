"""`dec photos clean`: what is usable in a folder of photos, and what is not, why."""

import errno
import functools
import os
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Protocol

import numpy as np

from dec.base import files, parallel, tables
from dec.base.errors import DecError
from dec.base.files import printable
from dec.base.progress import bar, say
from dec.photos import duplicates, listing
from dec.photos.cache import Cache, Row, full_disk_is_an_error
from dec.photos.check import VERSION, Checked, check
from dec.photos.load import MAX_PIXELS
from dec.photos.reasons import REASONS

NEAR = 4  # of 64 bits; real photos that share no more are the same, see docs/photos.md
ALIKE = 0.97  # cosine of two photos' rows by a net; see docs/photos.md
_MOVES_AT_ONCE = 200


class Describer(Protocol):
    """A net that says of photos what is in them. This room knows no nets itself.

    name, key: in words, and a digest of all that decides the rows. rows: for files,
    blocks of (file, row, or None for one that cannot be read now).
    """

    name: str
    key: str

    def rows(
        self, paths: list[str], jobs: int | None
    ) -> Iterator[list[tuple[str, np.ndarray | None]]]: ...


def clean(
    folder: str | Path,
    report: str | Path,
    *,
    move: tuple[str, ...] = (),
    listed: str | Path | None = None,
    near: int = NEAR,
    alike: Describer | None = None,
    least: float = ALIKE,
    max_pixels: int = MAX_PIXELS,
    jobs: int | None = None,
) -> dict[str, tuple[int, int]]:
    """Checks all photos in `folder`; returns (photos, of these moved) by reason.

    Writes `report`/report.csv, a row a file. A second call looks only at files that
    are new or have changed. Files with a reason in `move` go to
    `folder`/rejected/<reason>/, below which they keep their sub-folder; none is
    deleted or overwritten.

    listed: a photos.txt or a manifest.csv (default: the folder's own, if there is
    one) of what should be there. near: bits by which the hashes of near duplicates
    may differ. alike: a net by which photos are near duplicates too, where the cosine
    of their rows is `least` or more; its rows are kept, so a second call makes only
    those of new photos. jobs: processes, None for one a core.

    Raises DecError when the folder cannot be read or is empty, when another process
    works on the same report, or when the disk is full.
    """
    folder, report = Path(folder), Path(report)
    # Before anything is written: is there a folder at all?
    total = sum(1 for _ in files.walk(folder))
    expected = listing.expected(folder, listed)
    if not total and expected is None and not (folder / files.REJECTED).exists():
        raise DecError(f"{printable(folder)}: no files in it")
    path = report / "cache.sqlite"
    with files.own_folder(report, "dec photos clean"), full_disk_is_an_error(path):
        files.claim_report(report, folder)
        with Cache(path) as cache:
            unseen = _check_all(folder, cache, total, max_pixels, jobs)
            moved = _settle_unseen(folder, cache, unseen)
            cache.set_listed(_missing(folder, expected, moved))
            _find_duplicates(cache, near)
            cache.set_likeness(_find_alike(folder, cache, alike, least, jobs))
            cache.commit()
            if move:
                _move_all(folder, cache, move)
            return _write_report(cache, report / "report.csv")


def _check_all(folder, cache, total, max_pixels, jobs):
    """Brings the cache up to date; returns what is in it and not in the folder."""
    how = f"{VERSION}:{max_pixels}"
    stats: dict[str, tuple[int, int]] = {}  # of the photos that are being checked
    work = functools.partial(_check_one, os.fspath(folder), max_pixels)
    with bar(total, "checking", "photo") as shown:

        def trouble(name, words):
            say(f"{printable(folder / name)}: {words}")
            cache.put(name, 0, 0, "", Checked("unreadable", words))

        def stale() -> Iterator[str]:
            for name in files.walk(folder, trouble):
                size, changed = _stat(folder / name)
                if cache.fresh(name, size, changed, how):
                    shown.update()
                else:
                    stats[name] = size, changed
                    yield name

        for batch in parallel.each(work, stale(), jobs):
            for name, row in batch:
                cache.put(name, *stats.pop(name), how, row)
            cache.commit()
            shown.update(len(batch))
    return cache.unseen()


def _check_one(folder, max_pixels, name):
    return check(os.path.join(folder, name), max_pixels)


def _stat(path):
    try:
        found = os.stat(path)
    except OSError:
        return -1, -1
    return found.st_size, found.st_mtime_ns


def _settle_unseen(folder, cache, unseen) -> set[str]:
    """Forgets files that are gone; returns those moved earlier and still there."""
    moved = set()
    for name, to in unseen:
        if to and os.path.lexists(folder / to):
            moved.add(name)
        else:
            cache.forget(name)
    return moved


def _missing(folder, expected: Callable | None, moved: set[str]):
    return expected({*files.walk(folder), *moved}) if expected else []


def _find_duplicates(cache, near):
    cache.mark_exact_duplicates()
    row, phash, dhash = cache.hashes()
    pairs = duplicates.near_duplicates(phash, dhash, near)
    cache.mark_near_duplicates((int(row[a]), int(row[b])) for a, b in pairs)


def _find_alike(folder, cache, alike: Describer | None, least, jobs):
    """Marks near duplicates by a net, among those that hashes have left."""
    if alike is None:
        return []
    compared = cache.compared()
    known = cache.described(alike.key)
    content = {os.path.join(folder, name): sha256 for _, name, sha256 in compared}
    new = [path for path, sha256 in content.items() if sha256 not in known]
    with bar(len(content), "describing", "photo", initial=len(content) - len(new)) as b:
        for block in alike.rows(new, jobs) if new else ():
            for path, row in block:
                if row is None:
                    say(f"{printable(path)}: could not be described")
                else:
                    known[content[path]] = row
                    cache.put_described(content[path], alike.key, row)
            cache.commit()
            b.update(len(block))
    there = [(row, sha256) for row, _, sha256 in compared if sha256 in known]
    if not there:
        return []
    rows = np.stack([known[sha256] for _, sha256 in there])
    pairs = duplicates.alike_rows(rows, least)
    cache.mark_near_duplicates((there[a][0], there[b][0]) for a, b, _ in pairs)
    return [(there[a][0], f"{alike.name}: {cosine:.4f}") for a, _, cosine in pairs]


def _move_all(folder, cache, reasons):
    moving = [
        (row.file, row.status)
        for row in cache.rows()
        if row.status in reasons and not row.moved_to
        if os.path.lexists(folder / row.file) and not (folder / row.file).is_dir()
    ]
    if not moving:
        return
    rejected = folder / files.REJECTED
    if rejected.exists() and not (rejected / files.MARKER).exists():
        raise DecError(
            f"{printable(rejected)} is there and is not from `dec photos clean`: "
            "rename it, or add an empty file .dec-left-out to it"
        )
    try:
        rejected.mkdir(exist_ok=True)
        (rejected / files.MARKER).touch()
        with bar(len(moving), "moving", "photo") as shown:
            for at in range(0, len(moving), _MOVES_AT_ONCE):
                some = moving[at : at + _MOVES_AT_ONCE]
                plan = [(name, _target(folder, name, why)) for name, why in some]
                for name, to in plan:
                    cache.plan_move(name, to)
                # Written down first: a kill from here on loses track of none.
                cache.commit()
                for name, to in plan:
                    _move(folder / name, folder / to)
                shown.update(len(plan))
    except OSError as error:
        where = printable(error.filename or rejected)
        raise DecError(f"{where}: cannot be moved: {error.strerror}") from error


def _target(folder, name, reason):
    """A name below `folder`/rejected that is free, or that is the same file."""
    wanted = Path(files.REJECTED, reason, name)
    to, number = wanted, 1
    while os.path.lexists(folder / to) and not _same(folder / to, folder / name):
        number += 1
        to = wanted.with_name(f"{wanted.stem}-{number}{wanted.suffix}")
    return os.fspath(to)


def _move(path, to):
    """Renames, never over another file: a link appears, then the old name goes."""
    to.parent.mkdir(parents=True, exist_ok=True)
    try:
        os.link(path, to, follow_symlinks=False)
    except FileExistsError:
        if not _same(path, to):
            raise
    except OSError as error:
        # File systems without hard links.
        if error.errno not in (errno.EPERM, errno.EOPNOTSUPP, errno.EMLINK):
            raise
        if os.path.lexists(to):
            raise FileExistsError(errno.EEXIST, "is there", os.fspath(to)) from None
        os.rename(path, to)
        return
    os.unlink(path)


def _same(a, b):
    return os.path.samestat(os.lstat(a), os.lstat(b))


def _write_report(cache, path) -> dict[str, tuple[int, int]]:
    photos: Counter[str] = Counter()
    moved: Counter[str] = Counter()

    def lines():
        yield Row._fields
        for row in cache.rows():
            photos[row.status] += 1
            moved[row.status] += bool(row.moved_to)
            yield row

    tables.write_table(path, lines())
    return {reason: (photos[reason], moved[reason]) for reason in REASONS}
