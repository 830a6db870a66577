"""Nets as ONNX: the numbers of onnxruntime are Caffe's; what cannot be is refused."""

import itertools
import json
from pathlib import Path

import cv2
import numpy as np
import onnx
import onnxruntime
import pytest
from caffe.proto import caffe_pb2
from conftest import ROOT
from disks import small_disk
from onnx_samples import by_caffe, compare, operators, random_net, save_random, write
from real_data import real

from dec.base.errors import DecError
from dec.nets import caffe_process
from dec.nets.onnx_layers import LAYERS


def data(*shape: int) -> str:
    dims = " ".join(f"dim: {n}" for n in shape)
    return f"""layer {{ name: "data" type: "Input" top: "data"
        input_param {{ shape {{ {dims} }} }} }}\n"""


def layer(kind: str, bottoms: str, top: str, settings: str = "") -> str:
    """A layer's words; it has the name of its top, or of its kind in place."""
    words = " ".join(f'bottom: "{name}"' for name in bottoms.split())
    name = f"{kind}_{top}" if top in bottoms.split() else top
    return (
        f'layer {{ name: "{name}" type: "{kind}" {words} top: "{top}" {settings} }}\n'
    )


def conv(bottom: str, top: str, settings: str) -> str:
    return layer("Convolution", bottom, top, f"convolution_param {{ {settings} }}")


def seen(*shape: int) -> str:
    """Data, and as `x` what a convolution makes of them: of the same shape."""
    same = f"num_output: {shape[1]} kernel_size: 1"
    return data(*shape) + conv("data", "x", same)


def poolings(kernels: range) -> str:
    """Every pooling of these kernels that Caffe takes, by itself on `x`."""
    text = ""
    for kernel in kernels:
        for stride, pad, kind, mode in itertools.product(
            range(1, kernel + 1), range(kernel), ("MAX", "AVE"), ("CEIL", "FLOOR")
        ):
            settings = f"""pool: {kind} round_mode: {mode}
                kernel_size: {kernel} stride: {stride} pad: {pad}"""
            top = f"{kind}_{mode}_{kernel}_{stride}_{pad}"
            text += layer("Pooling", "x", top, f"pooling_param {{ {settings} }}")
    return text


@pytest.mark.parametrize("size", [(11, 8), (7, 10), (9, 9)])
def test_every_pooling(tmp_path, size):
    """Odd sizes: windows that reach beyond the image, and some that begin there."""
    net = random_net(tmp_path, seen(2, 3, *size) + poolings(range(1, 5)))
    assert len(compare(net)) == 4 * (1 + 4 + 9 + 16)


def test_poolings_by_height_and_width_and_with_gaps(tmp_path):
    text = seen(2, 3, 11, 8)
    for kind in ("MAX", "AVE"):
        settings = f"""pool: {kind} kernel_h: 3 kernel_w: 2 stride_h: 2 stride_w: 1
            pad_h: 1 pad_w: 0"""
        text += layer("Pooling", "x", f"{kind}_a", f"pooling_param {{ {settings} }}")
        settings = f"pool: {kind} round_mode: FLOOR kernel_size: 2 stride: 3"
        text += layer("Pooling", "x", f"{kind}_b", f"pooling_param {{ {settings} }}")
        settings = f"pool: {kind} global_pooling: true"
        text += layer("Pooling", "x", f"{kind}_c", f"pooling_param {{ {settings} }}")
    assert len(compare(random_net(tmp_path, text))) == 6


CONVOLUTIONS = (
    data(2, 6, 13, 10)
    + conv("data", "plain", "num_output: 4 kernel_size: 3")
    + conv("data", "strides", "num_output: 4 kernel_size: 3 stride: 2 pad: 1")
    + conv("data", "groups", "num_output: 4 kernel_size: 3 group: 2 bias_term: false")
    + conv("data", "apart", "num_output: 6 kernel_size: 3 group: 6 pad: 1")
    + conv("data", "dilated", "num_output: 4 kernel_size: 3 dilation: 2 pad: 2")
    + conv("data", "two", "num_output: 4 kernel_size: 3 kernel_size: 2 dilation: 1 "
           "dilation: 3 pad: 1 pad: 0 stride: 1 stride: 2")
    + conv("data", "by_name", "num_output: 4 kernel_h: 1 kernel_w: 4 pad_h: 0 pad_w: 2 "
           "stride_h: 3 stride_w: 1")
)  # fmt: skip

