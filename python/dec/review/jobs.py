"""Long work in a child process: its progress, as its terminal would show it."""

import contextlib
import fcntl
import os
import re
import signal
import struct
import subprocess
import sys
import termios
import threading
import time
from collections import deque

_COLUMNS = 100
_SHOWN = 30  # lines
# A bar of tqdm's: "features:  45%|####5     | 281/624 [00:12<00:15, 23 photos/s]".
_BAR = re.compile(
    r"(?P<what>[^:|]+): +(?P<percent>\d+)%\|[^|]*\| *(?P<done>\S+)/(?P<total>\S+) "
    r"\[(?P<spent>[\d:]+)<(?P<left>[\d:?]+)(?:, *(?P<words>.*?))?\]?$"
)
_CURVES = {"loss": re.compile(r"loss (\d+\.\d+)"),
           "accuracy": re.compile(r"val (\d+\.\d+)%")}  # fmt: skip
_POINTS = 2000  # of a curve, at most
# Of a server that was killed nobody could stop the child, or see what it does: it has
# Ctrl-C then, so that the same command goes on later.
_MAIN = """
import os, signal, sys, threading, time

def watch(parent=os.getppid()):
    while os.getppid() == parent:
        time.sleep(0.3)
    os.killpg(os.getpgrp(), signal.SIGINT)

threading.Thread(target=watch, daemon=True).start()
from dec.cli import main
sys.exit(main())
"""


class Job:
    """`dec` with these words, in a child whose terminal is ours.

    state: running, done, failed or stopped. A child that is stopped has had Ctrl-C, so
    that the same command goes on later.
    """

    def __init__(self, what: str, words: list[str]):
        self.what = what
        self.state = "running"
        self.lines: deque[str] = deque(maxlen=_SHOWN)
        self.bar: dict | None = None
        self.curves: dict[str, list[list[float]]] = {name: [] for name in _CURVES}
        self.began = time.monotonic()
        self.seconds = 0.0
        self._asked = False
        ours, theirs = os.openpty()
        size = struct.pack("HHHH", 24, _COLUMNS, 0, 0)
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, size)
        try:
            self._child = subprocess.Popen(
                [sys.executable, "-c", _MAIN, *words],
                stdin=subprocess.DEVNULL,
                stdout=theirs,
                stderr=theirs,
                start_new_session=True,
            )
        except BaseException:
            os.close(ours)
            raise
        finally:
            os.close(theirs)
        self._thread = threading.Thread(target=self._follow, args=(ours,), daemon=True)
        self._thread.start()

    @property
    def running(self) -> bool:
        return self.state == "running"

    def stop(self) -> None:
        """As Ctrl-C in a terminal does."""
        self._asked = True
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._child.pid, signal.SIGINT)

    def wait(self, seconds: float | None = None) -> None:
        self._thread.join(seconds)

    def facts(self) -> dict:
        """For the page."""
        seconds = time.monotonic() - self.began if self.running else self.seconds
        return {
            "what": self.what,
            "state": self.state,
            "bar": self.bar,
            "lines": list(self.lines),
            **self.curves,
            "seconds": round(seconds, 1),
        }

    def _follow(self, terminal: int) -> None:
        rest = b""
        while True:
            try:
                some = os.read(terminal, 65536)
            except OSError:  # EIO: the child has closed it
                some = b""
            if not some:
                break
            *whole, rest = re.split(rb"[\r\n]+", rest + some)
            for line in whole:
                self._take(line.decode("utf-8", "replace"))
        self._take(rest.decode("utf-8", "replace"))
        os.close(terminal)
        code = self._child.wait()
        self.seconds = time.monotonic() - self.began
        self.bar = None
        if code == 0:
            self.state = "done"
        else:
            self.state = "stopped" if self._asked else "failed"
            if code < 0 and not self._asked:
                self.lines.append(f"ended by signal {-code}")

    def _take(self, line: str) -> None:
        line = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", line).strip()
        if not line:
            return
        found = _BAR.match(line)
        if not found:
            if "|" not in line or "%" not in line:
                self.lines.append(line)
            return
        self.bar = found.groupdict()
        done = found["done"].replace(",", "")
        if not done.isdigit():
            return
        for name, points in self.curves.items():
            value = _CURVES[name].search(line)
            if value and (not points or points[-1][0] != float(done)):
                points.append([float(done), float(value[1])])
                if len(points) > _POINTS:
                    points[:] = points[::2]
