"""The comparison benchmark: its PyTorch loop does what Caffe does; it goes on."""

import json
import subprocess
import sys

import numpy as np
import pytest
from caffe.proto import caffe_pb2
from conftest import CLUSTERS, ROOT, blobs, run
from sklearn.metrics import adjusted_rand_score

COMPARE = ROOT / "benchmarks/compare"
THEIR_PYTHON = ROOT / ".venv-bench/bin/python"
sys.path.insert(0, str(COMPARE))


def need(*modules: str) -> None:
    """Skips where .venv-bench has not got these."""
    if not THEIR_PYTHON.exists():
        pytest.skip("needs .venv-bench (make bench-dec installs it)")
    names = [f"__import__('importlib.util').util.find_spec('{m}')" for m in modules]
    found = subprocess.run(
        [THEIR_PYTHON, "-c", f"raise SystemExit(not all([{', '.join(names)}]))"],
        check=False,
    )
    if found.returncode != 0:
        pytest.skip(f".venv-bench has not got {' and '.join(modules)}")


def their_python(script: str, folder, *arguments) -> None:
    """Runs a script with the modules of benchmarks/compare in .venv-bench."""
    path = f"{COMPARE}:{ROOT / 'python'}"
    result = run([THEIR_PYTHON, "-c", script, *arguments], folder, PYTHONPATH=path)
    assert result.returncode == 0, result.stderr


def compare(folder, *options):
    return run([sys.executable, COMPARE / "run.py", *options], folder)


def read_weights(model):
    net = caffe_pb2.NetParameter()
    net.ParseFromString(model.read_bytes())
    return {
        f"{layer.name}/{i}": np.array(blob.data, np.float32).reshape(blob.shape.dim)
        for layer in net.layer
        for i, blob in enumerate(layer.blobs)
    }


_TORCH = """
import json
import numpy as np, torch, torch_dec
start, rows = np.load("start.npz"), torch.from_numpy(np.load("rows.npy"))
names = dict.fromkeys(key.split("/")[0] for key in start)
for name, stage in json.load(open("stages.json")).items():
    weights = {n: [torch.tensor(start[f"{n}/{i}"]) for i in (0, 1)] for n in names}
    torch_dec.train(stage, weights, rows)
    end = {f"{n}/{i}": weights[n][i].detach().numpy() for n in names for i in (0, 1)}
    np.savez(f"{name}.npz", **end)
"""

_CAFFE = """
import sys
import caffe
for name in sys.argv[1:]:
    solver = caffe.get_solver(f"{name}_solver.prototxt")
    if name == sys.argv[1]:
        solver.net.save("start.caffemodel")
    solver.net.copy_from("start.caffemodel")
    solver.step(20)
    solver.net.save(f"{name}.caffemodel")
"""

# The rate falls, and for SGD momentum grows, within 20 iterations.
_COMMON = {"stepsize": 15, "max_iter": 20}
_SOLVERS = {
    "SGD": {**_COMMON, "base_lr": 0.5, "momentum_burnin": 10},
    "Adam": {**_COMMON, "base_lr": 0.01, "momentum_burnin": 0, "delta": 1e-6},
}


def test_torch_trains_the_weights_that_caffe_trains(project, monkeypatch):
    """From the same start, the stage without dropout, by SGD and by Adam."""
    need("torch")
    from plan import read_plan

    from dec.engine.experiment import Experiment
    from dec.nets import prototxt

    monkeypatch.chdir(project)
    file = project / "prototxt/dec/blobs/short/stack_solver.prototxt"
    solver = prototxt.read_solver(file)
    for name in ("weights", "test_iter", "test_interval"):
        solver.ClearField(name)
    stages = {}
    for kind, changes in _SOLVERS.items():
        for name, value in {"type": kind, **changes}.items():
            setattr(solver, name, value)
        solver.snapshot_prefix = kind
        for to in (file, project / f"{kind}_solver.prototxt"):
            prototxt.write(to, solver, "for a test")
        stages[kind] = read_plan(Experiment.find("blobs"), "short")["stages"][-1]
    (project / "stages.json").write_text(json.dumps(stages))

    result = run([sys.executable, "-c", _CAFFE, *_SOLVERS], project)
    assert result.returncode == 0, result.stderr
    start = read_weights(project / "start.caffemodel")
    np.savez(project / "start.npz", **start)
    np.save(project / "rows.npy", blobs()[0][:500])
    their_python(_TORCH, project)
    for kind in _SOLVERS:
        ours = read_weights(project / f"{kind}.caffemodel")
        with np.load(project / f"{kind}.npz") as theirs:
            assert set(theirs) == set(ours)
            for name, weights in ours.items():
                moved = np.abs(weights - start[name]).max()
                assert moved > 1e-4, (kind, name)
                apart = np.abs(weights - theirs[name]).max()
                assert apart < 0.01 * moved + 1e-6, (kind, name)


_PHASE2 = """
import json
import numpy as np, torch, torch_dec
from course import Course
job = json.load(open("job.json"))
start = np.load("start.npz")
names = dict.fromkeys(key.split("/")[0] for key in start)
weights = {n: [torch.from_numpy(start[f"{n}/{i}"]) for i in (0, 1)] for n in names}
rows, course = torch.from_numpy(np.load("rows.npy")), Course("test")
found = torch_dec.cluster(
    job["dec"], weights, rows, np.load("labels.npy"), job, course
)
np.save("found.npy", found)
json.dump(course.points, open("points.json", "w"))
"""


