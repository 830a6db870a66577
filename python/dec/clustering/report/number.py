"""The part on the number of clusters, where `dec` has chosen it."""

from matplotlib.ticker import MaxNLocator

from dec.clustering.choice import CRITERIA, disagreement
from dec.clustering.report.results import Results
from dec.page.html import Html, Section, section, table, tag
from dec.page.plotting import BLUE, GRID, ORANGE, Figures, plot

_WORDS = {
    "stability": "how far new starts on halves of the rows come to the same clusters, "
    "1 always, 0 no more than chance. Names the largest, and of several as good the "
    "one of most clusters.",
    "silhouette": "how far the clusters are apart in the code before phase 2, from -1 "
    "to 1. Names the largest.",
    "generalizability": "the loss of phase 2 on rows that it is trained on / that on "
    "rows held back (the paper's section 3.5.5). Names the number after which it falls "
    "most, if a fall is more than two standard errors.",
}


def number(results: Results, figures: Figures) -> Section | None:
    """None where the user has named it."""
    found = results.metrics.get("auto")
    if found is None:
        return None
    facts = (
        f"Phase 2 was tried with every number on {found['rows']:,} of the rows, a few "
        f"rounds of {found['interval']} iterations, with {found['validation']:,} rows "
        "held back; no label was looked at."
    )
    parts = [tag("p", found["why"]), tag("p", facts)]
    if not found["agree"]:
        parts.insert(1, tag("p", f"Warning: {disagreement(found)}.", class_="note"))
    terms = []
    for name in CRITERIA:
        terms += [tag("dt", name.capitalize()), tag("dd", _WORDS[name])]
    pictures = [curve_picture(found, name, figures) for name in CRITERIA]
    return section(
        "How many clusters",
        *parts,
        tag("dl", *terms),
        tag("div", *pictures, class_="grid three"),
        _table(found),
    )


def curve_picture(found: dict, name: str, figures: Figures) -> Html:
    """A criterion by the number of clusters; found: as `dec.clustering.auto` has it."""
    points = [(x["k"], x[name]) for x in found["curve"] if x[name] is not None]
    figure, axes = plot(4.6, 3.2, name.capitalize())
    if points:
        axes.plot(*zip(*points, strict=True), color=BLUE, linewidth=1.6, marker="o",
                  markersize=4)  # fmt: skip
    named = found["votes"][name]
    if named is not None:
        axes.axvline(named, color=ORANGE, linestyle="--", linewidth=1)
    axes.set_xlabel("clusters")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.grid(color=GRID, linewidth=0.8)
    alt = f"{name.capitalize()} by the number of clusters; "
    alt += "it names none." if named is None else f"it names {named}."
    return figures.add(f"number_{name}", figure, alt)


def _table(found: dict) -> Html:
    rows = [
        [
            f"{x['k']}",
            *("-" if x[name] is None else f"{x[name]:.3f}" for name in CRITERIA),
            "-" if x["error"] is None else f"{x['error']:.3f}",
            f"{x['loss']:.4f}",
            f"{x['validation_loss']:.4f}",
            f"{x['rounds']}" + ("" if x["converged"] else ", not converged"),
        ]
        for x in found["curve"]
    ]
    head = ["clusters", *CRITERIA, "± (standard error)", "training loss"]
    head += ["validation loss", "rounds"]
    return table(head, rows, "Criteria by the number of clusters")
