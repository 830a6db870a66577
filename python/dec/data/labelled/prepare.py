"""A photo as a net's input: one way for the LevelDBs, for Caffe, and for new photos.

A photo of any kind is brought to one size and kept as a JPEG; Caffe's data layer
decodes that, crops it, subtracts the mean and scales. `PhotoInput` does the same
arithmetic in the same order, so its numbers are the data layer's, bit for bit.
"""

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import simplejpeg
from caffe.proto import caffe_pb2
from google.protobuf.message import DecodeError
from PIL import Image

from dec.base.errors import DecError
from dec.data.labelled.vary import varied
from dec.photos.load import load_rgb

_QUALITY = 95
Size = tuple[int, int]


def encode(
    path: str | Path, size: Size, rng: np.random.Generator | None = None
) -> bytes:
    """The photo in `path` as a JPEG of `size` (width, height), stretched to it.

    Of any kind and as a viewer shows it (see dec.photos.load); grey becomes colour.
    With rng it is a random variant (see dec.data.labelled.vary). Raises BadPhoto.
    """
    # A little more than needed, so that the last step is a good filter's.
    spare = 2 if rng is None else 3
    image = load_rgb(path, at_least=(spare * size[0], spare * size[1]))
    if rng is None:
        image = image.resize(size, Image.Resampling.LANCZOS)
    else:
        image = varied(image, size, rng)
    return simplejpeg.encode_jpeg(
        np.asarray(image),
        quality=_QUALITY,
        colorspace="RGB",
        colorsubsampling="444",
        fastdct=False,
    )


def decode(jpeg: bytes) -> np.ndarray:
    """Height x width x 3 bytes, blue first: what Caffe's data layer decodes."""
    pixels = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_UNCHANGED)
    if pixels is None or pixels.ndim != 3:
        raise DecError("a row that is no colour image")
    return pixels


@dataclass(frozen=True)
class PhotoInput:
    """What a data layer of phase TEST does with a stored JPEG.

    size: (width, height) of the JPEGs. crop: side of the square cut from the middle,
    0 for all of it. mean: blue, green, red, 3 x 1 x 1, or 3 x height x width. scale:
    what the difference is multiplied by.
    """

    size: Size
    crop: int
    mean: np.ndarray
    scale: float

    @classmethod
    def of_layer(cls, layer: caffe_pb2.LayerParameter, size: Size) -> "PhotoInput":
        """From a data layer's transform_param. Raises DecError where it cannot be."""
        param = layer.transform_param
        if param.mean_file and param.mean_value:
            raise DecError(f'layer "{layer.name}": both mean_file and mean_value')
        if param.mean_file:
            mean = read_mean(param.mean_file)
        else:
            mean = np.array(param.mean_value or [0], np.float32).reshape(-1, 1, 1)
        return cls(size, param.crop_size, mean, param.scale).checked(layer.name)

    @classmethod
    def of_facts(cls, facts: dict, folder: Path) -> "PhotoInput":
        """From a run's input.json; a mean image lies beside it in the folder.

        Raises ValueError, KeyError or TypeError for facts of something else.
        """
        if facts["mean_bgr"] is None:
            mean = read_mean(folder / "mean.binaryproto")
        else:
            mean = np.array(facts["mean_bgr"], np.float32).reshape(-1, 1, 1)
        made = cls(tuple(facts["size"]), facts["crop"], mean, facts["scale"])
        return made.checked("input.json")

    def checked(self, layer: str) -> "PhotoInput":
        width, height = self.size
        if self.crop > min(self.size):
            raise DecError(
                f'layer "{layer}": crop_size {self.crop} of photos of {width} x '
                f"{height} pixels"
            )
        if self.mean.shape not in ((1, 1, 1), (3, 1, 1), (3, height, width)):
            raise DecError(
                f'layer "{layer}": a mean of the shape {self.mean.shape} for photos of '
                f"3 x {height} x {width}"
            )
        return self

    @property
    def shape(self) -> tuple[int, int, int]:
        """Of the net's input: channels, height, width."""
        width, height = self.size
        return (3, self.crop, self.crop) if self.crop else (3, height, width)

    def row(self, jpeg: bytes) -> np.ndarray:
        """A stored JPEG as the net's input, float32."""
        return self.of_pixels(decode(jpeg))

    def of_pixels(self, pixels: np.ndarray) -> np.ndarray:
        """Height x width x 3 bytes, blue first, as the net's input, float32."""
        if pixels.shape[:2] != self.size[::-1]:
            raise DecError(f"a photo of {pixels.shape[:2]}, not {self.size[::-1]}")
        pixels = pixels.transpose(2, 0, 1).astype(np.float32)
        # Of an image as large as the photo, so before the crop.
        pixels -= self.mean
        return self.middle(pixels) * np.float32(self.scale)

    def middle(self, pixels: np.ndarray) -> np.ndarray:
        """Of a whole photo's pixels, 3 x height x width, those that the net sees."""
        _, height, width = self.shape
        top = (self.size[1] - height) // 2
        left = (self.size[0] - width) // 2
        return pixels[:, top : top + height, left : left + width]

    def photo(self, path: str | Path) -> np.ndarray:
        """A photo as the net's input, float32; raises BadPhoto."""
        return self.row(encode(path, self.size))


def read_mean(path: str | Path) -> np.ndarray:
    """A mean image, float32, 3 x height x width."""
    blob = caffe_pb2.BlobProto()
    try:
        blob.ParseFromString(Path(path).read_bytes())
    except FileNotFoundError:
        raise DecError(f"{path}: there is no such mean file") from None
    except (OSError, DecodeError) as error:
        raise DecError(f"{path}: cannot be read as a mean file: {error}") from None
    shape = tuple(blob.shape.dim) or (blob.num, blob.channels, blob.height, blob.width)
    if len(blob.data) != int(np.prod(shape)) or not blob.data:
        raise DecError(f"{path}: no mean file, or cut short")
    return np.array(blob.data, np.float32).reshape(shape[-3:])


def write_blob(path: Path, array: np.ndarray) -> None:
    """Writes an array of four dimensions as the BlobProto that Caffe's tools read."""
    blob = caffe_pb2.BlobProto()
    blob.num, blob.channels, blob.height, blob.width = array.shape
    blob.data.extend(array.astype(np.float32).ravel().tolist())
    path.write_bytes(blob.SerializeToString())
