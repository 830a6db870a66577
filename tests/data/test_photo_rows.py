"""`dec data photos`: photos of any kind as LevelDBs, their labels, new photos alike."""

import functools
import json
import os
import signal
import subprocess
import sys
import threading
import time

import joblib
import numpy as np
import pytest
from disks import small_disk
from hog_twin import twin
from photos_samples import (
    NOT_UTF8,
    broken_files,
    encoded,
    good_photos,
    jpeg,
    picture,
    without_rights,
)
from PIL import Image
from real_data import real

from dec.base.errors import DecError
from dec.base.tables import read_pairs
from dec.data import leveldb
from dec.data.images import photo_rows
from dec.data.images.row_images import RowImages
from dec.data.leveldb.verify import verify
from features import crcb_map, hog

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning", "ignore::RuntimeWarning")
SMALL = (64, 48)
build = functools.partial(photo_rows.build_leveldbs, size=SMALL, features="hog", jobs=1)


@pytest.fixture
def said(monkeypatch):
    """What has been said since the last call, as one text."""
    lines = []
    monkeypatch.setattr(photo_rows, "say", lines.append)

    def words():
        text = "\n".join(lines)
        lines.clear()
        return text

    return words


def read(path):
    """Rows in their shape, labels and names."""
    with leveldb.open_reader(path) as reader:
        rows, labels = reader.read()
        return rows.reshape(-1, *reader.shape), labels, leveldb.read_names(path)


def skipped(data):
    rows = read_pairs(data / "photos_skipped.csv", "file", "reason")
    return {name: reason for name, (_, reason) in rows.items()}


def made(paths):
    """When each database was made; opening one leaves its dec.json alone."""
    return {n: (path / "dec.json").stat().st_mtime_ns for n, path in paths.items()}


def formula(image):
    """A row of a 200 x 120 image in float64: no code shared with ours."""
    red, green, blue = image.astype(float).reshape(6, 20, 10, 20, 3).mean((1, 3)).T
    luma = 0.299 * red + 0.587 * green + 0.114 * blue
    crcb = np.stack([128 + 0.713 * (red - luma), 128 + 0.564 * (blue - luma)]).T
    return np.concatenate([(twin(image).ravel() - 0.2) * 10, (crcb.ravel() - 128) / 10])


def test_databases(tmp_path):
    images = {}
    for i in range(9):
        name = f"{'ab'[i % 2]}/{i}.png"
        photo = picture(i, 200, 120)
        (tmp_path / "photos" / name).parent.mkdir(parents=True, exist_ok=True)
        photo.save(tmp_path / "photos" / name)
        images[name] = np.asarray(photo)
    paths = photo_rows.build_leveldbs(
        tmp_path / "data", tmp_path / "photos", features="hog", jobs=1
    )
    rows, labels, names = read(paths["photos_total"])
    assert rows.shape == (9, 4007, 1, 1)
    assert sorted(names) == sorted(images) != names
    for row, name in zip(rows.reshape(9, -1), names, strict=True):
        image = images[name]
        np.testing.assert_allclose(row, formula(image), atol=1e-5)
        colours = crcb_map(image, (6, 10))
        ours = [((hog(image) - 0.2) * 10).ravel(), ((colours - 128) / 10).ravel()]
        np.testing.assert_array_equal(row, np.concatenate(ours).astype(np.float32))
    pixels, image_labels, image_names = read(paths["photos_img"])
    assert (image_names, image_labels.tolist()) == (names, labels.tolist())
    shown = np.stack([images[name] for name in names]).transpose(0, 3, 1, 2)
    np.testing.assert_array_equal(pixels, shown)
    parts = [read(paths[name]) for name in ("photos_train", "photos_test")]
    assert [len(part[0]) for part in parts] == [7, 2]
    for i, whole in enumerate((rows, labels, names)):
        np.testing.assert_array_equal(np.concatenate([p[i] for p in parts]), whole)
    meta = leveldb.read_meta(paths["photos_total"])
    assert (meta["kind"], meta["classes"]) == ("photos", ["a", "b"])
    assert meta["folder"] == str(tmp_path / "photos")
    [found] = RowImages.find(paths["photos_total"]).read([3])
    np.testing.assert_array_equal(found, images[names[3]])
    for path in paths.values():
        assert not verify(path).problems
    assert [meta["classes"][i] for i in labels] == [name[0] for name in names]
    assert sorted(os.listdir(tmp_path / "data")) == sorted(paths)


