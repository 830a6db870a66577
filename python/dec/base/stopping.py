"""SIGTERM as an exception, so that a stopped command clears away what it has begun."""

import contextlib
import os
import signal
import threading
from collections.abc import Iterator

EXIT_CODE = 128 + signal.SIGTERM  # what a shell has for a process that it ended


class Stopped(BaseException):
    """SIGTERM has come."""


@contextlib.contextmanager
def stoppable() -> Iterator[None]:
    """Raises Stopped where the main thread is when SIGTERM comes.

    Processes that this one starts, Caffe's too, are ended by SIGTERM as ever. Does
    nothing in another thread, and where SIGTERM is ignored or handled already.
    """
    free = signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
    if not free or threading.current_thread() is not threading.main_thread():
        yield
        return
    signal.signal(signal.SIGTERM, _stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)


def _stop(number, frame):
    raise Stopped


def _as_ever():
    if signal.getsignal(signal.SIGTERM) is _stop:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)


os.register_at_fork(after_in_child=_as_ever)
