"""`dec photos clean`: every broken file named, every good one kept, nothing lost."""

import os
import shutil
import signal
import sqlite3
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from disks import small_disk
from photos_samples import (
    NOT_UTF8,
    broken_files,
    dec_photos,
    encoded,
    good_photos,
    jpeg,
    open_to_all,
    picture,
    start_dec_photos,
    without_rights,
)
from PIL import Image
from real_data import real

from dec.base import progress
from dec.base.errors import DecError
from dec.base.files import walk
from dec.base.tables import read_table
from dec.photos import check as checks
from dec.photos import clean as cleaning
from dec.photos.cache import Row
from dec.photos.clean import clean
from dec.photos.duplicates import _pairs, near_duplicates
from dec.photos.reasons import MOVED_BY_DEFAULT, REASONS

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning", "ignore::RuntimeWarning")


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    """Default report folders are made below the current one."""
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def mixed(tmp_path):
    """1,000 good photos and one of everything else; with the reason by name."""
    folder = tmp_path / "photos"
    expected = dict.fromkeys(good_photos(folder, 1000), "ok")
    for name, (reason, data) in broken_files().items():
        (folder / name).write_bytes(data)
        expected[name] = reason
    first = sorted(expected)[0]
    shutil.copy(folder / first, folder / "b/zz-copy.jpg")
    expected["b/zz-copy.jpg"] = "exact-duplicate"
    again = Image.open(folder / "a/0002.jpg").resize((40, 30), Image.Resampling.LANCZOS)
    (folder / "a/0002 small.png").write_bytes(encoded(again, "PNG"))
    expected["a/0002 small.png"] = "near-duplicate"
    (folder / NOT_UTF8).write_bytes(jpeg(5000))
    expected[NOT_UTF8] = "ok"
    (folder / "line\nbreak.jpg").write_bytes(jpeg(5001))
    expected["line\nbreak.jpg"] = "ok"
    os.mkfifo(folder / "pipe.jpg")
    expected["pipe.jpg"] = "not-an-image"
    (folder / "link.jpg").symlink_to("nowhere.jpg")
    expected["link.jpg"] = "missing"
    return folder, expected


def report(folder="runs/clean-photos"):
    path = os.path.join(folder, "report.csv")
    _, *rows = (cells for _, cells in read_table(path))
    return {row[0]: dict(zip(Row._fields, row, strict=True)) for row in rows}


def statuses(folder="runs/clean-photos"):
    return {name: row["status"] for name, row in report(folder).items()}


def contents(folder):
    """How often which content is in the files below a folder."""
    files = [path for path in Path(folder).rglob("*") if path.is_file()]
    return sorted(path.read_bytes() for path in files if path.stat().st_size)


def test_everything_is_told_apart_and_moved(mixed, capsys):
    folder, expected = mixed
    before = contents(folder)
    assert dec_photos("clean", folder, "--jobs", 2) == 0
    assert statuses() == expected
    assert contents(folder) == before
    rows = report()
    assert rows["b/zz-copy.jpg"]["duplicate_of"] == "a/0000.jpg"
    assert rows["a/0002 small.png"]["duplicate_of"] == "a/0002.jpg"
    assert rows["a/0000.jpg"]["width"] == "48"
    out = capsys.readouterr().out
    assert "ok                   1,002\n" in out
    assert "wrong-extension          2\n" in out
    assert f"total            {len(expected):>9,}\n" in out

    assert dec_photos("clean", folder, "--jobs", 1, "--move") == 0
    assert statuses() == expected
    after = sorted(walk(folder))
    usable = ("ok", "wrong-extension", "missing")
    assert after == sorted(name for name in expected if expected[name] in usable)
    assert contents(folder) == before
    for name, reason in expected.items():
        if reason not in usable:
            assert (folder / "rejected" / reason / name).exists()
            assert report()[name]["moved_to"] == f"rejected/{reason}/{name}"
    capsys.readouterr()
    assert dec_photos("clean", folder, "--jobs", 1) == 0
    assert statuses() == expected
    assert f"total            {len(expected):>9,}" in capsys.readouterr().out


