"""The images that the rows of a LevelDB are, or were made of."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from dec.base.errors import DecError
from dec.data import leveldb


class RowImages:
    """Row by row the images of a LevelDB.

    Its dec.json says where they are: "image", (height, width) or (height, width, 3)
    where the rows themselves are, times "scale"; "pictures", the name of the LevelDB
    beside it that has the same rows as bytes of (3, height, width).
    """

    def __init__(
        self, database: Path, rows: int, shape: tuple[int, ...], scale: float | None
    ):
        """scale: None for planes of bytes, (3, height, width)."""
        self.database, self.rows = database, rows
        self._shape, self._scale = shape, scale
        self.size = shape[:2] if scale else shape[1:]

    @classmethod
    def find(cls, database: Path) -> "RowImages | None":
        """None where rows are no images. DecError where they should be and are not."""
        with leveldb.open_reader(database) as reader:
            meta, rows, width = reader.meta or {}, reader.rows, reader.width
        beside = meta.get("pictures")
        if beside is None:
            shape = _shape(meta, width)
            scale = float(meta.get("scale") or 1)
            return shape and cls(database, rows, shape, scale)
        pictures = Path(database).parent / str(beside)
        with leveldb.open_reader(pictures) as reader:
            if reader.rows != rows or reader.shape[0] != 3:
                raise DecError(
                    f"{pictures}: {reader.rows} rows of {reader.shape}; it should hold "
                    f"an RGB image for each of the {rows} rows of {database}"
                )
            return cls(pictures, rows, reader.shape, None)

    def read(self, numbers: list[int]) -> list[np.ndarray]:
        """The images of some rows: bytes, (height, width) or (height, width, 3)."""
        with leveldb.open_reader(self.database) as reader:
            return [self._images(reader.read(i, i + 1)[0])[0] for i in numbers]

    def all(self) -> Iterator[np.ndarray]:
        """The images of all rows, in their order."""
        with leveldb.open_reader(self.database) as reader:
            for rows, _ in reader.batches():
                yield from self._images(rows)

    def _images(self, rows: np.ndarray) -> np.ndarray:
        values = np.clip(np.rint(rows / (self._scale or 1)), 0, 255).astype(np.uint8)
        values = values.reshape(len(rows), *self._shape)
        return values if self._scale else values.transpose(0, 2, 3, 1)


def _shape(meta: dict, width: int) -> tuple[int, ...] | None:
    """(height, width[, 3]) where rows of `width` numbers are images."""
    size = meta.get("image")
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
