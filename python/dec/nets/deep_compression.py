"""Weights stored by Deep Compression (Han, Mao, Dally, ICLR 2016), decoded.

SqueezeNet was published like this: each layer has a codebook of 256 numbers; an entry
is an index into it (one byte) and the gap to the entry before it (half a byte); the
places between are zeros, or whatever the codebook's first number is.
"""

import numpy as np
from caffe.proto import caffe_pb2

from dec.base.errors import DecError

_CODES = 256


def decode(
    content: bytes, shapes: list[tuple[int, ...]], name: str
) -> list[tuple[np.ndarray, np.ndarray]]:
    """The weights and biases of every layer: float32, in the shapes given.

    content: of the file. Little-endian: a uint32 a layer, how many entries it has;
    then, layer by layer, its codebook (256 float32), its biases (float32), its entries'
    indices (uint8), their gaps (4 bits, two in a byte, the lower half first): an entry
    stands gap + 1 places behind the one before it. shapes: of the weights of every
    layer, in the net's order, (outputs, ...). name: of the file, for messages.

    Raises DecError for a file that is cut short, too long, or of another net.
    """
    at = 4 * len(shapes)
    if len(content) < at:
        raise DecError(f"{name}: cut short: {len(content)} bytes")
    counts = np.frombuffer(content, "<u4", len(shapes)).astype(int)
    sizes = [int(np.prod(shape)) for shape in shapes]
    if any(count > size for count, size in zip(counts, sizes, strict=True)):
        raise DecError(f"{name}: holds more weights than the net has: another net's")
    wanted = at + sum(
        4 * (_CODES + shape[0]) + count + (count + 1) // 2
        for shape, count in zip(shapes, counts, strict=True)
    )
    if len(content) != wanted:
        raise DecError(
            f"{name}: {len(content):,} bytes, where weights of this net have "
            f"{wanted:,}: cut short, or of another net"
        )
    found = []
    for shape, size, count in zip(shapes, sizes, counts, strict=True):
        codebook = np.frombuffer(content, "<f4", _CODES, at)
        at += codebook.nbytes
        biases = np.frombuffer(content, "<f4", shape[0], at)
        at += biases.nbytes
        codes = np.frombuffer(content, np.uint8, count, at)
        at += codes.nbytes
        pairs = np.frombuffer(content, np.uint8, (count + 1) // 2, at)
        at += pairs.nbytes
        gaps = np.stack([pairs & 15, pairs >> 4], axis=1).reshape(-1)[:count]
        stands = np.cumsum(gaps.astype(int) + 1) - 1
        if count and stands[-1] >= size:
            raise DecError(
                f"{name}: an entry stands behind the end of its layer of {size:,} "
                "weights: damaged, or of another net"
            )
        weights = np.full(size, codebook[0], np.float32)
        weights[stands] = codebook[codes]
        found.append((weights.reshape(shape), biases.astype(np.float32)))
    return found


def to_caffemodel(
    content: bytes, shapes: dict[str, list[tuple[int, ...]]], name: str
) -> caffe_pb2.NetParameter:
    """A net's decoded weights, to be written as a caffemodel.

    shapes: of weights and biases of every layer that has some, by its name, in the
    net's order (dec.nets.weights.net_shapes). Raises DecError as `decode` does.
    """
    others = [layer for layer, blobs in shapes.items() if len(blobs) != 2]
    if others:
        raise DecError(f"{name}: layer {others[0]} has not just weights and biases")
    decoded = decode(content, [blobs[0] for blobs in shapes.values()], name)
    model = caffe_pb2.NetParameter()
    for layer, arrays in zip(shapes, decoded, strict=True):
        to = model.layer.add(name=layer)
        for array in arrays:
            blob = to.blobs.add()
            blob.shape.dim.extend(array.shape)
            blob.data.extend(array.ravel())
    return model