LRN = seen(2, 7, 5, 6) + "".join(
    layer("LRN", "x", f"size_{size}_k_{k}",
          f"lrn_param {{ local_size: {size} alpha: 0.7 beta: 0.6 k: {k} }}")
    for size, k in ((3, 1), (5, 2), (9, 1))
)  # fmt: skip


def fire(bottom: str, name: str, squeezed: int, wide: int) -> str:
    """A module of SqueezeNet: 1 x 1, then 1 x 1 and 3 x 3 side by side."""
    return (
        conv(bottom, f"{name}/s", f"num_output: {squeezed} kernel_size: 1")
        + layer("ReLU", f"{name}/s", f"{name}/s")
        + conv(f"{name}/s", f"{name}/e1", f"num_output: {wide} kernel_size: 1")
        + layer("ReLU", f"{name}/e1", f"{name}/e1")
        + conv(f"{name}/s", f"{name}/e3", f"num_output: {wide} kernel_size: 3 pad: 1")
        + layer("ReLU", f"{name}/e3", f"{name}/e3")
        + layer("Concat", f"{name}/e1 {name}/e3", f"{name}/concat")
    )


_MAX = "pooling_param { pool: MAX kernel_size: 3 stride: 2 }"
_ALL = "pooling_param { pool: AVE global_pooling: true }"
SQUEEZE = (
    data(3, 3, 48, 39)
    + conv("data", "conv1", "num_output: 8 kernel_size: 7 stride: 2")
    + layer("ReLU", "conv1", "conv1")
    + layer("Pooling", "conv1", "pool1", _MAX)
    + fire("pool1", "fire2", 4, 8)
    + layer("Pooling", "fire2/concat", "pool2", _MAX)
    + fire("pool2", "fire3", 6, 8)
    + layer("Dropout", "fire3/concat", "fire3/concat")
    + conv("fire3/concat", "conv4", "num_output: 5 kernel_size: 1 pad: 1")
    + layer("ReLU", "conv4", "conv4")
    + layer("Pooling", "conv4", "pool4", _ALL)
    + layer("Softmax", "pool4", "prob")
)


def normed(bottom: str, top: str, settings: str, relu: bool = True) -> str:
    text = conv(bottom, top, f"bias_term: false {settings}")
    text += layer("BatchNorm", top, top)
    text += layer("Scale", top, top, "scale_param { bias_term: true }")
    return text + layer("ReLU", top, top) * relu


RESIDUAL = (
    data(3, 3, 31, 26)
    + normed("data", "conv1", "num_output: 8 kernel_size: 7 stride: 2 pad: 3")
    + layer("Pooling", "conv1", "pool1", _MAX)
    + normed("pool1", "side", "num_output: 12 kernel_size: 1 stride: 2", False)
    + normed("pool1", "way_a", "num_output: 6 kernel_size: 1 stride: 2")
    + normed("way_a", "way_b", "num_output: 12 kernel_size: 3 pad: 1", False)
    + layer("Eltwise", "side way_b", "sum")
    + layer("ReLU", "sum", "sum")
    + normed("sum", "way_c", "num_output: 12 kernel_size: 3 pad: 1", False)
    + layer("Eltwise", "sum way_c", "sum2")
    + layer("ReLU", "sum2", "sum2")
    + layer("Pooling", "sum2", "pool5", "pooling_param { pool: AVE kernel_size: 2 }")
    + layer("InnerProduct", "pool5", "fc", "inner_product_param { num_output: 10 }")
    + layer("Softmax", "fc", "prob")
)

