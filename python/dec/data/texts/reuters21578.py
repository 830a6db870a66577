"""Reuters-21578: newswire stories of 1987, in 22 files of SGML.

Source: D. D. Lewis, Reuters-21578 text categorization test collection, distribution
1.0, 1997.
"""

import html
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np

from dec.base.errors import DecError
from dec.base.progress import bar, say
from dec.data.texts import textsets
from dec.data.texts.letters import words
from dec.data.texts.textfiles import digest, load
from dec.data.texts.textsets import Corpus
from dec.data.texts.tfidf import Counting, EnglishStemmer

NAME = "reuters21578"
STORIES = 21578
TOPICS = 10

_FILE = re.compile(r"(?:.*/)?[^/]+\.sgm")
_STORY = re.compile(r"<REUTERS\b([^>]*)>(.*?)</REUTERS>", re.DOTALL)
_OPENING = re.compile(r"<REUTERS\b")
_ID = re.compile(r'\bNEWID="(\d+)"')
_TOPICS = re.compile(r"<TOPICS>(.*?)</TOPICS>", re.DOTALL)
_ENTRY = re.compile(r"<D>(.*?)</D>", re.DOTALL)
_TITLE = re.compile(r"<TITLE>(.*?)</TITLE>", re.DOTALL)
_BODY = re.compile(r"<BODY>(.*?)</BODY>", re.DOTALL)
# The agency's name, below every story.
_SIGNED = re.compile(r"\s+reuters?[\s\x03]*$", re.IGNORECASE)


class Story(NamedTuple):
    """One story: its number, its topics, and title and body as one text.

    body: whether it has one; some are a title, or a table that is not marked up.
    """

    number: str
    topics: list[str]
    text: str
    body: bool


def stories(raw: bytes, name: str) -> Iterator[Story]:
    """The stories of one file. Raises DecError when it is damaged or cut short."""
    # The files are mostly ASCII; the few other bytes are in no declared encoding.
    content = raw.decode("latin-1")
    found = 0
    for match in _STORY.finditer(content):
        attributes, inside = match.groups()
        number = _ID.search(attributes)
        if number is None or _OPENING.search(inside):
            raise DecError(f"{name}: story {found + 1} of the file is damaged")
        topics = _TOPICS.search(inside)
        body = _text(_BODY, inside)
        yield Story(
            number[1],
            _ENTRY.findall(topics[1]) if topics else [],
            f"{_text(_TITLE, inside)}\n{_SIGNED.sub('', body)}",
            bool(body.strip()),
        )
        found += 1
    if found != len(_OPENING.findall(content)):
        raise DecError(f"{name}: cut short: its last story, {found + 1}, has no end")
    if not found:
        raise DecError(f"{name}: no stories (<REUTERS ...>) in it")


def build_leveldbs(
    folder: str | Path,
    source: str | Path | None = None,
    topics: int = TOPICS,
    seed: int = 1,
) -> dict[str, Path]:
    """Writes reuters21578_train, _test and _total into `folder`.

    Of the stories with a body and exactly one topic those of the largest topics
    (`topics` of them; 0: all), classes in the order of their sizes. Rows of 2,000
    numbers (see tfidf), permuted by `seed`; as the paper has REUTERS, all train
    and the last fifth tests. source: the tar archive of the corpus or the folder with
    the .sgm files. Raises DecError when it is neither, or files are damaged.
    """
    if source is None:
        raise DecError("reuters21578: name its archive (.tar.xz, .tar.gz) or folder")
    if topics < 0:
        raise DecError(f"{topics} topics: a whole number is needed, 0 for all")
    source = Path(source)
    files = load(source, _FILE.fullmatch)
    if not files:
        raise DecError(f"{source}: no .sgm files there; it has reut2-000.sgm and so on")
    return textsets.build(
        folder,
        NAME,
        [digest(files), topics, seed],
        lambda: _corpus(source, files, topics, seed),
    )


def _corpus(source: Path, files: dict[str, bytes], topics: int, seed: int) -> Corpus:
    seen: dict[str, str] = {}
    usable = []
    for name, raw in files.items():
        file = Path(name).name
        for story in stories(raw, f"{source}: {name}"):
            if story.number in seen:
                raise DecError(
                    f"{source}: story {story.number} is in {seen[story.number]} and "
                    f"once more in {file}"
                )
            seen[story.number] = file
            if len(story.topics) == 1 and story.body:
                usable.append((f"{file}:{story.number}", story))
    if len(seen) != STORIES:
        say(f"{source}: {len(seen):,} stories; the original has {STORIES:,}")
    sizes = Counter(story.topics[0] for _, story in usable)
    ranked = sorted(sizes, key=lambda topic: (-sizes[topic], topic))
    classes = ranked[: topics or None]
    chosen = [(name, story) for name, story in usable if story.topics[0] in classes]
    say(
        f"{source}: {len(usable):,} stories with one topic and a body; {len(chosen):,} "
        f"of them in the {len(classes)} largest of {len(ranked)} topics"
    )
    counting = Counting(EnglishStemmer())
    with bar(len(chosen), "counting words", " stories") as shown:
        for _, story in chosen:
            counting.add(words(story.text))
            shown.update()
    counts, stems, names, labels = textsets.finish_counting(
        counting,
        [name for name, _ in chosen],
        [classes.index(story.topics[0]) for _, story in chosen],
        str(source),
    )
    return Corpus(
        counts,
        stems,
        np.array(labels),
        names,
        textsets.paper_order(len(names), seed),
        "sgml",
        {"classes": classes},
    )


def _text(pattern: re.Pattern, inside: str) -> str:
    match = pattern.search(inside)
    return html.unescape(match[1]) if match else ""
