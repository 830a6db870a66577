"""`dec loop simulate`: what reviews are worth, with true class folders as reviewer."""

from dataclasses import dataclass, replace
from pathlib import Path
from statistics import mean

import numpy as np

from dec.base import files
from dec.base.errors import DecError
from dec.base.progress import say
from dec.base.tables import read_columns, write_table
from dec.base.text_tables import markdown
from dec.classify import kept
from dec.classify.clusters import named_by_majority, read_clusters
from dec.classify.experiment import Experiment
from dec.classify.loop import classify_all, labelled, tuner_of
from dec.classify.train import finetune
from dec.data.labelled.dataset import build_labelled, find_photos
from dec.engine.runs import Run
from dec.page.plotting import BLUE, GREY, GRID, plot
from dec.scores.classes import interval

_CLEAR = 0.7  # of a cluster's photos are of one class: a user would name it
_WAYS = {
    "loop": ("clusters, then the least certain", BLUE),
    "random": ("photos picked at random", GREY),
}


def simulate(
    folder: Path,
    clusters: Path,
    root: Path,
    experiment: str,
    *,
    rounds: int = 5,
    review: int = 40,
    seeds: tuple[int, ...] = (1,),
    device: str = "cpu",
    changes: str = "",
) -> list[dict]:
    """The loop with the true class folders as the reviewer, and what it comes to.

    Test photos (a tenth, others with each seed) are reviewed by nobody. "loop":
    clusters are named by what most of their photos are, but for mixed ones, in which
    fewer than 70% are of one class: their photos are left out until they are reviewed.
    Then, round by round, the `review` least certain photos get their true class.
    "random": as many photos, picked at random, have their true class, and no others
    have one. Both train anew each time. experiment: see loop.tuner_of.

    Writes root/curve.csv, root/curve.md and root/curve.png; returns the rows of the
    curve. What is finished is not done again, so a stopped call goes on.
    """
    truth = find_photos(folder)
    found = read_clusters(clusters)
    named = named_by_majority(found, truth, _CLEAR)
    by_cluster = {n: named[c] for n, c in found.items() if n in truth and c in named}
    right = sum(truth[n] == label for n, label in by_cluster.items())
    say(
        f"{len(named)} of {len(set(found.values()))} clusters are clear enough to have "
        f"a name: {len(by_cluster):,} photos, {right / len(by_cluster):.1%} rightly"
    )
    tuner = tuner_of(experiment)
    root.mkdir(parents=True, exist_ok=True)
    (root / files.MARKER).touch()
    weights = tuner.weights(None)
    curve: list[dict] = []
    for seed in seeds:
        training = _Training(
            tuner, weights, folder, root, root / f"seed-{seed}", seed, device, changes
        )
        for point in _points(training, truth, by_cluster, rounds, review):
            curve.append({"seed": seed, **point})
            _write_curve(root, curve)
    print("\n".join(_table(curve)))
    say(_verdict(curve))
    return curve


@dataclass(frozen=True)
class _Training:
    """How a net is trained on some labels, one folder a time below `at`."""

    tuner: Experiment
    weights: Path | None
    folder: Path
    root: Path
    at: Path
    seed: int
    device: str
    changes: str

    def __call__(self, name: str, labels: dict[str, str]) -> dict:
        at = self.at / name
        at.mkdir(parents=True, exist_ok=True)
        table = at / "given.csv"
        write_table(table, [("file", "class"), *sorted(labels.items())])
        options = replace(self.tuner.options(), seed=self.seed, labels=table)
        out = at / "data-{}x{}".format(*options.size)
        data = build_labelled(self.folder, out, options)
        return finetune(
            self.tuner,
            Run(at / "run"),
            data,
            device=self.device,
            seed=self.seed,
            weights=self.weights,
            changes=self.changes,
            keep=self.root / kept.FILE,
        )

    def test_photos(self, name: str) -> set[str]:
        """Names of those that no training sees."""
        file = self.at / name / "run" / "predictions.csv"
        rows = read_columns(file, ("set", "file"), ours=True)
        return {name for _, (which, name) in rows if which == "test"}

    def least_certain_first(self, name: str) -> list[str]:
        """All photos by how sure the net of this folder is."""
        at = self.at / name
        classify_all(at, self.folder, self.root)
        rows = labelled(at / "labels.csv", self.folder)
        rows.sort(key=lambda row: (float(row[2]), row[0]))
        return [name for name, _, _ in rows]


