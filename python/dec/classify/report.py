"""`dec report` of a fine-tuning run: report.html, and its figures as PNG."""

import base64
import io
import json
import re
import shlex
from pathlib import Path

import numpy as np
from matplotlib.ticker import PercentFormatter
from PIL import Image

from dec.base import files, progress
from dec.base.errors import DecError
from dec.base.tables import read_columns
from dec.base.words import duration
from dec.classify.words import accuracy, percent
from dec.data import leveldb
from dec.data.labelled.split import SETS
from dec.data.leveldb import encoded
from dec.page.html import Html, Section, section, table, tag
from dec.page.page import page
from dec.page.plotting import BLUE, GREY, GRID, INK, ORANGE, Figures, colors, plot
from dec.page.write import write_report
from dec.photos.load import BadPhoto, load_rgb

_WORDS = (
    "A network learned from photos whose class is known (train), was watched on others "
    "meanwhile (val), and is judged here by photos that it has never seen (test)."
)
_FIGURES = re.compile(r"(loss|accuracy|recall|table)\.png")
_MISTAKES = 40
_TILE = 160  # the longer side of a photo on the page
_MOST_NAMES = 25  # classes named in a figure


def report(folder: Path) -> None:
    """Writes report.html and figures/ into the folder of a finished run.

    Raises DecError where there is no finished run, or figures/ holds other things.
    """
    metrics = read_metrics(folder)
    write_report(folder, _FIGURES, lambda figures: _page(folder, metrics, figures))


def read_metrics(folder: Path) -> dict:
    """metrics.json of a fine-tuning run; DecError where there is none."""
    file = folder / "metrics.json"
    try:
        metrics = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise DecError(f"{folder}: there is no finished run here") from None
    except (OSError, ValueError) as error:
        raise DecError(f"{file}: cannot be read: {error}") from None
    if metrics.get("kind") != "finetune":
        raise DecError(f"{folder}: is no run of dec finetune")
    return metrics


def _page(folder: Path, metrics: dict, figures: Figures) -> str:
    name = folder.resolve().name
    title = f"{name}: photos by class"
    parts = [
        _headlines(metrics),
        _curves(metrics, figures),
        _confusion(metrics, figures),
        _mistakes(folder, metrics),
        _classes(metrics, figures),
        _data(metrics),
        _settings(folder, metrics),
    ]
    facts = f"{sum(metrics[s]['n'] for s in SETS):,} photos of "
    facts += f"{len(metrics['classes'])} classes, seed {metrics['seed']}, "
    facts += f"{metrics['iterations']:,} iterations"
    return page(title, facts, _WORDS, parts)


def _headlines(metrics: dict) -> Section:
    test = metrics["test"]
    low, high = test["interval"]
    counts = metrics["counts"]["test"]
    cards = [
        (f"{test['accuracy']:.1%}", "of the test photos right"),
        (f"{100 * low:.0f}–{high:.0%}", "its 95% confidence interval"),
        (f"{test['right']:,} of {test['n']:,}", "test photos"),
        (f"{max(counts) / sum(counts):.1%}", "by always saying the largest class"),
        (f"{metrics['train']['accuracy']:.1%}", "of the training photos right"),
        (duration(metrics["seconds"]["training"]), "of training"),
    ]
    note = []
    if metrics["train"]["accuracy"] - test["accuracy"] > 0.1:
        note.append(
            tag(
                "p",
                "Far fewer test photos are right than training photos: the network "
                "has learned the training photos by heart. More photos help most; "
                "then fewer iterations (--patience), or trained weights (--weights).",
                class_="note",
            )
        )
    return section(
        "Results",
        tag(
            "div",
            *(
                tag("div", tag("b", value), tag("span", text), class_="card")
                for value, text in cards
            ),
            class_="cards",
        ),
        *note,
    )


def _curves(metrics: dict, figures: Figures) -> Section:
    if "regression" in metrics:
        return _regression(metrics["regression"])
    pictures = []
    points = metrics["training_loss"]
    found = metrics["validations"]
    if points:
        figure, axes = plot(5.6, 3.6, "Loss")
        axes.plot(*zip(*points, strict=True), color=GREY, linewidth=1, label="train")
        if found:
            x, y = [v["iteration"] for v in found], [v["loss"] for v in found]
            axes.plot(x, y, color=BLUE, linewidth=1.8, marker="o", ms=3, label="val")
            axes.legend(frameon=False)
        axes.set_ylim(bottom=0)
        _by_iteration(axes, "loss")
        alt = f"Loss by iteration: training from {points[0][1]:.3f} to "
        alt += f"{points[-1][1]:.3f}."
        pictures.append(figures.add("loss", figure, alt))
    if found:
        figure, axes = plot(5.6, 3.6, "Accuracy on val")
        x, y = [v["iteration"] for v in found], [v["accuracy"] for v in found]
        axes.plot(x, y, color=BLUE, linewidth=1.8, marker="o", ms=3)
        axes.axvline(metrics["iteration"], color=ORANGE, linestyle="--", linewidth=1)
        axes.yaxis.set_major_formatter(PercentFormatter(1))
        _by_iteration(axes, "photos right")
        alt = f"Accuracy on val by iteration, from {y[0]:.1%} to {y[-1]:.1%}."
        pictures.append(figures.add("accuracy", figure, alt))
    words = (
        "Where the loss of val rises while that of train falls, the network begins to "
        "learn its photos by heart. The training loss is that of one batch each, with "
        "crops, mirrors and dropout."
    )
    if found:
        words += " The dashed line marks the iteration whose weights are the result."
    return section(
        "Training progress", tag("p", words), tag("div", *pictures, class_="grid two")
    )


