"""REUTERS, the paper's: RCV1-v2's documents of exactly one of four roots of topics.

Source: D. D. Lewis, Y. Yang, T. Rose, F. Li, RCV1: a new benchmark collection for
text categorization research, JMLR 5, 2004; its online appendices 8 (topics) and 12
(tokens: without stop words, stemmed). Which documents: J. Xie et al., 2016.
"""

import gzip
import os
import re
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from dec.base.digest import sha256_of
from dec.base.errors import DecError
from dec.base.progress import bar, say
from dec.data.texts import textsets
from dec.data.texts.textsets import Corpus
from dec.data.texts.tfidf import Counting

QRELS = "rcv1-v2.topics.qrels"
TOKENS = tuple(
    f"lyrl2004_tokens_{part}.dat"
    for part in ("test_pt0", "test_pt1", "test_pt2", "test_pt3", "train")
)
ROOTS = ("CCAT", "GCAT", "MCAT", "ECAT")
DOCUMENTS = 685_071
NAMES = {"reuters": None, "reuters10k": 10_000}  # and how many documents of all

# What counted as a word for the paper's authors.
_WORD = re.compile(r"\w\w+")


def build_leveldbs(
    folder: str | Path,
    source: str | Path | None = None,
    name: str = "reuters",
    seed: int = 1,
) -> dict[str, Path]:
    """Writes NAME_train, NAME_test and NAME_total into `folder`.

    name: "reuters", or "reuters10k" for its first 10,000 rows, made of the same
    numbers. Rows of 2,000 numbers (see tfidf), permuted by `seed`; all train, the
    last fifth tests. source: the folder with rcv1-v2.topics.qrels and the five
    lyrl2004_tokens_*.dat, plain or .gz. Raises DecError when files are missing,
    damaged or do not fit together.
    """
    if name not in NAMES:
        raise DecError(f"{name}: RCV1 makes {' and '.join(NAMES)}")
    if source is None:
        raise DecError(
            f"{name}: name the folder with {QRELS} and the five {TOKENS[-1]} etc. of "
            "RCV1-v2 (online appendices 8 and 12 of Lewis et al., JMLR 5, 2004)"
        )
    source = Path(source)
    files = _files(source)
    say(f"checking {len(files)} files in {source}")
    try:
        facts = [[sha256_of(path) for path in files], seed]
    except OSError as error:
        raise DecError(f"{error.filename}: cannot be read: {error.strerror}") from None
    return textsets.build(folder, name, facts, lambda: _corpus(files, name, seed))


def documents(path: Path) -> Iterator[tuple[int, str]]:
    """Number and tokens (as one text) of every document in a file of tokens.

    A document is a line ".I number", a line ".W", lines of tokens, an empty line.
    Raises DecError, with the line, for what is otherwise.
    """
    number, tokens = None, None
    for at, line in _lines(path):
        if line.startswith(".I"):
            if number is not None:
                yield number, _tokens(tokens, number, path, at)
            word = line[2:].strip()
            if not word.isdecimal():
                raise DecError(
                    f"{path}:{at}: no document's number: {line.strip()[:60]!r}"
                )
            number, tokens = int(word), None
        elif line.strip() == ".W":
            if number is None or tokens is not None:
                raise DecError(f"{path}:{at}: .W without .I before it")
            tokens = []
        elif tokens is not None:
            tokens.append(line)
        elif line.strip():
            raise DecError(f"{path}:{at}: no file of tokens: {line.strip()[:60]!r}")
    if number is None:
        raise DecError(f"{path}: no documents in it")
    yield number, _tokens(tokens, number, path, at)


def is_token_file(path: Path) -> bool:
    """Whether a file begins like one of tokens."""
    if not path.is_file():
        return False
    try:
        return next(_lines(path), (0, ""))[1].startswith(".I ")
    except DecError:
        return False


def token_words(text: str) -> list[str]:
    """The words of a document's tokens."""
    return _WORD.findall(text.lower())


