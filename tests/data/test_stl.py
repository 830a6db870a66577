"""STL-10: its files from a folder, an archive, the network; the LevelDBs; a stand-in.

On small files in STL-10's form, with the table of expected MD5s exchanged for theirs.
"""

import functools
import hashlib
import http.server
import importlib.util
import io
import socket
import tarfile
import threading

import numpy as np
import pytest
from conftest import ROOT
from hog_twin import twin
from PIL import Image

from dec.base import download
from dec.base.errors import DecError
from dec.data import leveldb
from dec.data.images import stl, stl_files
from dec.data.images.row_images import RowImages
from dec.data.leveldb.verify import verify
from features import crcb_map, hog

COUNTS = {"train": 9, "test": 6, "unlabeled": 8}
CLASSES = ["boat", "cat", "dog"]
LABELLED, ALL = 15, 23
build = functools.partial(stl.build_leveldbs, jobs=1)


def pictures():
    """All images, train before test before unlabeled: n x row x column x colour."""
    rng = np.random.default_rng(5)
    coarse = rng.integers(0, 256, (ALL, 12, 12, 3), np.uint8)
    return np.stack(
        [
            np.asarray(Image.fromarray(c).resize((96, 96), Image.Resampling.BICUBIC))
            for c in coarse
        ]
    )


IMAGES = pictures()
LABELS = np.arange(LABELLED) % 3


@pytest.fixture
def source(tmp_path, monkeypatch):
    """A folder of STL-10's files; no network, an own cache."""
    folder = tmp_path / "source"
    folder.mkdir()
    at = 0
    for name, count in COUNTS.items():
        stored = IMAGES[at : at + count].transpose(0, 3, 2, 1)
        (folder / f"{name}_X.bin").write_bytes(stored.tobytes())
        if name != "unlabeled":
            labels = LABELS[at : at + count].astype(np.uint8) + 1
            (folder / f"{name}_y.bin").write_bytes(labels.tobytes())
        at += count
    (folder / "class_names.txt").write_text("\n".join(CLASSES) + "\n")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}/x.tar.gz"
    monkeypatch.setattr(stl_files, "MIRRORS", (url,))
    monkeypatch.setattr(download, "_sleep", lambda seconds: None)
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.setenv("DEC_CACHE", str(tmp_path / "cache"))
    return folder


@pytest.fixture
def said(monkeypatch):
    """The lines that have been said."""
    lines = []
    for module in (stl, stl_files):
        monkeypatch.setattr(module, "say", lines.append)
    return lines


def read(path):
    """Rows, labels and the numbers (over all files) of the images of a database."""
    with leveldb.open_reader(path) as reader:
        rows, labels = reader.read()
        rows = rows.reshape(-1, *reader.shape)
    starts = {"train_X.bin": 0, "test_X.bin": 9, "unlabeled_X.bin": 15}
    names = [name.split(":") for name in leveldb.read_names(path)]
    return rows, labels, [starts[file] + int(at) for file, at in names]


def made(paths):
    """When each database was made; opening one leaves its dec.json alone."""
    return {n: (path / "dec.json").stat().st_mtime_ns for n, path in paths.items()}


def formula(image):
    """A row in float64, by reference.md: no code shared with ours."""
    red, green, blue = image.astype(float).reshape(8, 12, 8, 12, 3).mean((1, 3)).T
    luma = 0.299 * red + 0.587 * green + 0.114 * blue
    crcb = np.stack([128 + 0.713 * (red - luma), 128 + 0.564 * (blue - luma)]).T
    return np.concatenate([(twin(image).ravel() - 0.2) * 10, (crcb.ravel() - 128) / 10])


