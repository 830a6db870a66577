"""The parts on the run itself: times, settings, command, files."""

import re
import shlex
from pathlib import Path

from dec.base.errors import DecError
from dec.base.words import duration
from dec.clustering.report.results import Results
from dec.nets import prototxt
from dec.page.html import Html, Section, section, table, tag

_STAGES = {
    "data": "reading and writing the data",
    "layer1": "autoencoder, layer 1",
    "layer2": "autoencoder, layer 2",
    "layer3": "autoencoder, layer 3",
    "layer4": "autoencoder, layer 4",
    "stack": "autoencoder, all layers",
    "auto": "choosing the number of clusters",
    "dec": "clustering",
    "compare": "simple methods and signs, to compare with",
}
_PARTS = {
    "embed": "the code of all rows",
    "kmeans": "k-means",
    "targets": "targets",
    "solver": "preparing the nets",
    "train": "training",
    "write": "writing files",
}
_FILES = {
    "assignments.csv": "cluster and probability of every row",
    "metrics.json": "all numbers of this page, round by round",
    "figures/": "the figures of this page, as PNG",
    "clusters.png": "the run in one picture",
    "final.caffemodel": "the trained weights; deploy.prototxt is their net",
    "deploy.prototxt": "the net that gives new rows their cluster",
    "prototxt/": "nets and solvers as run",
    "log.txt": "Caffe's log",
}


def times(results: Results) -> Section:
    """Seconds of every stage, as numbers and as bars."""
    stages = results.metrics["seconds"]
    longest = max(max(stages.values(), default=0), 1e-9)
    rows = []
    for name, seconds in stages.items():
        rows.append(_time(_STAGES.get(name, name), seconds, longest))
        if name == "dec":
            parts = results.metrics.get("dec_seconds", {}).items()
            rows += [_time(f"– {_PARTS.get(p, p)}", s, longest, True) for p, s in parts]
    rows.append(["together", duration(sum(stages.values())), tag("td")])
    return section(
        "Time",
        tag("p", "Where the time went, stage after stage, on the machine of the run."),
        table(["stage", "time", ""], rows, "Time by stage", "times"),
    )


def _time(name: str, seconds: float, longest: float, part: bool = False) -> list[str]:
    bar = tag("div", style=f"width: {seconds / longest:.1%}")
    kind = "bar part" if part else "bar"
    return [name, duration(seconds), tag("td", bar, class_=kind)]


def settings(results: Results) -> Section:
    """What was run: command, data, solvers, files."""
    parts = []
    command = _command(results)
    own = _source(results.folder / "prototxt" / "dec_solver.prototxt")
    if command:
        parts += [
            tag("p", "This command, from the project's root, repeats the run:"),
            tag("pre", command, tabindex=0),
        ]
    try:
        facts = f"Data: {results.database}, {results.n:,} rows."
    except DecError:
        facts = f"Data: {results.n:,} rows."
    facts += f" Seed {results.metrics['seed']}."
    parts.append(tag("p", facts))
    stages = [stage for stage in _STAGES if stage in results.metrics["seconds"]]
    rows = [row for stage in stages if (row := _solver(results.folder, stage))]
    if rows:
        head = ["stage", "solver", "iterations", "batch", "momentum"]
        head += [tag("th", t, scope="col", class_="text") for t in ("rate", "file")]
        parts.append(table(head, rows, "Solver settings by stage"))
        parts.append(
            tag(
                "p",
                "Iterations of the clustering are those of one round. To change a run, "
                f"edit these files in {own.parent if own else 'prototxt'}.",
                class_="soft",
            )
        )
    there = [
        [name, _text(text)]
        for name, text in _FILES.items()
        if name == "figures/" or (results.folder / name).exists()
    ]
    parts.append(tag("p", f"Files, in {results.folder}:"))
    parts.append(table(["file", "what it is"], there, "Files of the run"))
    return section("How it was made", *parts)


def _text(words: str) -> Html:
    return tag("td", words, class_="text")


def _solver(folder: Path, stage: str) -> list[str] | None:
    file = folder / "prototxt" / f"{stage}_solver.prototxt"
    try:
        solver = prototxt.read_solver(file)
        net = prototxt.read_net(folder / "prototxt" / f"{stage}.prototxt")
    except DecError:
        return None
    layers = prototxt.data_layers(net, "TRAIN")
    rate = f"{solver.base_lr:g}"
    if solver.lr_policy == "step":
        rate += f", × {solver.gamma:g} every {solver.stepsize:,}"
    return [
        _STAGES[stage],
        solver.type,
        f"{solver.max_iter:,}",
        str(layers[0].data_param.batch_size) if layers else "",
        f"{solver.momentum:g}",
        _text(rate),
        _text(_name(_source(file))),
    ]


def _name(source: Path | None) -> str:
    """A user's file as seen from its experiment's folder."""
    if source is None:
        return ""
    inside = (source.parents[1] / "dec_solver.prototxt").exists()
    return f"{source.parent.name}/{source.name}" if inside else source.name


def _source(file: Path) -> Path | None:
    """The user's file that a copy in the run folder was made from."""
    try:
        first = file.read_text(encoding="utf-8").split("\n", 1)[0]
    except OSError:
        return None
    found = re.fullmatch(r"# As run by dec; from (.+)\. Edit that file.*", first)
    return Path(found[1]) if found else None


def _command(results: Results) -> str | None:
    """The call of dec that gives this very run, as far as the folder tells."""
    folder, metrics = results.folder / "prototxt", results.metrics
    phase1, phase2 = (
        _source(folder / f"{stage}_solver.prototxt") for stage in ("stack", "dec")
    )
    if not phase2:
        return None
    experiment = metrics.get("experiment") or phase2.parent.name
    words = ["dec", "run", experiment, "--run", str(results.folder)]
    if metrics.get("autoencoder"):
        words += ["--pretrain", metrics["autoencoder"]]
    elif phase1:
        words += ["--pretrain", f"train-{phase1.parent.name}"]
    chosen = ("dec", "few_dec", experiment)  # by the driver itself
    if phase2.name not in {f"{name}_solver.prototxt" for name in chosen}:
        words += ["--solver", str(phase2)]
    if "auto" in metrics:
        curve = metrics["auto"]["curve"]
        words += ["--clusters", f"{curve[0]['k']}..{curve[-1]['k']}"]
    elif metrics.get("clusters"):
        words += ["--clusters", str(metrics["clusters"])]
    try:
        solvers = [prototxt.read_solver(f) for f in folder.glob("*_solver.prototxt")]
        clustering = prototxt.read_solver(folder / "dec_solver.prototxt")
    except DecError:
        return None
    if {solver.random_seed for solver in solvers} == {metrics["seed"]}:
        words += ["--seed", str(metrics["seed"])]
    if clustering.solver_mode == clustering.GPU:
        words += ["--device", "gpu"]
    words += ["--kmeans", metrics.get("start", "plain")]
    words += ["--update-interval", str(clustering.max_iter)]
    for option in ("tol", "max_rounds"):
        if option in metrics:
            words += [f"--{option.replace('_', '-')}", str(metrics[option])]
    return shlex.join(words)
