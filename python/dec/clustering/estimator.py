"""DEC as an estimator of scikit-learn's kind: `from dec import DEC`."""

import os
from contextlib import contextmanager
from numbers import Integral, Real
from pathlib import Path

import numpy as np
from scipy.spatial.distance import cdist
from sklearn.base import (
    BaseEstimator,
    ClassNamePrefixFeaturesOutMixin,
    ClusterMixin,
    TransformerMixin,
    _fit_context,
)
from sklearn.utils import check_random_state
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.validation import check_is_fitted, validate_data

from dec.base.errors import DecError, EstimatorError


class DEC(
    ClassNamePrefixFeaturesOutMixin, TransformerMixin, ClusterMixin, BaseEstimator
):
    """Deep Embedded Clustering, by the prototxts of prototxt/dec/own.

    What `dec run npy` does for a file, done for an array: phase 1 trains an
    autoencoder, phase 2 starts from k-means on its code and trains code and centres
    together. docs/api.md has all parameters and attributes, and examples.

    Parameters
    ----------
    n_clusters : int or "auto", default=10
        "auto": as many, of 2 to 20, as the code of X tells (`dec run --clusters auto`).
    pretrain : {"short", "paper"} or path, default="short"
        The schedule of phase 1, or an encoder's weights (.caffemodel) instead of it.
    pretrain_iter : int or None, default=None
        Iterations of each stage of phase 1; None: as its solvers say.
    init : {"within", "plain", "graph"}, default="within"
        What gives phase 2 its first centres (docs/start.md).
    update_interval : int or None, default=None
        Iterations between two updates of the targets; None: as the solver says.
    tol : float, default=0.001
        Phase 2 ends when a smaller share of the rows changed cluster in a round.
    max_iter : int, default=200
        Phase 2 ends after as many rounds.
    scale : "auto" or None, default="auto"
        "auto": X is multiplied by one number, so that the mean of ||x||^2 / d is 1.
    device : {"cpu", "gpu"}, default="cpu"
        What trains.
    random_state : int, RandomState or None, default=None
        An int is the seed that `dec run --seed` takes.
    verbose : int, default=0
        1: progress on standard error, or below a notebook's cell.

    Attributes
    ----------
    labels_ : int32, (n,)
    cluster_centers_ : float32, (n_clusters, 10), in the code.
    n_iter_ : int, rounds of phase 2.
    history_ : list of dict, one a round: round, loss, changed, seconds.
    seed_ : int, with which the run was made.
    n_features_in_, feature_names_in_ : as in all of scikit-learn.

    All methods raise ValueError for bad input, EstimatorError (a ValueError and a
    DecError) for what shows only when Caffe is at work.
    """

    _parameter_constraints = {
        "n_clusters": [
            Interval(Integral, 1, None, closed="left"),
            StrOptions({"auto"}),
        ],
        "pretrain": [str, os.PathLike],
        "pretrain_iter": [Interval(Integral, 1, None, closed="left"), None],
        "init": [StrOptions({"within", "plain", "graph"})],
        "update_interval": [Interval(Integral, 1, None, closed="left"), None],
        "tol": [Interval(Real, 0, 1, closed="left")],
        "max_iter": [Interval(Integral, 0, None, closed="left")],
        "scale": [StrOptions({"auto"}), None],
        "device": [StrOptions({"cpu", "gpu"})],
        # k-means counts on from it, up to what NumPy takes.
        "random_state": [
            Interval(Integral, 0, 2**31 - 1, closed="both"),
            np.random.RandomState,
            None,
        ],
        "verbose": ["verbose"],
    }

    def __init__(
        self,
        n_clusters=10,
        *,
        pretrain="short",
        pretrain_iter=None,
        init="within",
        update_interval=None,
        tol=0.001,
        max_iter=200,
        scale="auto",
        device="cpu",
        random_state=None,
        verbose=0,
    ):
        self.n_clusters = n_clusters
        self.pretrain = pretrain
        self.pretrain_iter = pretrain_iter
        self.init = init
        self.update_interval = update_interval
        self.tol = tol
        self.max_iter = max_iter
        self.scale = scale
        self.device = device
        self.random_state = random_state
        self.verbose = verbose

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(self, X, y=None):
        """Trains on X, an array or sparse matrix, n x d. y is ignored."""
        X = self._rows(X, reset=True)
        n, k = X.shape[0], self.n_clusters
        if k != "auto" and n < k:
            raise ValueError(f"n_samples={n} should be >= n_clusters={k}.")
        seed = self.random_state
        if not isinstance(seed, Integral):
            seed = check_random_state(seed).randint(np.iinfo(np.int32).max)
        with _errors():
            self._open(_models().fit(X, self._given(), int(seed)))
        return self

    def predict(self, X):
        """The cluster of every row of X: int32, n."""
        return self._blob("proba", X).argmax(axis=1).astype(np.int32)

    def transform(self, X):
        """The code of every row of X: float32, n x 10."""
        return self._blob("output", X)

    def score(self, X, y=None):
        """How well the clusters of X are apart in the code, 0 to 1; y is ignored.

        The mean of 1 - a / b, where a and b are a row's distances to the nearest
        centre and to the next: the simplified silhouette. 0 for one cluster.
        """
        away = cdist(self.transform(X), self.cluster_centers_)
        if away.shape[1] < 2:
            return 0.0
        nearest = np.partition(away, 1, axis=1)[:, :2]
        a, b = nearest.T
        return float(np.mean(1 - np.divide(a, b, out=np.ones_like(a), where=b > 0)))

    def save(self, folder):
        """Writes the run's folder, which `dec summary`, `report`, `assign` open too.

        folder: a new one, an empty one, or that of an earlier run, which is replaced.
        The rows of X are in it.
        """
        check_is_fitted(self)
        names = getattr(self, "feature_names_in_", None)
        given = self._given() | {"random_state": self.seed_}
        with _errors():
            self._model.save(Path(folder), given, names)

    @classmethod
    def load(cls, folder):
        """The estimator of a run's folder, by `save` or by `dec run`, fitted.

        It reads from the folder as long as it lives. Parameters that a run by the
        command line does not tell (pretrain and pretrain_iter) have their defaults.
        predict and transform take rows as they were before `dec` scaled them.
        """
        with _errors():
            model = _models()(Path(folder), owned=False)
            width = model.preparation().width
            given, names = model.parameters()
            estimator = cls(**given)
            estimator._open(model)
            estimator.n_features_in_ = width
        if names is not None:
            estimator.feature_names_in_ = names
        return estimator

    def _open(self, model):
        results = model.results()
        self._model = model
        self.labels_ = results.assigned.astype(np.int32)
        self.cluster_centers_ = model.centres()
        self.n_iter_ = results.metrics["rounds"]
        self.history_ = results.metrics["history"]
        self.seed_ = results.metrics["seed"]

    def _blob(self, name, X):
        check_is_fitted(self)
        X = self._rows(X, reset=False)
        with _errors():
            return self._model.blob(name, X, self.verbose > 0)

    def _given(self):
        """The parameters, in Python's own types where they are NumPy's."""
        given = self.get_params().items()
        return {name: getattr(x, "tolist", lambda x=x: x)() for name, x in given}

    def _rows(self, X, reset):
        return validate_data(self, X, reset=reset, accept_sparse="csr", dtype="numeric")

    @property
    def _n_features_out(self):
        return self.cluster_centers_.shape[1]

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        tags.transformer_tags.preserves_dtype = []
        return tags


def _models():
    """The class Model, which imports Caffe."""
    try:
        from dec.clustering.model import Model
    except ModuleNotFoundError as error:
        if (error.name or "").split(".")[0] != "caffe":
            raise
        raise ImportError(
            "Caffe has not been built yet; `make caffe` does it"
        ) from None
    return Model


@contextmanager
def _errors():
    """Makes a ValueError, too, of a DecError."""
    try:
        yield
    except DecError as error:
        raise EstimatorError(str(error)) from None
