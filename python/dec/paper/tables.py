"""`dec paper tables`: the paper's Tables 3.1 to 3.4, made again, cell by cell."""

import datetime
import statistics
from pathlib import Path

from dec.base import places, progress
from dec.base.errors import DecError
from dec.base.machine import machine
from dec.base.words import duration
from dec.paper import facts
from dec.paper.cells import Cell, Results, imbalance, sweep
from dec.paper.methods import METHODS, TABLE_2, TABLE_3, TABLE_4
from dec.paper.pages import Part, write_pages
from dec.paper.sources import QUICK_ROWS, TITLES, Source, find, unevenly
from dec.paper.work import Work

IMBALANCED = "mnist"  # the data set of Table 3.4


def folder_of(quick: bool) -> Path:
    """Where cells, tables and figures are kept."""
    return places.runs() / ("paper-quick" if quick else "paper")


def found(
    names: tuple[str, ...], quick: bool
) -> tuple[dict[str, Source], dict[str, str]]:
    """The data sets that are there, and why the others are not; that is said, too."""
    there, missing = {}, {}
    for name in names:
        if name not in TITLES:
            raise DecError(f"{name}: is none of {', '.join(TITLES)}")
        try:
            rows = QUICK_ROWS if quick else None
            there[name] = find(name, folder_of(quick), rows)
        except DecError as error:
            missing[name] = str(error)
            progress.say(f"paper: {name} is left out: {error}")
    if not there:
        raise DecError("none of these data sets is there: `dec data mnist` gets one")
    return there, missing


def tables(
    names: tuple[str, ...],
    quick: bool,
    seeds: tuple[int, ...],
    only: str | None = None,
) -> Path:
    """Computes what cells are missing; writes tables.md and tables.html.

    names: of data sets. quick: fewer rows and values. only: "3.2" (and 3.3) or "3.4",
    to compute no others; those that were computed before are shown. Cells that are done
    are not done again; those that fail are counted and tried again by the next call.
    Stopped, it leaves the tables of what there is. Returns the page.
    """
    sources, missing = found(names, quick)
    results = Results(folder_of(quick) / "cells.jsonl")
    cells = [cell for name in sources for cell in sweep(name, seeds, quick)]
    if IMBALANCED in sources:
        cells += imbalance(IMBALANCED, seeds)
    failed: dict[str, str] = {}
    wanted = cells
    if only is not None:
        wanted = [x for x in cells if (x.retention is None) == (only == "3.2")]
    try:
        _compute(wanted, sources, results, failed)
    finally:
        parts = _parts(sources, missing, results, cells, failed, quick)
        page = write_pages(folder_of(quick), "tables", _TITLE, _words(quick), parts)
    return page


_TITLE = "The tables of the DEC paper, made again"


def _words(quick: bool) -> str:
    words = (
        "Accuracy by the best one-to-one match of clusters and classes (equation "
        "3.10). The paper gives each method its best of nine values of a parameter, by "
        "the labels. Beside that best: the median of the values, and the value that a "
        "user without labels would take, of the highest silhouette of 2,000 rows in "
        "what was clustered (for DEC, in the code before phase 2)."
    )
    if quick:
        words += (
            f" The quick form: {QUICK_ROWS:,} rows of each data set at most, drawn at "
            "random, and three values: not what the paper's numbers were measured on."
        )
    return words


def _compute(
    cells: list[Cell],
    sources: dict[str, Source],
    results: Results,
    failed: dict[str, str],
) -> None:
    works = {name: Work(source) for name, source in sources.items()}
    whole = {cell: works[cell.data].key(cell) for cell in cells}
    left = [cell for cell in cells if results.of(cell, whole[cell]) is None]
    rows = {name: source.n for name, source in sources.items()}
    seconds, guessed = results.forecast(left, rows)
    progress.say(
        f"paper: {len(cells)} cells, {len(cells) - len(left)} of them done; the "
        f"{len(left)} left take about {duration(seconds)}, by what was measured for "
        f"{len(left) - guessed} and a guess for {guessed}, and training autoencoders "
        "where none ships"
    )
    uneven: tuple[float, int] | None = None
    work = None
    for i, cell in enumerate(left, 1):
        if cell.retention is None:
            work = works[cell.data]
        elif uneven != (cell.retention, cell.seed):
            uneven = cell.retention, cell.seed
            work = Work(unevenly(sources[cell.data], *uneven))
        try:
            came = work.run(cell)
        except DecError as error:
            failed[cell.name] = str(error)
            progress.say(f"paper: {i} of {len(left)}  {cell.name} failed: {error}")
            continue
        came["date"] = datetime.date.today().isoformat()
        came["machine"] = machine()
        results.add(cell, whole[cell], came)
        progress.say(
            f"paper: {i} of {len(left)}  {cell.name}: {came['acc']:.2%}, "
            f"{duration(came['seconds'])}"
        )


def _parts(sources, missing, results, cells, failed, quick) -> list[Part]:
    parts = [_statistics(sources)]
    parts += [_sweep(source, results, cells) for source in sources.values()]
    uneven = [cell for cell in cells if cell.retention is not None]
    if uneven:
        parts.append(_imbalance(uneven, results))
    parts.append(_how(missing, results, cells, failed))
    return parts


