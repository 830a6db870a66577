"""Networks and weights in the spelling of DEC's fork of Caffe, V1 and 2014."""

import re

import numpy as np
import pytest
from caffe.proto import caffe_pb2
from conftest import CAFFE, ROOT, blobs, run
from real_data import real

DATA = """
layers {{
  name: "{name}" type: DATA top: "{name}"
  data_param {{
    seek: '00000003' source: "{source}" backend: LEVELDB batch_size: {batch}
  }}
  transform_param {{ scale: 1.0 }}
  include: {{ phase: {phase} }}
}}
"""
INNER = """
layers {{
  name: "{name}" type: INNER_PRODUCT bottom: "{bottom}" top: "{name}"
  blobs_lr: 1 blobs_lr: 2 weight_decay: 1 weight_decay: 0
  inner_product_param {{
    num_output: {width}
    weight_filler {{ type: 'gaussian' std: 0.3 }}
    bias_filler {{ type: 'constant' value: 0 }}
  }}
}}
"""
LOSS = """
layers {
  name: "loss" type: MULTI_T_LOSS bottom: "output" bottom: "label"
  blobs_lr: 1. blobs_lr: 0. blobs_lr: 0.
  top: "loss" top: "std" top: "ind" top: "proba"
  multi_t_loss_param {
    num_center: 3 alpha: 1 lambda: 2 beta: 1 bandwidth: 0.1
    weight_filler { type: 'gaussian' std: 0.5 }
  }
}
layers { name: "silence" type: SILENCE bottom: "label" bottom: "ind" bottom: "proba" }
"""
SOLVER = """net: "net.prototxt"
base_lr: 0.1 lr_policy: "step" gamma: 0.1 stepsize: 400 max_iter: 200 display: 100
momentum: 0.9 momentum_burnin: 5 sample_print: false random_seed: 1
snapshot: 0 snapshot_prefix: "old" solver_mode: CPU test_iter: 2 test_interval: 10
"""


def relu(name):
    return (
        f'layers {{ name: "{name}_relu" type: RELU bottom: "{name}" top: "{name}" }}\n'
    )


def encoder(widths):
    names = ("inner1", "inner2", "inner3", "output")
    text, bottom = "", "data"
    for name, width in zip(names, widths, strict=True):
        text += INNER.format(name=name, bottom=bottom, width=width)
        text += relu(name) if name != "output" else ""
        bottom = name
    return text


def write_project(folder, total="total"):
    from dec.data.leveldb import write_rows

    rows, labels = blobs()
    write_rows(folder / total, rows)
    p = np.full((len(rows), 3), 0.1, np.float32)
    p[np.arange(len(rows)), labels] = 0.8
    write_rows(folder / "train_weight", p)
    (folder / "solver.prototxt").write_text(SOLVER)


def trained(folder):
    net = caffe_pb2.NetParameter()
    net.ParseFromString((folder / "old_iter_200.caffemodel").read_bytes())
    return {layer.name: layer for layer in net.layer}


def assert_trains(folder):
    result = run([CAFFE, "train", "--solver=solver.prototxt"], folder)
    assert result.returncode == 0, result.stderr
    losses = [float(x) for x in re.findall(r", loss = ([\d.e+-]+)", result.stderr)]
    assert losses[-1] < 0.5 * losses[0]
    loss = trained(folder)["loss"]
    assert loss.type == "MultiTLoss" and len(loss.blobs) == 3
    # Frozen by blobs_lr: 0.
    assert set(loss.blobs[1].data) == {1.0}
    assert np.allclose(loss.blobs[2].data, 1 / len(loss.blobs[2].data))
    return loss


def test_network_in_the_forks_spelling_loads_and_trains(tmp_path):
    write_project(tmp_path)
    text = 'name: "old"\n'
    for phase, batch in (("TRAIN", 64), ("TEST", 100)):
        for name, source in (("data", "total"), ("label", "train_weight")):
            text += DATA.format(name=name, source=source, phase=phase, batch=batch)
    (tmp_path / "net.prototxt").write_text(text + encoder((8, 8, 16, 2)) + LOSS)
    assert_trains(tmp_path)


