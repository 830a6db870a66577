"""Trained weights to start from: what they are, and which layers take them."""

import hashlib
from dataclasses import dataclass
from pathlib import Path

from caffe.proto import caffe_pb2
from google.protobuf.message import DecodeError

from dec.base.errors import DecError
from dec.base.progress import say

# The file that Berkeley published, as several packagers pinned it (Homebrew, Nix,
# OpenEmbedded, Open Model Zoo); the model's own readme.md in Caffe has its SHA-1.
REFERENCE = "bvlc_reference_caffenet.caffemodel"
REFERENCE_SHA256 = "472d4a06035497b180636d8a82667129960371375bd10fcb6df5c6c7631f25e0"


@dataclass(frozen=True)
class Weights:
    """A caffemodel.

    shapes: of the blobs of every layer that has some, by its name.
    """

    path: Path
    sha256: str
    shapes: dict[str, list[tuple[int, ...]]]


def read_weights(path: Path, sha256: str | None = None) -> Weights:
    """Reads and checks a caffemodel.

    sha256: what the file must have; the reference model's, for a file of its name.
    Raises DecError for what is no caffemodel, or another one.
    """
    try:
        content = Path(path).read_bytes()
    except OSError as error:
        raise DecError(f"{path}: cannot be read: {error.strerror}") from None
    found = hashlib.sha256(content).hexdigest()
    wanted = sha256 or (REFERENCE_SHA256 if Path(path).name == REFERENCE else None)
    if wanted and found != wanted.lower():
        raise DecError(
            f"{path}: its SHA-256 is {found}, not {wanted}: cut short, damaged, or "
            "another model" + ("" if sha256 else " under the reference model's name")
        )
    try:
        net = caffe_pb2.NetParameter.FromString(content)
    except DecodeError:
        raise DecError(f"{path}: is no caffemodel, or cut short") from None
    shapes = {
        layer.name: [_shape(blob) for blob in layer.blobs]
        for layer in (*net.layer, *net.layers)
        if layer.blobs
    }
    if not shapes:
        raise DecError(f"{path}: holds no weights")
    return Weights(Path(path), found, shapes)


def say_match(weights: Weights, shapes: dict[str, list[tuple[int, ...]]]) -> dict:
    """Prints which layers of a net take these weights; returns it as a record.

    shapes: of the blobs of the net's layers. Raises DecError where a layer has the
    same name and another shape, and where no layer takes any.
    """
    matched = [name for name in shapes if name in weights.shapes]
    for name in matched:
        theirs, ours = weights.shapes[name], shapes[name]
        if [_plain(s) for s in theirs] != [_plain(s) for s in ours]:
            raise DecError(
                f'{weights.path}: layer "{name}" has weights of {_words(theirs)}, the '
                f"net's has {_words(ours)}. Give the net's layer another name to train "
                "it from random weights."
            )
    if not matched:
        raise DecError(
            f"{weights.path}: the weights of another net: none of its layers ("
            f"{', '.join(weights.shapes)}) has the name of one of the net's "
            f"({', '.join(shapes)})"
        )
    new = [name for name in shapes if name not in weights.shapes]
    unused = [name for name in weights.shapes if name not in shapes]
    known = weights.sha256 == REFERENCE_SHA256
    say(f"weights: {weights.path}" + (", the BVLC reference CaffeNet" if known else ""))
    say(f"  SHA-256         {weights.sha256}")
    say(f"  taken           {', '.join(matched)}")
    say(f"  random          {', '.join(new) or 'none'}")
    say(f"  left            {', '.join(unused) or 'none'}")
    return {
        "file": str(weights.path),
        "sha256": weights.sha256,
        "taken": matched,
        "random": new,
        "left": unused,
    }


def refuse_others(weights: Weights, shapes: dict[str, list[tuple[int, ...]]]) -> None:
    """Raises DecError where a layer of a net has no weights of its shape there.

    shapes: of the blobs of the net's layers. Caffe would leave such layers random.
    """
    for name, ours in shapes.items():
        theirs = weights.shapes.get(name)
        if theirs is None:
            raise DecError(
                f'{weights.path}: the weights of another net: none for layer "{name}"'
            )
        if [_plain(s) for s in theirs] != [_plain(s) for s in ours]:
            raise DecError(
                f'{weights.path}: the weights of another net: layer "{name}" has '
                f"{_words(theirs)} there, {_words(ours)} in the net"
            )


def net_shapes(net) -> dict[str, list[tuple[int, ...]]]:
    """Of the blobs of a pycaffe net's layers."""
    return {
        name: [tuple(blob.data.shape) for blob in blobs]
        for name, blobs in net.params.items()
    }


def _shape(blob) -> tuple[int, ...]:
    if blob.HasField("shape"):
        return tuple(blob.shape.dim)
    return blob.num, blob.channels, blob.height, blob.width


def _plain(shape) -> tuple[int, ...]:
    """Without leading ones: old files have four dimensions, whatever the blob."""
    at = 0
    while at < len(shape) - 1 and shape[at] == 1:
        at += 1
    return tuple(shape[at:])


def _words(shapes) -> str:
    return " and ".join(" x ".join(map(str, shape)) for shape in shapes)
