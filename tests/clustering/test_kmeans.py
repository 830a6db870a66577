import os
import subprocess
import sys

import numpy as np
import pytest
from conftest import blobs

from dec.base.errors import DecError
from dec.clustering import kmeans as module
from dec.clustering.kmeans import kmeans
from dec.scores.clusters import accuracy


def test_finds_blobs_and_repeats_itself_bit_for_bit():
    rows, labels = blobs()
    centres, assigned = kmeans(rows, 3, seed=1)
    assert accuracy(labels, assigned, 3) == 1
    again, _ = kmeans(rows, 3, seed=1)
    assert np.array_equal(centres, again)


def test_many_threads_make_the_same_bits_as_two():
    """On machines of more cores, sums over threads must not be what decides."""
    program = (
        "import sys; import numpy as np; from dec.clustering.kmeans import kmeans\n"
        "x = np.random.default_rng(0).normal(size=(5000, 10)).astype(np.float32)\n"
        "sys.stdout.buffer.write(kmeans(x, 10, 1, restarts=3)[0].tobytes())"
    )
    outputs = [
        subprocess.run(
            [sys.executable, "-c", program],
            env={**os.environ, "OMP_NUM_THREADS": threads},
            capture_output=True,
            check=True,
        ).stdout
        for threads in ("2", "8")
    ]
    assert outputs[0] == outputs[1]


def test_above_a_size_restarts_see_a_part_and_the_best_goes_on_on_all(
    monkeypatch,
):
    rows, labels = blobs()
    all_rows, _ = kmeans(rows, 3, seed=1)
    said = []
    monkeypatch.setattr(module, "say", said.append)
    monkeypatch.setattr(module, "LARGE", 599)
    monkeypatch.setattr(module, "SAMPLE", 200)
    assert module.rows_of_restarts(600) == 200
    assert module.rows_of_restarts(599) == 599
    before = rows.copy()
    centres, assigned = kmeans(rows, 3, seed=1)
    assert len(said) == 1 and "restarts on 200 of the 600 rows" in said[0]
    assert np.array_equal(rows, before)
    assert accuracy(labels, assigned, 3) == 1
    # The same minimum: the means over all rows of the blobs, not over the sample.
    order = np.lexsort(centres.T), np.lexsort(all_rows.T)
    assert centres[order[0]] == pytest.approx(all_rows[order[1]], abs=1e-6)
    again, _ = kmeans(rows, 3, seed=1)
    assert np.array_equal(centres, again)


def test_fewer_rows_than_clusters():
    with pytest.raises(DecError, match="2 rows cannot make 3 clusters"):
        kmeans(np.zeros((2, 4)), 3, seed=1)


@pytest.mark.parametrize("different,more", [(2, 3), (3, 5)])
def test_fewer_different_rows_than_clusters(different, more):
    rows = np.repeat(np.arange(float(different)), 20)[:, None]
    words = f"{len(rows)} rows of which {different} differ cannot make {more}"
    with pytest.raises(DecError, match=words):
        kmeans(rows, more, seed=1)
    centres, assigned = kmeans(rows, different, seed=1)
    assert np.array_equal(centres[assigned], rows)


def test_one_cluster_is_the_mean():
    rows, _ = blobs()
    centres, assigned = kmeans(rows, 1, seed=1)
    assert centres[0] == pytest.approx(rows.mean(axis=0), abs=1e-5)
    assert not assigned.any()


def test_nan_is_named_by_its_row():
    rows, _ = blobs()
    rows[41, 2] = np.inf
    with pytest.raises(DecError, match="row 41 has NaN or infinity"):
        kmeans(rows, 2, seed=1)
