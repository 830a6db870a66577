"""A net's rows of photos, one file at a time: what `dec photos clean --alike` asks."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from dec.base.parallel import each
from dec.data.images.image_features import Frame
from dec.data.images.net_features import NetFeatures
from dec.data.images.photo_rows import COLOURS, SIZE, Reading
from dec.photos.load import MAX_PIXELS, BadPhoto

_BATCH = 32  # photos a task


@dataclass(frozen=True)
class Described:
    """A `dec.photos.clean.Describer`. It sees the middle of a photo, as in runs."""

    name: str
    key: str
    reading: Reading

    @classmethod
    def by(cls, net: str, max_pixels: int = MAX_PIXELS) -> "Described":
        """By the net's name; photos of more pixels cannot be read.

        Raises DecError as `open_net`.
        """
        frame = Frame.checked(SIZE, COLOURS, "crop")
        features = NetFeatures.opened(net, frame.fit)
        key = features.facts()["key"]
        return cls(net, key, Reading(frame, features, max_pixels))

    def rows(
        self, paths: list[str], jobs: int | None
    ) -> Iterator[list[tuple[str, np.ndarray | None]]]:
        """Blocks of a file and its row, float32; None where it cannot be read."""
        jobs = 1 if len(paths) <= _BATCH else jobs
        for block in each(self.reading, paths, jobs, batch=_BATCH, whole=True):
            yield [
                (path, None if isinstance(found, BadPhoto) else found[1])
                for path, found in block
            ]
