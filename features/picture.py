"""HOG as a picture, to see what the network sees."""

import numpy as np

_ORIENTATIONS = 9
_NUMBERS = 13


def hog_picture(hog_array: np.ndarray, cell: int = 20) -> np.ndarray:
    """An image's HOG (rows x columns x 13) as a grey image (uint8).

    In each cell, `cell` pixels wide, a line for each of the nine orientations, as
    bright as the orientation is strong there; the strongest of the picture is white.
    Lines run along edges: at right angles to the gradients.
    """
    hog_array = np.asarray(hog_array, np.float64)
    if hog_array.ndim != 3 or hog_array.shape[2] != _NUMBERS or 0 in hog_array.shape:
        raise ValueError(
            f"hog_picture draws one image's HOG, rows x columns x {_NUMBERS}, "
            f"not {' x '.join(map(str, hog_array.shape))}"
        )
    if not np.isfinite(hog_array).all():
        raise ValueError("there are NaN or infinite numbers in the HOG")
    if cell < 1:
        raise ValueError(f"a cell of the picture must be 1 pixel or more, not {cell}")
    strength = np.maximum(hog_array[:, :, :_ORIENTATIONS], 0)
    rows, columns = strength.shape[:2]
    picture = np.zeros((rows, cell, columns, cell))
    for orientation, line in enumerate(_lines(cell)):
        bright = strength[:, np.newaxis, :, np.newaxis, orientation]
        np.maximum(picture, bright * line[:, np.newaxis], out=picture)
    picture = picture.reshape(rows * cell, columns * cell)
    brightest = picture.max()
    if brightest > 0:
        picture *= 255 / brightest
    return np.rint(picture).astype(np.uint8)


def _lines(cell: int) -> np.ndarray:
    """The nine lines, each through the middle of a cell x cell square: 0 to 1."""
    angle = np.deg2rad(20 * np.arange(_ORIENTATIONS))[:, np.newaxis, np.newaxis]
    y, x = np.mgrid[:cell, :cell] - (cell - 1) / 2
    across = np.abs(np.cos(angle) * x + np.sin(angle) * y)
    along = np.abs(np.cos(angle) * y - np.sin(angle) * x)
    half_width, half_length = max(cell / 30, 0.5), cell / 2
    return np.clip(half_width + 0.5 - across, 0, 1) * np.clip(
        half_length + 0.5 - along, 0, 1
    )
