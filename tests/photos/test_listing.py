"""The list of photos to fetch: which lines and ids it takes, and what it refuses."""

import pytest

from dec.base.errors import DecError
from dec.photos.fetch import Options, fetch
from dec.photos.listing import read_listing, why_not_plain


def test_list_as_in_the_report(tmp_path):
    path = tmp_path / "photos.txt"
    path.write_bytes(
        "\ufeff5a36f382-dbdf-11e6-95fd-d746d863c3eb | Những người ăn xin | vie\r\n"
        "5a36f382-dbdf-11e6-95fd-d746d863c3eb | Mendiants | fra\r\n"
        "\r\n"
        "17be8122 | Chợ | Cũ (3) | vie\n"
        "one\u2028word\n"
        "bare\n"
        "an id with spaces | x | eng\n"
        "not a line\n"
        "../../etc/passwd | x | eng\n"
        "../../etc/passwd | x | fra".encode()
        + b"\ncaf\xe9 | x | fra\nok | caf\xe9 | fra"
    )
    found = read_listing(path)
    assert found.ids == [
        "5a36f382-dbdf-11e6-95fd-d746d863c3eb",
        "17be8122",
        "bare",
        "an id with spaces",
        "ok",
    ]
    assert found.lines == 11
    assert found.duplicates == 2
    assert set(found.rejected.values()) == {
        "a slash in the id",
        "not valid UTF-8",
        "a control character",
        "not a line of `id | description | language`",
    }


LISTED = ["17be8122", "5a36f382", "one", "two", "three"]


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r", "\r\r\n"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "cp1258"])
def test_any_line_end_and_encoding(tmp_path, end, encoding):
    path = tmp_path / "photos.txt"
    lines = [f"{name} | Đà Lạt, người | vie" for name in LISTED]
    if encoding == "cp1258":  # which has no letters with two accents
        lines = [line.replace("ạ", "a\u0323").replace("ờ", "ơ\u0300") for line in lines]
    path.write_bytes(end.join(lines).encode(encoding, "replace"))
    found = read_listing(path)
    assert found.ids == LISTED
    assert found.lines == 5 and not found.rejected


def test_line_ends_may_be_mixed(tmp_path):
    path = tmp_path / "photos.txt"
    path.write_bytes(b"a | x | eng\rb | x | eng\nc | x\x0by\x1cz | eng\r\nd | x | eng")
    assert read_listing(path).ids == ["a", "b", "c", "d"]


@pytest.mark.parametrize(
    "name",
    ["", ".", "..", ".hidden", "a/b", "/etc", "a\\b", "a\0b", "a\nb", "\x7f", "é" * 101]
    + ["a\x85b", "a\u2028b", "\udce9"],
)
def test_not_plain(name):
    assert why_not_plain(name)


@pytest.mark.parametrize(
    "name", ["a", "x" * 200, "Chợ Cũ (3)", "a..b", "~", "-r", "%2e"]
)
def test_plain(name):
    assert why_not_plain(name) is None


@pytest.mark.parametrize(
    "data,words",
    [
        (b"", "no lines"),
        (b"\n \n", "no lines"),
        (b"x" * 100_000, "a line of more than 65536"),
        ("a | b | c\n".encode("utf-16"), "no usable id in"),
    ],
)
def test_no_list_of_photos(tmp_path, data, words):
    path = tmp_path / "photos.txt"
    path.write_bytes(data)
    with pytest.raises(DecError, match=words):
        fetch(path, "http://localhost/", tmp_path / "out", Options())
    assert not (tmp_path / "out").exists()


def test_no_list(tmp_path):
    with pytest.raises(DecError, match="none.txt: No such file"):
        fetch(tmp_path / "none.txt", "http://localhost/", tmp_path / "out", Options())
