"""The table of what the runs of a comparison came to."""

import math
import statistics

from dec.base.text_tables import markdown

MARK = 0.80  # the accuracy to whose first reaching seconds are counted
_HEADER = ("method", "seed", f"s to {MARK:.0%}", "s to the end", "pretraining, s")
_HEADER += ("clustering, s", "accuracy", "NMI")

NAMES = {
    "ours": "ours (Caffe)",
    "torch": "the same in PyTorch",
    "clustpy": "ClustPy",
    "clustpy-z": "ClustPy, rows standardised",
}


def seconds_to(course: list[dict], accuracy: float) -> float | None:
    """Seconds until the accuracy was first seen; infinity where it never was.

    None where the course has no seconds.
    """
    for point in course:
        if point["acc"] >= accuracy:
            return point["seconds"]
    return math.inf


def table(results: list[dict]) -> str:
    """One row a run and one of medians a method, as Markdown; then the ratios."""
    rows, medians = [], {}
    for method, name in NAMES.items():
        runs = [result for result in results if result["method"] == method]
        if not runs:
            continue
        numbers = [_numbers(run) for run in runs]
        for run, row in zip(runs, numbers, strict=True):
            rows.append(_line(name, run["seed"], row))
        medians[method] = [_median(column) for column in zip(*numbers, strict=True)]
        rows.append(_line(f"**{name}**", "median", medians[method]))
    words = [*_ratios(medians), *_parts(results), *_on(results)]
    return "\n".join([*markdown(_HEADER, rows), "", *words])


def _numbers(run: dict) -> list[float | None]:
    """A row's numbers, in the order of the table's columns."""
    last = run["course"][-1]
    return [
        seconds_to(run["course"], MARK),
        run["pretraining"] + run["clustering"],
        run["pretraining"],
        run["clustering"],
        last["acc"],
        last["nmi"],
    ]


def _median(column: tuple) -> float | None:
    return None if None in column else statistics.median(column)


def _line(name: str, seed: int | str, row: list[float | None]) -> list[str]:
    *seconds, acc, nmi = row
    return [name, str(seed), *map(_seconds, seconds), f"{acc:.2%}", f"{nmi:.4f}"]


def _seconds(value: float | None) -> str:
    if value is None:
        return "not recorded"
    return "never" if math.isinf(value) else f"{value:.0f}"


def _ratios(medians: dict[str, list]) -> list[str]:
    if "ours" not in medians:
        return []
    ours, lines = medians["ours"], []
    for method, theirs in medians.items():
        if method != "ours":
            lines.append(
                f"{NAMES[method]}, of its medians: ours takes "
                f"{_ratio(ours[0], theirs[0])} of its time to {MARK:.0%} and "
                f"{_ratio(ours[1], theirs[1])} to the end, "
                f"and is {100 * (ours[4] - theirs[4]):+.2f} points in accuracy, "
                f"{ours[5] - theirs[5]:+.4f} in NMI."
            )
    return [*lines, ""]


def _ratio(a: float | None, b: float | None) -> str:
    if a is None or b is None or math.isinf(a) or math.isinf(b):
        return "(no ratio)"
    return f"{a / b:.2f}"


def _parts(results: list[dict]) -> list[str]:
    """Where the time went: medians over a method's runs."""
    lines = ["Seconds by part, medians:"]
    for method, name in NAMES.items():
        runs = [r["parts"] for r in results if r["method"] == method]
        if runs:
            parts = {
                part: statistics.median(run.get(part, 0.0) for run in runs)
                for part in runs[0]
            }
            words = ", ".join(f"{part} {s:.1f}" for part, s in parts.items())
            lines.append(f"- {name}: {words}")
    return [*lines, ""]


def _on(results: list[dict]) -> list[str]:
    """The machines and versions, one line each, and how busy it was before."""
    lines = []
    for result in results:
        on, versions = result["machine"], result["versions"]
        line = f"{on['processor']}, {result['settings']['threads']} threads"
        line += "".join(f"; {name} {value}" for name, value in versions.items())
        lines.append(f"{NAMES[result['method']]}: {line}")
    load = max((result["load"] for result in results), default=0)
    return [
        *dict.fromkeys(lines),
        f"Load before a run: up to {load:.1f}",
    ]
