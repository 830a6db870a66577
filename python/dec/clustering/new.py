"""`dec new`: an experiment of the user's own, copied once from another."""

import re
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from caffe.proto import caffe_pb2
from google.protobuf.message import Message

from dec.base import places
from dec.base.atomic import partial_path
from dec.base.errors import DecError
from dec.base.progress import say
from dec.data import leveldb, registry
from dec.engine.experiment import OWN, Experiment
from dec.nets import prototxt
from dec.nets.prototxt_edit import edited, in_comments


def new_experiment(
    name: str, like: str = "own", width: int | None = None, clusters: int | None = None
) -> Path:
    """Makes prototxt/dec/NAME, where the user stands, and returns it.

    The prototxts of the experiment `like` with names and paths of the new one, rows of
    `width` numbers and `clusters` clusters. width: None for that of data/NAME_total,
    or that of `like` without it. Encoders are not copied: they are of other data.
    Raises DecError where there is something of that name; nothing is overwritten.
    """
    if not registry.NAME.fullmatch(name):
        raise DecError(
            f"{name}: an experiment's name is a folder's, of letters, digits, - _ ."
        )
    source = Experiment.find(like)
    folder = Path("prototxt") / "dec" / name
    if folder.exists():
        raise DecError(f"{folder}: is there already; it was not touched")
    width = width or _width_of(name)
    folder.parent.mkdir(parents=True, exist_ok=True)
    partial = partial_path(folder)
    try:
        for file, inside in _files(source, name):
            text = _renamed(file, source.folder.name, name, width, clusters)
            to = partial / inside
            to.parent.mkdir(parents=True, exist_ok=True)
            to.write_text(text, encoding="utf-8")
        (partial / "README.md").write_text(_readme(name, source), encoding="utf-8")
        partial.rename(folder)
    except OSError as error:
        raise DecError(f"{folder}: cannot be written: {error.strerror}") from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    rows = f"rows of {width:,} numbers" if width else f"rows as those of {like}"
    say(f"{folder}: like {source.folder}, {rows}; yours to edit (`dec run {name}`)")
    return folder


def _files(source: Experiment, name: str) -> Iterator[tuple[Path, Path]]:
    """The prototxts to copy, each with its name in the new folder `name`."""
    # What own/ has for a kind of data (text_solver.prototxt) is the one solver here.
    kinds = {f"{known.name}_solver.prototxt" for known in registry.all_sets()}
    kind = replace(source, name=name).kind if source.name == OWN else source.name
    solver = source.folder / f"{kind}_solver.prototxt"
    for file in sorted(source.folder.rglob("*.prototxt")):
        inside = file.relative_to(source.folder)
        if str(inside) == "dec_solver.prototxt" and solver.exists():
            yield solver, inside
        elif str(inside) == "few_dec_solver.prototxt" and solver.exists():
            continue
        elif str(inside) not in kinds:
            yield file, inside


def _width_of(name: str) -> int | None:
    database = places.data() / f"{name}_total"
    if not database.is_dir():
        return None
    with leveldb.open_reader(database) as reader:
        return reader.width


def _renamed(
    file: Path, old: str, new: str, width: int | None, clusters: int | None
) -> str:
    """The text of a prototxt as the new experiment has it."""
    text = file.read_text(encoding="utf-8")
    solver = file.stem.endswith("_solver")
    before = (prototxt.read_solver if solver else prototxt.read_net)(file)
    after = type(before)()
    after.CopyFrom(before)
    if solver:
        _rename_paths(after, ("net", "snapshot_prefix"), old, new)
        after.weights[:] = [_path(w, old, new) for w in after.weights]
        return edited(text, before, after)
    after.name = re.sub(rf"^{re.escape(old)}(?=-|$)", new, after.name)
    for layer in after.layer:
        if layer.HasField("data_param"):
            _rename_paths(layer.data_param, ("source",), old, new)
    was = _width_in(after)
    prototxt.fit(after, width or was or 1, clusters)
    text = edited(text, before, after)
    return in_comments(text, rf"\b{was}\b", str(width)) if width and was else text


def _rename_paths(message: Message, fields: tuple[str, ...], old: str, new: str):
    for field in fields:
        setattr(message, field, _path(getattr(message, field), old, new))


def _path(path: str, old: str, new: str) -> str:
    """prototxt/dec/OLD/…, runs/OLD/… and data/OLD_… with the new name."""
    return re.sub(
        rf"^(prototxt/dec/|runs/|data/){re.escape(old)}(?=[/_])", rf"\g<1>{new}", path
    )


def _width_in(net: caffe_pb2.NetParameter) -> int | None:
    """The width of the rows that a net is written for, where it says so."""
    for layer in net.layer:
        if layer.type == "Input" and layer.top[0] == "data":
            return layer.input_param.shape[0].dim[1]
        if layer.name == "d_data":
            return layer.inner_product_param.num_output
    return None


def _readme(name: str, source: Experiment) -> str:
    return (
        f"# {name}\n\nMade by `dec new {name} --like {source.name}`; the README of "
        "that experiment says\nwhat the files are. Its LevelDBs are "
        f"`data/{name}_total`, `_train` and `_test`.\n"
    )
