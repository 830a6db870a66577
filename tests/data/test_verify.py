"""`verify` on databases that are right, and wrong in every way."""

import json

import numpy as np
import plyvel
import pytest

from dec.base.errors import DecError
from dec.data.leveldb import open_reader, write_rows
from dec.data.leveldb.datum import encode_rows
from dec.data.leveldb.verify import verify

N = 1500  # more than a block


@pytest.fixture
def rows():
    return np.random.default_rng(0).normal(size=(N, 4)).astype(np.float32)


@pytest.fixture
def database(tmp_path, rows):
    names = [f"{i}.jpg" for i in range(N)]
    write_rows(
        tmp_path / "db", rows, np.arange(N) % 3, {"classes": ["a", "b", "c"]}, names
    )
    return tmp_path / "db"


def change(path, **rows):
    """Puts values (None: deletes) at keys."""
    with plyvel.DB(str(path)) as db:
        for key, value in rows.items():
            key = key.lstrip("_").encode()
            if value is None:
                db.delete(key)
            else:
                db.put(key, value)


def datum(numbers, label=None):
    block = np.array([numbers], np.float32)
    return next(encode_rows(block, None if label is None else [label]))


def test_right(database, rows):
    report = verify(database)
    assert report.problems == [] and report.notes == []
    assert (report.rows, report.shape) == (N, (4, 1, 1))
    assert report.counts == {0: 500, 1: 500, 2: 500}
    assert report.mean_square == pytest.approx(np.mean(rows**2), rel=1e-5)
    text = str(report)
    assert "1,500 rows of the shape 4 x 1 x 1" in text and "nothing is wrong" in text
    assert "0: 500, 1: 500, 2: 500" in text


def test_right_without_labels_and_names(tmp_path, rows):
    write_rows(tmp_path / "db", rows)
    report = verify(tmp_path / "db")
    assert report.problems == [] and report.counts == {}
    assert "no labels" in str(report)


def test_images_are_rows_too(tmp_path):
    images = np.random.default_rng(0).integers(0, 256, (9, 3, 5, 4), np.uint8)
    write_rows(tmp_path / "db", images, np.arange(9))
    report = verify(tmp_path / "db")
    assert report.problems == [] and report.shape == (3, 5, 4)


NAN, HUGE = [1, np.nan, 0, 0], [1, -np.inf, 0, 0]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"_00000007": None}, ["1 missing keys: 00000007"]),
        ({"_00000000": None, "_00000001": None}, ["2 missing keys: 00000000 to 0"]),
        ({"_00001600": datum([1, 2, 3, 4], 0)}, ["100 missing keys", "says rows 1500"]),
        ({"x9": b"?"}, ["1 keys that are not eight digits: 'x9'"]),
        ({"_123": b"?"}, ["not eight digits: '123'"]),
        ({"_00000003": b"?"}, ["no Datum of numbers: 00000003"]),
        ({"_00000003": b""}, ["no Datum of numbers: 00000003"]),
        ({"_00000003": datum([1, 2, 3, 4], 0)[:-1]}, ["00000003 (cut short)"]),
        ({"_00000003": datum([1, 2, 3], 0)}, ["than the first: 00000003 (3 x 1 x 1)"]),
        ({"_00000003": datum(NAN, 0)}, ["1 rows with NaN or infinity: 00000003"]),
        ({"_00001499": datum(HUGE, 0)}, ["1 rows with NaN or infinity: 00001499"]),
        ({"_00000003": datum([1, 2, 3, 4])}, ["1 rows have no label, 1,499 have one"]),
        ({"_00000003": datum([1, 2, 3, 4], -7)}, ["negative labels: 00000003 (-7)"]),
        ({"_00000003": datum([1, 2, 3, 4], 3)}, ["the label 3 has no name"]),
    ],
)  # fmt: skip
def test_wrong_rows(database, changes, words):
    change(database, **changes)
    report = verify(database)
    for text in words:
        assert any(text in problem for problem in report.problems), report.problems
    assert "wrong" in str(report) and "nothing" not in str(report)


def test_many_faults_are_counted_and_the_first_named(database):
    change(database, **{f"_{i:08d}": datum(NAN, 0) for i in range(1000, 1400)})
    (problem,) = verify(database).problems
    assert problem.startswith("400 rows with NaN or infinity: 00001000, 00001001,")
    assert problem.endswith("00001004, ...")


def test_what_is_worth_a_note(tmp_path, rows):
    rows[:, 2] = 5
    rows[3] = 5
    rows[1400] = rows[12]
    write_rows(tmp_path / "db", rows, np.arange(N) % 2 * 4, names=["same"] * N)
    report = verify(tmp_path / "db")
    assert report.problems == []
    for text in (
        "1 rows of one number only: 00000003",
        "1 of 4 columns hold one number only: 2 (from 0)",
        "1 rows equal one before them, such as 00001400 00000012",
        "3 of the labels 0 to 4 occur in no row",
        "1,499 names occur more than once",
    ):
        assert text in report.notes


def test_equal_rows_only(tmp_path):
    write_rows(tmp_path / "db", np.ones((20, 3)))
    assert verify(tmp_path / "db").problems == ["all rows are equal"]


def test_damaged_table(tmp_path):
    database = tmp_path / "db"
    write_rows(database, np.random.default_rng(0).normal(size=(N, 300)))
    table = max(database.glob("*.ldb"), key=lambda path: path.stat().st_size)
    content = bytearray(table.read_bytes())
    for i in range(len(content) // 3, len(content) // 3 + 64):
        content[i] ^= 0xFF
    table.write_bytes(content)
    first, second = verify(database).problems
    assert "damaged after" in first and "checksum" in first
    assert "dec.json says rows 1500" in second


def test_facts_that_do_not_fit(database):
    path = database / "dec.json"
    facts = json.loads(path.read_text())
    path.write_text(json.dumps(facts | {"rows": 7, "shape": [2, 2, 1]}))
    problems = verify(database).problems
    assert "dec.json says rows 7; found: 1500" in problems
    assert "dec.json says shape [2, 2, 1]; found: [4, 1, 1]" in problems
    path.write_text("{")
    assert "dec.json: damaged" in verify(database).problems
    path.unlink()
    report = verify(database)
    assert report.problems == [] and "dec.json: not there" in report.notes


@pytest.mark.parametrize(
    ("content", "words"),
    [('"a"\n"b"\n', "2 names for 1,500 rows"), ("junk\n", "cannot be read")],
)
def test_names_that_do_not_fit(database, content, words):
    (database / "names.txt").write_text(content)
    (problem,) = verify(database).problems
    assert "names.txt" in problem and words in problem


def test_no_rows_and_no_database(tmp_path):
    with plyvel.DB(str(tmp_path / "empty"), create_if_missing=True):
        pass
    assert "it holds no rows" in verify(tmp_path / "empty").problems
    with pytest.raises(DecError, match="missing"):
        verify(tmp_path / "nowhere")
    (tmp_path / "folder").mkdir()
    with pytest.raises(DecError, match="not a LevelDB"):
        verify(tmp_path / "folder")


def test_what_is_verified_stays_as_it_was(database, rows):
    verify(database)
    with open_reader(database) as reader:
        assert np.array_equal(reader.read()[0], rows)
