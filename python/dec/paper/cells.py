"""The cells of the tables: which there are, what they came to, how long they take."""

import json
import statistics
from dataclasses import asdict, dataclass
from pathlib import Path

from dec.base.atomic import write_text_atomic
from dec.base.errors import DecError
from dec.paper.facts import RETENTIONS
from dec.paper.methods import METHODS, RUNS, TABLE_2, TABLE_3, TABLE_4

# Seconds for 10,000 rows on two idle cores, where nothing has been measured yet.
_GUESS = {"kmeans": 5, "ldmgi": 25, "sec": 40, "dec": 60, "autoencoder": 240}


@dataclass(frozen=True)
class Cell:
    """One number of a table: a method with one value of its parameter and one seed.

    retention: r_min of Table 3.4, of classes that are kept unevenly; None for all rows.
    """

    data: str
    method: str
    value: float | None
    seed: int
    retention: float | None = None

    @property
    def name(self) -> str:
        parts = [self.data, self.method, f"seed{self.seed}"]
        if self.retention is not None:
            parts.insert(1, f"r{self.retention:g}")
        if self.value is not None:
            parts.insert(-1, f"{self.value:g}")
        return "-".join(parts)


def sweep(data: str, seeds: tuple[int, ...], quick: bool) -> list[Cell]:
    """The cells of Tables 3.2 and 3.3, and of Figure 3.3, for one data set.

    DEC's last, which take longest: so a stopped call has most of the others.
    """
    cells = []
    every = dict.fromkeys((*TABLE_2, *TABLE_3))
    for method in sorted(every, key=lambda name: METHODS[name].kind == "dec"):
        values = METHODS[method].values(quick)
        # The paper runs what has no parameter nine times.
        again = range(1, RUNS + 1) if values == (None,) and not quick else seeds
        cells += [Cell(data, method, value, seed) for seed in again for value in values]
    return cells


def imbalance(data: str, seeds: tuple[int, ...]) -> list[Cell]:
    """The cells of Table 3.4, each method with its default value; the ends first."""
    return [
        Cell(data, method, None, seed, retention)
        for retention in sorted(RETENTIONS, key=lambda r: -abs(r - 0.5))
        for seed in seeds
        for method in TABLE_4
    ]


class Results:
    """What finished cells came to, a line of JSON each in one file."""

    def __init__(self, path: Path):
        self.path = path
        self.records: dict[str, dict] = {}
        try:
            lines = path.read_text().splitlines()
            self.records = {entry["cell"]: entry for entry in map(json.loads, lines)}
        except FileNotFoundError:
            pass
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise DecError(
                f"{path}: cannot be read ({error}); remove it, and all cells are "
                "computed anew"
            ) from None

    def of(self, cell: Cell, key: str | None = None) -> dict | None:
        """What a cell came to; with a key, only if by these very inputs."""
        found = self.records.get(cell.name)
        return found if found and key in (None, found["key"]) else None

    def add(self, cell: Cell, key: str, found: dict) -> None:
        """Keeps a cell; the file is written beside and moved into place."""
        self.records[cell.name] = {
            "cell": cell.name,
            "key": key,
            **asdict(cell),
            **found,
        }
        lines = (json.dumps(record) + "\n" for record in self.records.values())
        write_text_atomic(self.path, lines)

    def forecast(self, cells: list[Cell], rows: dict[str, int]) -> tuple[float, int]:
        """Seconds that these cells will take, and for how many of them it is a guess.

        rows: of every data set. As long as the median of finished cells of the method
        on this data, or a row of it takes on other data, else a guess by the rows.
        """
        total, guessed = 0.0, 0
        for cell in cells:
            share = 0.55 if cell.retention is not None else 1  # of rows kept
            n = share * rows[cell.data]
            alike = [x for x in self.records.values() if x["method"] == cell.method]
            own = [
                x["seconds"]
                for x in alike
                if x["data"] == cell.data
                and (x["retention"] is None) == (cell.retention is None)
            ]
            if own:
                total += statistics.median(own)
            elif alike:
                total += statistics.median(x["seconds"] / x["n"] for x in alike) * n
            else:
                guessed += 1
                total += _GUESS[METHODS[cell.method].kind] * n / 10_000
        return total, guessed