def test_databases(source, tmp_path, said):
    paths = build(tmp_path / "data", source)
    assert set(paths) == {"stl_total", "stl_img", "stl_train", "stl_test"}
    rows, labels, numbers = read(paths["stl_total"])
    assert sorted(numbers) == list(range(LABELLED)) != numbers
    assert rows.shape == (LABELLED, 1428, 1, 1)
    assert labels.tolist() == LABELS[numbers].tolist()
    for row, number in zip(rows.reshape(LABELLED, -1), numbers, strict=True):
        image = IMAGES[number]
        np.testing.assert_allclose(row, formula(image), atol=1e-5)
        ours = [
            ((hog(image) - 0.2) * 10).ravel(),
            ((crcb_map(image) - 128) / 10).ravel(),
        ]
        np.testing.assert_array_equal(row, np.concatenate(ours).astype(np.float32))

    images, image_labels, image_numbers = read(paths["stl_img"])
    assert (image_numbers, image_labels.tolist()) == (numbers, labels.tolist())
    np.testing.assert_array_equal(images, IMAGES[numbers].transpose(0, 3, 1, 2))

    parts = [read(paths[name]) for name in ("stl_train", "stl_test")]
    assert [len(part[0]) for part in parts] == [18, 5]  # four fifths of 23
    both = parts[0][2] + parts[1][2]
    assert sorted(both) == list(range(ALL)) != both
    known = dict(zip(numbers, rows, strict=True))
    for part_rows, part_labels, part_numbers in parts:
        for row, label, number in zip(
            part_rows, part_labels, part_numbers, strict=True
        ):
            assert label == -1  # phase 1 needs none, and most have none
            if number in known:
                np.testing.assert_array_equal(row, known[number])
    meta = leveldb.read_meta(paths["stl_total"])
    assert (meta["kind"], meta["classes"]) == ("photos", CLASSES)
    found = RowImages.find(paths["stl_total"]).read([4])[0]
    np.testing.assert_array_equal(found, IMAGES[numbers[4]])
    for path in paths.values():
        assert not verify(path).problems
    assert meta["photos"] == {"size": [96, 96], "colours": [8, 8], "fit": "crop"}
    assert "not STL-10 itself" in "\n".join(said)


def test_seed_and_jobs(source, tmp_path):
    first, again, other = (
        build(tmp_path / name, source, seed=seed, jobs=jobs)
        for name, seed, jobs in [("a", 1, 1), ("b", 1, 2), ("c", 2, 1)]
    )
    for name in first:
        a, b, c = (read(paths[name]) for paths in (first, again, other))
        np.testing.assert_array_equal(a[0], b[0])
        assert a[2] == b[2] != c[2]


def test_stopped_and_called_again(source, tmp_path, monkeypatch):
    write = leveldb.write_rows

    def stopping(path, rows, *more):
        if path.name == "stl_train":
            next(rows)
            raise KeyboardInterrupt
        return write(path, rows, *more)

    monkeypatch.setattr(leveldb, "write_rows", stopping)
    with pytest.raises(KeyboardInterrupt):
        build(tmp_path / "data", source)
    monkeypatch.undo()
    monkeypatch.setenv("DEC_CACHE", str(tmp_path / "cache"))
    assert not (tmp_path / "data/stl_train").exists()
    done = {name: tmp_path / "data" / name for name in ("stl_total", "stl_img")}
    first = made(done)
    paths = build(tmp_path / "data", source)
    assert made(done) == first
    assert len(read(paths["stl_train"])[0]) == 18


def test_only_what_changed(source, tmp_path):
    paths = build(tmp_path / "data", source)
    first = made(paths)
    build(tmp_path / "data", source)
    build(tmp_path / "data")  # what it was made of need not be there, nor a network
    assert made(paths) == first
    (paths["stl_img"] / "CURRENT").unlink()
    build(tmp_path / "data", source)
    second = made(paths)
    assert [name for name in paths if first[name] != second[name]] == ["stl_img"]
    (source / "train_y.bin").write_bytes(bytes([1] * 9))
    build(tmp_path / "data", source)
    assert not set(made(paths).values()) & set(second.values())
    with pytest.raises(DecError, match="cannot be reached"):
        build(tmp_path / "data", seed=9)


def rewrite(path, change):
    path.write_bytes(change(path.read_bytes()))


