"""The folder of a run: what was run, what came out, what is up to date."""

import json
from pathlib import Path

from dec.base.atomic import write_text_atomic
from dec.base.digest import digest
from dec.base.errors import DecError

__all__ = ["Run", "digest", "preparation", "read_metrics"]


class Run:
    """One folder below runs/.

    `stages.json` holds for every finished stage the digest of all that went
    into it; a stage whose digest is still the same need not run again.
    """

    def __init__(self, path: Path):
        self.path = Path(path)
        self.log = self.path / "log.txt"
        self.prototxt = self.path / "prototxt"
        self.metrics = self.path / "metrics.json"
        self.assignments = self.path / "assignments.csv"
        self.picture = self.path / "clusters.png"
        try:
            self.prototxt.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise DecError(f"{self.path}: cannot be made: {error.strerror}") from None

    def finished(self, stage: str, digest: str) -> dict | None:
        """The record of a stage that finished with these inputs, or None."""
        record = self._stages().get(stage)
        if record is None or record["digest"] != digest or "files" not in record:
            return None
        made = (self.path / name for name in record["files"])
        return record if all(path.exists() for path in made) else None

    def begin(self, stage: str, digest: str) -> bool:
        """Records that a stage was begun.

        Returns whether it had been begun with these very inputs before; only then are
        the snapshots in the folder its own.
        """
        if self._stages().get(stage, {}).get("digest") == digest:
            return True
        self._record(stage, {"digest": digest})
        return False

    def finish(self, stage: str, digest: str, files: list[str], **facts) -> dict:
        """Records a finished stage, its files (names in this folder) and facts."""
        return self._record(stage, {"digest": digest, "files": files, **facts})

    def _record(self, stage: str, record: dict) -> dict:
        text = json.dumps(self._stages() | {stage: record}, indent=1)
        write_text_atomic(self.path / "stages.json", text + "\n")
        return record

    def _stages(self) -> dict:
        try:
            return json.loads((self.path / "stages.json").read_text())
        except (FileNotFoundError, json.JSONDecodeError):
            return {}


def read_metrics(folder: Path) -> dict:
    """metrics.json of a finished run; DecError where there is none."""
    file = folder / "metrics.json"
    try:
        return json.loads(file.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        raise DecError(f"{folder}: there is no finished run here") from None
    except (OSError, ValueError) as error:
        raise DecError(f"{file}: cannot be read: {error}") from None


def preparation(folder: Path) -> dict:
    """How a finished run's rows were made (input.json); DecError if there is none."""
    needed = ("deploy.prototxt", "final.caffemodel", "input.json")
    missing = [name for name in needed if not (folder / name).exists()]
    if missing:
        raise DecError(f"{folder}: there is no finished run here (no {missing[0]})")
    file = folder / "input.json"
    try:
        return json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DecError(f"{file}: cannot be read: {error}") from None
