"""Phase 1: the stacked denoising autoencoder (the paper's section 3.2)."""

import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from dec.base import progress
from dec.base.errors import DecError
from dec.data import leveldb
from dec.engine import caffe_process
from dec.engine.experiment import Experiment, Stage
from dec.engine.prototxt import data_layers
from dec.engine.runs import Run

_STAGES = ("layer1", "layer2", "layer3", "layer4", "stack")
_CHUNK = 50  # iterations between two looks at the clock


def pretrain(
    experiment: Experiment,
    run: Run,
    schedule: str,
    device: str,
    seed: int | None,
    data: str,
) -> tuple[Path, dict[str, float]]:
    """Trains layer after layer, then the whole, as the schedule says.

    `data` is the digest of the LevelDBs. What is up to date is skipped; an interrupted
    stage goes on from its last snapshot. Returns the autoencoder's weights and the
    seconds that every stage took, now or when it was trained.
    """
    done: list[str] = []
    seconds = {}
    for name, solver_file in stages(experiment, schedule):
        stage = Stage.read(name, experiment, run, solver_file, device, seed)
        # The weights of the stages before, wherever the prototxt has them from.
        del stage.solver.weights[:]
        stage.solver.weights.extend(done)
        digest = stage.digest(data)
        record = run.finished(name, digest)
        if record:
            progress.say(f"{name}: up to date")
        else:
            record = _run_stage(stage, digest)
        seconds[name] = record["seconds"]
        done.append(str(run.path / stage.model))
    return Path(done[-1]), seconds


def stages(experiment: Experiment, schedule: str) -> list[tuple[str, Path]]:
    """Phase 1's stages in order: name and solver file.

    A schedule, a folder of the experiment, trains layer after layer and then the whole,
    or the whole at once: then it has no solver for any layer.
    """
    folder = experiment.folder / schedule
    solvers = [(name, folder / f"{name}_solver.prototxt") for name in _STAGES]
    missing = [str(path) for _, path in solvers if not path.exists()]
    if missing == [str(path) for _, path in solvers[:-1]]:
        return solvers[-1:]
    if missing:
        raise DecError(f"there is no {missing[0]}, which phase 1 needs")
    return solvers


def _run_stage(stage: Stage, digest: str) -> dict:
    """Trains a stage, from its last snapshot if that is its own."""
    before = stage.run.begin(stage.name, digest)
    if before is None:
        _remove_snapshots(stage)
    snapshot = _last_snapshot(stage)
    clock = time.monotonic() - (before if before and snapshot else 0.0)
    _prepare(stage, snapshot)

    def reached() -> None:
        stage.run.reached(stage.name, digest, time.monotonic() - clock)

    caffe_process.run(lambda: _train(stage, snapshot, reached), stage.run.log)
    seconds = time.monotonic() - clock
    record = stage.run.finish(stage.name, digest, [stage.model], seconds=seconds)
    _remove_snapshots(stage)
    return record


def _prepare(stage: Stage, iteration: int) -> None:
    """Writes the stage's prototxts, with the row at which this iteration starts."""
    for layer in data_layers(stage.net, "TRAIN"):
        data = layer.data_param
        if iteration and data.backend == data.LEVELDB:
            with leveldb.open_reader(data.source) as reader:
                rows = reader.rows
            first = int(data.seek or 0)
            used = iteration * data.batch_size * stage.solver.iter_size
            data.seek = f"{(first + used) % rows:08d}"
    stage.write()


def _train(stage: Stage, snapshot: int, reached: Callable[[], None]) -> None:
    import caffe

    # pycaffe's solvers do not look at solver_mode.
    if stage.solver.solver_mode == stage.solver.GPU:
        caffe.set_mode_gpu()
    solver = caffe.get_solver(str(stage.solver_file))
    if snapshot:
        solver.restore(str(_state_file(stage, snapshot)))
        progress.say(f"{stage.name}: goes on from iteration {snapshot:,}")
    total = stage.solver.max_iter
    with progress.bar(total, f"{stage.name:7}", initial=solver.iter) as bar:
        while solver.iter < total:
            steps = min(_CHUNK - solver.iter % _CHUNK, total - solver.iter)
            solver.step(steps)
            loss = float(np.mean(solver.net.blobs["loss"].data))
            if not np.isfinite(loss):
                raise DecError(
                    f"{stage.name}: the loss is {loss} after {solver.iter} iterations: "
                    f"training diverged. Try a smaller base_lr in {stage.source}; rows "
                    "with NaN in them do the same (`dec data verify` tells)."
                )
            bar.set_postfix_str(f"loss {loss * _weight(stage):.4f}", refresh=False)
            bar.update(steps)
            if _last_snapshot(stage) != snapshot:
                snapshot = _last_snapshot(stage)
                _remove_snapshots(stage, all_but=snapshot)
                reached()
    solver.snapshot()


def _state_file(stage: Stage, iteration: int) -> Path:
    return stage.run.path / f"{stage.name}_iter_{iteration}.solverstate"


def _last_snapshot(stage: Stage) -> int:
    """The iteration of the last whole snapshot, 0 without one."""
    # Caffe writes the weights first: where there is a state, both are there.
    states = stage.run.path.glob(f"{stage.name}_iter_*.solverstate")
    return max((int(path.stem.rsplit("_", 1)[1]) for path in states), default=0)


def _remove_snapshots(stage: Stage, all_but: int = 0) -> None:
    """Removes snapshots, but not the weights at the end, which are the result."""
    for state in stage.run.path.glob(f"{stage.name}_iter_*.solverstate"):
        if state != _state_file(stage, all_but):
            state.unlink()
            weights = state.with_suffix(".caffemodel")
            if weights.name != stage.model:
                weights.unlink(missing_ok=True)


def _weight(stage: Stage) -> float:
    """The loss weight, with which the printed loss is a mean over numbers."""
    for layer in stage.net.layer:
        if layer.name == "loss" and layer.loss_weight:
            return layer.loss_weight[0]
    return 1.0
