"""Texts to rows: the numbers, the databases, new texts, files that hold no text."""

import json
import os
import re
import subprocess
import sys
import unicodedata

import numpy as np
import pytest
from sklearn.feature_extraction.text import CountVectorizer, TfidfTransformer
from text_samples import (
    THEMES,
    by_name,
    labels_by_name,
    plain_rows,
    read_all,
    said,  # noqa: F401
    texts,
    write_texts,
)

from dec.base.errors import DecError
from dec.data import leveldb
from dec.data.texts import text, textfiles, tfidf
from dec.data.texts.letters import unparted, words
from dec.data.texts.text import TextPreparation, build_leveldbs
from dec.data.texts.textfiles import Unusable, decode
from dec.data.texts.tfidf import Counting, EnglishStemmer, Representation


@pytest.fixture(autouse=True)
def _quiet(said):  # noqa: F811
    return said


@pytest.fixture
def source(tmp_path):
    return write_texts(tmp_path / "texts", texts(31))


def test_rows_are_the_formulas(source, tmp_path):
    paths = build_leveldbs(tmp_path / "data", source)
    documents = texts(31)
    _, wanted = plain_rows(list(documents.values()))
    rows = by_name(paths["text_total"])
    assert set(rows) == set(documents)
    for name, row in zip(documents, wanted, strict=True):
        np.testing.assert_allclose(rows[name], row, rtol=1e-6, atol=1e-7)
    assert np.mean(np.stack(list(rows.values())) ** 2) == pytest.approx(1, rel=1e-6)


@pytest.mark.parametrize("limit", [5, 17, 2000])
def test_like_scikit_learn(limit):
    documents = list(texts(50, seed=4).values())
    counting = Counting()
    for document in documents:
        counting.add(document)
    counts, stems = counting.most_frequent(limit)
    # Its choice among equally frequent words is arbitrary: take the words from ours.
    vectorizer = CountVectorizer(vocabulary=stems)
    theirs = vectorizer.fit_transform(map(" ".join, documents))
    assert (counts != theirs).nnz == 0
    everything = CountVectorizer().fit(map(" ".join, documents))
    totals = everything.transform(map(" ".join, documents)).sum(axis=0).A1
    assert counts.sum() == np.sort(totals)[::-1][:limit].sum()
    wanted = TfidfTransformer(sublinear_tf=True).fit_transform(theirs.astype(float))
    rows = Representation.fitted(counts, stems).rows(counts)
    np.testing.assert_allclose(
        rows, wanted.toarray() * np.sqrt(len(stems)), rtol=1e-6, atol=1e-7
    )


def test_ties_go_by_the_alphabet():
    counting = Counting()
    for document in (["d", "b"], ["c", "a"], ["e", "e"]):
        counting.add(document)
    assert counting.most_frequent(3)[1] == ["a", "b", "e"]


def test_in_pieces_as_at_once(monkeypatch):
    documents = list(texts(100, seed=2).values())
    results = []
    for size in (3, 100, 1000):
        monkeypatch.setattr(tfidf, "_DOCUMENTS", size)
        counting = Counting()
        for document in documents:
            counting.add(document)
        results.append(counting.most_frequent(20))
    whole, stems = results[-1]
    for counts, other in results:
        assert other == stems
        assert (counts != whole).nnz == 0
        assert counts.shape == whole.shape
        assert counts.has_sorted_indices
    representation = Representation.fitted(whole, stems)
    at_once = representation.rows(whole)
    monkeypatch.setattr(tfidf, "BLOCK", 7)
    order = np.random.default_rng(0).permutation(100)
    blocks = list(representation.blocks(whole, order))
    assert [len(block) for block in blocks] == [7] * 14 + [2]
    assert np.concatenate(blocks).tobytes() == at_once[order].tobytes()


def test_words():
    assert words("It's a DOG, isn't it? 42 dogs; x9 mother-in-law a_b") == (
        ["it", "dog", "isn", "it", "dogs", "mother", "in", "law"]
    )
    # Accents in two characters, ligatures, other alphabets.
    assert words("cafe\u0301 \ufb01re Привет") == ["caf\u00e9", "fire", "привет"]


@pytest.mark.parametrize(
    "whole",
    [
        "यह एक बहुत पुरानी मंदिर किताबें में हिन्दी विश्वविद्यालय",  # Hindi
        "বাংলাদেশ স্বাধীনতা গ্রন্থাগার",  # Bengali
        "தமிழ்நாடு புத்தகம் கோவில்",  # Tamil
        "മലയാളം പുസ്തകം ക്ഷേത്രം",  # Malayalam
        "العَرَبِيَّة كِتَابٌ مكتبة",  # Arabic, with vowels
        "שָׁלוֹם סֵפֶר",  # Hebrew, with points
        "ngôn ngữ tiếng việt đường",  # Vietnamese
        "привет книга",
        "σπίτι βιβλίο",
        "አማርኛ መጽሐፍ",  # Amharic
        "한국어 도서관",  # Korean
        "ᠮᠣᠩᠭᠣᠯ",  # Mongolian
        "n\u0308o e\u0301te\u0301 x\u0331a",  # accents apart, with and without a letter
    ],
)
def test_words_of_every_script_are_whole(whole):
    for form in ("NFC", "NFD"):
        found = words(unicodedata.normalize(form, whole))
        assert found == unicodedata.normalize("NFKC", whole).split()


