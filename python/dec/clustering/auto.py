"""How many clusters: `dec run … --clusters auto`, or a range.

The paper's section 3.5.5 (of the thesis) asks it of generalizability, G = training loss
/ validation loss, and takes the number before which G falls sharply. It leaves open how
rows are split and trained on, and its code has no trace of it. Here, for every k:

- SAMPLE rows at most, drawn with a fixed seed, one in seven of them (as 10,000 of
  MNIST's 70,000) for validation; labels are not even copied.
- Phase 2 from the one autoencoder on the training rows, ROUNDS rounds at most. A round
  passes as large a share of the rows as a round of the run does.
- The loss is DEC's, KL(P || Q), the mean over rows, of the net as it is then. P has the
  cluster sizes f_j of the training rows, for validation rows, too.

Beside it stand stability, the mean adjusted Rand index of pairs of new starts on the
code before phase 2, each on a half of the rows of its own, and the silhouette of the
start's clusters in that code.
"""

import json
import os
import shutil
import time
from dataclasses import replace
from pathlib import Path

import numpy as np

from dec.base import progress
from dec.base.atomic import write_text_atomic
from dec.base.errors import DecError
from dec.clustering import pipeline
from dec.clustering.choice import CRITERIA, decide, disagreement
from dec.clustering.criteria import generalizability, losses, silhouette, stability
from dec.clustering.embedding import Embedding
from dec.clustering.part import drawn, write_part
from dec.clustering.phase2 import Clustering
from dec.clustering.rivals.code import code_of
from dec.clustering.span import MOST, Span
from dec.data import leveldb
from dec.engine.experiment import Experiment, Stage
from dec.engine.runs import Run, digest
from dec.nets import caffe_process, prototxt

SAMPLE = 7_000
VALIDATION = 7  # one row in so many
ROUNDS = 10
EACH = 20  # rows that every cluster needs on average


def run(
    experiment: Experiment,
    run: Run,
    pretraining: pipeline.Pretraining,
    settings: pipeline.Settings,
    span: Span,
    before: dict[str, float],
) -> dict:
    """Phase 1, the choice of a number of clusters, phase 2; returns the metrics.

    before: seconds of the stages before. What led to the choice is in the metrics as
    "auto" (`choose` says what it has). Raises DecError for fewer rows than the span
    needs, before phase 1.
    """
    span = within_reach(span, pipeline.database_of(experiment, settings))
    device, seed = settings.device, settings.seed
    autoencoder, seconds = pipeline.run_phase1(
        experiment, run, pretraining, device, seed
    )
    found = choose(experiment, run, autoencoder, settings, span)
    seconds = before | seconds | {"auto": found["seconds"]}
    chosen = replace(settings, clusters=found["k"])
    metrics = pipeline.run_phase2(experiment, run, autoencoder, seconds, chosen)
    metrics["auto"] = found
    write_text_atomic(run.metrics, json.dumps(metrics, indent=1) + "\n")
    return metrics


def within_reach(span: Span, database: Path) -> Span:
    """The span with its end; DecError where the LevelDB has too few rows for it."""
    with leveldb.open_reader(database) as reader:
        rows = reader.rows
    possible = rows // EACH
    if span.most is None and possible >= span.least + 1:
        if possible < MOST:
            progress.say(
                f"auto: up to {possible} clusters are tried: {EACH} rows a cluster "
                f"are needed, and there are {rows}"
            )
        return Span(span.least, min(MOST, possible))
    if span.most is None or span.most > possible:
        wanted = f"up to {span.most}" if span.most else "some numbers of"
        raise DecError(
            f"{database}: {rows} rows are too few to try {wanted} clusters: {EACH} "
            f"rows a cluster are needed, so {possible} is the most; see --clusters"
        )
    return span


def choose(
    experiment: Experiment,
    run: Run,
    autoencoder: Path,
    settings: pipeline.Settings,
    span: Span,
    sample: int = SAMPLE,
    rounds: int = ROUNDS,
) -> dict:
    """How many clusters the autoencoder's code of the rows has; keeps it in auto.json.

    sample, rounds: how many rows and rounds a trial has at most. Skips what is up to
    date, number by number. Returns

        k           the number chosen
        why         in a sentence
        votes       of every criterion; None where it tells nothing
        agree       whether all that tell something tell the same
        curve       of every number k: the criteria, the standard error of
                    generalizability, both losses, rounds, whether they converged
        rows, validation, start, interval, seconds
    """
    stage = pipeline.phase2_stage(experiment, Run(run.path / "auto"), settings)
    database = pipeline.database_of(experiment, settings)
    data = pipeline.data_digest(experiment, stage.net)
    seed = settings.seed
    seed = max(stage.solver.random_seed, 0) if seed is None else seed
    facts = [settings.start, seed, settings.tol, sample, VALIDATION, rounds]
    key = stage.digest(autoencoder, data, json.dumps(facts))
    file = run.path / "auto.json"
    whole = digest(key, json.dumps(span))
    if run.finished("auto", whole):
        progress.say("auto: up to date")
        return json.loads(file.read_text())
    trials = _Trials(
        experiment, run.path / "auto", autoencoder, settings, key, seed, rounds
    )
    trials.prepare(database, sample)
    curve = []
    for k in range(span.least, span.most + 1):
        try:
            curve.append(trials.one(k))
        except DecError as error:
            if len(curve) < 2:
                raise
            # As of rows that are equal but for a few.
            progress.say(f"auto: {k} clusters and more are left out: {error}")
            break
        progress.say(_line(curve[-1]))
    seconds = sum(entry["seconds"] for entry in curve)
    found = decide(curve) | {
        "curve": curve,
        "rows": trials.facts["rows"],
        "validation": trials.facts["validation"],
        "interval": trials.facts["interval"],
        "start": settings.start,
        "seconds": round(seconds + trials.facts["seconds"], 1),
    }
    write_text_atomic(file, json.dumps(found, indent=1) + "\n")
    run.finish("auto", whole, [file.name])
    trials.clear()
    say(found)
    return found


