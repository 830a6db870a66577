"""The review and `dec loop` take turns on the same tables."""

from pathlib import Path

import pytest
from review_samples import photo_run

from dec.base.errors import DecError
from dec.base.files import own_folder
from dec.base.tables import read_pairs, write_table
from dec.classify import loop
from dec.classify.clusters import read_clusters
from dec.review import book as module_book
from dec.review.book import Book, read_state
from dec.review.items import find_items

NAMES = [f"{i}.jpg" for i in range(12)]


@pytest.fixture
def run(tmp_path) -> Path:
    (tmp_path / "photos").mkdir()
    for name in NAMES:
        (tmp_path / "photos" / name).write_bytes(name.encode())
    return photo_run(tmp_path, tmp_path / "photos", 3)


@pytest.fixture(autouse=True)
def no_pause(monkeypatch):
    monkeypatch.setattr(module_book, "_PAUSE", -1.0)


@pytest.fixture
def book(run):
    book = Book(find_items(run))
    yield book
    book.close()


def tables(root: Path) -> tuple[dict, dict]:
    """Classes of clusters, and answers, as the shell has them."""
    named = read_pairs(root / "clusters.csv", "cluster", "class")
    said = read_pairs(root / "answers.csv", "file", "class")
    return ({c: x for c, (_, x) in named.items()}, {n: x for n, (_, x) in said.items()})


def labels(root: Path) -> dict[str, str]:
    """The class of every photo, as a round would take them."""
    _, clusters = loop._facts(root)
    return loop._labels(root, clusters, loop._answers(root, set(clusters)))


def test_a_round_takes_what_the_page_has(book):
    root = book.items.root
    members = {c: book.state.members(c) for c in ("0", "1")}
    book.do({"do": "name", "cluster": "0", "class": "a"})
    book.do({"do": "name", "cluster": "1", "class": "b"})
    first, second = (NAMES[i] for i in members["0"][:2])
    book.do({"do": "mark", "items": [first], "class": "b"})
    book.do({"do": "mark", "items": [second], "class": "-"})
    book.write()
    assert tables(root) == ({"0": "a", "1": "b"}, {first: "b", second: "-"})
    expected = {NAMES[i]: "a" for i in members["0"]}
    expected |= {NAMES[i]: "b" for i in members["1"]} | {first: "b"}
    del expected[second]
    assert labels(root) == expected


def test_parts_and_merged_clusters_are_the_loops_too(book):
    root = book.items.root
    for cluster, label in (("0", "a"), ("1", "b")):
        book.do({"do": "name", "cluster": cluster, "class": label})
    part = [NAMES[i] for i in book.state.members("0")[:2]]
    book.do({"do": "split", "cluster": "0", "items": part, "into": "0-2"})
    book.do({"do": "name", "cluster": "0-2", "class": "c"})
    book.write()
    found = labels(root)
    assert {found[name] for name in part} == {"c"}
    assert len(read_clusters(root / "members.csv")) == len(NAMES)
    book.close()
    # Opened again, all can still be undone.
    again = Book(find_items(root))
    assert again.state.members("0-2")
    for _ in range(4):
        again.do({"do": "undo"})
    again.write()
    assert set(read_clusters(root / "members.csv").values()) == {"0", "1"}
    book._journal = again._journal  # closed by the fixture


def test_what_the_shell_says_becomes_an_answer(book, run):
    root = book.items.root
    book.do({"do": "mark", "items": NAMES[:1], "class": "a"})
    book.write()
    write_table(root / "clusters.csv", [("cluster", "class"), ("0", "a"), ("1", "b")])
    write_table(
        root / "review.csv",
        [("file", "guess", "probability", "class"),
         (NAMES[1], "a", "0.5", "-"), (NAMES[2], "b", "0.5", "")],
    )  # fmt: skip
    assert len(book.keep_in_step()) == 3
    assert book.state.name == {"0": "a", "1": "b"}
    assert book.state.answers() == {NAMES[0]: "a", NAMES[1]: "-"}
    # And can be undone; the table that the shell has written follows.
    book.do({"do": "undo"})
    assert book.keep_in_step() == []
    listed = read_pairs(root / "review.csv", "file", "class")
    assert {name: word for name, (_, word) in listed.items()} == {
        NAMES[1]: "", NAMES[2]: ""
    }  # fmt: skip
    labels(root)  # no contradictions


def test_tables_older_than_the_journal_take_nothing_back(book, run):
    root = book.items.root
    book.do({"do": "mark", "items": NAMES[:2], "class": "a"})
    book.write()
    # A kill before the tables are written.
    book.do({"do": "mark", "items": NAMES[:1], "class": "b"})
    book._journal.close()
    again = Book(find_items(run))
    assert again.state.answers() == {NAMES[0]: "b", NAMES[1]: "a"}
    assert again.number == 2
    assert tables(root)[1] == {NAMES[0]: "b", NAMES[1]: "a"}
    book._journal = again._journal


def test_a_kill_between_two_tables(book, run, monkeypatch):
    from dec.review import tables as module

    book.do({"do": "name", "cluster": "0", "class": "a"})
    book.do({"do": "mark", "items": NAMES[:1], "class": "a"})
    book.write()
    book.do({"do": "name", "cluster": "0", "class": "b"})
    book.do({"do": "mark", "items": NAMES[:1], "class": "b"})
    write = module.write_table

    def killed(path, rows):
        if path.name == "answers.csv":
            raise KeyboardInterrupt
        write(path, rows)

    monkeypatch.setattr(module, "write_table", killed)
    with pytest.raises(KeyboardInterrupt):
        book.write()
    monkeypatch.undo()
    book.do({"do": "name", "cluster": "0", "class": "c"})
    book._journal.close()
    again = Book(find_items(run))
    assert again.state.name == {"0": "c"} and again.state.answers() == {NAMES[0]: "b"}
    assert again.number == 5  # nothing was taken for somebody else's
    book._journal = again._journal


def test_tables_are_left_alone_while_a_round_is_at_work(book):
    root = book.items.root
    with own_folder(root, "dec loop next"):
        book.do({"do": "name", "cluster": "0", "class": "a"})
        book.keep_in_step()
        assert tables(root)[0]["0"] == "" and book.trouble == "" and book.busy()
    book.keep_in_step()
    assert tables(root)[0]["0"] == "a"


def test_tables_without_sense_are_named_and_kept(book):
    root = book.items.root
    content = "file,class\na.jpg,x\na.jpg,y\n"
    (root / "answers.csv").write_text(content)
    book.do({"do": "name", "cluster": "0", "class": "a"})
    book.keep_in_step()
    assert "answers.csv:3" in book.trouble
    assert (root / "answers.csv").read_text() == content
    (root / "answers.csv").write_text("file,class\n")
    book.keep_in_step()
    assert book.trouble == "" and tables(root)[0]["0"] == "a"


def test_one_process_has_a_review(book, run):
    with pytest.raises(DecError, match="another `dec review`"):
        Book(find_items(run))
    book.do({"do": "name", "cluster": "0", "class": "a"})
    assert read_state(find_items(run)).name == {"0": "a"}  # others may look


def test_a_full_disk_loses_nothing_that_was_confirmed(book, monkeypatch):
    from dec.review import tables as module

    book.do({"do": "name", "cluster": "0", "class": "a"})

    def full(path, rows):
        raise DecError(f"{path}: cannot be written: No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(module, "write_table", full)
        book.keep_in_step()
    assert "No space left" in book.trouble
    book.keep_in_step()
    assert book.trouble == "" and tables(book.items.root)[0]["0"] == "a"
