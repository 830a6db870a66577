"""20 Newsgroups and Reuters-21578: what is read of their files."""

import io
import json
import tarfile
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from real_data import real
from text_samples import (
    THEMES,
    by_name,
    labels_by_name,
    read_all,
    said,  # noqa: F401
    texts,
)

from dec.base.errors import DecError
from dec.data import leveldb
from dec.data.texts import newsgroups, reuters21578, textfiles
from dec.data.texts.text import TextPreparation


@pytest.fixture(autouse=True)
def _quiet(said):  # noqa: F811
    return said


def archive(folder: Path, path: Path) -> Path:
    with tarfile.open(path, "w:xz") as tar:
        for child in sorted(folder.iterdir(), reverse=True):
            tar.add(child, f"./{child.name}")
    return path


def preparation(database):
    meta = json.loads(json.dumps(leveldb.read_meta(database)))
    return TextPreparation({name: meta[name] for name in ("shape", "kind", "text")})


@pytest.fixture
def news(tmp_path):
    folder = tmp_path / "news"
    for i, (name, words) in enumerate(texts(30).items()):
        group, number = name.removesuffix(".txt").split("/")
        split = "test" if i % 3 == 0 and i else "train"
        path = folder / f"20news-bydate-{split}" / f"rec.{group}" / number
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(
            f"From: someone@example.org (rec.{group})\nSubject: Re: {words[0]}\n"
            f"Organization: {group}\n\n{' '.join(words[1:])}\n"
        )
    return folder


def test_message():
    text = (
        "From: ann@example.org\nSubject: Re: red\n  kites\nOrganization: Kite Club\n"
        "Lines: 2\n\nThey fly.\n\n> Do they?\n-- \nAnn\n"
    )
    assert newsgroups.message(text) == (
        " Re: red\n  kites\nThey fly.\n\n> Do they?\n-- \nAnn\n"
    )
    assert newsgroups.message(text.replace("\n", "\r\n")).split() == (
        newsgroups.message(text).split()
    )
    assert newsgroups.message("From: me\nLines: 0\n") == "\n"
    # A text of a user's, with an empty line in it, is no message.
    plain = "Note: kites\n\nThey fly.\nSubject: none"
    assert newsgroups.message(plain) == plain


def test_news(news, tmp_path, said):  # noqa: F811
    paths = newsgroups.build_leveldbs(tmp_path / "data", news)
    rows = {part: by_name(paths[f"20news_{part}"]) for part in ("train", "test")}
    for part, found in rows.items():
        assert all(name.startswith(f"20news-bydate-{part}/") for name in found)
    assert len(rows["train"]) + len(rows["test"]) == 30
    total = leveldb.read_names(paths["20news_total"])
    assert total == [*rows["train"], *rows["test"]]
    meta = leveldb.read_meta(paths["20news_total"])
    assert meta["classes"] == sorted(f"rec.{theme}" for theme in THEMES)
    assert meta["folder"] == str(news)
    for name, label in labels_by_name(paths["20news_total"]).items():
        assert meta["classes"][label] in name
    # Neither hosts nor organisations nor the group's name.
    words = {"someon", "exampl", "org", "rec", "organ", *THEMES} - {"plant"}
    assert not words & set(meta["text"]["stems"])
    assert "8 messages" in said.getvalue() or "9 messages" in said.getvalue()


def test_news_packed_and_not(news, tmp_path):
    packed = archive(news, tmp_path / "news.tar.xz")
    one = newsgroups.build_leveldbs(tmp_path / "one", news)["20news_total"]
    two = newsgroups.build_leveldbs(tmp_path / "two", packed)["20news_total"]
    assert "folder" not in leveldb.read_meta(two)
    unpacked, out_of_tar = by_name(one), by_name(two)
    assert list(unpacked) == list(out_of_tar)
    assert all((out_of_tar[name] == row).all() for name, row in unpacked.items())
    new = read_all(preparation(two), news)
    assert len(new) == 30
    for name, row in unpacked.items():
        assert new[str(news / name)].tobytes() == row.tobytes()


