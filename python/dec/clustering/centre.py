"""The mean of all rows, taken off before the first layer, where a net has one for it.

    layer {
      name: "centre" type: "Bias" bottom: "data" top: "data"
      param { lr_mult: 0 decay_mult: 0 } bias_param { axis: 1 num_axes: 1 }
    }

What all rows have in common is most of what features of photos are; a short training
would spend itself on learning it. The layer travels with the weights, so that new rows
are taken as they are.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from dec.base.errors import DecError
from dec.data import leveldb
from dec.engine.experiment import Stage
from dec.nets.prototxt import data_layers

_NAME = "centre"


def of(stage: Stage) -> Callable[[Any], dict] | None:
    """What writes the mean into a stage's new pycaffe net; None without the layer.

    Reads all rows that the net trains on. Raises DecError for NaN in them and for a
    layer of that name that is another.
    """
    found = [layer for layer in stage.net.layer if layer.name == _NAME]
    if not found:
        return None
    if found[0].type != "Bias":
        raise DecError(
            f'{stage.source}: the layer "{_NAME}" of its net is a {found[0].type}; dec '
            "writes the rows' mean into a Bias layer of that name: give it another name"
        )
    mean = mean_of(data_layers(stage.net, "TRAIN")[0].data_param.source)

    def begin(net) -> dict:
        bias = net.params[_NAME][0].data
        if bias.size != mean.size:
            raise DecError(
                f'{stage.source}: the layer "{_NAME}" has {bias.size} numbers, rows '
                f"have {mean.size}: axis: 1 num_axes: 1 takes them all"
            )
        bias[...] = -mean.reshape(bias.shape)
        return {}

    return begin


def mean_of(database: str) -> np.ndarray:
    """The mean of a LevelDB's rows, float64; DecError names a row with NaN in it."""
    with leveldb.open_reader(database) as reader:
        total, at = np.zeros(reader.width), 0
        for rows, _ in reader.batches():
            rows = rows.reshape(len(rows), -1)
            bad = np.flatnonzero(~np.isfinite(rows).all(axis=1))
            if len(bad):
                raise DecError(
                    f"{database}: row {at + bad[0]} has NaN or infinity in it; "
                    f"`dec data verify {database}` shows all such rows"
                )
            total += rows.sum(axis=0, dtype=np.float64)
            at += len(rows)
    return total / at
