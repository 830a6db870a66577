"""Looks through a whole LevelDB and says what is wrong in it, and where."""

import hashlib
import json
import re
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import plyvel

from dec.base.errors import DecError
from dec.base.progress import bar
from dec.data import leveldb
from dec.data.leveldb.database import open_database, words_of
from dec.data.leveldb.datum import decode_datum

_BLOCK = 1024  # rows
_NAMED = 5  # of the rows of one kind of fault


@dataclass
class Report:
    """What `verify` found.

    problems: one line each, empty where all is well. notes: what is allowed but worth
    knowing. counts: rows by label, of those that have one. mean_square: of all finite
    numbers, 0 without any.
    """

    path: Path
    rows: int = 0
    shape: tuple[int, int, int] | None = None
    counts: dict[int, int] = field(default_factory=dict)
    mean_square: float = 0.0
    problems: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        lines = [f"{self.path}: {self.rows:,} rows"]
        if self.shape:
            lines[0] += f" of the shape {' x '.join(map(str, self.shape))}"
        lines.append(f"  mean of ||x||^2 / d: {self.mean_square:.4g}")
        if self.counts:
            shown = [f"{y}: {n:,}" for y, n in sorted(self.counts.items())]
            more = f", ... ({len(shown)} labels)" if len(shown) > 20 else ""
            lines.append(f"  rows by label: {', '.join(shown[:20])}{more}")
        else:
            lines.append("  no labels")
        lines += [f"  note: {text}" for text in self.notes]
        lines += [f"  WRONG: {text}" for text in self.problems]
        wrong = len(self.problems)
        lines.append(f"  {wrong} thing(s) wrong" if wrong else "  nothing is wrong")
        return "\n".join(lines)


def verify(path: str | Path) -> Report:
    """Reads all rows of the LevelDB at `path`, some at a time, and checks them.

    Wrong: keys that are not 00000000, 00000001, ...; values that are no Datum, or of
    another shape than the first; labels on some rows only, or negative; NaN and
    infinity; blocks that LevelDB finds damaged; a dec.json or names.txt that does not
    fit. Worth a note: rows of one number only, columns of one number only, rows that
    occur before. Raises DecError where it cannot be opened at all.
    """
    path = Path(path)
    database = open_database(path)
    try:
        return _Check(path).run(database)
    finally:
        database.close()


