"""Matrices from .npy and .csv files: their LevelDBs, new rows, bad input."""

import json

import numpy as np
import pytest

from dec.base.errors import DecError
from dec.data.inputs import Preparation
from dec.data.leveldb import open_reader, read_meta
from dec.data.matrix import build_csv_leveldbs, build_npy_leveldbs


@pytest.fixture
def rows():
    return np.random.default_rng(0).normal(3, 2, (50, 4))


def read(path):
    with open_reader(path) as reader:
        return reader.read()


def mean_square(x):
    return np.mean(x.astype(np.float64) ** 2)


def new_rows(meta, path):
    reader = Preparation(meta)
    blocks = list(reader.read(path))
    assert reader.shape == (blocks[0][1].shape[1], 1, 1)
    names = [name for names, _ in blocks for name in names]
    return names, np.concatenate([x for _, x in blocks])


@pytest.mark.parametrize(
    "dtype", ["f2", "<f4", ">f4", "f8", "u1", "<i2", ">i8", "u4", "i1"]
)
def test_npy_of_any_type(tmp_path, rows, dtype):
    raw = np.abs(rows * 10).astype(dtype)
    np.save(tmp_path / "x.npy", raw)
    paths = build_npy_leveldbs(tmp_path / "data", tmp_path / "x.npy")
    assert list(paths) == ["npy_total", "npy_train", "npy_test"]
    x, y = read(paths["npy_total"])
    assert mean_square(x) == pytest.approx(1, abs=1e-3 if dtype == "f2" else 1e-6)
    assert x == pytest.approx(raw * (x[0, 0] / float(raw[0, 0])), rel=1e-5)
    assert (y == -1).all()
    assert np.array_equal(read(paths["npy_train"])[0], x)
    assert np.array_equal(read(paths["npy_test"])[0], x[40:])
    meta = read_meta(paths["npy_test"])
    assert meta["kind"] == "matrix" and meta["scale"] > 0 and "classes" not in meta
    names, new = new_rows(meta, tmp_path / "x.npy")
    assert np.array_equal(new, x)
    assert names[49] == f"{tmp_path / 'x.npy'}:49"


def test_npy_of_many_dimensions_and_blocks(tmp_path):
    raw = np.random.default_rng(1).random((2500, 2, 3))
    for name, array in (("c.npy", raw), ("f.npy", np.asfortranarray(raw))):
        np.save(tmp_path / name, array)
        paths = build_npy_leveldbs(tmp_path / "data", tmp_path / name)
        x, _ = read(paths["npy_total"])
        assert x.shape == (2500, 6)
        assert x[:, 5] == pytest.approx(raw[:, 1, 2] * x[0, 0] / raw[0, 0, 0], rel=1e-5)
        _, new = new_rows(read_meta(paths["npy_total"]), tmp_path / name)
        assert np.array_equal(new, x)


@pytest.mark.parametrize(
    ("values", "numbers", "classes"),
    [
        ([0, 1, 2, 1, 0], [0, 1, 2, 1, 0], None),
        ([10, 9, -1, 9, 10], [2, 1, 0, 1, 2], ["-1", "9", "10"]),
        (["cat", "bird", "cat", "élan", "bird"], [1, 0, 1, 2, 0],
         ["bird", "cat", "élan"]),
    ],
)  # fmt: skip
def test_npy_labels(tmp_path, rows, values, numbers, classes):
    np.save(tmp_path / "x.npy", rows)
    np.save(tmp_path / "y.npy", np.array(values * 10))
    paths = build_npy_leveldbs(tmp_path / "d", tmp_path / "x.npy", tmp_path / "y.npy")
    assert read(paths["npy_total"])[1].tolist() == numbers * 10
    assert read(paths["npy_test"])[1].tolist() == numbers * 2
    assert read_meta(paths["npy_total"]).get("classes") == classes


@pytest.mark.parametrize(
    ("values", "words"),
    [
        (np.arange(49), "49 labels for 50 rows"),
        (np.zeros((50, 2)), "must be n integers or words"),
        (np.linspace(0, 1, 50), "must be n integers or words"),
    ],
)
def test_npy_labels_that_do_not_fit(tmp_path, rows, values, words):
    np.save(tmp_path / "x.npy", rows)
    np.save(tmp_path / "y.npy", values)
    with pytest.raises(DecError, match=words) as error:
        build_npy_leveldbs(tmp_path / "d", tmp_path / "x.npy", tmp_path / "y.npy")
    assert not (tmp_path / "d").exists()
    assert ".npy" in str(error.value)


def nan_at(rows):
    rows[7, 2] = np.nan
    return rows


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (nan_at, "row 7 .*NaN or infinity"),
        (lambda x: x * np.array([1, 1, 1, np.inf]), "row 0 .*NaN or infinity"),
        (lambda x: x[:0], "has no rows"),
        (lambda x: x[:, :0], "has no rows, or rows of no numbers"),
        (lambda x: x[0], "1-dimensional data"),
        (lambda x: np.ones((5, 3)), "all its rows are equal"),
        (lambda x: x * 1e200, "cannot be scaled"),
        (lambda x: x.astype(complex), "complex128, not real numbers"),
        (lambda x: x.astype(str), "not real numbers"),
        (lambda x: x.astype(object), "no readable .npy file"),
    ],
)
def test_npy_that_is_no_data(tmp_path, rows, make, words):
    np.save(tmp_path / "x.npy", make(rows), allow_pickle=True)
    with pytest.raises(DecError, match=words) as error:
        build_npy_leveldbs(tmp_path / "d", tmp_path / "x.npy")
    assert str(tmp_path / "x.npy") in str(error.value)
    assert not (tmp_path / "d").exists()


