"""Reads the prototxt files that a user edits, and writes the copies of a run."""

from pathlib import Path

from caffe.proto import caffe_pb2
from google.protobuf import text_format
from google.protobuf.message import Message

from dec.data.atomic import write_text_atomic
from dec.errors import DecError


def read_net(path: Path) -> caffe_pb2.NetParameter:
    """The network in a prototxt file, in the spelling (V1 or current) it has."""
    return _read(path, caffe_pb2.NetParameter())


def read_solver(path: Path) -> caffe_pb2.SolverParameter:
    """The solver in a prototxt file."""
    return _read(path, caffe_pb2.SolverParameter())


def write(path: Path, message: Message, header: str) -> None:
    """Writes a message as prototxt below a header comment."""
    write_text_atomic(path, f"# {header}\n{text_format.MessageToString(message)}")


def data_layers(net: caffe_pb2.NetParameter, phase: str, stage: str = "memory") -> list:
    """The Data layers, in either spelling, of a phase ("TRAIN" or "TEST") and stage."""
    types = (caffe_pb2.V1LayerParameter.DATA, "Data")
    state = caffe_pb2.Phase.Value(phase), stage
    return [
        layer
        for layer in (*net.layer, *net.layers)
        if layer.type in types
        and (not layer.include or any(_meets(rule, *state) for rule in layer.include))
        and not any(_meets(rule, *state) for rule in layer.exclude)
    ]


def _meets(rule: caffe_pb2.NetStateRule, phase: int, stage: str) -> bool:
    # Net::StateMeetsRule in Caffe; levels are left out, DEC's nets have none.
    return (
        (not rule.HasField("phase") or rule.phase == phase)
        and all(wanted == stage for wanted in rule.stage)
        and stage not in rule.not_stage
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
