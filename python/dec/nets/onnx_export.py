"""Writes a deploy net and its weights as ONNX, which other programs read."""

import contextlib
import json
from collections.abc import Iterator, Sequence
from pathlib import Path

from google.protobuf.message import Message
from onnx import GraphProto, ModelProto, checker, helper

from dec.base.atomic import write_bytes_atomic
from dec.base.errors import DecError
from dec.nets import prototxt
from dec.nets.onnx_layers import (
    INPUT,
    NOTHING,
    OPSET,
    Graph,
    Layer,
    UnwritableError,
    check,
    value_info,
)
from dec.nets.weights import read_weights

_IR_VERSION = 7  # of opset 13's time, so that older programs read it, too
_PRODUCER = "dec-caffe"


def write_onnx(
    deploy: Path, weights: Path, out: Path, metadata: dict, tops: Sequence[str] = ()
) -> None:
    """Writes the net in `deploy`, with `weights`, to the file `out`.

    Inputs and outputs have Caffe's names and shapes, but for the number of rows, which
    is any. Outputs are those of the net, the points that a MultiTLoss layer assigns
    (DEC's code), and the blobs named in `tops`. metadata: name and value of each of the
    model's metadata_props; what is not text is written as JSON.

    Use it in a process that Caffe may end (dec.nets.caffe_process). Raises DecError,
    and writes nothing, for a layer or setting of one that cannot be written, for
    weights that are not of this net, and where `out` is another file than a net that
    was written here, or cannot be written.
    """
    _refuse_to_replace(out)
    described = prototxt.read_net(deploy)
    settings = _settings(deploy, described)
    graph = _Net(deploy, _read(deploy, weights), settings).graph(tops)
    graph.name = described.name or deploy.stem
    model = helper.make_model(
        graph,
        ir_version=_IR_VERSION,
        producer_name=_PRODUCER,
        opset_imports=[helper.make_opsetid("", OPSET)],
    )
    for name, value in metadata.items():
        text = value if isinstance(value, str) else json.dumps(value)
        model.metadata_props.add(key=name, value=text)
    content = model.SerializeToString()
    checker.check_model(content, full_check=True)
    write_bytes_atomic(out, content)


def _refuse_to_replace(out: Path) -> None:
    own = ModelProto(ir_version=_IR_VERSION, producer_name=_PRODUCER)
    head = own.SerializeToString()
    try:
        with open(out, "rb") as file:
            found = file.read(len(head))
    except FileNotFoundError:
        return
    except OSError as error:
        raise DecError(f"{out}: cannot be written: {error.strerror}") from None
    if found != head:
        raise DecError(
            f"{out}: is there and is no ONNX file of dec; it was not touched. Name "
            "another file, or move it"
        )


def _settings(deploy: Path, net: Message) -> dict[str, Message]:
    """The layers of phase TEST, in either spelling, by their names."""
    found = {}
    for layer in (*net.layer, *net.layers):
        if not prototxt.is_in(layer, "TEST", ()):
            continue
        if layer.name in found:
            raise DecError(f'{deploy}: there are two layers "{layer.name}"')
        if isinstance(layer.type, str):  # the old spelling's types are numbers
            with _named(deploy, layer.name, layer.type):
                check(layer.type)
        found[layer.name] = layer
    return found


@contextlib.contextmanager
def _named(deploy: Path, name: str, kind: str) -> Iterator[None]:
    """Says of which layer it is that something cannot be written."""
    try:
        yield
    except UnwritableError as error:
        raise DecError(
            f'{deploy}: layer "{name}", of the type {kind}, cannot be written as ONNX: '
            f"{error}"
        ) from None


