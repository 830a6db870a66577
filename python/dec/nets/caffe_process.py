"""Runs work that uses Caffe in a child process.

A failed check in Caffe ends its process. In a child that is an error like any
other: the parent finds Caffe's words in the log and tells the user.
"""

import contextlib
import ctypes
import gc
import os
import pickle
import queue
import re
import signal
import sys
import threading
import traceback
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from dec.base import progress
from dec.base.errors import DecError

_FATAL = re.compile(r"^F\d{4,8} [\d:.]+ +\d+ (\S+:\d+)\] (.*)", re.MULTILINE)
_PR_SET_PDEATHSIG = 1
_NO_READER = 141  # exit code: whoever read the child's output has seen enough
_children: set[int] = set()  # that are at work


def run(
    work: Callable[..., None], log: Path, feed: Iterable[object] | None = None
) -> None:
    """Does the work in a child whose standard error goes to the log file.

    feed: what `work` gets an iterator of, made in this process while the child works:
    by processes of joblib or a cluster, say, which a child can not talk to. An error in
    making it ends the child and passes.

    Raises DecError with what failed: the work's own DecError, Caffe's fatal
    check, or the signal that ended the child; or that the log cannot be written.
    KeyboardInterrupt and BrokenPipeError pass.
    """
    try:
        log.parent.mkdir(parents=True, exist_ok=True)
        errors = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    except OSError as error:
        raise DecError(f"{log}: cannot be written: {error.strerror}") from None
    start = os.fstat(errors).st_size
    sys.stdout.flush()
    sys.stderr.flush()
    reader, writer = os.pipe()
    source, sink = os.pipe() if feed is not None else (None, None)

    def in_child() -> int:
        os.close(reader)
        if source is None:
            return _child(work, errors, writer)
        os.close(sink)
        return _child(lambda: work(_received(source)), errors, writer)

    child, ended = _fork(in_child)
    os.close(writer)
    os.close(errors)
    _children.add(child)
    try:
        if source is not None:
            os.close(source)
            _send(feed, sink)
    except BaseException:
        os.kill(child, signal.SIGKILL)
        os.close(reader)
        raise
    finally:
        status = _wait(child)
        _children.discard(child)
        ended()
    message = os.fdopen(reader).read()
    if os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGINT:
        raise KeyboardInterrupt
    if os.WIFEXITED(status) and os.WEXITSTATUS(status) == _NO_READER:
        raise BrokenPipeError
    if status != 0:
        raise DecError(message or _what_failed(status, log, start))


def _send(feed: Iterable[object], sink: int) -> None:
    try:
        for item in feed:
            if not _is_written(sink, pickle.dumps(item, pickle.HIGHEST_PROTOCOL)):
                return  # the child has ended; its status says why
    finally:
        os.close(sink)


def _is_written(sink: int, data: bytes) -> bool:
    left = memoryview(data)
    try:
        while left:
            left = left[os.write(sink, left) :]
    except BrokenPipeError:
        return False
    return True


def _received(source: int) -> Iterator[object]:
    with open(source, "rb") as file:
        while True:
            try:
                yield pickle.load(file)
            except EOFError:
                return


def interrupt() -> None:
    """Ctrl-C for the children at work, where no terminal sends it to them."""
    for child in tuple(_children):
        with contextlib.suppress(ProcessLookupError):
            os.kill(child, signal.SIGINT)


def _fork(child: Callable[[], int]) -> tuple[int, Callable[[], None]]:
    """Starts a child; returns its number, and what to call when it has ended.

    It is born of a thread of its own: in a child libgomp's threads are gone, and it
    waits for them for ever where the thread that forked had used them, say in a k-means
    before. That thread lives as long as the child, which would be killed with it
    (PR_SET_PDEATHSIG).
    """
    born: queue.SimpleQueue[int | OSError] = queue.SimpleQueue()
    ended = threading.Event()

    def fork() -> None:
        try:
            pid = os.fork()
        except OSError as error:
            born.put(error)
            return
        if pid == 0:
            os._exit(child())
        born.put(pid)
        ended.wait()

    threading.Thread(target=fork, daemon=True).start()
    found = born.get()
    if isinstance(found, OSError):
        raise DecError(f"no process could be started: {found.strerror}")
    return found, ended.set


def _child(work: Callable[[], None], errors: int, writer: int) -> int:
    # Nobody would stop the child of a parent that was killed.
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    # Nor clear away what the parent has left lying: where that waits for threads of
    # the parent's, as an onnxruntime session does in the end, it would for ever.
    gc.freeze()
    progress.keep_stream()
    os.dup2(errors, 2)
    try:
        import caffe

        caffe.init_log()
        work()
        sys.stdout.flush()  # what it has printed would go with it
    except DecError as error:
        os.write(writer, str(error).encode())
        return 1
    except BrokenPipeError:
        return _NO_READER
    except KeyboardInterrupt:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        os.kill(os.getpid(), signal.SIGINT)
    except BaseException:
        os.write(2, traceback.format_exc().encode())
        return 1
    return 0


def _wait(child: int) -> int:
    while True:
        try:
            return os.waitpid(child, 0)[1]
        except KeyboardInterrupt:
            # The terminal sent it to the child too, which ends by itself.
            continue


def _what_failed(status: int, log: Path, start: int) -> str:
    with open(log, "rb") as file:
        file.seek(start)
        text = file.read().decode(errors="replace")
    fatal = list(_FATAL.finditer(text))
    if fatal:
        words = text[fatal[-1].start(2) :].split("*** Check failure")[0].strip()
        return f"Caffe stopped: {words}\n({fatal[-1][1]}; the whole log is {log})"
    if os.WIFSIGNALED(status):
        number = os.WTERMSIG(status)
        hint = " (out of memory?)" if number == signal.SIGKILL else ""
        name = signal.Signals(number).name
        return f"the work was ended by {name}{hint}; the log is {log}"
    last = text.strip().splitlines()[-1:] or ["no message"]
    return f"internal error: {last[0]}; please report it with the log, {log}"
