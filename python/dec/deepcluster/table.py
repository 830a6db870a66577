"""`dec table` of runs of DeepCluster: by clusters and epochs, and medians of seeds."""

import statistics

from dec.base.text_tables import markdown

EPOCHS = (1, 3, 5, 10, 20, 60, 100)  # that are shown, and the last
_HEAD = ("k", "epochs", "seed", "guessed", "matched", "NMI", "AMI", "SSE", "random SSE")


def table(runs: dict[str, dict]) -> str:
    """A row a run and number of epochs; the medians, of some seeds; as Markdown.

    guessed: how often the last layer says the cluster that it has been trained to say,
    of images that it was not trained on. matched, NMI, AMI: with the classes, of the
    same images, clusters matched to classes by the training images. SSE: of k-means,
    and of as large clusters drawn at random.
    """
    rows, groups = [], {}
    for run in runs.values():
        last = run["history"][-1]["epoch"]
        for entry in run["history"]:
            if entry["epoch"] and (entry["epoch"] in EPOCHS or entry["epoch"] == last):
                numbers = _numbers(entry)
                key = run["k"], entry["epoch"]
                groups.setdefault(key, []).append(numbers)
                rows.append((*key, run["seed"], *map(_text, numbers)))
    lines = markdown(_HEAD, sorted(rows))
    if max(map(len, groups.values()), default=0) < 2:
        return "\n".join(lines)
    medians = [
        (
            *key,
            len(found),
            *(_text(_median(column)) for column in zip(*found, strict=True)),
        )
        for key, found in sorted(groups.items())
    ]
    head = (*_HEAD[:2], "seeds", *_HEAD[3:])
    return "\n".join([*lines, "", "Medians:", "", *markdown(head, medians)])


def _numbers(entry: dict) -> tuple[float | None, ...]:
    part = entry.get("test") or entry.get("train") or {}
    guessed = entry.get("guessed", {})
    return (
        guessed.get("test", guessed.get("train")),
        *(part.get(name) for name in ("acc", "nmi", "ami")),
        entry["sse"],
        entry["sse_random"],
    )


def _median(values) -> float | None:
    there = [value for value in values if value is not None]
    return statistics.median(there) if there else None


def _text(value: float | None) -> str:
    return "" if value is None else f"{value:.4f}"
