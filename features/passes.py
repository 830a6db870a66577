"""The passes over images: HOG, the colour map, and both as rows for the network."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import joblib
import numpy as np

from features.pixels import batches

try:
    from features import _features
except ImportError as error:
    raise ImportError(
        "the compiled part of features is missing: call pip install --editable . "
        "in the repository (make does it)"
    ) from error

CELL = 8
NUMBERS = 13
# Fewer pixels than this are done sooner than a thread has been started.
_WORTH_A_THREAD = 1 << 20


def hog(images, threads: int | None = None) -> np.ndarray:
    """The histograms of oriented gradients: H//8 - 2 x W//8 - 2 x 13 an image.

    `images` is an image (H x W x 3 or H x W, uint8 or float on the scale of 0 to
    255, or a PIL image), a batch (n x H x W x 3) or a list of images of one size;
    the answer (float64) has a first axis n for the latter two. `threads`: as many
    as there are cores unless told; the numbers do not depend on it.
    """
    arrays, single = batches(images)
    rows, columns = _cells(arrays)
    out = np.empty((_count(arrays), rows * columns * NUMBERS))
    _run(arrays, threads, lambda part: (out[part], None, None, 0, 0))
    out = out.reshape(-1, rows, columns, NUMBERS)
    return out[0] if single else out


def crcb_map(
    images, size: tuple[int, int] = (8, 8), threads: int | None = None
) -> np.ndarray:
    """The colours of images shrunk to `size` (rows, columns): Cr and Cb, on 0 to 255.

    Images and threads as in hog(); float pixels must lie in 0..255 here. An entry of
    the map is the mean of the pixels that it covers, those on its border in part.
    """
    arrays, single = batches(images)
    rows, columns = _map_size(size)
    _require_pixels(arrays)
    out = np.empty((_count(arrays), rows * columns * 2))
    _run(arrays, threads, lambda part: (None, out[part], None, rows, columns))
    out = out.reshape(-1, rows, columns, 2)
    return out[0] if single else out


def extract(
    images, map_size: tuple[int, int] = (8, 8), threads: int | None = None
) -> np.ndarray:
    """What the network reads, a row (float32) an image: (HOG - 0.2) x 10, then
    (colour map - 128) / 10, flattened; 1,428 numbers for 96 x 96 and an 8 x 8 map.

    Images and threads as in crcb_map().
    """
    arrays, single = batches(images)
    rows, columns = _map_size(map_size)
    cell_rows, cell_columns = _cells(arrays)
    width = cell_rows * cell_columns * NUMBERS + rows * columns * 2
    out = np.empty((_count(arrays), width), np.float32)
    _run(arrays, threads, lambda part: (None, None, out[part], rows, columns))
    return out[0] if single else out


def _count(arrays: list[np.ndarray]) -> int:
    return sum(len(array) for array in arrays)


def _cells(arrays: list[np.ndarray]) -> tuple[int, int]:
    """The rows and columns of cells that HOG keeps of such images."""
    height, width = arrays[0].shape[1:3]
    if min(height, width) < 3 * CELL:
        raise ValueError(
            f"an image of {height} x {width} pixels (height x width) is too small: "
            f"HOG needs three cells of {CELL} pixels, {3 * CELL} x {3 * CELL}"
        )
    return height // CELL - 2, width // CELL - 2


def _map_size(size: tuple[int, int]) -> tuple[int, int]:
    try:
        rows, columns = (int(number) for number in size)
        right = (rows, columns) == tuple(size) and min(rows, columns) >= 1
    except (TypeError, ValueError):
        right = False
    if not right:
        raise ValueError(
            f"the size of a colour map is (rows, columns), both 1 or more, not {size}"
        )
    return rows, columns


def _require_pixels(arrays: list[np.ndarray]) -> None:
    height, width = arrays[0].shape[1:3]
    if min(height, width) < 1:
        raise ValueError(f"an image of {height} x {width} pixels has no colours")


def _run(
    arrays: list[np.ndarray],
    threads: int | None,
    outputs: Callable[[slice], tuple],
) -> None:
    """Runs the compiled code over all images, each thread over some of them.

    `outputs(part)`: where the numbers of those images go.
    """
    if threads is not None and threads < 1:
        raise ValueError(f"threads must be 1 or more, not {threads}")
    n = _count(arrays)
    worth = min(n, 1 + n * arrays[0].shape[1] * arrays[0].shape[2] // _WORTH_A_THREAD)
    if worth > 1:  # counting the cores takes longer than a small image
        worth = min(worth, threads or joblib.cpu_count())
    if worth <= 1:
        faults = [_run_part(arrays, outputs, 0, n)]
    else:
        # Several parts a thread, as some cores may be busy with other things. Not
        # joblib's threads: its Parallel looks for results every 10 ms only.
        edges = [n * i // (4 * worth) for i in range(4 * worth + 1)]
        with ThreadPoolExecutor(worth) as pool:
            faults = list(
                pool.map(
                    lambda start, stop: _run_part(arrays, outputs, start, stop),
                    edges[:-1],
                    edges[1:],
                )
            )
    for fault in faults:
        if fault is not None:
            raise fault


def _run_part(
    arrays: list[np.ndarray], outputs: Callable[[slice], tuple], start: int, stop: int
) -> Exception | None:
    """Images start..stop-1; the first one's fault, if one has any."""
    if len(arrays) == 1:
        pieces = [(start, arrays[0][start:stop])]
    else:
        pieces = [(i, arrays[i]) for i in range(start, stop)]
    for first, piece in pieces:
        fault, image = _features.run(piece, *outputs(slice(first, first + len(piece))))
        if fault == _features.Fault.NOT_FINITE:
            return ValueError(
                f"image {first + image} has pixels that are NaN, infinite or too large"
            )
        if fault == _features.Fault.NOT_A_COLOUR:
            return ValueError(
                f"image {first + image} has pixels outside 0..255, the scale of the "
                "colour map"
            )
        if fault == _features.Fault.NO_MEMORY:
            return MemoryError("not enough memory for one image's features")
    return None