def test_torch_clusters_as_caffe_does(finished, tmp_path):
    """From one autoencoder: the same rounds, and the same clusters at the end."""
    need("torch", "sklearn")
    from plan import read_plan

    from dec.engine.experiment import Experiment

    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(finished)
        plan = read_plan(Experiment.find("blobs"), "short")
    metrics = json.loads((finished / "runs/blobs/metrics.json").read_text())
    rows, labels = blobs()
    np.save(tmp_path / "rows.npy", rows)
    np.save(tmp_path / "labels.npy", labels)
    (stack,) = (finished / "runs/blobs").glob("stack_iter_*.caffemodel")
    np.savez(tmp_path / "start.npz", **read_weights(stack))
    job = {"dec": plan["dec"], "seed": metrics["seed"]}
    job |= {name: metrics[name] for name in ("tol", "max_rounds")}
    (tmp_path / "job.json").write_text(json.dumps(job))
    their_python(_PHASE2, tmp_path)
    points = json.loads((tmp_path / "points.json").read_text())
    ours = [metrics["kmeans"], *metrics["history"]]
    assert len(points) == len(ours)
    for point, entry in zip(points, ours, strict=True):
        assert point["acc"] == pytest.approx(entry["acc"], abs=0.004)
    csv = np.loadtxt(
        finished / "runs/blobs/assignments.csv",
        delimiter=",",
        skiprows=1,
        usecols=1,
        dtype=int,
    )
    # Of restarts that end alike, rounding chooses one, and with it the numbering.
    assert adjusted_rand_score(csv, np.load(tmp_path / "found.npy")) > 0.99


_CLUSTPY = """
import numpy as np
import clustpy_dec
from course import Course
rows, labels = np.load("rows.npy"), np.load("labels.npy")
module = clustpy_dec.import_dec()
found = []
for watched in (False, True):
    course = Course("test")
    if watched:
        clustpy_dec.watch(module, course, rows, labels)
    dec = module.DEC(3, pretrain_epochs=2, clustering_epochs=3, random_state=1)
    dec.fit(rows)
    found.append((dec.labels_, dec.dec_labels_, dec.dec_cluster_centers_))
for alone, looked_at in zip(*found):
    assert np.array_equal(alone, looked_at)
assert [p["at"] for p in course.points] == ["k-means", "epoch 1", "epoch 2", "epoch 3"]
"""


def test_clustpy_is_not_changed_by_being_watched(tmp_path):
    need("torch", "clustpy", "torchvision")
    rows, labels = blobs()
    np.save(tmp_path / "rows.npy", np.tile(rows, 3))  # ClustPy's code is 10 wide
    np.save(tmp_path / "labels.npy", labels)
    their_python(_CLUSTPY, tmp_path)


def test_benchmark_runs_and_goes_on(project):
    """One method first; the next call leaves it and runs the others."""
    need("torch", "clustpy", "torchvision")
    options = ["--experiment", "blobs", "--seeds", 1, "--out", "bench"]
    options += ["--max-rounds", 3, "--clustpy-epochs", 2, 2]
    result = compare(project, *options, "--methods", "torch")
    assert result.returncode == 0, result.stderr
    before = (project / "bench/torch-seed1.json").read_bytes()
    result = compare(project, *options)
    assert result.returncode == 0, result.stderr
    assert "torch, seed 1: there already" in result.stderr
    assert (project / "bench/torch-seed1.json").read_bytes() == before
    for method in ("ours", "torch", "clustpy"):
        facts = json.loads((project / f"bench/{method}-seed1.json").read_text())
        spent = facts["pretraining"] + facts["clustering"]
        assert spent == pytest.approx(sum(facts["parts"].values()), abs=0.1)
        assert 0 < spent < facts["wall"]
        assert 1 / CLUSTERS <= facts["course"][-1]["acc"] <= 1
    assert "ClustPy, of its medians: ours takes" in result.stdout


def test_result_with_other_settings_is_not_taken(tmp_path):
    import run as benchmark

    job = {"settings": {"method": "torch", "seed": 1, "tol": 0.5}, "out": tmp_path}
    assert not benchmark._there(job)
    (tmp_path / "torch-seed1.json").write_text(json.dumps(job["settings"]))
    assert not benchmark._there(job)
    (tmp_path / "torch-seed1.json").write_text(json.dumps({**job, "out": "x"}))
    assert benchmark._there(job)
    job["settings"] = {**job["settings"], "tol": 0.25}
    assert not benchmark._there(job)


def test_network_that_pytorch_has_not_got_is_an_error(project):
    net = project / "prototxt/dec/blobs/layer1.prototxt"
    net.write_text(net.read_text().replace('type: "ReLU"', 'type: "TanH"'))
    result = compare(project, "--experiment", "blobs", "--methods", "ours")
    assert result.returncode == 1
    assert "layer1.prototxt" in result.stderr and "TanH" in result.stderr


def test_table_knows_never_and_not_recorded():
    from table import seconds_to, table

    course = [{"at": "k-means", "seconds": 5.0, "acc": 0.7, "nmi": 0.6}]
    assert seconds_to(course, 0.8) == float("inf")
    assert seconds_to(course, 0.7) == 5.0
    assert seconds_to([{**course[0], "seconds": None}], 0.7) is None
    results = []
    for method, factor in (("ours", 1), ("clustpy", 3)):
        for seed in (1, 2, 3):
            last = {"seconds": 40.0 * seed, "acc": 0.7 + 0.1 * (seed > 1), "nmi": 0.7}
            results.append(
                {
                    "method": method,
                    "seed": seed,
                    "settings": {"threads": 2},
                    "machine": {"processor": "a processor"},
                    "versions": {"torch": "2"},
                    "load": 0.5,
                    "pretraining": 100.0 * factor,
                    "clustering": 20.0 * factor,
                    "parts": {"train": 120.0 * factor},
                    "course": [*course, last],
                }
            )
    text = table(results)
    assert "never" in text and "0.33 to the end" in text
    assert "+0.00 points" in text