def _regression(facts: dict) -> Section:
    words = (
        f'The last layer, "{facts["layer"]}", is a logistic regression on what the '
        "layers before it say of a photo; these have kept the weights they started "
        f"with. C = {facts['C']:g} (how little its weights are held back)"
    )
    if not facts["losses"]:
        return section("Training", tag("p", words + ": too few photos to choose it."))
    words += " had the lowest loss on photos left out in cross-validation."
    rows = [[f"{c:g}", f"{loss:.4f}"] for c, loss in facts["losses"]]
    return section(
        "Training",
        tag("p", words),
        table(["C", "loss"], rows, "Cross-validation"),
    )


def _by_iteration(axes, what: str) -> None:
    axes.set_xlabel("iteration")
    axes.set_ylabel(what)
    axes.xaxis.set_major_formatter("{x:,.0f}")
    axes.grid(color=GRID, linewidth=0.8)


def _confusion(metrics: dict, figures: Figures) -> Section:
    test, names = metrics["test"], metrics["classes"]
    rows = [
        [
            name,
            *(
                tag("td", f"{n:,}", class_="own" if j == i else None if n else "zero")
                for j, n in enumerate(test["table"][i])
            ),
            percent(test["recall"][i]),
        ]
        for i, name in enumerate(names)
    ]
    rows.append(["precision", *map(percent, test["precision"]), ""])
    parts = [
        tag(
            "p",
            "Test photos of each class (down) by what the network took them for "
            "(across). Recall is the share of a class that was found; precision the "
            "share of what was taken for a class that is one.",
        ),
        table(["", *names, "recall"], rows, "Actual class by predicted class"),
        tag("div", _heat_map(names, np.array(test["table"]), figures), class_="one"),
    ]
    return section("What was taken for what", *parts)


def _heat_map(names: list[str], counts: np.ndarray, figures: Figures) -> Html:
    k = len(names)
    share = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    size = min(max(0.7 * k + 2, 3.6), 12), min(max(0.5 * k + 1.2, 2.4), 10)
    figure, axes = plot(*size, "Share of each class by prediction")
    axes.imshow(share, cmap="Blues", vmin=0, vmax=1, aspect="auto")
    if k <= _MOST_NAMES:
        for (i, j), count in np.ndenumerate(counts):
            if count:
                ink = "white" if share[i, j] > 0.5 else INK
                axes.text(j, i, f"{count:,}", ha="center", va="center", color=ink)
        axes.set_xticks(range(k), names, rotation=30, ha="right")
        axes.set_yticks(range(k), names)
    axes.set_xlabel("taken for")
    axes.set_ylabel("class")
    axes.spines[:].set_visible(False)
    axes.tick_params(length=0)
    alt = "Heat map of the table above."
    return figures.add("table", figure, alt)


def _mistakes(folder: Path, metrics: dict) -> Section:
    columns = ("set", "file", "class", "predicted", "probability")
    rows = read_columns(folder / "predictions.csv", columns, ours=True)
    wrong = [r for _, r in rows if r[0] == "test" and r[2] != r[3]]
    wrong.sort(key=lambda r: -float(r[4]))
    pictures = _photos(metrics, [r[1] for r in wrong[:_MISTAKES]])
    tiles = [
        tag(
            "li",
            pictures.get(name, ""),
            tag("b", f"{guess} {float(p):.0%}"),
            tag("br"),
            f"is {label}",
            title=files.printable(name),
        )
        for _, name, label, guess, p in wrong[:_MISTAKES]
    ]
    words = "The test photos that the network is most certain of and wrong about, the "
    words += "most certain first: photos with a wrong label are found here first."
    shown = tag("ul", *tiles, class_="tiles plain") if tiles else None
    return section(
        "The most certain mistakes",
        tag("p", words if wrong else "Every test photo is right."),
        *([shown] if shown else []),
    )