def _read(deploy: Path, weights: Path):
    """The net as Caffe makes it of both files: with shapes, of layers up to date."""
    import caffe

    there = read_weights(weights).shapes
    net = caffe.Net(str(deploy), caffe.TEST, weights=str(weights))
    # Caffe compares shapes, but lets a layer without weights have its fillers'.
    missing = [name for name in net.params if name not in there]
    if missing:
        raise DecError(
            f"{weights}: has no weights for {', '.join(missing)} of {deploy}: those of "
            "another net"
        )
    return net


class _Net:
    """A pycaffe net on its way to ONNX; blobs have the numbers that Caffe gives them.

    Caffe tells which layers there are, of which type, and their shapes; the prototxt
    tells their settings.
    """

    def __init__(self, deploy: Path, net, settings: dict[str, Message]):
        self._deploy, self._net, self._settings = deploy, net, settings
        self._names = list(net._blob_names)
        self._shapes = [tuple(blob.shape) for blob in net._blobs]
        self._graph = Graph(set(self._names))
        self._values: dict[
            int, str
        ] = {}  # the ONNX names, as far as layers are written
        self._inputs: list[int] = []
        # In ONNX nothing is computed in place: the last value of a blob has its name.
        self._last = {
            self._names[blob]: i
            for i, layer in enumerate(net.layers)
            if layer.type not in NOTHING
            for blob in net._top_ids(i)
        }

    def graph(self, tops: Sequence[str]) -> GraphProto:
        """The whole of it."""
        for i, (name, layer) in enumerate(
            zip(self._net._layer_names, self._net.layers, strict=True)
        ):
            with _named(self._deploy, name, layer.type):
                self._write(i, name, layer)
        graph, outputs = self._graph, []
        for blob in self._outputs(tops):
            name, value = self._names[blob], self._values[blob]
            if value != name:
                graph.add("Identity", [value], name)
            integers = value in graph.integers
            outputs.append(value_info(name, self._shapes[blob], integers))
        inputs = [value_info(self._names[x], self._shapes[x]) for x in self._inputs]
        return helper.make_graph(graph.nodes, "net", inputs, outputs, graph.constants)

    def _write(self, i: int, name: str, layer) -> None:
        bottoms, tops = list(self._net._bottom_ids(i)), list(self._net._top_ids(i))
        if layer.type in NOTHING:
            self._values.update(dict.fromkeys(tops, self._values[bottoms[0]]))
            return
        taken = [self._values[blob] for blob in bottoms]
        for blob in tops:
            value = self._names[blob]
            is_last = self._last[value] == i
            self._values[blob] = (
                value if is_last else self._graph.name(f"{value}:{name}")
            )
        if layer.type == INPUT:
            # What no layer reads is none.
            self._inputs += [blob for blob in tops if blob not in self._net._outputs]
            return
        self._graph.convert(
            Layer(
                name,
                layer.type,
                self._settings[name],
                [blob.data for blob in layer.blobs],
                taken,
                [self._values[blob] for blob in tops],
                [self._shapes[blob] for blob in bottoms],
                [self._shapes[blob] for blob in tops],
            )
        )

    def _outputs(self, tops: Sequence[str]) -> list[int]:
        """The blobs that the model shall give, each once."""
        made = {
            self._names[blob]: blob
            for i, layer in enumerate(self._net.layers)
            if layer.type not in (INPUT, "Split")
            for blob in self._net._top_ids(i)
        }
        unknown = [name for name in tops if name not in made]
        if unknown:
            raise DecError(
                f"{self._deploy}: no layer makes {', '.join(unknown)}; there are "
                f"{', '.join(made)}"
            )
        last = [blob for blob in self._net._outputs if self._names[blob] in made]
        # What a layer reads may be a copy that Caffe has put in, of the same value.
        whole = {self._values[blob]: blob for blob in made.values()}
        points = [
            whole.get(self._values[self._net._bottom_ids(i)[0]])
            for i, layer in enumerate(self._net.layers)
            if layer.type == "MultiTLoss"
        ]
        found = [*last, *points, *(made[name] for name in tops)]
        return [blob for blob in dict.fromkeys(found) if blob is not None]