def test_joiners_are_inside_words():
    persian = "می\u200cخواهم کتاب\u200cها"
    assert words(persian) == [word.replace("\u200c", "") for word in persian.split()]
    assert words("क्\u200dष लिखा") == ["क्ष", "लिखा"]


def test_words_of_western_languages_are_as_they_were():
    pattern = re.compile(r"[^\W\d_]{2,}")
    rng = np.random.default_rng(0)
    letters = [*map(chr, range(32, 0x2B0)), *"’“”–—…€™ﬁﬂ™️❤️️☎️"]
    for _ in range(300):
        text = "".join(rng.choice(letters, 80))
        for form in ("NFC", "NFD"):
            text = unicodedata.normalize(form, text)
            if form == "NFD":  # accents that no letter has are another matter
                text = unicodedata.normalize("NFKC", text)
            plain = unicodedata.normalize("NFKC", text).lower()
            if "i\u0307" not in plain:  # of a Turkish capital
                assert words(text) == pattern.findall(plain)


@pytest.mark.parametrize(
    "gapless",
    ["这是一个很长的句子", "これは本です", "นี่คือหนังสือ", "ဒါကစာအုပ်", "នេះជាសៀវភៅ"],
)
def test_texts_without_gaps_between_words(gapless):
    assert unparted(gapless) and unparted(f"{gapless} in 2019")
    assert not unparted(f"A sentence about something else ({gapless}) at length")


@pytest.mark.parametrize(
    "parted", ["a book", "यह एक किताब", "한국어 도서관", "2019", ""]
)
def test_texts_with_gaps(parted):
    assert not unparted(parted)


def test_stems_of_other_scripts_are_the_words():
    hindi = words("किताबें विश्वविद्यालय में")
    assert [EnglishStemmer()(word) for word in hindi] == hindi


def test_texts_without_gaps_are_counted_and_said(tmp_path, said):  # noqa: F811
    source = write_texts(tmp_path / "texts", texts(12))
    for number in range(7):
        (source / f"garden/zh{number}.txt").write_text("这是一个很长的句子，关于花园。")
    known = preparation(build_leveldbs(tmp_path / "data", source)["text_total"])
    warning = f"{textfiles.UNPARTED}: garden/zh0.txt, "
    assert said.getvalue().count(warning) == 1
    assert "zh4.txt and 2 more" in said.getvalue()
    read_all(known, source / "garden/zh1.txt")
    assert f"{textfiles.UNPARTED}: {source / 'garden/zh1.txt'}" in said.getvalue()


@pytest.mark.parametrize(
    ("word", "stem"),
    [  # examples in Porter's paper
        ("caresses", "caress"),
        ("ponies", "poni"),
        ("relational", "relat"),
        ("hopefulness", "hope"),
        ("controlling", "control"),
        ("system", "system"),
        ("interest", "interest"),
        ("however", None),
        ("doesn", None),
        ("doing", None),
        ("x" * 41, None),
    ],
)
def test_stems(word, stem):
    assert EnglishStemmer()(word) == stem


def test_databases(source, tmp_path, said):  # noqa: F811
    paths = build_leveldbs(tmp_path / "data", source)
    assert list(paths) == ["text_train", "text_test", "text_total"]
    meta = leveldb.read_meta(paths["text_total"])
    assert meta["kind"] == "text"
    assert meta["classes"] == sorted(THEMES)
    assert meta["folder"] == str(source)
    assert meta["rows"] == 31
    assert meta["shape"] == [len(sum(THEMES.values(), [])), 1, 1]
    names = leveldb.read_names(paths["text_total"])
    assert names != sorted(names)
    assert all((source / name).is_file() for name in names)
    assert leveldb.read_names(paths["text_train"]) == names
    assert leveldb.read_names(paths["text_test"]) == names[-6:]
    for name, label in labels_by_name(paths["text_total"]).items():
        assert meta["classes"][label] == name.split("/")[0]
    assert "there are no 2,000 different stems" in said.getvalue()


