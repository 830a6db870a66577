"""What is reviewed: the photos, digits or texts of a run, and the loop's folder."""

import json
import os
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from dec.base import files
from dec.base.atomic import write_text_atomic
from dec.base.errors import DecError
from dec.base.files import printable
from dec.base.progress import say
from dec.base.tables import read_columns, read_table, write_table
from dec.classify.clusters import read_clusters
from dec.review.runs import Run, read_run

LOOP = "loop.json"
MEMBERS = "members.csv"  # file, cluster: as they are parted and merged by now
FIRST = "first.csv"  # the same, and probability, as the review found them


@dataclass
class Items:
    """All that is reviewed, one number each, in the order of the run's rows.

    root: the folder of the loop, where all is written. names: of photos those below
    `folder`; of other rows "row 12". clusters: of each, as the review found them.
    confidence: how typical it is of its cluster (`measure` says by what), NaN where
    that is not known. run: the folder of the run whose rows they are. gone: photos that
    are not there any more.
    """

    root: Path
    names: list[str]
    clusters: list[str]
    confidence: np.ndarray
    folder: Path | None
    run: Path | None
    gone: frozenset[int] = frozenset()
    measure: str = "probability"

    @property
    def title(self) -> str:
        root = self.root.resolve()
        return root.parent.name if root.name == "review" else root.name

    @cached_property
    def files(self) -> Path | None:
        """The folder in which names are files: photos, or texts that are there."""
        if self.folder is not None or self.run is None:
            return self.folder
        meta = self.results.meta
        texts = meta.get("kind") == "text" and Path(meta.get("folder") or "none")
        there = texts and all((texts / name).is_file() for name in self.names)
        return texts if there else None

    @cached_property
    def results(self) -> Run | None:
        """What the run left, or None."""
        return None if self.run is None else read_run(self.run)


def find_items(given: Path, photos: Path | None = None) -> Items:
    """What `dec review GIVEN` shows; begins a loop where there is none yet.

    given: the folder of a loop; that of a run of DEC or DeepCluster, with the loop in
    its folder review/; or a CSV file of `dec classify` (file,class,probability) or of
    clusters (file,cluster), with the loop beside it, in <name>-review/. photos: their
    folder, where the run does not say it or they have been moved.

    Photos that are not there any more are counted, and not shown. Raises DecError for
    anything else, and for a run that is not finished.
    """
    if (given / LOOP).exists():
        return _of_loop(given, photos)
    if given.is_file():
        root = given.with_name(f"{given.stem}-review")
        if not (root / LOOP).exists():
            _begin_table(given, root, photos)
        return _of_loop(root, photos)
    if not given.is_dir():
        raise DecError(f"{printable(given)}: there is no run and no table here")
    if (given / "input.json").exists() and not (given / "assignments.csv").exists():
        raise DecError(
            f"{given}: is a run of dec finetune; review what it says of photos: "
            f"`dec classify {given} PHOTOS --out labels.csv`, `dec review labels.csv`"
        )
    root = given / "review"
    if not (root / LOOP).exists():
        _begin_run(given, root, photos)
    return _of_loop(root, photos)


def _of_loop(root: Path, photos: Path | None) -> Items:
    file = root / LOOP
    try:
        facts = json.loads(file.read_text(encoding="utf-8"))
        folder, source = facts["folder"], Path(facts["clusters"])
        folder = Path(folder) if folder else None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DecError(f"{printable(file)}: cannot be read: {error}") from None
    if photos is not None and folder is not None:
        folder = photos.resolve()
        write_facts(root, facts | {"folder": str(folder)})
    run = Path(facts["run"]) if facts.get("run") else None
    if run is None and source.is_dir():
        run = source
    if source == (root / MEMBERS).resolve():  # which came of these
        source = root / FIRST if (root / FIRST).exists() else run or source
    if source.is_dir():  # `dec loop start` on a run
        found = read_run(source)
        clusters = dict(zip(found.names, found.clusters, strict=True))
        confidence, measure = found.confidence(root), found.measure
    else:
        clusters, confidence = _read_first(source)
        measure = facts.get("measure", "probability")
    items = Items(
        root, list(clusters), list(clusters.values()), confidence, folder, run,
        measure=measure,
    )  # fmt: skip
    if folder is not None:
        items.gone = _gone(items)
    elif run is None:
        raise DecError(f"{printable(file)}: says neither photos nor a run")
    elif not Path(facts.get("rows") or root / "none").exists():
        # The run's rows were moved, or an older `dec review` has begun this.
        _write_first(items)
        facts["rows"] = str(items.results.rows(root).resolve())
        if Path(facts["clusters"]).is_dir():
            facts |= {"clusters": str((root / FIRST).resolve()), "run": str(run)}
        write_facts(root, facts)
    return items


