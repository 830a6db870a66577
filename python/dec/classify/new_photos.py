"""`dec classify`: the classes of photos of any size and kind, by a finished run."""

import os
import shutil
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from dec.base import files
from dec.base.atomic import write_text_atomic
from dec.base.errors import DecError
from dec.base.files import printable
from dec.base.parallel import BATCH, each
from dec.base.progress import bar, say
from dec.base.tables import cut_half_row, read_columns, table_line, write_table
from dec.classify.evaluate import GUESSES, guesses
from dec.classify.predict import WEIGHTS, Classifier, read_input
from dec.data.labelled.prepare import encode
from dec.engine.runs import digest
from dec.nets import caffe_process
from dec.nets.forward import silently
from dec.photos.load import BadPhoto

Answer = tuple[str, str, str, str] | BadPhoto  # class, probability; the second's

HEADER = ("file", "class", *GUESSES, "problem")
_NAMED = 10  # photos that cannot be read and are named


def classify(
    folder: Path,
    sources: list[Path],
    out: Path | None = None,
    *,
    move: Path | None = None,
    link: Path | None = None,
    device: str = "cpu",
    jobs: int | None = None,
    kept: Path | None = None,
) -> None:
    """Writes class, probability and second guess of every photo.

    folder: of a run of dec finetune. sources: photos, and folders of them. out: a CSV
    file; a second call goes on behind its last line. Without one the answers are
    printed as a table. move, link: a folder in which every photo is moved or linked
    into a folder of its class; the CSV file is in it then (classes.csv), unless `out`
    names another. No file is overwritten. jobs: processes, None for one a core, or as
    many as the back end of joblib's parallel_config has; on a GPU it is one. kept: a
    file that keeps what the net says of photos before its last layer; then all is done
    in one process.

    Raises DecError for a folder without a finished run, sources that are not there,
    or a CSV file of another run.
    """
    classes, _ = read_input(folder)
    if move and link:
        raise DecError("either --move or --link")
    target = move or link
    if target and out is None:
        out = target / "classes.csv"
    photos = list(_photos(sources, target))
    answering = Answering(folder.resolve(), device, kept)
    if out is None:
        _with_answers(_print, answering, photos, jobs)
        return
    done = _claim(folder, out, photos)
    left = [photo for photo in photos if str(photo) not in done]
    if done:
        say(f"{printable(out)}: goes on behind {len(done):,} photos")
    if left:
        _with_answers(
            lambda found: _append(out, found, len(left)), answering, left, jobs
        )
    if target:
        _place(out, target, sources, classes, bool(move))
    say(f"classes: {printable(out)}")


@dataclass(frozen=True)
class Answering:
    """What a run says of photos, a task at a time, in any process or machine.

    By one thread, so that the numbers are the same wherever a task is done; many photos
    are for many processes.
    """

    folder: Path
    device: str = "cpu"
    kept: Path | None = None

    def __call__(self, photos: list[Path]) -> list[Answer]:
        """For every photo its guesses, or why it cannot be read."""
        from threadpoolctl import threadpool_limits

        classifier = _opened(self)
        found: dict[int, Answer] = {}

        def readable() -> Iterator[tuple[int, bytes]]:
            for i, photo in enumerate(photos):
                try:
                    yield i, encode(photo, classifier.preparation.size)
                except BadPhoto as error:
                    found[i] = error

        with threadpool_limits(limits=1):
            for i, proba in classifier.proba(readable()):
                found[i] = guesses(proba, classifier.classes)
        return [found[i] for i in range(len(photos))]


_classifiers: dict[tuple, Classifier] = {}  # of this process


def _opened(answering: Answering) -> Classifier:
    files = (answering.folder / name for name in ("deploy.prototxt", WEIGHTS))
    stats = [(found.st_mtime_ns, found.st_ino) for found in map(os.stat, files)]
    key = (answering, *stats)
    if key not in _classifiers:
        _classifiers.clear()  # one at a time is as much memory as needed
        with silently():
            _classifiers[key] = Classifier(
                answering.folder, answering.device, answering.kept
            )
    return _classifiers[key]


def _with_answers(
    use: Callable[[Iterable[tuple[Path, Answer]]], None],
    answering: Answering,
    photos: list[Path],
    jobs: int | None,
) -> None:
    """Calls `use` with every photo and its answer, in order.

    Few photos are answered in one child; many by joblib's processes or a cluster's,
    after a child has opened the net, so that what is wrong with it is said in words.
    """

    def all_of(jobs: int | None) -> Iterator[tuple[Path, Answer]]:
        for batch in each(answering, photos, jobs, ordered=True, whole=True):
            yield from batch

    log = answering.folder / "classify.log"
    if answering.kept or answering.device != "cpu" or len(photos) <= BATCH:
        jobs = 1
    if jobs == 1:
        caffe_process.run(lambda: use(all_of(1)), log)
    else:
        caffe_process.run(lambda: Classifier(answering.folder) and None, log)
        use(all_of(jobs))


