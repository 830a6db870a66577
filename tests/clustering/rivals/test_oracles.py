"""LDMGI and SEC agree with dense versions, whichever way their eigenvectors come."""

import numpy as np
import oracles
import pytest
from scipy import sparse
from sklearn.datasets import load_digits
from sklearn.manifold import spectral_embedding
from sklearn.metrics import adjusted_rand_score
from threadpoolctl import threadpool_limits

from dec.clustering.rivals import eigen, ldmgi, sec

pytestmark = [
    pytest.mark.filterwarnings("ignore:the neighbour graph falls"),
    pytest.mark.filterwarnings("ignore:Graph is not fully connected"),
]


@pytest.fixture(autouse=True, scope="module")
def one_thread():
    """Small products, for which threads would mostly wait for each other."""
    with threadpool_limits(limits=1):
        yield


@pytest.fixture(scope="module")
def digits():
    """300 digits, a little off the grid, on which distances would be equal."""
    rows = load_digits().data[:300] / 8
    return rows + np.random.default_rng(1).normal(size=rows.shape) * 1e-3


@pytest.fixture(params=["dense", "multigrid"])
def way(request, monkeypatch):
    monkeypatch.setattr(eigen, "DENSE", 10_000 if request.param == "dense" else 0)
    if request.param == "multigrid":
        monkeypatch.setattr(eigen, "smallest_dense", None)


def same(a: np.ndarray, b: np.ndarray) -> bool:
    return adjusted_rand_score(a, b) == 1


def same_span(a: np.ndarray, b: np.ndarray, within: float) -> bool:
    return np.linalg.svd(a.T @ b, compute_uv=False).min() > 1 - within


@pytest.mark.parametrize("lam", ldmgi.LAMBDAS)
def test_ldmgi(digits, way, lam):
    wanted, vectors = oracles.ldmgi(digits, 10, lam)
    found = ldmgi.fit(digits, 10, 1, lam)
    assert found.objective == pytest.approx(wanted, rel=1e-6, abs=1e-14)
    assert same_span(found.vectors, vectors, 1e-6)
    assert same(found.assigned, oracles.rotated(vectors, 1))


@pytest.mark.parametrize("mu", [0.0, *sec.MUS])
def test_sec(digits, way, mu):
    wanted, vectors, weights, bias = oracles.sec(digits, 10, mu)
    found = sec.fit(digits, 10, 1, mu)
    assert found.objective == pytest.approx(wanted, rel=1e-6)
    assert same_span(found.vectors, vectors, 1e-6)
    # With larger mu rotations have many ends, nearly as good; see the next test.
    if mu <= 1:
        assert same(found.assigned, oracles.rotated(vectors, 1))
    # The map is that of the oracle, in the basis in which clusters are columns.
    turn = vectors.T @ found.vectors
    rows = digits - digits.mean(axis=0)
    told = rows @ found.weights + digits.mean(axis=0) @ found.weights + found.bias
    u, _, v = np.linalg.svd(told.T @ (rows @ weights + bias))
    assert np.allclose(told @ (u @ v), rows @ weights + bias, atol=1e-4)
    assert np.allclose(turn.T @ turn, np.eye(10), atol=1e-5)


@pytest.mark.parametrize("mu", sec.MUS)
def test_sec_labels_of_clear_clusters(way, mu):
    random = np.random.default_rng(6)
    labels = random.integers(0, 4, 300)
    rows = 1.5 * np.eye(4, 12)[labels] + random.normal(size=(300, 12)) * 0.5
    _, vectors, _, _ = oracles.sec(rows, 4, mu)
    found = sec.fit(rows, 4, 1, mu)
    assert same(found.assigned, oracles.rotated(vectors, 1))
    assert adjusted_rand_score(labels, found.assigned) > 0.8


def test_sec_of_more_numbers_than_rows(way):
    rows = np.random.default_rng(2).normal(size=(300, 400))
    rows[:, :3] += 6 * np.eye(3)[np.arange(300) % 3]
    wanted, vectors, _, _ = oracles.sec(rows, 3, 0.1)
    found = sec.fit(rows, 3, 1, 0.1)
    assert found.objective == pytest.approx(wanted, rel=1e-6)
    assert same(found.assigned, oracles.rotated(vectors, 1))


def test_sec_without_its_map_is_spectral_clustering(digits, way):
    found = sec.fit(digits, 6, 1, 0.0)
    weights = oracles.graph(digits)
    embedded = spectral_embedding(
        weights, n_components=6, drop_first=False, random_state=0, eigen_tol=1e-12
    )
    embedded *= np.sqrt(weights.sum(axis=1))[:, None]
    assert same_span(found.vectors, np.linalg.qr(embedded)[0], 1e-6)


@pytest.mark.parametrize("method", [ldmgi, sec])
def test_sparse_rows_give_the_same(digits, way, method):
    rows = np.where(digits > 0.3, digits, 0)
    plain = method.fit(rows, 10, 1)
    found = method.fit(sparse.csr_array(rows), 10, 1)
    assert found.objective == pytest.approx(plain.objective, rel=1e-6)
    assert same(found.assigned, plain.assigned)


def test_objectives_are_what_the_definitions_say(digits):
    """At vectors that are not the best ones, with other sums than the oracle's."""
    vectors = np.linalg.qr(np.random.default_rng(0).normal(size=(300, 3)))[0]
    near = ldmgi.neighbours_of(digits, 3)
    found = ldmgi.objective(ldmgi.laplacian(digits, near.indices, 0.5), vectors)
    wanted = 0.0
    for i, others in enumerate(near.indices):
        clique = digits[[i, *others]] - digits[[i, *others]].mean(axis=0)
        own = vectors[[i, *others]] - vectors[[i, *others]].mean(axis=0)
        wanted += np.trace(
            own.T @ np.linalg.solve(clique @ clique.T + 0.5 * np.eye(5), own)
        )
    assert found == pytest.approx(wanted, rel=1e-9)

    graph = sec.affinity(sec.neighbours_of(digits, 3))
    dense = graph.toarray()
    assert np.allclose(dense, oracles.graph(digits))
    linear = sec.Linear(digits, 2.0)
    found = sec.objective(sec.laplacian(graph), linear, 0.3, vectors)
    scaled = vectors / np.sqrt(dense.sum(axis=1))[:, None]
    smooth = 0.5 * sum((dense * np.subtract.outer(f, f) ** 2).sum() for f in scaled.T)
    middle = digits - digits.mean(axis=0)
    # Ridge regression as least squares with rows more.
    tall = np.vstack([middle, np.sqrt(2.0) * np.eye(64)])
    right = np.vstack([vectors - vectors.mean(axis=0), np.zeros((64, 3))])
    left = right - tall @ np.linalg.lstsq(tall, right, rcond=None)[0]
    assert found == pytest.approx(smooth + 0.3 * (left**2).sum(), rel=1e-9)
