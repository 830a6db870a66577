"""Folders and files that are replaced in one step, or not at all."""

import errno
import os
import shutil
import subprocess

import pytest

from dec.base import atomic
from dec.base.errors import DecError


def folder(path, text):
    path.mkdir()
    (path / "file").write_text(text)
    return path


@pytest.mark.parametrize("exchange", [True, False])
def test_replace_dir(tmp_path, monkeypatch, exchange):
    if not exchange:
        monkeypatch.setattr(atomic, "_exchange", lambda a, b: False)
    target = tmp_path / "target"
    for text in ("first", "second", "third"):
        atomic.replace_dir(folder(atomic.partial_path(target), text), target)
        assert (target / "file").read_text() == text
        assert os.listdir(tmp_path) == ["target"]


def test_exchange_is_one_step(tmp_path):
    """Also shows whether this machine's file system has it, where ours must."""
    a, b = folder(tmp_path / "a", "a"), folder(tmp_path / "b", "b")
    if not atomic._exchange(a, b):
        pytest.skip("the file system of the temporary folder cannot exchange names")
    assert ((a / "file").read_text(), (b / "file").read_text()) == ("b", "a")
    with pytest.raises(FileNotFoundError):
        atomic._exchange(a, tmp_path / "nowhere")


def test_replace_follows_links(tmp_path):
    disk = tmp_path / "big_disk"
    disk.mkdir()
    folder(disk / "db", "old")
    link = tmp_path / "db"
    link.symlink_to(disk / "db")
    atomic.replace_dir(folder(atomic.partial_path(link), "new"), link)
    assert link.is_symlink()
    assert (disk / "db" / "file").read_text() == "new"
    assert os.listdir(disk) == ["db"]


def test_swap_without_exchange_that_fails(tmp_path, monkeypatch):
    monkeypatch.setattr(atomic, "_exchange", lambda a, b: False)
    target = folder(tmp_path / "target", "old")
    with pytest.raises(DecError, match="cannot be replaced"):
        atomic.replace_dir(tmp_path / "nowhere", target)
    assert (target / "file").read_text() == "old"


def dead_pid():
    process = subprocess.Popen(["true"])
    process.wait()
    return process.pid


def test_leftovers(tmp_path):
    target, dead = tmp_path / "db", dead_pid()
    folder(tmp_path / f"db.partial-{dead}", "half")
    folder(tmp_path / f"db.partial-{os.getpid()}", "ours of an earlier life")
    folder(tmp_path / f"db.partial-{os.getppid()}", "alive")
    folder(tmp_path / f"other.partial-{dead}", "of another target")
    folder(tmp_path / "db.partial-x", "not ours")
    folder(tmp_path / f"db.replaced-{dead}", "the old one")
    assert atomic.partial_path(target) == tmp_path / f"db.partial-{os.getpid()}"
    assert sorted(os.listdir(tmp_path)) == sorted(
        ["db", f"db.partial-{os.getppid()}", f"other.partial-{dead}", "db.partial-x"]
    )
    assert (target / "file").read_text() == "the old one"


def test_write_text_atomic(tmp_path, monkeypatch):
    path = tmp_path / "metrics.json"
    atomic.write_text_atomic(path, "één\n")
    atomic.write_text_atomic(path, "two\n")
    assert path.read_text(encoding="utf-8") == "two\n"

    def fail(fd):
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(DecError, match="metrics.json: .*Input/output"):
        atomic.write_text_atomic(path, "three\n")
    assert path.read_text() == "two\n"
    assert os.listdir(tmp_path) == ["metrics.json"]
    with pytest.raises(DecError, match="No such file"):
        atomic.write_text_atomic(tmp_path / "nowhere" / "a", "x")
    shutil.rmtree(tmp_path)