# Everything else that settings can say, and copies of blobs that Caffe makes itself.
OTHERS = (
    data(3, 4, 6, 5)
    + layer("Sigmoid", "data", "sigmoid")
    + layer("TanH", "data", "tanh")
    + layer("ReLU", "data", "leaky", "relu_param { negative_slope: 0.2 }")
    + layer("Eltwise", "sigmoid tanh leaky", "prod",
            "eltwise_param { operation: PROD }")
    + layer("Eltwise", "sigmoid tanh leaky", "max",
            "eltwise_param { operation: MAX }")
    + layer("Eltwise", "sigmoid tanh", "sum",
            "eltwise_param { operation: SUM coeff: 1.5 coeff: -2 }")
    + layer("Power", "sigmoid", "squared", "power_param { scale: 2 shift: 1 power: 2 }")
    + layer("Concat", "prod max", "high", "concat_param { axis: 2 }")
    + layer("Concat", "prod max sum", "wide", "concat_param { axis: -1 }")
    + layer("Concat", "prod max", "old", "concat_param { concat_dim: 1 }")
    + layer("Flatten", "wide", "flat")
    + layer("Flatten", "high", "part", "flatten_param { axis: 1 end_axis: 2 }")
    + layer("InnerProduct", "flat", "turned",
            "inner_product_param { num_output: 7 transpose: true bias_term: false }")
    + layer("InnerProduct", "part", "fc", "inner_product_param { num_output: 4 }")
    + layer("Scale", "sum", "scaled", "scale_param { axis: 2 num_axes: 2 }")
    + layer("Scale", "sum", "once", "scale_param { num_axes: 0 bias_term: true }")
    + layer("Scale", "sum", "each", "scale_param { axis: 1 num_axes: -1 }")
    + layer("Bias", "sum", "moved", "bias_param { axis: 1 num_axes: 1 }")
    + layer("Bias", "sum", "higher", "bias_param { num_axes: 0 }")
    + layer("BatchNorm", "turned", "norm", "batch_norm_param { eps: 0.01 }")
    + layer("Softmax", "old", "soft", "softmax_param { axis: -1 }")
    + layer("Dropout", "fc", "drop")
)  # fmt: skip

CLUSTERS = (
    data(40, 3, 2, 2)
    + layer("InnerProduct", "data", "output", "inner_product_param { num_output: 5 }")
    + """layer { name: "loss" type: "MultiTLoss" bottom: "output" top: "ind"
        top: "proba" multi_t_loss_param { num_center: 4 alpha: 2.5 } }"""
)
# In the spelling of 2014, as DEC's authors wrote theirs.
OLD = """name: "old" input: "data" input_dim: 30 input_dim: 3 input_dim: 9 input_dim: 8
layers { name: "conv" type: CONVOLUTION bottom: "data" top: "conv"
  convolution_param { num_output: 4 kernel_size: 3 stride: 2 } }
layers { name: "relu" type: RELU bottom: "conv" top: "conv" }
layers { name: "pool" type: POOLING bottom: "conv" top: "pool"
  pooling_param { pool: AVE kernel_size: 2 stride: 2 pad: 1 } }
layers { name: "norm" type: LRN bottom: "pool" top: "norm" lrn_param { alpha: 0.5 } }
layers { name: "output" type: INNER_PRODUCT bottom: "norm" top: "output"
  inner_product_param { num_output: 3 } }
layers { name: "drop" type: DROPOUT bottom: "output" top: "output" }
layers { name: "loss" type: MULTI_T_LOSS bottom: "output" top: "ind" top: "proba"
  multi_t_loss_param { num_center: 3 } }
"""
NETS = {
    "convolutions": CONVOLUTIONS,
    "lrn": LRN,
    "squeeze": SQUEEZE,
    "residual": RESIDUAL,
    "others": OTHERS,
    "clusters": CLUSTERS,
    "old": OLD,
}