def test_again(source, tmp_path, said):  # noqa: F811
    def content(folder):
        return {
            name: (folder / f"text_{name}" / "dec.json").read_bytes()
            + b"".join(r.tobytes() for r in by_name(folder / f"text_{name}").values())
            for name in ("train", "test", "total")
        }

    build_leveldbs(tmp_path / "one", source)
    build_leveldbs(tmp_path / "two", source)
    first = content(tmp_path / "one")
    assert content(tmp_path / "two") == first
    times = [os.stat(p).st_mtime_ns for p in (tmp_path / "one").glob("*/dec.json")]
    build_leveldbs(tmp_path / "one", source)
    assert "up to date" in said.getvalue()
    assert times == [
        os.stat(p).st_mtime_ns for p in (tmp_path / "one").glob("*/dec.json")
    ]
    # Another order; the same rows.
    build_leveldbs(tmp_path / "two", source, seed=2)
    totals = [by_name(tmp_path / folder / "text_total") for folder in ("one", "two")]
    assert list(totals[0]) != list(totals[1])
    assert all((totals[1][name] == row).all() for name, row in totals[0].items())
    # A word more.
    with open(source / "garden/000.txt", "a") as file:
        file.write("trellis")
    build_leveldbs(tmp_path / "one", source)
    stems = leveldb.read_meta(tmp_path / "one/text_total")["text"]["stems"]
    assert "trelli" in stems


def test_without_classes(tmp_path):
    source = write_texts(tmp_path / "texts", texts(9))
    (source / "readme.txt").write_text("bread and salt")
    paths = build_leveldbs(tmp_path / "data", source, name="mine")
    assert list(paths) == ["mine_train", "mine_test", "mine_total"]
    assert "classes" not in leveldb.read_meta(paths["mine_total"])
    assert set(labels_by_name(paths["mine_total"]).values()) == {-1}


def preparation(database):
    """As a run has it: from facts that went through JSON."""
    meta = leveldb.read_meta(database)
    facts = {name: meta[name] for name in ("shape", "kind", "text")}
    return TextPreparation(json.loads(json.dumps(facts)))


def test_new_texts_as_in_training(source, tmp_path, monkeypatch):
    paths = build_leveldbs(tmp_path / "data", source)
    known = preparation(paths["text_total"])
    assert known.shape == leveldb.open_reader(paths["text_total"]).shape
    trained = by_name(paths["text_total"])
    monkeypatch.setattr(text, "BLOCK", 4)
    new = read_all(known, source)
    assert len(new) == len(trained)
    for name, row in trained.items():
        assert new[str(source / name)].tobytes() == row.tobytes()
        (one,) = read_all(known, source / name).items()
        assert one[0] == str(source / name)
        assert one[1].tobytes() == row.tobytes()


def test_words_the_run_does_not_know(source, tmp_path, said):  # noqa: F811
    paths = build_leveldbs(tmp_path / "data", source)
    known = preparation(paths["text_total"])
    strange = tmp_path / "strange.txt"
    strange.write_text("Zymurgy flummoxes quixotic")
    (row,) = read_all(known, strange).values()
    assert not row.any()
    assert "none of the run's words" in said.getvalue()
    assert "strange.txt" in said.getvalue()


