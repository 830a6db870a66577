"""`dec assign` of a run of DeepCluster: the clusters of new images."""

import itertools
import json
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from dec.base import files
from dec.base.errors import DecError
from dec.base.files import printable
from dec.base.progress import say
from dec.base.tables import table_line
from dec.deepcluster import epochs
from dec.deepcluster.cluster import nearest
from dec.deepcluster.images import Views
from dec.nets import caffe_process
from dec.nets.forward import Deployed
from dec.photos.load import BadPhoto, load_rgb

_BATCH = 64


def assign(folder: Path, paths: list[Path]) -> None:
    """Prints name, cluster and distance to its centre of photos and folders, as CSV.

    Photos of a folder that cannot be used are named and left out; one that is
    named itself is an error.
    """
    facts = _facts(folder)
    caffe_process.run(lambda: _print(folder, facts, paths), folder / "assign.log")


def _facts(folder: Path) -> dict:
    missing = [
        name
        for name in ("deploy.prototxt", "final.caffemodel", "input.json", epochs.MODEL)
        if not (folder / name).exists()
    ]
    if missing:
        raise DecError(f"{folder}: there is no finished run here (no {missing[0]})")
    try:
        return json.loads((folder / "input.json").read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DecError(f"{folder / 'input.json'}: cannot be read: {error}") from None


def _print(folder: Path, facts: dict, paths: list[Path]) -> None:
    model = epochs.read_model(folder / epochs.MODEL)
    if model is None:
        raise DecError(f"{folder / epochs.MODEL}: is damaged")
    net = Deployed(folder / "deploy.prototxt", folder / "final.caffemodel")
    views = Views(tuple(facts["shape"][1:]), facts["resize"], (1, 1), (1, 1), False)
    print("name,cluster,distance")
    photos = _photos(paths, views)
    while some := list(itertools.islice(photos, min(_BATCH, net.batch))):
        names, images = zip(*some, strict=True)
        features = net.block(np.stack(images), facts["features"])
        points = model.projection.rows(features)
        clusters = nearest(points, model.centres)
        apart = np.linalg.norm(points - model.centres[clusters], axis=1)
        for name, cluster, distance in zip(names, clusters, apart, strict=True):
            sys.stdout.write(table_line((name, cluster, f"{distance:.4f}")))
    sys.stdout.flush()


def _photos(paths: list[Path], views: Views) -> Iterator[tuple[str, np.ndarray]]:
    """Name and input of every photo."""
    for path in paths:
        if not path.is_dir():
            yield str(path), _input(path, views)
            continue
        names = files.walk(path, lambda name, words: say(f"{printable(name)}: {words}"))
        for name in names:
            try:
                yield str(path / name), _input(path / name, views)
            except BadPhoto as bad:
                say(f"{bad}: skipped")


def _input(path: Path, views: Views) -> np.ndarray:
    pixels = np.asarray(load_rgb(path))[:, :, ::-1]
    return views.middle(np.ascontiguousarray(pixels)).transpose(2, 0, 1)