@pytest.mark.parametrize("name", NETS)
def test_random_nets(tmp_path, name):
    # What goes into the softmax, too, which can hide a difference.
    tops = {"squeeze": ["pool4"], "residual": ["fc"]}.get(name, [])
    outputs = compare(random_net(tmp_path, NETS[name]), tops=tops) - set(tops)
    known = {
        "squeeze": {"prob"},
        "residual": {"prob"},
        "clusters": {"ind", "proba", "output"},
        "old": {"ind", "proba", "output"},
    }
    assert outputs == known.get(name, outputs)
    assert name != "others" or {"drop", "norm", "soft", "once"} < outputs


@pytest.mark.parametrize("name", NETS)
def test_opencv_reads_them_too(tmp_path, name):
    net = random_net(tmp_path, NETS[name])
    file = write(net)
    tops = [made.name for made in onnx.load(file).graph.output if made.name != "ind"]
    rows, wanted = by_caffe(net, tops)
    reader = cv2.dnn.readNetFromONNX(str(file))
    reader.setInput(rows)
    for top, found in zip(tops, reader.forward(tops), strict=True):
        close = 1e-5 * max(1, np.abs(wanted[top]).max())
        np.testing.assert_allclose(found, wanted[top], rtol=0, atol=close)


def test_every_layer_is_in_a_net_of_these():
    text = "".join(NETS.values())
    assert not [kind for kind in LAYERS if f'type: "{kind}"' not in text]


def test_more_blobs_by_their_names(tmp_path):
    net = random_net(tmp_path, SQUEEZE)
    wanted = {"prob", "fire3/concat", "conv1", "pool2"}
    assert compare(net, tops=("fire3/concat", "conv1", "pool2", "prob")) == wanted
    with pytest.raises(DecError, match="no layer makes fire9, data; there are conv1"):
        write(net, tops=("fire9", "data"))


def test_an_input_that_nothing_reads_is_none(tmp_path):
    label = 'layer { name: "label" type: "Input" top: "label" input_param { shape { %s'
    text = SQUEEZE + label % "dim: 3 dim: 1 } } }"
    assert compare(random_net(tmp_path, text)) == {"prob"}


def test_far_points_have_a_cluster_and_probabilities(tmp_path):
    """Where the kernel itself is too small for a float32, its logarithm is not."""
    net = random_net(tmp_path, CLUSTERS)
    session = onnxruntime.InferenceSession(write(net))
    rows = np.random.default_rng(1).normal(size=(6, 3, 2, 2)).astype(np.float32)
    for scale in (0, 1e3, 1e8):
        (proba,) = session.run(["proba"], {"data": scale * rows})
        np.testing.assert_allclose(proba.sum(axis=1), 1, atol=1e-6)


def test_batch_norm_without_any_statistics(tmp_path):
    """As an untrained net has them: everything is divided by the root of eps."""
    net = random_net(tmp_path, data(2, 3, 4, 4) + layer("BatchNorm", "data", "norm"))
    model = caffe_pb2.NetParameter.FromString((net / "final.caffemodel").read_bytes())
    for blob in model.layer[-1].blobs:
        blob.data[:] = [0] * len(blob.data)
    (net / "final.caffemodel").write_bytes(model.SerializeToString())
    assert compare(net) == {"norm"}


@pytest.mark.parametrize("name", ["small", "photos"])
def test_the_caffenets_that_come_along(tmp_path, name):
    """At their full size, with random weights."""
    text = (ROOT / f"prototxt/caffenet/{name}/deploy.prototxt").read_text()
    for batch in ("dim: 10 dim: 3", "dim: 32 dim: 3"):
        text = text.replace(batch, "dim: 2 dim: 3")
    last = {"small": "fc5_photos", "photos": "fc8_photos"}[name]
    assert compare(random_net(tmp_path, text), tops=(last,)) == {"prob", last}
    assert "Dropout" not in operators(tmp_path / "net.onnx")


