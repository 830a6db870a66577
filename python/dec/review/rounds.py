"""What the rounds of `dec loop next` have said: guesses, what is doubtful, accuracy."""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from dec.base.errors import DecError
from dec.base.tables import read_columns
from dec.review.items import Items
from dec.review.state import State
from dec.scores.classes import interval

LABELS = "labels.csv"
_COLUMNS = ("file", "class", "probability", "second", "second_probability")
_POOL = 4  # times as many of least margin, over whose clusters the doubtful are spread


@dataclass
class Guesses:
    """The last net's guess for every item that it could read; none: class "".

    first, second: numbers of `classes`, -1 for none. p, q: their probabilities.
    """

    classes: list[str]
    first: np.ndarray
    p: np.ndarray
    second: np.ndarray
    q: np.ndarray

    @property
    def margin(self) -> np.ndarray:
        """How much more probable the guess is than the next; NaN without one."""
        return np.where(self.first >= 0, self.p - self.q, np.nan)


def read_guesses(items: Items) -> Guesses | None:
    """Those in labels.csv; None before the first round. DecError for a damaged one."""
    path = items.root / LABELS
    if not path.exists():
        return None
    n = len(items.names)
    at = {name: i for i, name in enumerate(items.names)}
    classes: dict[str, int] = {}
    first, second = np.full(n, -1), np.full(n, -1)
    p, q = np.zeros(n, np.float32), np.zeros(n, np.float32)
    try:
        for _, (file, one, x, other, y) in read_columns(path, _COLUMNS, ours=True):
            item = at.get(_below(items.folder, file) if items.folder else file)
            if item is None or item in items.gone or not one:
                continue
            first[item] = classes.setdefault(one, len(classes))
            second[item] = classes.setdefault(other, len(classes))
            p[item], q[item] = float(x), float(y)
    except ValueError as error:
        raise DecError(f"{path}: damaged: {error}") from None
    return Guesses(list(classes), first, p, second, q)


def doubtful(state: State, guesses: Guesses, count: int) -> list[int]:
    """Items that nobody has looked at, those first that are worth most.

    By the least margin between the two most probable classes, spread over clusters: of
    the 4 x count of least margin one of each cluster in turn, then their second ones.
    """
    margin = guesses.margin
    left = [
        i
        for i in np.argsort(margin, kind="stable").tolist()
        if guesses.first[i] >= 0 and not state.looked_at(i)
    ]
    seen: dict[str, int] = {}
    ranked = []
    for item in left[: _POOL * count]:
        cluster = state.cluster[item]
        seen[cluster] = seen.get(cluster, 0) + 1
        ranked.append((seen[cluster], float(margin[item]), item))
    return [item for _, _, item in sorted(ranked)[:count]]


def worth(state: State, guesses: Guesses) -> dict:
    """How many mistakes the net itself expects among those nobody has looked at.

    A guess of probability p is wrong with 1 - p. half: so many of the most doubtful
    are expected to hold half of these mistakes.
    """
    left = [i for i in range(len(guesses.p)) if guesses.first[i] >= 0]
    wrong = np.array([1 - guesses.p[i] for i in left if not state.looked_at(i)])
    sums = np.cumsum(-np.sort(-wrong))
    half = int(np.searchsorted(sums, sums[-1] / 2) + 1) if len(sums) else 0
    return {
        "left": len(wrong),
        "wrong": round(float(wrong.sum()), 1),
        "half": half,
    }


def rounds(root: Path, reviewed: dict[int, int]) -> list[dict]:
    """Of every finished round its accuracy on test photos, with its 95% interval.

    reviewed: by round, how many photos had been looked at when the page began it.
    """
    found = []
    for at in sorted(root.glob("round-*/done")):
        at, number = at.parent, int(at.parent.name.split("-")[1])
        try:
            metrics = json.loads((at / "run" / "metrics.json").read_text())
            test = metrics["test"]
            low, high = interval(test["right"], test["n"])
            found.append(
                {
                    "round": number,
                    "reviewed": reviewed.get(number),
                    "photos": sum(map(sum, metrics["counts"].values())),
                    "accuracy": test["accuracy"],
                    "low": low,
                    "high": high,
                    "n": test["n"],
                }
            )
        except (OSError, ValueError, KeyError, TypeError):
            continue  # one that somebody has cleared away
    return found


def folder(number: int) -> str:
    """Of a round's, below that of the loop."""
    return f"round-{number:02}"


def _below(folder: Path, file: str) -> str:
    try:
        return str(Path(file).relative_to(folder))
    except ValueError:
        return ""
