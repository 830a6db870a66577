"""A small feature net with random weights, as a folder of prototxt/features."""

import hashlib
from pathlib import Path

import numpy as np

DEPLOY = """\
name: "small"
layer { name: "data" type: "Input" top: "data"
  input_param { shape { dim: 4 dim: 3 dim: 40 dim: 40 } } }
layer { name: "conv1" type: "Convolution" bottom: "data" top: "conv1"
  convolution_param { num_output: 16 kernel_size: 5 stride: 2 } }
layer { name: "relu1" type: "ReLU" bottom: "conv1" top: "conv1" }
layer { name: "squeeze" type: "Convolution" bottom: "conv1" top: "squeeze"
  convolution_param { num_output: 8 kernel_size: 1 } }
layer { name: "expand1" type: "Convolution" bottom: "squeeze" top: "expand1"
  convolution_param { num_output: 12 kernel_size: 1 } }
layer { name: "expand3" type: "Convolution" bottom: "squeeze" top: "expand3"
  convolution_param { num_output: 12 kernel_size: 3 pad: 1 } }
layer { name: "concat" type: "Concat" bottom: "expand1" bottom: "expand3"
  top: "concat" }
layer { name: "pool" type: "Pooling" bottom: "concat" top: "pool"
  pooling_param { pool: MAX kernel_size: 3 stride: 2 } }
layer { name: "drop" type: "Dropout" bottom: "pool" top: "pool" }
layer { name: "fc" type: "InnerProduct" bottom: "pool" top: "fc"
  inner_product_param { num_output: 20 } }
"""
SHAPES = {
    "conv1": (16, 3, 5, 5),
    "squeeze": (8, 16, 1, 1),
    "expand1": (12, 8, 1, 1),
    "expand3": (12, 8, 3, 3),
    "fc": (20, 24 * 9 * 9),
}
TOML = """\
deploy = "deploy.prototxt"
blob = "pool"
pool = "average"
root = true
length = "unit"
size = 48
mean = [104, 117.5, 123]
scale = 0.02

[weights]
file = "{file}"
format = "{format}"
bytes = {bytes}
sha256 = "{sha256}"
urls = ["http://127.0.0.1:9/{file}"]
"""


def weights(seed: int = 1) -> dict[str, list[np.ndarray]]:
    """Weights and biases by layer, float32."""
    rng = np.random.default_rng(seed)
    return {
        name: [
            rng.normal(0, 1 / np.sqrt(np.prod(shape[1:])), shape).astype(np.float32),
            rng.normal(0, 0.1, shape[0]).astype(np.float32),
        ]
        for name, shape in SHAPES.items()
    }


def caffemodel(arrays: dict[str, list[np.ndarray]]) -> bytes:
    """As Caffe keeps them."""
    from caffe.proto import caffe_pb2

    net = caffe_pb2.NetParameter()
    for name, blobs in arrays.items():
        layer = net.layer.add(name=name)
        for array in blobs:
            blob = layer.blobs.add()
            blob.shape.dim.extend(array.shape)
            blob.data.extend(array.ravel())
    return net.SerializeToString()


def write_net(
    home: Path,
    folder: Path,
    content: bytes | None = None,
    *,
    name: str = "small",
    deploy: str = DEPLOY,
    file: str = "small.caffemodel",
    format: str = "caffemodel",
    **changes: str,
) -> Path:
    """Writes prototxt/features/NAME below `home`, its weights into `folder`.

    changes: lines of features.toml by key. Returns the folder of the net.
    """
    content = caffemodel(weights()) if content is None else content
    folder.mkdir(parents=True, exist_ok=True)
    (folder / file).write_bytes(content)
    text = TOML.format(
        file=file,
        format=format,
        bytes=len(content),
        sha256=hashlib.sha256(content).hexdigest(),
    )
    for key, value in changes.items():
        old = next(x for x in text.splitlines() if x.startswith(f"{key} = "))
        text = text.replace(old, f"{key} = {value}")
    net = home / "prototxt/features" / name
    net.mkdir(parents=True, exist_ok=True)
    (net / "deploy.prototxt").write_text(deploy)
    (net / "features.toml").write_text(text)
    return net


def deep_compression(
    arrays: dict[str, list[np.ndarray]], seed: int = 1
) -> tuple[bytes, dict[str, list[np.ndarray]]]:
    """Weights compressed by an encoder of our own, and what decoding should give."""
    rng = np.random.default_rng(seed)
    counts, body, wanted = [], b"", {}
    for name, (weight, bias) in arrays.items():
        codebook = np.concatenate([[0], np.sort(rng.normal(size=255))]).astype("<f4")
        flat = weight.ravel()
        codes = np.abs(flat[:, None] - codebook[None, :]).argmin(1)
        codes[rng.random(len(codes)) < 0.7] = 0
        entries, gaps, last = [], [], -1
        for at, code in enumerate(codes):
            # A gap of 16 and more is bridged by an entry that says zero.
            if code or at - last == 16:
                entries.append(code)
                gaps.append(at - last - 1)
                last = at
        nibbles = gaps + [0] * (len(gaps) % 2)
        packed = bytes(
            a | b << 4 for a, b in zip(nibbles[::2], nibbles[1::2], strict=True)
        )
        counts.append(len(entries))
        body += codebook.tobytes() + bias.astype("<f4").tobytes()
        body += bytes(entries) + packed
        wanted[name] = [codebook[codes].reshape(weight.shape), bias]
    return np.array(counts, "<u4").tobytes() + body, wanted
