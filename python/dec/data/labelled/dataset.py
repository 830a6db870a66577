"""`dec data labelled`: photos in class folders as train, val and test LevelDBs.

A data set is one folder, replaced as a whole:

    train, val, test            LevelDBs of JPEGs of one size
    mean.binaryproto            the mean photo of train, as Caffe's own tool has it
    class_weights.binaryproto   for Caffe's InfogainLoss: rare classes count more
    split.csv                   file, class, set and group of look-alikes
    dataset.json                classes, counts, size, shares, seed
"""

import json
import os
import re
import shutil
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path

import numpy as np

from dec.base import files, parallel
from dec.base.atomic import partial_path, replace_dir, write_text_atomic
from dec.base.digest import digest
from dec.base.errors import DecError
from dec.base.files import printable
from dec.base.progress import bar, say
from dec.base.tables import read_pairs, write_table
from dec.data.labelled.labels import one_spelling, read_labels
from dec.data.labelled.prepare import Size, decode, encode, write_blob
from dec.data.labelled.split import SETS, groups, split
from dec.data.labelled.vary import draws
from dec.data.leveldb import encoded
from dec.data.leveldb.database import refuse_if_in_use
from dec.data.leveldb.rows import OWN_FILES
from dec.photos.check import Checked, check
from dec.photos.load import MAX_PIXELS, BadPhoto

FORMAT = 1  # of the folder; raise it to have data sets written anew
FACTS = "dataset.json"
_NAMED = 10  # skipped photos that are named on the terminal
_FEW = 64  # photos; for so few no further processes are started
_GOOD = ("ok", "wrong-extension")
_OWN = re.compile(
    rf"({'|'.join(SETS)})/({OWN_FILES.pattern})?|mean\.binaryproto"
    r"|class_weights\.binaryproto|split\.csv|dataset\.json"
)


@dataclass(frozen=True)
class Options:
    """How photos become a data set.

    size: width and height to which they are brought. shares: of train, val, test.
    seed: of the split and of the order of rows. near: bits of 64 by which the hashes
    of near duplicates may differ. only: this class against all others. without:
    classes to leave out. labels: a CSV file (file,class) that says the classes of
    train and val instead of the folders; photos that it does not name are left out
    there. The test set always has the folders' classes, and the same photos for the
    same folder, shares and seed, whatever `only`, `without` and `labels` are. copies:
    random variants of every photo of train, which follow the photos themselves.
    """

    size: Size = (256, 256)
    shares: tuple[float, float, float] = (0.8, 0.1, 0.1)
    seed: int = 1
    near: int = 4
    only: str | None = None
    without: tuple[str, ...] = ()
    labels: Path | None = None
    copies: int = 0
    jobs: int | None = field(default=None, compare=False)


@dataclass
class DataSet:
    """A data set's folder and its dataset.json.

    classes: names by label. counts: photos by set, then by label.
    """

    folder: Path
    classes: list[str]
    counts: dict[str, list[int]]
    size: Size
    digest: str
    facts: dict

    @classmethod
    def read(cls, folder: str | Path) -> "DataSet":
        folder = Path(folder)
        try:
            facts = json.loads((folder / FACTS).read_text(encoding="utf-8"))
            return cls(
                folder,
                facts["classes"],
                facts["counts"],
                tuple(facts["options"]["size"]),
                facts["digest"],
                facts,
            )
        except FileNotFoundError:
            raise DecError(
                f"{folder}: there is no data set of labelled photos. "
                f"`dec data labelled DIR --out {folder}` makes it."
            ) from None
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise DecError(f"{folder / FACTS}: cannot be read: {error}") from None

    def table(self) -> str:
        """Photos by class and set, as text."""
        wide = max(len(printable(name)) for name in (*self.classes, "class"))
        lines = [f"{'class':{wide}}" + "".join(f"{name:>8}" for name in SETS)]
        for label, name in enumerate(self.classes):
            row = "".join(f"{self.counts[s][label]:>8,}" for s in SETS)
            lines.append(f"{printable(name):{wide}}{row}")
        total = "".join(f"{sum(self.counts[s]):>8,}" for s in SETS)
        lines.append(f"{'all':{wide}}{total}")
        if copies := self.facts["options"].get("copies"):
            lines.append(f"train: and {copies} random variants of every photo")
        return "\n".join(lines)


