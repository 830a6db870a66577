"""What can be reviewed, and what is said of what cannot."""

import json

import numpy as np
import pytest
from fake_run import fake_run
from finetune_samples import make_photos
from review_samples import photo_run

from dec.base.errors import DecError
from dec.base.tables import write_table
from dec.classify import loop
from dec.data import leveldb
from dec.review.book import Book, read_state
from dec.review.code import Code
from dec.review.items import find_items
from dec.review.pictures import Pictures
from dec.review.rounds import doubtful, read_guesses, worth
from dec.review.state import State
from dec.review.take_away import take_away


@pytest.fixture
def photos(tmp_path):
    return make_photos(tmp_path / "photos", 6)


@pytest.fixture
def run(tmp_path, photos):
    return photo_run(tmp_path, photos)


def test_a_run_of_dec(run, photos):
    items = find_items(run)
    assert len(items.names) == 18 and set(items.clusters) == {"0", "1", "2"}
    assert items.folder == photos and items.title == "fake"
    assert np.isfinite(items.confidence).all()
    # Its folder is the loop's, for `dec loop next` too.
    assert loop._facts(items.root)[0] == photos
    assert find_items(items.root).names == items.names


def test_a_loop_that_the_shell_has_begun(run, photos, tmp_path):
    loop.start(photos, run, tmp_path / "loop")
    items = find_items(tmp_path / "loop")
    assert len(items.names) == 18 and items.run == run
    Book(items).close()


def test_what_dec_classify_has_said(photos, tmp_path):
    rows = [(photos / n, n.split("/")[0], "0.9") for n in names(photos)]
    write_table(tmp_path / "said.csv", [("file", "class", "probability"), *rows])
    items = find_items(tmp_path / "said.csv")
    assert set(items.clusters) == {"across", "down", "round"}
    book = Book(items)
    assert book.state.class_of(0) == items.names[0].split("/")[0]
    part = [name for name in items.names if name.startswith("down")][:2]
    book.do({"do": "split", "cluster": "down", "into": "down-2", "items": part})
    book.close()
    again = find_items(tmp_path / "said.csv")
    assert again.clusters == items.clusters
    with pytest.raises(DecError, match="need a run of DEC"):
        _ = Code(again).numbers


def test_a_table_of_clusters(photos, tmp_path):
    rows = [(n, str(i % 2)) for i, n in enumerate(names(photos))]
    write_table(tmp_path / "mine.csv", [("file", "cluster"), *rows])
    items = find_items(tmp_path / "mine.csv", photos)
    assert set(items.clusters) == {"0", "1"} and items.folder == photos


def test_photos_that_are_gone_are_left_out(run, photos):
    gone, other, *_ = names(photos)
    with_all = Book(find_items(run))
    with_all.do({"do": "mark", "items": [gone, other], "class": "a"})
    cluster = with_all.state.cluster[0]
    # An answer about it alone can still be undone when it is gone.
    with_all.do({"do": "split", "cluster": cluster, "items": [gone], "into": "part"})
    with_all.do({"do": "name", "cluster": "part", "class": "b"})
    with_all.close()
    (photos / gone).unlink()
    items = find_items(run)
    assert items.gone == {0}
    book = Book(items)
    assert book.number == 3
    book.do({"do": "name", "cluster": "0", "class": "c"})
    book.write()
    # The loop goes on without it, and so do exports.
    assert gone not in take_away(items, book.state, "csv").read_text()
    book.close()
    _, clusters = loop._facts(items.root)
    answers = loop._answers(items.root, set(clusters))
    labels = loop._labels(items.root, clusters, answers)
    assert gone not in labels and gone not in clusters and labels[other] == "a"


def test_photos_that_were_moved(run, photos, tmp_path):
    Book(find_items(run)).close()
    photos.rename(tmp_path / "elsewhere")
    with pytest.raises(DecError, match="--photos DIR"):
        find_items(run)
    assert find_items(run, tmp_path / "elsewhere").folder == tmp_path / "elsewhere"
    assert find_items(run).folder == tmp_path / "elsewhere"  # it is kept


@pytest.mark.parametrize("half", ["nothing", "empty", "unfinished", "finetune"])
def test_what_cannot_be_reviewed(tmp_path, half):
    folder = tmp_path / "run"
    if half != "nothing":
        folder.mkdir()
    if half == "unfinished":
        (folder / "metrics.json").write_text('{"n": 3, "k": 2, "rounds": 1}')
    if half == "finetune":
        (folder / "input.json").write_text("{}")
    with pytest.raises(DecError, match=r"no run|no finished run|dec classify"):
        find_items(folder)


