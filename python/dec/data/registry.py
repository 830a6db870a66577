"""The data sets that dec knows: how to make LevelDBs of them, how to read new rows.

Each is a module of `dec.data.sets`, found by being there; a new one is a file in that
folder (DEVELOPERS.md has an example).
"""

import argparse
import functools
import importlib
import pkgutil
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np

from dec.base import places
from dec.base.errors import DecError

Block = tuple[list[str], np.ndarray]
# Of LevelDBs and of an experiment: a part of a folder's name, and of a command.
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


class Reader(Protocol):
    """Makes new rows of a user's files, as those that a run was trained on.

    shape: of a row in its LevelDB, (channels, height, width).
    """

    shape: tuple[int, ...]

    def read(self, path: Path) -> Iterator[Block]:
        """Blocks of names and rows (n x d) of a file or folder; or DecError."""


@dataclass(frozen=True)
class DataSet:
    """A data set, or a kind of data that users have.

    name: of its LevelDBs (NAME_total, NAME_train, NAME_test). text, source: what it is
    and what it is made of, for the help. build: build(folder, source=None, **options)
    writes the LevelDBs into a folder, unless they are up to date. public: it can be had
    without a source of the user's. options: adds those of `build` to a parser.
    experiment: whose nets are fitted to it, if prototxt/dec/NAME is not there. kind: of
    its rows, as their dec.json says it; reader: for new ones, from that dec.json.
    nameable: `build` takes another name for the LevelDBs. features: `build` takes what
    describes the rows. rows: it has rows for DEC (NAME_total), not images alone.
    """

    name: str
    text: str
    source: str
    build: Callable[..., object]
    public: bool = False
    options: Callable[[argparse.ArgumentParser], None] | None = None
    experiment: str = "own"
    kind: str = ""
    reader: Callable[[dict], Reader] | None = None
    nameable: bool = False
    features: bool = False
    rows: bool = True


@functools.cache
def all_sets() -> tuple[DataSet, ...]:
    """Those in the modules of dec.data.sets, by the names of these."""
    from dec.data import sets

    names = sorted(module.name for module in pkgutil.iter_modules(sets.__path__))
    modules = [importlib.import_module(f"{sets.__name__}.{name}") for name in names]
    return tuple(known for module in modules for known in module.DATA_SETS)


def find(name: str) -> DataSet | None:
    """The data set of this name, if there is one."""
    return next((known for known in all_sets() if known.name == name), None)


def check_name(known: str, name: str) -> None:
    """Raises DecError for what cannot name LevelDBs of the data set `known`."""
    if not NAME.fullmatch(name):
        raise DecError(
            f"{name}: a name is of letters, digits, - _ . and no other signs"
        )
    if name != known and find(name):
        raise DecError(f"{name}: is the name of a data set; take another")


def build(
    name: str, source: Path | None, folder: Path | None = None, /, **options
) -> None:
    """Writes the LevelDBs of a data set, unless they are up to date.

    source: the user's file or folder; None: wherever the data set can be had, or
    the LevelDBs as they are where that is nowhere. folder: data/ for None. options: as
    the data set's own `build` takes them. Raises DecError for features where there is
    no choice.
    """
    known = find(name)
    if known is None:
        if source:
            names = ", ".join(one.name for one in all_sets())
            raise DecError(
                f"{name}: its LevelDBs are not made by dec, which knows {names}; "
                f"`dec data KIND {source} --name {name}` makes them of your own data"
            )
        return
    if "features" in options and not known.features:
        others = ", ".join(one.name for one in all_sets() if one.features)
        raise DecError(f"{name}: has no features to choose from; {others} has")
    if source or known.public or options:
        known.build(folder or places.data(), source=source, **options)


def reader(facts: dict) -> Reader:
    """The reader for the kind of rows that a run's input.json tells of."""
    kind = facts.get("kind", "")
    if kind == "labelled-photos":
        raise DecError("this is a run of dec finetune: `dec classify` is for it")
    for known in all_sets():
        if known.reader and known.kind == kind:
            return known.reader(facts)
    raise DecError(f'rows of the kind "{kind}" are not known to this version of dec')
