"""Work with Caffe in a process that is not ours: a notebook, a server, a test.

Caffe runs in children, as everywhere (`caffe_process`). What is added here is what the
owner of the process may expect: words where the owner looks for them, and an interrupt
that ends the work.
"""

import os
import pty
import re
import select
import struct
import sys
import termios
import threading
import time
from collections.abc import Callable
from fcntl import ioctl
from typing import TypeVar

from dec.base import progress
from dec.nets import caffe_process

_PAUSE = 1.0  # seconds between two states of a bar that a notebook is sent
_SIZE = struct.pack("HHHH", 24, 88, 0, 0)  # of the terminal that it plays
_OVERWRITTEN = re.compile(r"\r[^\r\n]*(?=\r)")

# Two at once would share the cores and mix their words.
_one = threading.Lock()

Out = TypeVar("Out")


def run(work: Callable[[], Out], show: bool) -> Out:
    """Does the work in a thread of its own, children and all; returns what it does.

    show: whether what `progress` has to say is seen: on standard error, or wherever
    Python's sys.stderr leads, which a notebook has below the cell. Calls from several
    threads wait for each other. Raises what the work raises; KeyboardInterrupt ends
    its child first.
    """
    with _one:
        reader, writer = _ends(show)
        try:
            return _run(work, reader, writer)
        finally:
            if reader is not None:
                os.close(reader)


def _run(work: Callable[[], Out], reader: int | None, writer: int) -> Out:
    out: list[Out] = []
    failed: list[BaseException] = []
    done = threading.Event()

    def whole() -> None:
        try:
            with os.fdopen(writer, "w", buffering=1) as to, progress.shown_on(to):
                out.append(work())
        except BaseException as error:
            failed.append(error)
        finally:
            done.set()

    thread = threading.Thread(target=whole)
    thread.start()
    interrupted = False
    # Not thread.join(): interrupted, Python 3.11 takes the thread for ended.
    while not done.is_set():
        try:
            if interrupted:
                caffe_process.interrupt()
                done.wait(0.1)
            else:
                _relay(reader)
                done.wait()
        except KeyboardInterrupt:
            interrupted = True
    thread.join()
    if interrupted:
        raise KeyboardInterrupt
    if failed:
        raise failed[0]
    return out[0]


def _ends(show: bool) -> tuple[int | None, int]:
    """Where words are written and, if they are to be passed on, where they come out."""
    if not show:
        return None, os.open(os.devnull, os.O_WRONLY)
    if sys.stderr is sys.__stderr__:
        return None, os.dup(2)
    if not type(sys.stderr).__module__.startswith("ipykernel"):
        return os.pipe()
    reader, writer = pty.openpty()  # a terminal has bars that move
    ioctl(writer, termios.TIOCSWINSZ, _SIZE)
    return reader, writer


def _relay(reader: int | None) -> None:
    """Passes words on to sys.stderr, to their end; old states of a bar are left out."""
    while reader is not None:
        select.select([reader], [], [])
        try:
            part = os.read(reader, 65536)
        except OSError:  # EIO: so ends a terminal
            return
        if not part:
            return
        text = part.decode(errors="replace").replace("\r\n", "\n")
        sys.stderr.write(_OVERWRITTEN.sub("", text))
        sys.stderr.flush()
        if not text.endswith("\n"):
            time.sleep(_PAUSE)  # saved notebooks keep every state that they are sent