def test_news_bad_sources(news, tmp_path):
    data = tmp_path / "data"
    with pytest.raises(DecError, match="name its archive"):
        newsgroups.build_leveldbs(data)
    with pytest.raises(DecError, match="no such file or folder"):
        newsgroups.build_leveldbs(data, tmp_path / "gone")
    with pytest.raises(DecError, match="no messages there"):
        newsgroups.build_leveldbs(data, news / "20news-bydate-train/rec.garden")
    (tmp_path / "note.txt").write_text("no archive")
    with pytest.raises(DecError, match="cannot be read as a tar archive"):
        newsgroups.build_leveldbs(data, tmp_path / "note.txt")
    packed = archive(news, tmp_path / "news.tar.xz")
    packed.write_bytes(packed.read_bytes()[:-700])
    with pytest.raises(DecError, match="cannot be read as a tar archive"):
        newsgroups.build_leveldbs(data, packed)
    (news / "20news-bydate-test").rename(news / "elsewhere")
    with pytest.raises(DecError, match="no messages in 20news-bydate-test"):
        newsgroups.build_leveldbs(data, news)
    assert not data.exists() or not list(data.iterdir())


def story(number: int, topics: list[str], title: str, body: str | None) -> str:
    entries = "".join(f"<D>{topic}</D>" for topic in topics)
    signed = f"{body}\n REUTER\n&#3;" if body and body.strip() else body
    inside = "" if body is None else f"<BODY>{signed}</BODY>"
    return (
        f'<REUTERS TOPICS="YES" LEWISSPLIT="TRAIN" OLDID="1" NEWID="{number}">\n'
        f"<DATE> 1-MAR-1987</DATE>\n<TOPICS>{entries}</TOPICS>\n<PLACES><D>usa</D>"
        f"</PLACES>\n<TEXT>&#2;\n<TITLE>{title}</TITLE>\n<DATELINE>SALEM</DATELINE>"
        f"{inside}</TEXT>\n</REUTERS>\n"
    )


@pytest.fixture
def wire(tmp_path):
    """Two files: 18 stories of three topics (9, 6, 3), and some that do not count."""
    folder = tmp_path / "wire"
    folder.mkdir()
    documents = list(texts(18).values())
    topics = ["grain"] * 9 + ["ship"] * 6 + ["tin"] * 3
    lines = [
        story(i + 1, [topic], f"{words[0].upper()} &lt;ABC>", " ".join(words[1:]))
        for i, (topic, words) in enumerate(zip(topics, documents, strict=True))
    ]
    lines += [
        story(19, ["grain", "ship"], "TWO", "bread salt"),
        story(20, [], "NONE", "bread salt"),
        story(21, ["grain"], "NO BODY", None),
        story(22, ["grain"], "NOTHING IN IT", " "),
    ]
    head = '<!DOCTYPE lewis SYSTEM "lewis.dtd">\n'
    (folder / "reut2-000.sgm").write_text(head + "".join(lines[:10]))
    (folder / "reut2-001.sgm").write_bytes(
        (head + "".join(lines[10:])).encode() + b"\xfc\n"
    )
    return folder


def test_story(wire):
    first = next(reuters21578.stories((wire / "reut2-000.sgm").read_bytes(), "x"))
    words = next(iter(texts(1).values()))
    assert first.number == "1"
    assert first.topics == ["grain"]  # not the place
    assert first.text == f"{words[0].upper()} <ABC>\n{' '.join(words[1:])}"
    assert first.body


