"""The prototxt folder of a fine-tuning, and the copies of it that a run uses."""

import re
from pathlib import Path

from caffe.proto import caffe_pb2
from google.protobuf import text_format

from dec.base.errors import DecError
from dec.data.labelled.dataset import DataSet, Options
from dec.data.labelled.prepare import PhotoInput
from dec.engine import experiment as engine
from dec.engine.runs import Run, digest
from dec.nets import feature_net, prototxt
from dec.nets.weights import read_weights

_LOSSES = ("SoftmaxWithLoss", "InfogainLoss")
_WEIGHTED = "weighted"  # the solver stage that chooses the weighted loss
_REGRESSION = "LogisticRegression"  # solver type: dec.classify.linear, not Caffe


class Experiment(engine.Experiment):
    """A folder such as prototxt/caffenet/small: train_val, solver and deploy.

    `weights` in its solver may name a feature net (a folder with features.toml): then
    training starts from the weights that are published of that.
    """

    @classmethod
    def find(cls, name: str) -> "Experiment":
        """By its path or by its name below prototxt/, as caffenet-small."""
        return super().find(name, "caffenet", "solver.prototxt")

    def solver(self) -> caffe_pb2.SolverParameter:
        return self.read_solver(self.folder / "solver.prototxt")

    def net(self) -> caffe_pb2.NetParameter:
        net = self.read_net(self.solver().net)
        if net.layers:
            raise DecError(
                f"{self.solver().net}: is in the old spelling (layers {{ … }}); "
                ".venv/bin/upgrade_net_proto_text brings it up to date"
            )
        return net

    def start(self) -> Path | None:
        """The caffemodel that `weights` in the solver means, None without.

        Raises DecError where it is not to be had, as dec.nets.feature_net.open_net.
        """
        named = list(self.solver().weights)
        if not named:
            return None
        if len(named) > 1:
            raise DecError(f"{self.folder / 'solver.prototxt'}: more than one weights")
        path = self.root / named[0]
        if (path / feature_net.FILE).exists():
            found = feature_net.FeatureNet.find(f"{path.parent}/{path.name}")
            return feature_net.open_net(found).weights
        return path

    def weights(self, given: Path | None = None, sha256: str | None = None):
        """The caffemodel to start from: the one that the user has given, or `start`.

        Raises DecError for one that cannot be read, or has another SHA-256.
        """
        found = given or self.start()
        if found:
            read_weights(found, sha256)
        return found

    def data(self) -> Path:
        """The data set that the net's training reads."""
        return Path(_data_layer(self.net(), "TRAIN").data_param.source).parent

    def options(self) -> Options:
        """Size and copies of the photos there, which end the folder's name."""
        folder = self.data()
        match = re.search(r"-(\d+)x(\d+)(?:-copies(\d+))?$", folder.name)
        if not match:
            raise DecError(
                f"{self.folder}: the net reads {folder}, whose name does not end with "
                "a size, such as labelled-80x80 or labelled-80x80-copies8, so that of "
                "the photos is not known"
            )
        size = int(match[1]), int(match[2])
        return Options(size=size, copies=int(match[3] or 0))


