"""Weights by Deep Compression: decoded as they were encoded; damaged ones are found."""

import numpy as np
import pytest
from feature_samples import SHAPES, deep_compression, weights
from real_data import real

from dec.base.errors import DecError
from dec.nets.deep_compression import decode, to_caffemodel


def test_what_was_encoded_is_decoded():
    content, wanted = deep_compression(weights())
    found = decode(content, list(SHAPES.values()), "w")
    for (weight, bias), name in zip(found, SHAPES, strict=True):
        assert weight.dtype == np.float32
        np.testing.assert_array_equal(weight, wanted[name][0])
        np.testing.assert_array_equal(bias, wanted[name][1])
    shapes = {name: [shape, (shape[0],)] for name, shape in SHAPES.items()}
    model = to_caffemodel(content, shapes, "w")
    assert [layer.name for layer in model.layer] == list(SHAPES)
    assert [list(blob.shape.dim) for blob in model.layer[1].blobs] == [
        [8, 16, 1, 1],
        [8],
    ]
    assert list(model.layer[4].blobs[1].data) == list(wanted["fc"][1])


def test_damaged_ones():
    content, _ = deep_compression(weights())
    shapes = list(SHAPES.values())
    for harmed, words in [
        (content[:-1], "cut short"),
        (content + b"\0", "cut short, or of another net"),
        (content[:10], "cut short"),
        (b"", "cut short"),
        (b"\xff" * 4 + content[4:], "more weights than the net has"),
    ]:
        with pytest.raises(DecError, match=f"file.net: .*{words}"):
            decode(harmed, shapes, "file.net")
    with pytest.raises(DecError, match="another net"):
        decode(content, [*shapes[1:], shapes[0]], "file.net")
    with pytest.raises(DecError, match="layer bn has not just weights and biases"):
        to_caffemodel(content, {"bn": [(3,), (3,), (1,)]}, "file.net")
    # All gaps as wide as they can be: the last entry is far behind the layer's end.
    count = int.from_bytes(content[:4], "little")
    start = 4 * len(shapes) + 4 * (256 + 16) + count
    wide = bytearray(content)
    wide[start : start + (count + 1) // 2] = b"\xff" * ((count + 1) // 2)
    with pytest.raises(DecError, match="behind the end of its layer of 1,200 weights"):
        decode(bytes(wide), shapes, "file.net")


@pytest.mark.real
def test_squeezenet_as_it_was_published():
    """Every byte is used; the shares of weights that are not zero are the paper's."""
    from caffe.proto import caffe_pb2
    from conftest import ROOT
    from google.protobuf import text_format

    file = real("models", "squeezenet", "compressed_SqueezeNet.net")
    net = caffe_pb2.NetParameter()
    text = (ROOT / "prototxt/features/squeezenet/deploy.prototxt").read_text()
    text_format.Parse(text, net)
    channels, shapes = {"data": 3}, []
    for layer in net.layer:
        if layer.type == "Convolution":
            param = layer.convolution_param
            [kernel] = param.kernel_size
            inside = channels[layer.bottom[0]]
            shapes.append((param.num_output, inside, kernel, kernel))
            channels[layer.top[0]] = param.num_output
        elif layer.type != "Input":
            channels[layer.top[0]] = sum(channels[name] for name in layer.bottom)
    found = decode(file.read_bytes(), shapes, str(file))
    assert sum(weight.size + bias.size for weight, bias in found) == 1_248_424
    assert all(np.isfinite(weight).all() for weight, _ in found)
    kept = sum(np.count_nonzero(weight) for weight, _ in found)
    assert 0.2 < kept / 1_244_448 < 0.5  # Iandola and others, table 2: a third
