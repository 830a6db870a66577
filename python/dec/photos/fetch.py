"""`dec photos fetch`: every photo of a list, once, politely, until all are there."""

import collections
import contextlib
import errno
import hashlib
import heapq
import itertools
import os
import queue
import threading
import time
import urllib.parse
from collections import Counter
from pathlib import Path
from typing import NamedTuple

from dec.base import files, pace, web
from dec.base.errors import DecError
from dec.base.files import printable
from dec.base.progress import bar, say
from dec.photos import kinds, listing, manifest
from dec.photos.manifest import Manifest, Row

MAX_BYTES = 64 << 20  # a photo
# Pauses for a host that cannot be reached, which double up to LONGEST_WAIT: this many
# when it has never answered (15 s), or when it has before (7 minutes).
_PAUSES_AT_FIRST = 4
_PAUSES_LATER = 12
# Photos in a row that were given up, though another attempt might have succeeded.
_HOPELESS = 100
_WORK = ".dec-fetch"
_HEADERS = {"User-Agent": "dec-caffe (photo fetch)", "Accept": "image/*, */*;q=0.1"}


class Summary(NamedTuple):
    """Counts of one call; errors: how often which, most frequent first.

    lines = ids + duplicates + rejected, ids = fetched + there + failed.
    """

    lines: int
    ids: int
    duplicates: int
    fetched: int
    there: int
    failed: int
    rejected: int
    errors: list[tuple[str, int]]


class Options(NamedTuple):
    """How to fetch.

    at_once: requests in flight. rate: requests a second and host. timeout: seconds a
    request, all in all. attempts: at a photo, in one call. max_bytes: a photo. again:
    ask once more for the photos that the server has refused before.
    """

    at_once: int = 8
    rate: float = 20.0
    timeout: float = 60.0
    attempts: int = 5
    max_bytes: int = MAX_BYTES
    again: bool = False


class _Job:
    """A photo to be fetched. digest: of an attempt whose image ended early."""

    def __init__(self, name: str) -> None:
        self.id = name
        self.attempts = 0
        self.digest = ""


class _Got(NamedTuple):
    """What came of one attempt: a whole photo, or the failure."""

    job: _Job
    data: bytes = b""
    kind: kinds.Kind | None = None
    note: str = ""
    failure: web.Failure | None = None


def fetch(
    photos: str | Path, base_url: str, folder: str | Path, options: Options
) -> Summary:
    """Fetches the photos of the list `photos` into `folder`, with a manifest.csv.

    base_url: the address, to which the id is appended or whose `{id}` it replaces.
    A photo is saved under its id and the suffix of what it is. A second call goes on
    where the first one stopped: what is there is not asked for again.

    Raises DecError when the list or the folder is unusable, the disk is full, the
    server cannot be reached or asks for a long pause, or not one photo is there in
    the end. The manifest then says what has happened so far.
    """
    listed = listing.read_listing(photos)
    base = _checked(base_url)
    if not listed.ids:
        name, why = next(iter(listed.rejected.items()))
        raise DecError(
            f"{printable(photos)}: no usable id in {listed.lines:,} lines; the first "
            f"is {printable(name)[:80]!r}: {why}"
        )
    folder = Path(folder)
    work = folder / _WORK
    with (
        files.own_folder(work, "dec photos fetch", remove=True),
        Manifest(folder / files.MANIFEST, work / "journal.csv") as book,
    ):
        run = _Run(folder, work, book, listed, base, options)
        try:
            run.go()
        finally:
            book.write([*listed.ids, *map(_shown, listed.rejected)])
    summary = run.summary()
    if not summary.fetched + summary.there:
        words = summary.errors[0][0] if summary.errors else "no reason known"
        raise DecError(f"{base_url}: not one photo could be fetched: {words}")
    return summary


