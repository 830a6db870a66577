"""What `dec data photos` has read is kept, whatever happens to the machine."""

import os

import numpy as np
import pytest

from dec.data.images.image_features import Frame
from dec.data.images.photo_store import Store


def test_store_keeps_what_was_committed(tmp_path):
    frame = Frame((72, 56), (4, 5))
    assert frame.width == 5 * 7 * 13 + 40
    width, height = frame.size
    with Store(tmp_path / "s", "x", frame) as store:
        image = np.arange(width * height * 3).reshape(height, width, 3) % 256
        row = np.arange(frame.width, dtype=np.float32)
        store.add([("a", image.astype(np.uint8), row)], [("b", "empty", "0 bytes")])
        store.commit()
        store.add([("c", image.astype(np.uint8), row)], [])
    with Store(tmp_path / "s", "x", frame) as store:
        assert (store.read, store.names) == (2, ["a"])
        assert store.bad == [("b", "empty", "0 bytes")]
        [images], [rows] = list(store.images()), list(store.rows(0, 1))
        np.testing.assert_array_equal(images[0], image.transpose(2, 0, 1))
        np.testing.assert_array_equal(rows[0], row)
    with Store(tmp_path / "s", "another make", frame) as store:
        assert (store.read, store.names, store.bad) == (0, [], [])


@pytest.mark.parametrize("harm", ["half a line", "lost pixels", "nonsense"])
def test_store_after_a_power_cut(tmp_path, harm):
    frame = Frame((64, 48), (2, 2))
    image, row = np.zeros((48, 64, 3), np.uint8), np.zeros(frame.width, np.float32)
    with Store(tmp_path / "s", "x", frame) as store:
        for name in "abc":
            store.add([(name, image, row)], [])
            store.commit()
    journal, pixels = tmp_path / "s/journal.jsonl", tmp_path / "s/images.u8"
    if harm == "lost pixels":
        os.truncate(pixels, pixels.stat().st_size - 1)
    elif harm == "half a line":
        os.truncate(journal, journal.stat().st_size - 5)
    else:
        lines = journal.read_bytes().splitlines(keepends=True)
        journal.write_bytes(b"".join([*lines[:-1], b"\0" * 40 + b"\n"]))
    with Store(tmp_path / "s", "x", frame) as store:
        assert store.names == ["a", "b"]
        store.add([("d", image, row)], [])
        store.commit()
    with Store(tmp_path / "s", "x", frame) as store:
        assert store.names == ["a", "b", "d"]
        assert [len(block) for block in store.images()] == [3]
