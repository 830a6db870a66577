"""Fetch one file over http(s): mirrors, resume, retries, verification.

A half-fetched file waits as ``<dest>.part``; `dest` itself is only ever whole and
verified.
"""

import contextlib
import fcntl
import os
import re
import time
from collections.abc import Callable, Iterable
from pathlib import Path

from dec.base.atomic import sync_dir
from dec.base.digest import sha256_of
from dec.base.errors import DecError
from dec.base.pace import LONGEST_WAIT, back_off
from dec.base.progress import bar, say
from dec.base.web import Client, Failure, Late

ANSWER_SECONDS = 20  # for name lookup, connection and headers together
SILENCE_SECONDS = 30  # without a byte: the connection counts as dropped
SLOWEST = 1024  # bytes/s, over SILENCE_SECONDS; below, counts as dropped too
ATTEMPTS = 5  # a mirror gets, without getting further
# Content-Range: the first byte and the length of the whole.
_SPAN = re.compile(r"bytes (\d{1,18})-\d*/(?:(\d{1,18})|\*)", re.ASCII)
_sleep = time.sleep


def fetch(
    urls: Iterable[str],
    dest: str | Path,
    *,
    sha256: str | None = None,
    size: int | None = None,
    check: Callable[[Path], object] | None = None,
    by_hand: str | None = None,
) -> str | None:
    """Gets `dest` from the first of `urls` that delivers it; returns that URL.

    The file is right when it has `size` bytes, the hash `sha256` (hex) and
    `check(path)` raises no DecError, as far as these are given. A `dest` that is
    there and right (some hash or check being given) is kept, and None returned.

    A broken download is resumed, in this call or a later one, but only if `sha256`
    or `check` would find out that the parts do not fit together.

    Raises DecError when no mirror delivers (what each of them answered, then the
    sentence `by_hand`), or when the disk is full or may not be written to. An
    existing `dest` stays as it was.
    """
    dest = Path(dest)
    verifiable = bool(sha256 or check)

    def fault(path):
        return _fault(path, sha256, size, check)

    if verifiable and dest.is_file() and fault(dest) is None:
        return None
    failures = []
    client = Client(ANSWER_SECONDS, silence=SILENCE_SECONDS)
    with contextlib.closing(client), _Part(dest, resume=verifiable) as part:
        for url in urls:
            try:
                _from_mirror(client, url, part, size, fault)
            except Failure as failure:
                failures.append(f"  {url}: {failure}")
                say(f"{dest.name}: {url}: {failure}")
            else:
                part.move_to(dest)
                return url
    if by_hand is None:
        by_hand = f"Get it by hand from one of these addresses and save it as {dest}."
    raise DecError(
        "\n".join([f"{dest.name} could not be fetched:", *failures, by_hand])
    )


def _fault(path, sha256, size, check):
    """What is wrong with a fetched file, or None."""
    try:
        if size is not None and path.stat().st_size != size:
            return f"{path.stat().st_size} bytes, expected {size}"
        if sha256 and (found := sha256_of(path)) != sha256.lower():
            return f"wrong content: its SHA-256 is {found}, expected {sha256}"
        if check:
            check(path)
    except OSError as error:
        return f"cannot be read: {error.strerror}"
    except DecError as error:
        return f"wrong content: {error}"
    return None


def _from_mirror(client, url, part, size, fault):
    """Completes and verifies `part` from one URL, or raises the last Failure."""
    furthest = part.size
    tries = 0
    while True:
        if not part.resume:
            part.restart()
        resumed = part.size > 0
        try:
            _attempt(client, url, part, size)
        except Failure as failure:
            if _is_final(failure):
                raise
            # A connection that drops but gets on may drop as often as it likes.
            tries = 1 if part.size >= furthest + (1 << 20) else tries + 1
            furthest = max(furthest, part.size)
            if tries >= ATTEMPTS:
                raise Failure(f"{failure} ({tries} attempts)") from None
            wait = back_off(tries) if failure.wait is None else failure.wait
            wait = min(wait, LONGEST_WAIT)
            say(f"{url}: {failure}; trying again in {wait:.0f} s")
            _sleep(wait)
            continue
        wrong = fault(part.path)
        if wrong is None:
            return
        part.restart()
        if not resumed:
            raise Failure(wrong)
        say(f"{url}: the resumed file is wrong; starting over")


