import numpy as np
import pytest
from conftest import blobs

from dec.errors import DecError
from dec.kmeans import kmeans
from dec.metrics import accuracy


def test_finds_blobs_and_repeats_itself_bit_for_bit():
    rows, labels = blobs()
    centres, assigned = kmeans(rows, 3, seed=1)
    assert accuracy(labels, assigned, 3) == 1
    again, _ = kmeans(rows, 3, seed=1)
    assert np.array_equal(centres, again)


def test_fewer_rows_than_clusters():
    with pytest.raises(DecError, match="2 rows cannot make 3 clusters"):
        kmeans(np.zeros((2, 4)), 3, seed=1)


def test_nan_says_that_phase_1_diverged():
    with pytest.raises(DecError, match="diverged"):
        kmeans(np.full((5, 2), np.nan), 2, seed=1)