def test_digits_without_files(tmp_path):
    rows = np.random.default_rng(2).random((20, 16)).astype(np.float32)
    run = fake_run(tmp_path, rows, 3, image=[4, 4], scale=1 / 255)
    items = find_items(run)
    pictures = Pictures(items)
    assert items.folder is None and items.names[7] == "row 7"
    content, kind = pictures.small(7)
    assert kind == "image/png" and content.startswith(b"\x89PNG")
    book = Book(items)
    book.do({"do": "mark", "items": ["row 7"], "class": "seven"})
    book.close()
    out = take_away(items, read_state(items), "csv")
    assert "row 7,seven,review," in out.read_text()
    with pytest.raises(DecError, match="no files"):
        take_away(items, read_state(items), "links")


def test_rows_become_leveldbs(tmp_path):
    rows = np.random.default_rng(2).random((60, 16)).astype(np.float32)
    items = find_items(fake_run(tmp_path, rows, 3, image=[4, 4], scale=1 / 255))
    state = State(items.names, items.clusters)
    for cluster in sorted(set(items.clusters)):
        state.do({"do": "name", "cluster": cluster, "class": f"c{cluster}"})
    state.do({"do": "mark", "items": ["row 3"], "class": "-"})
    found = {}
    out = take_away(items, state, "leveldb")
    for part in ("train", "val", "test"):
        with leveldb.open_reader(out / part) as reader:
            assert reader.meta["image"] == [4, 4]
            classes = reader.meta["classes"]
            values, labels = reader.read()
        for name, row, label in zip(
            leveldb.read_names(out / part), values, labels, strict=True
        ):
            number = int(name.split()[1])
            np.testing.assert_array_equal(row, rows[number])
            assert classes[label] == f"c{items.clusters[number]}"
            found[name] = part
    assert set(found) == set(items.names) - {"row 3"}
    counts = [list(found.values()).count(part) for part in ("val", "test")]
    assert all(4 <= count <= 8 for count in counts)


def test_texts_show_their_lines_and_strongest_words(tmp_path):
    texts = tmp_path / "texts"
    texts.mkdir()
    for name in ("a.txt", "b.txt"):
        (texts / name).write_text(f"first line of {name}\n\nsecond line\n")
    stems = ["first", "line", "other"]
    run = fake_run(
        tmp_path, np.array([[0.1, 0.7, 0], [0, 0, 0.2]], np.float32), 2,
        names=["a.txt", "b.txt"], kind="text", folder=str(texts),
        text={"stems": stems},
    )  # fmt: skip
    pictures = Pictures(find_items(run))
    assert pictures.kind == "text"
    assert pictures.text(0) == {
        "lines": "first line of a.txt\nsecond line", "words": ["line", "first"]
    }  # fmt: skip
    items = find_items(run)
    state = State(items.names, items.clusters)
    state.do({"do": "mark", "items": ["a.txt"], "class": "one"})
    assert [path.name for path in take_away(items, state, "links").rglob("*.txt")] == [
        "a.txt"
    ]
    (texts / "b.txt").unlink()
    assert pictures.text(1) == {"lines": "", "words": ["other"]}


def test_thumbnails_are_made_once(run, photos):
    items = find_items(run)
    pictures = Pictures(items)
    content, kind = pictures.small(0)
    assert kind == "image/jpeg" and content.startswith(b"\xff\xd8")
    [made] = [p for p in pictures.folder.rglob("*") if p.is_file()]
    made.write_bytes(b"kept")
    assert pictures.small(0)[0] == b"kept"
    # A photo that has changed has another.
    (photos / items.names[0]).write_bytes((photos / items.names[5]).read_bytes() + b" ")
    assert pictures.small(0)[0].startswith(b"\xff\xd8")


