"""Random variants of a photo, for training: another part of it, in another light.

Caffe's data layer crops and mirrors what it reads; sizes, sides' ratio, brightness,
contrast and colours it leaves as they are.
"""

import hashlib

import numpy as np
from PIL import Image, ImageEnhance

_LEAST_AREA = 0.6  # of the photo
_RATIO = 1.25  # by which the sides' ratio may differ, either way
_LIGHT = 0.2  # by which brightness, contrast and colours may differ, either way


def draws(seed: int, name: str, copy: int) -> np.random.Generator:
    """Random numbers for one copy of one photo: the same in every run."""
    text = f"{seed}/{copy}/{name}".encode(errors="surrogateescape")
    return np.random.default_rng(list(hashlib.sha256(text).digest()))


def varied(
    image: Image.Image, size: tuple[int, int], rng: np.random.Generator
) -> Image.Image:
    """A random part of `image` (RGB), brought to `size` and lit at random."""
    area = rng.uniform(_LEAST_AREA, 1)
    ratio = np.exp(rng.uniform(-np.log(_RATIO), np.log(_RATIO)))
    width = image.width * min(1.0, np.sqrt(area * ratio))
    height = image.height * min(1.0, np.sqrt(area / ratio))
    left = rng.uniform(0, image.width - width)
    top = rng.uniform(0, image.height - height)
    # The sums may be beyond the edge by rounding.
    box = (
        left,
        top,
        min(left + width, image.width),
        min(top + height, image.height),
    )
    image = image.resize(size, Image.Resampling.LANCZOS, box=box)
    for change in (ImageEnhance.Brightness, ImageEnhance.Contrast, ImageEnhance.Color):
        image = change(image).enhance(rng.uniform(1 - _LIGHT, 1 + _LIGHT))
    return image
