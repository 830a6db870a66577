"""What a finished run left in its folder, read for the report and the export."""

import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from zipfile import BadZipFile

import numpy as np

from dec.base.errors import DecError
from dec.clustering import assignments


@dataclass
class Snapshot:
    """The code of some rows after `number` rounds; `end`: nothing came after."""

    number: int
    end: bool
    rows: np.ndarray
    code: np.ndarray
    proba: np.ndarray
    sizes: np.ndarray


@dataclass
class Results:
    """A finished run. `assigned`, `confidence` and `labels` (or None): one a row."""

    folder: Path
    metrics: dict
    assigned: np.ndarray
    confidence: np.ndarray
    labels: np.ndarray | None

    @classmethod
    def read(cls, folder: Path) -> "Results":
        """Raises DecError where there is no finished run, or half of one."""
        path = folder / "metrics.json"
        table = folder / "assignments.csv"
        try:
            metrics = json.loads(path.read_text(encoding="utf-8"))
            if "rounds" not in metrics and "method" in metrics:
                raise DecError(
                    f"{folder}: a run of {metrics['method']}, which has no net: only "
                    "runs of DEC can be shown so; assignments.csv has its clusters"
                )
            table.stat()  # without it, the run is not finished
            rows = assignments.read(table)
            n, k = metrics["n"], metrics["k"]
            assigned = rows["cluster"]
            whole = np.array_equal(rows["row"], np.arange(n))
            if not whole or not ((assigned >= 0) & (assigned < k)).all():
                raise ValueError(f"it does not hold the clusters of {n} rows")
        except (FileNotFoundError, NotADirectoryError):
            raise DecError(
                f"{folder}: there is no finished run here; `dec run` makes one"
            ) from None
        except OSError as error:
            raise DecError(f"{folder}: cannot be read: {error.strerror}") from None
        except (KeyError, TypeError, ValueError) as error:
            raise DecError(
                f"{folder}: metrics.json and assignments.csv are damaged or not of "
                f"one run ({error}); run it again"
            ) from None
        return cls(folder, metrics, assigned, rows["probability"], rows.get("label"))

    @property
    def n(self) -> int:
        return self.metrics["n"]

    @property
    def k(self) -> int:
        return self.metrics["k"]

    @property
    def name(self) -> str:
        return self.folder.resolve().name

    @cached_property
    def order(self) -> list[int]:
        """The clusters in the order of the classes that they match."""
        from dec.scores.clusters import columns

        return columns(self.metrics)

    @cached_property
    def class_of(self) -> dict[int, int]:
        """The class that each cluster is matched to; some may have none."""
        matched = self.metrics.get("cluster_of_class", [])
        return {cluster: i for i, cluster in enumerate(matched) if cluster >= 0}

    def class_name(self, label: int) -> str:
        """What a class is called: its number, where the data has no names."""
        names = self.metrics.get("classes") or []
        return str(names[label]) if 0 <= label < len(names) else str(label)

    def scores_after(self, rounds: int) -> dict:
        """Scores after so many rounds: those of k-means after none."""
        if rounds == 0:
            return self.metrics.get("kmeans") or {}
        return self.metrics["history"][rounds - 1]

    def members(self, cluster: int) -> np.ndarray:
        """The rows of a cluster, the most certain first."""
        rows = np.flatnonzero(self.assigned == cluster)
        return rows[np.argsort(-self.confidence[rows], kind="stable")]

    @cached_property
    def snapshots(self) -> list[Snapshot]:
        """Codes by round; those that another, longer run left are passed over."""
        last = self.metrics["rounds"]
        numbers = [0] + [1 << i for i in range(32)]
        files = [(f"round_{i}", i) for i in numbers if i < max(last, 1)]
        found = [self._snapshot(name, i) for name, i in (*files, ("end", last))]
        return [snapshot for snapshot in found if snapshot is not None]

    def _snapshot(self, name: str, number: int) -> Snapshot | None:
        try:
            with np.load(self.folder / "codes" / f"{name}.npz") as file:
                facts = [file[part] for part in ("rows", "code", "proba", "sizes")]
        except (OSError, KeyError, ValueError, BadZipFile):
            return None
        rows, code, proba, sizes = facts
        fits = (
            proba.shape == (len(rows), self.k)
            and len(code) == len(rows)
            and (not len(rows) or rows.max() < self.n)
            and np.isfinite(code).all()
        )
        return Snapshot(number, name == "end", *facts) if fits else None

    @cached_property
    def database(self) -> Path:
        """The LevelDB of the rows, found from the project's root or from here."""
        from dec.nets import prototxt

        file = self.folder / "prototxt" / "dec.prototxt"
        layers = prototxt.data_layers(prototxt.read_net(file), "TEST")
        if not layers:
            raise DecError(f"{file}: it has no Data layer in TEST")
        source = Path(layers[0].data_param.source)
        for root in (Path(), *self.folder.resolve().parents):
            if (root / source).is_dir():
                return root / source
        return source