def test_second_run_checks_only_what_is_new(tmp_path, monkeypatch):
    folder = tmp_path / "photos"
    names = good_photos(folder, 40)
    clean(folder, "report", jobs=1)
    checked = []

    def counted(path, max_pixels):
        checked.append(os.path.relpath(path, folder))
        return checks.check(path, max_pixels)

    monkeypatch.setattr(cleaning, "check", counted)
    clean(folder, "report", jobs=1)
    assert checked == []
    (folder / names[3]).write_bytes(jpeg(777))
    (folder / "new.jpg").write_bytes(jpeg(778))
    (folder / names[5]).unlink()
    clean(folder, "report", jobs=1)
    assert sorted(checked) == sorted([names[3], "new.jpg"])
    assert set(statuses("report")) == {*names, "new.jpg"} - {names[5]}
    checked.clear()
    counts = clean(folder, "report", jobs=1, max_pixels=1000)
    assert counts["too-large"] == (40, 0)


def test_killed_and_called_again(tmp_path):
    folder = tmp_path / "photos"
    names = good_photos(folder, 800)
    cache = tmp_path / "runs/clean-photos/cache.sqlite"
    stopped_midway(tmp_path, cache, signal.SIGKILL, range(100, 800), "--jobs", 1)
    done = rows_in(cache)
    assert 100 <= done < 800
    assert not (tmp_path / "runs/clean-photos/report.csv").exists()
    assert clean(folder, "runs/clean-photos", jobs=1)["ok"] == (800, 0)
    assert set(statuses()) == set(names)
    with sqlite3.connect(cache) as database:
        kept = database.execute("select min(rowid), count(*) from file").fetchone()
    assert kept == (1, 800)  # rows of the first run were not written anew


def stopped_midway(tmp_path, cache, how, rows, *words):
    """Starts dec photos clean and stops it with so many rows in its cache.

    On a busy machine it may have got further by then: another try.
    """
    for _ in range(20):
        process = start_dec_photos("clean", "photos", *words, cwd=tmp_path)
        deadline = time.monotonic() + 120
        while rows_in(cache) < rows.start and time.monotonic() < deadline:
            time.sleep(0.001)
        process.send_signal(how)
        process.communicate(timeout=120)
        if process.returncode and rows_in(cache) in rows:
            return
        shutil.rmtree(cache.parent)
    pytest.fail("it was never stopped before its end")


def rows_in(cache):
    if not cache.exists():
        return 0
    try:
        with sqlite3.connect(cache) as database:
            return database.execute("select count(*) from file").fetchone()[0]
    except sqlite3.OperationalError:
        return 0


def test_killed_while_moving(tmp_path, monkeypatch):
    folder = tmp_path / "photos"
    good_photos(folder, 4)
    for i in range(6):
        (folder / f"empty{i}.jpg").touch()
    moves = iter([os.unlink, os.unlink, None])

    def dying(path):
        unlink = next(moves)
        if unlink is None:
            raise KeyboardInterrupt
        unlink(path)

    with monkeypatch.context() as patch:
        patch.setattr(cleaning.os, "unlink", dying)
        with pytest.raises(KeyboardInterrupt):
            clean(folder, "report", jobs=1, move=MOVED_BY_DEFAULT)
    counts = clean(folder, "report", jobs=1, move=MOVED_BY_DEFAULT)
    assert counts["empty"] == (6, 6)
    assert len(os.listdir(folder / "rejected/empty")) == 6
    assert sorted(os.listdir(folder)) == ["a", "b", "rejected"]


def test_move_never_overwrites(tmp_path):
    folder = tmp_path / "photos"
    good_photos(folder, 2)
    for content in (b"<html>1", b"<html>2", b"<html>3"):
        (folder / "page.jpg").write_bytes(content)
        clean(folder, "report", jobs=1, move=MOVED_BY_DEFAULT)
    moved = folder / "rejected/not-an-image"
    assert sorted(os.listdir(moved)) == ["page-2.jpg", "page-3.jpg", "page.jpg"]
    assert (moved / "page-3.jpg").read_bytes() == b"<html>3"


def test_move_of_chosen_reasons(tmp_path):
    folder = tmp_path / "photos"
    good_photos(folder, 2)
    (folder / "empty.jpg").touch()
    (folder / "page.jpg").write_bytes(b"<html>")
    (folder / "odd.png").write_bytes(jpeg(70))
    assert dec_photos("clean", folder, "--jobs", 1, "--move", "wrong-extension") == 0
    assert sorted(walk(folder)) == ["a/0000.jpg", "b/0001.jpg", "empty.jpg", "page.jpg"]
    with pytest.raises(SystemExit):
        dec_photos("clean", folder, "--move", "empty,ok")


