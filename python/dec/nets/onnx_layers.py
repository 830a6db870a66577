"""Caffe's layers, as they are in a test, as operators of ONNX."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from google.protobuf.message import Message
from onnx import TensorProto, helper, numpy_helper

OPSET = 13


class UnwritableError(Exception):
    """What a layer wants that is not written as ONNX here, in words."""


@dataclass(frozen=True)
class Layer:
    """A layer of a net as Caffe has made it.

    kind: its type. settings: its message in the prototxt, in either spelling. blobs:
    its weights, float32. inputs, outputs: names of values in the ONNX graph; in_shapes,
    out_shapes: of those, (batch, ...).
    """

    name: str
    kind: str
    settings: Message
    blobs: list[np.ndarray]
    inputs: list[str]
    outputs: list[str]
    in_shapes: list[tuple[int, ...]]
    out_shapes: list[tuple[int, ...]]


class Graph:
    """The nodes and constants of an ONNX graph, as layers add them.

    taken: names that no value between the nodes of one layer may have.
    """

    def __init__(self, taken: set[str]):
        self.nodes: list = []
        self.constants: list = []
        self.integers: set[str] = set()  # values that are int64; others are float32
        self._taken = set(taken)
        self._layer = ""

    def convert(self, layer: Layer) -> None:
        """Adds a layer; UnwritableError where it cannot be."""
        check(layer.kind)
        if layer.kind not in _OF_SEVERAL:
            found = len(layer.inputs), len(layer.outputs)
            if found != (1, 1):
                raise UnwritableError("{} bottoms and {} tops".format(*found))
        self._layer = layer.name
        LAYERS[layer.kind](self, layer)

    def add(
        self, op: str, inputs: Sequence[str], output: str | None = None, **attributes
    ) -> str:
        """Adds a node with one output, and returns its name: a new one if None."""
        output = output or self.name(f"{self._layer}:{op}")
        self.nodes.append(
            helper.make_node(op, list(inputs), [output], name=output, **attributes)
        )
        return output

    def constant(self, word: str, values) -> str:
        """Adds an array (of int64 where it is of integers, else float32)."""
        array = np.asarray(values)
        kind = np.int64 if array.dtype.kind == "i" else np.float32
        array = array.astype(kind, order="C", copy=False)
        name = self.name(f"{self._layer}:{word}")
        self.constants.append(numpy_helper.from_array(array, name))
        return name

    def name(self, wanted: str) -> str:
        """A name that nothing else has."""
        name, number = wanted, 1
        while name in self._taken:
            number += 1
            name = f"{wanted}-{number}"
        self._taken.add(name)
        return name


def value_info(name: str, shape: Sequence[int], integers: bool = False):
    """The type of an input or output: its shape, with any number of rows."""
    kind = TensorProto.INT64 if integers else TensorProto.FLOAT
    return helper.make_tensor_value_info(name, kind, ["N", *shape[1:]])


def check(kind: str) -> None:
    """UnwritableError for a type of layer that is not known here."""
    if kind not in LAYERS and kind not in (*NOTHING, INPUT):
        raise UnwritableError(
            f"only {', '.join(sorted((*LAYERS, 'Dropout', INPUT)))} are known"
        )


def _axis(given: int, shape: Sequence[int]) -> int:
    """From 1 on; rows of a batch have nothing to do with one another."""
    axis = given + len(shape) if given < 0 else given
    if axis == 0:
        raise UnwritableError("axis 0, the rows of a batch, of which there may be any")
    return axis


def _pair(param: Message, field: str, default: int, of: int = 2) -> list[int]:
    """A setting for height and width: one for both, or each by itself."""
    apart = f"{field.removesuffix('_size')}_h", f"{field.removesuffix('_size')}_w"
    if any(param.HasField(name) for name in apart):
        return [getattr(param, name) for name in apart]
    given = getattr(param, field)
    found = [given] if isinstance(given, int) else list(given) or [default]
    return found * of if len(found) == 1 else found


def _convolution(graph: Graph, layer: Layer) -> None:
    param, weights = layer.settings.convolution_param, layer.blobs[0]
    _axis_one(param.axis, layer)
    of = weights.ndim - 2
    pads, dilations = _pair(param, "pad", 0, of), list(param.dilation) or [1]
    graph.add(
        "Conv",
        [layer.inputs[0], *_weights_and_bias(graph, layer)],
        layer.outputs[0],
        kernel_shape=weights.shape[2:],
        strides=_pair(param, "stride", 1, of),
        pads=pads * 2,
        dilations=dilations * of if len(dilations) == 1 else dilations,
        group=param.group,
    )


def _inner_product(graph: Graph, layer: Layer) -> None:
    param = layer.settings.inner_product_param
    _axis_one(param.axis, layer)
    (rows,) = layer.inputs
    if len(layer.in_shapes[0]) != 2:
        rows = graph.add("Flatten", [rows], axis=1)
    graph.add(
        "Gemm",
        [rows, *_weights_and_bias(graph, layer)],
        layer.outputs[0],
        transB=0 if param.transpose else 1,
    )


def _axis_one(given: int, layer: Layer) -> None:
    if _axis(given, layer.in_shapes[0]) != 1:
        raise UnwritableError(f"axis {given}, not 1")


def _weights_and_bias(graph: Graph, layer: Layer) -> list[str]:
    words = ("weights", "bias")[: len(layer.blobs)]
    return [graph.constant(*x) for x in zip(words, layer.blobs, strict=True)]


def _pooling(graph: Graph, layer: Layer) -> None:
    param = layer.settings.pooling_param
    kinds = {param.MAX: "Max", param.AVE: "Average"}
    if param.pool not in kinds:
        raise UnwritableError("stochastic pooling")
    kind, value = kinds[param.pool], layer.inputs[0]
    if param.global_pooling:
        graph.add(f"Global{kind}Pool", [value], layer.outputs[0])
        return
    kernel, strides = _pair(param, "kernel_size", 1), _pair(param, "stride", 1)
    pads = _pair(param, "pad", 0)
    if kind == "Average" and any(pads):
        # Caffe counts the zeros of its padding among the values, but not what a last
        # window has beyond them (its number is rounded up). For ONNX's operator one
        # padding is like the other; so one of them is a node of its own.
        amounts = graph.constant("pads", [0, 0, *pads, 0, 0, *pads])
        value = graph.add("Pad", [value, amounts], mode="constant")
        pads, inside = [0, 0], [2 * pad for pad in pads]
    else:
        inside = pads
    ends = [
        max(0, (out - 1) * stride + size - wide - padded)
        for out, stride, size, wide, padded in zip(
            layer.out_shapes[0][2:],
            strides,
            kernel,
            layer.in_shapes[0][2:],
            inside,
            strict=True,
        )
    ]
    settings = {"count_include_pad": 0} if kind == "Average" else {}
    graph.add(
        f"{kind}Pool",
        [value],
        layer.outputs[0],
        kernel_shape=kernel,
        strides=strides,
        pads=pads + ends,
        **settings,
    )


def _lrn(graph: Graph, layer: Layer) -> None:
    param = layer.settings.lrn_param
    if param.norm_region != param.ACROSS_CHANNELS:
        raise UnwritableError("norm_region WITHIN_CHANNEL")
    graph.add(
        "LRN",
        layer.inputs,
        layer.outputs[0],
        alpha=param.alpha,
        beta=param.beta,
        bias=param.k,
        size=param.local_size,
    )


def _batch_norm(graph: Graph, layer: Layer) -> None:
    param = layer.settings.batch_norm_param
    if param.HasField("use_global_stats") and not param.use_global_stats:
        raise UnwritableError("use_global_stats: false, statistics of a batch")
    # The sums and what they are to be divided by, 0 before any training.
    mean, variance, count = layer.blobs
    factor = 1 / count.item() if count.item() else 0
    ones = np.ones(mean.size)
    constants = [
        graph.constant("scale", ones),
        graph.constant("bias", 0 * ones),
        graph.constant("mean", mean.ravel() * np.float32(factor)),
        graph.constant("variance", variance.ravel() * np.float32(factor)),
    ]
    graph.add(
        "BatchNormalization",
        [*layer.inputs, *constants],
        layer.outputs[0],
        epsilon=param.eps,
    )


def _scale(graph: Graph, layer: Layer) -> None:
    param, shape = layer.settings.scale_param, layer.in_shapes[0]
    behind = len(shape) - layer.blobs[0].ndim
    if layer.blobs[0].ndim:
        behind -= _axis(param.axis, shape)
    factor, *bias = (x.reshape(x.shape + (1,) * behind) for x in layer.blobs)
    scaled = layer.outputs[0] if not bias else None
    scaled = graph.add("Mul", [*layer.inputs, graph.constant("scale", factor)], scaled)
    if bias:
        constant = graph.constant("bias", bias[0])
        graph.add("Add", [scaled, constant], layer.outputs[0])


def _bias(graph: Graph, layer: Layer) -> None:
    param, shape = layer.settings.bias_param, layer.in_shapes[0]
    (bias,) = layer.blobs
    behind = len(shape) - bias.ndim - (_axis(param.axis, shape) if bias.ndim else 0)
    constant = graph.constant("bias", bias.reshape(bias.shape + (1,) * behind))
    graph.add("Add", [*layer.inputs, constant], layer.outputs[0])


def _power(graph: Graph, layer: Layer) -> None:
    param = layer.settings.power_param
    value = layer.inputs[0]
    # (shift + scale * x) ^ power; a chain of which the last has the layer's name.
    steps = [("Mul", param.scale)]
    steps += [("Add", param.shift)] * (param.shift != 0)
    steps += [("Pow", param.power)] * (param.power != 1)
    for i, (op, number) in enumerate(steps, 1):
        name = layer.outputs[0] if i == len(steps) else None
        value = graph.add(op, [value, graph.constant(op.lower(), number)], name)


def _eltwise(graph: Graph, layer: Layer) -> None:
    param, values = layer.settings.eltwise_param, layer.inputs
    op = {param.PROD: "Mul", param.SUM: "Sum", param.MAX: "Max"}[param.operation]
    if param.coeff:
        values = [
            graph.add("Mul", [value, graph.constant("coeff", factor)])
            for value, factor in zip(values, param.coeff, strict=True)
        ]
    while op == "Mul" and len(values) > 2:  # which takes two
        values = [graph.add(op, values[:2]), *values[2:]]
    graph.add(op, values, layer.outputs[0])


def _concat(graph: Graph, layer: Layer) -> None:
    param = layer.settings.concat_param
    given = param.concat_dim if param.HasField("concat_dim") else param.axis
    axis = _axis(given, layer.in_shapes[0])
    graph.add("Concat", layer.inputs, layer.outputs[0], axis=axis)


def _softmax(graph: Graph, layer: Layer) -> None:
    axis = _axis(layer.settings.softmax_param.axis, layer.in_shapes[0])
    graph.add("Softmax", layer.inputs, layer.outputs[0], axis=axis)


def _flatten(graph: Graph, layer: Layer) -> None:
    _axis(layer.settings.flatten_param.axis, layer.in_shapes[0])
    # A 0 is the number of rows, as it comes.
    shape = graph.constant("shape", [0, *layer.out_shapes[0][1:]])
    graph.add("Reshape", [*layer.inputs, shape], layer.outputs[0])


def _relu(graph: Graph, layer: Layer) -> None:
    slope = layer.settings.relu_param.negative_slope
    if slope:
        graph.add("LeakyRelu", layer.inputs, layer.outputs[0], alpha=slope)
    else:
        graph.add("Relu", layer.inputs, layer.outputs[0])


def _multi_t_loss(graph: Graph, layer: Layer) -> None:
    """The soft assignment of points z_i to centres mu_j, DEC's equation 1:

    q_ij ~ (1 + ||z_i - mu_j||^2 / alpha)^(-(alpha + 1) / 2), as a softmax of its
    logarithm, and the centre with the largest. MultiTLoss has an inverse variance for
    each number of a centre, too (ones in DEC), which stretches the distance and
    multiplies q by its root.
    """
    if len(layer.inputs) != 1:
        raise UnwritableError("targets are for training")
    alpha = layer.settings.multi_t_loss_param.alpha
    wide = int(np.prod(layer.in_shapes[0][1:]))
    centres, inverse = (x.reshape(wide, -1) for x in layer.blobs[:2])
    points = [*layer.inputs, graph.constant("shape", [0, wide, 1])]
    points = graph.add("Reshape", points)
    apart = graph.add("Sub", [points, graph.constant("centres", centres)])
    if (inverse != 1).any():
        apart = graph.add("Mul", [apart, graph.constant("stretch", np.sqrt(inverse))])
    distance = graph.add("ReduceSumSquare", [apart], axes=[1], keepdims=0)
    distance = graph.add("Div", [distance, graph.constant("alpha", alpha)])
    kernel = graph.add("Add", [distance, graph.constant("one", 1.0)])
    power = graph.constant("power", -(alpha + 1) / 2)
    logarithm = graph.add("Mul", [graph.add("Log", [kernel]), power])
    if (inverse != 1).any():
        norm = np.log(inverse.astype(np.float64)).sum(axis=0) / 2
        logarithm = graph.add("Add", [logarithm, graph.constant("norm", norm)])
    ind, proba = layer.outputs
    graph.add("Softmax", [logarithm], proba, axis=1)
    graph.add("ArgMax", [proba], ind, axis=1, keepdims=0)
    graph.integers.add(ind)


def _plain(op: str) -> Callable[[Graph, Layer], None]:
    """A layer without settings."""
    return lambda graph, layer: graph.add(op, layer.inputs, layer.outputs[0]) and None


LAYERS: dict[str, Callable[[Graph, Layer], None]] = {
    "BatchNorm": _batch_norm,
    "Bias": _bias,
    "Concat": _concat,
    "Convolution": _convolution,
    "Eltwise": _eltwise,
    "Flatten": _flatten,
    "InnerProduct": _inner_product,
    "LRN": _lrn,
    "MultiTLoss": _multi_t_loss,
    "Pooling": _pooling,
    "Power": _power,
    "ReLU": _relu,
    "Scale": _scale,
    "Sigmoid": _plain("Sigmoid"),
    "Softmax": _softmax,
    "TanH": _plain("Tanh"),
}
NOTHING = ("Dropout", "Split")  # in a test they leave their bottom as it is
INPUT = "Input"
_OF_SEVERAL = ("Concat", "Eltwise", "MultiTLoss")