@pytest.mark.real
def test_network_text_of_the_report_loads_and_trains(tmp_path):
    """Its layers as printed, 3.1.3, with the encoder that it does not print."""
    from dec.data.leveldb import write_rows

    text = real("seeds", "000_c0418d3dadb65b6d.txt").read_text()
    text = text[text.index("### 3.1.3 Build") : text.index("#### Set the Network up")]
    printed = "\n".join(re.findall(r"^```\n(.*?)^```", text, re.M | re.S))
    # The printed page breaks one layer in two.
    assert printed.count("{") == printed.count("}")
    assert "MULTI_T_LOSS" in printed and "seek" in printed
    data, loss = printed[: printed.index("MULTI_T_LOSS")].rsplit("layers {", 1)
    loss = "layers {" + loss + printed[printed.index("MULTI_T_LOSS") :]
    (tmp_path / "net.prototxt").write_text(data + encoder((20, 20, 30, 10)) + loss)
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 10, 600)
    centres = rng.normal(size=(10, 784))
    rows = 0.1 * (centres[labels] + rng.normal(size=(600, 784)))
    rows = rows.astype(np.float32)
    write_rows(tmp_path / "mnist_total", rows)
    p = np.full((600, 10), 0.02, np.float32)
    p[np.arange(600), labels] = 0.82
    write_rows(tmp_path / "train_weight", p)
    (tmp_path / "solver.prototxt").write_text(SOLVER)
    loss = assert_trains(tmp_path)
    assert list(loss.blobs[0].shape.dim) == [10, 10]


def test_weights_of_the_fork_load_by_name(tmp_path):
    """A V1 caffemodel, blobs with num, channels, height and width."""
    import caffe

    rng = np.random.default_rng(1)
    old = caffe_pb2.NetParameter(name="old")
    expected = {}

    def add(name, kind, *arrays):
        layer = old.layers.add(name=name, type=kind)
        for array in arrays:
            shape = (1,) * (4 - array.ndim) + array.shape
            blob = layer.blobs.add(data=array.ravel())
            blob.num, blob.channels, blob.height, blob.width = shape
        expected[name] = arrays

    kinds = caffe_pb2.V1LayerParameter
    width = 784
    for name, out in (
        ("inner1", 500),
        ("inner2", 500),
        ("inner3", 2000),
        ("output", 10),
    ):
        matrix = rng.normal(size=(out, width)).astype(np.float32)
        add(name, kinds.INNER_PRODUCT, matrix, rng.normal(size=out).astype(np.float32))
        width = out
    add("d_inner3", kinds.INNER_PRODUCT, np.ones((2000, 10), np.float32))
    centres = rng.normal(size=(10, 10)).astype(np.float32)
    ones, pi = np.ones((10, 10), np.float32), np.full(10, 0.1, np.float32)
    add("loss", kinds.MULTI_T_LOSS, centres, ones, pi)
    model = tmp_path / "old.caffemodel"
    model.write_bytes(old.SerializeToString())

    net = caffe.Net(
        str(ROOT / "prototxt/dec/mnist/deploy.prototxt"), caffe.TEST, weights=str(model)
    )
    for name in ("inner1", "inner2", "inner3", "output", "loss"):
        for blob, array in zip(net.params[name], expected[name], strict=True):
            assert np.array_equal(blob.data, array), name


def test_autoencoder_of_the_fork_loads_into_the_clustering_net(tmp_path):
    """Its "loss" is a EuclideanLoss without weights: the centres stay as they are."""
    import caffe

    old = caffe_pb2.NetParameter(name="old")
    old.layers.add(name="loss", type=caffe_pb2.V1LayerParameter.EUCLIDEAN_LOSS)
    model = tmp_path / "old.caffemodel"
    model.write_bytes(old.SerializeToString())
    net = caffe.Net(str(ROOT / "prototxt/dec/mnist/deploy.prototxt"), caffe.TEST)
    net.params["loss"][0].data[...] = 3
    net.copy_from(str(model))
    assert (net.params["loss"][0].data == 3).all()