class Files(engine.Stage):
    """An experiment's three files as one run uses them: its training, and deploy net.

    What is filled in: where the data are, how many classes they have, how many
    batches all of val is, the run's folder, device and seed, the stage that weights
    classes, and what `changes` (in prototxt's own words) says of the solver.
    """

    def __init__(
        self,
        experiment: Experiment,
        run: Run,
        data: DataSet,
        device: str = "cpu",
        seed: int | None = None,
        weighted: bool = False,
        changes: str = "",
    ):
        solver, folder = experiment.solver(), experiment.folder
        source = str(folder / "solver.prototxt")
        super().__init__("train", run, solver, experiment.net(), source)
        self.data, self.folder = data, folder
        self.deploy = prototxt.read_net(folder / "deploy.prototxt")
        _merge(solver, changes)
        # They are put into the net by the driver, which has fetched and checked them.
        solver.ClearField("weights")
        self.fill_in(device, seed)
        if self.solver.random_seed < 0:
            self.solver.random_seed = 1  # one seed, one result: never the clock's
        if weighted:
            self.solver.train_state.stage.append(_WEIGHTED)
        self._point_at_data()
        self._set_outputs()
        self._set_test_iter()
        self.preparation = self._preparation()
        self._check_input()
        self._refuse_in_place()

    @property
    def prefix(self) -> str:
        return "snapshot"

    @property
    def net_file(self) -> Path:
        return self.run.prototxt / "train_val.prototxt"

    @property
    def solver_file(self) -> Path:
        return self.run.prototxt / "solver.prototxt"

    @property
    def deploy_file(self) -> Path:
        return self.run.path / "deploy.prototxt"

    @property
    def score(self) -> str:
        """The blob that holds a number a class, before the softmax."""
        return self._loss().bottom[0]

    @property
    def last(self):
        """The layer with weights that gives the scores."""
        return _last_layer(self.net, self.score, self.folder)

    @property
    def is_regression(self) -> bool:
        """Whether the last layer is found by dec.classify.linear."""
        return self.solver.type == _REGRESSION

    @property
    def is_frozen(self) -> bool:
        """Whether all layers but the last keep the weights that they start with."""
        last = self.last.name
        return self.is_regression or all(
            layer.name == last or _is_frozen(layer) for layer in self.net.layer
        )

    @property
    def is_weighted(self) -> bool:
        """Whether every class counts the same."""
        return _WEIGHTED in self.solver.train_state.stage

    @property
    def label(self) -> str:
        """The blob that holds the labels."""
        return self._loss().bottom[1]

    @property
    def header(self) -> str:
        return f"As run by dec; from {self.folder}. Edit those files, not this one."

    def digest(self, *more: str | Path) -> str:
        """Of all that decides the result."""
        files = (str(self.solver), str(self.net), str(self.deploy))
        return digest(*files, self.data.digest, *more)

    def write(self) -> None:
        super().write()
        test = self.run.prototxt / "test.prototxt"
        prototxt.write(test, self._test_net(), self.header)
        prototxt.write(self.deploy_file, self.deploy, self.header)

    def _point_at_data(self):
        folder = self.data.folder
        for phase, which in (("TRAIN", "train"), ("TEST", "val")):
            layer = _data_layer(self.net, phase)
            layer.data_param.source = str(folder / which)
            if layer.transform_param.mean_file:
                layer.transform_param.mean_file = str(folder / "mean.binaryproto")
        for layer in self.net.layer:
            if layer.type == "InfogainLoss":
                weights = str(folder / "class_weights.binaryproto")
                layer.infogain_loss_param.source = weights

    def _loss(self):
        losses = [layer for layer in self.net.layer if layer.type in _LOSSES]
        if not losses:
            raise DecError(
                f"{self.folder}: the net has no loss over classes ({_LOSSES[0]})"
            )
        stages = list(self.solver.train_state.stage)
        if _WEIGHTED in stages and not any(x.type == _LOSSES[1] for x in losses):
            raise DecError(
                f"{self.folder}: the net has no InfogainLoss of the stage "
                f'"{_WEIGHTED}", so its classes cannot be weighted'
            )
        return losses[0]

    def _set_outputs(self):
        """As many outputs as classes, in the net and in the deploy net."""
        k = len(self.data.classes)
        name = self.last.name
        for net, file in ((self.net, "train_val"), (self.deploy, "deploy")):
            layers = [layer for layer in net.layer if layer.name == name]
            if not layers:
                raise DecError(
                    f"{self.folder / file}.prototxt: there is no layer "
                    f'"{name}", the net\'s last in train_val.prototxt'
                )
            for layer in layers:
                _outputs(layer).num_output = k
        check_layers(self.net, self.deploy, self.folder)

    def _set_test_iter(self):
        batch = _data_layer(self.net, "TEST").data_param.batch_size
        rows = sum(self.data.counts["val"])
        del self.solver.test_iter[:]
        if self.solver.test_interval:
            self.solver.test_iter.append(-(-rows // batch))

    def _preparation(self) -> PhotoInput:
        try:
            return PhotoInput.of_layer(_data_layer(self.net, "TEST"), self.data.size)
        except DecError as error:
            raise DecError(f"{self.folder / 'train_val.prototxt'}: {error}") from None

    def _check_input(self):
        """Raises DecError where new photos would not fit the deploy net."""
        file = self.folder / "deploy.prototxt"
        inputs = [layer for layer in self.deploy.layer if layer.type == "Input"]
        if len(inputs) != 1 or len(inputs[0].input_param.shape) != 1:
            raise DecError(f"{file}: one Input layer with one shape is needed")
        shape = tuple(inputs[0].input_param.shape[0].dim[1:])
        if shape != self.preparation.shape:
            given, wanted = (
                " x ".join(map(str, s)) for s in (shape, self.preparation.shape)
            )
            raise DecError(
                f"{file}: its input is {given}, the photos are prepared as {wanted} "
                "(crop_size in train_val.prototxt)"
            )

    def _refuse_in_place(self):
        """Raises DecError for a Power layer that overwrites its input, behind a weight.

        Caffe's gradient of it is wrong then, without a word: it writes the factor where
        the gradient that it is to be multiplied with was.
        """
        learned = False
        for layer in self.net.layer:
            learned |= not _is_frozen(layer)
            own = set(layer.bottom) & set(layer.top)
            if layer.type == "Power" and own and learned:
                file = self.folder / "train_val.prototxt"
                raise DecError(
                    f'{file}: layer "{layer.name}" (Power) overwrites its input, and '
                    "Caffe's gradient of it would be wrong; give it a top of its own"
                )

    def _test_net(self):
        net = caffe_pb2.NetParameter()
        net.CopyFrom(self.net)
        layer = _data_layer(net, "TEST")
        layer.data_param.source = str(self.data.folder / "test")
        return net


def _is_frozen(layer) -> bool:
    """Whether no training changes its numbers: no weights, or none that are learned."""
    if layer.type in ("BatchNorm", "Scale", "Bias", "PReLU"):
        return False
    if _outputs(layer) is None:
        return not layer.param
    biased = getattr(_outputs(layer), "bias_term", True)
    rates = [param.lr_mult for param in layer.param]
    return len(rates) > biased and not any(rates)


def check_layers(net, deploy, source: Path) -> None:
    """Raises DecError where a layer of the deploy net is not as it was trained."""
    trained = {layer.name: layer for layer in net.layer}
    for layer in deploy.layer:
        other = trained.get(layer.name)
        param = _outputs(layer)
        if param is None:
            continue
        if other is None or _outputs(other) is None:
            raise DecError(
                f'{source / "deploy.prototxt"}: layer "{layer.name}" is not in the '
                "trained net, so it would have no weights"
            )
        if _outputs(other).num_output != param.num_output:
            raise DecError(
                f'{source / "deploy.prototxt"}: layer "{layer.name}" has '
                f"{param.num_output} outputs, the trained net's has "
                f"{_outputs(other).num_output}"
            )


def _data_layer(net, phase: str):
    layers = prototxt.data_layers(net, phase, stages=())
    if len(layers) != 1:
        raise DecError(
            f'net "{net.name}": {len(layers)} Data layers in phase {phase}; one is '
            "needed"
        )
    return layers[0]


def _last_layer(net, blob: str, source: Path):
    """The layer with weights that gives the scores."""
    makers = [layer for layer in net.layer if blob in layer.top]
    if not makers or _outputs(makers[0]) is None:
        raise DecError(
            f'{source}: the scores "{blob}" do not come from an InnerProduct or '
            "Convolution layer, so the number of classes cannot be set"
        )
    return makers[0]


def _outputs(layer):
    if layer.type == "InnerProduct":
        return layer.inner_product_param
    if layer.type == "Convolution":
        return layer.convolution_param
    return None


def _merge(solver, changes: str) -> None:
    try:
        text_format.Merge(changes, solver)
    except text_format.ParseError as error:
        words = str(error).split(" : ", 1)[-1]
        raise DecError(f'"{changes}": not fields of a solver: {words}') from None
