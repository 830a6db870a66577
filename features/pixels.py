"""From what a caller has (arrays, PIL images, lists of them) to arrays of pixels."""

import numpy as np
from PIL import Image

# What the compiled code reads in place.
_DTYPES = (np.dtype(np.uint8), np.dtype(np.float32), np.dtype(np.float64))
# PIL's modes with more than 8 bits a channel, which convert("RGB") would clip.
_DEEP = ("I", "F", "I;16", "I;16L", "I;16B", "I;16N")


def batches(images) -> tuple[list[np.ndarray], bool]:
    """The images as arrays of n x H x W x (1 or 3), and whether it was only one.

    An array comes back as a view of itself, uncopied, whatever its strides; a list
    as one array an image, all of one height, width and number of channels.
    """
    if isinstance(images, (list, tuple)):
        if not images:
            raise ValueError("there are no images: the list is empty")
        arrays = [_image(image, f"image {i}") for i, image in enumerate(images)]
        _require_same_shape(arrays)
        return [array[np.newaxis] for array in arrays], False
    if isinstance(images, np.ndarray) and images.ndim == 4:
        if images.shape[3] not in (1, 3):
            raise ValueError(
                f"a batch must be n x height x width x 3 (or 1, for grey), "
                f"not {_shape(images)}" + _hint(images)
            )
        return [_readable(images, "the images")], False
    return [_image(images, "the image")[np.newaxis]], True


def _image(image, name: str) -> np.ndarray:
    """One image as H x W x (1 or 3)."""
    if isinstance(image, Image.Image):
        if image.mode in _DEEP:
            raise ValueError(
                f"{name} is a PIL image of mode {image.mode}, which has no 8-bit "
                "pixels: scale it to 8 bits first"
            )
        if image.mode not in ("RGB", "L"):
            image = image.convert("RGB")
        image = np.asarray(image)
    elif not isinstance(image, np.ndarray):
        raise ValueError(
            f"{name} is a {type(image).__name__}, not a NumPy array or a PIL image"
        )
    if image.ndim == 2:
        image = image[:, :, np.newaxis]
    if image.ndim != 3 or image.shape[2] not in (1, 3):
        raise ValueError(
            f"{name} must be height x width x 3, or height x width if it is grey, "
            f"not {_shape(image)}" + _hint(image)
        )
    return _readable(image, name)


def _readable(array: np.ndarray, name: str) -> np.ndarray:
    """The array itself, or a copy as float64 of what the compiled code cannot read."""
    if array.dtype in _DTYPES and array.dtype.isnative and array.flags.aligned:
        return array
    if array.dtype.kind not in "uif" or array.dtype.itemsize > 8:
        raise ValueError(f"{name} must be uint8 or float pixels, not {array.dtype}")
    return array.astype(np.float64)


def _require_same_shape(arrays: list[np.ndarray]) -> None:
    for i, array in enumerate(arrays):
        if array.shape != arrays[0].shape:
            raise ValueError(
                f"image {i} is {_shape(array)}, image 0 is {_shape(arrays[0])} "
                "(height x width x channels): images of one call must be alike, "
                "for their features to be"
            )


def _shape(array: np.ndarray) -> str:
    return " x ".join(map(str, array.shape)) or "a single number"


def _hint(array: np.ndarray) -> str:
    """What the array may be instead."""
    if array.ndim == 3 and array.shape[0] == 3:
        return ": channels come last, as in image.transpose(1, 2, 0)"
    if array.ndim == 4 and array.shape[1] == 3:
        return ": channels come last, as in images.transpose(0, 2, 3, 1)"
    if array.ndim >= 3 and array.shape[-1] == 4:
        return ": drop the fourth channel (alpha?), as in image[..., :3]"
    if array.ndim == 3:
        return "; a batch of grey images is images[..., np.newaxis]"
    return ""
