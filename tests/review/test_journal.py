"""The journal: what was confirmed is there, whatever happened afterwards."""

import os
import subprocess
import sys

import pytest

from dec.base.errors import DecError
from dec.review.journal import Journal, read_lines

LINES = [{"do": "mark", "items": ["a\udcff.jpg"], "class": "é"}, {"do": "undo"}]


@pytest.fixture
def path(tmp_path):
    journal = Journal(tmp_path / "answers.jsonl")
    for line in LINES:
        journal.append(line)
    journal.close()
    return journal.path


def test_what_was_written_is_read(path):
    assert read_lines(path) == LINES
    journal = Journal(path)
    assert journal.lines == LINES
    journal.close()


@pytest.mark.parametrize("torn", [b'{"do":"un', b'{"do":"undo"}', b"\0\0\0\n"])
def test_a_torn_last_line_is_cut_off(path, torn):
    with open(path, "ab") as file:
        file.write(torn)
    assert read_lines(path) == LINES
    journal = Journal(path)
    journal.append({"do": "redo"})
    journal.close()
    assert read_lines(path) == [*LINES, {"do": "redo"}]


def test_damage_in_the_middle_is_named_and_not_touched(path):
    content = b"not JSON\n" + path.read_bytes()
    path.write_bytes(content)
    with pytest.raises(DecError, match=":1: damaged"):
        Journal(path)
    assert path.read_bytes() == content


def test_one_writer(path):
    journal = Journal(path)
    with pytest.raises(DecError, match="another `dec review`"):
        Journal(path)
    journal.close()
    Journal(path).close()


def test_a_full_disk_adds_nothing(path, monkeypatch):
    journal = Journal(path)
    write = os.write

    def half(fd, content):
        monkeypatch.setattr(os, "write", full)
        return write(fd, content[:5])

    def full(fd, content):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "write", half)
    with pytest.raises(DecError, match="No space left"):
        journal.append({"do": "redo"})
    monkeypatch.undo()
    assert read_lines(path) == LINES
    journal.append({"do": "redo"})
    assert read_lines(path) == [*LINES, {"do": "redo"}]
    journal.close()


def test_a_kill_loses_nothing_that_was_confirmed(tmp_path):
    code = """
import sys
from pathlib import Path
from dec.review.journal import Journal
journal = Journal(Path(sys.argv[1]))
for number in range(10**6):
    journal.append({"number": number})
    print(number, flush=True)
"""
    path = tmp_path / "killed.jsonl"
    child = subprocess.Popen(
        [sys.executable, "-c", code, str(path)], stdout=subprocess.PIPE, text=True
    )
    for line in child.stdout:
        if int(line) == 50:
            child.kill()
            break
    confirmed = [50, *map(int, child.stdout.read().split())][-1]
    child.wait()
    assert [line["number"] for line in read_lines(path)][: confirmed + 1] == list(
        range(confirmed + 1)
    )
