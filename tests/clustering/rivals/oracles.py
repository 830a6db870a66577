"""LDMGI and SEC by their definitions: dense, float64, slow, nothing of dec in them."""

import numpy as np
from scipy.spatial.distance import cdist


def neighbours(x: np.ndarray, k: int) -> np.ndarray:
    """n x k, without the row itself; no two distances of a row may be equal."""
    away = cdist(x, x)
    np.fill_diagonal(away, np.inf)
    return np.argsort(away, axis=1, kind="stable")[:, :k]


def ldmgi(x: np.ndarray, k: int, lam: float, clique: int = 5):
    """Objective and G (n x k)."""
    n = len(x)
    whole = np.zeros((n, n))
    centring = np.eye(clique) - 1 / clique
    for i, others in enumerate(neighbours(x, clique - 1)):
        own = [i, *others]
        middle = centring @ x[own]
        inverse = np.linalg.inv(middle @ middle.T + lam * np.eye(clique))
        whole[np.ix_(own, own)] += centring @ inverse @ centring
    values, vectors = np.linalg.eigh((whole + whole.T) / 2)
    return values[:k].sum(), vectors[:, :k]


def graph(x: np.ndarray, k: int = 5) -> np.ndarray:
    """Self-tuned weights, n x n."""
    away = cdist(x, x)
    weights = np.zeros((len(x), len(x)))
    found = neighbours(x, k)
    last = away[np.arange(len(x)), found[:, -1]]
    for i, others in enumerate(found):
        for j in others:
            weight = np.exp(-(away[i, j] ** 2) / (last[i] * last[j]))
            weights[i, j] = weights[j, i] = max(weight, 1e-6)
    return weights


def sec(x: np.ndarray, k: int, mu: float, gamma: float = 1.0):
    """Objective and F (n x k), and the linear map: W (d x k), b (k)."""
    n, d = x.shape
    weights = graph(x)
    root = np.diag(weights.sum(axis=1) ** -0.5)
    centring = np.eye(n) - 1 / n
    middle = centring @ x
    ridge = np.linalg.inv(middle.T @ middle + gamma * np.eye(d)) @ middle.T
    matrix = np.eye(n) - root @ weights @ root + mu * (centring - middle @ ridge)
    values, vectors = np.linalg.eigh((matrix + matrix.T) / 2)
    f = vectors[:, :k]
    return values[:k].sum(), f, ridge @ f, f.mean(axis=0)


def rotated(vectors: np.ndarray, seed: int, starts: int = 20) -> np.ndarray:
    """Clusters (n) by spectral rotation, the best of some starts."""
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    n, k = unit.shape
    random = np.random.default_rng(seed)
    best, least = None, np.inf
    for _ in range(starts):
        turn = np.zeros((k, k))
        turn[:, 0] = unit[random.integers(n)]
        seen = np.zeros(n)
        for i in range(1, k):
            seen += abs(unit @ turn[:, i - 1])
            turn[:, i] = unit[seen.argmin()]
        before = None
        while True:
            indicators = np.eye(k)[(unit @ turn).argmax(axis=1)]
            if np.array_equal(indicators, before):
                break
            before = indicators
            u, _, v = np.linalg.svd(indicators.T @ unit)
            turn = (u @ v).T
        away = np.linalg.norm(indicators - unit @ turn)
        if away < least - 1e-9:
            best, least = indicators.argmax(axis=1), away
    return best