def build_labelled(
    folder: str | Path,
    out: str | Path,
    options: Options,
    photos: dict[str, str] | None = None,
) -> DataSet:
    """Makes the data set `out` of the class folders in `folder`; left alone if current.

    photos: names below `folder` and their classes, instead of the class folders.

    Photos that cannot be read are skipped and named. Raises DecError, with `out` as it
    was, for a folder without classes, a class without photos or with too few, options
    that name no class, and what cannot be written.
    """
    folder, out = Path(folder), Path(out)
    _check_options(options)
    photos = find_photos(folder) if photos is None else photos
    key = _digest(folder, photos, options)
    if _is_current(out, key):
        say(f"{printable(out)}: up to date")
        return DataSet.read(out)
    _refuse_to_replace(out)
    names, checked, skipped = _looked_at(folder, photos, options)
    classes = sorted(set(photos.values()))
    labels = np.array([classes.index(photos[name]) for name in names])
    _check_classes(folder, classes, labels, skipped)
    group = groups(
        [c.sha256 for c in checked],
        [c.phash for c in checked],
        [c.dhash for c in checked],
        options.near,
    )
    own = split(labels, group, options.shares, options.seed, classes)
    _say_contradictions(names, checked, labels, classes)
    rows, classes = _choose(names, labels, own, classes, options)
    facts = {
        "format": FORMAT,
        "folder": str(folder.resolve()),
        "classes": classes,
        "digest": key,
        "options": _plain(options),
        "skipped": [f"{printable(n)}: {c.status}: {c.detail}" for n, c in skipped],
    }
    _write(folder, out, rows, dict(zip(names, group, strict=True)), facts, options)
    data = DataSet.read(out)
    say(f"{printable(out)}:\n{data.table()}")
    _say_imbalance(data)
    return data


def find_photos(folder: Path) -> dict[str, str]:
    """Names of all files below `folder`'s class folders, and the class of each.

    Links to folders are not followed, and named.
    """
    found, outside = {}, 0
    for name in files.walk(
        folder, lambda name, words: say(f"{printable(folder / name)}: {words}")
    ):
        label, inside, _ = name.partition(os.sep)
        if inside:
            found[name] = label
        else:
            outside += 1
    filled = set(found.values())
    empty = [
        entry.name
        for entry in sorted(os.scandir(folder), key=lambda e: e.name)
        if entry.is_dir(follow_symlinks=False)
        and not entry.name.startswith(".")
        and entry.name not in filled
        and not (folder / entry.name / files.MARKER).exists()
    ]
    if empty:
        raise DecError(
            f"{printable(folder / empty[0])}: the class has no photos. Add some, or "
            "remove the folder."
        )
    if not found:
        raise DecError(
            f"{printable(folder)}: there are no class folders in it: photos are "
            "expected as DIR/<class>/<photo>"
        )
    if outside:
        say(f"{printable(folder)}: {outside:,} files outside of class folders left out")
    return found


def _check_options(options):
    if len(options.shares) != 3 or min(options.shares) <= 0:
        raise DecError(f"shares {options.shares}: three numbers above zero are needed")
    if abs(sum(options.shares) - 1) > 1e-6:
        raise DecError(f"shares {options.shares}: they do not add up to 1 (or 100)")
    if not all(8 <= side <= 4096 for side in options.size):
        raise DecError(f"size {options.size}: sides of 8 to 4096 pixels are possible")


def _plain(options: Options) -> dict:
    plain = asdict(options)
    plain.pop("jobs")
    plain["labels"] = str(options.labels) if options.labels else None
    return json.loads(json.dumps(plain))


