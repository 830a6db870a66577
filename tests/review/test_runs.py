"""Runs of DeepCluster in a review, and digits that are learned."""

import io
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from deepcluster_samples import gratings, make_project
from fake_run import fake_run
from finetune_samples import run as dec
from PIL import Image

from dec.base.errors import DecError
from dec.base.tables import read_columns
from dec.classify import loop
from dec.data import leveldb
from dec.review.book import Book
from dec.review.code import Code
from dec.review.items import find_items
from dec.review.pictures import Pictures
from dec.review.rounds import doubtful, read_guesses, rounds

NAME = "runs/deepcluster-gratings"


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    folder = make_project(tmp_path_factory.mktemp("gratings"))
    done = dec(folder, "deepcluster", "gratings", "--epochs", "1")
    assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture
def run(trained, tmp_path, monkeypatch):
    shutil.copytree(trained, tmp_path / "project")
    monkeypatch.chdir(tmp_path / "project")
    return Path(NAME)


def test_a_run_of_deepcluster(run):
    items = find_items(run)
    table = list(read_columns(run / "assignments.csv", ("set", "cluster")))
    assert items.clusters == [c for _, (part, c) in table if part == "train"]
    assert len(set(items.names)) == 120 and items.measure == "silhouette"

    # Confidence, by the definition, of the points that the run's own centres part.
    facts = json.loads((items.root / "loop.json").read_text())
    points = np.load(facts["rows"]).astype(np.float64)
    centres = np.load(run / "model.npz")["centres"].astype(np.float64)
    apart = np.sort(np.linalg.norm(points[:, None] - centres, axis=2), axis=1)
    np.testing.assert_allclose(
        items.confidence, 1 - apart[:, 0] / apart[:, 1], atol=1e-4
    )
    nearest = np.linalg.norm(points[:, None] - centres, axis=2).argmin(axis=1)
    assert nearest.astype(str).tolist() == items.clusters

    pictures = Pictures(items)
    assert pictures.kind == "row"
    content, _ = pictures.small(5)
    shown = np.asarray(Image.open(io.BytesIO(content)))
    np.testing.assert_array_equal(shown, gratings(120, 1)[0][5].transpose(1, 2, 0))
    code = Code(items)
    assert code.numbers.shape[0] == 120 and len(code.nearest(3, 5)) == 5
    (run / "model.npz").unlink()
    again = find_items(run)  # nothing of it is computed twice
    assert again.names == items.names
    np.testing.assert_allclose(again.confidence, items.confidence, atol=1e-5)


def test_its_clusters_are_named_and_learned(run):
    items = find_items(run)
    truth = np.arange(120) % 4
    book = Book(items)
    for cluster in sorted(set(items.clusters)):
        members = book.state.members(cluster)
        label = np.bincount(truth[members], minlength=4).argmax()
        book.do({"do": "name", "cluster": cluster, "class": f"way {label}"})
    book.close()
    classes = set(book.state.name.values())
    loop.go_on(items.root, "auto", 10, 1)
    guesses = read_guesses(items)
    assert (guesses.first >= 0).all() and set(guesses.classes) == classes
    [found] = rounds(items.root, {1: 0})
    assert found["photos"] == 120 and found["n"] == 12
    assert len(doubtful(book.state, guesses, 7)) == 7


def test_a_run_of_deepcluster_that_is_half_there(run):
    (run / "model.npz").write_bytes(b"damaged")
    with pytest.raises(DecError, match=r"model\.npz: is damaged"):
        find_items(run)
    lines = (run / "assignments.csv").read_text().splitlines(keepends=True)
    (run / "assignments.csv").write_text("".join(lines[:50]))
    with pytest.raises(DecError, match="images of train; the run had 120"):
        find_items(run)
    metrics = json.loads((run / "metrics.json").read_text())
    (run / "metrics.json").write_text(json.dumps({"kind": metrics["kind"]}))
    with pytest.raises(DecError, match="of an old run"):
        find_items(run)


def test_a_run_of_photos_by_deepcluster(run, trained):
    """One whose LevelDB has been made of a folder of photos."""
    from dec.data.images import photos

    folder = Path("photos")
    folder.mkdir()
    for i, image in enumerate(gratings(24, 1)[0]):
        Image.fromarray(image.transpose(1, 2, 0)).save(folder / f"{i:02}.png")
    photos.build_leveldbs("data", folder, side=16, name="own")
    table = ["set,file,cluster"]
    names = leveldb.read_names("data/own_train")
    table += [f"train,{name},{i % 3}" for i, name in enumerate(names)]
    (run / "assignments.csv").write_text("\n".join(table) + "\n")
    metrics = json.loads((run / "metrics.json").read_text())
    metrics["settings"]["train"] = "data/own_train"
    (run / "metrics.json").write_text(json.dumps(metrics | {"n": 24, "only": []}))
    items = find_items(run)
    assert items.folder == folder.resolve() and items.names == names
    assert np.isfinite(items.confidence).all()
    # The shell goes on with its clusters.
    assert loop._facts(items.root) == (
        folder.resolve(), dict(zip(names, items.clusters, strict=True))
    )  # fmt: skip


def test_a_review_that_an_older_version_has_begun(tmp_path):
    rows = np.random.default_rng(2).random((20, 16)).astype(np.float32)
    run = fake_run(tmp_path, rows, 3, image=[4, 4], scale=1 / 255)
    fresh = find_items(run)
    shutil.rmtree(run / "review")
    (run / "review").mkdir()
    old = {"folder": "", "clusters": str(run)}
    (run / "review/loop.json").write_text(json.dumps(old))
    items = find_items(run)
    assert (items.names, items.clusters) == (fresh.names, fresh.clusters)
    facts = json.loads((run / "review/loop.json").read_text())
    assert Path(facts["rows"]) == tmp_path / "data/fake"
    assert len(loop._facts(items.root)[1]) == 20


def test_digits_are_learned_by_the_shell_and_seen_here(tmp_path):
    rng = np.random.default_rng(2)
    rows = rng.random((60, 16)).astype(np.float32)
    run = fake_run(tmp_path, rows, 4, image=[4, 4], scale=1 / 255)
    items = find_items(run)
    book = Book(items)
    for cluster, label in (("0", "a"), ("1", "b")):
        book.do({"do": "name", "cluster": cluster, "class": label})
    book.close()
    done = dec(tmp_path, "loop", "next", "--run", "runs/fake/review", "--review", "3")
    assert done.returncode == 0, done.stderr
    again = find_items(run)
    assert set(read_guesses(again).classes) == {"a", "b"}
    book = Book(again)
    assert book.state.name == {"0": "a", "1": "b"}  # a turn takes nothing away
    book.close()