def _begin_run(given: Path, root: Path, photos: Path | None) -> None:
    run = read_run(given)
    folder = photos or (run.meta.get("folder") and Path(run.meta["folder"]))
    if run.is_photos and not (folder and Path(folder).is_dir()):
        raise DecError(
            f"{printable(folder or given)}: the folder of the run's photos is not "
            "there; name it: --photos DIR"
        )
    items = Items(
        root, run.names, run.clusters, np.empty(0), folder, given.resolve()
    )  # fmt: skip
    facts = {"folder": "", "run": str(given.resolve()), "measure": run.measure}
    if run.is_photos:
        facts["folder"] = str(Path(folder).resolve())
        items.folder = Path(facts["folder"])
        _gone(items)  # refuses another folder, before anything is made
    items.confidence = run.confidence(root)
    _make(root)
    if not run.is_photos:
        facts["rows"] = str(run.rows(root).resolve())
    _write_first(items)
    facts["clusters"] = str((root / FIRST).resolve())
    write_facts(root, facts)


def _write_first(items: Items) -> None:
    probability = ("" if np.isnan(p) else f"{p:.6f}" for p in items.confidence)
    rows = zip(items.names, items.clusters, probability, strict=True)
    write_table(items.root / FIRST, [("file", "cluster", "probability"), *rows])


def _begin_table(table: Path, root: Path, photos: Path | None) -> None:
    """A loop on what `dec classify` said, or on a table of clusters."""
    _, head = next(read_table(table, ours=True), (1, []))
    key = "cluster" if "cluster" in head else "class"
    wanted = ["file", key, *(["probability"] if "probability" in head else [])]
    lines = (cells for _, cells in read_columns(table, tuple(wanted), ours=True))
    rows = [cells for cells in lines if cells[1]]
    if not rows:
        raise DecError(f"{printable(table)}: no photo in it has a {key}")
    if photos is None:
        folders = {os.path.dirname(os.path.abspath(name)) for name, *_ in rows}
        photos = Path(os.path.commonpath(list(folders)))
    folder = photos.resolve()
    inside = []
    for name, *others in rows:
        path = Path(os.path.abspath(name))
        if key == "cluster" and not path.exists():
            path = folder / name
        if not path.is_relative_to(folder):
            raise DecError(f"{printable(table)}: {printable(name)} is not in {folder}")
        inside.append((str(path.relative_to(folder)), *others))
    _make(root)
    source = root / FIRST
    write_table(source, [("file", "cluster", *wanted[2:]), *inside])
    facts = {"folder": str(folder), "clusters": str(source.resolve())}
    if key == "class":
        named = sorted({row[1] for row in inside})
        sizes = [sum(row[1] == label for row in inside) for label in named]
        rows = zip(named, sizes, named, strict=True)
        write_table(root / "clusters.csv", [("cluster", "photos", "class"), *rows])
    write_facts(root, facts)


def _make(root: Path) -> None:
    try:
        root.mkdir(parents=True, exist_ok=True)
        (root / files.MARKER).touch()
    except OSError as error:
        raise DecError(f"{printable(root)}: cannot be made: {error.strerror}") from None


def write_facts(root: Path, facts: dict) -> None:
    write_text_atomic(root / LOOP, json.dumps(facts, indent=1) + "\n")


def _read_first(source: Path) -> tuple[dict[str, str], np.ndarray]:
    """Clusters by name, and how typical they are of these, where the table says it."""
    clusters = read_clusters(source)
    _, head = next(read_table(source, ours=True), (1, []))
    if "probability" not in head:
        return clusters, np.full(len(clusters), np.nan)
    found = dict.fromkeys(clusters, np.nan)
    rows = read_columns(source, ("file", "probability"), ours=True)
    for line, (name, p) in rows:
        try:
            found[name] = float(p) if p else np.nan
        except ValueError:
            raise DecError(
                f'{printable(source)}:{line}: the probability "{p}" is no number'
            ) from None
    return clusters, np.array([found[name] for name in clusters])


def _gone(items: Items) -> frozenset[int]:
    """The photos that are not there; DecError where none is, and for bad clusters."""
    folder, names = items.folder, items.names
    if not folder.is_dir():
        raise DecError(
            f"{printable(folder)}: the folder of the photos is not there; where is it "
            "now? --photos DIR"
        )
    bad = next((c for c in items.clusters if not files.names_folder(c)), None)
    if bad is not None:
        raise DecError(f'the cluster "{printable(bad)}" cannot name a folder')
    gone = frozenset(
        i for i, name in enumerate(names) if not os.path.exists(folder / name)
    )
    if len(gone) == len(names):
        raise DecError(
            f"{printable(folder)}: none of the {len(gone):,} photos is there; where "
            "are they now? --photos DIR"
        )
    if gone:
        say(
            f"{printable(folder)}: {len(gone):,} photos are not there any more: they "
            "are not shown, and not trained on"
        )
    return gone
