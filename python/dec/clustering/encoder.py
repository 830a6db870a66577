"""Encoders that ship with an experiment: in the folder of a schedule, with a card."""

import datetime
import hashlib
import json
import shutil
import subprocess
from pathlib import Path

import numpy as np
from caffe.proto import caffe_pb2

from dec.base import progress
from dec.base.atomic import partial_path, replace_dir, write_text_atomic
from dec.base.errors import DecError
from dec.base.machine import machine
from dec.data.leveldb import open_reader
from dec.engine.experiment import Experiment
from dec.engine.runs import Run, digest
from dec.nets import caffe_process
from dec.nets.prototxt import data_layers, read_net, read_solver

_CARD = "card.json"


_FILE = "encoder.caffemodel"


def shipped(experiment: Experiment, schedule: str) -> Path | None:
    """The encoder that ships with a schedule of an experiment, if one does."""
    path = experiment.folder / schedule / _FILE
    return path if experiment.is_own_data and path.exists() else None


def check(weights: Path) -> None:
    """Raises DecError unless weights are there and, with a card, what it says."""
    if not weights.is_file():
        raise DecError(f"{weights}: there is no such file")
    try:
        wanted = json.loads((weights.parent / _CARD).read_text())["sha256"]
    except FileNotFoundError:
        return
    except (OSError, KeyError, ValueError) as error:
        raise DecError(f"{weights.parent / _CARD}: cannot be read: {error}") from None
    wanted = wanted.get(weights.name)
    found = hashlib.sha256(weights.read_bytes()).hexdigest()
    if wanted and found != wanted:
        raise DecError(
            f"{weights}: is not what its card says (SHA-256 {found}, not {wanted}); "
            f"`git checkout {weights.parent}` brings it back"
        )


def write(run: Run, weights: Path, stages: dict[str, float], command: str) -> None:
    """Writes the encoder of a finished phase 1 and its card into the run's model/.

    weights: the whole autoencoder's. stages: seconds of every stage. command: by
    which it was trained. Does nothing where that is up to date.
    """
    folder = run.path / "model"
    key = digest(weights)
    if run.finished("model", key):
        progress.say("model: up to date")
        return
    net = caffe_pb2.NetParameter()
    net.ParseFromString(weights.read_bytes())
    for layer in [layer for layer in net.layer if not _is_encoder(layer)]:
        net.layer.remove(layer)
    encoder = net.SerializeToString(deterministic=True)
    card = {
        "command": command,
        "seed": read_solver(run.prototxt / "stack_solver.prototxt").random_seed,
        "date": datetime.date.today().isoformat(),
        "commit": _commit(),
        "machine": machine(),
        "hours": round(sum(stages.values()) / 3600, 2),
        "seconds": {name: round(s, 1) for name, s in stages.items()},
        "reconstruction_loss": _losses(run, weights),
        "sha256": {_FILE: hashlib.sha256(encoder).hexdigest()},
    }
    partial = partial_path(folder)
    try:
        partial.mkdir()
        (partial / _FILE).write_bytes(encoder)
        (partial / _CARD).write_text(json.dumps(card, indent=1) + "\n")
        replace_dir(partial, folder)
    except OSError as error:
        raise DecError(f"{folder}: cannot be written: {error.strerror}") from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    run.finish("model", key, [f"model/{_CARD}"])
    progress.say(f"{folder}: {_FILE} and its card")


def _is_encoder(layer: caffe_pb2.LayerParameter) -> bool:
    return bool(layer.blobs) and not layer.name.startswith("d_")


def _losses(run: Run, weights: Path) -> dict[str, float]:
    """The mean squared error of a number, over the rows of each phase's LevelDB."""
    source = run.prototxt / "stack.prototxt"
    losses = run.path / "losses.json"

    def work() -> None:
        import caffe

        found = {}
        for phase in ("TRAIN", "TEST"):
            (data,) = data_layers(read_net(source), phase)
            with open_reader(data.data_param.source) as reader:
                batches = reader.rows // data.data_param.batch_size
            net = caffe.Net(str(source), getattr(caffe, phase), weights=str(weights))
            total = 0.0
            for _ in range(batches):
                net.forward()
                rows = net.blobs["data"].data
                error = net.blobs["d_data"].data.reshape(rows.shape) - rows
                total += float(np.mean(np.square(error), dtype=np.float64))
            found[phase.lower()] = total / batches
        write_text_atomic(losses, json.dumps(found))

    caffe_process.run(work, run.log)
    found = json.loads(losses.read_text())
    losses.unlink()
    return found


def _commit() -> str:
    """The commit of the working tree, with "+" where it has been edited since."""

    def git(*words: str) -> str:
        result = subprocess.run(
            ["git", *words], capture_output=True, text=True, check=True
        )
        return result.stdout.strip()

    try:
        edited = git("status", "--porcelain", "--untracked-files=no")
        return git("rev-parse", "HEAD") + ("+" if edited else "")
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