def test_where_items_lie(run):
    items = find_items(run)
    code = Code(items)
    apart = ((code.numbers - code.numbers[4]) ** 2).sum(axis=1)
    assert [i for i, _ in code.nearest(4, 3)] == np.argsort(apart)[1:4].tolist()
    members = [i for i, c in enumerate(items.clusters) if c == "0"]
    part = code.two_parts(members)
    assert set(part) < set(members) and 0 < len(part) <= len(members) / 2
    how, plane = code.map()
    assert "t-SNE" in how and plane.shape == (18, 2)
    assert plane.min() >= 0 and plane.max() <= 1
    assert (Code(items).map()[1] == plane).all()  # kept
    near = code.near_clusters(dict(enumerate(items.clusters)))
    assert all(len(others) == 2 and c not in others for c, others in near.items())


def test_more_rows_than_a_run_keeps_codes_of(tmp_path, photos, monkeypatch):
    run = photo_run(tmp_path, photos)
    for file in (run / "codes").iterdir():
        file.unlink()
    code = Code(find_items(run)).numbers
    rows = np.random.default_rng(1).random((18, 4)).astype(np.float32)
    middle = rows - rows.mean(axis=0)
    _, _, axes = np.linalg.svd(middle, full_matrices=False)
    # Principal components, but for their signs.
    np.testing.assert_allclose(np.abs(code), np.abs(middle @ axes.T), atol=1e-5)


def test_a_map_of_many(run, monkeypatch):
    """A part is laid out; every other one lies among its nearest of that part."""
    from dec.review import code

    items = find_items(run)
    monkeypatch.setattr(code, "_LAID_OUT", 12)
    found = Code(items)
    how, plane = found.map()
    assert "12 of them by t-SNE" in how and plane.shape == (18, 2)
    some = np.random.default_rng(0).permutation(18)[:12]
    numbers = found.numbers.astype(np.float64)
    for i in set(range(18)) - set(some.tolist()):
        apart = np.linalg.norm(numbers[some] - numbers[i], axis=1)
        near = np.argsort(apart)[:3]
        weight = 1 / apart[near]
        middle = weight @ plane[some[near]] / weight.sum()
        np.testing.assert_allclose(plane[i], middle, atol=1e-3)


def test_the_doubtful_first_spread_over_clusters(run):
    items = find_items(run)
    n = len(items.names)
    p = np.linspace(0.5, 0.99, n)
    rows = [(items.folder / name, "a", f"{x}", "b", f"{1 - x}")
            for name, x in zip(items.names, p, strict=True)]  # fmt: skip
    head = ("file", "class", "probability", "second", "second_probability")
    write_table(items.root / "labels.csv", [head, *rows])
    guesses = read_guesses(items)
    np.testing.assert_allclose(guesses.margin, 2 * p - 1, atol=1e-6)
    # Of three in turn, one a cluster, whatever their margins: those of cluster 0 first.
    order = sorted(range(n), key=lambda i: i >= 6)
    state = State(items.names, [("0", "1", "2")[order.index(i) // 6] for i in range(n)])
    found = doubtful(state, guesses, 6)
    assert [state.cluster[i] for i in found] == ["0", "1", "2", "0", "1", "2"]
    state.do({"do": "mark", "items": [items.names[found[0]]], "class": "a"})
    assert found[0] not in doubtful(state, guesses, 6)
    said = worth(state, guesses)
    left = [i for i in range(n) if i != found[0]]
    assert said["left"] == n - 1
    assert said["wrong"] == round(float((1 - p[left]).sum()), 1)


def test_an_export_is_replaced_and_nothing_else(run, photos):
    items = find_items(run)
    state = State(items.names, items.clusters)
    with pytest.raises(DecError, match="no photo has a class"):
        take_away(items, state, "csv")
    state.do({"do": "name", "cluster": "0", "class": "a b"})
    state.do({"do": "mark", "items": items.names[-1:], "class": "-"})
    for kind in ("links", "copies", "links"):
        out = take_away(items, state, kind)
        found = list((out / "a b").iterdir())
        assert len(found) == state_count(state, "a b")
        assert all(path.is_symlink() == (kind == "links") for path in found)
    (out / "a b" / "sub").mkdir()
    with pytest.raises(DecError, match="holds other things"):
        take_away(items, state, "links")


def test_a_damaged_note_is_named(run):
    items = find_items(run)
    (items.root / "loop.json").write_text(json.dumps({"folder": 3}))
    with pytest.raises(DecError, match=r"loop\.json"):
        find_items(run)


def names(photos) -> list[str]:
    return sorted(str(p.relative_to(photos)) for p in photos.rglob("*.jpg"))


def state_count(state: State, label: str) -> int:
    return sum(state.class_of(i) == label for i in state.cluster)