def test_broken_ones_are_named_and_1000_good_ones_arrive(tmp_path, said):
    folder = tmp_path / "photos"
    good = good_photos(folder, 1000)
    good.append(f"b/{NOT_UTF8}")
    (folder / good[-1]).write_bytes(jpeg(2000))
    bad = {}
    for i, (name, (reason, data)) in enumerate(broken_files().items()):
        name = f"{'ab'[i % 2]}/{name}"
        (folder / name).write_bytes(data)
        if reason == "wrong-extension":
            good.append(name)
        else:
            bad[name] = reason
    (folder / "a/tiny.png").write_bytes(encoded(picture(1, 300, 23), "PNG"))
    (folder / "b/gone.jpg").symlink_to("nowhere.jpg")
    bad |= {"a/tiny.png": "too-small", "b/gone.jpg": "missing"}
    paths = build(tmp_path / "data", folder)
    for name in ("photos_total", "photos_img"):
        assert sorted(read(paths[name])[2]) == sorted(good)
    assert skipped(tmp_path / "data") == bad
    words = said()
    assert words.count(": skipped: ") == 10
    assert f"{len(bad)} skipped: {len(bad) - 10} more, see " in words
    rows, labels, names = read(paths["photos_total"])
    assert [name[0] for name in names] == ["ab"[label] for label in labels]
    assert np.isfinite(rows).all()


def test_more_than_one_process_and_other_seeds(tmp_path):
    good_photos(tmp_path / "photos", 40)
    a, b, c = (
        build(tmp_path / name, tmp_path / "photos", jobs=jobs, seed=seed)
        for name, jobs, seed in [("a", 1, 1), ("b", 2, 1), ("c", 1, 2)]
    )
    for name in a:
        one, two, three = (read(paths[name]) for paths in (a, b, c))
        np.testing.assert_array_equal(one[0], two[0])
        assert one[2] == two[2] != three[2]


def test_another_back_end_of_joblib(tmp_path, monkeypatch):
    good_photos(tmp_path / "photos", 80)
    straight = build(tmp_path / "a", tmp_path / "photos")
    threads = set()
    reading = photo_rows.Reading.__call__

    def noted(self, names):
        threads.add(threading.current_thread())
        return reading(self, names)

    monkeypatch.setattr(photo_rows.Reading, "__call__", noted)
    with joblib.parallel_config(backend="threading"):
        paths = build(tmp_path / "b", tmp_path / "photos", jobs=None)
    assert threads and threading.main_thread() not in threads
    for name in paths:
        one, two = read(paths[name]), read(straight[name])
        np.testing.assert_array_equal(one[0], two[0])


def test_only_what_changed(tmp_path):
    folder = tmp_path / "photos"
    names = good_photos(folder, 6)
    paths = build(tmp_path / "data", folder)
    first = made(paths)
    build(tmp_path / "data", folder)
    assert photo_rows.build_leveldbs(tmp_path / "data") == paths
    with leveldb.open_reader(paths["photos_total"]):  # in use, but nothing to do
        build(tmp_path / "data", folder)
    assert made(paths) == first

    def anew(**options):
        before = made(paths)
        build(tmp_path / "data", folder, **options)
        return not set(made(paths).values()) & set(before.values())

    (folder / names[0]).write_bytes(b"")
    assert anew()
    assert skipped(tmp_path / "data") == {names[0]: "empty"}
    (folder / names[0]).unlink()
    assert anew()
    assert not (tmp_path / "data/photos_skipped.csv").exists()
    (folder / "a/new.jpg").write_bytes(jpeg(99))
    assert anew()
    assert "a/new.jpg" in read(paths["photos_img"])[2]
    assert anew(size=(48, 48), fit="pad")
    assert anew(labels="none")
    assert anew(seed=5)
    (paths["photos_test"] / "CURRENT").unlink()
    build(tmp_path / "data", folder)
    assert len(read(paths["photos_test"])[0]) == 2


