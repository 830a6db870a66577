"""The tables of prototxt/deepcluster/cifar10/README.md: trainings, probes, Markdown.

    .venv/bin/python benchmarks/deepcluster_tables.py learned control
    .venv/bin/python benchmarks/deepcluster_tables.py --print

Every training is `dec deepcluster cifar10` with one thread, two of them side by side;
what is done is not done again, and what was stopped goes on. Runs are below
runs/deepcluster-tables. --into FILE also writes the tables there, between the lines
"<!-- NAME -->" and "<!-- end -->". Without names, all groups:

learned    the setting as it is, seeds 1 to 3, probed
control    the same with as many clusters as classes, probed
switches   the setting with one thing changed, seed 1, probed
clusters   5 to 100 clusters, 10 epochs of 2,000 images, seeds 1 to 3
pets       cats and dogs, 2 clusters, 100 epochs of 1,000 images, seeds 1 to 3
patches    Coates and Ng's patches beside the first of "learned"
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from dec.base.atomic import write_text_atomic
from dec.base.progress import say
from dec.base.text_tables import markdown
from dec.base.words import duration

RUNS = Path("runs/deepcluster-tables")
DEC = Path(sys.executable).parent / "dec"
SEEDS = (1, 2, 3)
CLUSTERS = (5, 7, 8, 10, 30, 100)
FEW = ("--images", "2000,1000", "--epochs", "10")
PETS = ("--only", "cat,dog", "--clusters", "2", "--epochs", "100")
SWITCHES = {
    "head reset": ("--head", "reset"),
    "sizes equal": ("--sizes", "equal"),
    "recluster 3": ("--recluster", "3"),
    "100 clusters": ("--clusters", "100"),
}


@dataclass(frozen=True)
class Job:
    """A training. words: what `dec deepcluster cifar10` is told."""

    name: str
    seed: int
    words: tuple[str, ...] = ()
    probed: bool = False
    patches: int = 0  # beside the probes

    @property
    def folder(self) -> Path:
        return RUNS / f"{self.name.replace(' ', '-')}-{self.seed}"

    @property
    def metrics(self) -> dict | None:
        return _read(self.folder / "metrics.json")

    @property
    def probes(self) -> dict | None:
        return _read(self.folder / "probes.json")

    def run(self) -> None:
        """Trains and probes, with one thread. Raises CalledProcessError."""
        run, seed = str(self.folder), str(self.seed)
        # Named, so that no training looks whether it is up to date while another reads.
        data = "--train", "data/cifar10_train", "--test", "data/cifar10_test"
        train = ["deepcluster", "cifar10", "--run", run, "--seed", seed, *data]
        train += self.words
        probe = [["probe", run, "--patches", str(self.patches)]] if self.probed else []
        for command in [train, *probe]:
            while not _done(command, self.folder.with_suffix(".txt")):
                time.sleep(3)


def _done(command: list[str], log: Path) -> bool:
    """Runs dec; False where another training is just reading the images."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    with open(log, "ab") as into:
        start = into.tell()
        words = [str(DEC), *command]
        code = subprocess.run(
            words, env=environment, stdout=into, stderr=into, check=False
        ).returncode
    if code and b"in use by another process" in log.read_bytes()[start:]:
        return False
    if code:
        raise subprocess.CalledProcessError(code, words)
    return True


GROUPS = {
    "learned": [Job("learned", seed, probed=True) for seed in SEEDS],
    "control": [Job("ten", 1, ("--clusters", "10"), probed=True)],
    "switches": [Job(name, 1, words, True) for name, words in SWITCHES.items()],
    "clusters": [
        Job(f"k{k}", seed, ("--clusters", str(k), *FEW))
        for seed in SEEDS
        for k in CLUSTERS
    ],
    # The same for every net, so once is enough.
    "patches": [Job("learned", 1, probed=True, patches=400)],
    "pets": [Job("pets", seed, (*PETS, "--images", "1000,500")) for seed in SEEDS],
}


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("groups", nargs="*", metavar="GROUP", help=", ".join(GROUPS))
    parser.add_argument("--jobs", type=int, default=2, help="trainings at once (2)")
    parser.add_argument("--seeds", type=int, nargs="+", default=SEEDS, help="of them")
    parser.add_argument("--print", action="store_true", help="the tables alone")
    parser.add_argument("--into", type=Path, metavar="FILE", help="a Markdown file")
    options = parser.parse_args()
    for name in options.groups:
        if name not in GROUPS:
            parser.error(f"no group {name}; there are {', '.join(GROUPS)}")
    groups = options.groups or list(GROUPS)
    if not options.print:
        RUNS.mkdir(parents=True, exist_ok=True)
        with ThreadPoolExecutor(options.jobs) as pool:
            jobs = [job for name in groups for job in GROUPS[name]]
            done = [pool.submit(job.run) for job in jobs if job.seed in options.seeds]
        for one in done:
            try:
                one.result()
            except subprocess.CalledProcessError as error:
                say(f"{' '.join(map(str, error.cmd))}: failed; see {RUNS}/*.txt")
                return 1
    for name in groups:
        if name == "patches":  # they are in the table of "learned"
            continue
        lines = "\n".join(_table(name))
        print(f"{name}: {lines}\n")
        if options.into:
            _put(options.into, name, lines)
    return 0


