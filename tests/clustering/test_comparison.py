"""Simple methods beside a run, and signs that need no labels."""

import json
import shutil

import numpy as np
import pytest
from conftest import CLUSTERS, DEC, ROWS, blobs, cluster, run
from sklearn.metrics import adjusted_rand_score

from dec.clustering import comparison
from dec.clustering.comparison import rows_compared, signs, simple_methods
from dec.clustering.summary import summary
from dec.data.leveldb import write_rows

RUN = "runs/blobs"


@pytest.fixture
def database(tmp_path):
    rows, labels = blobs()
    write_rows(tmp_path / "rows", rows, labels)
    return tmp_path / "rows"


def naive_silhouette(code, assigned):
    """The definition, row after row, in float64."""
    away = np.linalg.norm(
        code[:, None].astype(float) - code[None].astype(float), axis=2
    )
    found = []
    for i, own in enumerate(assigned):
        same = assigned == own
        if same.sum() == 1:
            found.append(0.0)
            continue
        a = away[i][same].sum() / (same.sum() - 1)
        b = min(away[i][assigned == c].mean() for c in set(assigned) - {own})
        found.append((b - a) / max(a, b))
    return np.mean(found)


def test_a_run_is_compared(finished):
    metrics = json.loads((finished / RUN / "metrics.json").read_text())
    found = metrics["comparison"]
    assert found["rows"] == ROWS
    assert [x["method"] for x in found["methods"]] == [
        "k-means on the rows",
        "PCA + k-means within",
    ]
    for entry in found["methods"]:
        assert entry["acc"] > 0.95 and entry["agreement"] > 0.9
    assert found["run"]["acc"] == metrics["acc"]
    assert metrics["signs"]["silhouette"] > 0.5 and metrics["signs"]["stability"] > 0.9
    assert metrics["seconds"]["compare"] > 0
    text = (finished / "stdout.txt").read_text()
    assert "Simple methods on all rows" in text and "stability" in text


def test_the_report_has_it(finished, tmp_path):
    shutil.copytree(finished, tmp_path / "copy")
    result = run([DEC, "report", RUN], tmp_path / "copy")
    assert result.returncode == 0, result.stderr
    page = (tmp_path / "copy" / RUN / "report.html").read_text()
    assert "Worth looking at?" in page and "PCA + k-means within" in page
    assert "Stability" in page


def test_without_labels_there_are_signs_and_agreement_alone(pretrained):
    shutil.rmtree(pretrained / "data/blobs_total")
    write_rows(pretrained / "data/blobs_total", blobs()[0])
    result = cluster(pretrained)
    assert result.returncode == 0, result.stderr
    report = run([DEC, "report", RUN], pretrained)
    assert report.returncode == 0, report.stderr
    page = (pretrained / RUN / "report.html").read_text()
    assert "as this run" in page and "Stability" in page
    assert "as this run (ARI)" in result.stdout and "silhouette" in result.stdout
    assert "accuracy" not in result.stdout
    found = json.loads((pretrained / RUN / "metrics.json").read_text())["comparison"]
    assert "run" not in found
    assert all(x.keys() == {"method", "agreement"} for x in found["methods"])


def test_a_run_from_before_has_its_summary(finished):
    metrics = json.loads((finished / RUN / "metrics.json").read_text())
    for name in ("comparison", "signs"):
        del metrics[name]
    del metrics["seconds"]["compare"]
    text = summary(metrics, finished / RUN)
    assert "accuracy" in text and "Simple methods" not in text


def test_better_simple_methods_are_named(finished):
    metrics = json.loads((finished / RUN / "metrics.json").read_text())
    assert "better than DEC" not in summary(metrics, finished / RUN)
    metrics["comparison"]["run"]["nmi"] = 0.5
    metrics["comparison"]["methods"][0]["nmi"] = 0.6
    metrics["comparison"]["methods"][1]["nmi"] = 0.505
    text = summary(metrics, finished / RUN)
    assert "k-means on the rows: better than DEC here." in text


def test_on_a_sample_the_same_for_a_seed(database, monkeypatch):
    _, labels = blobs()
    whole = simple_methods(database, labels, labels, CLUSTERS, 1)
    monkeypatch.setattr(comparison, "NUMBERS", 6 * 200)
    monkeypatch.setattr(comparison, "_LEAST", 100)
    part = simple_methods(database, labels, labels, CLUSTERS, 1)
    assert (whole["rows"], part["rows"]) == (ROWS, 200)
    assert part == simple_methods(database, labels, labels, CLUSTERS, 1)
    for entry in (*whole["methods"], *part["methods"]):
        assert entry["acc"] > 0.95
        assert entry["agreement"] == pytest.approx(entry["ari"])
    assert part["run"]["acc"] == 1


