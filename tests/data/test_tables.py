"""Tables of numbers: headers, columns and their names, what may go wrong unseen."""

import io
import json

import numpy as np
import pytest

from dec.base import progress
from dec.base.errors import DecError
from dec.data.inputs import Preparation, read_rows
from dec.data.leveldb import open_reader, read_meta
from dec.data.matrix import build_csv_leveldbs, build_npy_leveldbs

ROWS = np.random.default_rng(0).normal(3, 2, (30, 4))
YEARS = ["2019", "2020", "2021", "2022"]


@pytest.fixture(autouse=True)
def said(monkeypatch) -> io.StringIO:
    """What is said on the terminal."""
    stream = io.StringIO()
    monkeypatch.setattr(progress, "_stream", stream)
    return stream


def lines(rows, separator=","):
    return "".join(separator.join(map(repr, row)) + "\n" for row in rows.tolist())


def write(path, rows, header=None, separator=","):
    head = separator.join(header) + "\n" if header else ""
    path.write_text(head + lines(rows, separator))
    return path


def built(tmp_path, path, *more, **options):
    """Rows and dec.json of a table."""
    paths = build_csv_leveldbs(tmp_path / "data", path, *more, **options)
    total = next(iter(paths.values()))
    with open_reader(total) as reader:
        return reader.read()[0], read_meta(total)


def assigned(meta, path):
    """The rows that a run with these facts makes of a file."""
    facts = json.loads(json.dumps(meta))
    return np.concatenate([rows for _, rows in Preparation(facts).read(path)])


def scaled(rows, meta):
    return (rows * meta["scale"]).astype(np.float32)


@pytest.mark.parametrize("form", ["bom", "crlf", "cr", "blank end", "tsv", "TSV", ";"])
@pytest.mark.parametrize("header", [None, ["a", "b", "c", "d"]])
def test_every_row_arrives_however_the_table_was_saved(tmp_path, form, header):
    separator = "\t" if form in ("tsv", "TSV") else ";" if form == ";" else ","
    path = tmp_path / ("x." + (form if separator == "\t" else "csv"))
    text = write(path, ROWS, header, separator).read_text()
    raw = {
        "bom": "\ufeff" + text,
        "crlf": text.replace("\n", "\r\n"),
        "cr": text.replace("\n", "\r"),
        "blank end": text + "\n  \n",
    }.get(form, text)
    path.write_bytes(raw.encode())
    rows, meta = built(tmp_path, path)
    assert np.array_equal(rows, scaled(ROWS, meta))
    # A run on other data reads the same: there is one reader.
    plain = {"shape": [4, 1, 1], "scale": meta["scale"]}
    assert np.array_equal(assigned(plain, path), rows)
    assert np.array_equal(assigned(meta, path), rows)


def test_a_very_long_cell(tmp_path):
    path = tmp_path / "x.csv"
    path.write_text("a,b\n1,2\n3," + "0" * 200_000 + "4\n")
    rows, meta = built(tmp_path, path)
    assert np.array_equal(rows, scaled(np.array([[1, 2], [3, 4]]), meta))


@pytest.mark.parametrize(
    "first", ["1,2,x,4", "1,,3,4", "1.0.0,2,3,4", "1,2,3_7,4", "nan,1,2,x"]
)
def test_a_damaged_first_row_is_no_header(tmp_path, first):
    path = tmp_path / "x.csv"
    path.write_text(f"{first}\n" + lines(ROWS))
    plain = {"shape": [4, 1, 1]}
    for read in (lambda: built(tmp_path, path), lambda: assigned(plain, path)):
        with pytest.raises(DecError, match=r"x.csv:1: .*is not a number"):
            read()


