"""Deep Embedded Clustering (Xie, Girshick, Farhadi, ICML 2016) on Caffe.

`from dec import DEC` is the estimator for Python (docs/api.md); LDMGI and SEC are two
methods to compare it with (docs/rivals.md), photo_features makes rows of photos
(docs/photos.md).
"""

import os

__all__ = ["DEC", "LDMGI", "SEC", "photo_features"]

# Caffe's log goes to standard error, which caffe_process turns into the run's log;
# glog reads this when it is loaded, so it is set before anything imports caffe.
os.environ.setdefault("GLOG_logtostderr", "1")


def __getattr__(name: str):
    """An estimator, when it is asked for: scikit-learn takes long to be imported."""
    if name == "DEC":
        from dec.clustering.estimator import DEC

        return DEC
    if name in ("LDMGI", "SEC"):
        from dec.clustering.rivals import estimators

        return getattr(estimators, name)
    if name == "photo_features":
        from dec.data.images.photo_features import photo_features

        return photo_features
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