def say(found: dict) -> None:
    """The choice, and a warning where the criteria disagree."""
    progress.say(f"auto: {found['why']}")
    if not found["agree"]:
        progress.say(f"auto: warning: {disagreement(found)}")


class _Trials:
    """Phase 2 with one number of clusters after the other, on some of the rows.

    Each leaves K.npz, by which the next call goes on, in the folder.
    """

    def __init__(
        self,
        experiment: Experiment,
        folder: Path,
        autoencoder: Path,
        settings: pipeline.Settings,
        key: str,
        seed: int,
        rounds: int,
    ):
        self.rounds = rounds
        self.experiment, self.run = experiment, Run(folder)
        self.autoencoder, self.settings = autoencoder, settings
        self.key, self.seed = key, seed
        self.training, self.validation = folder / "training", folder / "validation"
        self.facts: dict = {}

    def prepare(self, database: Path, sample: int) -> None:
        """Writes the two parts of the rows, and the code of the training rows."""
        folder = self.run.path
        record = self.run.finished("rows", self.key)
        if not record:
            begun = time.monotonic()
            with leveldb.open_reader(database) as reader:
                n = reader.rows
            rows = drawn(n, sample, 0)
            held_back = drawn(len(rows), len(rows) // VALIDATION, 1)
            kept = np.delete(rows, held_back)
            write_part(database, kept, self.training, labelled=False)
            write_part(database, rows[held_back], self.validation, labelled=False)
            np.save(folder / "rows.npy", kept)
            code = code_of(self.training, self.experiment, self.autoencoder)
            np.save(folder / "code.npy", code)
            stage = pipeline.phase2_stage(self.experiment, self.run, self.settings)
            share = len(kept) / n
            record = self.run.finish(
                "rows",
                self.key,
                ["rows.npy", "code.npy", "training", "validation"],
                rows=len(kept),
                validation=len(held_back),
                interval=max(1, round(stage.solver.max_iter * share)),
                seconds=time.monotonic() - begun,
            )
        self.facts = record
        self.code = np.load(folder / "code.npy")

    def one(self, k: int) -> dict:
        """The criteria of k clusters."""
        file = self.run.path / f"{k}.npz"
        record = self.run.finished(f"{k}", self.key)
        if record:
            return record["entry"]
        begun = time.monotonic()
        own = Run(self.run.path / f"{k}")
        interval = self.facts["interval"]
        settings = replace(self.settings, clusters=k, update_interval=interval)
        with open(os.devnull, "w") as nowhere, progress.shown_on(nowhere):
            stage = pipeline.phase2_stage(self.experiment, own, settings)
            _read_from(stage, self.training)
            caffe_process.run(lambda: self._phase2(stage, file), own.log)
        with np.load(file) as found:
            facts = json.loads(str(found["facts"]))
            assigned = found["assigned"]
        entry = {
            "k": k,
            "generalizability": facts["generalizability"],
            "error": facts["error"],
            "stability": stability(self.code, k, self.seed, self.settings.start),
            "silhouette": silhouette(self.code, assigned),
            "loss": facts["loss"],
            "validation_loss": facts["validation_loss"],
            "rounds": facts["rounds"],
            "converged": facts["converged"],
            "seconds": round(time.monotonic() - begun, 1),
        }
        self.run.finish(f"{k}", self.key, [file.name], entry=entry)
        shutil.rmtree(own.path, ignore_errors=True)
        return entry

    def _phase2(self, stage: Stage, file: Path) -> None:
        rows = self.facts["rows"]
        settings = self.settings
        clustering = Clustering(stage, rows, None, settings.tol, settings.start)
        result = clustering.run(self.autoencoder, self.seed, self.rounds, self.key)
        other = replace(stage, name="validation", net=type(stage.net)())
        other.net.CopyFrom(stage.net)
        _read_from(other, self.validation)
        prototxt.write(other.net_file, other.net, other.header)
        count = self.facts["validation"]
        (held_back,) = Embedding(other, clustering.net, count).tops("proba")
        sizes = result.proba.sum(axis=0, dtype=np.float64)
        training, validation = losses(result.proba, sizes), losses(held_back, sizes)
        g, error = generalizability(training, validation)
        facts = {
            "generalizability": g,
            "error": error,
            "loss": float(training.mean()),
            "validation_loss": float(validation.mean()),
            "rounds": len(result.rounds),
            "converged": result.converged,
        }
        np.savez(file, assigned=result.assigned, facts=json.dumps(facts))

    def clear(self) -> None:
        """Removes what only a next call would have gone on from."""
        for folder in (self.training, self.validation):
            shutil.rmtree(folder, ignore_errors=True)


def _read_from(stage: Stage, database: Path) -> None:
    """Has the stage's net read its rows from another LevelDB."""
    for layer in (*stage.net.layer, *stage.net.layers):
        if layer.HasField("data_param") and layer.top[0] == "data":
            layer.data_param.source = str(database)


def _line(entry: dict) -> str:
    parts = [f"{entry['k']:3} clusters"]
    for name in CRITERIA:
        value = entry[name]
        parts.append(f"{name} " + ("    -" if value is None else f"{value:.3f}"))
    return "auto" + "  ".join(parts)