def test_years_as_names(tmp_path, said):
    path = write(tmp_path / "x.csv", ROWS, YEARS)
    with pytest.raises(DecError, match="2019, 2020, 2021, 2022: .*header, or a row"):
        built(tmp_path, path)
    rows, meta = built(tmp_path, path, header="yes")
    assert np.array_equal(rows, scaled(ROWS, meta))
    assert "x.csv:1: the first line is taken for a header: 2019, " in said.getvalue()
    assert meta["matrix"]["columns"] == YEARS
    assert np.array_equal(assigned(meta, path), rows)
    # Without names, and with names in another order.
    assert np.array_equal(assigned(meta, write(tmp_path / "n.csv", ROWS)), rows)
    other = write(
        tmp_path / "o.csv", ROWS[:, [3, 1, 0, 2]], [YEARS[i] for i in (3, 1, 0, 2)]
    )
    assert np.array_equal(assigned(meta, other), rows)


def test_header_no(tmp_path, said):
    first = np.array([[2019, 2020, 2021, 2022.0]])
    path = tmp_path / "x.csv"
    path.write_text(",".join(YEARS) + "\n" + lines(ROWS))
    rows, meta = built(tmp_path, path, header="no")
    assert np.array_equal(rows, scaled(np.vstack([first, ROWS]), meta))
    assert "the first line is taken for a row" in said.getvalue()
    assert np.array_equal(assigned(meta, path), rows)  # as in training
    with pytest.raises(DecError, match="x.csv:1: 'a' is not a number"):
        built(tmp_path, write(path, ROWS, list("abcd")), header="no")


def test_rows_that_all_count_up_are_rows(tmp_path):
    path = tmp_path / "x.csv"
    path.write_text("1,2,3,4\n4,5,6,7\n9,1,0,8\n")
    assert built(tmp_path, path)[0].shape == (3, 4)
    path.write_text("1,2,3\n9,1,0\n4,4,6\n")  # not clear, but likely
    assert built(tmp_path, path)[0].shape == (3, 3)


def test_the_index_of_pandas(tmp_path, said):
    index = np.arange(30)[:, None]
    path = write(tmp_path / "x.csv", np.hstack([index, ROWS]), ["", *"0123"])
    rows, meta = built(tmp_path, path)
    assert rows.shape == (30, 5)
    assert meta["matrix"]["columns"] == ["", "0", "1", "2", "3"]
    assert "column 1 (no name) counts the rows" in said.getvalue()


def test_columns_that_decide_all(tmp_path, said):
    rows = ROWS * np.array([1, 1, 10_000, 1])
    path = write(tmp_path / "x.csv", rows, ["age", "height", "income", "rooms"])
    built(tmp_path, path)
    assert "column 3 (income) holds 100.0% of all squares" in said.getvalue()
    np.save(tmp_path / "x.npy", rows)
    build_npy_leveldbs(tmp_path / "data", tmp_path / "x.npy")
    assert "x.npy: column 3 holds 100.0%" in said.getvalue()


def test_nothing_is_said_of_columns_of_like_units(tmp_path, said):
    built(tmp_path, write(tmp_path / "x.csv", ROWS, list("abcd")))
    assert "holds" not in said.getvalue() and "counts" not in said.getvalue()


def test_columns_are_matched_by_name(tmp_path, said):
    names = ["age", "height", "income", "rooms"]
    rows, meta = built(tmp_path, write(tmp_path / "x.csv", ROWS, names))
    order = [2, 0, 3, 1]
    path = write(tmp_path / "y.csv", ROWS[:, order], [names[i] for i in order])
    assert np.array_equal(assigned(meta, path), rows)
    assert "matched by their names" in said.getvalue()


@pytest.mark.parametrize(
    "names",
    [
        ["age", "height", "income", "floors"],
        ["age", "height", "income"],
        ["age", "height", "income", "rooms", "floors"],
        ["age", "height", "income", "income"],
    ],
)
def test_other_columns_are_refused_with_both_lists(tmp_path, names):
    wanted = ["age", "height", "income", "rooms"]
    _, meta = built(tmp_path, write(tmp_path / "x.csv", ROWS, wanted))
    rows = np.hstack([ROWS, ROWS])[:, : len(names)]
    path = write(tmp_path / "y.csv", rows, names)
    with pytest.raises(DecError) as error:
        assigned(meta, path)
    assert f"its columns are {', '.join(names)}" in str(error.value)
    assert f"trained on {', '.join(wanted)}" in str(error.value)


