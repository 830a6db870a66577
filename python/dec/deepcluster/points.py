"""The points that a finished run's clusters are made of."""

from pathlib import Path

import numpy as np

from dec.base.errors import DecError
from dec.deepcluster import epochs
from dec.deepcluster.features import Features, Pass
from dec.deepcluster.images import Images, Views
from dec.nets import caffe_process
from dec.nets.prototxt import read_net


def points_of(folder: Path, metrics: dict, train: Images) -> np.ndarray:
    """Features of the images after PCA and whitening, of unit length: n x pca.

    Passes every image through the run's net. Raises DecError for a run whose model is
    not there.
    """
    s, net = metrics["settings"], read_net(folder / "deploy.prototxt")
    side = tuple(net.layer[0].input_param.shape[0].dim[2:])
    last = [layer for layer in net.layer if layer.type == "InnerProduct"][-1]
    views = Views(side, s["resize"], (1, 1), (1, 1), False)
    model, kept = epochs.read_model(folder / epochs.MODEL), folder / "points.npy"
    if model is None:
        raise DecError(f"{folder / epochs.MODEL}: is damaged, or not there")

    def work() -> None:
        deploy, weights = folder / "deploy.prototxt", folder / "final.caffemodel"
        passing = Pass(deploy, weights, (s["features"], last.top[0]), views)
        with Features(folder, train, None) as features:
            passing.over(features, "features")
            np.save(kept, model.projection.rows(features.train))

    caffe_process.run(work, folder / "log.txt")
    points = np.load(kept)
    kept.unlink()
    return points
