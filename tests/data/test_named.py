"""Data sets of one kind under names of their own, from a table to clusters."""

import csv
import json
import os

import numpy as np
import pytest
from conftest import CLUSTERS, DEC, assert_clear_error, blobs, make_project, run
from photos_samples import good_photos, picture
from text_samples import texts, write_texts

from dec.clustering.new import new_experiment
from dec.clustering.pipeline import phase2_solver
from dec.data import leveldb, registry
from dec.data.images.photo_rows import build_leveldbs as build_photos
from dec.data.images.row_images import RowImages
from dec.data.matrix import build_npy_leveldbs
from dec.data.texts.text import build_leveldbs as build_texts
from dec.engine.experiment import Experiment

NAMES = ["a", "b", "c", "d", "e", "f"]


def write(path, rows, labels):
    lines = [
        ",".join([*map(repr, row), f"class{label}"])
        for row, label in zip(rows.tolist(), labels.tolist(), strict=True)
    ]
    path.write_text("\n".join([",".join([*NAMES, "kind"]), *lines]) + "\n")


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """A project whose prototxt/dec/own is small, with two tables."""
    folder = make_project(tmp_path_factory.mktemp("named"))
    (folder / "prototxt/dec/blobs").rename(folder / "prototxt/dec/own")
    for path in (folder / "prototxt/dec/own").rglob("*.prototxt"):
        path.write_text(path.read_text().replace("blobs", "own"))
    rows, labels = blobs()
    write(folder / "first.csv", rows, labels)
    write(folder / "second.csv", rows[::-1] + 1, labels[::-1])
    return folder


def dec(project, *words):
    result = run([DEC, *words], project)
    assert result.returncode == 0, result.stderr
    return result


def test_two_tables_side_by_side_to_their_clusters(project):
    for name in ("first", "second"):
        dec(project, "data", "csv", f"{name}.csv", "--label-column", "kind",
            "--name", name)  # fmt: skip
    for part in ("total", "train", "test"):
        assert (project / f"data/first_{part}").is_dir()
        assert (project / f"data/second_{part}").is_dir()
    assert not (project / "data/csv_total").exists()
    result = dec(project, "run", "first", "--clusters", str(CLUSTERS))
    assert "class0" in result.stdout
    facts = json.loads((project / "runs/first/input.json").read_text())
    assert facts["matrix"]["columns"] == NAMES
    with open(project / "runs/first/assignments.csv", newline="") as file:
        wanted = [line["cluster"] for line in csv.DictReader(file)]
    assert len(set(wanted)) == CLUSTERS
    # Columns in another order, as a spreadsheet of today has it.
    rows, _ = blobs()
    lines = [";".join(map(repr, row)) for row in rows[:, ::-1].tolist()]
    text = "\r\n".join([";".join(NAMES[::-1]), *lines])
    (project / "new.csv").write_bytes(text.encode("utf-8-sig"))
    result = dec(project, "assign", "runs/first", "new.csv")
    found = [line.split(",")[1] for line in result.stdout.splitlines()[1:]]
    assert found == wanted
    assert "matched by their names" in result.stderr


def test_more_clusters_than_rows_is_said_before_phase_1(project, tmp_path):
    rows, labels = blobs()
    write(project / "few.csv", rows[:20], labels[:20])
    dec(project, "data", "csv", "few.csv", "--label-column", "kind", "--name", "few")
    result = run([DEC, "run", "few", "--clusters", "21"], project)
    assert_clear_error(result, "few_total: 20 rows cannot make 21 clusters")
    assert not list((project / "runs").glob("few/*.caffemodel"))
    assert "phase 1" not in result.stderr


@pytest.mark.parametrize("name", ["mnist", "20news", "a/b", "..", "", "-x y"])
def test_names_that_cannot_be(project, name):
    result = run([DEC, "data", "csv", "first.csv", f"--name={name}"], project)
    assert_clear_error(result, f"{name}: ")


def test_every_set_of_the_users_own_data_takes_a_name():
    nameable = {known.name for known in registry.all_sets() if known.nameable}
    assert nameable == {"npy", "csv", "text", "photos"}


def solver_of(name):
    return phase2_solver(Experiment.find(name), None)[0].name


def test_a_name_changes_nothing_else(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    good_photos(tmp_path / "pictures", 6)
    picture(7, 300, 200).save(tmp_path / "pictures/large.png")
    (tmp_path / "pictures/bad.jpg").write_bytes(b"no photo")
    for name in ("photos", "trip"):
        found = build_photos("data", "pictures", size=(64, 48), name=name, jobs=1)
        assert set(found) == {f"{name}_{p}" for p in ("img", "total", "train", "test")}
        assert os.path.exists(f"data/{name}_skipped.csv")
        assert len(RowImages.find(found[f"{name}_total"]).read([0])) == 1
        build_texts(
            "data", write_texts(tmp_path / "letters", texts(9)), name=name + "t"
        )
        np.save("rows.npy", blobs()[0])
        build_npy_leveldbs("data", "rows.npy", name=name + "n")
    metas = [leveldb.read_meta(f"data/{name}_total") for name in ("photos", "trip")]
    assert [meta.pop("pictures") for meta in metas] == ["photos_img", "trip_img"]
    assert metas[0] == metas[1]
    # The solver goes by the kind of the data and by the number of rows.
    assert solver_of("photos") == solver_of("trip") == "few_dec_solver.prototxt"
    assert solver_of("tript") == "text_solver.prototxt"
    assert solver_of("tripn") == "few_dec_solver.prototxt"
    for name, kind in (("trip", "dec"), ("tript", "text")):
        folder = new_experiment(name)
        theirs = Experiment.find("own").folder / f"{kind}_solver.prototxt"
        wanted = theirs.read_text().replace("dec/own/", f"dec/{name}/")
        wanted = wanted.replace("runs/own/", f"runs/{name}/")
        assert (folder / "dec_solver.prototxt").read_text() == wanted
