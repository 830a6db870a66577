"""HOG once more, by other means, for tests to compare with."""

import numpy as np


def twin(image: np.ndarray) -> np.ndarray:
    """HOG in whole-array NumPy, float64; no code is shared with ours."""
    pixels = np.asarray(image, np.float64)
    pixels = pixels.reshape(*pixels.shape[:2], -1)
    rows, columns = pixels.shape[0] // 8, pixels.shape[1] // 8
    pixels = pixels[: 8 * rows, : 8 * columns]
    dx = pixels[1:-1, 2:] - pixels[1:-1, :-2]
    dy = pixels[2:, 1:-1] - pixels[:-2, 1:-1]
    strongest = (dx**2 + dy**2).argmax(2)[:, :, np.newaxis]
    dx = np.take_along_axis(dx, strongest, 2)
    dy = np.take_along_axis(dy, strongest, 2)
    angles = np.deg2rad(20 * np.arange(9))
    dots = np.abs(np.cos(angles) * dx + np.sin(angles) * dy)
    vertical = dx[:, :, 0] == 0  # as near to 80 as to 100 degrees: 80, not rounding
    orientation = np.where(vertical & (dy[:, :, 0] != 0), 4, dots.argmax(2))
    magnitude = np.hypot(dx, dy)[:, :, 0]

    y, x = np.mgrid[1 : 8 * rows - 1, 1 : 8 * columns - 1]
    cells = np.zeros((rows, columns, 9))
    for row in range(rows):
        for column in range(columns):
            down = np.maximum(1 - np.abs(y - (8 * row + 3.5)) / 8, 0)
            across = np.maximum(1 - np.abs(x - (8 * column + 3.5)) / 8, 0)
            weights = down * across * magnitude
            cells[row, column] = [weights[orientation == o].sum() for o in range(9)]

    energy = (cells**2).sum(2)
    blocks = energy[:-1, :-1] + energy[:-1, 1:] + energy[1:, :-1] + energy[1:, 1:]
    scale = 1 / np.sqrt(blocks + 1e-4)[:, :, np.newaxis]
    inner = cells[1:-1, 1:-1]
    around = [scale[1:, 1:], scale[:-1, 1:], scale[1:, :-1], scale[:-1, :-1]]
    clipped = [np.minimum(inner * block, 0.2) for block in around]
    textures = [0.2357 * part.sum(2) for part in clipped]
    return np.concatenate([0.5 * sum(clipped), np.stack(textures, 2)], 2)
