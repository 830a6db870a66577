"""What a Caffe net says of photos, as rows: `--features squeezenet`."""

from dataclasses import dataclass

import numpy as np
from PIL import Image

from dec.base.errors import DecError
from dec.data.images.image_features import place
from dec.data.labelled.prepare import PhotoInput
from dec.nets.feature_net import Extractor, FeatureNet, open_net

SMALLEST = 1  # pixels of both sides: a small photo is enlarged


@dataclass(frozen=True)
class NetFeatures:
    """Rows of photos by a feature net.

    fit: how a photo becomes the square that the net sees the middle of; see
    image_features.place.
    """

    extractor: Extractor
    fit: str
    smallest = SMALLEST

    @classmethod
    def opened(cls, name: str, fit: str) -> "NetFeatures":
        """By the net's name (dec.nets.feature_net). Raises DecError as `open_net`."""
        return cls(open_net(FeatureNet.find(name)), fit)

    @classmethod
    def of(cls, facts: dict, fit: str) -> "NetFeatures":
        """Those whose `facts()` these are; DecError where the net is another by now."""
        net = FeatureNet.find(facts["net"])
        if net.key() != facts["key"]:
            raise DecError(
                f"{net.deploy.parent}: is not as it was when these features were made: "
                "its net, its features.toml or its weights have changed since"
            )
        return cls(open_net(net), fit)

    def facts(self) -> dict:
        """The features as they are kept in dec.json."""
        return {"net": self.extractor.net.name, "key": self.extractor.net.key()}

    @property
    def width(self) -> int:
        """How many numbers a row has."""
        return self.extractor.width

    @property
    def words(self) -> str:
        """What they are, in words."""
        return self.extractor.words

    @property
    def size(self) -> tuple[int, int]:
        """Of what is taken of a photo: width and height in pixels."""
        return self.extractor.net.size, self.extractor.net.size

    def take(self, image: Image.Image, picture: np.ndarray) -> np.ndarray:
        """What the net is to see of an RGB image: size x size x 3 bytes, RGB."""
        return place(image, self.size, self.fit)

    def rows(self, taken: list[np.ndarray]) -> np.ndarray:
        """float32, n x width."""
        inputs = [self._input.of_pixels(pixels[:, :, ::-1]) for pixels in taken]
        return self.extractor.rows(np.stack(inputs))

    @property
    def _input(self) -> PhotoInput:
        net = self.extractor.net
        mean = np.array(net.mean, np.float32).reshape(3, 1, 1)
        return PhotoInput(self.size, self.extractor.shape[1], mean, net.scale)
