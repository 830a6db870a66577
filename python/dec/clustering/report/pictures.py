"""Rows as pictures: images as they are, few numbers as bars."""

import io
from pathlib import Path

import numpy as np
from PIL import Image

from dec.base.errors import DecError
from dec.data import leveldb
from dec.data.images.row_images import RowImages

_MOST_BARS = 64  # numbers a row; more cannot be told apart
_BAR_SIZE = 96, 60  # about the width and the height of a row as bars
_BLUE, _GREY = (47, 109, 179), (150, 160, 170)
LARGEST = 128  # a picture's longer side on the page


def png(picture: np.ndarray) -> bytes:
    """The PNG file of an image of bytes, grey or RGB."""
    file = io.BytesIO()
    Image.fromarray(picture).save(file, "PNG")
    return file.getvalue()


def jpeg(image: Image.Image) -> bytes:
    """The JPEG file of an RGB image."""
    file = io.BytesIO()
    image.save(file, "JPEG", quality=90)
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
        images = RowImages.find(database)
        if images:
            self.kind, tiles = "image", [_fit(p) for p in images.read(numbers)]
        else:
            with leveldb.open_reader(database) as reader:
                if reader.width > _MOST_BARS:
                    self.why = (
                        f"A row has {reader.width:,} numbers and is no image, so rows "
                        "are named here, not drawn."
                    )
                    return
                parts = [reader.read(i, i + 1)[0] for i in numbers]
                none = np.empty((0, reader.width))
            self.kind, tiles = "bars", _bars(np.concatenate([none, *parts]))
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