def test_leveldbs_of_other_columns_or_another_scale(tmp_path):
    names = ["age", "height", "income", "rooms"]
    _, meta = built(tmp_path, write(tmp_path / "x.csv", ROWS, names))
    reader = Preparation(meta)
    (blocks,) = read_rows(tmp_path / "data/csv_test", reader)
    assert len(blocks[1]) == 6
    for rows, header, words in (
        (ROWS, names[::-1], "columns rooms, income, height, age; the run was trained"),
        (ROWS * 3, names, "its numbers were multiplied by .*those of the run by"),
    ):
        built(tmp_path, write(tmp_path / "y.csv", rows, header), name="other")
        with pytest.raises(DecError, match=f"other_test: .*{words}"):
            list(read_rows(tmp_path / "data/other_test", reader))


def test_the_labels_column_by_name_wherever_it_is(tmp_path):
    names = ["a", "kind", "b", "c", "d"]
    text = "".join(
        f"{a!r},{'xy'[i % 2]},{b!r},{c!r},{d!r}\n"
        for i, (a, b, c, d) in enumerate(ROWS.tolist())
    )
    path = tmp_path / "x.csv"
    path.write_text(",".join(names) + "\n" + text)
    rows, meta = built(tmp_path, path, "kind")
    assert meta["matrix"]["columns"] == list("abcd")
    assert np.array_equal(assigned(meta, path), rows)
    moved = "".join(f"{d!r},{c!r},{b!r},{a!r},x\n" for a, b, c, d in ROWS.tolist())
    (tmp_path / "y.csv").write_text("d,c,b,a,kind\n" + moved)
    assert np.array_equal(assigned(meta, tmp_path / "y.csv"), rows)
    bare = write(tmp_path / "z.csv", ROWS, list("abcd"))
    assert np.array_equal(assigned(meta, bare), rows)


def test_the_number_of_a_column_is_no_word_in_it(tmp_path):
    path = tmp_path / "x.csv"
    path.write_text("1,2,7,3\n4,5,8,6\n1,1,7,0\n")
    paths = build_csv_leveldbs(tmp_path / "data", path, "3")
    assert read_meta(paths["csv_total"])["classes"] == ["7", "8"]


@pytest.mark.parametrize("dtype", ["f2", "f4", "f8", "i2", "u4", ">i8", "g"])
def test_the_type_of_numbers_changes_nothing(tmp_path, dtype):
    pixels = np.random.default_rng(1).integers(0, 256, (7, 4))
    np.save(tmp_path / "bytes.npy", pixels.astype(np.uint8))
    np.save(tmp_path / "x.npy", pixels.astype(dtype))
    facts = {"shape": [4, 1, 1], "scale": 0.02}
    wanted = assigned(facts, tmp_path / "bytes.npy")
    assert np.array_equal(assigned(facts, tmp_path / "x.npy"), wanted)
    np.savetxt(tmp_path / "x.csv", pixels, "%d", ",")
    assert np.array_equal(assigned(facts, tmp_path / "x.csv"), wanted)


@pytest.mark.parametrize("dtype", [complex, np.complex64, bool, "S3"])
def test_no_real_numbers(tmp_path, dtype):
    np.save(tmp_path / "x.npy", np.ones((3, 4)).astype(dtype))
    with pytest.raises(DecError, match="not real numbers"):
        assigned({"shape": [4, 1, 1]}, tmp_path / "x.npy")


def test_a_row_has_its_own_number_in_messages(tmp_path):
    rows = np.zeros((2000, 4))
    rows[1500, 1] = np.nan
    np.save(tmp_path / "x.npy", rows)
    with pytest.raises(DecError, match="row 1500"):
        assigned({"shape": [4, 1, 1]}, tmp_path / "x.npy")
