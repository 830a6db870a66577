"""Nets that describe photos: prototxt/features/NAME, opened with their weights.

A folder has a deploy net and features.toml, which says which blob is taken, how it
becomes a row, how a photo becomes the net's input, and which weights are needed.
"""

import json
import math
import shutil
import tempfile
import tomllib
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from dec.base import places
from dec.base.digest import digest
from dec.base.errors import DecError
from dec.nets import caffe_process
from dec.nets.pretrained import FORMATS, Published

FILE = "features.toml"
POOLS = ("average", "max", "none")
LENGTHS = ("unit", "as is")


@dataclass(frozen=True)
class FeatureNet:
    """What features.toml says.

    name: as the user gave it: NAME, NAME:BLOB or a folder. blob: of the deploy net.
    pool: over places. root: signed square roots. unit: rows of the length sqrt(width),
    so that the mean square of their numbers is 1. size: pixels of the square of the
    photo. mean: blue, green, red. scale: of what is left.
    """

    name: str
    deploy: Path
    blob: str
    pool: str
    root: bool
    unit: bool
    size: int
    mean: tuple[float, ...]
    scale: float
    weights: Published

    @classmethod
    def find(cls, name: str) -> "FeatureNet":
        """By path, or prototxt/features/NAME, where the user stands or in the project.

        Raises DecError where there is none, and for a features.toml that says too
        little or what is not known.
        """
        short, _, blob = name.partition(":")
        folders = [Path(short)] if "/" in short else []
        folders += [root / "prototxt/features" / short for root in places.roots()]
        folder = next((one for one in folders if (one / FILE).exists()), None)
        if folder is None:
            raise DecError(
                f"features {name}: there is no prototxt/features/{short}/{FILE}, here "
                f"or in the project. There are: hog, {', '.join(names())}."
            )
        return _read(folder, name, blob)

    def key(self) -> str:
        """A digest of all that decides the rows."""
        how = [self.blob, self.pool, self.root, self.unit, self.size]
        how += [*self.mean, self.scale, self.weights.sha256]
        return digest(self.deploy, json.dumps(how))


def names() -> list[str]:
    """The nets that `FeatureNet.find` knows by name."""
    found = {
        path.parent.name
        for root in places.roots()
        for path in root.glob(f"prototxt/features/*/{FILE}")
    }
    return sorted(found)


def _read(folder: Path, name: str, blob: str) -> FeatureNet:
    file = folder / FILE
    try:
        facts = tomllib.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DecError(f"{file}: cannot be read: {error}") from None

    def take(table: dict, key: str, kinds: type | tuple, known=None):
        value = table.pop(key, None)
        if not isinstance(value, kinds) or (known and value not in known):
            what = (
                f"one of {', '.join(known)}" if known else "needed, of the right kind"
            )
            raise DecError(f'{file}: "{key}" is {what}; it says {value!r}')
        return value

    weights = take(facts, "weights", dict)
    published = Published(
        file=take(weights, "file", str),
        format=take(weights, "format", str, FORMATS),
        size=weights.pop("bytes", None),
        sha256=take(weights, "sha256", str).lower(),
        urls=tuple(take(weights, "urls", list)),
    )
    beside = folder / published.file
    if beside.is_file():
        published = replace(published, beside=beside)
    mean = take(facts, "mean", list)
    if len(mean) != 3 or not all(isinstance(x, (int, float)) for x in mean):
        raise DecError(f'{file}: "mean" is three numbers: blue, green, red')
    net = FeatureNet(
        name=name,
        deploy=folder / take(facts, "deploy", str),
        blob=blob or take(facts, "blob", str),
        pool=take(facts, "pool", str, POOLS),
        root=take(facts, "root", bool),
        unit=take(facts, "length", str, LENGTHS) == "unit",
        size=take(facts, "size", int),
        mean=tuple(float(x) for x in mean),
        scale=float(take(facts, "scale", (int, float))),
        weights=published,
    )
    facts.pop("blob", None)
    unknown = [*facts, *(f"weights.{key}" for key in weights)]
    if unknown:
        raise DecError(f'{file}: "{unknown[0]}" is not known')
    if not net.deploy.exists():
        raise DecError(f'{file}: "deploy" names {net.deploy}, which is not there')
    return net