def _tokens(tokens, number, path, at):
    if tokens is None:
        raise DecError(f"{path}:{at}: cut short: document {number} has no .W")
    return "".join(tokens)


def _corpus(files: list[Path], name: str, seed: int) -> Corpus:
    roots = _roots(files[0])
    counting = Counting()
    names, labels = [], []
    seen: set[int] = set()
    others = 0
    with bar(len(roots), "counting words", " documents") as shown:
        for path in files[1:]:
            for number, tokens in documents(path):
                if number in seen:
                    raise DecError(f"{path}: document {number} is there twice")
                seen.add(number)
                root = roots.get(number)
                if root is None:
                    others += 1
                elif root >= 0:
                    counting.add(token_words(tokens))
                    names.append(str(number))
                    labels.append(root)
                shown.update()
    if not names:
        raise DecError(
            f"{files[0]}: no document of the token files has exactly one root"
        )
    if others:
        say(f"{others:,} documents are not in {files[0].name}: left out")
    missing = len(roots.keys() - seen)
    words = f"{missing:,} documents of {files[0].name} are not in the token files"
    for path in filter(_ends_in_a_line, files[1:]):
        if missing:
            raise DecError(f"{path}: cut short, in the middle of a line; {words}")
        say(f"{path}: ends in the middle of a line; is it whole?")
    if missing:
        say(words)
    if len(names) != DOCUMENTS:
        say(
            f"{len(names):,} documents have exactly one of {', '.join(ROOTS)}; the "
            f"whole of RCV1-v2 has {DOCUMENTS:,}"
        )
    counts, stems = counting.most_frequent()
    if not stems:
        raise DecError(f"{files[1].parent}: no tokens in the documents")
    empty = int((np.diff(counts.indptr) == 0).sum())
    if empty:
        # Kept, other than elsewhere: the paper's numbers are over all of them.
        say(f"{empty:,} documents have none of the stems: rows of zeros")
    return Corpus(
        counts,
        stems,
        np.array(labels),
        names,
        textsets.paper_order(len(names), seed, NAMES[name]),
        "tokens",
        {"classes": list(ROOTS)},
    )


def _roots(path: Path) -> dict[int, int]:
    """Of every document with a root its number, or -1 if there are several."""
    roots: dict[int, int] = {}
    for at, line in _lines(path):
        fields = line.split()
        if not fields:
            continue
        if len(fields) != 3 or not fields[1].isdecimal():
            raise DecError(f"{path}:{at}: not `topic document 1`: {line.strip()!r}")
        if fields[0] in ROOTS:
            number, root = int(fields[1]), ROOTS.index(fields[0])
            if roots.setdefault(number, root) != root:
                roots[number] = -1
    if not roots:
        raise DecError(f"{path}: none of {', '.join(ROOTS)} in it")
    return roots


def _lines(path: Path) -> Iterator[tuple[int, str]]:
    """The lines of a file, plain or .gz, with their numbers from 1."""
    opened = gzip.open if path.suffix == ".gz" else open
    try:
        with opened(path, "rt", encoding="latin-1") as file:
            yield from enumerate(file, 1)
    except (OSError, EOFError, zlib.error) as error:
        raise DecError(f"{path}: cannot be read: {error}") from None


def _ends_in_a_line(path: Path) -> bool:
    """Whether a plain file's last line has no end (gzip notices that itself)."""
    if path.suffix == ".gz":
        return False
    with open(path, "rb") as file:
        file.seek(-1, os.SEEK_END)
        return file.read(1) != b"\n"


def _files(source: Path) -> list[Path]:
    """The topics' and the five token files. Raises DecError when some are missing."""
    found, missing = [], []
    for name in (QRELS, *TOKENS):
        path = next(
            (p for p in (source / name, source / f"{name}.gz") if p.is_file()), None
        )
        found.append(path)
        if path is None:
            missing.append(name)
    if missing:
        raise DecError(
            f"{source}: no {', '.join(missing)} there (nor with .gz). All six files "
            "of RCV1-v2 are needed."
        )
    return found