def _points(training: _Training, truth, by_cluster, rounds, review):
    """Yields the points of the curve for one seed."""
    rng = np.random.default_rng(training.seed)
    pool = [sorted(truth)[i] for i in rng.permutation(len(truth))]
    seen: list[str] = []
    for number in range(rounds + 1):
        name = f"loop-{number:02}"
        metrics = training(name, by_cluster | {n: truth[n] for n in seen})
        if not number:
            test = training.test_photos(name)
            pool = [n for n in pool if n not in test]
        yield _point("loop", len(seen), metrics)
        if seen:
            chosen = {n: truth[n] for n in pool[: len(seen)]}
            try:
                metrics = training(f"random-{number:02}", chosen)
                yield _point("random", len(chosen), metrics)
            except DecError as error:
                say(f"{len(chosen)} photos at random are too few to train on: {error}")
        if number < rounds:
            there = set(pool) - set(seen)
            order = training.least_certain_first(name)
            seen += [n for n in order if n in there][:review]


def _point(way: str, reviewed: int, metrics: dict) -> dict:
    test = metrics["test"]
    low, high = interval(test["right"], test["n"])
    return {
        "way": way,
        "reviewed": reviewed,
        "photos": sum(metrics["counts"]["train"]),
        "accuracy": test["accuracy"],
        "low": low,
        "high": high,
    }


def _write_curve(root: Path, curve: list[dict]) -> None:
    rows = [tuple(point.values()) for point in curve]
    write_table(root / "curve.csv", [tuple(curve[0]), *rows])
    (root / "curve.md").write_text("\n".join(_table(curve)) + "\n")
    seeds = len({point["seed"] for point in curve})
    several = seeds > 1
    what = f"mean of {seeds} seeds, least to most" if several else "95% interval"
    figure, axes = plot(6.4, 4.0, f"Accuracy by photos reviewed ({what})")
    for way, (label, color) in _WAYS.items():
        of_way = _by_reviewed(curve, way)
        if not of_way:
            continue
        y = [mean(p["accuracy"] for p in points) for points in of_way.values()]
        keys = ("accuracy", "accuracy") if several else ("low", "high")
        low, high = (
            [choose(p[key] for p in points) for points in of_way.values()]
            for choose, key in zip((min, max), keys, strict=True)
        )
        error = np.abs(np.array([low, high]) - y)
        x = list(of_way)
        axes.errorbar(x, y, error, color=color, label=label, marker="o", capsize=3)
    axes.yaxis.set_major_formatter(lambda share, _: f"{100 * share:g}%")
    axes.set_xlabel("photos that the reviewer has looked at")
    axes.set_ylabel("test photos right")
    axes.grid(color=GRID, linewidth=0.8)
    axes.legend(frameon=False, loc="lower right")
    figure.savefig(root / "curve.png", dpi=120)
    last = curve[-1]
    way = f"seed {last['seed']}, {last['way']}, {last['reviewed']:,} reviewed"
    say(f"{way}: {last['accuracy']:.1%} of the test photos right")


def _by_reviewed(curve: list[dict], way: str) -> dict[int, list[dict]]:
    found: dict[int, list[dict]] = {}
    for point in curve:
        if point["way"] == way:
            found.setdefault(point["reviewed"], []).append(point)
    return dict(sorted(found.items()))


def _table(curve: list[dict]) -> list[str]:
    """Lines of Markdown: what was right, of every seed."""
    seeds = list(dict.fromkeys(point["seed"] for point in curve))
    ways = {way: _by_reviewed(curve, way) for way in _WAYS}

    def shares(way: str, reviewed: int) -> str:
        of_seed = {p["seed"]: p["accuracy"] for p in ways[way].get(reviewed, ())}
        each = [f"{of_seed[s]:.1%}" if s in of_seed else "–" for s in seeds]
        return ", ".join(each) if of_seed else ""

    rows = [
        (str(reviewed), *(shares(way, reviewed) for way in _WAYS))
        for reviewed in ways["loop"]
    ]
    header = ("photos reviewed", *(label for label, _ in _WAYS.values()))
    return markdown(header, rows)


def _verdict(curve: list[dict]) -> str:
    """How often the loop is above, at and below as many photos picked at random."""
    right = {(p["way"], p["seed"], p["reviewed"]): p["accuracy"] for p in curve}
    signs = [
        np.sign(right["loop", seed, reviewed] - accuracy)
        for (way, seed, reviewed), accuracy in right.items()
        if way == "random"
    ]
    above, same, below = (signs.count(sign) for sign in (1, 0, -1))
    return (
        f"of {len(signs)} points of the curve the loop is above labelling at random at "
        f"{above}, at the same accuracy at {same}, below at {below}"
    )
