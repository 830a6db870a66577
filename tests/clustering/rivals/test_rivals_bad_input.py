"""Rows that make trouble: the right result, and a word if one is due, or an error."""

import warnings

import numpy as np
import pytest
from scipy import sparse

from dec import LDMGI, SEC
from dec.clustering.rivals import eigen, sec

BOTH = pytest.mark.parametrize("method", [LDMGI, SEC])


@pytest.fixture(params=["dense", "multigrid"], autouse=True)
def way(request, monkeypatch):
    monkeypatch.setattr(eigen, "DENSE", 10_000 if request.param == "dense" else 0)


def blobs(count: int, size: int = 60, width: int = 6) -> tuple[np.ndarray, np.ndarray]:
    """Far apart, so that no row has neighbours in another."""
    random = np.random.default_rng(7)
    labels = np.repeat(np.arange(count), size)
    centres = random.normal(size=(count, width)) * 30
    return centres[labels] + random.normal(size=(len(labels), width)), labels


def agree(labels: np.ndarray, found: np.ndarray) -> bool:
    """Whether these are the same clusters."""
    pairs = set(zip(labels.tolist(), found.tolist(), strict=True))
    return len(pairs) == len(set(labels.tolist())) == len(set(found.tolist()))


@BOTH
@pytest.mark.parametrize("count", [2, 3])
def test_a_disconnected_graph_is_told_of_and_its_parts_are_clusters(method, count):
    rows, labels = blobs(count)
    model = method(count, random_state=1)
    with pytest.warns(UserWarning, match=f"falls into {count} parts"):
        assert agree(labels, model.fit_predict(rows))


@BOTH
def test_fewer_parts_than_clusters(method):
    """Two of three blobs overlap, a little."""
    rows, labels = blobs(2, 100)
    rows[50:100] += [4.5, 0, 0, 0, 0, 0]
    labels[50:100] = 2
    with pytest.warns(UserWarning, match="falls into 2 parts"):
        found = method(3, random_state=1).fit_predict(rows)
    assert np.mean(found[100:] == found[150]) == 1
    assert not set(found[:100]) & set(found[100:])


@BOTH
def test_more_parts_than_clusters_are_joined(method):
    rows, labels = blobs(5)
    rows[labels == 3] = rows[labels == 2] + [60, 0, 0, 0, 0, 0]
    with pytest.warns(UserWarning, match="5 parts .* more than the 4 clusters"):
        model = method(4, random_state=1).fit(rows)
    # No part is divided, and the objective is the least that there is.
    parts = set(zip(labels.tolist(), model.labels_.tolist(), strict=True))
    assert len(set(model.labels_.tolist())) == 4
    if method is LDMGI:
        assert len(parts) == 5 and model.objective_ == 0


@BOTH
def test_more_duplicates_than_neighbours(method):
    rows, labels = blobs(3, 20)
    rows = np.repeat(rows, 12, axis=0)
    labels = np.repeat(labels, 12)
    with pytest.warns(UserWarning, match="falls into 60 parts"):
        model = method(3, random_state=1).fit(rows)
    assert np.isfinite(model.embedding_).all() and np.isfinite(model.objective_)
    if method is LDMGI:  # its parts are joined by their means
        assert agree(labels, model.labels_)
    same = model.labels_.reshape(-1, 12)
    assert (same == same[:, :1]).all()


@BOTH
def test_some_duplicates_change_nothing(method):
    rows, labels = blobs(3)
    rows = np.vstack([rows, rows[:40]])
    with pytest.warns(UserWarning, match="falls into 3 parts"):
        found = method(3, random_state=1).fit_predict(rows)
    assert agree(np.concatenate([labels, labels[:40]]), found)


@BOTH
def test_fewer_rows_than_neighbours(method):
    with pytest.raises(ValueError, match="n_samples=4 rows"):
        method(2).fit(np.eye(4))
    small = {LDMGI: {"clique_size": 3}, SEC: {"n_neighbors": 2}}[method]
    rows = np.array([[0.0, 0], [0, 1.1], [1, 0], [9, 9], [9, 8.2], [8, 9]])
    with pytest.warns(UserWarning, match="falls into 2 parts"):
        found = method(2, random_state=1, **small).fit_predict(rows)
    assert agree(np.array([0, 0, 0, 1, 1, 1]), found)


@BOTH
def test_more_clusters_than_rows(method):
    with pytest.raises(ValueError, match="n_samples=20 rows cannot make 21 clusters"):
        method(21).fit(blobs(1, 20)[0])


@BOTH
def test_one_cluster(method):
    rows, _ = blobs(1, 200)
    model = method(1, random_state=1).fit(rows)
    assert not model.labels_.any()
    if method is SEC:
        assert not model.predict(rows).any()


@BOTH
def test_constant_columns_change_nothing(method):
    rows, _ = blobs(1, 300)
    model = method(3, random_state=1)
    plain = model.fit(rows).labels_
    wide = np.hstack([rows, np.full((300, 2), 3.0), np.zeros((300, 1))])
    assert np.array_equal(model.fit(wide).labels_, plain)


@BOTH
def test_equal_rows(method):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        model = method(2, random_state=1).fit(np.ones((50, 3)))
    assert model.labels_.shape == (50,) and np.isfinite(model.embedding_).all()


@BOTH
@pytest.mark.parametrize("bad", [np.nan, np.inf])
@pytest.mark.parametrize("kind", [np.asarray, sparse.csr_array])
def test_nan_and_infinity(method, bad, kind):
    rows, _ = blobs(2)
    rows[3, 1] = bad
    with pytest.raises(ValueError, match="NaN|infinity"):
        method(2).fit(kind(rows))


@BOTH
def test_sparse_rows_of_each_kind(method):
    rows, labels = blobs(3)
    rows[np.abs(rows) < 1] = 0
    for kind in (sparse.csr_array, sparse.csc_matrix, sparse.coo_array):
        with pytest.warns(UserWarning, match="3 parts"):
            model = method(3, random_state=1).fit(kind(rows))
        assert agree(labels, model.labels_)


def test_sec_tells_of_rows_that_are_too_many_and_too_wide(monkeypatch):
    monkeypatch.setattr(sec, "_WIDEST", 5)
    with pytest.raises(ValueError, match="SEC factors a square .* at most 5 of either"):
        SEC(2).fit(blobs(1)[0])


@BOTH
def test_a_seed_gives_the_same_bits(method):
    rows, _ = blobs(1, 400)
    first = method(4, random_state=3).fit(rows)
    again = method(4, random_state=3).fit(rows)
    assert np.array_equal(first.labels_, again.labels_)
    assert np.array_equal(first.embedding_, again.embedding_)


def test_sec_predicts_new_rows():
    rows, labels = blobs(3)
    with pytest.warns(UserWarning):
        model = SEC(3, random_state=1).fit(rows[::2])
    assert np.array_equal(model.predict(rows[::2]), model.labels_)
    assert agree(labels[1::2], model.predict(rows[1::2]))