def _is_final(failure):
    """Whether the next mirror is the better choice."""
    if not failure.reached:
        return not isinstance(
            failure.__cause__, (ConnectionResetError, BrokenPipeError)
        )
    return not failure.again or isinstance(failure, Late)


def _attempt(client, url, part, size):
    """One request: appends what `part` is missing, all of it or Failure."""
    headers = {"Range": f"bytes={part.size}-"} if part.size else {}
    with client.ask(url, headers) as reply:
        if reply.status in (200, 203, 206):
            _receive(reply, part, size)
            return
    failure = reply.refusal()
    if reply.status == 416 and part.size:
        # The part is already as long as the file, or longer. If it is whole the
        # caller's verification will say so.
        if reply.headers.get("Content-Range") == f"bytes */{part.size}":
            return
        part.restart()
        failure = Failure(failure, wait=0)
    raise failure


def _receive(reply, part, size):
    total = reply.length
    if reply.status == 206:
        span = _SPAN.fullmatch(reply.headers.get("Content-Range", ""))
        if not span or int(span[1]) != part.size:
            part.restart()
            raise Failure("answered with another part than asked for", wait=0)
        total = int(span[2]) if span[2] else None
    else:
        part.restart()
    if size is not None and total not in (None, size):
        raise Failure(f"offers {total} bytes, expected {size}", again=False)
    _copy(reply, part, total if total is not None else size)


def _copy(reply, part, total):
    """Appends the body to `part`; Failure unless that makes `total` bytes."""
    mark, mark_size = time.monotonic(), part.size
    with bar(total, part.name, "B", initial=part.size) as shown:
        for piece in reply.pieces():
            part.append(piece)
            shown.update(len(piece))
            if total is not None and part.size > total:
                part.restart()
                words = f"sends more than the {total} bytes expected"
                raise Failure(words, again=False)
            elapsed = time.monotonic() - mark
            if elapsed > SILENCE_SECONDS:
                if part.size - mark_size < SLOWEST * elapsed:
                    raise Failure(f"slower than {SLOWEST} bytes a second")
                mark, mark_size = time.monotonic(), part.size
    if total is not None and part.size < total:
        raise Failure(f"connection dropped after {part.size} of {total} bytes")


class _Part:
    """The growing ``<dest>.part``, locked against a second process."""

    def __init__(self, dest, resume):
        self.path = dest.with_name(dest.name + ".part")
        self.name = dest.name
        self.resume = resume

    def __enter__(self):
        with self._writing():
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._fd = self._open_locked()
        self.size = os.fstat(self._fd).st_size
        return self

    def __exit__(self, kind, error, traceback):
        try:
            if self.path.exists() and (not self.resume or self.size == 0):
                self.path.unlink()
        finally:
            os.close(self._fd)

    def _open_locked(self):
        while True:
            fd = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o666)
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                # Between open and lock another process may have finished the file
                # and moved it away: it is no longer ours to write to.
                if os.path.samestat(os.fstat(fd), os.stat(self.path)):
                    return fd
            except FileNotFoundError:
                pass
            except BaseException:
                os.close(fd)
                raise
            os.close(fd)

    def append(self, chunk):
        view = memoryview(chunk)
        with self._writing():
            while view:
                written = os.write(self._fd, view)
                view = view[written:]
                self.size += written

    def restart(self):
        with self._writing():
            os.ftruncate(self._fd, 0)
        self.size = 0

    def move_to(self, dest):
        with self._writing():
            os.fsync(self._fd)
            os.replace(self.path, dest)
            sync_dir(dest.parent)

    @contextlib.contextmanager
    def _writing(self):
        try:
            yield
        except BlockingIOError:
            raise DecError(
                f"{self.path}: another process is fetching this file; "
                "wait for it or stop it"
            ) from None
        except OSError as error:
            kept = " What has come so far is kept." if self.resume else ""
            words = f"{self.path}: cannot be written: {error.strerror}.{kept}"
            raise DecError(words) from error
