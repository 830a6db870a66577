"""What `dec data photos` has read is kept, whatever happens to the machine."""

import os

import numpy as np
import pytest

from dec.data.images.photo_store import Store

SIZE, NUMBERS = (72, 56), 495


def test_store_keeps_what_was_committed(tmp_path):
    width, height = SIZE
    with Store(tmp_path / "s", "x", SIZE, NUMBERS) as store:
        image = np.arange(width * height * 3).reshape(height, width, 3) % 256
        row = np.arange(NUMBERS, dtype=np.float32)
        store.add([("a", image.astype(np.uint8), row)], [("b", "empty", "0 bytes")])
        store.commit()
        store.add([("c", image.astype(np.uint8), row)], [])
    with Store(tmp_path / "s", "x", SIZE, NUMBERS) as store:
        assert (store.read, store.names) == (2, ["a"])
        assert store.bad == [("b", "empty", "0 bytes")]
        [images], [rows] = list(store.images()), list(store.rows(0, 1))
        np.testing.assert_array_equal(images[0], image.transpose(2, 0, 1))
        np.testing.assert_array_equal(rows[0], row)
    with Store(tmp_path / "s", "another make", SIZE, NUMBERS) as store:
        assert (store.read, store.names, store.bad) == (0, [], [])


@pytest.mark.parametrize("harm", ["half a line", "lost pixels", "nonsense"])
def test_store_after_a_power_cut(tmp_path, harm):
    image, row = np.zeros((56, 72, 3), np.uint8), np.zeros(NUMBERS, np.float32)
    with Store(tmp_path / "s", "x", SIZE, NUMBERS) as store:
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
    with Store(tmp_path / "s", "x", SIZE, NUMBERS) as store:
        assert store.names == ["a", "b"]
        store.add([("d", image, row)], [])
        store.commit()
    with Store(tmp_path / "s", "x", SIZE, NUMBERS) as store:
        assert store.names == ["a", "b", "d"]
        assert [len(block) for block in store.images()] == [3]