def test_databases_among_the_photos(tmp_path):
    good_photos(tmp_path / "photos", 4)
    paths = build(tmp_path / "photos/data", tmp_path / "photos")
    first = made(paths)
    build(tmp_path / "photos/data", tmp_path / "photos")
    assert made(paths) == first
    assert not (tmp_path / "photos/data/photos_skipped.csv").exists()


def test_without_a_folder_and_without_databases(tmp_path):
    with pytest.raises(DecError, match="Name the folder of photos"):
        photo_rows.build_leveldbs(tmp_path / "data")


def stopping_after(monkeypatch, batches):
    """Reading ends with Ctrl-C after so many tasks; returns what was read later."""
    each, asked = photo_rows.each, []

    def some(*arguments, **options):
        for i, batch in enumerate(each(*arguments, **options)):
            if i == batches:
                raise KeyboardInterrupt
            asked.extend(name for name, _ in batch)
            yield batch

    monkeypatch.setattr(photo_rows, "each", some)
    return asked


def test_stopped_and_called_again(tmp_path, monkeypatch, said):
    folder = tmp_path / "photos"
    good_photos(folder, 100)
    (folder / "a/empty.jpg").touch()
    whole = build(tmp_path / "whole", folder)
    monkeypatch.setattr(photo_rows, "_BATCH", 16)
    monkeypatch.setattr(photo_rows, "_COMMIT", 20)  # every second task
    with monkeypatch.context() as patch:
        stopping_after(patch, 5)
        with pytest.raises(KeyboardInterrupt):
            build(tmp_path / "data", folder)
    assert os.listdir(tmp_path / "data") == ["photos_work"]
    asked = stopping_after(monkeypatch, None)
    paths = build(tmp_path / "data", folder)
    assert "64 of 101 photos have been read before" in said()
    assert len(asked) == 101 - 64
    for name in paths:
        one, two = read(paths[name]), read(whole[name])
        for a, b in zip(one, two, strict=True):
            np.testing.assert_array_equal(a, b)
    assert skipped(tmp_path / "data") == {"a/empty.jpg": "empty"}
    assert not (tmp_path / "data/photos_work").exists()


def test_other_photos_meanwhile(tmp_path, monkeypatch):
    folder = tmp_path / "photos"
    good_photos(folder, 60)
    monkeypatch.setattr(photo_rows, "_BATCH", 16)
    monkeypatch.setattr(photo_rows, "_COMMIT", 1)
    with monkeypatch.context() as patch:
        stopping_after(patch, 2)
        with pytest.raises(KeyboardInterrupt):
            build(tmp_path / "data", folder)
    (folder / "a/new.jpg").write_bytes(jpeg(61))
    asked = stopping_after(monkeypatch, None)
    build(tmp_path / "data", folder)
    assert len(asked) == 61


def test_killed_and_called_again(tmp_path):
    folder = tmp_path / "photos"
    good_photos(folder, 200)
    code = (
        "from dec.data.images import photo_rows as p; p._BATCH = p._COMMIT = 8;"
        "p.build_leveldbs('data', 'photos', (64, 48), features='hog', jobs=1)"
    )
    journal = tmp_path / "data/photos_work/journal.jsonl"
    process = subprocess.Popen(
        [sys.executable, "-c", code], cwd=tmp_path, stderr=subprocess.DEVNULL
    )
    deadline = time.monotonic() + 60
    while process.poll() is None and time.monotonic() < deadline:
        if journal.exists() and len(journal.read_bytes().splitlines()) > 3:
            break
        time.sleep(0.001)
    assert process.poll() is None, "it ended before it could be killed"
    process.send_signal(signal.SIGKILL)
    process.wait(60)
    paths = build(tmp_path / "data", folder)
    whole = build(tmp_path / "whole", folder)
    for name in paths:
        one, two = read(paths[name]), read(whole[name])
        np.testing.assert_array_equal(one[0], two[0])
        assert one[2] == two[2]


