"""`dec similar RUN photo`: the nearest photos of a run."""

import re
import shutil

import numpy as np
import pytest
from conftest import DEC, assert_clear_error, run
from feature_samples import write_net
from photos_samples import good_photos
from PIL import Image
from small_own import make_small_own

from dec.clustering.similar import nearest
from dec.data import leveldb


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """A folder with a run on the features of a small net and one on HOG."""
    home = tmp_path_factory.mktemp("similar")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DEC_WEIGHTS", str(home / "weights"))
        write_net(home, home / "weights")
        good_photos(home / "photos", 30)
        make_small_own(home)
        for solver in (home / "prototxt/dec/own").rglob("*.prototxt"):
            short = re.sub(r"max_iter: \d+", "max_iter: 50", solver.read_text())
            solver.write_text(short)
        for features, name in [("small", "net"), ("hog", "hog")]:
            command = [DEC, "run", "photos", "--from", "photos", "--clusters", "2"]
            command += ["--features", features, "--max-rounds", "1"]
            result = run([*command, "--run", f"runs/{name}"], home)
            assert result.returncode == 0, result.stderr
            shutil.copytree(home / "data", home / f"data-{name}")
        yield home


def use(home, name):
    shutil.rmtree(home / "data")
    shutil.copytree(home / f"data-{name}", home / "data")


def similar(home, *more):
    return run([DEC, "similar", *more], home)


@pytest.mark.parametrize("name", ["net", "hog"])
def test_a_photo_of_the_run_is_found_first(home, name):
    use(home, name)
    with leveldb.open_reader(home / "data/photos_total") as source:
        rows = source.read()[0].astype(float)
    names = leveldb.read_names(home / "data/photos_total")
    sheet = home / f"{name}.jpg"
    command = [f"runs/{name}", f"photos/{names[5]}", "--count", "6", "--out", sheet]
    result = similar(home, *map(str, command))
    assert result.returncode == 0, result.stderr
    lines = [line.split(maxsplit=2) for line in result.stdout.splitlines()[1:]]
    assert lines[0][0] == "1.0000" and lines[0][2] == names[5]
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    cosine = rows @ rows[5]
    best = np.sort(cosine)[::-1][:6]
    np.testing.assert_allclose([float(x[0]) for x in lines], best, atol=6e-5)
    with Image.open(sheet) as image:
        assert image.format == "JPEG" and image.width == 4 * (200 + 16)
    assert_clear_error(similar(home, *map(str, command)), "name a new file")


def test_nearest_is_that_of_all_blocks(tmp_path):
    rng = np.random.default_rng(2)
    rows = rng.normal(size=(9000, 5)).astype(np.float32)
    rows[8000] = 3 * rows[7]
    rows[1] = 0
    leveldb.write_rows(tmp_path / "db", rows)
    found = nearest(tmp_path / "db", rows[7], 20)
    assert [row for row, _ in found[:2]] in ([7, 8000], [8000, 7])
    length = np.linalg.norm(rows.astype(float), axis=1) * np.linalg.norm(rows[7])
    cosine = rows.astype(float) @ rows[7] / np.where(length > 0, length, 1)
    np.testing.assert_allclose(
        [c for _, c in found], np.sort(cosine)[::-1][:20], atol=1e-6
    )
    assert len(nearest(tmp_path / "db", rows[7], 10_000)) == 9000


def test_bad_input(home):
    use(home, "net")
    photo = next((home / "photos").rglob("*.jpg"))
    (home / "bad.jpg").write_text("no photo")
    assert_clear_error(similar(home, "runs/net", "bad.jpg"), "bad.jpg")
    assert_clear_error(similar(home, "runs/net", "no.jpg"), "no such file")
    assert_clear_error(similar(home, "runs/none", str(photo)), "no finished run")
    use(home, "hog")
    assert_clear_error(similar(home, "runs/net", str(photo)), "of another make")
    shutil.rmtree(home / "data/photos_total")
    assert_clear_error(similar(home, "runs/net", str(photo)), "is gone")
    shutil.copytree(home / "runs/net", home / "runs/other")
    (home / "runs/other/input.json").write_text('{"shape": [2, 1, 1], "kind": ""}')
    assert_clear_error(similar(home, "runs/other", str(photo)), "not a run on photos")