@pytest.mark.real
def test_the_real_squeezenet(tmp_path):
    deep_compression = pytest.importorskip("dec.nets.deep_compression")
    folder = real("models", "squeezenet")
    content = (folder / "compressed_SqueezeNet.net").read_bytes()
    (tmp_path / "deploy.prototxt").write_text(
        (folder / "deploy.prototxt").read_text().replace("dim: 1\n", "dim: 2\n", 1)
    )

    def decode() -> None:
        import caffe

        net = caffe.Net(str(tmp_path / "deploy.prototxt"), caffe.TEST)
        shapes = [blobs[0].data.shape for blobs in net.params.values()]
        found = deep_compression.decode(content, shapes, "SqueezeNet")
        for blobs, arrays in zip(net.params.values(), found, strict=True):
            for blob, array in zip(blobs, arrays, strict=True):
                blob.data[...] = array
        net.save(str(tmp_path / "final.caffemodel"))

    caffe_process.run(decode, tmp_path / "log.txt")
    wanted = {"pool_final", "fire9/concat"}
    assert compare(tmp_path, tops=("fire9/concat",)) == wanted


def test_names_and_metadata(tmp_path):
    net = random_net(tmp_path, 'name: "mine"\n' + SQUEEZE)
    facts = {"input": {"scale": 0.5, "name": "ảnh"}, "words": "as it is"}
    model = onnx.load(write(net, facts))
    assert model.graph.name == "mine"
    found = {entry.key: entry.value for entry in model.metadata_props}
    assert json.loads(found["input"]) == facts["input"]
    assert found["words"] == "as it is"
    (given,), (made,) = model.graph.input, model.graph.output
    assert (given.name, made.name) == ("data", "prob")
    dims = given.type.tensor_type.shape.dim
    assert dims[0].dim_param and [d.dim_value for d in dims[1:]] == [3, 48, 39]


def test_the_same_net_is_the_same_bytes(tmp_path):
    net = random_net(tmp_path, RESIDUAL)
    first = write(net).read_bytes()
    assert write(net).read_bytes() == first


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (layer("Exp", "data", "x"), 'layer "x", of the type Exp, cannot be w'),
        (layer("Magic", "data", "x"), 'layer "x", of the type Magic, cannot be w'),
        ('layers { name: "x" type: EXP bottom: "data" top: "x" }', "Exp"),
        (layer("LRN", "data", "x", "lrn_param { norm_region: WITHIN_CHANNEL }"),
         'layer "x", of the type LRN, .*WITHIN_CHANNEL'),
        (layer("Softmax", "data", "x", "softmax_param { axis: 0 }"), "axis 0"),
        (layer("Concat", "data data", "x", "concat_param { axis: -4 }"), "axis 0"),
        (layer("InnerProduct", "data", "x",
               "inner_product_param { num_output: 2 axis: 2 }"), "axis 2, not 1"),
        (layer("BatchNorm", "data", "x",
               "batch_norm_param { use_global_stats: false }"), "use_global_stats"),
        ('layer { name: "x" type: "Pooling" bottom: "data" top: "x" top: "mask" '
         "pooling_param { kernel_size: 2 } }", "1 bottoms and 2 tops"),
        (layer("Pooling", "data", "x", "pooling_param { pool: STOCHASTIC "
               "kernel_size: 2 }"), "stochastic"),
        (layer("ReLU", "data", "x") + layer("ReLU", "x", "y").replace('"y"', '"x"', 1),
         'two layers "x"'),
    ],
)  # fmt: skip
def test_layers_that_cannot_be_written(tmp_path, text, words):
    text = conv("data", "conv", "num_output: 2 kernel_size: 1") + text
    net = random_net(tmp_path, SQUEEZE)
    head = data(2, 3, 4, 4)
    if "layers {" in text:
        head = 'input: "data" input_dim: 2 input_dim: 3 input_dim: 4 input_dim: 4\n'
        text = text.replace(conv("data", "conv", "num_output: 2 kernel_size: 1"), """
            layers { name: "conv" type: CONVOLUTION bottom: "data" top: "conv"
            convolution_param { num_output: 2 kernel_size: 1 } }""")  # fmt: skip
    (net / "deploy.prototxt").write_text(head + text)
    if "Magic" not in text:
        caffe_process.run(
            lambda: save_random(net / "deploy.prototxt", net / "final.caffemodel"),
            net / "log.txt",
        )
    with pytest.raises(DecError, match=words) as error:
        write(net)
    assert "deploy.prototxt" in str(error.value)
    assert not list(net.glob("net.onnx*"))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda net: net.layer.__delitem__(slice(2, None)), "has no weights for"),
        (lambda net: net.layer[1].blobs[0].data.__delitem__(0), "Caffe stopped"),
        (lambda net: net.layer[1].blobs.pop(), "Caffe stopped: .*blobs"),
        (lambda net: net.layer.__delitem__(slice(None)), "holds no weights"),
    ],
)
def test_weights_that_do_not_fit(tmp_path, change, words):
    net = random_net(tmp_path, SQUEEZE)
    model = caffe_pb2.NetParameter.FromString((net / "final.caffemodel").read_bytes())
    with_blobs = [x for x in model.layer if x.blobs]
    del model.layer[:]
    model.layer.extend([caffe_pb2.LayerParameter(name="data"), *with_blobs[1:]])
    model.layer.insert(1, with_blobs[0])
    change(model)
    (net / "final.caffemodel").write_bytes(model.SerializeToString())
    with pytest.raises(DecError, match=words):
        write(net)
    assert not list(net.glob("net.onnx*"))