def _digest(folder, photos, options) -> str:
    stats = []
    for name in photos:
        try:
            found = os.stat(folder / name)
        except OSError as error:
            raise DecError(f"{printable(folder / name)}: {error.strerror}") from None
        stats.append([name, found.st_size, found.st_mtime_ns])
    listed = None
    if options.labels:
        pairs = read_pairs(options.labels, "file", "class")
        listed = [[name, label] for name, (_, label) in pairs.items()]
    facts = [FORMAT, str(folder.resolve()), _plain(options), listed, stats]
    facts.append(list(photos.values()))
    return digest(json.dumps(facts))


def _is_current(out: Path, key: str) -> bool:
    try:
        data = DataSet.read(out)
    except DecError:
        return False
    there = all((out / name / "CURRENT").exists() for name in SETS)
    return there and data.digest == key


def _refuse_to_replace(out: Path) -> None:
    files.refuse_to_replace(out, "a data set of labelled photos", _OWN)
    for name in SETS:
        refuse_if_in_use(out / name)


def _each(work, names: list, jobs: int | None, what: str) -> Iterator[tuple]:
    """(name, work(name)) in the order of names."""
    jobs = 1 if len(names) <= _FEW else jobs
    with bar(len(names), what, " photos") as shown:
        for batch in parallel.each(work, names, jobs, ordered=True):
            shown.update(len(batch))
            yield from batch


def _look(folder, name) -> Checked:
    return check(os.path.join(folder, name), MAX_PIXELS)


def _looked_at(folder, photos, options):
    """Names and facts of the good photos, and those of the others."""
    names, checked, skipped = [], [], []
    work = partial(_look, os.fspath(folder))
    for name, found in _each(work, list(photos), options.jobs, "looking"):
        if found.status in _GOOD:
            names.append(name)
            checked.append(found)
        else:
            skipped.append((name, found))
    for name, found in skipped[:_NAMED]:
        words = f"{found.status}: {found.detail}"
        say(f"{printable(folder / name)}: skipped: {words}")
    if len(skipped) > _NAMED:
        say(f"... and {len(skipped) - _NAMED:,} more (`dec photos clean` lists all)")
    return names, checked, skipped


def _check_classes(folder, classes, labels, skipped):
    for label, name in enumerate(classes):
        if not (labels == label).any():
            bad = sum(n.startswith(name + os.sep) for n, _ in skipped)
            raise DecError(
                f"{printable(folder / name)}: none of the {bad} files of the class can "
                "be read as a photo"
            )
    if len(classes) < 2:
        raise DecError(
            f'{printable(folder)}: only one class, "{classes[0]}"; two are the least'
        )


def _say_contradictions(names, checked, labels, classes):
    first: dict[str, int] = {}
    for i, found in enumerate(checked):
        j = first.setdefault(found.sha256, i)
        if labels[i] != labels[j]:
            say(
                f"{printable(names[i])}: the same photo as {printable(names[j])}, in "
                "another class; decide for one of them"
            )


def _choose(names, labels, own, classes, options):
    """Rows (name, label, set) to write and the classes, as the options want them."""
    named = (*options.without, *([options.only] if options.only else []))
    spelt = one_spelling(named, classes)
    for name in named:
        if spelt[name] not in classes:
            there = ", ".join(f'"{c}"' for c in classes)
            raise DecError(f'there is no class "{name}"; there are {there}')
    without = {spelt[name] for name in options.without}
    kept = [c for c in classes if c not in without]
    listed = read_labels(options.labels, names, classes) if options.labels else None
    chosen = []
    for name, label, number in zip(names, labels.tolist(), own.tolist(), strict=True):
        said = classes[label]
        if listed is not None and number != 2:
            said = listed.get(name)
        if said in kept:
            chosen.append((name, said, number))
    if options.only:
        only = spelt[options.only]
        other = f"not {only}"
        kept = [only, other]
        chosen = [(n, c if c == only else other, s) for n, c, s in chosen]
    if len(kept) < 2:
        raise DecError("one class is left; two are the least")
    for number, which in enumerate(SETS):
        there = {c for _, c, s in chosen if s == number}
        missing = set(kept) - there
        # Of few labels val may lack a class: then nothing is known of it there.
        if missing and not (listed is not None and which == "val" and there):
            why = f"{options.labels} names none there" if options.labels else "add some"
            raise DecError(f'class "{min(missing)}" has no photo in {which}: {why}')
    rng = np.random.default_rng(options.seed)
    order = rng.permutation(len(chosen)).tolist()
    return [
        (*chosen[i][:1], kept.index(chosen[i][1]), chosen[i][2]) for i in order
    ], kept


