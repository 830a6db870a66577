"""Weights that others have trained: where they are, and fetching them once."""

import hashlib
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from dec.base import places
from dec.base.atomic import write_bytes_atomic
from dec.base.digest import sha256_of
from dec.base.download import fetch
from dec.base.errors import DecError

FOLDER = "DEC_WEIGHTS"  # environment: where the user keeps weights
OFFLINE = "DEC_OFFLINE"  # environment: 1 to fetch nothing
FORMATS = ("caffemodel", "deep-compression")


@dataclass(frozen=True)
class Published:
    """A file of weights as somebody has published it.

    file: its name. format: "caffemodel", or "deep-compression" (dec.nets.
    deep_compression). size: bytes. sha256: hex. urls: where it can be had. beside: a
    file of these weights that comes with the net.
    """

    file: str
    format: str
    size: int | None
    sha256: str
    urls: Sequence[str]
    beside: Path | None = None

    def path(self) -> Path:
        """Where the file lies: the user's folder, or the cache, to which it is fetched.

        Raises DecError where it is in neither and cannot be fetched, and for a file of
        the user's that is another one.
        """
        if self.beside and sha256_of(self.beside) == self.sha256:
            return self.beside
        own = os.environ.get(FOLDER)
        if own and (given := Path(own) / self.file).exists():
            found = sha256_of(given)
            if found != self.sha256:
                raise DecError(
                    f"{given}: its SHA-256 is {found}, not {self.sha256}: cut short, "
                    "damaged, or other weights of that name"
                )
            return given
        kept = places.cache("weights") / self.file
        if kept.exists() and sha256_of(kept) == self.sha256:
            return kept
        by_hand = (
            "Get it by hand from one of these addresses, put it into a folder, and "
            f"name that: {FOLDER}=folder."
        )
        if os.environ.get(OFFLINE, "0") != "0":
            where = "\n".join(f"  {url}" for url in self.urls)
            words = f"{self.file} is not there, and {OFFLINE} forbids to fetch it:"
            raise DecError("\n".join([words, where, by_hand]))
        fetch(self.urls, kept, sha256=self.sha256, size=self.size, by_hand=by_hand)
        return kept

    def caffemodel(self, deploy: Path) -> Path:
        """The weights as Caffe reads them; decoded into the cache where they must be.

        deploy: the net that they are of. In Caffe's process. Raises DecError as `path`
        does, and for weights of another net.
        """
        path = self.path()
        if self.format == "caffemodel":
            return path
        import caffe

        from dec.nets.deep_compression import to_caffemodel
        from dec.nets.weights import net_shapes

        net = hashlib.sha256(deploy.read_bytes()).hexdigest()[:8]
        name = f"{path.stem}-{self.sha256[:8]}-{net}.caffemodel"
        decoded = places.cache("weights") / name
        if not decoded.exists():
            shapes = net_shapes(caffe.Net(str(deploy), caffe.TEST))
            model = to_caffemodel(path.read_bytes(), shapes, str(path))
            try:
                decoded.parent.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                words = f"{decoded.parent}: cannot be made: {error.strerror}"
                raise DecError(f"{words}. Set DEC_CACHE to a folder.") from error
            write_bytes_atomic(decoded, model.SerializeToString())
        return decoded