def _photos(sources: list[Path], target: Path | None) -> Iterator[Path]:
    """All files, those of folders in a fixed order; not those in `target`."""
    own = os.path.realpath(target) if target else None
    for source in sources:
        if not source.is_dir():
            if not os.path.lexists(source):
                raise DecError(f"{printable(source)}: there is no such file")
            yield source
            continue

        def trouble(name: str, words: str, source: Path = source) -> None:
            say(f"{printable(source / name)}: {words}")

        for name in files.walk(source, trouble):
            path = source / name
            if own and os.path.commonpath([own, os.path.realpath(path.parent)]) == own:
                continue
            yield path


def _print(answered: Iterable[tuple]) -> None:
    for photo, answer in answered:
        if isinstance(answer, BadPhoto):
            say(str(answer))
            continue
        first, p, second, q = answer
        sys.stdout.write(
            f"{printable(photo)}: {printable(first)} {float(p):.1%} "
            f"(then {printable(second)} {float(q):.1%})\n"
        )
    sys.stdout.flush()


def _claim(folder: Path, out: Path, photos: list[Path]) -> set[str]:
    """Makes `out` this run's CSV file; returns the files that are in it already."""
    key = digest(folder / "final.caffemodel", folder / "input.json")
    note = out.with_name(f".{out.name}.run")
    if not out.exists():
        try:
            out.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise DecError(f"{out.parent}: {error.strerror}") from None
        write_text_atomic(note, key + "\n")
        write_table(out, [HEADER])
        return set()
    try:
        same = note.read_text().strip() == key
    except OSError:
        same = False
    if not same:
        raise DecError(
            f"{printable(out)}: is there and is not from these weights; it was not "
            "touched. Name another file with --out, or remove it."
        )
    _mend(out)
    return {name for _, (name, _) in _rows(out)}


def _rows(out: Path) -> Iterator[tuple[int, list[str]]]:
    """Line, file and class of every row of the CSV file."""
    return read_columns(out, ("file", "class"), ours=True)


def _mend(out: Path) -> None:
    """Makes the CSV file one to go on behind; DecError where another program had it."""
    try:
        with open(out, "rb") as file:
            first = file.readline()
    except OSError as error:
        raise DecError(f"{printable(out)}: cannot be read: {error.strerror}") from None
    if first != table_line(HEADER).encode():
        raise DecError(
            f"{printable(out)}:1: is not the line {','.join(HEADER)} that was written; "
            "has another program saved the file? It was not touched. Name another "
            "file with --out, or remove it."
        )
    cut_half_row(out)


def _append(out: Path, answered: Iterable[tuple], total: int) -> None:
    bad = 0
    try:
        with (
            open(out, "a", newline="", encoding="utf-8") as file,
            bar(total, "classify", " photos") as shown,
        ):
            for photo, answer in answered:
                if isinstance(answer, BadPhoto):
                    bad += 1
                    if bad <= _NAMED:
                        say(str(answer))
                    row = ("", "", "", "", f"{answer.reason}: {answer.detail}")
                else:
                    row = (*answer, "")
                file.write(table_line((photo, *row)))
                shown.update()
    except OSError as error:
        raise DecError(
            f"{printable(out)}: cannot be written: {error.strerror}"
        ) from None
    if bad:
        say(f"{bad:,} files that cannot be read as photos (column `problem`)")


def _place(
    out: Path, target: Path, sources: list[Path], classes: list[str], move: bool
) -> None:
    """Moves or links every photo of the CSV file into target/<class>/."""
    counts: dict[str, int] = {}
    for line, (name, label) in _rows(out):
        photo = Path(name)
        if not label or not os.path.lexists(photo):
            continue  # no photo, or moved by an earlier call
        if label not in classes:
            raise DecError(
                f'{printable(out)}:{line}: the run has no class "{printable(label)}"'
            )
        to = target / label / _inside(photo, sources)
        try:
            if _put(photo, to, move):
                counts[label] = counts.get(label, 0) + 1
        except OSError as error:
            words = f"cannot be put to {printable(to)}: {error.strerror}"
            raise DecError(f"{printable(photo)}: {words}") from None
    for label, count in sorted(counts.items()):
        did = "moved to" if move else "linked in"
        say(f"{count:,} photos {did} {printable(target / label)}")


def _inside(photo: Path, sources: list[Path]) -> Path:
    """The photo's name below the folder that it was found in."""
    for source in sources:
        if source.is_dir() and photo.is_relative_to(source):
            return photo.relative_to(source)
    return Path(photo.name)


def _put(photo: Path, to: Path, move: bool) -> bool:
    """True if done now; False if it was there. Another file is never overwritten."""
    number, wanted = 1, to
    to.parent.mkdir(parents=True, exist_ok=True)
    while os.path.lexists(to):
        if os.path.exists(to) and os.path.samefile(photo, to):
            return False
        number += 1
        to = wanted.with_name(f"{wanted.stem}-{number}{wanted.suffix}")
    if not move:
        to.symlink_to(photo.resolve())
        return True
    try:
        os.link(photo, to, follow_symlinks=False)
        photo.unlink()
    except OSError:
        # Another file system, or one without hard links.
        shutil.move(photo, to)
    return True
