"""idx files: every type, plain and gzip, and every way to be damaged."""

import gzip
import struct

import numpy as np
import pytest

from dec.base.errors import DecError
from dec.data.images.idx import read_idx

CODES = {"u1": 8, "i1": 9, "i2": 11, "i4": 12, "f4": 13, "f8": 14}


def idx_bytes(array):
    code = CODES[array.dtype.str[1:]]
    head = bytes([0, 0, code, array.ndim]) + struct.pack(
        f">{array.ndim}I", *array.shape
    )
    return head + array.astype(array.dtype.newbyteorder(">")).tobytes()


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("dtype", CODES)
def test_round_trip(tmp_path, dtype, packed):
    rng = np.random.default_rng(0)
    for ndim in (1, 2, 3, 4):
        shape = rng.integers(1, 6, ndim)
        array = (rng.random(shape) * 100).astype(dtype)
        raw = idx_bytes(array)
        path = tmp_path / "file"  # gzip is known by its first bytes, not by ".gz"
        path.write_bytes(gzip.compress(raw) if packed else raw)
        read = read_idx(path)
        assert read.dtype == np.dtype(dtype)
        assert read.flags.writeable
        np.testing.assert_array_equal(read, array)


def test_no_rows_is_an_empty_array(tmp_path):
    (tmp_path / "empty").write_bytes(idx_bytes(np.zeros((0, 28, 28), np.uint8)))
    assert read_idx(tmp_path / "empty").shape == (0, 28, 28)


GOOD = idx_bytes(np.arange(24, dtype=np.uint8).reshape(2, 3, 4))
PACKED = gzip.compress(GOOD, mtime=0)  # parameters have to be the same in every process


@pytest.mark.parametrize(
    ("raw", "words"),
    [
        (b"", ["cut short", "0 bytes"]),
        (GOOD[:3], ["cut short", "3 bytes"]),
        (GOOD[:10], ["cut short", "10 bytes", "3 dimensions", "16"]),
        (GOOD[:-1], ["cut short", "39 bytes", "2 x 3 x 4", "take 40"]),
        (GOOD + b"x", ["too long", "41 bytes", "2 x 3 x 4", "take 40"]),
        (GOOD[:7] + b"\x63" + GOOD[8:], ["counts are wrong", "99 x 3 x 4"]),
        (GOOD[:4] + b"\xff" * 12 + GOOD[16:], ["counts are wrong", "4294967295"]),
        (b"\1" + GOOD[1:], ["not an idx file", "01 00 08 03"]),
        (GOOD[:2] + b"\x0a" + GOOD[3:], ["not an idx file", "00 00 0a 03"]),
        (GOOD[:3] + b"\0" + GOOD[4:], ["not an idx file", "00 00 08 00"]),
        (GOOD[:3] + b"\xff" + GOOD[4:], ["not an idx file", "64 dimensions"]),
        (b"<html>404</html>", ["not an idx file"]),
        (PACKED[:-9], ["gzip"]),
        (PACKED[:20] + b"\0\0\0\0" + PACKED[24:], ["gzip"]),
        (gzip.compress(GOOD[:-1], mtime=0), ["cut short", "39 bytes"]),
    ],
)
def test_damaged(tmp_path, raw, words):
    path = tmp_path / "digits"
    path.write_bytes(raw)
    with pytest.raises(DecError) as error:
        read_idx(path)
    for word in [str(path), *words]:
        assert word in str(error.value)


def test_missing_and_folder(tmp_path):
    with pytest.raises(DecError, match=r"nowhere: cannot be read: No such file"):
        read_idx(tmp_path / "nowhere")
    with pytest.raises(DecError, match="Is a directory"):
        read_idx(tmp_path)
