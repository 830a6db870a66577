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
from dec.data import leveldb

LOOP = "loop.json"
MEMBERS = "members.csv"  # file, cluster: as they are parted and merged by now
FIRST = "first.csv"  # the same, as the review found them, where they are no run's


@dataclass
class Items:
    """All that is reviewed, one number each, in the order of the run's rows.

    root: the folder of the loop, where all is written. names: of photos those below
    `folder`; of other rows "row 12". clusters: of each, as the review found them.
    confidence: the probability of its cluster, NaN where it is not known. run: of DEC,
    whose rows they are. gone: photos that are not there any more.
    """

    root: Path
    names: list[str]
    clusters: list[str]
    confidence: np.ndarray
    folder: Path | None
    run: Path | None
    gone: frozenset[int] = frozenset()

    @property
    def title(self) -> str:
        root = self.root.resolve()
        return root.parent.name if root.name == "review" else root.name

    @cached_property
    def results(self):
        """What the run of DEC left, or None."""
        if self.run is None:
            return None
        from dec.clustering.report.results import Results

        return Results.read(self.run)


def find_items(given: Path, photos: Path | None = None) -> Items:
    """What `dec review GIVEN` shows; begins a loop where there is none yet.

    given: the folder of a loop; that of a run of DEC, with the loop in its folder
    review/; or a CSV file of `dec classify` (file,class,probability) or of clusters
    (file,cluster), with the loop beside it, in <name>-review/. photos: their folder,
    where the run does not say it or they have been moved.

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
    if (root / LOOP).exists():
        return _of_loop(root, photos)
    return _begin_run(given, root, photos)


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
    if folder is None:
        return _rows_of(run, root)
    first = root / FIRST
    if source == (root / MEMBERS).resolve():  # which came of these
        source = first if first.exists() else run or source
    return _photos_of(root, read_clusters(source), folder, run)


def _begin_run(run: Path, root: Path, photos: Path | None) -> Items:
    from dec.clustering.report.results import Results

    results = Results.read(run)
    meta = leveldb.read_meta(results.database) or {}
    names = leveldb.read_names(results.database)
    folder = photos or (meta.get("folder") and Path(meta["folder"]))
    is_photos = meta.get("kind") == "photos" and names is not None
    if is_photos and not (folder and Path(folder).is_dir()):
        raise DecError(
            f"{printable(folder or run)}: the folder of the run's photos is not there; "
            "name it: --photos DIR"
        )
    facts = {
        "folder": str(Path(folder).resolve()) if is_photos else "",
        "clusters": str(run.resolve()),
    }
    if is_photos:
        items = _photos_of(root, read_clusters(run), Path(facts["folder"]), run)
    else:
        items = _rows_of(run, root)
    _begin(root, facts)
    return items


def _begin_table(table: Path, root: Path, photos: Path | None) -> None:
    """A loop on what `dec classify` said, or on a table of clusters."""
    _, head = next(read_table(table, ours=True), (1, []))
    key = "cluster" if "cluster" in head else "class"
    pairs = [(n, c) for _, (n, c) in read_columns(table, ("file", key), ours=True) if c]
    if not pairs:
        raise DecError(f"{printable(table)}: no photo in it has a {key}")
    if photos is None:
        folders = {os.path.dirname(os.path.abspath(name)) for name, _ in pairs}
        photos = Path(os.path.commonpath(list(folders)))
    folder = photos.resolve()
    inside = []
    for name, cluster in pairs:
        path = Path(os.path.abspath(name))
        if key == "cluster" and not path.exists():
            path = folder / name
        if not path.is_relative_to(folder):
            raise DecError(f"{printable(table)}: {printable(name)} is not in {folder}")
        inside.append((str(path.relative_to(folder)), cluster))
    _make(root)
    source = root / FIRST
    write_table(source, [("file", "cluster"), *inside])
    facts = {"folder": str(folder), "clusters": str(source.resolve())}
    if key == "class":
        named = sorted({c for _, c in inside})
        sizes = [sum(c == label for _, c in inside) for label in named]
        rows = zip(named, sizes, named, strict=True)
        write_table(root / "clusters.csv", [("cluster", "photos", "class"), *rows])
    _begin(root, facts)


def _begin(root: Path, facts: dict) -> None:
    _make(root)
    write_facts(root, facts)


def _make(root: Path) -> None:
    try:
        root.mkdir(parents=True, exist_ok=True)
        (root / files.MARKER).touch()
    except OSError as error:
        raise DecError(f"{printable(root)}: cannot be made: {error.strerror}") from None


def write_facts(root: Path, facts: dict) -> None:
    write_text_atomic(root / LOOP, json.dumps(facts, indent=1) + "\n")


def _photos_of(
    root: Path, clusters: dict[str, str], folder: Path, run: Path | None
) -> Items:
    if not folder.is_dir():
        raise DecError(
            f"{printable(folder)}: the folder of the photos is not there; where is it "
            "now? --photos DIR"
        )
    bad = next((c for c in clusters.values() if not files.names_folder(c)), None)
    if bad is not None:
        raise DecError(f'the cluster "{printable(bad)}" cannot name a folder')
    names = list(clusters)
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
    confidence = np.full(len(names), np.nan)
    if run is not None:
        from dec.clustering.report.results import Results

        results = Results.read(run)
        if results.n == len(names):
            confidence = results.confidence
    return Items(root, names, list(clusters.values()), confidence, folder, run, gone)


def _rows_of(run: Path | None, root: Path) -> Items:
    if run is None:
        raise DecError(f"{root / LOOP}: says neither photos nor a run")
    from dec.clustering.report.results import Results

    results = Results.read(run)
    names = leveldb.read_names(results.database) if results.database.is_dir() else None
    if names is None or len(set(names)) != results.n:
        names = [f"row {i}" for i in range(results.n)]
    clusters = [str(c) for c in results.assigned.tolist()]
    return Items(root, names, clusters, results.confidence, None, run)
