"""Rows as pictures: images as they are, few numbers as bars."""

import io
from pathlib import Path

import numpy as np
from PIL import Image

from dec.data import leveldb
from dec.errors import DecError

_MOST_BARS = 64  # numbers a row; more cannot be told apart
_BAR_SIZE = 96, 60  # about the width and the height of a row as bars
_BLUE, _GREY = (47, 109, 179), (150, 160, 170)
LARGEST = 128  # a picture's longer side on the page


def image_shape(meta: dict | None, width: int) -> tuple[int, ...] | None:
    """(height, width) or (height, width, 3) where rows of `width` numbers are images.

    Raises DecError where dec.json says that they are, but of another size.
    """
    size = (meta or {}).get("image")
    if size is None:
        return None
    try:
        shape = tuple(int(side) for side in size)
    except (TypeError, ValueError):
        shape = ()
    grey_or_rgb = len(shape) == 2 or (len(shape) == 3 and shape[2] == 3)
    if not grey_or_rgb or min(shape) < 1 or int(np.prod(shape)) != width:
        raise DecError(
            f'{leveldb.META_NAME}: "image" is {size}, which rows of {width} numbers '
            "are not"
        )
    return shape


def pixels(rows: np.ndarray, meta: dict | None, shape: tuple[int, ...]) -> np.ndarray:
    """Rows as images of bytes: what was multiplied by "scale" is divided again."""
    scale = float((meta or {}).get("scale") or 1)
    values = np.clip(np.rint(rows / scale), 0, 255).astype(np.uint8)
    return values.reshape(len(rows), *shape)


def png(picture: np.ndarray) -> bytes:
    """The PNG file of an image of bytes, grey or RGB."""
    file = io.BytesIO()
    Image.fromarray(picture).save(file, "PNG")
    return file.getvalue()


class Pictures:
    """Draws rows of a LevelDB.

    kind: "image", "bars", or "" where rows are not drawn; why: the reason, a sentence.
    """

    def __init__(self, database: Path, rows: list[int]):
        """Reads these rows and draws them; `self.tiles` has them by number."""
        self.kind = self.why = ""
        self.tiles: dict[int, np.ndarray] = {}
        try:
            self._read(database, sorted(set(rows)))
        except DecError as error:
            self.kind, self.tiles = "", {}
            self.why = f"The rows could not be shown: {error}"

    def _read(self, database: Path, numbers: list[int]) -> None:
        with leveldb.open_reader(database) as reader:
            shape = image_shape(reader.meta, reader.width)
            if shape is None and reader.width > _MOST_BARS:
                self.why = (
                    f"A row has {reader.width:,} numbers and is no image, so rows are "
                    "named here, not drawn."
                )
                return
            parts = [reader.read(i, i + 1)[0] for i in numbers]
            meta = reader.meta
        values = np.concatenate(parts) if parts else np.empty((0, reader.width))
        if shape is None:
            self.kind, tiles = "bars", _bars(values)
        else:
            self.kind, tiles = "image", [_fit(p) for p in pixels(values, meta, shape)]
        self.tiles = dict(zip(numbers, tiles, strict=True))


def _fit(picture: np.ndarray) -> np.ndarray:
    """An image no larger than the page needs."""
    image = Image.fromarray(picture)
    image.thumbnail((LARGEST, LARGEST))
    return np.asarray(image)


def _bars(values: np.ndarray) -> list[np.ndarray]:
    """Every row as bars up or down from zero, all on one scale."""
    count = values.shape[1]
    step = max(3, round(_BAR_SIZE[0] / count))
    height = _BAR_SIZE[1]
    low, high = min(values.min(initial=0), 0), max(values.max(initial=0), 0)
    span = (high - low) or 1
    y = np.rint((high - values) / span * (height - 1)).astype(int)
    zero = round(float(high / span * (height - 1)))
    tiles = []
    for row in y:
        tile = np.full((height, step * count, 3), 255, np.uint8)
        for i, end in enumerate(row):
            top, bottom = sorted((zero, int(end)))
            tile[top : bottom + 1, i * step : (i + 1) * step - 1] = _BLUE
        tile[zero] = _GREY
        tiles.append(tile)
    return tiles
