"""The prototxt folder of an experiment, and the copies of it that a run uses."""

from dataclasses import dataclass
from pathlib import Path

from caffe.proto import caffe_pb2

from dec import progress, prototxt
from dec.data import leveldb
from dec.errors import DecError
from dec.runs import Run, digest

_STAGES = ("layer1", "layer2", "layer3", "layer4", "stack")


@dataclass(frozen=True)
class Experiment:
    """A folder such as prototxt/mnist.

    The paths in its files are relative to the project's root, as `caffe train`
    called from there takes them.
    """

    name: str
    folder: Path

    @classmethod
    def find(cls, name: str) -> "Experiment":
        folder = Path("prototxt") / name
        if not folder.is_dir():
            found = Path("prototxt").glob("*/dec.prototxt")
            there = sorted(path.parent.name for path in found)
            raise DecError(
                f"{folder}: there is no such folder here ({Path.cwd()}). "
                + (f"Experiments: {', '.join(there)}." if there else "")
                + " Call dec from the project's root."
            )
        return cls(name, folder)

    def pretraining(self, schedule: str) -> list[tuple[str, Path]]:
        """Phase 1's stages in order: name and solver file.

        A schedule trains layer after layer and then the whole, or the whole at once:
        then it has no solver for any layer.
        """
        solvers = [
            (s, self.folder / schedule / f"{s}_solver.prototxt") for s in _STAGES
        ]
        missing = [str(path) for _, path in solvers if not path.exists()]
        if missing == [str(path) for _, path in solvers[:-1]]:
            return solvers[-1:]
        if missing:
            raise DecError(f"there is no {missing[0]}, which phase 1 needs")
        return solvers


def row_width(net: caffe_pb2.NetParameter, source: str) -> int:
    """How many numbers a row has in the LevelDB that a net reads; opens it."""
    for layer in prototxt.data_layers(net, "TRAIN"):
        if layer.top[0] == "data":
            with leveldb.open_reader(layer.data_param.source) as reader:
                return reader.width
    raise DecError(f'{source}: it has no Data layer "data" in TRAIN')


def clusters_of(net: caffe_pb2.NetParameter, source: str) -> int:
    """How many centres a net's clustering loss has."""
    for layer in (*net.layer, *net.layers):
        if layer.HasField("multi_t_loss_param"):
            return layer.multi_t_loss_param.num_center
    raise DecError(f"{source}: its net has no MultiTLoss layer")


@dataclass
class Stage:
    """One training of a run: its solver and net as they will be run.

    `solver` and `net` are what the user's files say, with what the driver has
    to fill in; `write` puts them into the run folder.
    """

    name: str
    run: Run
    solver: caffe_pb2.SolverParameter
    net: caffe_pb2.NetParameter
    source: str

    @classmethod
    def read(
        cls,
        name: str,
        run: Run,
        solver_file: Path,
        device: str,
        seed: int | None,
        clusters: int | None = None,
    ) -> "Stage":
        """Raises DecError for what is missing, in the files or among LevelDBs."""
        solver = prototxt.read_solver(solver_file)
        if not solver.HasField("net"):
            raise DecError(f'{solver_file}: the field "net" is missing')
        net = prototxt.read_net(Path(solver.net))
        for change in prototxt.fit(net, row_width(net, solver.net), clusters):
            progress.say(f"{name}: {solver.net} is fitted to the data: {change}")
        solver.net = str(run.prototxt / f"{name}.prototxt")
        solver.snapshot_prefix = str(run.path / name)
        solver.solver_mode = caffe_pb2.SolverParameter.SolverMode.Value(device.upper())
        if seed is not None:
            solver.random_seed = seed
        if solver.max_iter <= 0:
            raise DecError(f'{solver_file}: "max_iter" must be positive')
        return cls(name, run, solver, net, str(solver_file))

    @property
    def solver_file(self) -> Path:
        return self.run.prototxt / f"{self.name}_solver.prototxt"

    @property
    def net_file(self) -> Path:
        return Path(self.solver.net)

    @property
    def model(self) -> str:
        """The name that Caffe gives the weights at the end."""
        return f"{self.name}_iter_{self.solver.max_iter}.caffemodel"

    def write(self) -> None:
        header = f"As run by dec; from {self.source}. Edit that file, not this one."
        prototxt.write(self.net_file, self.net, header)
        prototxt.write(self.solver_file, self.solver, header)

    def digest(self, *more: str | Path) -> str:
        """Of all that decides the result: solver, net, weights and `more`."""
        solver, net = caffe_pb2.SolverParameter(), self.net
        solver.CopyFrom(self.solver)
        solver.ClearField("weights")
        weights = (Path(w) for w in self.solver.weights)
        return digest(str(solver), str(net), *weights, *more)
