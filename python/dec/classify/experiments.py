"""`dec experiments`: a list of fine-tunings on the same photos, and their table."""

import itertools
import json
import re
import tomllib
from dataclasses import dataclass, replace
from pathlib import Path

from dec.base import tables
from dec.base.atomic import write_text_atomic
from dec.base.errors import DecError
from dec.base.files import names_folder, printable
from dec.base.progress import say
from dec.base.text_tables import markdown
from dec.base.words import duration
from dec.classify import kept
from dec.classify.clusters import named_by_majority, read_clusters
from dec.classify.experiment import Experiment
from dec.classify.train import finetune
from dec.classify.words import accuracy, percent
from dec.data.labelled.dataset import Options, build_labelled, find_photos
from dec.data.labelled.split import SETS
from dec.engine.runs import Run, digest

_HEADER = ("experiment", "photos (train / val / test)", "train", "val", "test (95%)")
_HEADER += ("every seed's test", "class: precision, recall (test)", "training")
_KEYS = {"name", "each", "without", "only", "shares", "solver", "clusters", "weighted"}


@dataclass(frozen=True)
class Trial:
    """One line of the list.

    solver: fields instead of the solver's, in prototxt's words. clusters: "" for the
    folders' labels; "all": those that clusters give, named by what most of their
    photos are; "reviewed": of these the right ones alone.
    """

    name: str
    options: Options
    solver: str = ""
    clusters: str = ""
    weighted: bool = False

    @property
    def slug(self) -> str:
        """Its name for folders."""
        return re.sub(r"[^\w.]+", "-", self.name).strip("-")