@pytest.mark.parametrize("content", [b"", b"junk", b"\x93NUMPY\x01\x00", None, "cut"])
def test_npy_that_cannot_be_read(tmp_path, rows, content):
    path = tmp_path / "x.npy"
    np.save(path, rows)
    if content == "cut":
        path.write_bytes(path.read_bytes()[:-9])
    elif content is None:
        path.unlink()
    else:
        path.write_bytes(content)
    with pytest.raises(DecError, match="x.npy"):
        build_npy_leveldbs(tmp_path / "d", path)


def test_npz_is_told_apart(tmp_path, rows):
    np.savez(tmp_path / "x.npz", rows)
    with pytest.raises(DecError, match="npz archive"):
        build_npy_leveldbs(tmp_path / "d", tmp_path / "x.npz")


def test_without_a_source(tmp_path):
    for build in (build_npy_leveldbs, build_csv_leveldbs):
        with pytest.raises(DecError, match="name the file"):
            build(tmp_path)


def test_one_row(tmp_path):
    np.save(tmp_path / "x.npy", [[3.0, 4.0]])
    paths = build_npy_leveldbs(tmp_path / "d", tmp_path / "x.npy")
    for path in paths.values():
        assert read(path)[0].ravel() == pytest.approx([0.6 * 2**0.5, 0.8 * 2**0.5])


def test_constant_columns_are_named_and_kept(tmp_path, rows, capfd):
    rows[:, 1] = 5
    np.save(tmp_path / "x.npy", rows)
    paths = build_npy_leveldbs(tmp_path / "d", tmp_path / "x.npy")
    x, _ = read(paths["npy_total"])
    assert x.shape[1] == 4 and len(set(x[:, 1])) == 1


def table(path, rows, header=None, labels=None, column=0, delimiter=","):
    lines = [header] if header else []
    for i, row in enumerate(rows):
        words = [repr(float(x)) for x in row]
        if labels is not None:
            words.insert(column, labels[i])
        lines.append(words)
    path.write_text("\n".join(delimiter.join(line) for line in lines) + "\n")
    return path


WORDS = ["setosa", "virginica", "versicolor", "setosa", "virginica"]


@pytest.mark.parametrize("suffix", [".csv", ".tsv"])
@pytest.mark.parametrize("header", [True, False])
@pytest.mark.parametrize("labels", [True, False])
def test_csv(tmp_path, rows, suffix, header, labels):
    names = ["a", "b", "kind", "c", "d"] if labels else ["a", "b", "c", "d"]
    path = table(
        tmp_path / f"x{suffix}",
        rows,
        names if header else None,
        WORDS * 10 if labels else None,
        2,
        "," if suffix == ".csv" else "\t",
    )
    wanted = ("kind" if header else "3") if labels else None
    paths = build_csv_leveldbs(tmp_path / "data", path, wanted)
    assert list(paths) == ["csv_total", "csv_train", "csv_test"]
    x, y = read(paths["csv_total"])
    meta = read_meta(paths["csv_total"])
    assert np.array_equal(x, (rows * meta["scale"]).astype(np.float32))
    assert mean_square(x) == pytest.approx(1)
    if labels:
        assert meta["classes"] == ["setosa", "versicolor", "virginica"]
        assert y[:5].tolist() == [0, 2, 1, 0, 2]
    else:
        assert (y == -1).all()
    # New rows, with and without the labels' column.
    assert np.array_equal(new_rows(meta, path)[1], x)
    bare = table(tmp_path / "bare.csv", rows)
    assert np.array_equal(new_rows(meta, bare)[1], x)
    np.save(tmp_path / "x.npy", rows)
    assert np.array_equal(new_rows(meta, tmp_path / "x.npy")[1], x)


def test_csv_header_of_numbers_with_a_named_column(tmp_path, rows):
    path = table(tmp_path / "x.csv", rows, None, ["7", "5"] * 25, 4)
    paths = build_csv_leveldbs(tmp_path / "data", path, "-1")
    x, y = read(paths["csv_total"])
    assert x.shape == (50, 4) and y[:2].tolist() == [1, 0]
    assert read_meta(paths["csv_total"])["classes"] == ["5", "7"]


def test_csv_blank_lines_bom_and_quotes(tmp_path):
    (tmp_path / "x.csv").write_bytes(
        '\ufeff"a","b"\r\n1,2\r\n\r\n" 3","-4e0"\r\n'.encode()
    )
    x, _ = read(build_csv_leveldbs(tmp_path / "d", tmp_path / "x.csv")["csv_total"])
    assert x / x[0, 0] == pytest.approx(np.array([[1, 2], [3, -4]]))


