"""Tables for the terminal and in Markdown."""

import pytest

from dec.base.text_tables import aligned, markdown


def test_columns():
    rows = [("", "photos", "x"), ("ok", "1,002", ""), ("a longer one", 12345678, "y")]
    assert aligned(rows, ("<8", ">7", "<2")) == [
        "              photosx",
        "ok             1,002",
        "a longer one12345678y",
    ]
    assert aligned([("a",), ("b", 1)], ("<2", ">3")) == ["a", "b   1"]
    assert aligned([], (">3",)) == []


def test_markdown():
    assert markdown(["a", "b|c"], [(1, "d\ne"), ("", 0.5)]) == [
        "| a | b\\|c |",
        "| --- | --- |",
        "| 1 | d e |",
        "|  | 0.5 |",
    ]
    with pytest.raises(ValueError, match="1 cells for 2 columns"):
        markdown(["a", "b"], [(1,)])