def read_list(path: Path, classes: list[str], options: Options) -> list[Trial]:
    """The trials of a TOML file; those for `each` class become one a class.

    options: of the photos, where an entry says nothing else.

    Raises DecError with what is wrong in which entry.
    """
    try:
        entries = tomllib.loads(path.read_text(encoding="utf-8")).get("experiment", [])
    except OSError as error:
        raise DecError(f"{path}: cannot be read: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise DecError(f"{path}: {error}") from None
    trials = []
    for number, entry in enumerate(entries, 1):
        where = f"{path}: experiment {number}"
        if unknown := set(entry) - _KEYS:
            known = ", ".join(sorted(_KEYS))
            raise DecError(f'{where}: "{min(unknown)}" is not one of {known}')
        if not isinstance(entry.get("name"), str):
            raise DecError(f"{where}: it has no name")
        trials += _of_entry(entry, classes, options, where)
    if not trials:
        raise DecError(f"{path}: there are no experiments in it")
    _check_folders(path, trials)
    return trials


def _check_folders(path: Path, trials: list[Trial]) -> None:
    """Raises DecError unless every trial has a run folder that no other one has."""
    first: dict[str, Trial] = {}
    for trial in trials:
        if not names_folder(f"{trial.slug}-seed000"):
            raise DecError(f'{path}: the name "{trial.name}" is too long for a folder')
        other = first.setdefault(trial.slug, trial)
        if not trial.slug or other is not trial:
            raise DecError(
                f'{path}: the names "{other.name}" and "{trial.name}" make one folder, '
                f'"{trial.slug}"; an entry with each needs {{class}} in its name'
            )


def _of_entry(entry, classes, options, where) -> list[Trial]:
    if entry.get("each") not in (None, "only", "without"):
        raise DecError(f'{where}: each must be "only" or "without"')
    if entry.get("clusters", "") not in ("", "all", "reviewed"):
        raise DecError(f'{where}: clusters must be "all" or "reviewed"')
    shares = entry.get("shares", [80, 10, 10])
    if len(shares) != 3 or min(shares) <= 0 or abs(sum(shares) - 100) > 1e-6:
        raise DecError(f"{where}: shares must be three numbers, together 100")
    options = replace(options, shares=tuple(share / 100 for share in shares))
    only, without = entry.get("only"), tuple(entry.get("without", ()))
    base = Trial(
        entry["name"],
        replace(options, only=only, without=without),
        entry.get("solver", ""),
        entry.get("clusters", ""),
        entry.get("weighted", False),
    )
    if "each" not in entry:
        return [base]
    if entry["each"] == "without" and len(classes) < 3:
        return []
    found = []
    for label in classes:
        change = {"only": label} if entry["each"] == "only" else {"without": (label,)}
        name = entry["name"].replace("{class}", label)
        found.append(replace(base, name=name, options=replace(base.options, **change)))
    return found


def run_experiments(
    name: str,
    folder: Path,
    root: Path,
    *,
    seeds: tuple[int, ...] = (1, 2, 3),
    listed: Path | None = None,
    clusters: Path | None = None,
    device: str = "cpu",
    weights: Path | None = None,
    only_table: bool = False,
) -> None:
    """Runs every trial with every seed below `root`, and prints the table.

    What is finished is not run again. The table is written to root/experiments.md
    after every run, all numbers are in the runs' folders. Trials that start from
    clusters are left out, and this is said, without `clusters`.
    """
    experiment = Experiment.find(name)
    if not only_table:
        weights = experiment.weights(weights)
    truth = find_photos(folder)
    classes = sorted(set(truth.values()))
    file = listed or experiment.folder / "experiments.toml"
    trials = read_list(file, classes, experiment.options())
    if clusters is None and any(trial.clusters for trial in trials):
        left = ", ".join(trial.name for trial in trials if trial.clusters)
        say(f"left out, as they need --clusters: {left}")
        trials = [trial for trial in trials if not trial.clusters]
    named = _cluster_labels(root, clusters, truth) if clusters else {}
    for trial, seed in itertools.product(trials, () if only_table else seeds):
        say(f"--- {trial.name}, seed {seed}")
        options = trial.options
        if trial.clusters:
            options = replace(options, labels=named[trial.clusters])
        data = build_labelled(folder, _data_folder(root, options), options)
        finetune(
            experiment,
            Run(_run_folder(root, trial, seed)),
            data,
            device=device,
            seed=seed,
            weights=weights,
            weighted=trial.weighted,
            changes=trial.solver,
            keep=root / kept.FILE,
        )
        _write_table(root, trials, seeds)
    print(table(root, trials, seeds))


def _data_folder(root: Path, options: Options) -> Path:
    key = digest(repr(options))[:8]
    return root / "data" / "photos-{}-{}x{}".format(key, *options.size)


def _run_folder(root: Path, trial: Trial, seed: int) -> Path:
    return root / f"{trial.slug}-seed{seed}"


def _cluster_labels(root: Path, source: Path, truth: dict[str, str]) -> dict[str, Path]:
    """Writes the labels that clusters give: all of them, and the right ones alone."""
    clusters = read_clusters(source)
    names = named_by_majority(clusters, truth)
    labels = {n: names[c] for n, c in clusters.items() if n in truth}
    right = {n: label for n, label in labels.items() if truth[n] == label}
    say(
        f"{source}: {len(names)} clusters named by what most of their photos are, so "
        f"{len(right) / len(labels):.1%} of {len(labels):,} labels are right"
    )
    root.mkdir(parents=True, exist_ok=True)
    paths = {}
    for what, chosen in (("all", labels), ("reviewed", right)):
        paths[what] = root / f"labels-{what}.csv"
        tables.write_table(paths[what], [("file", "class"), *sorted(chosen.items())])
    return paths


def _write_table(root: Path, trials: list[Trial], seeds: tuple[int, ...]) -> None:
    write_text_atomic(root / "experiments.md", table(root, trials, seeds) + "\n")


def table(root: Path, trials: list[Trial], seeds: tuple[int, ...]) -> str:
    """The finished runs as a Markdown table, a line a trial.

    Of several seeds the one of median test accuracy is shown, and the test accuracy
    of each beside.
    """
    rows = []
    for trial in trials:
        runs = [_metrics(_run_folder(root, trial, seed)) for seed in seeds]
        done = [run for run in runs if run]
        if done:
            rows.append(_row(trial, done))
    return "\n".join(markdown(_HEADER, rows)) if rows else "no experiment is finished"


def _metrics(folder: Path) -> dict | None:
    try:
        return json.loads((folder / "metrics.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None


def _row(trial: Trial, runs: list[dict]) -> list[str]:
    ordered = sorted(runs, key=lambda run: run["test"]["accuracy"])
    shown = ordered[(len(ordered) - 1) // 2]
    counts = " / ".join(f"{sum(shown['counts'][s]):,}" for s in SETS)
    test = shown["test"]
    scores = "; ".join(
        f"{printable(name)}: {percent(p)}, {percent(r)}"
        for name, p, r in zip(
            shown["classes"], test["precision"], test["recall"], strict=True
        )
    )
    every = ", ".join(f"{100 * run['test']['accuracy']:.1f}" for run in runs)
    return [
        printable(trial.name),
        counts,
        percent(shown["train"]["accuracy"]),
        percent(shown["val"]["accuracy"]),
        accuracy(test),
        every,
        scores,
        duration(shown["seconds"]["training"]),
    ]
