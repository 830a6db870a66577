"""The prototxt folder of a DeepCluster, and the copies of it that a run uses."""

from dataclasses import dataclass, replace
from pathlib import Path

from caffe.proto import caffe_pb2

from dec.base import progress
from dec.base.errors import DecError
from dec.deepcluster.settings import FILE, Settings
from dec.engine import experiment as engine
from dec.engine.runs import Run, digest
from dec.nets import prototxt

GREY, SOBEL = "grey", "sobel"  # layers whose weights the driver writes
_LAGS = 0.25  # of an epoch: BatchNorm's averages should not look back further


class Experiment(engine.Experiment):
    """A folder such as prototxt/deepcluster/cifar10.

    deepcluster.toml, solver.prototxt with its net, deploy.prototxt.
    """

    @classmethod
    def find(cls, name: str) -> "Experiment":
        """By its path or its name below prototxt/deepcluster, as cifar10."""
        return super().find(name, "deepcluster", FILE)

    def settings(self) -> Settings:
        return Settings.read(self.folder / FILE)


@dataclass(frozen=True)
class Changes:
    """What a command line says instead of the experiment's files; None: as they do."""

    clusters: int | None = None
    epochs: int | None = None
    train: str | None = None
    test: str | None = None
    head: str | None = None
    sizes: str | None = None
    recluster: int | None = None
    images: tuple[int, int] | None = None