@pytest.mark.parametrize(
    ("name", "change", "words"),
    [
        ("train_X.bin", lambda b: b[:-1], "cut short"),
        ("unlabeled_X.bin", lambda b: b + b"x", "cut short"),
        ("train_y.bin", lambda b: b + b"\1", "10 labels for 9 images in train_X.bin"),
        ("test_y.bin", lambda b: b[1:], "5 labels for 6 images"),
        ("test_y.bin", lambda b: b"\0" + b[1:], "label 0 of image 0 .* 1 to 3"),
        ("train_y.bin", lambda b: b[:-1] + b"\4", "label 4 of image 8"),
        ("class_names.txt", lambda b: b" \n", "no names of classes"),
        ("class_names.txt", lambda b: b"\xff\xfe", "cannot be read"),
    ],
)
def test_bad_files(source, tmp_path, name, change, words):
    rewrite(source / name, change)
    with pytest.raises(DecError, match=words) as error:
        build(tmp_path / "data", source)
    assert str(source / name) in str(error.value)
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize("name", stl_files.MD5)
def test_missing_files(source, tmp_path, name):
    (source / name).unlink()
    with pytest.raises(DecError, match=f"{name}: is missing") as error:
        build(tmp_path / "data", source)
    assert ("put an empty file" in str(error.value)) == (name == "unlabeled_X.bin")
    with pytest.raises(DecError, match="no such folder"):
        build(tmp_path / "data", tmp_path / "nowhere")


def test_without_unlabelled_images_and_names(source, tmp_path):
    (source / "unlabeled_X.bin").write_bytes(b"")
    (source / "class_names.txt").unlink()
    paths = build(tmp_path / "data", source)
    assert len(read(paths["stl_train"])[0]) + len(read(paths["stl_test"])[0]) == 15
    classes = leveldb.read_meta(paths["stl_img"])["classes"]
    assert (len(classes), classes[0]) == (10, "airplane")


def test_too_few_images(source, tmp_path):
    for name in stl_files.MD5:
        (source / name).write_bytes(b"")
    with pytest.raises(DecError, match="two or more images with labels"):
        build(tmp_path / "data", source)


def test_as_many_as_stl_and_not_the_same(source, tmp_path, monkeypatch, said):
    monkeypatch.setattr(stl_files, "COUNTS", tuple(COUNTS.values()))
    build(tmp_path / "data", source)
    assert "not the same: train_X.bin," in "\n".join(said)


def test_a_file_that_shrinks_meanwhile(source):
    files = stl_files.find(source)
    rewrite(source / "test_X.bin", lambda b: b[:-1])
    with pytest.raises(DecError, match="has become shorter"):
        files.read(np.array([14]))


# Archives


def packed(source, path, leave_out=""):
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w:gz") as archive:
        for file in sorted(source.iterdir()):
            if file.name != leave_out:
                archive.add(file, f"stl10_binary/{file.name}")
    return path


def test_archive(source, tmp_path, monkeypatch):
    archive = packed(source, tmp_path / "some.tar.gz")
    straight = build(tmp_path / "a", source)
    paths = build(tmp_path / "b", archive)
    for name in paths:
        np.testing.assert_array_equal(read(paths[name])[0], read(straight[name])[0])
    assert archive.exists()
    first = made(paths)
    monkeypatch.setattr(stl_files, "_unpack", None)  # once is enough
    build(tmp_path / "b", archive)
    assert made(paths) == first


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda raw: raw[: len(raw) // 2], "no whole .tar.gz"),
        (lambda raw: b"<html>", "no whole .tar.gz"),
        (lambda raw: raw[:900] + b"????" + raw[904:], "no whole .tar.gz"),
        (None, "there is no test_y.bin in it"),
    ],
)
def test_bad_archives(source, tmp_path, change, words):
    archive = packed(source, tmp_path / "bad.tar.gz", "" if change else "test_y.bin")
    if change:
        rewrite(archive, change)
    with pytest.raises(DecError, match=words) as error:
        build(tmp_path / "data", archive)
    assert str(archive) in str(error.value)
    assert not (tmp_path / "data").exists()
    assert [p.name for p in (tmp_path / "cache/stl10").iterdir()] == []


