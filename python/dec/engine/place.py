"""Where in its data a training is: the rows that it reads next.

Caffe's snapshots do not hold it. A Data layer on a LevelDB starts at any row
(`data_param.seek`). One that crops or mirrors at random draws from a generator of its
own, which is where it was only after as many batches; other layers that read files
have no such place either: their batches are read once more.
"""

from collections.abc import Collection

from caffe.proto import caffe_pb2

from dec.base import progress
from dec.data import leveldb
from dec.nets.prototxt import data_layers


def seek(
    net: caffe_pb2.NetParameter, batches: int, stages: Collection[str]
) -> set[str]:
    """Has the Data layers of TRAIN begin after so many batches, where they can.

    Returns the names of those layers; the others need `read_past`. stages: of the
    solver's train_state. Raises DecError for a LevelDB that cannot be read.
    """
    found = set()
    for layer in data_layers(net, "TRAIN", stages):
        data = layer.data_param
        if data.backend != data.LEVELDB or _draws(layer):
            continue
        if (leveldb.read_meta(data.source) or {}).get("encoded"):
            continue  # a reader of rows of numbers cannot open it
        with leveldb.open_reader(data.source) as reader:
            rows = reader.rows
        first = int(data.seek or 0)
        data.seek = f"{(first + batches * data.batch_size) % rows:08d}"
        found.add(layer.name)
    return found


def read_past(net, batches: int, but: Collection[str]) -> None:
    """Reads batches that have been trained on already, by a pycaffe net.

    but: layers that are at their place. Changes Caffe's random generator where such a
    layer draws from it.
    """
    sources = [
        i
        for i, name in enumerate(net._layer_names)
        if not net.bottom_names[name] and net.layers[i].type != "Input"
        if name not in but
    ]
    if not sources:
        return
    with progress.bar(batches, "finding the place", " batches") as bar:
        for _ in range(batches):
            for i in sources:
                net._forward(i, i)
            bar.update()


def _draws(layer) -> bool:
    """Whether a layer of TRAIN draws numbers: DataTransformer::InitRand in Caffe."""
    # The old spelling has these fields in data_param.
    return any(
        p.crop_size or p.mirror for p in (layer.transform_param, layer.data_param)
    )
