"""Tables as people, spreadsheets and we write them."""

import csv
import os
import random
import re

import pytest

from dec.base.errors import DecError
from dec.base.tables import (
    cut_half_row,
    read_columns,
    read_pairs,
    read_table,
    table_line,
    write_table,
)

ROWS = [["file", "class"], ["a b.jpg", "café"], ['say "x", y.jpg', "dog"]]


def read(path):
    return [cells for _, cells in read_table(path)]


@pytest.mark.parametrize("bom", [b"", b"\xef\xbb\xbf"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_tables_of_spreadsheets(tmp_path, bom, end, separator):
    path = tmp_path / "table.csv"
    with open(path, "w", encoding="utf-8", newline="") as file:
        csv.writer(file, delimiter=separator, lineterminator=end).writerows(ROWS)
    path.write_bytes(bom + path.read_bytes())
    assert list(read_table(path)) == list(enumerate(ROWS, 1))


def test_tabs_separate_a_tsv_whatever_its_first_line(tmp_path):
    path = tmp_path / "table.TSV"
    path.write_text("a,b\tc\n1\t2;3\n")
    assert read(path) == [["a,b", "c"], ["1", "2;3"]]


def test_semicolons_in_a_table_of_commas_separate_nothing(tmp_path):
    path = tmp_path / "table.csv"
    path.write_text('"one;two",b;c\n1;2,3\n')
    assert read(path) == [["one;two", "b;c"], ["1;2", "3"]]
    path.write_text('"one,two";b\n1,5;3\n')
    assert read(path) == [["one,two", "b"], ["1,5", "3"]]


def test_blank_rows_are_left_out_and_lines_counted(tmp_path):
    path = tmp_path / "table.csv"
    path.write_text('\n \na,b\n,,\n"two\nlines",c\n\nlast,d\n')
    rows = [(3, ["a", "b"]), (5, ["two\nlines", "c"]), (8, ["last", "d"])]
    assert list(read_table(path)) == rows
    path.write_text("\n,\n")
    assert not list(read_table(path))


def test_long_cells(tmp_path):
    path = tmp_path / "table.csv"
    write_table(path, [["a", "x" * 200_000]])
    assert read(path) == [["a", "x" * 200_000]]


def test_other_encodings_are_refused_with_the_line(tmp_path):
    path = tmp_path / "table.csv"
    path.write_bytes("file,class\r\na.jpg,dog\r\nb.jpg,café\r\n".encode("cp1252"))
    with pytest.raises(DecError, match=re.escape(f"{path}:3: is not UTF-8; save it")):
        read(path)
    path.write_bytes("file,class\n".encode("utf-16"))
    with pytest.raises(DecError, match=":1: is not UTF-8"):
        read(path)


def test_faults_of_quotes_name_the_line(tmp_path):
    path = tmp_path / "table.csv"
    path.write_text('file,class\n"a.jpg,dog\nb.jpg,cat\n')
    with pytest.raises(DecError, match=re.escape(f"{path}:2: not a row of CSV")):
        read(path)
    path.write_text('file,class\n\n"a" b,dog\n')
    with pytest.raises(DecError, match=re.escape(f"{path}:3: not a row of CSV")):
        read(path)


def test_no_file(tmp_path):
    with pytest.raises(DecError, match="none.csv: cannot be read: No such file"):
        read(tmp_path / "none.csv")


def test_any_name_comes_back(tmp_path):
    parts = ["\\", "udc80", "udcff", "udc7f", "\r", "\n", '"', ",", ";", "\t", "é"]
    parts += [os.fsdecode(b"\x80"), os.fsdecode(b"\xff"), " ", "a", "\u2028", "\x85"]
    draw = random.Random(1)
    rows = [["file", "class"]]
    for _ in range(5000):
        names = ["".join(draw.choices(parts, k=draw.randint(0, 7))) for _ in "ab"]
        rows.append(["x" + names[0], names[1]])
    path = tmp_path / "table.csv"
    write_table(path, rows)
    path.read_bytes().decode("utf-8")
    assert read(path) == rows


def test_how_names_are_written():
    assert table_line(["é \\n.jpg", 1, 0.5, None]) == "é \\n.jpg,1,0.5,\n"
    assert table_line([os.fsdecode(b"\xff\\\x80")]) == "\\udcff\\\\\\udc80\n"
    assert table_line(["\\udc80 udc80 \\udc7f"]) == "\\\\udc80 udc80 \\udc7f\n"
    assert table_line(["Icon\r"]) == '"Icon\r"\n'


def test_bytes_of_names_in_tables_of_earlier_versions(tmp_path):
    path = tmp_path / "table.csv"
    path.write_bytes(b"file,class\n\xff.jpg,dog\n")
    assert list(read_table(path, ours=True))[1] == (
        2,
        [os.fsdecode(b"\xff.jpg"), "dog"],
    )


@pytest.mark.parametrize("names", [["a.jpg", "b.jpg"], ["a\nb", 'say "x",\n.jpg']])
def test_rows_that_a_kill_cut_short(tmp_path, names):
    path = tmp_path / "table.csv"
    whole = [b"file,class\n", *(table_line([n, "dog"]).encode() for n in names)]
    content = b"".join(whole)
    ends = {sum(map(len, whole[:i])) for i in range(4)}
    for length in range(len(content) + 1):
        path.write_bytes(content[:length])
        cut_half_row(path)
        left = path.read_bytes()
        assert len(left) == max(end for end in ends if end <= length)
        assert content.startswith(left)


def test_damage_in_the_middle_is_not_cut_off(tmp_path):
    path = tmp_path / "table.csv"
    content = b'file,class\n"a.jpg,dog\n' + b"b.jpg,cat\n" * 10_000
    path.write_bytes(content)
    with pytest.raises(DecError, match="table.csv: damaged: a quote does not close"):
        cut_half_row(path)
    assert path.read_bytes() == content


def test_pairs(tmp_path):
    path = tmp_path / "table.csv"
    path.write_text("class,file\n dog ,a.jpg\ncat,b.jpg\ndog,a.jpg\n,c.jpg\n")
    found = {"a.jpg": (2, "dog"), "b.jpg": (3, "cat"), "c.jpg": (5, "")}
    assert read_pairs(path, "file", "class") == found
    path.write_text("class,file\ndog,a.jpg\n\ncat,a.jpg\n")
    words = ':4: a.jpg has the class "cat" here and "dog" in line 2; decide'
    with pytest.raises(DecError, match=words):
        read_pairs(path, "file", "class")
    path.write_text("class,file\ndog\n")
    with pytest.raises(DecError, match=":2: the file is empty"):
        read_pairs(path, "file", "class")


def test_a_table_that_cannot_be_written_is_not_begun(tmp_path):
    path = tmp_path / "table.csv"
    write_table(path, ROWS)

    def fails():
        yield ["file"]
        raise DecError("no")

    with pytest.raises(DecError, match="no"):
        write_table(path, fails())
    assert read(path) == ROWS
    assert os.listdir(tmp_path) == ["table.csv"]
    with pytest.raises(DecError, match="cannot be written"):
        write_table(tmp_path / "none" / "table.csv", ROWS)


def test_columns_by_name(tmp_path):
    path = tmp_path / "table.csv"
    path.write_text(" class ,note,file\ndog,,a.jpg\ncat,x\n")
    rows = [(2, ["a.jpg", "dog"]), (3, ["", "cat"])]
    assert list(read_columns(path, ["file", "class"])) == rows


@pytest.mark.parametrize(
    "text, message",
    [
        ("", ":1: the first line must name the columns file,class, each once"),
        ("\nfile,label\n", ":2: the first line must name the columns"),
        ("file,class,class\n", ":1: the first line must name the columns"),
        ("file,class\na,b.jpg,cat\n", ":2: 3 cells, for 2 columns"),
    ],
)
def test_columns_that_are_not_there(tmp_path, text, message):
    path = tmp_path / "table.csv"
    path.write_text(text)
    with pytest.raises(DecError, match=re.escape(f"{path}{message}")):
        list(read_columns(path, ["file", "class"]))