@pytest.mark.parametrize(("topics", "rows"), [(0, 18), (10, 18), (2, 15), (1, 9)])
def test_wire(wire, tmp_path, said, topics, rows):  # noqa: F811
    paths = reuters21578.build_leveldbs(tmp_path / "data", wire, topics=topics)
    total = paths["reuters21578_total"]
    meta = leveldb.read_meta(total)
    assert meta["classes"] == ["grain", "ship", "tin"][: topics or 3]
    labels = labels_by_name(total)
    assert Counter(labels.values()) == dict(enumerate([9, 6, 3][: topics or 3]))
    assert labels["reut2-000.sgm:1"] == 0
    assert meta["rows"] == rows
    assert f"18 stories with one topic and a body; {rows} of them" in said.getvalue()
    assert not {"reuter", "salem", "usa"} & set(meta["text"]["stems"])
    test = leveldb.read_names(paths["reuters21578_test"])
    assert test == leveldb.read_names(total)[-(rows // 5) :]
    assert leveldb.read_names(paths["reuters21578_train"]) == list(labels)


def test_wire_new_stories(wire, tmp_path):
    total = reuters21578.build_leveldbs(
        tmp_path / "data", archive(wire, tmp_path / "wire.tar.xz")
    )["reuters21578_total"]
    known = preparation(total)
    new = read_all(known, wire)
    for name, row in by_name(total).items():
        assert new[str(wire / name)].tobytes() == row.tobytes()
    # The ones of two topics or none, but none without a body.
    assert len(new) == 20
    words = texts(1)["garden/000.txt"]
    (tmp_path / "plain.txt").write_text(f"{words[0]} <ABC>\n{' '.join(words[1:])}")
    (row,) = read_all(known, tmp_path / "plain.txt").values()
    assert row.tobytes() == new[str(wire / "reut2-000.sgm:1")].tobytes()


def test_wire_bad_sources(wire, tmp_path):
    data = tmp_path / "data"
    with pytest.raises(DecError, match="name its archive"):
        reuters21578.build_leveldbs(data)
    with pytest.raises(DecError, match="whole number"):
        reuters21578.build_leveldbs(data, wire, topics=-1)
    (tmp_path / "empty").mkdir()
    with pytest.raises(DecError, match=r"no \.sgm files there"):
        reuters21578.build_leveldbs(data, tmp_path / "empty")
    good = (wire / "reut2-001.sgm").read_text("latin-1")
    for damage, words in (
        (good + story(3, ["grain"], "AGAIN", "salt"), "story 3 is in reut2-000.sgm"),
        (good[:-40], r"reut2-001\.sgm: cut short: its last story, 12"),
        (good.replace(' NEWID="15"', ""), "story 5 of the file is damaged"),
        (good.replace("</REUTERS>", "", 1), "story 1 of the file is damaged"),
        ("no story", "no stories"),
    ):
        (wire / "reut2-001.sgm").write_text(damage, "latin-1")
        with pytest.raises(DecError, match=words):
            reuters21578.build_leveldbs(data, wire)
    assert not data.exists() or not list(data.iterdir())


def test_tar_members_that_are_no_files(tmp_path):
    path = tmp_path / "odd.tar"
    with tarfile.open(path, "w") as tar:
        link = tarfile.TarInfo("reut2-000.sgm")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        tar.addfile(link)
        info = tarfile.TarInfo("../reut2-001.sgm")
        info.size = 3
        tar.addfile(info, io.BytesIO(b"abc"))
    found = textfiles.load(path, lambda name: name.endswith(".sgm"))
    assert found == {"../reut2-001.sgm": b"abc"}  # read, never written anywhere


@pytest.mark.real
def test_real_news():
    files = textfiles.load(
        real("text", "20news-bydate.tar.xz"), newsgroups._FILE.fullmatch
    )
    splits = Counter(name.split("/")[0].rpartition("-")[2] for name in files)
    assert splits == newsgroups.DOCUMENTS
    assert len({name.split("/")[1] for name in files}) == 20
    shortened = 0
    for raw in files.values():
        text, _ = textfiles.decode(raw)
        inside = newsgroups.message(text)
        shortened += len(inside) < len(text)
    assert shortened == sum(newsgroups.DOCUMENTS.values())


@pytest.mark.real
def test_real_wire(tmp_path):
    paths = reuters21578.build_leveldbs(
        tmp_path, real("text", "reuters21578_sgm.tar.xz"), topics=0
    )
    with leveldb.open_reader(paths["reuters21578_total"]) as reader:
        rows, labels = reader.read()
    assert rows.shape == (8654, 2000)
    assert len(np.unique(labels)) == 65
    np.testing.assert_allclose(
        (rows.astype(np.float64) ** 2).mean(axis=1), 1, rtol=1e-5
    )
