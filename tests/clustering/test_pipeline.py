"""The whole run, on three small blobs: results, repeats, `caffe` by hand."""

import csv
import json
import shutil

import numpy as np
import pytest
from caffe.proto import caffe_pb2
from conftest import CAFFE, CLUSTERS, DEC, ROOT, ROWS, blobs, run
from google.protobuf import text_format

from dec.clustering import phase1
from dec.engine.experiment import Experiment

RUN = "runs/blobs"


def weights(path):
    """Every layer's blobs, by layer name."""
    net = caffe_pb2.NetParameter()
    net.ParseFromString(path.read_bytes())
    return {
        layer.name: [np.array(blob.data) for blob in layer.blobs]
        for layer in net.layer
        if layer.blobs
    }


def assert_same_weights(a, b):
    a, b = weights(a), weights(b)
    assert a.keys() == b.keys()
    for name, blobs_of_a in a.items():
        for x, y in zip(blobs_of_a, b[name], strict=True):
            assert np.array_equal(x, y), name


def rows_of(path):
    with open(path, newline="") as file:
        return list(csv.DictReader(file))


def test_summary_says_what_came_out(finished):
    text = (finished / "stdout.txt").read_text()
    for word in ("accuracy", "NMI", "autoencoder + k-means", "phase 2", "together"):
        assert word in text
    assert "c0" in text and "metrics.json" in text


def test_metrics_hold_all_that_is_promised(finished):
    metrics = json.loads((finished / RUN / "metrics.json").read_text())
    assert metrics["n"] == ROWS and metrics["k"] == CLUSTERS and metrics["seed"] == 1
    assert metrics["rounds"] == len(metrics["history"]) >= 1
    for entry in metrics["history"]:
        assert {"acc", "nmi", "loss", "changed"} <= entry.keys()
    stages = {"data", "layer1", "layer2", "layer3", "layer4", "stack", "dec", "compare"}
    assert metrics["seconds"].keys() == stages
    assert np.sum(metrics["table"]) == ROWS
    assert metrics["converged"] and metrics["acc"] > 0.95
    assert metrics["machine"]["threads"] >= 1 and metrics["machine"]["kernels"] != "?"


def test_assignments_agree_with_the_metrics(finished):
    rows = rows_of(finished / RUN / "assignments.csv")
    metrics = json.loads((finished / RUN / "metrics.json").read_text())
    assert [int(row["row"]) for row in rows] == list(range(ROWS))
    sizes = np.bincount([int(row["cluster"]) for row in rows], minlength=CLUSTERS)
    assert sizes.tolist() == metrics["cluster_sizes"]


def test_deploy_net_gives_the_assignments(finished):
    import caffe

    folder = finished / RUN
    net = caffe.Net(
        str(folder / "deploy.prototxt"),
        caffe.TEST,
        weights=str(folder / "final.caffemodel"),
    )
    rows, _ = blobs()
    net.blobs["data"].reshape(*rows.shape, 1, 1)
    net.blobs["data"].data[...] = rows[:, :, None, None]
    out = net.forward()
    expected = rows_of(folder / "assignments.csv")
    assert out["ind"].astype(int).tolist() == [int(r["cluster"]) for r in expected]
    assert out["proba"].max(axis=1) == pytest.approx(
        [float(r["probability"]) for r in expected], abs=1e-5
    )


def test_second_call_redoes_only_what_changed(finished, tmp_path):
    folder = tmp_path / "again"
    shutil.copytree(finished, folder)
    result = run([DEC, "run", "blobs"], folder)
    assert result.returncode == 0
    for stage in ("layer1", "layer4", "stack", "dec"):
        assert f"{stage}: up to date" in result.stderr
    assert result.stdout == (finished / "stdout.txt").read_text()

    solver = folder / "prototxt/dec/blobs/short/stack_solver.prototxt"
    solver.write_text(solver.read_text().replace("base_lr: 0.02", "base_lr: 0.01"))
    result = run([DEC, "run", "blobs"], folder)
    assert result.returncode == 0
    assert "layer4: up to date" in result.stderr
    assert "stack: up to date" not in result.stderr
    assert "dec: up to date" not in result.stderr


def test_same_seed_same_bits_other_seed_others(finished, project):
    for seed, name in ((1, "one"), (2, "two")):
        result = run(
            [DEC, "run", "blobs", "--seed", seed, "--run", f"runs/{name}"], project
        )
        assert result.returncode == 0, result.stderr
    first = finished / RUN / "assignments.csv"
    assert (project / "runs/one/assignments.csv").read_bytes() == first.read_bytes()
    assert (project / "runs/two/assignments.csv").read_bytes() != first.read_bytes()
    assert_same_weights(
        finished / RUN / "final.caffemodel", project / "runs/one/final.caffemodel"
    )


def test_caffe_by_hand_trains_the_same_weights(finished, tmp_path):
    """Every stage by `caffe train` on the user's own prototxts, without dec."""
    folder = tmp_path / "by-hand"
    shutil.copytree(finished, folder)
    for old in (folder / RUN).glob("layer*.caffemodel"):
        old.unlink()
    for stage in ("layer1", "layer2", "layer3", "layer4", "stack"):
        solver = f"prototxt/dec/blobs/short/{stage}_solver.prototxt"
        result = run([CAFFE, "train", f"--solver={solver}"], folder)
        assert result.returncode == 0, result.stderr
    for name in ("layer1_iter_40", "layer4_iter_40", "stack_iter_200"):
        assert_same_weights(
            folder / RUN / f"{name}.caffemodel", finished / RUN / f"{name}.caffemodel"
        )