class _Run:
    """One call of `fetch`: the main thread keeps the books, workers ask."""

    def __init__(self, folder, work, book, listed, base, options):
        self._folder, self._work, self._book = folder, work, book
        self._listed, self._base, self._options = listed, base, options
        self._stop = threading.Event()
        self._pace = pace.Pace(options.rate, self._stop.wait)
        self._host = web.address(base).hostname
        self._jobs = _Jobs()
        # Short: a disk slower than the net shall not fill the memory.
        self._results: queue.Queue[_Got | BaseException] = queue.Queue(4)
        self._fetched = self._there = 0
        self._pauses = self._hopeless = 0
        self._answered = False

    def go(self) -> None:
        for name, why in self._listed.rejected.items():
            row = Row(_shown(name), manifest.REJECTED, error=why)
            self._book.rows[row.id] = row
        unfetched = self._unfetched()
        clients = [
            web.Client(self._options.timeout, pace=self._pace, headers=_HEADERS)
            for _ in range(min(self._options.at_once, len(unfetched)))
        ]
        threads = [
            threading.Thread(target=self._ask, args=(client,), daemon=True)
            for client in clients
        ]
        self._jobs.start(unfetched)
        for thread in threads:
            thread.start()
        try:
            self._collect(len(unfetched))
        finally:
            self._stop.set()
            self._jobs.close()
            for client in clients:
                client.abort()
            for thread in threads:
                thread.join(2)

    def _unfetched(self) -> list[str]:
        """The ids to ask for, those that failed before last."""
        try:
            self._names = set(os.listdir(self._folder))
        except OSError as error:
            raise DecError(f"{printable(self._folder)}: {error.strerror}") from error
        self._claimed = {row.file for row in self._book.rows.values()}
        moved = self._moved()
        fresh, failed = [], []
        for name in self._listed.ids:
            row = self._book.rows.get(name)
            if self._is_there(row, moved) or self._adopt(name, row):
                self._there += 1
            elif row is None or row.status in (manifest.WAITING, manifest.FETCHED):
                row = row or Row(name, manifest.WAITING)
                self._book.rows[name] = Row(
                    name, manifest.WAITING, file=row.file, attempts=row.attempts
                )
                fresh.append(name)
            elif row.status != manifest.REFUSED or self._options.again:
                failed.append(name)
        return fresh + failed

    def _moved(self):
        """Names of photos that `clean` took out: no reason to fetch them again."""
        rejected = self._folder / files.REJECTED
        if not (rejected / files.MARKER).exists():
            return set()
        return {name for _, _, names in os.walk(rejected) for name in names}

    def _is_there(self, row, moved):
        if row is None or row.status != manifest.FETCHED:
            return False
        if row.file in self._names:
            return (self._folder / row.file).stat().st_size == row.bytes
        return row.file in moved

    def _adopt(self, name, row):
        """Takes in a photo of that name that came before there was a manifest."""
        if row and row.status == manifest.FETCHED:
            return False
        suffixes = ["", *(s for kind in kinds.ALL for s in kind.suffixes)]
        for file in (name + suffix for suffix in suffixes):
            path = self._folder / file
            if file not in self._names or file in self._claimed or not path.is_file():
                continue
            data = path.read_bytes()
            if kinds.sniff(data[: kinds.HEAD]):
                digest = hashlib.sha256(data).hexdigest()
                row = Row(name, manifest.FETCHED, 0, len(data), digest, file)
                self._book.add(row)
                return True
        return False

    # In the main thread: what becomes of each attempt.

    def _collect(self, total: int) -> None:
        left = total
        with bar(total, "fetching", "photo") as shown:
            while left:
                got = self._results.get()
                if isinstance(got, BaseException):
                    raise got
                if got.failure is None:
                    self._save(got)
                    done = True
                else:
                    done = self._failed(got.job, got.failure)
                left -= done
                shown.update(done)

    def _save(self, got):
        job, digest = got.job, hashlib.sha256(got.data).hexdigest()
        file = self._free_name(job.id, got.kind)
        part = self._work / "photo.part"
        try:
            part.write_bytes(got.data)
            os.replace(part, self._folder / file)
        except OSError as error:
            with contextlib.suppress(OSError):
                part.unlink()  # makes room for the manifest
            raise _unwritable(self._folder / file, error) from error
        self._names.add(file)
        self._fetched += 1
        self._pauses = self._hopeless = 0
        self._answered = True
        self._note(job, manifest.FETCHED, 200, len(got.data), digest, file, got.note)

    def _free_name(self, name, kind):
        """The id, with a suffix of `kind` unless it has one already."""
        stem, suffix = os.path.splitext(name)
        if suffix.lower() not in kind.suffixes:
            stem, suffix = name, kind.suffixes[0]
        own = self._book.rows[name].file
        while (file := stem + suffix) in self._names and file != own:
            stem += "_"  # that is another id's photo
        return file

    def _note(self, job, status, code=0, size=0, digest="", file="", error=""):
        before = self._book.rows[job.id].attempts
        attempts = before + job.attempts
        self._book.add(Row(job.id, status, code, size, digest, file, attempts, error))

    def _failed(self, job, failure) -> bool:
        """Plans another attempt; True when there is to be none."""
        if not failure.reached:
            self._unreachable(failure)
            job.attempts -= 1
            self._jobs.later(job, 0)  # the host has a pause: that is wait enough
            return False
        self._answered = True
        self._pauses = 0
        if failure.again and (failure.wait or 0) > pace.LONGEST_RETRY_AFTER:
            self._note(job, manifest.FAILED, failure.code, error=str(failure))
            raise DecError(
                f"{self._host} {failure} and asks to come back in "
                f"{failure.wait:,.0f} s. The same command then goes on from here."
            )
        if failure.again and job.attempts < self._options.attempts:
            wait = max(pace.back_off(job.attempts), failure.wait or 0)
            self._jobs.later(job, wait)
            return False
        status = manifest.FAILED if failure.again else manifest.REFUSED
        self._note(job, status, failure.code, error=str(failure))
        self._hopeless = self._hopeless + 1 if failure.again else 0
        if self._hopeless >= _HOPELESS:
            raise DecError(
                f"{self._host}: the last {_HOPELESS} photos failed, the last one with: "
                f"{failure}. The same command goes on from here."
            )
        return True

    def _unreachable(self, failure):
        most = _PAUSES_LATER if self._answered else _PAUSES_AT_FIRST
        if self._pauses >= most:
            raise DecError(
                f"{self._host} {failure}. The same command goes on from here."
            )
        wait = pace.back_off(self._pauses + 1)
        # The other requests in flight fail just then, too: that counts as one.
        if self._pace.pause(self._host, wait):
            self._pauses += 1
            say(f"{self._host} {failure}; trying again in {wait:.0f} s")

    # In the other threads.

    def _ask(self, client):
        while job := self._jobs.take():
            try:
                job.attempts += 1
                result = self._attempt(client, job)
            except BaseException as error:
                result = error
            while not self._stop.is_set():
                with contextlib.suppress(queue.Full):
                    self._results.put(result, timeout=0.2)
                    break
        client.close()

    def _attempt(self, client, job) -> _Got:
        url = self._base.replace("{id}", urllib.parse.quote(job.id, safe=""))
        try:
            data, called = client.get(url, self._options.max_bytes)
            kind = _kind(data, called)
            note = ""
            if kinds.ends_early(data, kind):
                note = f"the {kind.name} ends early"
                digest = hashlib.sha256(data).hexdigest()
                # The same once more: then this is how the server has it.
                if digest != job.digest and job.attempts < self._options.attempts:
                    job.digest = digest
                    raise web.Failure(note, 200)
        except web.Failure as failure:
            if failure.wait and failure.code in (429, 503):
                # Here, at once: this thread asks for the next photo in a moment.
                self._pace.pause(self._host, failure.wait)
            return _Got(job, failure=failure)
        return _Got(job, data, kind, note)

    def summary(self) -> Summary:
        rows = [self._book.rows[name] for name in self._listed.ids]
        failed = [row for row in rows if row.status in _NOT_THERE]
        return Summary(
            self._listed.lines,
            len(self._listed.ids),
            self._listed.duplicates,
            self._fetched,
            self._there,
            len(failed),
            len(self._listed.rejected),
            Counter(row.error for row in failed).most_common(),
        )