def test_weights_of_another_shape_and_cut_short(tmp_path):
    net = random_net(tmp_path, SQUEEZE)
    text = (net / "deploy.prototxt").read_text()
    (net / "deploy.prototxt").write_text(text.replace("num_output: 5", "num_output: 6"))
    with pytest.raises(DecError, match="shape mismatch"):
        write(net)
    (net / "deploy.prototxt").write_text(text)
    content = (net / "final.caffemodel").read_bytes()
    (net / "final.caffemodel").write_bytes(content[:-100])
    with pytest.raises(DecError, match="cut short"):
        write(net)
    (net / "final.caffemodel").unlink()
    with pytest.raises(DecError, match="cannot be read"):
        write(net)
    assert not list(net.glob("net.onnx*"))


def test_only_our_own_files_are_replaced(tmp_path):
    net = random_net(tmp_path, CLUSTERS)
    mine = net / "net.onnx"
    mine.write_text("precious")
    with pytest.raises(DecError, match="no ONNX file of dec; it was not touched"):
        write(net)
    assert mine.read_text() == "precious"
    mine.unlink()
    mine.mkdir()
    with pytest.raises(DecError, match="cannot be written: Is a directory"):
        write(net)
    mine.rmdir()
    write(net)
    write(net)
    assert onnx.load(mine).producer_name == "dec-caffe"


def test_a_full_disk_keeps_the_old_file(tmp_path):
    net = random_net(tmp_path / "net", RESIDUAL)
    with small_disk(tmp_path / "disk", "128k") as disk:
        (net / "net.onnx").symlink_to(disk / "net.onnx")
        write(net)
        before = (disk / "net.onnx").read_bytes()
        room = 128 * 1024 - 2 * len(before)
        (disk / "filling").write_bytes(bytes(max(room, 0) + len(before) // 2))
        with pytest.raises(DecError, match="net.onnx: cannot be written: No space"):
            write(net)
        assert (disk / "net.onnx").read_bytes() == before
        assert sorted(p.name for p in disk.iterdir()) == ["filling", "net.onnx"]


def test_a_folder_that_is_not_there(tmp_path):
    net = random_net(tmp_path / "net", CLUSTERS)
    (net / "net.onnx").symlink_to(tmp_path / "gone/net.onnx")
    with pytest.raises(DecError, match="cannot be written: No such file"):
        write(net)
    assert not Path(tmp_path / "gone").exists()