@pytest.fixture
def mirror(source, tmp_path, monkeypatch):
    """A server of the archive, whose files count as STL-10's own."""
    archive = packed(source, tmp_path / "mirror/stl10_binary.tar.gz")

    def md5(path):
        return hashlib.md5(path.read_bytes()).hexdigest()

    class Handler(http.server.SimpleHTTPRequestHandler):
        asked = []

        def log_message(self, *args):
            self.asked.append(self.path)

    server = http.server.ThreadingHTTPServer(
        ("127.0.0.1", 0), functools.partial(Handler, directory=archive.parent)
    )
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    url = f"http://127.0.0.1:{server.server_port}/{archive.name}"
    monkeypatch.setattr(stl_files, "MIRRORS", (*stl_files.MIRRORS, url))
    monkeypatch.setattr(stl_files, "ARCHIVE_MD5", md5(archive))
    monkeypatch.setattr(
        stl_files, "MD5", {name: md5(source / name) for name in stl_files.MD5}
    )
    Handler.asked.clear()
    yield archive, Handler.asked
    server.shutdown()
    server.server_close()


def test_from_the_network(source, mirror, tmp_path, said):
    archive, asked = mirror
    straight = build(tmp_path / "a", source)
    paths = build(tmp_path / "b")
    assert len(asked) == 1
    np.testing.assert_array_equal(
        read(paths["stl_train"])[0], read(straight["stl_train"])[0]
    )
    assert "stl10_binary: STL-10: 9 + 6 images" in "\n".join(said)
    cached = tmp_path / "cache/stl10"
    assert [path.name for path in cached.iterdir()] == ["stl10_binary"]
    build(tmp_path / "c")  # from the cache
    build(tmp_path / "d", archive)  # known by its MD5, unpacked already
    assert len(asked) == 1
    rewrite(cached / "stl10_binary/test_X.bin", lambda b: b[:-1] + b"?")
    with pytest.raises(DecError, match="damaged.*Delete it"):
        build(tmp_path / "e")


def test_damaged_on_the_way(mirror, tmp_path):
    archive, _ = mirror
    rewrite(archive, lambda b: b[:-9] + b"?" + b[-8:])
    with pytest.raises(DecError, match="its MD5 is .*, expected"):
        build(tmp_path / "data")
    assert not (tmp_path / "data").exists()


# The stand-in


@pytest.fixture
def script(monkeypatch):
    spec = importlib.util.spec_from_file_location(
        "stl_like10", ROOT / "benchmarks/stl_like10.py"
    )
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    monkeypatch.setattr(module, "LABELLED", {"train": 3, "val": 2})
    return module


def test_stand_in_has_stls_form(script, tmp_path, monkeypatch):
    index, photos = "split,class,wnid,file\n", {}
    with tarfile.open(tmp_path / "like.tar.xz", "w:xz") as archive:

        def add(name, data):
            info = tarfile.TarInfo(f"stl_like10/{name}")
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))

        for i in range(12):
            split, kind = "train" if i < 8 else "val", "ab"[i % 2]
            small = Image.fromarray(IMAGES[i]).resize((64, 64))
            data = io.BytesIO()
            small.save(data, "JPEG", quality=95)
            photos[split, kind, i] = small
            add(f"{split}/{kind}/{i:02d}.JPEG", data.getvalue())
            index += f"{split},{kind},n0,{i:02d}.JPEG\n"
        add("index.csv", index.encode())
    script.write(tmp_path / "like.tar.xz", tmp_path / "like")
    files = stl_files.StlFiles(tmp_path / "like")
    assert (files.counts, files.classes) == ((6, 4, 2), ["a", "b"])
    assert files.labels.tolist() == [0, 1] * 5
    order = [0, 1, 2, 3, 4, 5, 8, 9, 10, 11, 6, 7]  # the last two are unlabelled
    for stored, i in zip(files.read(np.arange(12)), order, strict=True):
        photo = photos["train" if i < 8 else "val", "ab"[i % 2], i]
        shown = np.asarray(photo.resize((96, 96), Image.Resampling.LANCZOS), float)
        assert np.abs(stored.transpose(2, 1, 0) - shown).mean() < 8  # JPEG's loss
    script.write(tmp_path / "like.tar.xz", tmp_path / "like")  # is there: no error
    rewrite(tmp_path / "like.tar.xz", lambda raw: raw[: len(raw) // 2])
    with pytest.raises(DecError, match="cannot be read"):
        script.write(tmp_path / "like.tar.xz", tmp_path / "other")
    assert not (tmp_path / "other").exists()