class _Check:
    def __init__(self, path):
        self.path = path
        self.report = Report(path)
        self._next = 0  # the key that has to come
        # Of each kind of fault, the first rows, and how many there are.
        self._first: dict[str, list] = {}
        self._count: dict[str, int] = {}
        self._unlabelled = 0
        self._hashes: list[np.ndarray] = []
        self._where: list[np.ndarray] = []
        self._numbers = 0  # finite ones, of which mean_square is the mean
        self._least = self._most = None
        self._block: list[tuple[int, np.ndarray]] = []

    def run(self, database) -> Report:
        meta = leveldb.read_meta(self.path)
        total = meta.get("rows") if meta else None
        with bar(total, f"verifying {self.path.name}", " rows") as shown:
            try:
                items = database.iterator(verify_checksums=True, fill_cache=False)
                for key, value in items:
                    self._row(key, value)
                    if len(self._block) == _BLOCK:
                        self._rows()
                        shown.update(_BLOCK)
            except plyvel.Error as error:
                self.report.problems.append(
                    f"damaged after {self.report.rows} rows: {words_of(error)}"
                )
            self._rows()
        self._name_faults()
        self._labels()
        self._equal_rows()
        self._columns()
        self._files(meta)
        if not self.report.rows and not self.report.problems:
            self.report.problems.append("it holds no rows")
        return self.report

    def _row(self, key, value):
        report = self.report
        if not re.fullmatch(rb"\d{8}", key):
            self._fault("keys that are not eight digits", ascii(key[:40])[1:])
            return
        row = int(key)
        if row > self._next:
            many = f" to {row - 1:08d}" if row > self._next + 1 else ""
            self._fault("missing keys", f"{self._next:08d}{many}", row - self._next)
        self._next = row + 1
        report.rows += 1
        try:
            shape, label, numbers = decode_datum(value)
        except ValueError as error:
            self._fault(
                "rows that are no Datum of numbers", f"{key.decode()} ({error})"
            )
            return
        if report.shape is None:
            report.shape = shape
        if shape != report.shape:
            words = f"{key.decode()} ({' x '.join(map(str, shape))})"
            self._fault("rows of another shape than the first", words)
            return
        if label == -1:
            self._unlabelled += 1
        elif label < 0:
            self._fault("negative labels", f"{key.decode()} ({label})")
        else:
            report.counts[label] = report.counts.get(label, 0) + 1
        self._block.append((row, numbers))

    def _rows(self):
        """Checks the numbers of a block of rows."""
        if not self._block:
            return
        rows = np.array([row for row, _ in self._block])
        x = np.stack([numbers for _, numbers in self._block])
        self._block = []
        finite = np.isfinite(x).all(axis=1)
        for row in rows[~finite]:
            self._fault("rows with NaN or infinity", f"{row:08d}")
        # A digest of each row instead of the row, to find equal ones.
        digests = (hashlib.blake2b(numbers, digest_size=8).digest() for numbers in x)
        self._hashes.append(np.frombuffer(b"".join(digests), np.uint64))
        self._where.append(rows.astype(np.int32))
        rows, x = rows[finite], x[finite]
        if not len(x):
            return
        if x.shape[1] > 1:
            for row in rows[x.min(axis=1) == x.max(axis=1)]:
                self._fault("rows of one number only", f"{row:08d}")
        old = self.report.mean_square * self._numbers
        self._numbers += x.size
        new = np.einsum("ij,ij->", x, x, dtype=np.float64)
        self.report.mean_square = float((old + new) / self._numbers)
        ends = x.min(axis=0), x.max(axis=0)
        if self._least is None:
            self._least, self._most = ends
        np.minimum(self._least, ends[0], out=self._least)
        np.maximum(self._most, ends[1], out=self._most)

    def _fault(self, kind, where, count=1):
        self._count[kind] = self._count.get(kind, 0) + count
        first = self._first.setdefault(kind, [])
        if len(first) < _NAMED:
            first.append(where)

    def _name_faults(self):
        for kind, count in self._count.items():
            first = self._first[kind]
            more = ", ..." if count > len(first) else ""
            text = f"{count:,} {kind}: {', '.join(first)}{more}"
            allowed = kind == "rows of one number only"
            (self.report.notes if allowed else self.report.problems).append(text)

    def _labels(self):
        counts = self.report.counts
        if counts and self._unlabelled:
            self.report.problems.append(
                f"{self._unlabelled:,} rows have no label, {sum(counts.values()):,} "
                "have one: all or none must"
            )
        missing = max(counts, default=-1) + 1 - len(counts)
        if missing:
            self.report.notes.append(
                f"{missing:,} of the labels 0 to {max(counts)} occur in no row"
            )

    def _equal_rows(self):
        if not self._hashes:
            return
        hashes, rows = np.concatenate(self._hashes), np.concatenate(self._where)
        order = np.argsort(hashes, kind="stable")
        again = np.flatnonzero(hashes[order[1:]] == hashes[order[:-1]])
        if len(again):
            a, b = rows[order[again[0]]], rows[order[again[0] + 1]]
            self.report.notes.append(
                f"{len(again):,} rows equal one before them, such as {b:08d} {a:08d}"
            )

    def _columns(self):
        if self._least is None or self.report.rows < 2:
            return
        constant = np.flatnonzero(self._least == self._most)
        if len(constant) == len(self._least):
            self.report.problems.append("all rows are equal")
        elif len(constant):
            first = ", ".join(map(str, constant[:_NAMED]))
            more = ", ..." if len(constant) > _NAMED else ""
            self.report.notes.append(
                f"{len(constant):,} of {len(self._least):,} columns hold one number "
                f"only: {first}{more} (from 0)"
            )

    def _files(self, meta):
        report = self.report
        if meta is None:
            exists = (self.path / leveldb.META_NAME).exists()
            text = f"{leveldb.META_NAME}: " + ("damaged" if exists else "not there")
            (report.problems if exists else report.notes).append(text)
        else:
            facts = {"rows": report.rows}
            if report.shape:
                facts["shape"] = list(report.shape)
            for name, found in facts.items():
                if meta.get(name) != found:
                    report.problems.append(
                        f"{leveldb.META_NAME} says {name} "
                        f"{json.dumps(meta.get(name))}; found: {json.dumps(found)}"
                    )
            classes = meta.get("classes")
            if classes and max(report.counts, default=-1) >= len(classes):
                report.problems.append(
                    f"the label {max(report.counts)} has no name; "
                    f"{leveldb.META_NAME} names {len(classes)} classes"
                )
        try:
            names = leveldb.read_names(self.path)
        except DecError as error:
            report.problems.append(str(error))
            return
        if names is None:
            return
        if len(names) != report.rows:
            report.problems.append(
                f"{leveldb.NAMES_NAME}: {len(names):,} names for {report.rows:,} rows"
            )
        repeated = len(names) - len(set(names))
        if repeated:
            report.notes.append(f"{repeated:,} names occur more than once")
