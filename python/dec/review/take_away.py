"""A review taken away: class folders, a table, and LevelDBs, in the loop's folder."""

import os
import re
import shutil
from pathlib import Path

import numpy as np

from dec.base import files
from dec.base.atomic import partial_path, replace_dir
from dec.base.errors import DecError
from dec.base.files import printable
from dec.base.progress import bar, say
from dec.base.tables import write_table
from dec.classify.rows import Rows
from dec.data import leveldb
from dec.review.items import Items
from dec.review.rounds import read_guesses
from dec.review.state import REJECTED, State

KINDS = ("csv", "links", "copies", "leveldb")
_OWN = re.compile(r"[^/]+/([^/]+)?")
_SHARES, _SEED = (0.8, 0.1, 0.1), 1
# Of dec.json: what a LevelDB of other rows says of itself.
_OTHERS = ("format", "rows", "shape", "classes", "sources", "pictures")


def kinds(items: Items) -> list[str]:
    """Those that there are for these items."""
    return [kind for kind in KINDS if items.files or kind in ("csv", "leveldb")]


def labelled(
    items: Items, state: State, guesses: bool
) -> dict[str, tuple[str, str, str]]:
    """Class, who says so (review, cluster, net), and the net's probability, by name.

    guesses: those that have no class by review or cluster get the last net's guess.
    """
    net = read_guesses(items) if guesses else None
    found = {}
    for item, name in enumerate(items.names):
        if item in items.gone:
            continue
        label, by, p = state.class_of(item), "cluster", ""
        if state.looked_at(item):
            by = "review"
        elif not label and net is not None and net.first[item] >= 0:
            label, by = net.classes[net.first[item]], "net"
            p = f"{net.p[item]:.6f}"
        if label and label != REJECTED:
            found[name] = (label, by, p)
    return found


def take_away(items: Items, state: State, kind: str, guesses: bool = False) -> Path:
    """Writes one of KINDS below <root>/export; returns where. Replaces an older one.

    csv: labels.csv, file,class,by,probability. links, copies: classes/<class>/<photo>.
    leveldb: labelled/, the data set of `dec data labelled`, or three LevelDBs of rows.
    Raises DecError where nothing has a class, and where a folder holds other things.
    """
    found = labelled(items, state, guesses)
    if not found:
        raise DecError("no photo has a class yet: name clusters first")
    to = items.root / "export"
    try:
        to.mkdir(exist_ok=True)
    except OSError as error:
        raise DecError(f"{printable(to)}: {error.strerror}") from None
    if kind == "csv":
        out = to / "labels.csv"
        head = ("file", "class", "by", "probability")
        rows = ((name, *facts) for name, facts in sorted(found.items()))
        write_table(out, [head, *rows])
    elif kind == "leveldb":
        classes = {n: c for n, (c, _, _) in found.items()}
        out = (_leveldbs if items.folder else _row_leveldbs)(items, to, classes)
    elif items.files is None:
        raise DecError("its rows are no files: table and LevelDBs are what there is")
    else:
        out = _folders(items, to, found, kind == "links")
    say(f"{len(found):,} of {len(items.names) - len(items.gone):,}: {printable(out)}")
    return out


def _leveldbs(items: Items, to: Path, classes: dict[str, str]) -> Path:
    from dec.data.labelled.dataset import Options, build_labelled

    build_labelled(items.folder, to / "labelled", Options(), classes)
    return to / "labelled"


def _row_leveldbs(items: Items, to: Path, classes: dict[str, str]) -> Path:
    """The rows that have a class, a tenth of each in val and in test."""
    from dec.data.labelled.split import SETS, split

    out = to / "labelled"
    words = sorted(set(classes.values()))
    number = {word: i for i, word in enumerate(words)}
    at = np.array([i for i, name in enumerate(items.names) if name in classes])
    names = [items.names[i] for i in at]
    labels = np.array([number[classes[name]] for name in names])
    part = split(labels, np.arange(len(at)), _SHARES, _SEED, words)
    rows = Rows(items.results.rows(items.root))
    meta = {k: v for k, v in items.results.meta.items() if k not in _OTHERS}
    for which, name in enumerate(SETS):
        own = part == which
        chosen = set(at[own].tolist())
        leveldb.write_rows(
            out / name,
            (
                block[[i in chosen for i in range(first, first + len(block))]]
                for first, block in rows.blocks(name)
                if any(i in chosen for i in range(first, first + len(block)))
            ),
            labels[own],
            meta | {"classes": words},
            [n for n, mine in zip(names, own, strict=True) if mine],
        )
    return out


def _folders(items: Items, to: Path, found: dict, links: bool) -> Path:
    """Photos keep their names but for folders; so do texts."""
    target = to / "classes"
    (to / files.MARKER).touch()
    files.refuse_to_replace(target, "an export of photos by class", _OWN)
    partial = partial_path(target)
    try:
        taken: dict[str, set[str]] = {}
        with bar(len(found), "classes", " photos") as shown:
            for name, (label, _, _) in found.items():
                there = taken.setdefault(label, set())
                new = partial / label / files.flat_name(name, there)
                there.add(new.name)
                new.parent.mkdir(parents=True, exist_ok=True)
                photo = items.files / name
                if links:
                    new.symlink_to(os.path.realpath(photo))
                else:
                    shutil.copy2(photo, new)
                shown.update()
        replace_dir(partial, target)
    except OSError as error:
        raise DecError(
            f"{printable(target)}: cannot be written: {error.strerror}"
        ) from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return target