def test_a_folder_of_that_name_that_is_not_ours(tmp_path):
    folder = tmp_path / "photos"
    good_photos(folder, 2)
    (folder / "rejected").mkdir()
    (folder / "rejected/empty.jpg").touch()
    with pytest.raises(DecError, match="not from `dec photos clean`: rename it"):
        clean(folder, "report", jobs=1, move=MOVED_BY_DEFAULT)
    assert os.listdir(folder / "rejected") == ["empty.jpg"]
    assert clean(folder, "report", jobs=1)["empty"] == (1, 0)


@pytest.mark.parametrize("list_name", ["photos.txt", "manifest.csv"])
def test_missing_by_a_list(tmp_path, list_name):
    folder = tmp_path / "photos"
    good_photos(folder, 2)
    text = "0000 | one | eng\n0001 | two | eng\n0001 | deux | fra\ngone | x | y\n"
    if list_name == "manifest.csv":
        header = "id,status,http_code,bytes,sha256,file,attempts,error\n"
        rows = ["0000,fetched,200,9,,0000.jpg,1,", "gone,refused,404,,,,1,answered 404"]
        text = header + "\n".join([*rows, "was,fetched,200,9,,was.jpg,1,", ""])
        (folder / list_name).write_text(text)
        counts = clean(folder, "report", jobs=1)  # the folder's own, unasked
        assert statuses("report")["was.jpg"] == "missing"
        assert counts["missing"] == (2, 0)
    else:
        (tmp_path / list_name).write_text(text)
        counts = clean(folder, "report", jobs=1, listed=tmp_path / list_name)
        assert counts["missing"] == (1, 0)
    assert counts["ok"] == (2, 0)
    assert statuses("report")["gone"] == "missing"


def test_flat_pictures_are_no_near_duplicates(tmp_path):
    folder = tmp_path / "photos"
    folder.mkdir()
    for i, colour in enumerate(["red", "green", "white", "black"]):
        data = encoded(Image.new("RGB", (60 + i, 40), colour))
        (folder / f"{colour}.jpg").write_bytes(data)
    assert clean(folder, "report", jobs=1)["ok"] == (4, 0)


def test_largest_of_near_duplicates_is_kept(tmp_path):
    folder = tmp_path / "photos"
    folder.mkdir()
    original = picture(4, 300, 200)
    (folder / "a-small.jpg").write_bytes(encoded(original.resize((150, 100))))
    (folder / "b-large.jpg").write_bytes(encoded(original, quality=95))
    (folder / "c-poor.jpg").write_bytes(encoded(original, quality=30))
    clean(folder, "report", jobs=1)
    rows = report("report")
    assert rows["b-large.jpg"]["status"] == "ok"
    for name in ("a-small.jpg", "c-poor.jpg"):
        assert rows[name]["duplicate_of"] == "b-large.jpg"


def test_pairs_of_hashes_against_all_pairs():
    rng = np.random.default_rng(0)
    # Few different bits, so that many rows are near each other.
    some = rng.integers(0, 1 << 12, 500, dtype=np.uint64) * np.uint64(0x4000200010001)
    hashes = np.unique(some)
    apart = np.bitwise_count(hashes[:, None] ^ hashes[None])
    for distance in (0, 1, 4, 7, 10):
        found = [
            (min(pair), max(pair))
            for i, j in _pairs(hashes, distance)
            for pair in zip(i.tolist(), j.tolist(), strict=True)
        ]
        wanted = zip(*np.nonzero(np.triu(apart <= distance, 1)), strict=True)
        assert sorted(found) == sorted((int(i), int(j)) for i, j in wanted)


def test_near_duplicates_do_not_chain():
    hashes = np.array([0b0, 0b11, 0b1111, 0b111111], np.uint64)
    same = np.zeros(4, np.uint64)
    assert near_duplicates(hashes, same, 2) == [(1, 0), (3, 2)]
    assert near_duplicates(hashes[:0], same[:0], 2) == []


def test_100_000_hashes_in_no_time():
    rng = np.random.default_rng(1)
    phash, dhash = rng.integers(0, 1 << 64, (2, 100_000), dtype=np.uint64)
    phash[500:1000] = phash[:500] ^ np.uint64(1 << 40)
    dhash[500:1000] = dhash[:500]
    assert len(near_duplicates(phash, dhash, 4)) == 500
    # And when many have the same phash.
    phash[:20_000] = 5
    assert 480 <= len(near_duplicates(phash, dhash, 4)) <= 520