class Files(engine.Stage):
    """An experiment's files as one run uses them.

    What is filled in: how many clusters the last layer tells apart if `changes` says
    so, max_iter (epochs times batches of an epoch), snapshot (an epoch where it says
    0), the run's folder, device and seed.
    """

    def __init__(
        self,
        experiment: Experiment,
        run: Run,
        images: int,
        device: str = "cpu",
        seed: int | None = None,
        changes: Changes | None = None,
    ):
        """images: to train on. Raises DecError for nets that cannot do it."""
        folder = experiment.folder
        solver = experiment.read_solver(folder / "solver.prototxt")
        source = str(folder / "solver.prototxt")
        net = experiment.read_net(solver.net)
        super().__init__("train", run, solver, net, source)
        self.folder = folder
        self.deploy = prototxt.read_net(folder / "deploy.prototxt")
        self.settings = changed(experiment.settings(), changes)
        self._check_inputs()
        if changes and changes.clusters:
            for one in (self.net, self.deploy):
                self._head_of(one).inner_product_param.num_output = changes.clusters
        if self._head_of(self.deploy).inner_product_param.num_output != self.clusters:
            raise DecError(
                f'{folder}: the layer "{self.head}" tells {self.clusters} clusters '
                "apart in the net, another number in deploy.prototxt"
            )
        if images < self.clusters:
            raise DecError(
                f"{images:,} images cannot make {self.clusters:,} clusters; see "
                "--clusters"
            )
        self._check_features()
        self._check_momentum()
        draws = max(1, round(self.settings.reassign * images))
        self.steps = max(1, draws // self.batch)
        solver.max_iter = self.settings.epochs * self.steps
        solver.snapshot = solver.snapshot or self.steps
        if solver.display == 0:
            solver.display = max(1, self.steps // 20)
        solver.snapshot_after_train = False
        self._say_lag()
        self.fill_in(device, seed)
        if self.solver.random_seed < 0:
            self.solver.random_seed = 1  # one seed, one result: never the clock's

    @property
    def seed(self) -> int:
        return self.solver.random_seed

    @property
    def device(self) -> str:
        on_gpu = self.solver.solver_mode == self.solver.GPU
        return "gpu" if on_gpu else "cpu"

    @property
    def batch(self) -> int:
        return self._shape("data")[0]

    @property
    def side(self) -> tuple[int, int]:
        """Height and width of the input."""
        return tuple(self._shape("data")[2:])

    @property
    def head(self) -> str:
        """The name of the last layer, which tells the clusters apart."""
        return self._head_of(self.net).name

    @property
    def scores(self) -> str:
        """The blob that the last layer gives: a number a cluster."""
        return self._loss().bottom[0]

    @property
    def clusters(self) -> int:
        return self._head_of(self.net).inner_product_param.num_output

    @property
    def loss(self) -> str:
        return self._loss().top[0]

    @property
    def head_std(self) -> float:
        """Of the new last layer's weights: of its own filler."""
        filler = self._head_of(self.net).inner_product_param.weight_filler
        if filler.type != "gaussian" or filler.mean:
            raise DecError(
                f'{self.solver_net}: the weights of "{self.head}" are drawn anew, so '
                'weight_filler is to be type: "gaussian" with a std'
            )
        return filler.std

    @property
    def solver_net(self) -> str:
        return str(self.folder / "train.prototxt")

    @property
    def prefix(self) -> str:
        return "snapshot"

    @property
    def header(self) -> str:
        return f"As run by dec; from {self.folder}. Edit those files, not this one."

    @property
    def deploy_file(self) -> Path:
        return self.run.path / "deploy.prototxt"

    def digest(self, *more: str | Path) -> str:
        """Of all that decides the result."""
        files = (str(self.solver), str(self.net), str(self.deploy), repr(self.settings))
        return digest(*files, *more)

    def write(self) -> None:
        super().write()
        words = f"{self.header} data: blue, green, red, 0 to 255."
        prototxt.write(self.deploy_file, self.deploy, words)

    def _loss(self):
        found = [x for x in self.net.layer if x.type == "SoftmaxWithLoss"]
        if len(found) != 1:
            raise DecError(f"{self.solver_net}: one SoftmaxWithLoss layer is needed")
        return found[0]

    def _head_of(self, net: caffe_pb2.NetParameter):
        """The InnerProduct layer that gives what the loss sees, in either net."""
        blob = self._loss().bottom[0]
        makers = [x for x in net.layer if blob in x.top and x.type == "InnerProduct"]
        if len(makers) != 1:
            raise DecError(
                f'{self.folder}: "{blob}", which the loss compares with the clusters, '
                f'does not come from an InnerProduct layer in net "{net.name}"'
            )
        return makers[0]

    def _shape(self, top: str) -> tuple[int, ...]:
        found = [x for x in self.net.layer if x.type == "Input" and top in x.top]
        if len(found) != 1 or len(found[0].input_param.shape) != 1:
            raise DecError(
                f'{self.solver_net}: an Input layer "{top}" with its shape is needed'
            )
        return tuple(found[0].input_param.shape[0].dim)

    def _check_inputs(self) -> None:
        if self.net.layers or prototxt.data_layers(self.net, "TRAIN", ()):
            raise DecError(
                f"{self.solver_net}: Input layers are needed, data and label, which "
                "dec fills; a Data layer reads in the order of its keys"
            )
        shape = self._shape("data")
        if len(shape) != 4 or shape[1] != 3 or self._shape("label") != shape[:1]:
            raise DecError(
                f"{self.solver_net}: data is n x 3 x height x width, label n; they are "
                f"{shape} and {self._shape('label')}"
            )

    def _check_features(self) -> None:
        blob = self.settings.features
        makers = [x.name for x in self.deploy.layer if blob in x.top]
        if not makers:
            there = ", ".join(
                dict.fromkeys(t for x in self.deploy.layer for t in x.top)
            )
            raise DecError(
                f'{self.folder / FILE}: "features" is {blob}, which deploy.prototxt '
                f"does not have; it has {there}"
            )
        if len(makers) > 1:
            raise DecError(
                f"{self.folder / 'deploy.prototxt'}: {blob}, which is clustered, is "
                f"overwritten by {makers[-1]}, in place; give that layer another top"
            )

    def _check_momentum(self) -> None:
        """A new last layer must not start with what moved the old one."""
        layer = self._head_of(self.net)
        free = [spec.momentum_mult == 0 for spec in layer.param]
        if self.solver.momentum and (len(free) < 2 or not all(free)):
            raise DecError(
                f'{self.solver_net}: "{layer.name}" is a new layer after each '
                "clustering, but would be moved by the old one's momentum; say "
                "momentum_mult: 0 in both of its param"
            )

    def _say_lag(self) -> None:
        slow = [
            x.name
            for x in self.net.layer
            if x.type == "BatchNorm"
            and 1 / (1 - x.batch_norm_param.moving_average_fraction)
            > max(10, _LAGS * self.steps)
        ]
        if slow:
            progress.say(
                f"{self.solver_net}: the moving averages of {', '.join(slow)} look "
                f"back far for epochs of {self.steps} iterations, so features are "
                "of a net that was; see moving_average_fraction (0.9 is PyTorch's)"
            )


def changed(settings: Settings, changes: Changes | None) -> Settings:
    """The settings with what the command line says instead."""
    if changes is None:
        return settings
    names = ("epochs", "train", "test", "head", "sizes", "recluster", "images")
    given = {name: getattr(changes, name) for name in names}
    return replace(settings, **{n: v for n, v in given.items() if v is not None})
