"""Fashion-MNIST. What it shares with MNIST is tested in test_mnist.py."""

import gzip

import numpy as np
import pytest
from test_mnist import NAMES, closed_port_url, idx

from dec.base.errors import DecError, DownloadError
from dec.data.images import fashion
from dec.data.images.idx_images import IdxFile
from dec.data.leveldb import open_reader


@pytest.fixture
def clothes(tmp_path, monkeypatch):
    """Four small files, expected instead of the real ones; Debian's folder of them."""
    import hashlib

    installed = tmp_path / "installed"
    installed.mkdir()
    expected = {}
    for name, count in zip(NAMES, (20, 20, 10, 10), strict=True):
        shape = (count, 28, 28) if "images" in name else (count,)
        raw = idx((np.arange(np.prod(shape)) % 10).astype(np.uint8).reshape(shape))
        expected[name] = IdxFile(shape, hashlib.sha256(raw).hexdigest())
        (installed / f"{name}.gz").write_bytes(gzip.compress(raw))
    monkeypatch.setattr(fashion.FASHION, "files", expected)
    monkeypatch.setattr(fashion.FASHION, "mirrors", [closed_port_url()])
    monkeypatch.setattr(fashion.FASHION, "installed", installed)
    monkeypatch.setenv("DEC_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    return installed


def test_databases_from_debians_package(clothes, tmp_path):
    paths = fashion.FASHION.build_leveldbs(tmp_path / "data")
    assert {name: path.name for name, path in paths.items()} == {
        f"fashion-mnist_{part}": f"fashion-mnist_{part}"
        for part in ("train", "test", "total")
    }
    with open_reader(paths["fashion-mnist_total"]) as reader:
        assert (reader.rows, reader.shape) == (30, (784, 1, 1))
        assert reader.meta["scale"] == 0.0086 and reader.meta["image"] == [28, 28]
        assert reader.meta["classes"][9] == "Ankle boot"
        x, y = reader.read()
    pixels = (np.arange(20 * 784) % 10 * 0.0086).astype(np.float32).reshape(20, 784)
    assert np.array_equal(x[:20], pixels)
    assert y[:10].tolist() == list(range(10))


def test_up_to_date_is_left_alone(clothes, tmp_path, capfd):
    paths = fashion.FASHION.build_leveldbs(tmp_path / "data")
    made = [path.stat().st_ino for path in paths.values()]
    fashion.FASHION.build_leveldbs(tmp_path / "data")
    assert [path.stat().st_ino for path in paths.values()] == made


def test_the_users_folder_comes_first(clothes, tmp_path):
    with pytest.raises(DecError, match="Fashion-MNIST's four files are"):
        fashion.FASHION.build_leveldbs(tmp_path / "data", source=tmp_path)
    digits = clothes / f"{NAMES[0]}.gz"
    digits.write_bytes(gzip.compress(idx(np.ones((20, 28, 28), np.uint8))))
    with pytest.raises(DecError, match="not the original Fashion-MNIST file"):
        fashion.FASHION.build_leveldbs(tmp_path / "data", source=clothes)
    assert not (tmp_path / "data").exists()


def test_without_package_and_network_it_says_how_to_get_it(clothes, tmp_path):
    (clothes / f"{NAMES[2]}.gz").unlink()
    with pytest.raises(DownloadError) as error:
        fashion.FASHION.build_leveldbs(tmp_path / "data")
    for words in ("apt-get install dataset-fashion-mnist", str(tmp_path / "cache")):
        assert words in str(error.value)


def test_the_real_ones(tmp_path, monkeypatch):
    if not fashion.FASHION.installed.is_dir():
        pytest.skip("Debian's package dataset-fashion-mnist is not installed")
    monkeypatch.setenv("DEC_CACHE", str(tmp_path))
    x, y = fashion.FASHION.arrays()
    assert (x.shape, x.dtype) == ((70000, 784), np.float32)
    assert np.bincount(y).tolist() == [7000] * 10
    assert np.einsum("ij,ij->", x, x, dtype=np.float64) / x.size == pytest.approx(
        1, abs=0.01
    )
