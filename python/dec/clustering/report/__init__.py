"""`dec report`: a finished run as one page, report.html, and its figures as PNG.

What draws figures is imported when it draws: `results` is read by others too.
"""

import re
from pathlib import Path

from dec.base import progress
from dec.clustering.report.results import Results
from dec.engine.runs import Run, digest
from dec.page.html import Section
from dec.page.page import page

_WORDS = (
    "Deep Embedded Clustering sorts rows into groups without being told what they are. "
    "An autoencoder first learns a short code for every row; k-means finds centres in "
    "it; then code and centres are trained together, so that the groups become clearer."
)
_FIGURES = re.compile(
    r"(scores|loss|changed|table|best|least_certain|gradient|sizes|confidence"
    r"|number_(stability|silhouette|generalizability)|code_round_\d+|code_end)\.png"
)


def report(folder: Path) -> None:
    """Writes report.html and figures/ into the folder of a finished run.

    Raises DecError where there is no finished run, or figures/ holds other things.
    """
    from dec.page.write import write_report

    results = Results.read(folder)
    write_report(folder, _FIGURES, lambda figures: _page(results, figures))


def report_once(run: Run) -> None:
    """The same, unless the run's results have had their page already."""
    key = digest(run.metrics, run.assignments)
    if run.finished("report", key):
        progress.say(f"report: {run.path / 'report.html'} is up to date")
        return
    report(run.path)
    run.finish("report", key, ["report.html"])


def _page(results: Results, figures) -> str:
    metrics = results.metrics
    facts = f"{results.n:,} rows in {results.k} clusters, seed {metrics['seed']}, "
    facts += f"{metrics['rounds']} rounds"
    return page(
        f"{results.name}: clusters by DEC", facts, _WORDS, _parts(results, figures)
    )


def _parts(results: Results, figures) -> list[Section]:
    from dec.clustering.report.clusters import class_table, sizes
    from dec.clustering.report.compared import compared
    from dec.clustering.report.embedding import code_pictures
    from dec.clustering.report.gradient import Start, gradient_picture
    from dec.clustering.report.number import number
    from dec.clustering.report.samples import Samples
    from dec.clustering.report.scores import curves, headlines
    from dec.clustering.report.settings import settings, times

    start = Start.read(results)
    samples = Samples(results, start.examples if start else [])
    if samples.pictures.why:
        progress.say(f"report: {samples.pictures.why}")
    parts = [
        headlines(results),
        number(results, figures),
        compared(results),
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
