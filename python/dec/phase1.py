"""Phase 1: the stacked denoising autoencoder (the paper's section 3.2)."""

import time
from pathlib import Path

import numpy as np

from dec import caffe_process, progress
from dec.errors import DecError
from dec.experiment import Experiment, Stage
from dec.runs import Run

_CHUNK = 50  # iterations between two looks at the clock


def pretrain(
    experiment: Experiment,
    run: Run,
    schedule: str,
    device: str,
    seed: int | None,
    data: str,
) -> tuple[Path, dict[str, float]]:
    """Trains layer after layer, then the whole; skips what is up to date.

    `data` is the digest of the LevelDBs. Returns the autoencoder's weights and
    the seconds that every stage took, now or when it was trained.
    """
    done: list[str] = []
    seconds = {}
    for name, solver_file in experiment.pretraining(schedule):
        stage = Stage.read(name, run, solver_file, device, seed)
        # The weights of the stages before, wherever the prototxt has them from.
        del stage.solver.weights[:]
        stage.solver.weights.extend(done)
        digest = stage.digest(data)
        record = run.finished(name, digest)
        if record:
            progress.say(f"{name}: up to date")
        else:
            stage.write()
            start = time.monotonic()
            caffe_process.run(lambda stage=stage: _train(stage), run.log)
            record = run.finish(
                name, digest, [stage.model], seconds=time.monotonic() - start
            )
        seconds[name] = record["seconds"]
        done.append(str(run.path / stage.model))
    return Path(done[-1]), seconds


def _train(stage: Stage) -> None:
    import caffe

    solver = caffe.get_solver(str(stage.solver_file))
    total = stage.solver.max_iter
    with progress.bar(total, f"{stage.name:7}") as bar:
        while solver.iter < total:
            steps = min(_CHUNK, total - solver.iter)
            solver.step(steps)
            loss = float(np.mean(solver.net.blobs["loss"].data))
            if not np.isfinite(loss):
                raise DecError(
                    f"{stage.name}: the loss is {loss} after {solver.iter} iterations: "
                    f"training diverged. Try a smaller base_lr in {stage.source}."
                )
            bar.set_postfix_str(f"loss {loss * _weight(stage):.4f}", refresh=False)
            bar.update(steps)
    solver.snapshot()


def _weight(stage: Stage) -> float:
    """The loss weight, with which the printed loss is a mean over numbers."""
    for layer in stage.net.layer:
        if layer.name == "loss" and layer.loss_weight:
            return layer.loss_weight[0]
    return 1.0
