"""`dec loop next` where there are no photos: scikit-learn's digits."""

import json

import numpy as np
import pytest
from finetune_samples import run
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

from dec.base.errors import DecError
from dec.base.tables import read_columns, write_table
from dec.classify import loop, rows
from dec.data.leveldb import write_rows

N = 500
DIGITS, TRUTH = (x[:N] for x in load_digits(return_X_y=True))
DIGITS = DIGITS.astype(np.float32) / 8
NAMES = [f"row {i}" for i in range(N)]


@pytest.fixture
def root(tmp_path):
    """A loop on digits of which each class is a cluster, but for two that are one."""
    write_rows(tmp_path / "digits", DIGITS, TRUTH)
    made = tmp_path / "loop"
    made.mkdir()
    clusters = ["8" if c == 9 else str(c) for c in TRUTH.tolist()]
    write_table(made / "first.csv", [("file", "cluster"), *zip(NAMES, clusters)])  # noqa: B905
    named = [(c, 0, "" if c == "8" else f"digit {c}") for c in sorted(set(clusters))]
    write_table(made / "clusters.csv", [("cluster", "photos", "class"), *named])
    facts = {"folder": "", "clusters": str(made / "first.csv"),
             "rows": str(tmp_path / "digits")}  # fmt: skip
    (made / "loop.json").write_text(json.dumps(facts))
    return made


def labels_of(path):
    wanted = ("file", "class", "probability", "second", "second_probability")
    return [cells for _, cells in read_columns(path, wanted)]


def test_a_round_of_the_shell(root):
    done = run(root.parent, "loop", "next", "--run", "loop", "--review", "9")
    assert done.returncode == 0, done.stderr
    found = labels_of(root / "labels.csv")
    assert [cells[0] for cells in found] == NAMES
    known = [i for i in range(N) if TRUTH[i] < 8]
    right = np.mean([found[i][1] == f"digit {TRUTH[i]}" for i in known])
    assert right > 0.95
    metrics = json.loads((root / "round-01/run/metrics.json").read_text())
    counts, test = metrics["counts"], metrics["test"]
    assert sum(map(sum, counts.values())) == len(known)
    assert test["n"] == round(0.1 * len(known)) and test["right"] >= 0.85 * test["n"]
    # The least certain are asked for; what is said of them is learned.
    asked = [cells for _, cells in read_columns(root / "review.csv", ("file", "class"))]
    assert len(asked) == 9
    said = [(n, f"digit {TRUTH[int(n.split()[1])]}") for n, _ in asked]
    write_table(root / "review.csv", [("file", "class"), *said])
    loop.go_on(root, "linear", 9, 1)
    assert (root / "round-02/done").exists()
    with pytest.raises(DecError, match="--experiment linear"):
        loop.go_on(root, "tiny", 9, 1)


def learned(tmp_path, monkeypatch, most):
    """What is learned from at most so many digits, the first ten looked at."""
    monkeypatch.setattr(rows, "MOST", most)
    np.save(tmp_path / "rows.npy", DIGITS)
    labels = dict(zip(NAMES, map(str, TRUTH.tolist()), strict=True))
    source = rows.Rows(tmp_path / "rows.npy")
    rows.learn(tmp_path, source, NAMES, labels, set(NAMES[:10]), 1)
    metrics = json.loads((tmp_path / "run/metrics.json").read_text())
    train, test = rows._parts(labels, set(NAMES[:10]), 1)
    return labels_of(tmp_path / "labels.csv"), metrics, train, test


def test_probabilities_are_those_of_scikit_learn_and_of_caffe(tmp_path, monkeypatch):
    found, metrics, train, test = learned(tmp_path, monkeypatch, 200)
    at = [NAMES.index(name) for name in train]
    assert len(at) == 200 and not set(train) & set(test)
    assert metrics["counts"]["unused"] == [N - 200 - len(test)]
    # What somebody has looked at is learned from, and no class is left out.
    assert set(NAMES[:10]) - set(test) <= set(train)
    assert set(TRUTH[at]) == set(range(10))
    scaler = StandardScaler().fit(DIGITS[at].astype(np.float64))
    model = LogisticRegression(C=metrics["C"], max_iter=2000)
    model.fit(scaler.transform(DIGITS[at]), TRUTH[at].astype(str))
    proba = model.predict_proba(scaler.transform(DIGITS))
    best = proba.argmax(axis=1)
    assert [cells[1] for cells in found] == model.classes_[best].tolist()
    shown = np.array([float(cells[2]) for cells in found])
    np.testing.assert_allclose(shown, proba[np.arange(N), best], atol=2e-3)

    import caffe

    folder = tmp_path / "run"
    net = caffe.Net(str(folder / "deploy.prototxt"), caffe.TEST,
                    weights=str(folder / "final.caffemodel"))  # fmt: skip
    net.blobs["data"].data[0] = DIGITS[7]
    own = net.forward()["proba"][0]
    names = (folder / "classes.txt").read_text().split()
    assert names[own.argmax()] == found[7][1]
    np.testing.assert_allclose(own.max(), shown[7], atol=1e-5)


def test_rows_that_are_others_now(tmp_path, root):
    np.save(tmp_path / "rows.npy", DIGITS[:-1])
    facts = json.loads((root / "loop.json").read_text())
    (root / "loop.json").write_text(
        json.dumps(facts | {"rows": str(tmp_path / "rows.npy")})
    )
    with pytest.raises(DecError, match="499 rows now; the review is of 500"):
        loop.go_on(root, "auto", 5, 1)
    (tmp_path / "rows.npy").write_bytes(b"none")
    with pytest.raises(DecError, match="cannot be read"):
        loop.go_on(root, "auto", 5, 1)
    (tmp_path / "rows.npy").unlink()
    with pytest.raises(DecError, match="`dec review` of the run finds them again"):
        loop.go_on(root, "auto", 5, 1)
