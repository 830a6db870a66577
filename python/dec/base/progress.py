"""Words and bars for whoever watches, on the terminal's standard error."""

import contextlib
import os
import sys
from collections.abc import Iterator
from typing import TextIO

from tqdm import tqdm

_stream = sys.stderr
_descriptor = 2  # to which children write


@contextlib.contextmanager
def shown_on(stream: TextIO) -> Iterator[None]:
    """Words and bars go to a stream that has a descriptor, those of children too."""
    global _stream, _descriptor  # noqa: PLW0603
    before = _stream, _descriptor
    _stream, _descriptor = stream, stream.fileno()
    try:
        yield
    finally:
        _stream, _descriptor = before


def keep_stream() -> None:
    """Goes on writing where it does now after fd 2 has been redirected."""
    global _stream
    # As sys.stderr does: a name may hold bytes that are not UTF-8.
    kept = os.dup(_descriptor)
    _stream = os.fdopen(kept, "w", buffering=1, errors="backslashreplace")


def say(text: str) -> None:
    """Prints one line."""
    tqdm.write(text, file=_stream)
    _stream.flush()


class _Lines:
    """A stream on which every state of a bar is a line of its own, for log files."""

    def write(self, text: str) -> None:
        _stream.write(text.replace("\r", "\n").lstrip("\n"))
        if text.startswith("\r"):
            _stream.write("\n")

    def flush(self) -> None:
        _stream.flush()


def bar(total: int | None, what: str, unit: str = "it", initial: int = 0) -> tqdm:
    """A progress bar with the time left; in a log file a line every ten seconds."""
    live = _stream.isatty()
    return tqdm(
        total=total,
        initial=initial,
        desc=what,
        unit=unit,
        unit_scale=unit == "B",
        file=_stream if live else _Lines(),
        mininterval=0.2 if live else 10,
        dynamic_ncols=live,
        ascii=True,
    )
