"""Fetch one file over http(s): mirrors, resume, retries, verification.

A half-fetched file waits as ``<dest>.part``; `dest` itself is only ever whole and
verified.
"""

import email.utils
import fcntl
import hashlib
import http.client
import os
import queue
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterable
from pathlib import Path

from dec.base.atomic import sync_dir
from dec.base.errors import DecError
from dec.base.progress import bar, say

ANSWER_SECONDS = 20  # for name lookup, connection and headers together
SILENCE_SECONDS = 30  # without a byte: the connection counts as dropped
SLOWEST = 1024  # bytes/s, over SILENCE_SECONDS; below, counts as dropped too
ATTEMPTS = 5  # a mirror gets, without getting further
WAIT_SECONDS = 1  # before the second attempt; doubles with each
LONGEST_WAIT = 60  # also caps a server's Retry-After
_CHUNK = 1 << 18
_sleep = time.sleep


class _Dropped(Exception):
    """This attempt failed and another may succeed."""

    def __init__(self, text, wait=None):
        super().__init__(text)
        self.wait = wait


class _MirrorFailed(Exception):
    """No use in asking this mirror again."""


def fetch(  # noqa: PLR0913
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
    with _Part(dest, resume=verifiable) as part:
        for url in urls:
            try:
                _from_mirror(url, part, size, fault)
            except _MirrorFailed as error:
                failures.append(f"  {url}: {error}")
                say(f"{dest.name}: {url}: {error}")
            else:
                part.move_to(dest)
                return url
    if by_hand is None:
        by_hand = f"Get it by hand from one of these addresses and save it as {dest}."
    raise DecError(
        "\n".join([f"{dest.name} could not be fetched:", *failures, by_hand])
    )


def sha256_of(path: str | Path) -> str:
    """The SHA-256 of a file, in hexadecimal."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


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


def _from_mirror(url, part, size, fault):
    """Completes and verifies `part` from one URL, or raises _MirrorFailed."""
    furthest = part.size
    tries = 0
    while True:
        if not part.resume:
            part.restart()
        resumed = part.size > 0
        try:
            _attempt(url, part, size)
        except _Dropped as error:
            # A connection that drops but gets on may drop as often as it likes.
            tries = 1 if part.size >= furthest + (1 << 20) else tries + 1
            furthest = max(furthest, part.size)
            if tries >= ATTEMPTS:
                raise _MirrorFailed(f"{error} ({tries} attempts)") from None
            wait = error.wait
            if wait is None:
                wait = WAIT_SECONDS * 2 ** (tries - 1)
            wait = min(wait, LONGEST_WAIT)
            say(f"{url}: {error}; trying again in {wait:.0f} s")
            _sleep(wait)
            continue
        wrong = fault(part.path)
        if wrong is None:
            return
        part.restart()
        if not resumed:
            raise _MirrorFailed(wrong)
        say(f"{url}: the resumed file is wrong; starting over")


def _attempt(url, part, size):
    """One request: appends what `part` is missing, all of it or _Dropped."""
    headers = {"User-Agent": "dec-caffe", "Accept-Encoding": "identity"}
    if part.size:
        headers["Range"] = f"bytes={part.size}-"
    try:
        with _open(urllib.request.Request(url, headers=headers)) as response:
            if response.status == 206:
                first, total = _content_range(response)
                if first != part.size:
                    part.restart()
                    raise _Dropped("answered with another part than asked for", 0)
            else:
                part.restart()
                length = response.headers.get("Content-Length", "")
                total = int(length) if length.isdigit() else None
            if size is not None and total not in (None, size):
                raise _MirrorFailed(f"offers {total} bytes, expected {size}")
            _copy(response, part, total if total is not None else size)
    except urllib.error.HTTPError as error:
        with error:
            _explain_status(error, part)
    except urllib.error.URLError as error:
        if isinstance(error.reason, (ConnectionResetError, BrokenPipeError)):
            raise _Dropped(f"connection dropped ({error.reason})") from None
        raise _MirrorFailed(f"cannot be reached ({error.reason})") from None
    except (OSError, http.client.HTTPException) as error:
        raise _Dropped(f"connection dropped ({error or type(error)})") from None
    except ValueError as error:
        raise _MirrorFailed(f"not a usable address ({error})") from None


def _open(request):
    """urlopen, given up as a whole after ANSWER_SECONDS.

    urllib's own time-out is for each address of a host, and not for its lookup:
    without network these add up to minutes.
    """
    answer = queue.SimpleQueue()

    def work():
        try:
            answer.put(urllib.request.urlopen(request, timeout=SILENCE_SECONDS))
        except BaseException as error:
            answer.put(error)

    threading.Thread(target=work, daemon=True).start()
    try:
        response = answer.get(timeout=ANSWER_SECONDS)
    except queue.Empty:
        raise _MirrorFailed(f"no answer within {ANSWER_SECONDS} s") from None
    if isinstance(response, BaseException):
        raise response
    return response


def _copy(response, part, total):
    """Appends the body to `part`; _Dropped unless that makes `total` bytes."""
    mark, mark_size = time.monotonic(), part.size
    with bar(total, part.name, "B", initial=part.size) as shown:
        # read1 returns what has come: with read, a slow line would show nothing.
        while chunk := response.read1(_CHUNK):
            part.append(chunk)
            shown.update(len(chunk))
            if total is not None and part.size > total:
                part.restart()
                raise _MirrorFailed(f"sends more than the {total} bytes expected")
            elapsed = time.monotonic() - mark
            if elapsed > SILENCE_SECONDS:
                if part.size - mark_size < SLOWEST * elapsed:
                    raise _Dropped(f"slower than {SLOWEST} bytes a second")
                mark, mark_size = time.monotonic(), part.size
    if total is not None and part.size < total:
        raise _Dropped(f"connection dropped after {part.size} of {total} bytes")


def _content_range(response):
    """First byte and whole length (None if unknown) of a 206 answer."""
    unit, _, rest = response.headers.get("Content-Range", "").partition(" ")
    span, _, total = rest.partition("/")
    first = span.partition("-")[0]
    if unit != "bytes" or not first.isdigit():
        return None, None
    return int(first), int(total) if total.isdigit() else None


def _explain_status(error, part):
    text = f"answered {error.code} {error.reason}"
    if error.code == 416 and part.size:
        # The part is already as long as the file, or longer. If it is whole the
        # caller's verification will say so.
        if error.headers.get("Content-Range") == f"bytes */{part.size}":
            return
        part.restart()
        raise _Dropped(text, 0)
    if error.code in (408, 429) or error.code >= 500:
        raise _Dropped(text, _retry_after(error.headers.get("Retry-After")))
    raise _MirrorFailed(text)


def _retry_after(value):
    """Seconds that a Retry-After header (a number or a date) asks for, or None."""
    if not value:
        return None
    if value.strip().isdigit():
        return int(value)
    try:
        at = email.utils.parsedate_to_datetime(value).timestamp()
    except ValueError:
        return None
    return max(0, at - time.time())


class _Part:
    """The growing ``<dest>.part``, locked against a second process."""

    def __init__(self, dest, resume):
        self.path = dest.with_name(dest.name + ".part")
        self.name = dest.name
        self.resume = resume

    def __enter__(self):
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._fd = self._open_locked()
        except BlockingIOError:
            raise DecError(
                f"{self.path}: another process is fetching this file; "
                "wait for it or stop it"
            ) from None
        except OSError as error:
            raise self._unwritable(error) from error
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
        try:
            while view:
                written = os.write(self._fd, view)
                view = view[written:]
                self.size += written
        except OSError as error:
            raise self._unwritable(error) from error

    def restart(self):
        try:
            os.ftruncate(self._fd, 0)
        except OSError as error:
            raise self._unwritable(error) from error
        self.size = 0

    def move_to(self, dest):
        try:
            os.fsync(self._fd)
            os.replace(self.path, dest)
            sync_dir(dest.parent)
        except OSError as error:
            raise self._unwritable(error) from error

    def _unwritable(self, error):
        kept = " What has come so far is kept." if self.resume else ""
        return DecError(f"{self.path}: cannot be written: {error.strerror}.{kept}")