def _photos(metrics: dict, names: list[str]) -> dict[str, Html]:
    """Pictures by name: the photos themselves, or else what is left in the LevelDB."""
    found, missing = {}, set()
    for name in names:
        try:
            path = Path(metrics["folder"]) / name
            image = load_rgb(path, at_least=(_TILE, _TILE))
            image.thumbnail((_TILE, _TILE))
            found[name] = _picture(image, name)
        except BadPhoto:
            missing.add(name)
    if missing:
        database = Path(metrics["data"]) / "test"
        try:
            listed = leveldb.read_names(database) or []
            rows = encoded.read_photos(database)
            for name, (jpeg, _) in zip(listed, rows, strict=False):
                if name in missing:
                    found[name] = _picture(Image.open(io.BytesIO(jpeg)), name)
        except DecError as error:
            progress.say(f"report: {error}")
    return found


def _picture(image: Image.Image, name: str) -> Html:
    content = io.BytesIO()
    image.save(content, "JPEG", quality=85)
    source = "data:image/jpeg;base64," + base64.b64encode(content.getvalue()).decode()
    return tag("img", src=source, alt=files.printable(name))


def _classes(metrics: dict, figures: Figures) -> Section:
    names, test = metrics["classes"], metrics["test"]
    found = metrics["validations"]
    parts = []
    if found and len(names) <= _MOST_NAMES:
        figure, axes = plot(7.2, 3.8, "Recall of each class on val")
        x = [v["iteration"] for v in found]
        for i, (name, color) in enumerate(zip(names, colors(len(names)), strict=True)):
            y = [v["recall"][i] for v in found]
            axes.plot(x, y, color=color, linewidth=1.8, label=name)
        axes.yaxis.set_major_formatter(PercentFormatter(1))
        axes.legend(frameon=False, loc="best")
        _by_iteration(axes, "found")
        alt = "Recall of each class on val by iteration. At the end: " + ", ".join(
            f"{n} {r:.0%}" for n, r in zip(names, found[-1]["recall"], strict=True)
        )
        parts.append(tag("div", figures.add("recall", figure, alt), class_="one"))
    rows = [
        [
            name,
            f"{metrics['counts']['test'][i]:,}",
            percent(test["recall"][i]),
            percent(test["precision"][i]),
        ]
        for i, name in enumerate(names)
    ]
    head = ["class", "test photos", "recall", "precision"]
    parts.append(table(head, rows, "Scores of each class on test"))
    return section("Class by class", *parts)


def _data(metrics: dict) -> Section:
    counts = metrics["counts"]
    rows = [
        [name, *(f"{counts[s][i]:,}" for s in SETS)]
        for i, name in enumerate(metrics["classes"])
    ]
    rows.append(["all", *(f"{sum(counts[s]):,}" for s in SETS)])
    big, small = max(counts["train"]), max(min(counts["train"]), 1)
    words = (
        "Photos that look alike are in one and the same of the three sets, so the test "
        "photos are new to the network."
    )
    if big > 1.5 * small:
        words += f" The largest class has {big / small:.1f} times as many photos as "
        words += "the smallest; the loss "
        words += (
            "counts each class the same."
            if metrics["weighted"]
            else ("counts each photo the same (--weighted: each class).")
        )
    scores = [[s, f"{metrics[s]['n']:,}", accuracy(metrics[s])] for s in SETS]
    return section(
        "Photos",
        tag("p", words),
        table(["class", *SETS], rows, "Photos by class and set"),
        table(["set", "photos", "accuracy (95%)"], scores, "Accuracy by set"),
    )


def _settings(folder: Path, metrics: dict) -> Section:
    words = ["dec", "finetune", metrics["experiment"], "--data", metrics["data"]]
    words += ["--run", str(folder), "--seed", str(metrics["seed"])]
    if metrics["weighted"]:
        words.append("--weighted")
    if metrics["patience"]:
        words += ["--patience", str(metrics["patience"])]
    if metrics["weights"] and metrics.get("weights_given", True):
        words += ["--weights", metrics["weights"]["file"]]
    if metrics["changes"]:
        words += ["--set", metrics["changes"]]
    parts = [
        tag("p", "This command, from the project's root, repeats the run:"),
        tag("pre", shlex.join(words), tabindex=0),
        tag("p", "The solver as run:"),
        tag("pre", _text(folder / "prototxt" / "solver.prototxt"), tabindex=0),
    ]
    if metrics["weights"]:
        taken = ", ".join(metrics["weights"]["taken"])
        new = ", ".join(metrics["weights"]["random"]) or "none"
        parts.append(tag("p", f"Layers from given weights: {taken}; random: {new}."))
    on = metrics["machine"]
    times = ", ".join(f"{k} {duration(s)}" for k, s in metrics["seconds"].items())
    parts.append(
        tag(
            "p",
            f"Time: {times}, on {on['processor']}, {on['threads']} threads.",
            class_="soft",
        )
    )
    return section("How it was made", *parts)


def _text(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except OSError:
        return ""
