"""`dec report`: a finished run as one page, report.html, and its figures as PNG."""

import os
import re
import shutil
from pathlib import Path

from dec import progress
from dec.data.atomic import partial_path, replace_dir, write_text_atomic
from dec.errors import DecError
from dec.report.clusters import class_table, sizes
from dec.report.embedding import code_pictures
from dec.report.gradient import Start, gradient_picture
from dec.report.html import Section
from dec.report.page import page
from dec.report.plotting import Figures
from dec.report.results import Results
from dec.report.samples import Samples
from dec.report.scores import curves, headlines
from dec.report.settings import settings, times
from dec.runs import Run, digest

_OWN = re.compile(
    r"(scores|loss|changed|table|best|least_certain|gradient|sizes|confidence"
    r"|code_round_\d+|code_end)\.png"
)


def report(folder: Path) -> None:
    """Writes report.html and figures/ into the folder of a finished run.

    Raises DecError where there is no finished run, or figures/ holds other things.
    """
    results = Results.read(folder)
    target = folder / "figures"
    _refuse_to_replace(target)
    partial = partial_path(target)
    try:
        partial.mkdir()
        text = page(results, _parts(results, Figures(partial)))
        _refuse_to_replace(target)
        replace_dir(partial, target)
    except OSError as error:
        raise DecError(f"{target}: cannot be written: {error.strerror}") from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    write_text_atomic(folder / "report.html", text)
    progress.say(f"report: {folder / 'report.html'}")


def report_once(run: Run) -> None:
    """The same, unless the run's results have had their page already."""
    key = digest(run.metrics, run.assignments)
    if run.finished("report", key):
        progress.say(f"report: {run.path / 'report.html'} is up to date")
        return
    report(run.path)
    run.finish("report", key, ["report.html"])


def _parts(results: Results, figures: Figures) -> list[Section]:
    start = Start.read(results)
    samples = Samples(results, start.examples if start else [])
    if samples.pictures.why:
        progress.say(f"report: {samples.pictures.why}")
    parts = [
        headlines(results),
        curves(results, figures),
        class_table(results, figures),
        *samples.sections(figures),
        code_pictures(results, figures),
        gradient_picture(start, samples, figures) if start else None,
        sizes(results, figures),
        times(results),
        settings(results),
    ]
    return [part for part in parts if part is not None]


def _refuse_to_replace(folder: Path) -> None:
    if not folder.exists():
        return
    if not folder.is_dir():
        raise DecError(f"{folder}: is there and is no folder; it was not touched")
    foreign = [n for n in sorted(os.listdir(folder)) if not _OWN.fullmatch(n)]
    if foreign:
        raise DecError(
            f"{folder}: holds other things than the report's figures ({foreign[0]}); "
            "it was not touched"
        )
