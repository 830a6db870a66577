"""The files that a training goes on from: Caffe's snapshots, and the best weights."""

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from dec.engine.experiment import Stage


@dataclass(frozen=True)
class Snapshots:
    """Of a stage. result: the file that gets the weights at the end, which stays."""

    stage: Stage
    result: str

    def iterations(self) -> list[int]:
        """Of the whole snapshots, in order."""
        prefix = Path(self.stage.solver.snapshot_prefix)
        # Caffe writes the weights first: where there is a state, both are there.
        states = prefix.parent.glob(f"{prefix.name}_iter_*.solverstate")
        return sorted(int(path.stem.rsplit("_", 1)[1]) for path in states)

    def state_file(self, iteration: int) -> Path:
        return Path(f"{self.stage.solver.snapshot_prefix}_iter_{iteration}.solverstate")

    def best_file(self, iteration: int) -> Path:
        """For the weights of a validation; the snapshot of then may be gone."""
        name = f"{self.stage.name}_best_iter_{iteration}.caffemodel"
        return self.stage.run.path / name

    def clear(self, but: Collection[int] = (), best: int = 0) -> None:
        """Removes all snapshots and best weights but those of these iterations."""
        for iteration in self.iterations():
            if iteration not in but:
                state = self.state_file(iteration)
                state.unlink()
                weights = state.with_suffix(".caffemodel")
                if weights.name != self.result:
                    weights.unlink(missing_ok=True)
        bests = self.stage.run.path.glob(f"{self.stage.name}_best_iter_*.caffemodel")
        for path in bests:
            if path != self.best_file(best):
                path.unlink()
