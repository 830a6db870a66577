"""20 Newsgroups, "by date": 18,846 messages of 20 groups, in two folders by date.

Source: K. Lang, NewsWeeder, 1995; the version by date is J. Rennie's, without
cross-posts and without the headers Newsgroups, Xref, Path, Followup-To and Date.
"""

import re
from pathlib import Path

import numpy as np

from dec.base.errors import DecError
from dec.base.progress import bar, say
from dec.data.texts import textsets
from dec.data.texts.letters import words
from dec.data.texts.textfiles import Troubles, Unusable, digest, load, text_of
from dec.data.texts.textsets import Corpus
from dec.data.texts.tfidf import Counting, EnglishStemmer

NAME = "20news"
DOCUMENTS = {"train": 11314, "test": 7532}

_FILE = re.compile(r"(?:.*/)?20news-bydate-(train|test)/([^/]+)/[^/]+")
_HEADERS_END = re.compile(r"\r?\n[ \t]*\r?\n")
_HEADERS = re.compile(r"^(from|subject):", re.IGNORECASE | re.MULTILINE)
_SUBJECT = re.compile(r"^subject:(.*(?:\n[ \t].*)*)", re.IGNORECASE | re.MULTILINE)


def message(text: str) -> str:
    """What the writer of a message says: its subject and its body.

    The other headers go: senders, organisations and hosts tell the group from the
    outside. Quotations and signatures stay: they were written, too. A text without
    From or Subject above its first empty line is left as it is.
    """
    parts = _HEADERS_END.split(text, maxsplit=1)
    if not _HEADERS.search(parts[0]):
        return text
    subject = _SUBJECT.search(parts[0])
    return f"{subject[1] if subject else ''}\n{parts[1] if len(parts) > 1 else ''}"


def build_leveldbs(
    folder: str | Path, source: str | Path | None = None, seed: int = 1
) -> dict[str, Path]:
    """Writes 20news_train, 20news_test and 20news_total into `folder`.

    Rows of 2,000 numbers (see tfidf, of `message`); train and test are those of
    the source, each permuted by `seed`; total is the two, in this order. source: the
    tar archive of the corpus, or the folder with 20news-bydate-train and
    20news-bydate-test in it. Raises DecError when it is neither.
    """
    if source is None:
        raise DecError("20news: name its archive (.tar.xz, .tar.gz) or folder")
    source = Path(source)
    files = load(source, _FILE.fullmatch)
    if not files:
        raise DecError(
            f"{source}: no messages there; they are expected in "
            "20news-bydate-train/GROUP/NUMBER and 20news-bydate-test/GROUP/NUMBER"
        )
    meta = {"folder": str(source.resolve())} if source.is_dir() else {}
    facts = [digest(files), meta, seed]
    return textsets.build(
        folder, NAME, facts, lambda: _corpus(source, files, meta, seed)
    )


def _corpus(source: Path, files: dict[str, bytes], meta: dict, seed: int) -> Corpus:
    splits = [_FILE.fullmatch(name)[1] for name in files]
    for split, count in DOCUMENTS.items():
        if splits.count(split) == 0:
            raise DecError(f"{source}: no messages in 20news-bydate-{split}")
        if splits.count(split) != count:
            say(
                f"{source}: {splits.count(split):,} messages in 20news-bydate-{split}; "
                f"the original has {count:,}"
            )
    classes = sorted({_FILE.fullmatch(name)[2] for name in files})
    counting, troubles = Counting(EnglishStemmer()), Troubles()
    names, labels = [], []
    with bar(len(files), "counting words", " messages") as shown:
        for name, raw in files.items():
            shown.update()
            try:
                text = text_of(raw, name, troubles)
            except Unusable as error:
                troubles.note(f"left out ({error})", name)
            else:
                counting.add(words(message(text)))
                names.append(name)
                labels.append(classes.index(_FILE.fullmatch(name)[2]))
    troubles.tell()
    counts, stems, names, labels = textsets.finish_counting(
        counting, names, labels, str(source)
    )
    testing = np.array([_FILE.fullmatch(name)[1] == "test" for name in names])
    generator = np.random.default_rng(seed)
    order = {
        "train": generator.permutation(np.flatnonzero(~testing)),
        "test": generator.permutation(np.flatnonzero(testing)),
    }
    order["total"] = np.concatenate([order["train"], order["test"]])
    return Corpus(
        counts,
        stems,
        np.array(labels),
        names,
        order,
        "news",
        {"classes": classes, **meta},
    )
