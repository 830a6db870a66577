"""Phase 1: the stacked denoising autoencoder (the paper's section 3.2)."""

from pathlib import Path

from dec.base.errors import DecError
from dec.clustering import centre, length
from dec.engine.experiment import Experiment, Stage
from dec.engine.runs import Run
from dec.engine.training import Training

_STAGES = ("layer1", "layer2", "layer3", "layer4", "stack")


def pretrain(
    experiment: Experiment,
    run: Run,
    schedule: str,
    device: str,
    seed: int | None,
    data: str,
) -> tuple[Path, dict[str, float]]:
    """Trains layer after layer, then the whole, as the schedule says.

    Where it has a solver for few rows, and the rows are few, by that (length.py).
    `data` is the digest of the LevelDBs. What is up to date is skipped; an interrupted
    stage goes on where it was. Its course is kept in <stage>_history.json. Returns the
    autoencoder's weights and the seconds that every stage took, now or when it was
    trained.
    """
    done: list[str] = []
    seconds = {}
    for name, solver_file in stages(experiment, schedule):
        solver_file, iterations = length.solver_for(experiment, solver_file)
        stage = Stage.read(name, experiment, run, solver_file, device, seed)
        if iterations is not None:
            length.fill_in(stage, iterations)
        # The weights of the stages before, wherever the prototxt has them from.
        del stage.solver.weights[:]
        stage.solver.weights.extend(done)
        key, history = stage.digest(data), f"{name}_history.json"
        begin = centre.of(stage)
        record = Training(stage, key, stage.model, history, name, begin=begin).run()
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
