"""A review that is open: its journal, its state and the loop's tables, kept in step."""

import threading
import time
from pathlib import Path

from dec.base.errors import DecError
from dec.base.files import own_folder
from dec.review import tables
from dec.review.items import LOOP, Items
from dec.review.journal import Journal, read_lines
from dec.review.state import Change, State

JOURNAL = "journal.jsonl"
_PAUSE = 0.8  # seconds without an answer, before tables are written
_MARK = "tables.json"  # from which lines of the journal the tables were written


def replayed(items: Items, lines: list[dict]) -> State:
    """The state after these answers."""
    state = State(items.names, items.clusters)
    for line in lines:
        state.do(line)
    return state


def read_state(items: Items) -> State:
    """The state of a review that another process may have open."""
    return replayed(items, read_lines(items.root / JOURNAL))


class Book:
    """One process's hold of a review. Any thread may answer; one at a time does.

    trouble: why the tables cannot be written or read now, for the page; "" if they can.
    held: a round of the page's own is at work, or about to be: the tables are its.
    Raises DecError where another process has the review open.
    """

    def __init__(self, items: Items):
        self.items = items
        self.lock = threading.RLock()
        self._journal = Journal(items.root / JOURNAL)
        try:
            self.state = replayed(items, self._journal.lines)
            self._known = set(items.names)
            self._seen: tuple = ()
            self.trouble, self.held = "", False
            self._written = -1
            self._answered = 0.0
            self.take_in()
            self.write()
        except BaseException:
            self._journal.close()
            raise

    @property
    def number(self) -> int:
        """Of answers so far; what a page has seen is known by it."""
        return len(self._journal.lines)

    def do(self, said: dict) -> tuple[int, list[Change]]:
        """Takes an answer: on disk, then in force. DecError leaves all as it was."""
        with self.lock:
            changes = self.state.changes(said)
            if not changes and said.get("do") not in ("undo", "redo"):
                return self.number, []
            self._journal.append(said)
            self._answered = time.monotonic()
            self.state.apply(said, changes)
            return self.number, changes

    def take_in(self) -> list[tuple[int, list[Change]]]:
        """Takes what others have put into the tables; DecError if it has no sense."""
        with self.lock:
            seen = self._stamps()
            if seen == self._seen:
                return []
            lines = self._journal.lines
            mark = tables.read_mark(self.items.root / _MARK)
            before = [
                replayed(self.items, lines[:number])
                for number in mark
                if number != len(lines)
            ]
            said = tables.read_outside(self.items.root, self.state, before, self._known)
            done = [self.do(one) for one in said]
            self._seen = seen
            return done

    def write(self) -> None:
        """Writes the tables where the journal is ahead of them.

        Not while a round of `dec loop next` is at work, which reads and writes them.
        """
        with self.lock:
            if self._written == self.number:
                return
            root, number = self.items.root, self.number
            with own_folder(root, "dec loop next"):
                mark = tables.read_mark(root / _MARK)
                tables.write_mark(root / _MARK, [*mark[-1:], number])
                tables.write_tables(self.items, self.state)
                tables.write_mark(root / _MARK, [number])
                self._written = number
                self._seen = self._stamps()

    def keep_in_step(self) -> list[tuple[int, list[Change]]]:
        """Takes in and writes, as far as that can be now; says why not in `trouble`.

        Tables wait for a pause: with 100,000 answers they take long enough to be felt.
        """
        with self.lock:
            try:
                done = self.take_in()
                self.trouble = ""
                paused = time.monotonic() - self._answered > _PAUSE
                behind = self._written != self.number and paused
                if behind and not self.held and not self.busy():
                    self.write()
                return done
            except DecError as error:
                self.trouble = str(error)
                return []

    def busy(self) -> bool:
        """Whether a round of `dec loop next` is at work, the page's or the shell's."""
        try:
            with own_folder(self.items.root, "dec loop next"):
                return False
        except DecError:
            return True

    def close(self) -> None:
        self._answered = 0.0
        self.keep_in_step()
        self._journal.close()

    def _stamps(self) -> tuple:
        return tuple(_stamp(self.items.root / name) for name in tables.WATCHED)


def _stamp(path: Path) -> tuple | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino


__all__ = ["JOURNAL", "LOOP", "Book", "read_state", "replayed"]