def _put(file: Path, name: str, lines: str) -> None:
    """Replaces what is between the group's two marks, if the file has them."""
    before, mark, rest = file.read_text().partition(f"<!-- {name} -->\n")
    if mark:
        _, end, after = rest.partition("<!-- end -->")
        write_text_atomic(file, f"{before}{mark}{lines}\n{end}{after}")


def _read(path: Path) -> dict | None:
    return json.loads(path.read_text()) if path.exists() else None


def _table(group: str) -> list[str]:
    jobs = [job for job in GROUPS[group] if job.metrics]
    said = [f"{len(jobs)} of {len(GROUPS[group])} trainings.", ""]
    if not jobs:
        return said
    said += _clusters(jobs) if group == "clusters" else []
    said += _pets(jobs) if group == "pets" else []
    said += _probed(jobs) if jobs[0].probed else []
    return [*said, "", *_times(jobs)]


def _probed(jobs: list[Job]) -> list[str]:
    """A line a probe: linear and neighbours, of all seeds; the best layers' gain."""
    found = [(job, job.probes) for job in jobs if job.probes]
    head = ("", *(f"{job.name}, seed {job.seed}" for job, _ in found))
    rows, names = [], [k for k in (found[0][1] if found else {}) if k != "key"]
    for name in names:
        own = [probes.get(name) for _, probes in found]
        rows.append((name, *(_probe(one) if one else "" for one in own)))
    lines = markdown(head, rows)
    gains = []
    for job, probes in found:
        best = {
            start: max(v["linear"] for k, v in probes.items() if k.endswith(start))
            for start in (", trained", ", random")
        }
        gain = 100 * (best[", trained"] - best[", random"])
        gains.append(gain)
        lines.append("")
        lines.append(
            f"{job.name}, seed {job.seed}: best layer {best[', trained']:.2%}, of "
            f"random weights {best[', random']:.2%}: {gain:+.1f} points."
        )
    if len(gains) > 1:
        lines += ["", f"Median gain: {statistics.median(gains):+.1f} points."]
    return lines


def _probe(one: dict) -> str:
    low, high = one["interval"]
    text = f"{one['linear']:.1%} ({100 * low:.1f} to {100 * high:.1f})"
    return f"{text}, {one['neighbours']:.1%}"


def _clusters(jobs: list[Job]) -> list[str]:
    from dec.deepcluster.table import table

    return table({job.folder.name: job.metrics for job in jobs}).splitlines()


def _pets(jobs: list[Job]) -> list[str]:
    head = ("seed", "set", "cluster 0", "cluster 1", "matched", "95%", "NMI", "loss")
    rows = []
    for job in jobs:
        metrics = job.metrics
        last, losses = metrics["history"][-1], metrics["history"][:-1]
        course = f"{losses[0]['loss']:.3f} to {losses[-1]['loss']:.3f}"
        for part in ("train", "test"):
            one, table = last[part], last[part]["table"]
            cells = [f"{table[0][c]} cats, {table[1][c]} dogs" for c in (0, 1)]
            low, high = one["interval"]
            span = f"{100 * low:.1f} to {100 * high:.1f}"
            score = f"{one['acc']:.1%}", span, f"{one['nmi']:.4f}"
            rows.append((job.seed, part, *cells, *score, course))
    return markdown(head, rows)


def _times(jobs: list[Job]) -> list[str]:
    """Seconds of training, and what share of it was neither training nor features."""
    seconds, other = [], []
    for job in jobs:
        metrics = job.metrics
        parts = [entry["seconds"] for entry in metrics["history"][:-1]]
        rest = sum(v for part in parts for k, v in part.items() if k != "features")
        seconds.append(metrics["train_seconds"])
        other.append(rest / metrics["train_seconds"])
    on = jobs[0].metrics["machine"]
    return [
        f"A training took {duration(min(seconds))} to {duration(max(seconds))}, "
        f"{statistics.median(other):.1%} of it neither training nor features "
        f"({on['processor']}, one thread)."
    ]


if __name__ == "__main__":
    sys.exit(main())
