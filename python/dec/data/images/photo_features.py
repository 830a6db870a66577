"""Features of photos for Python: `from dec import photo_features`."""

import os
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from dec.base.errors import DecError
from dec.base.parallel import each
from dec.data.images.image_features import Frame
from dec.data.images.photo_rows import AUTO, COLOURS, SIZE, Reading, choose
from dec.photos.load import MAX_PIXELS, BadPhoto


def photo_features(
    paths: Iterable[str | os.PathLike],
    features: str = AUTO,
    *,
    size: Sequence[int] = SIZE,
    fit: str = "crop",
    jobs: int | None = None,
) -> np.ndarray:
    """Rows of numbers, n x d (float32), as `dec data photos` makes them of n photos.

    features: "hog", a net of prototxt/features ("squeezenet") or a folder like those,
    or "auto": squeezenet where its weights can be had, else hog. size: (width, height)
    in pixels, of what HOG and colours are made of. fit: "crop", "pad" or "stretch", for
    photos of another shape. jobs: processes, None for one a core, or as many as the
    back end of joblib's parallel_config has.

    Raises BadPhoto, a DecError, for a photo that cannot be used, and DecError for
    features that cannot be had.
    """
    frame = Frame.checked(size, COLOURS, fit)
    reading = Reading(frame, choose(features, frame), MAX_PIXELS)
    names = [os.fspath(Path(path)) for path in paths]
    if not names:
        raise DecError("photo_features: no photos")
    rows = []
    for batch in each(reading, names, jobs, ordered=True, whole=True):
        for _, result in batch:
            if isinstance(result, BadPhoto):
                raise result
            rows.append(result[1])
    return np.stack(rows)
