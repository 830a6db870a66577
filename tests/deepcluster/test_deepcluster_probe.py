"""Probes: against scikit-learn and a naive computation; on a small run."""

import json
from pathlib import Path

import numpy as np
import pytest
from conftest import DEC, assert_clear_error, run
from deepcluster_samples import make_project
from sklearn.linear_model import Ridge
from sklearn.neighbors import KNeighborsClassifier

from dec.deepcluster import probe
from dec.deepcluster.patches import SIDE, Patches


def classes(n, seed):
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 3, n)
    rows = rng.normal(size=(n, 6)) + 2 * np.eye(3, 6)[labels]
    return rows.astype(np.float32), labels


def test_neighbours_are_scikit_learns():
    (x, y), (a, b) = classes(200, 0), classes(80, 1)
    model = KNeighborsClassifier(5, metric="cosine").fit(x, y)
    found = probe.nearest_accuracy(x, y, a, b, 5)
    assert found == pytest.approx(model.score(a, b), abs=0.03)  # ties


def test_a_linear_probe_learns_and_chance_stays_chance():
    (x, y), (a, b) = classes(300, 0), classes(300, 1)
    found = probe.judged(x, y, a, b, "rows")
    assert found["linear"] > 0.75 and found["neighbours"] > 0.7
    low, high = found["interval"]
    assert low < found["linear"] < high
    none = probe.judged(x, np.random.default_rng(3).permutation(y), a, b, "rows")
    assert none["linear"] < 0.5


def test_ridge_is_scikit_learns():
    x, y = classes(200, 0)
    weight, bias, penalty = probe.ridge(x, y)
    model = Ridge(penalty * 200).fit(x, np.eye(3)[y])
    np.testing.assert_allclose(weight, model.coef_.T, rtol=1e-3, atol=1e-5)
    np.testing.assert_allclose(bias, model.intercept_, rtol=1e-3, atol=1e-5)
    first = [Ridge(c * 180).fit(x[:180], np.eye(3)[y[:180]]) for c in probe._PENALTIES]
    right = [(m.predict(x[180:]).argmax(axis=1) == y[180:]).sum() for m in first]
    assert penalty == probe._PENALTIES[int(np.argmax(right))]


def test_averages_over_a_grid():
    values = np.random.default_rng(0).normal(size=(2, 4, 6, 6)).astype(np.float32)
    found = probe.pooled(values, 36)
    wanted = values.reshape(2, 4, 3, 2, 3, 2).mean(axis=(3, 5)).reshape(2, -1)
    np.testing.assert_allclose(found, wanted, rtol=1e-5, atol=1e-6)
    assert probe.pooled(values, 10_000).shape == (2, 144)
    assert probe.pooled(values, 1).shape == (2, 4)


def test_patches_are_what_the_paper_says():
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (60, 3, 9, 9)).astype(np.float32)
    model = Patches.fit([images], 5, 1)
    found = model.rows([images[:3]], 3)
    assert found.shape == (3, 20)
    sums = np.zeros((2, 2, 5))
    places = 9 - SIDE + 1
    for y in range(places):
        for x in range(places):
            patch = images[1, :, y : y + SIDE, x : x + SIDE].ravel().astype(np.float64)
            patch = (patch - patch.mean()) / np.sqrt(patch.var() + 10)
            white = (patch - model.mean) @ model.whitening
            z = np.linalg.norm(model.centres - white, axis=1)
            sums[y // 2, x // 2] += np.maximum(z.mean() - z, 0)
    np.testing.assert_allclose(found[1], sums.ravel(), rtol=2e-3, atol=1e-3)


def test_of_a_run(tmp_path, monkeypatch):
    folder = make_project(tmp_path)
    command = [DEC, "deepcluster", "gratings", "--epochs", "1"]
    assert run(command, folder).returncode == 0
    name = Path("runs/deepcluster-gratings")
    monkeypatch.setattr(probe, "WIDTH", 32)
    monkeypatch.chdir(folder)
    words = probe.probe(name, patches=6)
    done = json.loads((name / probe.FILE).read_text())
    assert {"conv1, trained", "conv4, random", "fc6, trained", "pixels"} <= done.keys()
    assert "6 patches (Coates and Ng)" in words
    made = (name / probe.FILE).stat().st_mtime_ns
    assert probe.probe(name, patches=6) == words
    assert (name / probe.FILE).stat().st_mtime_ns == made  # each is done once
    no_test = [*command, "--test", "", "--run", "runs/no"]
    assert run(no_test, folder).returncode == 0
    assert_clear_error(run([DEC, "probe", "runs/no"], folder), "a test set")
