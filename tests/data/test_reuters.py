"""REUTERS from files in RCV1-v2's format."""

import gzip
import json
from collections import Counter

import numpy as np
import pytest
from sklearn.feature_extraction.text import CountVectorizer, TfidfTransformer
from text_samples import (
    by_name,
    labels_by_name,
    read_all,
    said,  # noqa: F401
    texts,
)

from dec.base.errors import DecError
from dec.data import leveldb
from dec.data.texts import reuters
from dec.data.texts.reuters import QRELS, ROOTS, TOKENS, build_leveldbs
from dec.data.texts.text import TextPreparation


@pytest.fixture(autouse=True)
def _quiet(said):  # noqa: F811
    return said


@pytest.fixture
def rcv1(tmp_path):
    """50 documents in five files; numbers 2286..2335, every 10th of two roots."""
    folder = tmp_path / "rcv1"
    folder.mkdir()
    documents = dict(enumerate(texts(50, seed=7).values(), 2286))
    lines = []
    for number in documents:
        lines.append(f"C15 {number} 1")
        lines.append(f"{ROOTS[number % 4]} {number} 1")
        if number % 10 == 0:
            lines.append(f"{ROOTS[(number + 1) % 4]} {number} 1")
    (folder / QRELS).write_text("\n".join(lines) + "\n")
    numbers = list(documents)
    for i, name in enumerate(TOKENS):
        with open(folder / name, "w") as file:
            for number in numbers[10 * i : 10 * i + 10]:
                words = documents[number]
                file.write(f".I {number}\n.W\n")
                file.write(" ".join(words[:5]) + "\n" + " ".join(words[5:]) + "\n\n")
    return folder


def one_rooted():
    documents = dict(enumerate(texts(50, seed=7).values(), 2286))
    return {number: words for number, words in documents.items() if number % 10}


def test_rows(rcv1, tmp_path, said):  # noqa: F811
    paths = build_leveldbs(tmp_path / "data", rcv1)
    assert list(paths) == ["reuters_train", "reuters_test", "reuters_total"]
    documents = one_rooted()
    # As the authors of the paper did it, on all at once.
    counts = CountVectorizer(max_features=2000, dtype=np.float64).fit_transform(
        map(" ".join, documents.values())
    )
    wanted = TfidfTransformer(norm="l2", sublinear_tf=True).fit_transform(counts)
    wanted = wanted.toarray() * np.sqrt(counts.shape[1])
    rows = by_name(paths["reuters_total"])
    assert set(rows) == set(map(str, documents))
    for number, row in zip(documents, wanted, strict=True):
        np.testing.assert_allclose(rows[str(number)], row, rtol=1e-6, atol=1e-7)
    labels = labels_by_name(paths["reuters_total"])
    assert all(label == int(name) % 4 for name, label in labels.items())
    meta = leveldb.read_meta(paths["reuters_total"])
    assert meta["classes"] == list(ROOTS)
    names = list(rows)
    assert names != sorted(names)
    assert leveldb.read_names(paths["reuters_train"]) == names
    assert leveldb.read_names(paths["reuters_test"]) == names[-9:]
    assert (
        "45 documents have exactly one of CCAT, GCAT, MCAT, ECAT; the whole of RCV1-v2 "
        "has 685,071" in said.getvalue()
    )


def test_packed(rcv1, tmp_path):
    plain = by_name(build_leveldbs(tmp_path / "one", rcv1)["reuters_total"])
    for path in list(rcv1.iterdir()):
        packed = path.with_name(path.name + ".gz")
        packed.write_bytes(gzip.compress(path.read_bytes()))
        path.unlink()
    again = by_name(build_leveldbs(tmp_path / "two", rcv1)["reuters_total"])
    assert list(again) == list(plain)
    assert all(again[name].tobytes() == row.tobytes() for name, row in plain.items())


def test_first_rows(rcv1, tmp_path, monkeypatch):
    monkeypatch.setitem(reuters.NAMES, "reuters10k", 20)
    whole = by_name(build_leveldbs(tmp_path, rcv1)["reuters_total"])
    paths = build_leveldbs(tmp_path, rcv1, name="reuters10k")
    first = by_name(paths["reuters10k_total"])
    assert list(first) == list(whole)[:20]
    assert all(row.tobytes() == whole[name].tobytes() for name, row in first.items())
    assert leveldb.read_names(paths["reuters10k_test"]) == list(first)[-4:]
    with pytest.raises(DecError, match="RCV1 makes reuters and reuters10k"):
        build_leveldbs(tmp_path, rcv1, name="reuters1k")


def test_counts_are_right_when_they_are(rcv1, tmp_path, said, monkeypatch):  # noqa: F811
    monkeypatch.setattr(reuters, "DOCUMENTS", 45)
    build_leveldbs(tmp_path, rcv1)
    assert "the whole of RCV1-v2" not in said.getvalue()


def test_again(rcv1, tmp_path, said):  # noqa: F811
    paths = build_leveldbs(tmp_path, rcv1)
    before = (paths["reuters_total"] / "dec.json").stat().st_mtime_ns
    build_leveldbs(tmp_path, rcv1)
    assert said.getvalue().count("up to date") == 3
    assert (paths["reuters_total"] / "dec.json").stat().st_mtime_ns == before
    (rcv1 / QRELS).write_text((rcv1 / QRELS).read_text() + "E11 2286 1\n")
    build_leveldbs(tmp_path, rcv1)
    assert (paths["reuters_total"] / "dec.json").stat().st_mtime_ns != before


