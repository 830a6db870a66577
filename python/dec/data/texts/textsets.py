"""The three LevelDBs of a set of documents, and what new documents need."""

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
from scipy.sparse import csr_array

from dec.base.errors import DecError
from dec.base.progress import say
from dec.data import leveldb
from dec.data.texts.textfiles import Troubles
from dec.data.texts.tfidf import STEMS, Counting, Representation

PARTS = ("train", "test", "total")
_VERSION = 1  # of the way from files to rows; raise it to have databases written anew


class Corpus(NamedTuple):
    """Counted documents (n of them), in the order in which they were read.

    counts: n x stems. stems: of the columns. labels: n numbers of classes, or None.
    names: n. order: for each of PARTS the documents that are its rows. format: of the
    files (see dec.data.texts.text). meta: what else dec.json shall say.
    """

    counts: csr_array
    stems: list[str]
    labels: np.ndarray | None
    names: list[str]
    order: dict[str, np.ndarray]
    format: str
    meta: dict


def build(
    folder: str | Path, name: str, facts: list, make: Callable[[], Corpus]
) -> dict[str, Path]:
    """Writes name_train, name_test and name_total into `folder`; returns their paths.

    facts: all that the corpus depends on (JSON). Databases that were made with the
    same are left as they are; if all were, `make` is not called.
    """
    text = json.dumps([_VERSION, STEMS, name, *facts])
    digest = hashlib.sha256(text.encode()).hexdigest()
    paths = {f"{name}_{part}": Path(folder) / f"{name}_{part}" for part in PARTS}
    outdated = []
    for part, path in zip(PARTS, paths.values(), strict=True):
        if _is_current(path, digest):
            say(f"{path}: up to date")
        else:
            outdated.append((part, path))
    if outdated:
        corpus = make()
        representation = Representation.fitted(corpus.counts, corpus.stems)
        say(
            f"{name}: {corpus.counts.shape[0]:,} documents, {len(corpus.stems):,} "
            f"stems, {corpus.counts.nnz / corpus.counts.shape[0]:.0f} a document"
        )
        if len(corpus.stems) < STEMS:
            say(f"{name}: there are no {STEMS:,} different stems; rows are shorter")
        meta = {
            "kind": "text",
            "digest": digest,
            **corpus.meta,
            "text": {"format": corpus.format, **representation.facts()},
        }
        for part, path in outdated:
            _write(path, corpus, representation, corpus.order[part], meta)
    return paths


def finish_counting(
    counting: Counting, names: list[str], labels: list[int] | None, what: str
) -> tuple[csr_array, list[str], list[str], list[int] | None]:
    """Counts, stems, names and labels, without the documents that have no stem.

    what: the source, for messages. Raises DecError when fewer than two are left.
    """
    counts, stems = counting.most_frequent()
    kept = np.diff(counts.indptr) > 0
    troubles = Troubles()
    for i in np.flatnonzero(~kept):
        troubles.note("left out (none of the stems in it)", names[i])
    troubles.tell()
    if kept.sum() < 2:
        raise DecError(
            f"{what}: {kept.sum()} usable documents; at least two are needed"
        )
    if kept.all():
        return counts, stems, names, labels
    at = np.flatnonzero(kept)
    names = [names[i] for i in at]
    labels = None if labels is None else [labels[i] for i in at]
    return counts[at], stems, names, labels


def paper_order(
    documents: int, seed: int, first: int | None = None
) -> dict[str, np.ndarray]:
    """As the paper has REUTERS: permuted; all train, the last fifth tests.

    first: only so many of the permuted.
    """
    order = np.random.default_rng(seed).permutation(documents)[:first]
    return {"train": order, "test": order[-max(1, len(order) // 5) :], "total": order}


def _write(path, corpus, representation, order, meta):
    leveldb.write_rows(
        path,
        representation.blocks(corpus.counts, order),
        None if corpus.labels is None else np.asarray(corpus.labels)[order],
        meta,
        (corpus.names[i] for i in order),
    )
    say(f"{path}: {len(order):,} rows written")


def _is_current(path: Path, digest: str) -> bool:
    named = leveldb.read_names(path) is not None
    return named and leveldb.is_current(path, {"digest": digest})
