"""A review taken away: class folders, a table, and LevelDBs, in the loop's folder."""

import os
import re
import shutil
from pathlib import Path

from dec.base import files
from dec.base.atomic import partial_path, replace_dir
from dec.base.errors import DecError
from dec.base.files import printable
from dec.base.progress import bar, say
from dec.base.tables import write_table
from dec.review.items import Items
from dec.review.rounds import read_guesses
from dec.review.state import REJECTED, State

KINDS = ("csv", "links", "copies", "leveldb")
_OWN = re.compile(r"[^/]+/([^/]+)?")


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
    leveldb: labelled/, the data set of `dec data labelled`. Raises DecError where
    nothing has a class, and where a folder holds other things.
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
    elif items.folder is None:
        raise DecError("its rows are no photos: the table (csv) is what there is")
    elif kind == "leveldb":
        out = _leveldbs(items, to, {n: c for n, (c, _, _) in found.items()})
    else:
        out = _folders(items, to, found, kind == "links")
    say(f"{len(found):,} of {len(items.names) - len(items.gone):,}: {printable(out)}")
    return out


def _leveldbs(items: Items, to: Path, classes: dict[str, str]) -> Path:
    from dec.data.labelled.dataset import Options, build_labelled

    build_labelled(items.folder, to / "labelled", Options(), classes)
    return to / "labelled"


def _folders(items: Items, to: Path, found: dict, links: bool) -> Path:
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
                photo = items.folder / name
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
