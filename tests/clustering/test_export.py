"""`dec export`: every image in its cluster's folder, the most typical first."""

import csv

import numpy as np
import pytest
from fake_run import fake_run
from PIL import Image

import dec.clustering.export
from dec.base.errors import DecError
from dec.clustering.export import export
from dec.data.leveldb import write_rows

_SCALE = 0.02


def image_run(folder, shape=(4, 5), n=60, **options):
    """A run on random images; returns its folder and the images."""
    raw = np.random.default_rng(2).integers(0, 256, (n, *shape)).astype(np.uint8)
    rows = raw.reshape(n, -1) * np.float32(_SCALE)
    run = fake_run(folder, rows, 4, image=shape, scale=_SCALE, **options)
    return run, raw


def rows_of(run):
    with open(run / "assignments.csv", newline="") as file:
        return list(csv.DictReader(file))


@pytest.mark.parametrize("shape", [(4, 5), (4, 5, 3)])
def test_every_image_is_in_its_cluster_as_it_was(tmp_path, shape):
    run, raw = image_run(tmp_path, shape)
    export(run)
    found = {}
    for file in (run / "classes").glob("*/*"):
        row = int(file.stem.split("_row")[1])
        found[row] = int(file.parent.name)
        with Image.open(file) as image:
            assert image.format == "PNG"
            assert np.array_equal(np.asarray(image), raw[row])
    assert found == {int(r["row"]): int(r["cluster"]) for r in rows_of(run)}


def test_names_sort_by_probability(tmp_path):
    run, _ = image_run(tmp_path)
    export(run)
    for folder in (run / "classes").iterdir():
        own = [r for r in rows_of(run) if r["cluster"] == folder.name]
        own.sort(key=lambda r: -float(r["probability"]))
        expected = [
            f"{i:05d}_p{float(r['probability']):.4f}_row{int(r['row']):06d}.png"
            for i, r in enumerate(own, start=1)
        ]
        assert sorted(file.name for file in folder.iterdir()) == expected


def test_an_export_of_files_of_any_name_is_replaced(tmp_path):
    names = ["x.jpg~", "wget.jpg?rnd=33", "a/ảnh.tar.gz", "line.b\nreak", "Icon\r"]
    names += ["long." + "x" * 250]
    for name in names:
        path = tmp_path / "photos" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(name.encode())
    rows = np.zeros((len(names), 6), np.float32)
    run = fake_run(tmp_path, rows, 2, names=names, folder=str(tmp_path / "photos"))
    for copy in (False, True, False):
        export(run, copy=copy)
        made = [file.read_bytes().decode() for file in (run / "classes").glob("*/*")]
        assert sorted(made) == sorted(names)


def test_empty_cluster_is_an_empty_folder(tmp_path):
    run, _ = image_run(tmp_path)
    export(run)
    names = sorted(folder.name for folder in (run / "classes").iterdir())
    assert names == ["0", "1", "2", "3"]
    assert not list((run / "classes/3").iterdir())


def test_an_earlier_export_is_replaced(tmp_path):
    run, _ = image_run(tmp_path)
    out = tmp_path / "new/place"
    export(run, out)
    old = out / "0/00099_p0.1000_row000099.png"
    old.write_text("of an earlier run")
    export(run, out)
    assert not old.exists() and len(list(out.glob("*/*.png"))) == 60
    assert not (run / "classes").exists()


@pytest.mark.parametrize("name", ["notes.txt", "0/mine.png", "other/x.png"])
def test_a_folder_with_other_things_is_refused(tmp_path, name):
    run, _ = image_run(tmp_path)
    mine = tmp_path / "out" / name
    mine.parent.mkdir(parents=True)
    mine.write_text("precious")
    with pytest.raises(DecError, match="holds other things"):
        export(run, tmp_path / "out")
    assert mine.read_text() == "precious"
    assert [p for p in tmp_path.rglob("*") if "partial" in p.name] == []


