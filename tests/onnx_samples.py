"""What the tests of ONNX share: nets with random weights, by Caffe and onnxruntime."""

from pathlib import Path

import numpy as np
import onnx
import onnxruntime

from dec.nets import caffe_process
from dec.nets.onnx_export import write_onnx


def fill(net, seed: int = 3) -> None:
    """Random weights for a pycaffe net, with which its blobs stay of about one size."""
    rng = np.random.default_rng(seed)
    for name, layer in zip(net._layer_names, net.layers, strict=True):
        for i, blob in enumerate(net.params.get(name, ())):
            values = rng.standard_normal(blob.data.shape, np.float32)
            if layer.type in ("BatchNorm", "MultiTLoss") and i:
                values = rng.uniform(0.5, 2, blob.data.shape)
            elif layer.type in ("Convolution", "InnerProduct") and not i:
                ways = layer.type == "InnerProduct" and blob.data.shape[0]
                values *= np.sqrt(2 / max(blob.data[0].size, ways or 1))
            else:
                # Biases and centres that leave it to the data which cluster is next.
                values *= 0.3
            blob.data[...] = values


def save_random(deploy: Path, weights: Path) -> None:
    """Writes random weights of a net; needs a process that Caffe may end."""
    import caffe

    net = caffe.Net(str(deploy), caffe.TEST)
    fill(net)
    net.save(str(weights))


def random_net(folder: Path, text: str) -> Path:
    """A folder with deploy.prototxt and final.caffemodel, random."""
    folder.mkdir(exist_ok=True)
    deploy, weights = folder / "deploy.prototxt", folder / "final.caffemodel"
    deploy.write_text(text)
    caffe_process.run(lambda: save_random(deploy, weights), folder / "log.txt")
    return folder


def write(folder: Path, metadata: dict | None = None, **options) -> Path:
    """The net of a folder as ONNX, in the folder."""
    deploy, weights = folder / "deploy.prototxt", folder / "final.caffemodel"
    out = folder / "net.onnx"
    caffe_process.run(
        lambda: write_onnx(deploy, weights, out, metadata or {}, **options),
        folder / "log.txt",
    )
    return out


def by_caffe(folder: Path, tops: list[str]) -> tuple[np.ndarray, dict]:
    """Random rows, as many as the deploy net's batch, and its blobs for them."""
    file = folder / "found.npz"

    def work() -> None:
        import caffe

        deploy, weights = folder / "deploy.prototxt", folder / "final.caffemodel"
        net = caffe.Net(str(deploy), caffe.TEST, weights=str(weights))
        data = net.blobs[net.inputs[0]]
        rows = np.random.default_rng(4).normal(size=data.data.shape)
        data.data[...] = rows
        net.forward()
        np.savez(file, data.data, *(net.blobs[top].data for top in tops))

    caffe_process.run(work, folder / "log.txt")
    with np.load(file) as arrays:
        rows, *blobs = (arrays[name] for name in arrays.files)
    return rows, dict(zip(tops, blobs, strict=True))


def compare(folder: Path, **options) -> set[str]:
    """Compares all outputs of the ONNX file with Caffe's; returns their names.

    All rows of the prototxt's batch at once, and one of them alone. To 1e-5; of the
    largest number in a blob, where that is larger than 1 (logits, sums).
    """
    session = onnxruntime.InferenceSession(write(folder, **options))
    names = [output.name for output in session.get_outputs()]
    (data,) = (given.name for given in session.get_inputs())
    rows, blobs = by_caffe(folder, names)
    whole, alone = (session.run(names, {data: x}) for x in (rows, rows[1:2]))
    for name, found, one in zip(names, whole, alone, strict=True):
        wanted = blobs[name]
        assert found.shape == wanted.shape and one.shape == wanted[1:2].shape, name
        assert np.isfinite(wanted).all() and wanted.std() > 0, name
        close = 1e-5 * max(1, np.abs(wanted).max())
        np.testing.assert_allclose(found, wanted, rtol=0, atol=close, err_msg=name)
        np.testing.assert_allclose(one, wanted[1:2], rtol=0, atol=close, err_msg=name)
    return set(names)


def operators(file: Path) -> list[str]:
    """Of an ONNX file's nodes."""
    return [node.op_type for node in onnx.load(file).graph.node]
