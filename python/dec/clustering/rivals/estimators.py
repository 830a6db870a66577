"""LDMGI and SEC as estimators of scikit-learn's kind: `from dec import LDMGI, SEC`."""

import os
from contextlib import contextmanager
from numbers import Integral, Real

import numpy as np
from sklearn.base import BaseEstimator, ClusterMixin, _fit_context
from sklearn.utils import check_random_state
from sklearn.utils._param_validation import Interval
from sklearn.utils.extmath import safe_sparse_dot
from sklearn.utils.validation import check_is_fitted, validate_data

from dec.base.errors import DecError, EstimatorError
from dec.base.progress import shown_on
from dec.clustering.rivals import ldmgi, sec


class _Rival(ClusterMixin, BaseEstimator):
    """What LDMGI and SEC share: a seed, checks of X, words that nobody asked for."""

    _parameter_constraints = {
        "n_clusters": [Interval(Integral, 1, None, closed="left")],
        "n_init": [Interval(Integral, 1, None, closed="left")],
        "random_state": ["random_state"],
        "verbose": ["verbose"],
    }

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(self, X, y=None):
        """Clusters X, an array or sparse matrix, n x d. y is ignored."""
        X = validate_data(self, X, accept_sparse="csr", dtype=[np.float64, np.float32])
        seed = self.random_state
        if not isinstance(seed, Integral):
            seed = check_random_state(seed).randint(np.iinfo(np.int32).max)
        with _quietly(self.verbose):
            found = self._find(X, int(seed))
        self.labels_ = found.assigned
        self.objective_ = found.objective
        self.embedding_ = found.vectors
        return self

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        return tags


class LDMGI(_Rival):
    """Local discriminant models and global integration (Yang et al., 2010).

    Each row and its nearest neighbours are a clique, in which a linear discriminant
    model tells how well clusters fit; all cliques together make a sparse n x n matrix,
    whose smallest eigenvectors are rotated into clusters. docs/rivals.md has more.

    Parameters
    ----------
    n_clusters : int, default=10
    lam : float, default=1.0
        Regularizes the cliques' models, in units of X squared. The DEC paper takes the
        best of 1e-8, 1e-6, ..., 1e8.
    clique_size : int, default=5
        Rows of a clique, the row itself among them.
    n_init : int, default=20
        Starts of the rotation, of which the best is taken.
    random_state : int, RandomState or None, default=None
    verbose : int, default=0
        1: progress on standard error.

    Attributes
    ----------
    labels_ : int32, (n,)
    objective_ : float, the sum of the eigenvalues, tr(G'LG).
    embedding_ : float64, (n, n_clusters), the eigenvectors G.
    n_features_in_, feature_names_in_ : as in all of scikit-learn.

    Methods raise ValueError for bad input. Warns (UserWarning) where the cliques fall
    into parts that have no row in common.
    """

    _parameter_constraints = {
        **_Rival._parameter_constraints,
        "lam": [Interval(Real, 0, None, closed="neither")],
        "clique_size": [Interval(Integral, 2, None, closed="left")],
    }

    def __init__(
        self,
        n_clusters=10,
        *,
        lam=ldmgi.LAMBDA,
        clique_size=ldmgi.CLIQUE,
        n_init=20,
        random_state=None,
        verbose=0,
    ):
        self.n_clusters = n_clusters
        self.lam = lam
        self.clique_size = clique_size
        self.n_init = n_init
        self.random_state = random_state
        self.verbose = verbose

    def _find(self, X, seed):
        near = ldmgi.neighbours_of(X, self.n_clusters, self.clique_size)
        return ldmgi.fit(X, self.n_clusters, seed, self.lam, self.n_init, near)


class SEC(_Rival):
    """Spectral embedded clustering (Nie et al., 2011).

    Spectral clustering of a graph of neighbours whose eigenvectors are to be told, as
    well as can be, by a linear map of the rows; that map gives new rows their cluster.
    docs/rivals.md has more.

    Parameters
    ----------
    n_clusters : int, default=10
    mu : float, default=1.0
        What the linear map counts beside the graph; 0: spectral clustering.
    gamma : float, default=1.0
        Regularizes the linear map, in units of X squared.
    n_neighbors : int, default=5
    n_init : int, default=20
        Starts of the rotation, of which the best is taken.
    random_state : int, RandomState or None, default=None
    verbose : int, default=0
        1: progress on standard error.

    Attributes
    ----------
    labels_ : int32, (n,)
    objective_ : float, tr(F'LF) + mu (|XW + 1b' - F|^2 + gamma |W|^2).
    embedding_ : float64, (n, n_clusters), the eigenvectors F.
    coef_, intercept_ : float64, (d, n_clusters) and (n_clusters,), W and b, rotated:
        the largest of X @ coef_ + intercept_ is at a row's cluster.
    n_features_in_, feature_names_in_ : as in all of scikit-learn.

    Methods raise ValueError for bad input. Warns (UserWarning) where the graph falls
    into parts without an edge between them.
    """

    _parameter_constraints = {
        **_Rival._parameter_constraints,
        "mu": [Interval(Real, 0, None, closed="left")],
        "gamma": [Interval(Real, 0, None, closed="neither")],
        "n_neighbors": [Interval(Integral, 1, None, closed="left")],
    }

    def __init__(
        self,
        n_clusters=10,
        *,
        mu=sec.MU,
        gamma=sec.GAMMA,
        n_neighbors=sec.NEIGHBOURS,
        n_init=20,
        random_state=None,
        verbose=0,
    ):
        self.n_clusters = n_clusters
        self.mu = mu
        self.gamma = gamma
        self.n_neighbors = n_neighbors
        self.n_init = n_init
        self.random_state = random_state
        self.verbose = verbose

    def predict(self, X):
        """The cluster of every row of X by the linear map: int32, n.

        Of the rows of `fit`, too, which need not be `labels_`: those see the graph.
        """
        check_is_fitted(self)
        X = validate_data(
            self, X, reset=False, accept_sparse="csr", dtype=[np.float64, np.float32]
        )
        told = safe_sparse_dot(X, self.coef_, dense_output=True) + self.intercept_
        return told.argmax(axis=1).astype(np.int32)

    def _find(self, X, seed):
        near = sec.neighbours_of(X, self.n_clusters, self.n_neighbors)
        found = sec.fit(
            X, self.n_clusters, seed, self.mu, self.gamma, self.n_init, near
        )
        self.coef_, self.intercept_ = found.weights, found.bias
        return found


@contextmanager
def _quietly(verbose):
    """Without progress, unless it is asked for; a DecError is a ValueError, too."""
    try:
        if verbose:
            yield
        else:
            with open(os.devnull, "w") as nowhere, shown_on(nowhere):
                yield
    except DecError as error:
        raise EstimatorError(str(error)) from None
