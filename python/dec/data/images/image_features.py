"""What STL-10 and folders of photos share: images in a frame, HOG and colours as rows.

A row is (HOG - 0.2) x 10, then (Cr and Cb of the colour map - 128) / 10, as
`features.extract` has it. The work on many images is for base/parallel, so it may be
spread over machines (docs/scale.md).
"""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageOps

from dec.base.errors import DecError
from features import extract

CELL, CELL_NUMBERS = 8, 13  # HOG's: pixels, numbers
SMALLEST = 3 * CELL  # pixels, of both sides of an image that has a HOG
FITS = ("crop", "pad", "stretch")


class Frame(NamedTuple):
    """How images of any size become rows of one width.

    size: (width, height) in pixels. colours: (rows, columns) of the colour map.
    fit: what is done where the image has another shape than the frame: "crop" fills
    the frame and cuts off what stands out, on both sides alike; "pad" shows all of
    it, on a ground of its mean colour; "stretch" squeezes it.
    """

    size: tuple[int, int]
    colours: tuple[int, int]
    fit: str = "crop"

    @classmethod
    def checked(
        cls, size: Iterable[int], colours: Iterable[int], fit: str = "crop"
    ) -> "Frame":
        """Raises DecError for what cannot be one."""
        frame = cls(tuple(map(int, size)), tuple(map(int, colours)), fit)
        if len(frame.size) != 2 or min(frame.size) < SMALLEST:
            raise DecError(
                f"size {'x'.join(map(str, frame.size))}: HOG needs three cells of "
                f"{CELL} pixels, so {SMALLEST}x{SMALLEST} or more"
            )
        if len(frame.colours) != 2 or min(frame.colours) < 1:
            raise DecError(
                f"colour map {'x'.join(map(str, frame.colours))}: it has two sides, "
                "rows and columns, of 1 or more"
            )
        if fit not in FITS:
            raise DecError(f"fit {fit}: none of {', '.join(FITS)}")
        return frame

    @classmethod
    def of(cls, facts: dict) -> "Frame":
        """The frame whose `facts()` these are."""
        return cls.checked(facts["size"], facts["colours"], facts["fit"])

    def facts(self) -> dict:
        """The frame as it is kept in dec.json."""
        return {
            "size": list(self.size),
            "colours": list(self.colours),
            "fit": self.fit,
        }

    @property
    def width(self) -> int:
        """How many numbers a row has."""
        columns, rows = (side // CELL - 2 for side in self.size)
        return rows * columns * CELL_NUMBERS + 2 * self.colours[0] * self.colours[1]

    smallest = SMALLEST

    @property
    def words(self) -> str:
        """What the rows are, in words."""
        return f"hog: {self.width:,} numbers a photo, HOG and colours"

    def take(self, image: Image.Image, picture: np.ndarray) -> np.ndarray:
        """What rows are made of: the image in the frame."""
        return picture

    def rows(self, images: Sequence[np.ndarray]) -> np.ndarray:
        """n x height x width x 3 (uint8) as float32, n x self.width, by one thread."""
        return extract(np.asarray(images), self.colours, threads=1)

    def place(self, image: Image.Image) -> np.ndarray:
        """An RGB image in the frame: height x width x 3, uint8; see `place`."""
        return place(image, self.size, self.fit)


def place(image: Image.Image, size: tuple[int, int], fit: str) -> np.ndarray:
    """An RGB image brought to (width, height) in a way of FITS: height x width x 3.

    By a Lanczos filter; an image of that size comes out as it is.
    """
    if fit == "crop":
        image = ImageOps.fit(image, size, Image.Resampling.LANCZOS)
    elif fit == "pad":
        mean = np.asarray(image).reshape(-1, 3).mean(axis=0)
        ground = tuple(int(value) for value in np.rint(mean))
        image = ImageOps.pad(image, size, Image.Resampling.LANCZOS, color=ground)
    else:
        image = image.resize(size, Image.Resampling.LANCZOS)
    return np.asarray(image)


def split(n: int) -> int:
    """How many of n rows, the first ones, are for training: four fifths.

    Raises DecError where there are not two rows.
    """
    if n < 2:
        raise DecError(
            f"{n} usable image{'' if n == 1 else 's'}: two or more are needed, one to "
            "train and one to test"
        )
    return max(1, n * 4 // 5)
