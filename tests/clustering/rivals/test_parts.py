"""The pieces that LDMGI and SEC are made of."""

import numpy as np
import pytest
from scipy import sparse
from scipy.spatial.distance import cdist

from dec.clustering.rivals import eigen
from dec.clustering.rivals.neighbours import nearest
from dec.clustering.rivals.rotation import closeness, rotate


@pytest.mark.parametrize("width", [3, 40])  # a tree, and all distances
@pytest.mark.parametrize("kind", [np.asarray, sparse.csr_array])
def test_neighbours_are_the_nearest(width, kind):
    rows = np.random.default_rng(0).normal(size=(200, width))
    found = nearest(kind(rows), 4)
    away = cdist(rows, rows)
    np.fill_diagonal(away, np.inf)
    assert np.array_equal(found.indices, np.argsort(away, axis=1)[:, :4])
    assert found.distances == pytest.approx(np.sort(away, axis=1)[:, :4], abs=1e-6)


def test_a_row_among_its_like_is_not_its_own_neighbour():
    rows = np.repeat(np.eye(3, 20), 30, axis=0)
    found = nearest(rows, 5)
    assert not (found.indices == np.arange(90)[:, None]).any()
    assert (found.indices // 30 == np.arange(90)[:, None] // 30).all()
    assert found.distances == pytest.approx(0)


def test_rotation_finds_rotated_indicators_and_does_not_see_the_rotation():
    random = np.random.default_rng(4)
    labels = random.integers(0, 5, 400)
    turn = np.linalg.qr(random.normal(size=(5, 5)))[0]
    vectors = np.eye(5)[labels] @ turn * random.uniform(0.1, 2, 400)[:, None]
    found = rotate(vectors, 1)
    assert len(set(zip(found.assigned, labels, strict=True))) == 5
    assert ((vectors @ found.rotation).argmax(axis=1) == found.assigned).all()
    unit = vectors / np.linalg.norm(vectors, axis=1)[:, None]
    assert closeness(unit, found.assigned) == pytest.approx(400)
    noisy = vectors + random.normal(size=vectors.shape) * 0.2
    other = np.linalg.qr(random.normal(size=(5, 5)))[0]
    assert np.array_equal(rotate(noisy, 1).assigned, rotate(noisy @ other, 1).assigned)


def test_more_starts_are_never_worse():
    vectors = np.random.default_rng(5).normal(size=(300, 8))
    unit = vectors / np.linalg.norm(vectors, axis=1)[:, None]
    close = [closeness(unit, rotate(vectors, 1, n).assigned) for n in (1, 5, 20)]
    assert close == sorted(close) and close[0] < close[2]


def test_eigenvectors_that_do_not_converge_are_told_of(monkeypatch):
    monkeypatch.setattr(eigen, "_ROUNDS", 1)
    monkeypatch.setattr(eigen, "_ROUND", 2)
    values = np.linspace(0, 1, 2000)[:, None]
    with pytest.warns(UserWarning, match="have not converged"):
        eigen.smallest(
            lambda v: values * v.reshape(2000, -1), lambda v: v, 2000, 3, 1.0, 0
        )


def test_multigrid_leaves_numpys_generator_alone():
    chain = sparse.diags_array(
        [-np.ones(4999), 2.1 * np.ones(5000), -np.ones(4999)], offsets=[-1, 0, 1]
    ).tocsr()
    np.random.seed(5)
    wanted = np.random.random()
    np.random.seed(5)
    first = eigen.multigrid(chain, np.ones(5000), 1)
    assert np.random.random() == wanted
    again = eigen.multigrid(chain, np.ones(5000), 1)
    vector = np.arange(5000.0)
    assert np.array_equal(first(vector), again(vector))
    assert np.abs(chain @ first(vector) - vector).mean() < vector.mean() / 2
