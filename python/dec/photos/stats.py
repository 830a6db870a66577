"""`dec photos stats`: how many photos there are of each size, as table and picture."""

import functools
import os
from collections import Counter
from pathlib import Path
from typing import NamedTuple

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from scipy.spatial import cKDTree

from dec.base import files, parallel, tables
from dec.base.errors import DecError
from dec.base.files import printable
from dec.base.progress import bar, say
from dec.photos.load import MAX_PIXELS, BadPhoto, photo_size

TOLERANCE = 10  # pixels
_BARS = 20  # resolutions in the picture


class Resolution(NamedTuple):
    """A size in pixels, the number of photos about that large, and their range."""

    width: int
    height: int
    photos: int
    min_width: int
    max_width: int
    min_height: int
    max_height: int


def stats(
    folder: str | Path,
    report: str | Path,
    *,
    tolerance: int = TOLERANCE,
    jobs: int | None = None,
) -> tuple[list[Resolution], int]:
    """The resolutions in `folder`, most photos first, and how many cannot be read.

    Writes `report`/resolutions.csv and resolutions.png. tolerance: pixels by which
    width and height may differ from a resolution's own. Only headers are read.

    Raises DecError when the folder cannot be read or has no photo in it.
    """
    folder, report = Path(folder), Path(report)
    sizes, bad = measure(folder, jobs)
    if not sizes:
        words = f"none of its {bad:,} files can be read" if bad else "no files in it"
        raise DecError(f"{printable(folder)}: {words}")
    groups = group(sizes, tolerance)
    with files.own_folder(report, "dec photos stats"):
        files.claim_report(report, folder)
        tables.write_table(
            report / "resolutions.csv", [Resolution._fields, *map(list, groups)]
        )
        _draw(report / "resolutions.png", sizes, groups, tolerance)
    return groups, bad


def measure(folder: Path, jobs: int | None) -> tuple[Counter, int]:
    """How many photos of each (width, height), and how many that cannot be read."""
    sizes: Counter[tuple[int, int]] = Counter()
    bad = 0
    total = sum(1 for _ in files.walk(folder))
    work = functools.partial(size_or_bad, os.fspath(folder), MAX_PIXELS)

    def trouble(name, words):
        say(f"{printable(folder / name)}: {words}")

    with bar(total, "measuring", "photo") as shown:
        for batch in parallel.each(work, files.walk(folder, trouble), jobs):
            for _, size in batch:
                if isinstance(size, BadPhoto):
                    bad += 1
                else:
                    sizes[size] += 1
            shown.update(len(batch))
    return sizes, bad


def size_or_bad(folder: str, max_pixels: int, name: str) -> tuple[int, int] | BadPhoto:
    """Width and height of a photo, or why it has none."""
    try:
        return photo_size(os.path.join(folder, name), max_pixels)
    except BadPhoto as bad:
        return bad


def group(sizes: Counter, tolerance: int = TOLERANCE) -> list[Resolution]:
    """Puts sizes that are about the same into one resolution; most photos first.

    "Within 10 pixels" does not carry on from neighbour to neighbour, or a smooth
    spread of sizes would be one resolution. So the size that most photos have (of
    equals, the one with most photos around it) takes all within the tolerance, in
    width and in height; then the same with what is left.
    """
    exact = sorted(sizes)
    points = np.array(exact, dtype=float).reshape(-1, 2)
    photos = np.array([sizes[size] for size in exact])
    # Both sides within the tolerance: the largest of the differences counts.
    tree = cKDTree(points)
    around = tree.query_ball_point(points, tolerance + 0.5, p=np.inf)
    around = [np.array(near) for near in around]
    first = photos * (photos.sum() + 1)
    score = first + np.array([photos[near].sum() for near in around])
    left = np.ones(len(exact), dtype=bool)
    groups = []
    while left.any():
        centre = int(np.argmax(score))
        near = around[centre]
        members = near[left[near]]
        left[members] = False
        for member in members:
            score[around[member]] -= photos[member]
        score[members] = -1
        widths, heights = zip(*(exact[member] for member in members), strict=True)
        count = int(photos[members].sum())
        extremes = min(widths), max(widths), min(heights), max(heights)
        groups.append(Resolution(*exact[centre], count, *extremes))
    return sorted(groups, key=lambda g: (-g.photos, g.width, g.height))


def _draw(path, sizes, groups, tolerance):
    figure = Figure(figsize=(11, 5.2), layout="constrained")
    bars, plane = figure.subplots(1, 2)
    _draw_bars(bars, groups, tolerance)
    _draw_plane(plane, sizes)
    new = path.with_name(f".{path.name}")
    try:
        figure.savefig(new, dpi=110, format="png")
        os.replace(new, path)
    except OSError as error:
        words = f"{printable(path)}: cannot be written: {error.strerror}"
        raise DecError(words) from error


def _draw_bars(axes, groups, tolerance):
    total = sum(group.photos for group in groups)
    shown = groups[:_BARS]
    labels = [f"{group.width} x {group.height}" for group in shown]
    counts = [group.photos for group in shown]
    colors = ["C0"] * len(shown)
    if rest := groups[_BARS:]:
        labels.append(f"{len(rest):,} others")
        counts.append(sum(group.photos for group in rest))
        colors.append("0.7")
    drawn = axes.barh(labels, counts, color=colors)
    axes.bar_label(
        drawn, [f"{n:,} ({n / total:.0%})" for n in counts], padding=3, size=8
    )
    axes.invert_yaxis()
    axes.margins(x=0.18)
    axes.tick_params(axis="y", labelsize=8)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=6))
    axes.spines[["top", "right"]].set_visible(False)
    axes.set_xlabel("photos")
    axes.set_title(f"Photos per resolution (within {tolerance} pixels)")


def _draw_plane(axes, sizes):
    points = np.array(list(sizes))
    counts = np.array(list(sizes.values()))
    order = np.argsort(counts)
    area = 6 + 250 * counts / counts.max()
    axes.scatter(*points[order].T, s=area[order], alpha=0.4, edgecolors="none")
    if points.max() > 20 * np.median(points):
        axes.set_xscale("log")
        axes.set_yscale("log")
    axes.spines[["top", "right"]].set_visible(False)
    axes.set_xlabel("width (pixels)")
    axes.set_ylabel("height (pixels)")
    axes.set_title("Every size; the area of a dot is its number of photos")