_NOT_THERE = (manifest.FAILED, manifest.REFUSED, manifest.WAITING)


class _Jobs:
    """What the workers are to do: retries when they are due, else the next photo."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._fresh: collections.deque[str] = collections.deque()
        self._later: list[tuple[float, int, _Job]] = []
        self._count = itertools.count()
        self._closed = False

    def start(self, names: list[str]) -> None:
        self._fresh.extend(names)

    def later(self, job: _Job, wait: float) -> None:
        """Hands out `job` again in `wait` seconds."""
        with self._changed:
            entry = (time.monotonic() + wait, next(self._count), job)
            heapq.heappush(self._later, entry)
            self._changed.notify()

    def take(self) -> _Job | None:
        """The next job, as soon as there is one; None after `close`."""
        with self._changed:
            while not self._closed:
                wait = None
                if self._later:
                    wait = self._later[0][0] - time.monotonic()
                    if wait <= 0:
                        return heapq.heappop(self._later)[2]
                if self._fresh:
                    return _Job(self._fresh.popleft())
                self._changed.wait(wait)
            return None

    def close(self) -> None:
        with self._changed:
            self._closed = True
            self._changed.notify_all()


def _checked(base_url: str) -> str:
    """The address with `{id}` where the id goes. DecError if it cannot be used."""
    try:
        parts = web.address(base_url.replace("{id}", "id"))
    except web.Failure as error:
        raise DecError(f"--base-url {base_url}: {error}") from None
    if parts.username or parts.password:
        raise DecError(f"--base-url {parts.hostname}: no user names in it, please")
    if "{id}" in base_url:
        return base_url
    return base_url + ("{id}" if base_url.endswith(("/", "=")) else "/{id}")


def _kind(data, called) -> kinds.Kind:
    """The image format of what has come; Failure when it is no image."""
    kind = kinds.sniff(data[: kinds.HEAD])
    if kind:
        return kind
    if not data:
        raise web.Failure("empty answer", 200)
    called = called.partition(";")[0].strip()
    words = f"not an image: {kinds.describe(data[: kinds.HEAD])}"
    raise web.Failure(
        words + (f", called {called}" if called else ""), 200, again=False
    )


def _shown(name):
    """A rejected id as it may stand in a file."""
    return printable(name)[:200]


def _unwritable(path, error):
    hint = " Make room; the same command goes on from here."
    words = f"{printable(path)}: cannot be written: {error.strerror}."
    return DecError(words + (hint if error.errno == errno.ENOSPC else ""))