@pytest.mark.parametrize(
    ("text", "column", "words"),
    [
        ("", None, "x.csv: has no rows"),
        ("\n\n", None, "x.csv: has no rows"),
        ("a,b\n", None, "x.csv: has no rows"),
        ("a,b\n\n\n", None, "x.csv: has no rows"),
        ("1,2\n3\n", None, "x.csv:2: 1 columns, 2 in line 1"),
        ("a,b\n1,2\n3,4,5\n", None, "x.csv:3: 3 columns, 2 in line 1"),
        ("1,2\n3,x\n", None, "x.csv:2: 'x' is not a number"),
        ("1,2\n3,\n", None, "x.csv:2: '' is not a number"),
        ("1,x\n3,4\n", None, "x.csv:1: 'x' is not a number.*header"),
        ("1,2\n3,nan\n", None, "x.csv:2: has NaN"),
        ("1,2\n\n-inf,4\n", None, "x.csv:3: has NaN or infinity"),
        ("1,2\n1,2\n", None, "all its rows are equal"),
        ("0,0\n0,0\n", None, "all its rows are equal"),
        ("a,b\n1,2\n2,1\n", "c", "no column 'c' for labels; it has 2: a, b"),
        ("1,2\n2,1\n", "3", "no column '3'"),
        ("1,2\n2,1\n", "0", "no column '0'"),
        ("a\nx\n", "a", "no column of numbers"),
        ("a,b\n1,x\n2,\n", "b", "x.csv:3: the label is empty"),
        ("1,5;2,5\n3,5;4,5\n", None, "x.csv:1: '5;2' .*semicolons .*decimal comma"),
        ("a;b;c\n1,5;2;3\n", None, "x.csv:2: '1,5' .* column 1 .a.: a comma"),
        ("1 2 3\n4 5 6\n", None, "x.csv: has no rows|blanks between columns"),
        ("a,b\n1,3_7\n2,1\n", None, "x.csv:2: '3_7' is not a number"),
        ("a,b\n1,٣\n2,1\n", None, "x.csv:2: '٣' is not a number"),
        ("1,,3\n2,1,4\n", None, "x.csv:1: '' is not a number.*the cell is empty"),
        ("a,b\n1,2\n,4\n", None, "x.csv:3: '' .* column 1 .a.: the cell is empty"),
        ("2019,2020,2021\n1,2,3.5\n", None, "2019, 2020, 2021: .*--header yes"),
    ],
)
def test_csv_that_is_no_data(tmp_path, text, column, words):
    (tmp_path / "x.csv").write_text(text)
    with pytest.raises(DecError, match=words):
        build_csv_leveldbs(tmp_path / "data", tmp_path / "x.csv", column)
    assert not (tmp_path / "data").exists()


def test_csv_that_is_no_text(tmp_path):
    (tmp_path / "x.csv").write_bytes(b"1,2\n\xff\xfe,3\n")
    with pytest.raises(DecError, match=r"x.csv:2: is not UTF-8"):
        build_csv_leveldbs(tmp_path / "data", tmp_path / "x.csv")
    (tmp_path / "x.txt").write_text("1,2\n")
    with pytest.raises(DecError, match="neither with .csv"):
        build_csv_leveldbs(tmp_path / "data", tmp_path / "x.txt")


def test_too_many_classes(tmp_path):
    path = tmp_path / "x.csv"
    path.write_text("".join(f"{i},{i}.5\n" for i in range(1001)))
    with pytest.raises(DecError, match="1,001 different values"):
        build_csv_leveldbs(tmp_path / "data", path, "2")


def test_a_bad_file_leaves_the_databases_as_they_were(tmp_path, rows):
    path = table(tmp_path / "x.csv", rows)
    paths = build_csv_leveldbs(tmp_path / "data", path)
    before = read(paths["csv_total"])[0]
    path.write_text(path.read_text() + "1,2,3\n")
    with pytest.raises(DecError, match=r"x.csv:51: 3 columns"):
        build_csv_leveldbs(tmp_path / "data", path)
    assert np.array_equal(read(paths["csv_total"])[0], before)


def test_only_what_changed_is_written(tmp_path, rows):
    path = table(tmp_path / "x.csv", rows, None, WORDS * 10, 0)

    def made(column):
        paths = build_csv_leveldbs(tmp_path / "data", path, column)
        return [path.stat().st_ino for path in paths.values()]

    first = made("1")
    assert made("1") == first
    assert made("-5") == first  # the same column
    table(path, rows + 1, None, WORDS * 10, 0)
    assert not set(made("1")) & set(first)


def test_new_rows_of_another_width(tmp_path, rows):
    path = table(tmp_path / "x.csv", rows, None, WORDS * 10, 0)
    paths = build_csv_leveldbs(tmp_path / "data", path, "1")
    meta = json.loads((paths["csv_total"] / "dec.json").read_text())
    wrong = table(tmp_path / "wrong.csv", rows[:, :3])
    with pytest.raises(DecError, match="rows of 3 numbers.*rows of 4"):
        new_rows(meta, wrong)
