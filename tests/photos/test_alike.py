"""`dec photos clean --alike NET`: near duplicates that a net sees."""

import os

import numpy as np
import pytest
from conftest import DEC, assert_clear_error, run
from feature_samples import write_net
from photos_samples import encoded, good_photos, picture
from PIL import ImageOps

from dec.base.tables import read_table
from dec.cli import main
from dec.data.images.described import Described
from dec.photos.clean import clean
from dec.photos.duplicates import alike_rows


@pytest.fixture
def here(tmp_path, monkeypatch):
    """The user's folder, with a small net, and photos of which two are mirrored."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DEC_WEIGHTS", str(tmp_path / "weights"))
    write_net(tmp_path, tmp_path / "weights")
    good_photos(tmp_path / "photos", 20)
    return tmp_path


class Few:
    """A describer that says of a file what it is told, and counts."""

    name, key = "few", "1"

    def __init__(self, rows):
        self.said, self.asked = rows, []

    def rows(self, paths, jobs):
        self.asked += [os.path.basename(path) for path in paths]
        yield [(path, self.said.get(os.path.basename(path))) for path in paths]


def report(folder):
    rows = [cells for _, cells in read_table(folder / "report.csv", ours=True)]
    return {row[0]: dict(zip(rows[0], row, strict=True)) for row in rows[1:]}


def three(folder):
    folder.mkdir()
    for i, name in enumerate(["big.png", "same.png", "other.png"]):
        side = 90 - 10 * i
        (folder / name).write_bytes(encoded(picture(i, side, side), "PNG"))


def test_pairs_are_those_of_a_loop(monkeypatch):
    monkeypatch.setattr("dec.photos.duplicates._BLOCK", 7)
    rows = np.random.default_rng(3).normal(size=(60, 3))
    rows[10] = 0
    expected, gone = [], set()
    for a in range(60):
        for b in range(a + 1, 60):
            norms = np.linalg.norm(rows[a]) * np.linalg.norm(rows[b])
            if norms == 0 or a in gone or b in gone:
                continue
            if rows[a] @ rows[b] / norms >= 0.9:
                gone.add(b)
                expected.append((b, a))
    assert [pair[:2] for pair in alike_rows(rows, 0.9)] == expected
    assert len(expected) > 10


def test_a_net_finds_what_hashes_do_not(tmp_path):
    three(tmp_path / "photos")
    rows = {"big.png": [1, 0.1], "same.png": [1, 0], "other.png": [0, 1]}
    few = Few({name: np.array(row, np.float32) for name, row in rows.items()})
    out = tmp_path / "report"
    assert clean(tmp_path / "photos", out)["near-duplicate"] == (0, 0)
    assert clean(tmp_path / "photos", out, alike=few)["near-duplicate"] == (1, 0)
    found = report(out)["same.png"]
    assert found["status"] == "near-duplicate" and found["duplicate_of"] == "big.png"
    assert found["detail"] == "few: 0.9950"
    assert len(few.asked) == 3
    # Its rows are kept; a higher threshold; without it as before.
    few.asked.clear()
    counts = clean(tmp_path / "photos", out, alike=few, least=0.999)
    assert counts["near-duplicate"] == (0, 0) and not few.asked
    clean(tmp_path / "photos", out, alike=few, move=("near-duplicate",))
    assert report(out)["same.png"]["moved_to"] == "rejected/near-duplicate/same.png"
    clean(tmp_path / "photos", out)
    assert report(out)["same.png"]["detail"] == "few: 0.9950"
    assert not few.asked
    few.key = "2"
    clean(tmp_path / "photos", out, alike=few)
    assert sorted(few.asked) == ["big.png", "other.png"]


def test_what_cannot_be_described_is_left(tmp_path, monkeypatch):
    lines = []
    monkeypatch.setattr("dec.photos.clean.say", lines.append)
    three(tmp_path / "photos")
    few = Few({"big.png": np.ones(2, np.float32)})
    counts = clean(tmp_path / "photos", tmp_path / "report", alike=few)
    assert counts["ok"] == (3, 0)
    assert len(lines) == 2
    assert all(line.endswith(".png: could not be described") for line in lines)


def test_by_command_with_a_net(here):
    """Flat light over a photo, mirrored: its hashes differ, the net's row little."""
    image = picture(99, 200, 200)
    (here / "photos/one.png").write_bytes(encoded(image, "PNG"))
    (here / "photos/two.png").write_bytes(encoded(ImageOps.mirror(image), "PNG"))
    names = [str(here / "photos" / name) for name in ("one.png", "two.png")]
    [block] = Described.by("small").rows(names, 1)
    one, two = (row.astype(float) for _, row in block)
    cosine = one @ two / np.linalg.norm(one) / np.linalg.norm(two)
    command = [DEC, "photos", "clean", "photos", "--alike", "small", "--report", "out"]
    command += ["--near", "0", "--jobs", "1", "--least", f"{cosine - 1e-6:.7f}"]
    result = run(command, here)
    assert result.returncode == 0, result.stderr
    rows = report(here / "out")
    pair = [rows["one.png"], rows["two.png"]]
    assert any(row["detail"].startswith("small: ") for row in pair)


def test_no_larger_photos_than_may_be(here, monkeypatch):
    """--max-pixels is the net's too, below what is usual and above."""
    (here / "photos/one.png").write_bytes(encoded(picture(9, 100, 90), "PNG"))
    [[(_, row)]] = Described.by("small", 8_999).rows([str(here / "photos/one.png")], 1)
    assert row is None
    [[(_, row)]] = Described.by("small", 9_000).rows([str(here / "photos/one.png")], 1)
    assert row is not None
    given = []
    by = Described.by

    def kept(net, max_pixels):
        given.append(max_pixels)
        return by(net, max_pixels)

    monkeypatch.setattr(Described, "by", kept)
    command = ["photos", "clean", "photos", "--alike", "small", "--report", "out"]
    assert main([*command, "--max-pixels", "150_000_000", "--jobs", "1"]) == 0
    assert given == [150_000_000]


def test_bad_input(here):
    command = [DEC, "photos", "clean", "photos"]
    assert_clear_error(run([*command, "--alike", "none"], here), "features none: ")
    assert_clear_error(run([*command, "--least", "0.9"], here), "--alike NET")
    result = run([*command, "--alike", "small", "--least", "1.5"], here)
    assert result.returncode == 2 and "is above 1" in result.stderr
