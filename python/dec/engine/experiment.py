"""The prototxt folder of an experiment, and the copies of it that a run uses."""

from dataclasses import dataclass
from pathlib import Path

from caffe.proto import caffe_pb2

from dec.base import places, progress
from dec.base.errors import DecError
from dec.data import leveldb, registry
from dec.engine.runs import Run, digest
from dec.nets import prototxt

OWN = "own"  # the experiment of data that have none of their own


@dataclass(frozen=True)
class Experiment:
    """A folder such as prototxt/dec/mnist, run under a name.

    The name is the folder's, or that of a data set without a folder of its own, to
    which the nets of another (own) are fitted. The paths in its files are relative to
    `root`, the folder that holds prototxt/, as `caffe train` called from there takes
    them.
    """

    name: str
    folder: Path
    root: Path

    @classmethod
    def find(cls, name: str, method: str = "dec", file: str = "dec.prototxt"):
        """By its path, by its name, or by that of a data set. file: which it must have.

        Looked for in the prototxt/ where the user stands, then in the project's own.
        """
        place = _place(name, method, file)
        if place:
            return cls(_name(place[0]), *place)
        if method == "dec" and (known := registry.find(name)):
            place = _place(known.experiment, method, file)
        elif method == "dec" and (places.data() / f"{name}_total").is_dir():
            place = _place(OWN, method, file)
        if place:
            return cls(name, *place)
        raise DecError(
            f"{name}: there is no such experiment (no prototxt/{method}/{name}/{file}, "
            f"here or in the project). There are: {', '.join(names(method, file))}."
        )

    @property
    def is_own_data(self) -> bool:
        """Whether its nets were made for the data that it is run on."""
        return self.name == _name(self.folder)

    @property
    def kind(self) -> str:
        """The data set that its data are of, where they have a name of their own."""
        if registry.find(self.name):
            return self.name
        meta = leveldb.read_meta(places.data() / f"{self.name}_total") or {}
        kinds = {known.kind: known.name for known in registry.all_sets() if known.kind}
        return kinds.get(meta.get("kind"), self.name)

    def read_solver(self, file: Path) -> caffe_pb2.SolverParameter:
        """The solver in a file of the experiment, or in one that the user names."""
        solver = prototxt.read_solver(file)
        if not solver.net:
            raise DecError(f'{file}: the field "net" is missing')
        if not self._net_file(solver.net).exists():
            raise DecError(
                f'{file}: "net" names {solver.net}, which is not there (paths are '
                "relative to the folder that holds prototxt/)"
            )
        if solver.max_iter <= 0:
            raise DecError(f'{file}: "max_iter" must be positive')
        return solver

    def read_net(self, file: str | Path) -> caffe_pb2.NetParameter:
        """A net of the experiment, reading the LevelDBs of the data it is run on."""
        net = prototxt.read_net(self._net_file(file))
        for layer in (*net.layer, *net.layers):
            if layer.HasField("data_param"):
                layer.data_param.source = self._source(layer.data_param.source)
        return net

    def _net_file(self, file: str | Path) -> Path:
        path = self.root / file
        return path if path.exists() or not Path(file).exists() else Path(file)

    def _source(self, source: str) -> str:
        here = f"data/{self.folder.name}_"
        if not self.is_own_data and source.startswith(here):
            source = f"data/{self.name}_{source.removeprefix(here)}"
        return str(places.home() / source)


def names(method: str = "dec", file: str = "dec.prototxt") -> list[str]:
    """What `Experiment.find` knows, in order."""
    found = {
        _name(path.parent)
        for root in places.roots()
        for below in ("prototxt/*/*", "prototxt/*")
        for path in root.glob(f"{below}/{file}")
    }
    if method == "dec":
        found |= {known.name for known in registry.all_sets()}
    return sorted(found)


def _place(name: str, method: str, file: str) -> tuple[Path, Path] | None:
    """Folder and root of an experiment that has a folder."""
    folder = Path(name)
    if (folder / file).exists():
        above = [p.parent for p in folder.parents if p.name == "prototxt"]
        return folder, above[0] if above else Path()
    # caffenet-small is caffenet/small; squeezenet alone is squeezenet/photos.
    spellings = f"{method}/{name}", name, name.replace("-", "/", 1), f"{name}/photos"
    for root in places.roots():
        for below in spellings:
            if (root / "prototxt" / below / file).exists():
                return root / "prototxt" / below, root
    return None


def _name(folder: Path) -> str:
    """mnist for prototxt/dec/mnist, caffenet-small for prototxt/caffenet/small."""
    folder = folder.resolve()
    if folder.parents[1].name != "prototxt" or folder.parent.name == "dec":
        return folder.name
    return f"{folder.parent.name}-{folder.name}"


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
    to fill in; `write` puts them into the run folder. source: the solver's file, which
    the user edits.
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
        experiment: Experiment,
        run: Run,
        solver_file: Path,
        device: str,
        seed: int | None,
        clusters: int | None = None,
    ) -> "Stage":
        """Raises DecError for what is missing, in the files or among LevelDBs."""
        solver = experiment.read_solver(solver_file)
        net = experiment.read_net(solver.net)
        _point_at_run(net, experiment.folder.name, run)
        for change in prototxt.fit(net, row_width(net, solver.net), clusters):
            progress.say(f"{name}: {solver.net} is fitted to the data: {change}")
        stage = cls(name, run, solver, net, str(solver_file))
        stage.fill_in(device, seed)
        return stage

    def fill_in(self, device: str, seed: int | None) -> None:
        """Has the solver run in the run's folder, on the device, with the seed."""
        solver = self.solver
        solver.net = str(self.net_file)
        solver.snapshot_prefix = str(self.run.path / self.prefix)
        solver.solver_mode = caffe_pb2.SolverParameter.SolverMode.Value(device.upper())
        if seed is not None:
            solver.random_seed = seed

    @property
    def prefix(self) -> str:
        """What the names of its snapshots begin with."""
        return self.name

    @property
    def solver_file(self) -> Path:
        return self.run.prototxt / f"{self.name}_solver.prototxt"

    @property
    def net_file(self) -> Path:
        return self.run.prototxt / f"{self.name}.prototxt"

    @property
    def model(self) -> str:
        """The name that Caffe gives the weights at the end."""
        return f"{self.name}_iter_{self.solver.max_iter}.caffemodel"

    @property
    def header(self) -> str:
        """What the copies in the run's folder say of themselves."""
        return f"As run by dec; from {self.source}. Edit that file, not this one."

    def write(self) -> None:
        prototxt.write(self.net_file, self.net, self.header)
        prototxt.write(self.solver_file, self.solver, self.header)

    def digest(self, *more: str | Path) -> str:
        """Of all that decides the result: solver, net, weights and `more`."""
        solver, net = caffe_pb2.SolverParameter(), self.net
        solver.CopyFrom(self.solver)
        solver.ClearField("weights")
        weights = (Path(w) for w in self.solver.weights)
        return digest(str(solver), str(net), *weights, *more)


def _point_at_run(net: caffe_pb2.NetParameter, name: str, run: Run) -> None:
    """What the experiment reads from its own run folder, this run has in its own."""
    there = str(places.home() / "runs" / name) + "/"
    for layer in (*net.layer, *net.layers):
        source = layer.data_param.source
        if source.startswith(there):
            layer.data_param.source = str(run.path / source.removeprefix(there))