@pytest.mark.parametrize(
    "n,width,k,wanted",
    [
        (300, 13, 3, 300),
        (70_000, 784, 10, 5102),
        (10**7, 2000, 10, 2000),
        (10**7, 100_000, 10, 1000),
        (10**7, 100_000, 500, 5000),
        (10, 10, 10, 10),
    ],
)
def test_how_many_rows(n, width, k, wanted):
    assert rows_compared(n, width, k) == wanted


@pytest.mark.filterwarnings("ignore:Number of distinct clusters")
def test_equal_rows_have_no_simple_methods(tmp_path, monkeypatch):
    write_rows(tmp_path / "rows", np.ones((30, 4), np.float32))
    said = []
    monkeypatch.setattr(comparison.progress, "say", said.append)
    found = simple_methods(tmp_path / "rows", np.arange(30) % 2, None, 2, 1)
    assert found == {"rows": 30, "methods": []}
    assert len(said) == 1 and "left out" in said[0] and "1 differ" in said[0]


def test_signs_tell_clusters_from_chance():
    rng = np.random.default_rng(1)
    labels = np.arange(600) % 3
    apart = rng.normal(size=(600, 4)) + 9 * np.eye(3, 4)[labels]
    found = signs(apart, apart, labels, 3, 1)
    assert found["rows"] == 600 and found["stability"] > 0.99
    assert found["silhouette"] == pytest.approx(naive_silhouette(apart, labels))
    assert found == signs(apart, apart, labels, 3, 1)

    # Phase 2 may drive apart what was one cloud: the start and halves of it tell.
    cloud = rng.normal(size=(600, 4))
    chance = rng.permutation(labels)
    driven = cloud + 9 * np.eye(3, 4)[chance]
    found = signs(cloud, driven, chance, 3, 1)
    assert found["silhouette"] > 0.7
    assert abs(found["silhouette_start"]) < 0.1 and abs(found["stability"]) < 0.1


def test_stability_is_the_mean_agreement_of_halves(monkeypatch):
    """Halves whose clusters are known: the mean of their indices."""
    rng = np.random.default_rng(2)
    code, assigned = rng.normal(size=(200, 2)), rng.integers(0, 2, 200)
    given = []

    def by_sign(points, k, seed, start, restarts):
        given.append(points)
        return (points[:, 0] > 0).astype(int)

    monkeypatch.setattr(comparison.starts, "clusters", by_sign)
    found = signs(code, code, assigned, 2, 7)["stability"]
    assert len(given) == 10 and all(len(points) == 100 for points in given)
    places = {tuple(row): i for i, row in enumerate(code)}
    wanted = [
        adjusted_rand_score([assigned[places[tuple(r)]] for r in part], part[:, 0] > 0)
        for part in given
    ]
    assert found == pytest.approx(np.mean(wanted))


def test_what_new_starts_join_and_split():
    both = np.array([[40, 0, 0], [38, 2, 0], [0, 15, 25]])  # 0 and 1 one, 2 two
    neither = np.array([[39, 1, 0], [0, 1, 39], [2, 38, 0]])
    few = np.array([[40, 0, 0], [4, 0, 0], [0, 20, 20]])  # 1 is too few to tell
    found = comparison.doubts([both, neither, both, few])
    assert found["merged"] == [{"clusters": [0, 1], "starts": 2}]
    assert found["split"] == [{"cluster": 2, "starts": 3}]


def test_one_cloud_cut_in_two_is_doubted():
    rng = np.random.default_rng(4)
    labels = np.arange(900) % 3
    code = rng.normal(size=(900, 4)) + 12 * np.eye(3, 4)[labels]
    # The run has cut cluster 0 by chance, and left 1 and 2 together.
    wrong = np.where(labels == 0, rng.integers(0, 2, 900), 2)
    found = signs(code, code, wrong, 3, 1)
    assert found["starts"] == {"number": 10, "by": "within"}
    assert found["merged"][0] == {"clusters": [0, 1], "starts": 10}
    assert found["split"][0] == {"cluster": 2, "starts": 10}
    right = signs(code, code, labels, 3, 1)
    assert right["merged"] == [] and right["split"] == []


def test_where_signs_are_not_defined():
    code = np.random.default_rng(3).normal(size=(30, 2))
    one = signs(code, code, np.zeros(30, int), 1, 1)
    assert one["silhouette"] is None and one["stability"] is None
    each = signs(code, code, np.arange(30), 30, 1)
    assert each["silhouette"] is None and each["stability"] is None
    equal = np.ones((100, 2))
    assert signs(equal, equal, np.arange(100) % 2, 2, 1)["stability"] is None
