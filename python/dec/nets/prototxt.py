"""Reads the prototxt files that a user edits, and writes the copies of a run."""

import math
from collections.abc import Collection
from pathlib import Path

from caffe.proto import caffe_pb2
from google.protobuf import text_format
from google.protobuf.message import Message

from dec.base.atomic import write_text_atomic
from dec.base.errors import DecError

_DATA = (caffe_pb2.V1LayerParameter.DATA, "Data")
_EUCLIDEAN = (caffe_pb2.V1LayerParameter.EUCLIDEAN_LOSS, "EuclideanLoss")


def read_net(path: Path) -> caffe_pb2.NetParameter:
    """The network in a prototxt file, in the spelling (V1 or current) it has."""
    return _read(path, caffe_pb2.NetParameter())


def read_solver(path: Path) -> caffe_pb2.SolverParameter:
    """The solver in a prototxt file."""
    return _read(path, caffe_pb2.SolverParameter())


def write(path: Path, message: Message, header: str) -> None:
    """Writes a message as prototxt below a header comment."""
    write_text_atomic(path, f"# {header}\n{text_format.MessageToString(message)}")


def data_layers(
    net: caffe_pb2.NetParameter, phase: str, stages: Collection[str] = ("memory",)
) -> list:
    """The Data layers, in either spelling, of a phase ("TRAIN" or "TEST") and stages.

    Without stages it is DEC's phase 2 that is meant, if there is one.
    """
    return [
        layer
        for layer in (*net.layer, *net.layers)
        if layer.type in _DATA and is_in(layer, phase, stages)
    ]


def is_in(layer: Message, phase: str, stages: Collection[str]) -> bool:
    """Whether a layer, in either spelling, is in the net of a phase and stages."""
    state = caffe_pb2.Phase.Value(phase), stages
    return (
        not layer.include or any(_meets(rule, *state) for rule in layer.include)
    ) and not any(_meets(rule, *state) for rule in layer.exclude)


def fit(net: caffe_pb2.NetParameter, width: int, clusters: int | None) -> list[str]:
    """Fits a net to rows of `width` numbers, and to a number of clusters.

    Fills in what follows from them: the width of the layer that reconstructs the
    rows and the weight of its loss (1/width), the range from which the first layer's
    weights are drawn (it falls with the root of the width), of a deploy net's input,
    and of the targets; the number of centres. clusters: None leaves it as it is.
    Returns what was changed, in words.
    """
    layers = [*net.layer, *net.layers]
    before = net.SerializeToString()
    inputs = {layer.top[0] for layer in layers if _is_rows(layer)}
    makers = {x.top[0]: x for x in layers if x.HasField("inner_product_param")}
    changed = []
    for layer in layers:
        if layer.type in _EUCLIDEAN and inputs & set(layer.bottom):
            for bottom in set(layer.bottom) & set(makers):
                param = makers[bottom].inner_product_param
                _fit_range(layers, inputs, math.sqrt(param.num_output / width))
                param.num_output = width
            for i, weight in enumerate(layer.loss_weight):
                if not math.isclose(weight, 1 / width, rel_tol=1e-6):
                    layer.loss_weight[i] = 1 / width
        if layer.type == "Input" and layer.top[0] == "data":
            layer.input_param.shape[0].dim[1] = width
    if net.SerializeToString() != before:
        changed.append(f"{width:,} numbers a row")
    before = net.SerializeToString()
    for layer in layers if clusters else []:
        if layer.HasField("multi_t_loss_param"):
            layer.multi_t_loss_param.num_center = clusters
        if layer.type == "Input" and layer.top[0] == "label":
            layer.input_param.shape[0].dim[1] = clusters
    if net.SerializeToString() != before:
        changed.append(f"{clusters} clusters")
    return changed


def _fit_range(layers: list[Message], inputs: set[str], factor: float) -> None:
    """Multiplies the uniform fillers of the layers that multiply the rows."""
    for layer in layers:
        filler = layer.inner_product_param.weight_filler
        if inputs & set(layer.bottom) and filler.type == "uniform" and factor != 1:
            filler.min *= factor
            filler.max *= factor


def _is_rows(layer: Message) -> bool:
    return layer.type in _DATA and layer.top[0] == "data"


def _meets(rule: caffe_pb2.NetStateRule, phase: int, stages: Collection[str]) -> bool:
    # Net::StateMeetsRule in Caffe; levels are left out, no net of ours has one.
    return (
        (not rule.HasField("phase") or rule.phase == phase)
        and all(wanted in stages for wanted in rule.stage)
        and not any(stage in stages for stage in rule.not_stage)
    )


def _read(path: Path, message: Message) -> Message:
    try:
        text_format.Parse(Path(path).read_text(encoding="utf-8"), message)
    except FileNotFoundError:
        raise DecError(f"{path}: there is no such file") from None
    except (OSError, UnicodeDecodeError) as error:
        raise DecError(f"{path}: cannot be read: {error}") from None
    except text_format.ParseError as error:
        line = error.GetLine()
        where = f"{path}:{line}" if line else f"{path}"
        text = str(error).split(" : ", 1)[-1]
        raise DecError(f"{where}: {text}") from None
    return message