def test_a_file_in_the_way_is_refused(tmp_path):
    run, _ = image_run(tmp_path)
    (tmp_path / "out").write_text("precious")
    with pytest.raises(DecError):
        export(run, tmp_path / "out")
    with pytest.raises(DecError):
        export(run, tmp_path / "out/below")
    assert (tmp_path / "out").read_text() == "precious"


def test_an_empty_folder_is_taken(tmp_path):
    run, _ = image_run(tmp_path)
    (tmp_path / "out").mkdir()
    export(run, tmp_path / "out")
    assert len(list((tmp_path / "out").glob("*/*.png"))) == 60


def test_a_stop_half_way_leaves_the_earlier_export(tmp_path, monkeypatch):
    run, _ = image_run(tmp_path)
    export(run)
    before = sorted(p.name for p in (run / "classes").rglob("*"))
    calls = []

    def stop(picture):
        calls.append(picture)
        if len(calls) > 20:
            raise KeyboardInterrupt
        return b"half"

    monkeypatch.setattr(dec.clustering.export, "png", stop)
    with pytest.raises(KeyboardInterrupt):
        export(run)
    assert sorted(p.name for p in (run / "classes").rglob("*")) == before
    assert not list(run.glob("classes.partial*"))


def test_rows_that_are_no_images_are_refused(tmp_path):
    run = fake_run(tmp_path, np.zeros((9, 6), np.float32), 2)
    with pytest.raises(DecError, match="not images"):
        export(run)
    assert not (run / "classes").exists()


def test_a_database_of_other_rows_is_refused(tmp_path):
    run, raw = image_run(tmp_path)
    write_rows(
        tmp_path / "data/fake", raw[:30].reshape(30, -1), None, {"image": [4, 5]}
    )
    with pytest.raises(DecError, match="30 rows now"):
        export(run)


def test_no_finished_run_is_an_error(tmp_path):
    with pytest.raises(DecError, match="no finished run"):
        export(tmp_path)


@pytest.mark.parametrize("copy", [False, True])
def test_files_of_the_user_are_linked_or_copied(tmp_path, copy):
    photos = [tmp_path / "photos" / f"{i}.JPG" for i in range(12)]
    photos[0].parent.mkdir()
    for photo in photos:
        photo.write_text(photo.name)
    rows = np.random.default_rng(1).normal(size=(12, 200)).astype(np.float32)
    names = [photo.name for photo in photos]
    run = fake_run(tmp_path, rows, 3, names=names, folder=str(photos[0].parent))
    export(run, copy=copy)
    made = list((run / "classes").glob("*/*.JPG"))
    assert len(made) == 12
    for file in made:
        assert file.is_symlink() != copy
        assert file.read_text() == f"{int(file.stem.split('_row')[1])}.JPG"
    export(run, copy=not copy)
    photos[3].unlink()
    with pytest.raises(DecError, match="3.JPG"):
        export(run)
    assert len(list((run / "classes").glob("*/*.JPG"))) == 12


def test_images_that_rows_were_made_of_are_in_the_database_beside(tmp_path):
    raw = np.random.default_rng(3).integers(0, 256, (12, 3, 5, 7)).astype(np.uint8)
    rows = np.random.default_rng(1).normal(size=(12, 200)).astype(np.float32)
    run = fake_run(tmp_path, rows, 3, pictures="fake_img")
    write_rows(tmp_path / "data/fake_img", raw)
    export(run)
    made = list((run / "classes").glob("*/*.png"))
    assert len(made) == 12
    for file in made:
        row = int(file.stem.split("_row")[1])
        with Image.open(file) as image:
            assert np.array_equal(image, raw[row].transpose(1, 2, 0))
    write_rows(tmp_path / "data/fake_img", raw[:11])
    with pytest.raises(DecError, match="fake_img.*11 rows"):
        export(run)