def test_new_texts_that_are_none(source, tmp_path):
    known = preparation(build_leveldbs(tmp_path / "data", source)["text_total"])
    (tmp_path / "picture.png").write_bytes(b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR")
    with pytest.raises(DecError, match=r"picture\.png: binary"):
        list(known.read(tmp_path / "picture.png"))
    with pytest.raises(DecError, match=r"gone\.txt: cannot be read"):
        list(known.read(tmp_path / "gone.txt"))
    (tmp_path / "empty").mkdir()
    with pytest.raises(DecError, match="empty: there are no texts"):
        list(known.read(tmp_path / "empty"))


@pytest.mark.parametrize("damage", ["frequency", "stems", "format", "shape"])
def test_damaged_facts(source, tmp_path, damage):
    meta = leveldb.read_meta(build_leveldbs(tmp_path / "d", source)["text_total"])
    if damage == "shape":
        meta["shape"] = [7, 1, 1]
    elif damage == "format":
        meta["text"]["format"] = "punch cards"
    else:
        del meta["text"][damage]
    with pytest.raises(DecError, match="stems|not known"):
        TextPreparation(meta)


def test_encodings():
    text = "Café naïve – “quoted”\n"
    assert decode(text.encode()) == (text, "utf-8-sig")
    assert decode(b"\xef\xbb\xbf" + text.encode()) == (text, "utf-8-sig")
    assert decode(text.encode("utf-16")) == (text, "utf-16")
    assert decode(text.encode("utf-32")) == (text, "utf-32")
    assert decode(text.encode("cp1252")) == (text, "cp1252")
    # Bells and other controls are rare but right in old messages.
    assert decode(b"^B \x02\x02\x02")[1] == "utf-8-sig"


@pytest.mark.parametrize(
    ("raw", "why"),
    [
        (b"", "empty"),
        (b" \n\t", "empty"),
        (b"\xef\xbb\xbf", "empty"),
        (b"MZ\0\0", "binary"),
        (bytes(range(1, 256)), "binary"),
        (b"%PDF-1.7\n1 0 obj", "PDF"),
        (b"{\\rtf1 hello}", "RTF"),
        (b"\xff\xfea\0b", "damaged UTF-16"),
    ],
)
def test_no_text(raw, why):
    with pytest.raises(Unusable, match=why):
        decode(raw)


def test_bad_files_among_good_ones(tmp_path, said, monkeypatch):  # noqa: F811
    monkeypatch.setattr(textfiles, "MAX_BYTES", 5000)
    documents = texts(12)
    source = write_texts(tmp_path / "texts", documents)
    garden = source / "garden"
    (garden / "empty.txt").touch()
    (garden / "image.png").write_bytes(b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR")
    (garden / "latin.txt").write_bytes("soil jardín".encode("latin-1"))
    (garden / "the.txt").write_text("the and of")
    (garden / "huge.txt").write_text("soil " * 1001)
    (garden / "dangling.txt").symlink_to("nowhere")
    (garden / ".hidden").write_text("soil")
    os.mkfifo(garden / "pipe")
    odd = os.fsdecode(b"odd\xff.txt")
    (garden / odd).write_text("soil moss")
    unreadable = garden / "secret.txt"
    unreadable.write_text("soil")
    unreadable.chmod(0)
    paths = build_leveldbs(tmp_path / "data", source)
    names = set(leveldb.read_names(paths["text_total"]))
    wanted = {*documents, "garden/latin.txt", f"garden/{odd}"}
    if os.geteuid() == 0:  # who may read all
        wanted.add("garden/secret.txt")
    else:
        assert "left out (cannot be read: Permission denied)" in said.getvalue()
    assert names == wanted
    for line in (
        "left out (empty): garden/empty.txt",
        "left out (binary): garden/image.png",
        "left out (not a file): garden/pipe",
        "left out (larger than 0 MB): garden/huge.txt",
        "left out (cannot be read: No such file or directory): garden/dangling.txt",
        "left out (none of the stems in it): garden/the.txt",
        "not UTF-8, read as Windows-1252: garden/latin.txt",
    ):
        assert line in said.getvalue()
    new = read_all(preparation(paths["text_total"]), source)
    for name, row in by_name(paths["text_total"]).items():
        assert new[str(source / name)].tobytes() == row.tobytes()
    assert not new[str(source / "garden/the.txt")].any()


def test_many_troubles_are_counted(tmp_path, said):  # noqa: F811
    source = write_texts(tmp_path / "texts", texts(6))
    for number in range(40):
        (source / f"{number:02d}.txt").touch()
    build_leveldbs(tmp_path / "data", source)
    assert "04.txt and 35 more" in said.getvalue()


@pytest.mark.parametrize(
    ("files", "words"),
    [
        ({}, "there are no files in it"),
        ({"a/one.txt": ["bread"]}, "1 usable documents; at least two"),
        ({"a.txt": ["the"], "b.txt": ["of", "and"]}, "0 usable documents"),
        ({"a.txt": [], "b.txt": []}, "0 usable documents"),
    ],
)
def test_too_little(tmp_path, files, words):
    source = write_texts(tmp_path / "texts", files)
    source.mkdir(exist_ok=True)
    data = tmp_path / "data"
    build_leveldbs(data, write_texts(tmp_path / "good", texts(6)))
    before = by_name(data / "text_total")
    with pytest.raises(DecError, match=words):
        build_leveldbs(data, source)
    after = by_name(data / "text_total")
    assert list(after) == list(before)
    assert not list(data.glob("*.partial-*"))


def test_no_folder(tmp_path):
    with pytest.raises(DecError, match="No such file"):
        build_leveldbs(tmp_path, tmp_path / "gone")
    (tmp_path / "file.txt").write_text("bread")
    with pytest.raises(DecError, match="not a folder"):
        build_leveldbs(tmp_path, tmp_path / "file.txt")
    with pytest.raises(DecError, match="name the folder"):
        build_leveldbs(tmp_path)


def test_the_order_of_sets_does_not_matter(source, tmp_path):
    build_leveldbs(tmp_path / "here", source)
    code = (
        "import sys; from dec.data.texts.text import build_leveldbs; "
        "build_leveldbs(sys.argv[1], sys.argv[2])"
    )
    subprocess.run(
        [sys.executable, "-c", code, tmp_path / "there", source],
        env={**os.environ, "PYTHONHASHSEED": "1"},
        check=True,
        capture_output=True,
    )
    here, there = (by_name(tmp_path / at / "text_total") for at in ("here", "there"))
    assert list(here) == list(there)
    assert all(here[name].tobytes() == there[name].tobytes() for name in here)