@dataclass(frozen=True)
class Extractor:
    """A feature net with its weights: photos' pixels in, rows out, in any process.

    weights: a caffemodel. shape: of the net's input, (3, height, width). blob: of what
    is taken, (channels, …).
    """

    net: FeatureNet
    weights: Path
    shape: tuple[int, int, int]
    blob: tuple[int, ...]

    @property
    def width(self) -> int:
        """How many numbers a row has."""
        return self.blob[0] if self.net.pool != "none" else math.prod(self.blob)

    @property
    def words(self) -> str:
        """What a row is, in words."""
        how = {"average": ", averaged", "max": ", the largest", "none": ""}
        pooled = how[self.net.pool] if math.prod(self.blob[1:]) > 1 else ""
        blob = f"{self.net.blob}{pooled}"
        return f"{self.net.name}: {self.width:,} numbers a photo, {blob}"

    def rows(self, inputs: np.ndarray) -> np.ndarray:
        """n x 3 x height x width, prepared as the net wants them: n x width, float32.

        By one thread, so the numbers are the same whatever else the machine does; many
        photos are for many processes. Raises DecError where there is NaN or infinity.
        """
        from threadpoolctl import threadpool_limits

        net = _opened(self)
        with threadpool_limits(limits=1):
            blobs = [
                net.block(inputs[at : at + net.batch], self.net.blob)
                for at in range(0, len(inputs), net.batch)
            ]
        return to_rows(self.net, np.concatenate(blobs).reshape(-1, *self.blob))


def to_rows(net: FeatureNet, blob: np.ndarray) -> np.ndarray:
    """A blob, n x channels x anything, as rows, float32."""
    places_ = tuple(range(2, blob.ndim))
    if net.pool == "average" and places_:
        blob = blob.mean(axis=places_)
    elif net.pool == "max" and places_:
        blob = blob.max(axis=places_)
    rows = blob.reshape(len(blob), -1)
    if not np.isfinite(rows).all():
        raise DecError(
            f"features {net.name}: NaN or infinity in {net.blob}: damaged weights, or "
            "not those of this net"
        )
    if net.root:
        rows = np.sign(rows) * np.sqrt(np.abs(rows))
    if net.unit:
        # A row of zeros, of a net that sees nothing in a photo, stays one.
        length = np.linalg.norm(rows, axis=1, keepdims=True)
        rows = rows / np.where(length > 0, length, 1) * math.sqrt(rows.shape[1])
    return rows.astype(np.float32)


def open_net(net: FeatureNet) -> Extractor:
    """Gets the weights and looks whether all fits together.

    Raises DecError for weights that are not to be had or of another net, for a blob
    that the net does not have, and for an input that is not one photo of fixed size.
    """
    net.weights.path()  # with its progress, before Caffe's process
    folder = Path(tempfile.mkdtemp(prefix="dec-"))
    found, log = folder / "found.json", folder / "log.txt"

    def work() -> None:
        weights = net.weights.caffemodel(net.deploy)
        found.write_text(json.dumps([str(weights), *_look(net, weights)]))

    try:
        caffe_process.run(work, log)
        weights, shape, blob = json.loads(found.read_text())
    except BaseException as error:
        if str(log) not in str(error):  # it sends the user there otherwise
            shutil.rmtree(folder, ignore_errors=True)
        raise
    shutil.rmtree(folder, ignore_errors=True)
    return Extractor(net, Path(weights), tuple(shape), tuple(blob))


def _look(net: FeatureNet, weights: Path) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """The shapes of the input and of the blob that is taken."""
    from dec.nets.forward import Deployed
    from dec.nets.weights import net_shapes, read_weights, refuse_others

    bare = _caffe_net(net.deploy)
    inputs = list(bare.inputs)
    shapes = [tuple(bare.blobs[name].data.shape) for name in inputs]
    if len(inputs) != 1 or len(shapes[0]) != 4 or shapes[0][1] != 3 or 0 in shapes[0]:
        words = ", ".join(f"{n} {s}" for n, s in zip(inputs, shapes, strict=True))
        raise DecError(
            f"{net.deploy}: needs one input of a fixed size, n x 3 x height x width; "
            f"it has {words or 'none'}"
        )
    if net.blob not in bare.blobs:
        raise DecError(
            f"{net.deploy}: has no blob {net.blob}; it has {', '.join(bare.blobs)}"
        )
    _, _, height, width = shapes[0]
    if max(height, width) > net.size:
        raise DecError(
            f"{net.deploy}: an input of {width} x {height} pixels, more than the "
            f'"size" of {net.size} that {FILE} has'
        )
    refuse_others(read_weights(weights), net_shapes(bare))
    deployed = Deployed(net.deploy, weights)
    grey = np.zeros((1, *shapes[0][1:]), np.float32)
    blob = deployed.block(grey, net.blob)
    shape = tuple(deployed.net.blobs[net.blob].data.shape[1:])
    to_rows(net, blob.reshape(1, *shape))
    return shapes[0][1:], shape


def _caffe_net(deploy: Path):
    import caffe

    return caffe.Net(str(deploy), caffe.TEST)


_nets: dict[tuple[str, str], object] = {}  # of this process


def _opened(extractor: Extractor):
    from dec.nets.forward import Deployed, silently

    key = (extractor.net.key(), str(extractor.weights))
    if key not in _nets:
        _nets.clear()  # one at a time is as much memory as needed
        with silently():
            _nets[key] = Deployed(extractor.net.deploy, extractor.weights)
    return _nets[key]
