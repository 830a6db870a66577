"""The training: what it computes, that it goes on, and the traps on the way.

The independent implementation is a NumPy one in float64, of a net without
convolutions: the last two layers, their rates and momentum, and the loop.
"""

import json
import os
import signal

import numpy as np
import pytest
from conftest import DEC, ROOT, assert_clear_error, run
from deepcluster_samples import CLUSTERS, SIDE, make_project, params

from dec.base import progress
from dec.base.errors import DecError
from dec.deepcluster import train
from dec.deepcluster.experiment import Changes, Experiment
from dec.engine.runs import Run
from dec.nets.prototxt import read_net

SHIPPED = ROOT / "prototxt/deepcluster"
NAME = "runs/deepcluster-gratings"


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A project in which `dec deepcluster gratings` has been run; not to be changed."""
    folder = make_project(tmp_path_factory.mktemp("deepcluster"))
    result = run([DEC, "deepcluster", "gratings"], folder)
    assert result.returncode == 0, result.stderr
    (folder / "stdout.txt").write_text(result.stdout)
    return folder


@pytest.fixture
def project(tmp_path):
    return make_project(tmp_path)


@pytest.fixture
def trained(project, monkeypatch):
    """`trained(...)` runs it in this project; metrics."""
    monkeypatch.chdir(project)

    def work(method=None, **options):
        if method:
            monkeypatch.setattr(train, "_Method", method)
        experiment = Experiment.find("gratings")
        return train.deepcluster(experiment, Run(project / NAME), **options)

    yield work
    monkeypatch.undo()


def metrics(folder, name=NAME):
    return json.loads((folder / name / "metrics.json").read_text())


def test_a_run_says_what_it_came_to(finished):
    found = metrics(finished)
    assert (found["n"], found["n_test"], found["k"]) == (120, 40, CLUSTERS)
    assert [entry["epoch"] for entry in found["history"]] == [0, 1, 2, 3]
    for entry in found["history"]:
        assert sum(entry["sizes"]) == 120 and min(entry["sizes"]) > 0
        assert 0 < entry["sse"] < entry["sse_random"] < 1.01
        assert np.sum(entry["train"]["table"]) == 120
        assert np.sum(entry["test"]["table"]) == 40
    assert "loss" in found["history"][2] and "nmi_previous" in found["history"][3]
    lines = (finished / NAME / "assignments.csv").read_text().splitlines()
    assert len(lines) == 161 and lines[0] == "set,file,cluster,class"
    assert "matched" in (finished / "stdout.txt").read_text()
    assert not (finished / NAME / "features.npy").exists()


def test_it_is_up_to_date_afterwards_and_says_it_again(finished):
    before = (finished / NAME / "metrics.json").stat().st_mtime_ns
    result = run([DEC, "deepcluster", "gratings"], finished)
    assert result.returncode == 0 and "up to date" in result.stderr
    assert (finished / NAME / "metrics.json").stat().st_mtime_ns == before
    again = run([DEC, "summary", NAME], finished)
    assert again.stdout == result.stdout == (finished / "stdout.txt").read_text()


@pytest.mark.parametrize(
    "how, iteration",
    [("before", 3), ("after", 6), ("kill", 8)],
)
def test_a_stopped_training_ends_with_the_same_bits(
    finished, project, trained, how, iteration
):
    """In the middle of an epoch and at its end; with another number of threads."""
    whole = train._Method

    class Stopped(whole):
        def feed(self, solver):
            if solver.iter == iteration and how == "before":
                raise KeyboardInterrupt
            super().feed(solver)
            if solver.iter == iteration and how == "after":  # the clusters are new
                raise KeyboardInterrupt
            if solver.iter == iteration and how == "kill":
                os.kill(os.getpid(), signal.SIGKILL)

    with pytest.raises(DecError if how == "kill" else KeyboardInterrupt):
        trained(Stopped)
    assert not (project / NAME / "metrics.json").exists()
    ours, theirs = trained(whole, workers=1), metrics(finished)
    for entry in (*ours["history"], *theirs["history"]):
        entry.pop("seconds")
    assert ours["history"] == theirs["history"]
    one, other = (params(f / NAME / "final.caffemodel") for f in (project, finished))
    assert one.keys() == other.keys()
    for name, blobs in one.items():
        for a, b in zip(blobs, other[name], strict=True):
            assert np.array_equal(a, b), name


def test_another_seed_is_another_result(finished, trained):
    ours, theirs = trained(seed=2)["history"], metrics(finished)["history"]
    assert ours[0]["sse"] != theirs[0]["sse"]


def test_the_fixed_layers_are_what_the_original_computes(finished):
    found = params(finished / NAME / "final.caffemodel")
    mean, std = np.array([0.4914, 0.4822, 0.4465]), np.array([0.2470, 0.2435, 0.2616])
    rng = np.random.default_rng(0)
    image = rng.integers(0, 256, (SIDE, SIDE, 3)).astype(np.float64)  # RGB
    wanted = ((image / 255 - mean) / std).mean(axis=2)
    weight, bias = found["grey"]
    grey = image[:, :, ::-1] @ weight.ravel().astype(np.float64) + bias
    np.testing.assert_allclose(grey, wanted, rtol=1e-4, atol=1e-5)
    left = np.array([[1, 0, -1], [2, 0, -2], [1, 0, -1]])
    assert np.array_equal(found["sobel"][0], np.stack([left, left.T])[:, None])


@pytest.mark.parametrize("name", ["cifar10", "alexnet"])
def test_shipped_nets_avoid_the_traps(name):
    for file in ("train", "deploy"):
        net = read_net(SHIPPED / name / f"{file}.prototxt")
        for layer in net.layer:
            if layer.type == "BatchNorm":  # 0.999 would look back for epochs
                fraction = layer.batch_norm_param.moving_average_fraction
                assert fraction == pytest.approx(0.9)
            if layer.name in ("grey", "sobel"):
                assert [p.lr_mult for p in layer.param] and not any(
                    p.lr_mult or p.decay_mult for p in layer.param
                )
            elif layer.type in ("Convolution", "InnerProduct"):
                # Biases have the rate and the decay of the weights.
                assert all(p.lr_mult == layer.param[0].lr_mult for p in layer.param)
                assert all(p.decay_mult == 1 for p in layer.param)
            # Caffe mirrors at random in TEST too; dec makes the views.
            assert not layer.transform_param.mirror


def twin_of(folder, change):
    """The experiment with its train.prototxt edited."""
    path = folder / "prototxt/deepcluster/gratings/train.prototxt"
    text = path.read_text()
    assert change(text) != text
    path.write_text(change(text))


def test_momentum_of_the_renewed_layer_is_refused(project, trained):
    twin_of(project, lambda text: text.replace(" momentum_mult: 0", ""))
    with pytest.raises(DecError, match="old one's momentum; say momentum_mult: 0"):
        trained()


def test_solvers_without_that_field_refuse_it(project, trained):
    path = project / "prototxt/deepcluster/gratings/solver.prototxt"
    path.write_text(path.read_text() + 'type: "Adam"\n')
    with pytest.raises(DecError, match="momentum_mult is for the SGD and Nesterov"):
        trained()


def test_features_that_a_layer_overwrites_are_refused(project, trained):
    path = project / "prototxt/deepcluster/gratings/deploy.prototxt"
    path.write_text(path.read_text().replace('"fc6_relu"', '"fc6"'))
    with pytest.raises(DecError, match="overwritten by relu_fc6, in place"):
        trained()


def test_averages_begin_as_in_pytorch_and_follow(project):
    """0.9 of what was and 0.1 of the batch, from mean 0 and variance 1 on."""
    import caffe

    from dec.deepcluster import fixed

    file = project / "net.prototxt"
    file.write_text(
        'layer { name: "data" type: "Input" top: "data" '
        "input_param { shape { dim: 50 dim: 2 dim: 3 dim: 3 } } } "
        'layer { name: "bn" type: "BatchNorm" bottom: "data" top: "bn" '
        "batch_norm_param { moving_average_fraction: 0.9 } }"
    )
    net = caffe.Net(str(file), caffe.TRAIN)
    fixed.start_averages(net, read_net(file).layer)
    mean, variance = np.zeros(2), np.ones(2)
    rng = np.random.default_rng(0)
    for _ in range(3):
        rows = rng.normal(4, 3, (50, 2, 3, 3))
        net.blobs["data"].data[...] = rows
        net.forward()
        mean = 0.9 * mean + 0.1 * rows.mean(axis=(0, 2, 3))
        variance = 0.9 * variance + 0.1 * rows.var(axis=(0, 2, 3), ddof=1)
    ours = [blob.data for blob in net.params["bn"]]
    np.testing.assert_allclose(ours[0] / ours[2], mean, rtol=1e-4)
    np.testing.assert_allclose(ours[1] / ours[2], variance, rtol=1e-4)


def test_averages_that_look_back_too_far_are_said(project, trained, monkeypatch):
    twin_of(project, lambda text: text.replace("fraction: 0.9 ", "fraction: 0.999 "))
    said = []
    monkeypatch.setattr(progress, "say", said.append)
    trained(changes=Changes(epochs=1))
    assert "moving averages of bn_conv1, " in said[0]


def test_a_deploy_net_of_other_clusters_is_refused(project, trained):
    path = project / "prototxt/deepcluster/gratings/deploy.prototxt"
    head, _, last = path.read_text().rpartition(f"num_output: {CLUSTERS}\n")
    path.write_text(f"{head}num_output: 9\n{last}")
    with pytest.raises(DecError, match="another number in deploy.prototxt"):
        trained()


@pytest.mark.parametrize(
    "name, value, words",
    [
        ("features", '"fc9"', "does not have; it has .*fc6"),
        ("head", '"new"', "one of reset, centroids"),
        ("epochs", "0", "above 0"),
        ("area", "[0.5, 1.5]", "area"),
        ("images", "[5]", "two whole numbers"),
        ("colour", "1.5", "from 0 to below 1"),
        ("train", '"data/nowhere"', "data/nowhere"),
        ("shape", "1", '"shape" is not known'),
        ("flip", "", '"flip" is missing'),
    ],
)
def test_settings_that_cannot_be(project, trained, name, value, words):
    path = project / "prototxt/deepcluster/gratings/deepcluster.toml"
    lines = path.read_text().splitlines()
    kept = [line for line in lines if not line.startswith(f"{name} =")]
    path.write_text("\n".join([*kept, f"{name} = {value}" if value else "", ""]))
    with pytest.raises(DecError, match=words):
        trained()


def test_fewer_images_than_clusters(project):
    result = run([DEC, "deepcluster", "gratings", "--clusters", "121"], project)
    assert_clear_error(result, "120 images cannot make 121 clusters", "--clusters")


def test_some_of_the_images(project, trained):
    found = trained(changes=Changes(epochs=1, images=(50, 10)))
    assert (found["n"], found["n_test"], found["steps"]) == (50, 10, 2)
    assert found["settings"]["images"] == [50, 10]
    result = run([DEC, "deepcluster", "gratings", "--images", "5"], project)
    assert result.returncode == 2 and "5 is not two numbers, as 1" in result.stderr


@pytest.mark.parametrize("count", [1, 30])
def test_images_of_one_colour_and_one_image(project, trained, count):
    from dec.data.leveldb import write_rows

    grey = np.full((count, 3, SIDE, SIDE), 77, np.uint8)
    write_rows(project / "data/gratings_train", grey)
    with pytest.raises(DecError, match="all images have the same features"):
        trained(changes=Changes(clusters=1, test=""))


@pytest.mark.parametrize("switch", [{"sizes": "equal"}, {"recluster": 2}])
def test_switches(trained, switch):
    found = trained(changes=Changes(epochs=4, **switch))["history"]
    every = switch.get("recluster", 1)
    assert [entry["epoch"] for entry in found] == list(range(0, 5, every))


@pytest.mark.parametrize("head", ["reset", "centroids"])
def test_the_new_last_layer(project, trained, head):
    class Watched(train._Method):
        def _renew_head(self, net, epoch):
            super()._renew_head(net, epoch)
            new = [blob.data for blob in net.params["clusters"]]
            np.savez(project / f"{epoch}.npz", *new, *self.epoch.model.head)

    trained(Watched, changes=Changes(epochs=2, head=head))
    heads = []
    for epoch in (0, 1):
        with np.load(project / f"{epoch}.npz") as kept:
            weight, bias, *means = (kept[f"arr_{i}"] for i in range(4))
        heads.append(weight)
        if head == "centroids":
            assert np.array_equal(weight, means[0]) and np.array_equal(bias, means[1])
        else:
            assert weight.std() == pytest.approx(0.01, rel=0.2) and not bias.any()
    assert not np.array_equal(*heads)


def test_two_classes_alone(trained):
    found = trained(only=("across", "down"), changes=Changes(clusters=2, epochs=1))
    assert found["n"] == 60 and found["classes"] == ["across", "down"]
    last = found["history"][-1]["test"]
    assert last["interval"][0] < last["acc"] < last["interval"][1]
    assert np.array(last["table"]).shape == (2, 2)


def test_starts_from_weights_and_refuses_others(finished, project, trained):
    weights = finished / NAME / "final.caffemodel"
    found = trained(weights=weights, changes=Changes(epochs=1))
    assert "conv4" in found["weights"]["taken"]
    (project / "bad.caffemodel").write_bytes(b"none")
    with pytest.raises(DecError, match="no caffemodel"):
        trained(weights=project / "bad.caffemodel")


# The independent implementation.


def test_two_epochs_are_what_numpy_computes(project, trained):
    """Loss by loss and weight by weight: two layers, the loop's labels and batches."""
    folder = project / "prototxt/deepcluster/gratings"
    for file in ("train", "deploy"):
        _without_convolutions(folder / f"{file}.prototxt")
    seen = project / "seen"
    seen.mkdir()

    class Watched(train._Method):
        def feed(self, solver):
            super().feed(solver)
            net = solver.net
            names = ("fc6", "clusters")
            weights = [blob.data for name in names for blob in net.params[name]]
            batch = net.blobs["data"].data, net.blobs["label"].data
            np.savez(seen / f"{solver.iter:03d}.npz", *batch, *weights)

    trained(Watched, changes=Changes(epochs=2, head="reset"))
    steps = []
    for path in sorted(seen.iterdir()):
        with np.load(path) as kept:
            steps.append([kept[f"arr_{i}"].astype(np.float64) for i in range(6)])
    assert len(steps) == 12
    history = json.loads((project / NAME / "history.json").read_text())
    losses, weights = _numpy_training(steps)
    found = [loss for _, loss in history["loss"]]
    np.testing.assert_allclose(found, losses, rtol=2e-5, atol=2e-5)
    final = params(project / NAME / "final.caffemodel")
    for ours, wanted in zip(final["fc6"] + final["clusters"], weights, strict=True):
        np.testing.assert_allclose(ours, wanted, rtol=1e-4, atol=1e-6)