def test_a_schedule_may_train_the_whole_at_once(project):
    short = project / "prototxt/dec/blobs/short"
    for layer in short.glob("layer*"):
        layer.unlink()
    solver = short / "stack_solver.prototxt"
    kept = [x for x in solver.read_text().splitlines() if not x.startswith("weights")]
    solver.write_text("\n".join(kept).replace("base_lr: 0.02", "base_lr: 0.1"))
    result = run([DEC, "run", "blobs"], project)
    assert result.returncode == 0, result.stderr
    metrics = json.loads((project / RUN / "metrics.json").read_text())
    assert metrics["seconds"].keys() == {"data", "stack", "dec", "compare"}
    assert metrics["acc"] > 0.95
    assert run([DEC, "report", RUN], project).returncode == 0
    assert "--pretrain train-short" in (project / RUN / "report.html").read_text()
    weights = project / RUN / "stack_iter_200.caffemodel"
    dec = project / "dec.caffemodel"
    weights.rename(dec)
    result = run([CAFFE, "train", f"--solver={solver}"], project)
    assert result.returncode == 0, result.stderr
    assert_same_weights(weights, dec)


def test_a_schedule_with_some_layers_only_is_refused(project):
    (project / "prototxt/dec/blobs/short/layer3_solver.prototxt").unlink()
    result = run([DEC, "run", "blobs"], project)
    assert result.returncode == 1
    assert (
        "there is no prototxt/dec/blobs/short/layer3_solver.prototxt" in result.stderr
    )


def test_shipped_short_schedules_train_the_whole_at_once():
    folders = sorted((ROOT / "prototxt/dec").glob("*/short"))
    assert len(folders) > 5
    for folder in folders:
        experiment = Experiment.find(str(folder.parent))
        stages = phase1.stages(experiment, "short")
        assert [name for name, _ in stages] == ["stack"]


def test_caffe_by_hand_does_the_first_round(project):
    result = run([DEC, "run", "blobs", "--max-rounds", "1"], project)
    assert result.returncode == 0, result.stderr
    solver = "prototxt/dec/blobs/dec_solver.prototxt"
    result = run([CAFFE, "train", f"--solver={solver}"], project)
    assert result.returncode == 0, result.stderr
    assert_same_weights(
        project / RUN / "dec_iter_7.caffemodel", project / RUN / "final.caffemodel"
    )


def test_options_reach_the_run(project):
    result = run(
        [
            DEC,
            "run",
            "blobs",
            "--update-interval",
            "3",
            "--tol",
            "0",
            "--max-rounds",
            4,
        ],
        project,
    )
    assert result.returncode == 0, result.stderr
    metrics = json.loads((project / RUN / "metrics.json").read_text())
    assert metrics["rounds"] == 4 and not metrics["converged"]
    assert "NOT converged" in result.stdout
    solver = caffe_pb2.SolverParameter()
    text_format.Parse(
        (project / RUN / "prototxt/dec_solver.prototxt").read_text(), solver
    )
    assert solver.max_iter == 3


def test_data_without_labels_has_no_scores(project):
    from dec.data.leveldb import write_rows

    rows, _ = blobs()
    write_rows(project / "data/blobs_total", rows)
    result = run([DEC, "run", "blobs"], project)
    assert result.returncode == 0, result.stderr
    metrics = json.loads((project / RUN / "metrics.json").read_text())
    assert "acc" not in metrics and "table" not in metrics
    assert "accuracy" not in result.stdout and "NMI" not in result.stdout
    header = (project / RUN / "assignments.csv").read_text().splitlines()[0]
    assert header == "row,cluster,probability"


def test_more_rows_than_a_batch_divides(project):
    """The last batch of an embedding pass runs on with the first rows again."""
    from dec.data.leveldb import write_rows

    rows, labels = blobs()
    write_rows(project / "data/blobs_total", rows[:551], labels[:551])
    result = run([DEC, "run", "blobs"], project)
    assert result.returncode == 0, result.stderr
    assert len(rows_of(project / RUN / "assignments.csv")) == 551


def test_table_of_runs(finished):
    result = run([DEC, "table", RUN, RUN], finished)
    assert result.returncode == 0, result.stderr
    runs, methods = (part.splitlines() for part in result.stdout.split("\n\n"))
    for lines in runs, methods:
        assert len({line.count("|") for line in lines}) == 1
    metrics = json.loads((finished / RUN / "metrics.json").read_text())
    assert f"{metrics['acc']:.2%}" in runs[2]
    assert f"| DEC | 1 | {metrics['acc']:.2%} |" in result.stdout
    assert f"| {metrics['kmeans']['acc']:.2%} |" in result.stdout


def test_picture_is_drawn(finished):
    assert (finished / RUN / "clusters.png").read_bytes().startswith(b"\x89PNG")
