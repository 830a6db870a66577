"""The autoencoder's code of a LevelDB's rows: what a rival can cluster instead."""

import tempfile
from pathlib import Path

import numpy as np

from dec.base import progress
from dec.base.errors import DecError
from dec.clustering import encoder
from dec.data import leveldb
from dec.engine.experiment import Experiment
from dec.engine.runs import read_metrics
from dec.nets import caffe_process
from dec.nets.forward import Deployed
from dec.nets.prototxt import fit, read_net, write

_BATCH = 1000


def code_of(database: Path, experiment: Experiment, source: Path) -> np.ndarray:
    """The code (float32, n x its width) of a LevelDB's rows, before phase 2.

    source: the folder of a run, whose autoencoder it is, or a file of weights
    (.caffemodel). Raises DecError where there is none, or one for other rows.
    """
    weights = autoencoder_of(source)
    encoder.check(weights)
    own = source / "deploy.prototxt"
    deploy = own if own.exists() else experiment.folder / "deploy.prototxt"
    progress.say(f"the code of {database}, by {weights}")
    with tempfile.TemporaryDirectory(prefix="dec-") as folder:
        file, log = Path(folder) / "code.npy", Path(folder) / "log.txt"
        caffe_process.run(
            lambda: _write_code(database, deploy, weights, Path(folder), file), log
        )
        code = np.load(file)
    bad = np.flatnonzero(~np.isfinite(code).all(axis=1))
    if len(bad):
        raise DecError(f"{weights}: its code of row {bad[0]} is not finite")
    return code


def autoencoder_of(source: Path) -> Path:
    """The weights that phase 2 of a run starts from; a file is itself one."""
    if source.suffix == ".caffemodel":
        return source
    if not source.is_dir():
        raise DecError(f"{source}: there is no such run, and it is no .caffemodel")
    if (source / "metrics.json").exists():
        named = read_metrics(source).get("autoencoder")
        if named:
            return Path(named)
    trained = sorted(
        source.glob("stack_iter_*.caffemodel"), key=lambda path: path.stat().st_mtime
    )
    if not trained:
        raise DecError(
            f"{source}: there is no autoencoder here; `dec pretrain` makes one"
        )
    return trained[-1]


def _write_code(
    database: Path, deploy: Path, weights: Path, folder: Path, file: Path
) -> None:
    net = read_net(deploy)
    with leveldb.open_reader(database) as reader:
        if not (
            deploy.parent / "metrics.json"
        ).exists():  # no run's, which fits its own
            fit(net, reader.width, None)
        fitted = folder / "deploy.prototxt"
        write(fitted, net, f"From {deploy}.")
        encode = Deployed(fitted, weights, batch=_BATCH, shape=reader.shape)
        blocks = [encode.block(x, "output") for x, _ in reader.batches(size=_BATCH)]
    np.save(file, np.concatenate(blocks))