def _numpy_training(steps):
    """Softmax regression on a hidden layer; the last one new, without momentum.

    steps: data, labels, and the weights that the first and the last layer start with.
    """
    w1, b1, w2, b2 = steps[0][2:]
    momentum, decay = 0.9, 1e-4
    moved = [np.zeros_like(w1), np.zeros_like(b1)]
    losses = []
    for i, (data, labels, *weights) in enumerate(steps):
        rate = 0.08 * (1 - i / len(steps))
        if i == len(steps) // 2:
            w2, b2 = weights[2:]
            assert (b2 == 0).all() and w2.std() == pytest.approx(0.01, rel=0.3)
        for ours, theirs in zip((w1, b1, w2, b2), weights, strict=True):
            np.testing.assert_allclose(theirs, ours, rtol=1e-4, atol=1e-6)
        x = _edges(data).reshape(len(data), -1)
        hidden = x @ w1.T + b1
        active = np.maximum(hidden, 0)
        scores = active @ w2.T + b2
        scores -= scores.max(axis=1, keepdims=True)
        proba = np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True)
        at = np.arange(len(labels)), labels.astype(int)
        losses.append(-np.log(proba[at]).mean())
        slope = proba.copy()
        slope[at] -= 1
        slope /= len(labels)
        back = (slope @ w2) * (hidden > 0)
        gradients = [back.T @ x, back.sum(axis=0)]
        top = [slope.T @ active, slope.sum(axis=0)]
        for j, (w, g) in enumerate(zip((w1, b1), gradients, strict=True)):
            moved[j] = momentum * moved[j] + rate * (g + decay * w)
        w1, b1 = w1 - moved[0], b1 - moved[1]
        w2, b2 = (
            w - rate * (g + decay * w) for w, g in zip((w2, b2), top, strict=True)
        )
    return losses, (w1, b1, w2, b2)


def _edges(data):
    """Grey and Sobel of n x 3 x height x width, blue first."""
    mean = np.array([0.4914, 0.4822, 0.4465])[::-1, None, None]
    std = np.array([0.2470, 0.2435, 0.2616])[::-1, None, None]
    grey = ((data / 255 - mean) / std).mean(axis=1)
    padded = np.pad(grey, ((0, 0), (1, 1), (1, 1)))
    n, height, width = grey.shape
    out = np.zeros((n, 2, height, width))
    kernel = np.array([[1, 0, -1], [2, 0, -2], [1, 0, -1]])
    for way, k in enumerate((kernel, kernel.T)):
        for i in range(3):
            for j in range(3):
                out[:, way] += k[i, j] * padded[:, i : i + height, j : j + width]
    return out


def _without_convolutions(path):
    """fc6 right on what Sobel gives."""
    text = path.read_text()
    a = text.index('layer {\n  name: "conv1"')
    b = text.index('layer {\n  name: "fc6"')
    text = text[:a] + text[b:].replace('bottom: "conv4"', 'bottom: "sobel"')
    path.write_text(text)
