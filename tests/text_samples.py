"""What the tests of text data share: small corpora, and the rows they must give."""

import io
import math
from pathlib import Path

import numpy as np
import pytest

from dec.base import progress
from dec.data import leveldb

# Words that are stems already (Porter leaves them as they are), by theme.
THEMES = {
    "garden": ["plant", "soil", "root", "leaf", "bloom", "weed", "moss", "fern"],
    "harbour": ["ship", "dock", "sail", "mast", "crew", "port", "anchor", "keel"],
    "kitchen": ["bread", "salt", "oven", "broth", "dish", "spoon", "flour", "yeast"],
}


@pytest.fixture
def said(monkeypatch) -> io.StringIO:
    """What is said meanwhile."""
    stream = io.StringIO()
    monkeypatch.setattr(progress, "_stream", stream)
    return stream


def texts(count: int, seed: int = 0) -> dict[str, list[str]]:
    """Words of `count` documents by name (theme/number), some of them repeated."""
    generator = np.random.default_rng(seed)
    found = {}
    for number in range(count):
        theme = list(THEMES)[number % len(THEMES)]
        other = generator.choice(sum(THEMES.values(), []), 3)
        own = generator.choice(THEMES[theme], generator.integers(3, 25))
        found[f"{theme}/{number:03d}.txt"] = [str(w) for w in (*own, *other)]
    return found


def write_texts(folder: Path, documents: dict[str, list[str]]) -> Path:
    for name, words in documents.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(" ".join(words) + "\n", encoding="utf-8")
    return folder


def plain_rows(documents: list[list[str]]) -> tuple[list[str], np.ndarray]:
    """Columns and rows by the formula alone, number by number, in float64."""
    columns = sorted({word for document in documents for word in document})
    n = len(documents)
    rows = np.zeros((n, len(columns)))
    for i, document in enumerate(documents):
        for j, word in enumerate(columns):
            tf = document.count(word)
            df = sum(word in other for other in documents)
            if tf:
                rows[i, j] = (1 + math.log(tf)) * (1 + math.log((1 + n) / (1 + df)))
        rows[i] *= math.sqrt(len(columns)) / math.sqrt((rows[i] ** 2).sum())
    return columns, rows


def by_name(database: Path) -> dict[str, np.ndarray]:
    """The rows of a database by their names."""
    with leveldb.open_reader(database) as reader:
        rows, _ = reader.read()
    return dict(zip(leveldb.read_names(database), rows, strict=True))


def labels_by_name(database: Path) -> dict[str, int]:
    with leveldb.open_reader(database) as reader:
        _, labels = reader.read()
    return dict(zip(leveldb.read_names(database), labels.tolist(), strict=True))


def read_all(preparation, path: Path) -> dict[str, np.ndarray]:
    """What a preparation makes of a path: rows by names."""
    found = {}
    for names, rows in preparation.read(path):
        assert rows.dtype == np.float32
        assert len(names) == len(rows)
        found.update(zip(names, rows, strict=True))
    return found