def test_bad_folders(tmp_path):
    with pytest.raises(DecError, match="none: No such file"):
        clean(tmp_path / "none", "report")
    (tmp_path / "empty").mkdir()
    with pytest.raises(DecError, match="empty: no files in it"):
        clean(tmp_path / "empty", "report")
    (tmp_path / "file").write_bytes(jpeg(1))
    with pytest.raises(DecError, match="file: not a folder"):
        clean(tmp_path / "file", "report")
    assert not os.path.exists("report")


def test_one_photo(tmp_path):
    folder = tmp_path / "photos"
    folder.mkdir()
    (folder / "one.jpg").write_bytes(jpeg(1))
    assert clean(folder, "report", jobs=1)["ok"] == (1, 0)


def test_no_rights(tmp_path):
    folder = tmp_path / "photos"
    good_photos(folder, 4)
    (folder / "b").chmod(0)
    (folder / "a/0000.jpg").chmod(0)
    open_to_all(tmp_path)
    try:
        with without_rights():
            clean(folder, tmp_path / "report", jobs=1)
        (folder / "b").chmod(0o777)
        folder.chmod(0)
        with without_rights(), pytest.raises(DecError, match="Permission denied"):
            clean(folder, tmp_path / "report", jobs=1)
    finally:
        folder.chmod(0o755)
        (folder / "b").chmod(0o755)
    found = statuses("report")
    assert found == {"a/0000.jpg": "unreadable", "a/0002.jpg": "ok", "b": "unreadable"}


def test_two_at_a_time_and_another_folder(tmp_path):
    for name in ("x/photos", "y/photos"):
        good_photos(tmp_path / name, 2)
    clean("x/photos", "report", jobs=1)
    with pytest.raises(DecError, match="x/photos; name another folder with --report"):
        clean("y/photos", "report", jobs=1)
    with (
        cleaning.files.own_folder(tmp_path / "report", "clean"),
        pytest.raises(DecError, match="another `dec photos clean` is at work"),
    ):
        clean("x/photos", "report", jobs=1)


def test_damaged_cache(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(progress, "_stream", sys.stderr)
    good_photos(tmp_path / "photos", 2)
    clean("photos", "report", jobs=1)
    (tmp_path / "report/cache.sqlite").write_bytes(b"no database" * 1000)
    assert clean("photos", "report", jobs=1)["ok"] == (2, 0)
    assert "checked anew" in capsys.readouterr().err


def test_full_disk(tmp_path):
    good_photos(tmp_path / "photos", 600)
    with small_disk(tmp_path / "disk", "128k") as disk:
        with pytest.raises(DecError, match="full.*What has been done is kept"):
            clean("photos", disk / "report", jobs=1)
        os.system(f"mount -o remount,size=8m {disk}")
        assert clean("photos", disk / "report", jobs=1)["ok"] == (600, 0)


def test_reports_below_the_photos_are_no_photos(tmp_path, monkeypatch):
    good_photos(tmp_path / "photos", 2)
    monkeypatch.chdir(tmp_path / "photos")
    for _ in range(2):
        assert dec_photos("clean", ".", "--jobs", 1) == 0
        assert dec_photos("stats", ".", "--jobs", 1) == 0
    assert len(statuses("runs/clean-photos")) == 2


def test_interrupt_by_the_user(tmp_path):
    good_photos(tmp_path / "photos", 1500)
    cache = tmp_path / "runs/clean-photos/cache.sqlite"
    stopped_midway(tmp_path, cache, signal.SIGINT, range(64, 1500), "--jobs", 2)
    assert clean("photos", "runs/clean-photos", jobs=1)["ok"] == (1500, 0)


def test_reasons_have_one_order(tmp_path):
    good_photos(tmp_path / "photos", 2)
    assert tuple(clean("photos", "report", jobs=1)) == REASONS


@pytest.mark.real
def test_real_photos(tmp_path):
    counts = clean(real("photos"), "report", jobs=1)
    assert sum(photos for photos, _ in counts.values()) == 782
    # Looked at, pair by pair: all twelve show the same picture.
    assert counts["near-duplicate"] == (12, 0)
    assert counts["ok"] == (770, 0)
