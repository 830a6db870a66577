"""Training and exports in the background, and what the rounds have said by now."""

import json
import threading

import numpy as np

from dec.base.atomic import write_text_atomic
from dec.base.errors import DecError
from dec.base.files import printable
from dec.classify.rows import LINEAR
from dec.review import rounds, take_away
from dec.review.book import Book
from dec.review.jobs import Job

_EXPERIMENTS = ("squeezenet-linear", "squeezenet", "caffenet-small")
_LISTED = 40  # in review.csv, for the shell
_REVIEWED = "reviewed.json"  # how many had been looked at before a round


class Learning:
    """The one job that is at work for a review, and the last net's guesses.

    experiments: what can be trained, the first one unless another is chosen.
    """

    def __init__(self, book: Book, experiment: str):
        self.book, self.items = book, book.items
        self.experiments = [LINEAR]
        if self.items.folder is not None:
            self.experiments = list(dict.fromkeys([experiment, *_EXPERIMENTS]))
        self.job: Job | None = None
        self.guesses: rounds.Guesses | None = None
        self._stamp: tuple | None = ()
        self._starting = threading.Lock()
        self.read_guesses()

    @property
    def busy(self) -> bool:
        return self.job is not None and self.job.running

    def progress(self) -> dict:
        """For the page; elsewhere: a shell is at work on the loop."""
        facts = self.job.facts() if self.job else None
        return {"job": facts, "elsewhere": not self.busy and self.book.busy()}

    def start(self, what: str, facts: dict) -> None:
        """Begins a round ("train") or an export. In a thread."""
        with self._starting:
            if self.busy:
                raise DecError("something is at work already; wait for it, or stop it")
            words = self._round(facts) if what == "train" else self._export(facts)
            self.book.held = what == "train"
            self.job = Job(what, words)

    def stop(self) -> None:
        if self.busy:
            self.job.stop()

    def close(self) -> None:
        self.stop()
        if self.job:
            self.job.wait(20)
        self.book.held = False

    def guessed(self) -> dict:
        """The last net's guesses, in thousandths; {} before the first round."""
        found = self.guesses
        if found is None:
            return {}
        margin = np.nan_to_num(found.margin, nan=-0.001)
        return {
            "classes": found.classes,
            "first": found.first.tolist(),
            "p": np.rint(found.p * 1000).astype(int).tolist(),
            "margin": np.rint(margin * 1000).astype(int).tolist(),
        }

    def rounds(self) -> dict:
        """What the finished rounds came to, and what more reviews are worth."""
        reviewed = {int(n): count for n, count in self._reviewed().items()}
        found = {"rounds": rounds.rounds(self.items.root, reviewed)}
        if found["rounds"]:
            last = self.items.root / rounds.folder(found["rounds"][-1]["round"]) / "run"
            found["run"] = printable(last)
        if self.guesses is not None:
            with self.book.lock:
                found["worth"] = rounds.worth(self.book.state, self.guesses)
        return found

    def doubtful(self, count: int) -> list[int]:
        if self.guesses is None:
            return []
        with self.book.lock:
            return rounds.doubtful(self.book.state, self.guesses, count)

    def guesses_of(self, item: int) -> list[list]:
        """[class, probability] of the two most probable ones."""
        net = self.guesses
        if net is None or net.first[item] < 0:
            return []
        pairs = (net.first, net.p), (net.second, net.q)
        return [[net.classes[c[item]], round(float(p[item]), 4)] for c, p in pairs]

    def read_guesses(self) -> bool:
        """Reads what a round has said; True where it is new."""
        try:
            stat = (self.items.root / rounds.LABELS).stat()
            stamp = (stat.st_mtime_ns, stat.st_size)
        except OSError:
            stamp = None
        if stamp == self._stamp:
            return False
        self._stamp = stamp
        try:
            self.guesses = rounds.read_guesses(self.items)
        except DecError as error:
            self.guesses, self.book.trouble = None, str(error)
        return True

    def _round(self, facts: dict) -> list[str]:
        experiment = facts.get("experiment")
        if experiment not in self.experiments:
            raise DecError("there is no experiment of that name on the list")
        self.book.write()
        self._note_round()
        root = str(self.items.root)
        return ["loop", "next", "--run", root, "--experiment", experiment,
                "--review", str(_LISTED)]  # fmt: skip

    def _export(self, facts: dict) -> list[str]:
        kind = facts.get("kind")
        if kind not in take_away.KINDS:
            raise DecError("there is no export of this kind")
        words = ["review", str(self.items.root), "--export", kind]
        return words + (["--guesses"] if facts.get("guesses") else [])

    def _reviewed(self) -> dict:
        try:
            return json.loads((self.items.root / _REVIEWED).read_text())
        except (OSError, ValueError):
            return {}

    def _note_round(self) -> None:
        """Keeps how many have been looked at before the next round."""
        root = self.items.root
        number = 1 + max((r["round"] for r in rounds.rounds(root, {})), default=0)
        state = self.book.state
        count = sum(state.looked_at(i) for i in state.cluster)
        text = json.dumps(self._reviewed() | {str(number): count})
        write_text_atomic(root / _REVIEWED, text + "\n")
