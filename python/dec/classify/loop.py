"""`dec loop`: from clusters to labels, a review at a time.

The folder of a loop holds

    loop.json      the photos' folder and the clusters
    clusters.csv   cluster, photos, class: the user names clusters (empty: left out)
    review.csv     file, guess, probability, class: the user says what photos are
                   (empty: not looked at; "-": rejected, belongs to no class)
    answers.csv    file, class: what the reviews so far said
    labels.csv     file, class, probability, …: the last net's guess for every photo
    round-01, …    a data set and a run of dec finetune each
    features.sqlite   what the net says of photos, where its last layer alone is trained

Loops that `dec review` begins may be on rows that are no photos (digits, texts): then
loop.json names the rows, and a linear classifier learns from them (dec.classify.rows).
"""

import json
import re
import shutil
from collections import Counter
from dataclasses import replace
from pathlib import Path

from dec.base import files
from dec.base.atomic import partial_path, replace_dir, write_text_atomic
from dec.base.errors import DecError
from dec.base.files import printable
from dec.base.progress import say
from dec.base.tables import read_columns, read_pairs, write_table
from dec.classify import kept
from dec.classify.clusters import read_clusters
from dec.classify.experiment import Experiment
from dec.classify.new_photos import classify
from dec.classify.rows import LINEAR, Rows, learn
from dec.classify.train import finetune
from dec.data.labelled.dataset import build_labelled
from dec.data.labelled.labels import one_spelling
from dec.engine.runs import Run, read_metrics

REJECTED = "-"
AUTO, PREFERRED, OTHERWISE = "auto", "squeezenet-linear", "caffenet-small"
_LINKS = re.compile(r"[^/]+/([^/]+)?")
_CLUSTERS = ("cluster", "photos", "class")
_REVIEW = ("file", "guess", "probability", "class")


def start(folder: Path, clusters: Path, root: Path) -> None:
    """Begins a loop in `root`: writes the table of clusters for the user to name.

    Raises DecError where there is a loop already, so that no answer is lost.
    """
    if (root / "loop.json").exists():
        raise DecError(f"{root}: there is a loop already; `dec loop next` goes on")
    found = read_clusters(clusters)
    there = set(files.walk(folder))
    missing = sorted(set(found) - there)
    if missing:
        raise DecError(
            f"{clusters}: {len(missing):,} of its photos are not in {folder}, such as "
            f"{printable(missing[0])}"
        )
    bad = next((c for c in found.values() if not files.names_folder(c)), None)
    if bad is not None:
        raise DecError(
            f'{clusters}: the cluster "{printable(bad)}" cannot have a folder of that '
            "name: no / in it, no dot in front, 255 bytes at most"
        )
    _link_photos(folder, found, root)
    sizes = Counter(found.values())
    # Numbers in their order, names in theirs.
    order = sorted(sizes, key=lambda c: (len(c) if c.isdigit() else 0, c))
    rows = [(c, sizes[c], "") for c in order]
    write_table(root / "clusters.csv", [_CLUSTERS, *rows])
    facts = {"folder": str(folder.resolve()), "clusters": str(clusters.resolve())}
    write_text_atomic(root / "loop.json", json.dumps(facts, indent=1) + "\n")
    say(
        f"Look at the folders in {root / 'clusters'} and write the class of each "
        f"cluster into {root / 'clusters.csv'} (none for one that is mixed). Then: "
        f"dec loop next --run {root}"
    )


def _link_photos(folder: Path, found: dict[str, str], root: Path) -> None:
    """Makes root/clusters/: a folder a cluster, with a link to each of its photos."""
    target = root / "clusters"
    try:
        root.mkdir(parents=True, exist_ok=True)
        (root / files.MARKER).touch()
        # One that a `start` made which did not come to its end.
        files.refuse_to_replace(target, "links to photos", _LINKS, links=True)
        partial = partial_path(target)
        try:
            taken: dict[str, set[str]] = {}
            for name, cluster in found.items():
                there = taken.setdefault(cluster, set())
                link = partial / cluster / files.flat_name(name, there)
                there.add(link.name)
                link.parent.mkdir(parents=True, exist_ok=True)
                link.symlink_to((folder / name).resolve())
            replace_dir(partial, target)
        finally:
            shutil.rmtree(partial, ignore_errors=True)
    except OSError as error:
        raise DecError(
            f"{printable(root)}: cannot be written: {error.strerror}"
        ) from error


def go_on(
    root: Path, experiment: str, review: int, seed: int, device: str = "cpu"
) -> None:
    """One round: takes the answers, trains on what has a class, labels every photo.

    The least certain photos are listed in review.csv for the next round. experiment:
    see `tuner_of`. Raises DecError for answers that cannot be understood, and too few
    of them.
    """
    folder, clusters = _facts(root)
    answers = _answers(root, set(clusters))
    labels = _labels(root, clusters, answers)
    number = 1 + max((_number(p) for p in root.glob("round-*/done")), default=0)
    at = root / f"round-{number:02}"
    if folder is None:
        _learn_rows(root, at, experiment, clusters, labels, answers, seed)
    else:
        _tune(root, at, experiment, folder, labels, seed, device)
    shutil.copyfile(at / "labels.csv", root / "labels.csv")
    listed = _least_certain(root, folder, set(answers), review)
    # In this order: a kill in between loses no answer.
    _archive_answers(root, answers)
    write_table(root / "review.csv", [_REVIEW, *listed])
    (at / "done").touch()
    say(
        f"Round {number} is done: {len(labels):,} had a class, all are labelled "
        f"in {root / 'labels.csv'}. The {len(listed)} least certain are in "
        f"{root / 'review.csv'}: write the class of each ({REJECTED} for none). Then "
        "the same command again."
    )