def test_two_at_a_time(tmp_path, monkeypatch):
    folder = tmp_path / "photos"
    good_photos(folder, 4)
    read_all = photo_rows._read_all

    def twice(*words):
        with pytest.raises(DecError, match="photos_work: another .* is at work here"):
            build(tmp_path / "data", folder)
        read_all(*words)

    monkeypatch.setattr(photo_rows, "_read_all", twice)
    assert len(read(build(tmp_path / "data", folder)["photos_total"])[0]) == 4


def test_labels_in_the_databases(tmp_path, said):
    folder = tmp_path / "photos"
    folder.mkdir()
    for i in range(8):
        (folder / f"{['cat', 'dog'][i % 2]}_{i}.jpg").write_bytes(jpeg(i))
    paths = build(tmp_path / "data", folder)
    assert "labels: 2 by file names: cat 4, dog 4" in said()
    _, labels, names = read(paths["photos_img"])
    assert [["cat", "dog"][label] for label in labels] == [n[:3] for n in names]
    build(tmp_path / "data", folder, labels="none")
    assert "labels: none, as asked for" in said()
    assert set(read(paths["photos_img"])[1]) == {-1}
    assert "classes" not in leveldb.read_meta(paths["photos_total"])


# Bad input


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"size": (200, 23)}, "size 200x23: .* 24x24 or more"),
        ({"fit": "squash"}, "fit squash: none of crop"),
    ],
)
def test_bad_options(tmp_path, options, words):
    good_photos(tmp_path / "photos", 2)
    with pytest.raises(DecError, match=words):
        build(tmp_path / "data", tmp_path / "photos", **options)
    assert not (tmp_path / "data").exists()


def test_folders_without_photos(tmp_path):
    empty = tmp_path / "empty"
    empty.mkdir()
    (tmp_path / "file").write_text("x")
    for folder, words in [
        (empty, "empty: no files in it"),
        (tmp_path / "nowhere", "No such file"),
        (tmp_path / "file", "not a folder"),
    ]:
        with pytest.raises(DecError, match=words):
            build(tmp_path / "data", folder)
        assert not (tmp_path / "data").exists()
    (empty / "page.jpg").write_text("<html>")
    with pytest.raises(DecError, match="0 usable images"):
        build(tmp_path / "data", empty)
    (empty / "one.jpg").write_bytes(jpeg(1))
    with pytest.raises(DecError, match="1 usable image: two or more are needed"):
        build(tmp_path / "data", empty)
    assert os.listdir(tmp_path / "data") == ["photos_skipped.csv"]
    (empty / "two.jpg").write_bytes(jpeg(2))
    paths = build(tmp_path / "data", empty)
    assert [len(read(paths[f"photos_{n}"])[0]) for n in ("train", "test")] == [1, 1]


def test_folders_without_rights(tmp_path):
    folder = tmp_path / "photos"
    names = good_photos(folder, 6)
    (folder / names[0]).chmod(0)
    (folder / "b").chmod(0)
    (tmp_path / "data").mkdir()
    for path in (tmp_path / "data", tmp_path, *tmp_path.parents[:3]):
        path.chmod(path.stat().st_mode | 0o777)
    try:
        with without_rights():
            paths = build(tmp_path / "data", folder)
            assert skipped(tmp_path / "data") == {
                "b": "unreadable",
                names[0]: "unreadable",
            }
            assert sorted(read(paths["photos_total"])[2]) == [names[2], names[4]]
        folder.chmod(0)
        with without_rights(), pytest.raises(DecError, match="Permission denied"):
            build(tmp_path / "data", folder)
    finally:
        folder.chmod(0o755)
        (folder / "b").chmod(0o755)


def test_one_photo_of_200_megapixels(tmp_path):
    folder = tmp_path / "photos"
    good_photos(folder, 3)
    Image.new("1", (20_000, 10_000)).save(folder / "a/huge.png")
    paths = build(tmp_path / "data", folder)
    assert skipped(tmp_path / "data") == {"a/huge.png": "too-large"}
    assert len(read(paths["photos_total"])[0]) == 3


