"""Any folder of text files as a data set, and new texts for runs trained on text.

Labels are the folders on the first level below, if all texts are in such folders and
there are two or more. Words of every script are found that parts them; English ones
are shortened to stems.
"""

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from dec.base.errors import DecError
from dec.base.files import printable
from dec.base.progress import bar, say
from dec.data.texts import newsgroups, reuters, reuters21578, textsets
from dec.data.texts.letters import words
from dec.data.texts.reuters import token_words
from dec.data.texts.textfiles import (
    Troubles,
    Unusable,
    folder_digest,
    names_below,
    read,
    text_of,
)
from dec.data.texts.textsets import Corpus
from dec.data.texts.tfidf import (
    BLOCK,
    Counting,
    EnglishStemmer,
    Memo,
    Representation,
)

NAME = "text"
_WORDS = 2  # the rule by which words are found; raise it to have them found anew


def build_leveldbs(
    folder: str | Path,
    source: str | Path | None = None,
    name: str = NAME,
    seed: int = 1,
) -> dict[str, Path]:
    """Writes NAME_train, NAME_test and NAME_total into `folder`.

    source: the folder of texts. Rows of 2,000 numbers (see tfidf; fewer where
    there are fewer stems), permuted by `seed`; all train, the last fifth tests. Names
    are paths below the folder. Files that hold no text are named and left out. Raises
    DecError when `source` is no folder or holds fewer than two texts.
    """
    if source is None:
        raise DecError(f"{name}: name the folder of text files")
    source = Path(source)
    files = names_below(source)
    if not files:
        raise DecError(f"{printable(source)}: there are no files in it")
    where = str(source.resolve())
    facts = [folder_digest(source, files), where, seed, _WORDS]
    return textsets.build(folder, name, facts, lambda: _corpus(source, files, seed))


class TextPreparation:
    """Makes new texts rows as those that a run was trained on.

    facts: `shape` and `text` of the run's input.json. shape: of a row, (d, 1, 1).
    """

    def __init__(self, facts: dict):
        self.shape = tuple(facts["shape"])
        text = facts.get("text") or {}
        self._texts = _FORMATS.get(text.get("format"))
        if self._texts is None:
            raise DecError(f"texts of the format {text.get('format')!r} are not known")
        self._representation = Representation.from_facts(text)
        if len(self._representation.stems) != self.shape[0]:
            raise DecError("the run's list of stems does not fit its rows")
        columns = self._representation.columns
        stem = EnglishStemmer()
        self._of_words = Memo(lambda word: columns.get(stem(word), -1))
        self._of_stems = Memo(lambda word: columns.get(word, -1))

    def read(self, path: Path) -> Iterator[tuple[list[str], np.ndarray]]:
        """Blocks of names and rows (float32, n x d) of a file, or of all in a folder.

        In a folder files that hold no text are named and left out; a file raises
        DecError, and so does a folder without texts. A text with none of the stems is
        a row of zeros, and named.
        """
        troubles = Troubles()
        names: list[str] = []
        documents: list[list[int]] = []
        found = False
        for name, text, stemmed in self._documents(Path(path), troubles):
            number = self._of_stems if stemmed else self._of_words
            names.append(name)
            documents.append([number[word] for word in text])
            found = True
            if len(names) == BLOCK:
                yield names, self._rows(names, documents, troubles)
                names, documents = [], []
        if names:
            yield names, self._rows(names, documents, troubles)
        troubles.tell()
        if not found:
            raise DecError(f"{printable(path)}: there are no texts in it")

    def _rows(self, names, documents, troubles):
        counts = self._representation.counts(documents)
        for i in np.flatnonzero(np.diff(counts.indptr) == 0):
            troubles.note(
                "none of the run's words in it, so its cluster means nothing", names[i]
            )
        return self._representation.rows(counts)

    def _documents(self, path, troubles):
        if not path.is_dir():
            try:
                yield from self._texts(path, troubles)
            except Unusable as error:
                raise DecError(f"{printable(path)}: {error}") from None
            return
        for name in names_below(path):
            try:
                yield from self._texts(path / name, troubles)
            except Unusable as error:
                troubles.note(f"left out ({error})", str(path / name))


def _corpus(source: Path, files: list[str], seed: int) -> Corpus:
    counting, troubles = Counting(EnglishStemmer()), Troubles()
    names = []
    with bar(len(files), "counting words", " files") as shown:
        for name in files:
            shown.update()
            try:
                text = text_of(read(source / name), name, troubles)
            except Unusable as error:
                troubles.note(f"left out ({error})", name)
            else:
                counting.add(words(text))
                names.append(name)
    troubles.tell()
    counts, stems, names, _ = textsets.finish_counting(
        counting, names, None, printable(source)
    )
    classes, labels = _classes(names)
    if classes:
        say(f"{printable(source)}: {len(classes)} folders are the classes")
    else:
        say(f"{printable(source)}: no classes: texts are not in two or more folders")
    return Corpus(
        counts,
        stems,
        labels,
        names,
        textsets.paper_order(len(names), seed),
        "plain",
        {"folder": str(source.resolve())} | ({"classes": classes} if classes else {}),
    )


def _classes(names: list[str]) -> tuple[list[str], np.ndarray | None]:
    """Names of classes and labels, from the first part of the texts' names."""
    parts = [name.split("/", 1) for name in names]
    classes = sorted({part[0] for part in parts})
    if any(len(part) == 1 for part in parts) or len(classes) < 2:
        return [], None
    numbers = {name: number for number, name in enumerate(classes)}
    return classes, np.array([numbers[part[0]] for part in parts])


# The texts in a file, by the format of the files that a run was trained on: name,
# words, and whether these are stems already.

Documents = Iterator[tuple[str, list[str], bool]]


def _one_text(path: Path, troubles: Troubles, part: Callable[[str], str]) -> Documents:
    text = text_of(read(path), str(path), troubles)
    yield str(path), words(part(text)), False


def _plain(path: Path, troubles: Troubles) -> Documents:
    yield from _one_text(path, troubles, lambda text: text)


def _news(path: Path, troubles: Troubles) -> Documents:
    yield from _one_text(path, troubles, newsgroups.message)


def _sgml(path: Path, troubles: Troubles) -> Documents:
    """The corpus' own files: all stories with a body; others as plain text."""
    raw = read(path)
    if b"<REUTERS" not in raw[:4096]:
        yield from _plain(path, troubles)
        return
    for story in reuters21578.stories(raw, str(path)):
        if story.body:
            yield f"{path}:{story.number}", words(story.text), False


def _tokens(path: Path, troubles: Troubles) -> Documents:
    """The corpus' own files of tokens; others as plain text, to be stemmed."""
    if reuters.is_token_file(path):
        for number, tokens in reuters.documents(path):
            yield f"{path}:{number}", token_words(tokens), True
    else:
        yield from _plain(path, troubles)


_FORMATS = {"plain": _plain, "news": _news, "sgml": _sgml, "tokens": _tokens}