def _tune(
    root: Path, at: Path, experiment: str, folder: Path, labels: dict, seed: int,
    device: str,
) -> None:  # fmt: skip
    """A net learns the classes of photos, and labels all of them in at/labels.csv."""
    tuner = tuner_of(experiment)
    options = replace(tuner.options(), seed=seed)
    out = at / "data-{}x{}".format(*options.size)
    weights = tuner.weights(None)
    data = build_labelled(folder, out, options, dict(sorted(labels.items())))
    run, keep = Run(at / "run"), root / kept.FILE
    finetune(tuner, run, data, device=device, seed=seed, weights=weights, keep=keep)
    classify_all(at, folder, root)


def _learn_rows(
    root: Path, at: Path, experiment: str, clusters: dict, labels: dict, answers: dict,
    seed: int,
) -> None:  # fmt: skip
    """A linear classifier learns the classes of rows that are no photos."""
    if experiment not in (AUTO, LINEAR):
        raise DecError(
            f"{root}: its rows are no photos, which {experiment} is trained on; "
            f"--experiment {LINEAR} learns from rows"
        )
    source = json.loads((root / "loop.json").read_text(encoding="utf-8")).get("rows")
    if not source or not Path(source).exists():
        raise DecError(
            f"{source or root}: the rows are not there; `dec review` of the run finds "
            "them again"
        )
    names = list(clusters)
    learn(at, Rows(Path(source)), names, labels, set(answers), seed)


def tuner_of(experiment: str) -> Experiment:
    """By its name; AUTO: PREFERRED where its weights can be had, else OTHERWISE."""
    if experiment != AUTO:
        return Experiment.find(experiment)
    try:
        found = Experiment.find(PREFERRED)
        found.weights(None)
    except DecError as error:
        say(f"{error}\nWithout it {OTHERWISE} is trained, from random weights.")
        return Experiment.find(OTHERWISE)
    say(f"trains {PREFERRED}")
    return found


def _facts(root: Path) -> tuple[Path | None, dict[str, str]]:
    """The photos' folder, None where there are no photos, and clusters by name."""
    try:
        facts = json.loads((root / "loop.json").read_text(encoding="utf-8"))
    except OSError:
        raise DecError(
            f"{root}: there is no loop; `dec loop start` begins one"
        ) from None
    folder = Path(facts["folder"]) if facts["folder"] else None
    return folder, read_clusters(Path(facts["clusters"]))


def _number(path: Path) -> int:
    return int(path.parent.name.split("-")[1])


def _answers(root: Path, known: set[str]) -> dict[str, str]:
    """What all reviews said, the last one too: a class, or REJECTED."""
    old, new = root / "answers.csv", root / "review.csv"
    said = read_pairs(old, "file", "class") if old.exists() else {}
    found = {name: label for name, (_, label) in said.items()}
    listed = read_pairs(new, "file", "class") if new.exists() else {}
    for name, (line, label) in listed.items():
        if name not in known:
            raise DecError(f"{new}:{line}: {printable(name)} is not in the loop")
        if label and found.setdefault(name, label) != label:
            raise DecError(
                f'{new}:{line}: {printable(name)} has the class "{label}" here and '
                f'"{found[name]}" in {old}:{said[name][0]}; decide for one of them'
            )
    return found


def _archive_answers(root: Path, answers: dict[str, str]) -> None:
    write_table(root / "answers.csv", [("file", "class"), *sorted(answers.items())])


def _labels(root: Path, clusters: dict[str, str], answers: dict) -> dict[str, str]:
    """The class of every photo that has one: by a review, or else by its cluster."""
    table = root / "clusters.csv"
    named = {c: n for c, (_, n) in read_pairs(table, "cluster", "class").items()}
    gone = sorted(set(named) - set(clusters.values()))
    if gone:
        raise DecError(f'{table}: there is no cluster "{gone[0]}"')
    labels = {n: named.get(c, "") for n, c in clusters.items()} | answers
    labels = {n: c for n, c in labels.items() if c and c != REJECTED}
    spelt = one_spelling(labels.values())
    labels = {n: spelt[c] for n, c in labels.items()}
    bad = next((c for c in labels.values() if not files.names_folder(c)), None)
    if bad:
        raise DecError(f'{root}: "{bad}" cannot be a class: it has to name a folder')
    if len(set(labels.values())) < 2:
        raise DecError(
            f"{table}: name clusters of at least two classes (the column class)"
        )
    return labels


def classify_all(at: Path, folder: Path, root: Path) -> None:
    """Writes at/labels.csv by the run in at/run, for all photos."""
    run, keep = at / "run", root / kept.FILE
    frozen = read_metrics(run)["frozen"]
    classify(run, [folder], at / "labels.csv", kept=keep if frozen else None)


def _least_certain(root: Path, folder: Path | None, seen: set[str], count: int) -> list:
    """Rows for a review: those that nobody has looked at, the least certain first."""
    rows = labelled(root / "labels.csv", folder)
    left = [(n, label, p, "") for n, label, p in rows if n not in seen]
    return sorted(left, key=lambda row: (float(row[2]), row[0]))[:count]


def labelled(path: Path, folder: Path | None) -> list[tuple[str, str, str]]:
    """Name, class and probability of every photo that dec could read.

    Names are those below `folder`; of rows that are no photos (None) they are as they
    stand there.
    """
    rows = read_columns(path, ("file", "class", "probability"), ours=True)
    if folder is None:
        return [(n, c, p) for _, (n, c, p) in rows if c]
    return [(str(Path(n).relative_to(folder)), c, p) for _, (n, c, p) in rows if c]