@pytest.mark.parametrize("size", ["200k", "1m"])
def test_full_disk(tmp_path, size):
    folder = tmp_path / "photos"
    good_photos(folder, 60)
    with small_disk(tmp_path / "disk", size) as disk:
        with pytest.raises(DecError, match="disk.*cannot be written"):
            build(disk / "data", folder)
        assert not (disk / "data/photos_total").exists()
        os.system(f"mount -o remount,size=64m {disk}")
        paths = build(disk / "data", folder)
        assert len(read(paths["photos_total"])[0]) == 60


# New photos


def test_new_photos_are_prepared_like_the_old_ones(tmp_path, said):
    folder = tmp_path / "photos"
    good_photos(folder, 30)
    exif = Image.Exif()
    exif[0x0112] = 6
    for name, data in {
        "a/turned.jpg": encoded(picture(50, 700, 500), exif=exif),
        "a/large.jpg": encoded(picture(51, 1500, 900)),
        "b/cmyk.jpg": encoded(picture(52, 90, 300).convert("CMYK")),
        "b/grey.png": encoded(picture(53, 64, 48).convert("L"), "PNG"),
        f"b/{NOT_UTF8}": jpeg(54),
        "b/empty.jpg": b"",
    }.items():
        (folder / name).write_bytes(data)
    for fit in ("crop", "pad"):
        paths = build(tmp_path / "data", folder, fit=fit)
        rows, _, names = read(paths["photos_total"])
        facts = json.loads((paths["photos_total"] / "dec.json").read_text())
        new = photo_rows.PhotoRows(facts)
        assert new.shape == rows.shape[1:]
        said()
        got = {}
        for some, block in new.read(folder, jobs=1):
            assert block.dtype == np.float32
            got.update(zip(some, block, strict=True))
        assert f"{folder}/b/empty.jpg: empty: 0 bytes: skipped" in said()
        assert sorted(got) == sorted(str(folder / name) for name in names)
        for row, name in zip(rows.reshape(len(rows), -1), names, strict=True):
            np.testing.assert_array_equal(got[str(folder / name)], row)
            [(single, block)] = new.read(folder / name)
            assert single == [str(folder / name)]
            np.testing.assert_array_equal(block[0], row)


def test_new_photos_that_cannot_be_read(tmp_path):
    good_photos(tmp_path / "photos", 4)
    paths = build(tmp_path / "data", tmp_path / "photos")
    facts = leveldb.read_meta(paths["photos_total"])
    new = photo_rows.PhotoRows(facts)
    for name, (reason, data) in broken_files().items():
        if reason == "wrong-extension":
            continue
        (tmp_path / name).write_bytes(data)
        with pytest.raises(DecError, match=f"{name}: {reason}: "):
            next(new.read(tmp_path / name))
    with pytest.raises(DecError, match="nowhere.jpg: missing"):
        next(new.read(tmp_path / "nowhere.jpg"))
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad/empty.jpg").touch()
    with pytest.raises(DecError, match="bad: no photo in it"):
        list(new.read(tmp_path / "bad"))
    with pytest.raises(DecError, match="rows of 7 numbers"):
        photo_rows.PhotoRows({**facts, "shape": [7, 1, 1]})


# Real photos


@pytest.mark.real
def test_real_photos(tmp_path, said):
    photos = real("photos")
    classes = ["beings", "heritage", "nature"]
    for name in classes:
        (tmp_path / "photos" / name).mkdir(parents=True)
        for path in sorted(photos.rglob(f"{name}/*.jpg"))[:20]:
            (tmp_path / "photos" / name / path.name).symlink_to(path)
    paths = photo_rows.build_leveldbs(
        tmp_path / "data", tmp_path / "photos", features="hog", jobs=1
    )
    assert "3 by sub-folders: beings 20, heritage 20, nature 20" in said()
    rows, labels, _ = read(paths["photos_total"])
    assert np.bincount(labels).tolist() == [20, 20, 20]
    # All sets are scaled so that this is about 1 (reference.md).
    assert 0.5 < (rows.astype(np.float64) ** 2).mean() < 2
