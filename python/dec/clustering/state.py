"""What phase 2 keeps in the run folder between rounds, and to look at afterwards."""

import json
import os
import time
from dataclasses import dataclass, field
from pathlib import Path
from zipfile import BadZipFile

import numpy as np

_SAMPLE = 5000  # rows whose code is kept


@dataclass
class Clock:
    """Seconds by what they were spent on."""

    seconds: dict[str, float] = field(default_factory=dict)
    _since: float = field(default_factory=time.monotonic)

    def lap(self, what: str) -> None:
        """Books the time since the last lap on `what`."""
        now = time.monotonic()
        self.seconds[what] = self.seconds.get(what, 0.0) + now - self._since
        self._since = now

    def total(self) -> float:
        """All of it but scoring, which clusters nothing."""
        return sum(s for what, s in self.seconds.items() if what != "scores")


@dataclass
class State:
    """What a round starts from, beside the weights; kept on disk between rounds.

    number: rounds done. assigned: n, the clusters before the last of them (empty
    before the second). aim: n, the clusters that rounds aim at instead of their own
    clearer ones (empty: they do not). rounds: what each came to. seconds: of all
    rounds so far.
    """

    number: int = 0
    assigned: np.ndarray = field(default_factory=lambda: np.empty(0, np.int64))
    aim: np.ndarray = field(default_factory=lambda: np.empty(0, np.int64))
    first: dict = field(default_factory=dict)
    rounds: list[dict] = field(default_factory=list)
    seconds: dict[str, float] = field(default_factory=dict)

    def save(self, folder: Path, net, key: str) -> None:
        """Keeps state and weights, so that a kill loses one round at most.

        net: pycaffe's. key: the digest of all that decides a round.
        """
        model = folder / f"dec_round_{self.number}.caffemodel"
        net.save(str(model))
        partial = folder / "dec_state.partial.npz"
        arrays = {"assigned": self.assigned, "aim": self.aim}
        facts = {name: v for name, v in vars(self).items() if name not in arrays}
        np.savez(partial, **arrays, facts=json.dumps({"key": key, **facts}))
        os.replace(partial, folder / "dec_state.npz")
        for old in folder.glob("dec_round_*.caffemodel"):
            if old != model:
                old.unlink()

    @classmethod
    def load(cls, folder: Path, net, key: str, max_rounds: int) -> "State | None":
        """The state on disk, its weights into `net`, if this very run comes by it."""
        try:
            with np.load(folder / "dec_state.npz") as file:
                facts = json.loads(str(file["facts"]))
                state = cls(assigned=file["assigned"], aim=file["aim"])
        except (FileNotFoundError, KeyError, ValueError, BadZipFile):
            return None
        if facts.pop("key") != key:
            return None
        vars(state).update(facts)
        if state.number > max_rounds:
            return None
        model = folder / f"dec_round_{state.number}.caffemodel"
        if not model.exists():
            return None
        net.copy_from(str(model))
        return state


def remove(folder: Path) -> None:
    """Removes what a run that has ended would go on from."""
    (folder / "dec_state.npz").unlink(missing_ok=True)
    for model in folder.glob("dec_round_*.caffemodel"):
        model.unlink()


def save_sample(folder: Path, name: str, code: np.ndarray, proba: np.ndarray) -> None:
    """Keeps some rows' code and probabilities, to look at how they moved."""
    rows = np.random.default_rng(0).permutation(len(code))[:_SAMPLE]
    folder = folder / "codes"
    folder.mkdir(exist_ok=True)
    np.savez(
        folder / f"{name}.npz",
        rows=rows,
        code=code[rows],
        proba=proba[rows],
        sizes=proba.sum(axis=0, dtype=np.float64),
    )


def read_sample(folder: Path, name: str, most: int) -> tuple[np.ndarray, np.ndarray]:
    """The numbers and codes of `most` rows at most, as `save_sample` has kept them."""
    with np.load(folder / "codes" / f"{name}.npz") as file:
        return file["rows"][:most], file["code"][:most]
