"""How long stages train: as their solvers say, or as the number of rows asks for.

There may be a second solver of a stage, few_<stage>_solver.prototxt, for data of few
rows, whose train_state has two stages more, which no net knows:

    max_iter: 5000
    train_state { stage: "120-passes" stage: "500-iterations" }

It is run for as many iterations as 120 passes over the rows take, and for 500 if
those are more; where they are more than max_iter, the data are not few, and the
stage's other solver is run. Labels have no part in it. Of phase 2 that is one round.
"""

import math
import re
from pathlib import Path
from typing import NamedTuple

from caffe.proto import caffe_pb2

from dec.base import progress
from dec.base.errors import DecError
from dec.data import leveldb
from dec.engine.experiment import Experiment, Stage
from dec.nets import prototxt

_WORDS = re.compile(r"([1-9]\d*)-(passes|iterations)")


class Length(NamedTuple):
    """What a solver for few rows says: iterations of so many passes, or `least`."""

    passes: int
    least: int
    most: int

    @classmethod
    def read(cls, file: Path) -> "Length":
        """DecError for a file that does not say both."""
        solver = prototxt.read_solver(file)
        found = [_WORDS.fullmatch(word) for word in solver.train_state.stage]
        told = {word[2]: int(word[1]) for word in found if word}
        if told.keys() != {"passes", "iterations"}:
            raise DecError(
                f"{file}: a solver for few rows says how long it trains: train_state "
                '{ stage: "120-passes" stage: "500-iterations" }'
            )
        return cls(told["passes"], told["iterations"], solver.max_iter)

    def iterations(self, rows: int, batch: int) -> int | None:
        """For so many rows in batches of that size; None where those are not few."""
        wanted = max(self.least, math.ceil(self.passes * rows / batch))
        return wanted if wanted <= self.most else None


def solver_for(experiment: Experiment, solver_file: Path) -> tuple[Path, int | None]:
    """The solver of a stage that fits the data, and its iterations.

    None: as the solver says. Raises DecError for what is missing or cannot be read.
    """
    few = solver_file.with_name(f"few_{solver_file.name}")
    if not few.exists():
        return solver_file, None
    length = Length.read(few)
    solver = experiment.read_solver(few)
    net = experiment.read_net(solver.net)
    layers = prototxt.data_layers(net, "TRAIN")
    if not layers:
        raise DecError(f"{few}: its net has no Data layer in TRAIN")
    data = layers[0].data_param
    with leveldb.open_reader(data.source) as reader:
        rows = reader.rows
    iterations = length.iterations(rows, data.batch_size)
    if iterations is None:
        return solver_file, None
    # An experiment may have a number of its own (the estimator's pretrain_iter).
    return few, iterations if solver.max_iter == length.most else solver.max_iter


def fill_in(stage: Stage, iterations: int) -> None:
    """Has a stage for few rows train so long, and says so."""
    state = stage.solver.train_state
    kept = [word for word in state.stage if not _WORDS.fullmatch(word)]
    stage.solver.ClearField("train_state")
    if kept:
        stage.solver.train_state.CopyFrom(caffe_pb2.NetState(stage=kept))
    stage.solver.max_iter = iterations
    progress.say(
        f"{stage.name}: few rows, so {stage.source}, "
        f"{stage.solver.max_iter:,} iterations{' a round' * (stage.name == 'dec')}"
    )