def test_new_documents(rcv1, tmp_path):
    total = build_leveldbs(tmp_path / "data", rcv1)["reuters_total"]
    facts = json.loads(json.dumps(leveldb.read_meta(total)))
    known = TextPreparation(facts)
    trained = by_name(total)
    new = {}
    for path in (rcv1 / name for name in TOKENS):
        found = read_all(known, path)
        assert len(found) == 10  # of any roots
        new |= {name.rpartition(":")[2]: row for name, row in found.items()}
    for name, row in trained.items():
        assert new[name].tobytes() == row.tobytes()
    # A text as people write it: stemmed here, which the tokens are already.
    words = one_rooted()[2287]
    plain = tmp_path / "plain.txt"
    plain.write_text("The " + ", ".join(word.title() for word in words) + ".")
    (row,) = read_all(known, plain).values()
    assert row.tobytes() == new["2287"].tobytes()


def test_documents_without_stems_stay(rcv1, tmp_path, said):  # noqa: F811
    path = rcv1 / TOKENS[4]
    path.write_text(path.read_text() + ".I 9001\n.W\n\n")
    with open(rcv1 / QRELS, "a") as file:
        file.write("ECAT 9001 1\n")
    total = build_leveldbs(tmp_path, rcv1)["reuters_total"]
    assert not by_name(total)["9001"].any()
    assert labels_by_name(total)["9001"] == ROOTS.index("ECAT")
    assert "1 documents have none of the stems: rows of zeros" in said.getvalue()


def test_files_that_do_not_fit(rcv1, tmp_path, said):  # noqa: F811
    lines = (rcv1 / QRELS).read_text().splitlines()
    lines = [line for line in lines if " 2291 " not in line]  # one too few ...
    lines += ["GCAT 7777 1", "MCAT 7778 1"]  # ... and two too many
    (rcv1 / QRELS).write_text("\n".join(lines))
    total = build_leveldbs(tmp_path, rcv1)["reuters_total"]
    assert "2291" not in leveldb.read_names(total)
    assert f"1 documents are not in {QRELS}: left out" in said.getvalue()
    assert f"2 documents of {QRELS} are not in the token" in said.getvalue()


def _replace(old, new):
    return lambda raw: raw.replace(old, new)


@pytest.mark.parametrize(
    ("name", "change", "words"),
    [
        (TOKENS[0], None, rf"no {TOKENS[0]} there"),
        (QRELS, None, f"no {QRELS} there"),
        (TOKENS[1], lambda raw: raw[:-300], "cut short, in the middle of a line"),
        (TOKENS[1], lambda raw: raw + b".I 5", "document 5 has no .W"),
        (TOKENS[1], lambda raw: b"", "no documents in it"),
        (TOKENS[1], _replace(b".I 2298", b".I x"), "pt1.dat:11: no document's number"),
        (TOKENS[1], _replace(b".I 2298\n", b""), "pt1.dat:11: .W without .I"),
        (TOKENS[1], _replace(b".I 2298", b".I 2299"), "document 2299 is there twice"),
        (TOKENS[1], _replace(b".I 2298", b".I 2286"), "document 2286 is there twice"),
        (TOKENS[1], lambda raw: b"<html>\n" + raw, "pt1.dat:1: no file of tokens"),
        (QRELS, _replace(b"C15 2287 1", b"C15 2287"), "qrels:3: not `topic document"),
        (QRELS, _replace(b"C15 2287 1", b"C15 x 1"), "qrels:3: not `topic document"),
        (QRELS, _replace(b"CAT", b"DOG"), "none of CCAT"),
        (QRELS, lambda raw: b"", "none of CCAT"),
    ],
)
def test_bad_files(rcv1, tmp_path, name, change, words):
    data = tmp_path / "data"
    total = build_leveldbs(data, rcv1)["reuters_total"]
    before = Counter(leveldb.read_names(total))
    path = rcv1 / name
    if change:
        path.write_bytes(change(path.read_bytes()))
    else:
        path.unlink()
    with pytest.raises(DecError, match=words):
        build_leveldbs(data, rcv1)
    assert Counter(leveldb.read_names(total)) == before


def test_cut_short_in_the_last_document(rcv1, tmp_path, said):  # noqa: F811
    path = rcv1 / TOKENS[2]
    path.write_bytes(path.read_bytes()[:-5])
    build_leveldbs(tmp_path, rcv1)
    assert f"{TOKENS[2]}: ends in the middle of a line" in said.getvalue()


def test_gzip_cut_short(rcv1, tmp_path):
    path = rcv1 / TOKENS[2]
    path.with_name(path.name + ".gz").write_bytes(gzip.compress(path.read_bytes())[:-9])
    path.unlink()
    with pytest.raises(DecError, match=rf"{TOKENS[2]}\.gz: cannot be read"):
        build_leveldbs(tmp_path, rcv1)


def test_no_source(tmp_path):
    with pytest.raises(DecError, match="name the folder"):
        build_leveldbs(tmp_path)
    with pytest.raises(DecError, match="All six files"):
        build_leveldbs(tmp_path, tmp_path / "gone")
