"""Classes as people write them: in a table of labels, on the command line."""

import unicodedata
from collections.abc import Iterable
from pathlib import Path

from dec.base.errors import DecError
from dec.base.files import printable
from dec.base.progress import say
from dec.base.tables import read_pairs


def read_labels(path: Path, names: Iterable[str], classes: list[str]) -> dict[str, str]:
    """The class of every photo that a CSV file (file,class) gives one.

    names: the photos that there are; others are left out, and this is said. Raises
    DecError, with the line, for a class that is none of `classes` and for a photo with
    two.
    """
    listed, known = {}, set(names)
    pairs = read_pairs(path, "file", "class")
    spelt = one_spelling((label for _, label in pairs.values()), classes)
    for name, (line, label) in pairs.items():
        where = f"{printable(path)}:{line}"
        if not label:
            continue  # rejected by the reviewer
        if spelt[label] not in classes:
            raise DecError(f'{where}: there is no class "{printable(label)}"')
        if name in known:
            listed[name] = spelt[label]
        elif not (path.parent / name).exists():
            say(f"{where}: {printable(name)} is not among the photos; left out")
    return listed


def one_spelling(words: Iterable[str], known: Iterable[str] = ()) -> dict[str, str]:
    """For every word the one to take it for, where several look the same.

    Unicode writes é as one letter or as two: one that is among `known` is taken for
    all, or else the short one. Says which are.
    """
    words, known = list(dict.fromkeys(words)), set(known)
    alike: dict[str, list[str]] = {}
    for word in [*sorted(known), *words]:
        short = unicodedata.normalize("NFC", word)
        spellings = alike.setdefault(short, [])
        if word not in spellings:
            spellings.append(word)
    found = {}
    for word in words:
        short = unicodedata.normalize("NFC", word)
        spellings = alike[short]
        first = spellings[0] if spellings[0] in known else short
        found[word] = word if word in known or len(spellings) == 1 else first
        if found[word] != word:
            say(
                f'"{printable(word)}" is spelt in {len(spellings)} ways that look the '
                "same; they are taken for one class"
            )
    return found