def _write(folder, out, rows, group, facts, options):
    partial_folder = partial_path(out)
    work = partial(_encode, os.fspath(folder), options.size, options.seed)
    classes = facts["classes"]
    facts["counts"] = {}
    try:
        partial_folder.mkdir(parents=True)
        for number, which in enumerate(SETS):
            mine = [row for row in rows if row[2] == number]
            label_of = {name: label for name, label, _ in mine}
            mean = _Mean(options.size) if which == "train" else None
            copies = options.copies if which == "train" else 0
            photos = (
                (name, _or_raise(jpeg), label_of[name])
                for (name, _), jpeg in _each(
                    work, _rounds(list(label_of), copies), options.jobs, which
                )
            )
            meta = {"classes": classes, "folder": facts["folder"]}
            encoded.write_photos(
                partial_folder / which,
                mean.over(photos) if mean else photos,
                options.size,
                meta,
            )
            counts = Counter(label_of.values())
            facts["counts"][which] = [counts[i] for i in range(len(classes))]
            if mean:
                write_blob(partial_folder / "mean.binaryproto", mean.image()[None])
                facts["mean_bgr"] = mean.image().mean(axis=(1, 2), dtype=float).tolist()
        write_blob(
            partial_folder / "class_weights.binaryproto",
            np.diag(class_weights(facts["counts"]["train"]))[None, None],
        )
        lines = sorted((n, classes[c], SETS[s], group[n]) for n, c, s in rows)
        header = ("file", "class", "set", "group")
        write_table(partial_folder / "split.csv", [header, *lines])
        text = json.dumps(facts, indent=1) + "\n"
        write_text_atomic(partial_folder / FACTS, text)
        _refuse_to_replace(out)
        replace_dir(partial_folder, out)
    except OSError as error:
        raise DecError(f"{out}: cannot be written: {error.strerror}") from error
    finally:
        shutil.rmtree(partial_folder, ignore_errors=True)


def class_weights(counts: list[int]) -> np.ndarray:
    """A weight a class, so that each counts the same and photos count 1 on average."""
    n = np.array(counts, float)
    return n.sum() / (len(n) * n)


def _rounds(names: list[str], copies: int) -> list[tuple[str, int]]:
    """All photos (copy 0), then all of them again for every copy, in other orders."""
    rng = np.random.default_rng(len(names))
    rounds = [(name, 0) for name in names]
    for copy in range(1, copies + 1):
        rounds += [(names[i], copy) for i in rng.permutation(len(names))]
    return rounds


def _encode(folder, size, seed, row) -> bytes | DecError:
    name, copy = row
    rng = draws(seed, name, copy) if copy else None
    try:
        return encode(os.path.join(folder, name), size, rng)
    except BadPhoto as error:
        return error


def _or_raise(jpeg):
    # It was readable a moment ago.
    if isinstance(jpeg, DecError):
        raise jpeg
    return jpeg


class _Mean:
    """The mean of photos that pass by."""

    def __init__(self, size: Size):
        self._sum = np.zeros((size[1], size[0], 3))
        self._count = 0

    def over(self, photos: Iterable[tuple[str, bytes, int]]) -> Iterator[tuple]:
        for photo in photos:
            self._sum += decode(photo[1])
            self._count += 1
            yield photo

    def image(self) -> np.ndarray:
        """float32, 3 x height x width, blue first."""
        mean = self._sum / max(self._count, 1)
        return mean.transpose(2, 0, 1).astype(np.float32)


def _say_imbalance(data: DataSet) -> None:
    counts = data.counts["train"]
    if max(counts) > 2 * min(counts):
        big, small = (data.classes[counts.index(f(counts))] for f in (max, min))
        say(
            f'"{printable(big)}" has {max(counts) / min(counts):.1f} times as many '
            f'photos as "{printable(small)}": `dec finetune --weighted` counts each '
            "class the same"
        )