def _statistics(sources: dict[str, Source]) -> Part:
    rows = []
    for name, source in sources.items():
        paper = facts.STATISTICS.get(name)
        counts = statistics.multimode(source.labels.tolist())
        largest = float((source.labels == counts[0]).mean())
        told = ""
        if paper:
            points, classes, width, share = paper
            told = f"{points:,} x {width:,}, {classes} classes, {share}%"
        rows.append(
            [
                TITLES[name],
                f"{source.n:,}",
                f"{len(set(source.labels.tolist()))}",
                f"{source.width:,}",
                f"{largest:.0%}",
                told,
            ]
        )
    head = ["data", "points", "classes", "dimension", "largest class", "the paper"]
    return Part("Table 3.1: the data", "", head, rows)


def _sweep(source: Source, results: Results, cells: list[Cell]) -> Part:
    rows = []
    for method in dict.fromkeys((*TABLE_2, *TABLE_3)):
        own = [
            found
            for cell in cells
            if (cell.data, cell.method, cell.retention) == (source.name, method, None)
            and (found := results.of(cell)) is not None
        ]
        rows.append(_method_row(source.name, method, own))
    head = ["method", "best", "median", "without labels", "its value", "NMI of it"]
    head += ["cells", "encoder", "s a cell", "paper"]
    words = (
        "Beside them the best of nine in the paper. With several seeds, each column is "
        "the median over them. The encoder is that of the paper's schedule or of the "
        "short one (with DEC and autoencoders alone)."
    )
    title = f"Tables 3.2 and 3.3: {TITLES[source.name]}, {source.n:,} rows"
    return Part(title, words, head, rows)


def _method_row(data: str, method: str, own: list[dict]) -> list[str]:
    known = METHODS[method]
    paper = facts.ACCURACY.get(method, {}).get(data)
    end = [f"{paper:.2f}%" if paper else ""]
    if not own:
        return [_name(method), *["not run"] * 3, "", "", "0", "", "", *end]
    groups = [own]
    if known.parameter:
        seeds = sorted({entry["seed"] for entry in own})
        groups = [[entry for entry in own if entry["seed"] == seed] for seed in seeds]
    chosen = [choice(group) for group in groups]
    middle = statistics.median
    best = middle(max(entry["acc"] for entry in group) for group in groups)
    median = middle(middle(entry["acc"] for entry in group) for group in groups)
    values = [entry["value"] for entry in chosen if entry["value"] is not None]
    return [
        _name(method),
        f"{best:.2%}",
        f"{median:.2%}",
        f"{middle(entry['acc'] for entry in chosen):.2%}",
        ", ".join(dict.fromkeys(f"{value:g}" for value in values)),
        f"{middle(entry['nmi'] for entry in chosen):.3f}",
        f"{len(own)}",
        own[0].get("encoder", ""),
        f"{middle(entry['seconds'] for entry in own):.0f}",
        *end,
    ]


def _name(method: str) -> str:
    return METHODS[method].name + (" (ours)" if METHODS[method].ours else "")


def choice(group: list[dict]) -> dict:
    """The cell of the highest silhouette: what looks at no label takes."""
    known = [entry for entry in group if entry["silhouette"] is not None]
    return max(known or group, key=lambda entry: entry["silhouette"] or 0.0)


def _imbalance(cells: list[Cell], results: Results) -> Part:
    rows = []
    for method in TABLE_4:
        row = [_name(method)]
        for retention in facts.RETENTIONS:
            own = [
                found["acc"]
                for cell in cells
                if (cell.method, cell.retention) == (method, retention)
                and (found := results.of(cell)) is not None
            ]
            text = "not run"
            if own:
                text = f"{statistics.median(own):.2%}"
                if len(own) > 1:
                    text += f" ({min(own):.1%} to {max(own):.1%})"
            row.append(text)
        rows.append(row)
    for method, accuracies in facts.IMBALANCED.items():
        paper = [f"{accuracies[r]:.2f}%" for r in facts.RETENTIONS]
        rows.append([f"the paper: {METHODS[method].name}", *paper])
    head = ["method", *(f"r_min {r:g}" for r in facts.RETENTIONS)]
    seeds = ", ".join(str(seed) for seed in sorted({cell.seed for cell in cells}))
    words = (
        "Rows of class c are kept with the probability r_min + (1 - r_min) c / 9, each "
        f"by itself, another sample for every seed (seeds {seeds}). The median, and "
        "the range where there are several. Encoders are those of all classes' rows "
        "(the paper does not say whether it trained them anew); the update interval is "
        "the experiment's own, or as large a share of it as of the rows."
    )
    return Part(
        f"Table 3.4: {TITLES[IMBALANCED]} with uneven classes", words, head, rows
    )


def _how(missing, results, cells, failed) -> Part:
    """What was run, and what was not."""
    done = [entry for cell in cells if (entry := results.of(cell)) is not None]
    rows = [["cells done", f"{len(done)} of {len(cells)}"]]
    rows += [["seconds in all", f"{sum(entry['seconds'] for entry in done):,.0f}"]]
    processors = sorted(
        {
            f"{x['machine']['processor']}, {x['machine']['threads']} threads"
            for x in done
        }
    )
    rows += [["machine", "; ".join(processors)]]
    rows += [["dates", ", ".join(sorted({entry["date"] for entry in done}))]]
    unsettled = sum(not entry.get("converged", True) for entry in done)
    rows += [["DEC stopped by --max-rounds", f"{unsettled}"]]
    rows += [[f"left out: {TITLES[name]}", why] for name, why in missing.items()]
    rows += [[f"failed: {name}", why] for name, why in failed.items()]
    return Part("How it was made", "", ["", ""], rows)
