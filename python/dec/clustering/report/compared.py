"""The part on trust: simple methods beside the run, and signs that need no labels."""

from dec.clustering.report.results import Results
from dec.clustering.summary import doubts, simple_methods_better
from dec.page.html import Html, Section, section, table, tag


def compared(results: Results) -> Section | None:
    """None for a run that was made before `dec` compared."""
    metrics = results.metrics
    if "comparison" not in metrics:
        return None
    parts = _methods(results)
    signs = metrics["signs"]
    parts += [_signs(signs)] if signs["silhouette"] is not None else []
    return section("Worth looking at?", *parts)


def _methods(results: Results) -> list[Html]:
    found, method = results.metrics["comparison"], results.metrics.get("method", "DEC")
    labelled = "run" in found
    part = "" if found["rows"] == results.n else f" on {found['rows']:,} of the rows"
    words = (
        f"What methods of seconds, which train nothing, make of the same rows{part}: "
        "k-means on the rows as they are, and k-means in units of the clusters' own "
        "spread on their ten principal components. The last column says how far their "
        "clusters are this run's: 1 the same, 0 no more than chance."
    )
    head = ["method", *(["accuracy", "NMI", "ARI"] * labelled), "as this run"]
    rows = [_row(x["method"], x, labelled) for x in found["methods"]]
    if labelled:
        rows.append(_row(f"{method}, this run", found["run"], labelled))
    parts = [tag("p", words), table(head, rows, "Simple methods beside the run")]
    if labelled and (better := simple_methods_better(found)):
        words = f"{' and '.join(better)}: of higher NMI than {method} here."
        parts.append(tag("p", words, class_="note"))
    return parts


def _row(name: str, entry: dict, labelled: bool) -> list[str]:
    scores = [f"{entry['acc']:.2%}", *_fine(entry, "nmi", "ari")] if labelled else []
    return [name, *scores, *(_fine(entry, "agreement") or [""])]


def _fine(entry: dict, *names: str) -> list[str]:
    return [f"{entry[name]:.4f}" for name in names if name in entry]


def _signs(signs: dict) -> Html:
    """Silhouettes and stability as a list of terms."""
    parts = [
        tag("dt", f"Silhouette {signs['silhouette']:.3f}"),
        tag(
            "dd",
            "how far the clusters are apart in the code, from -1 to 1. Training drives "
            "any clusters apart; in the code before it, these same clusters have "
            f"{signs['silhouette_start']:.3f}.",
        ),
    ]
    if signs["stability"] is not None:
        parts += [
            tag("dt", f"Stability {signs['stability']:.3f}"),
            tag(
                "dd",
                "how far a new start on the code of half of the rows, ten times drawn "
                "at random, comes to the run's clusters: 1 always, 0 no more than "
                "chance. Clusters that are not stable are made by chance: do not trust "
                "them.",
            ),
        ]
    parts += [
        part
        for words in doubts(signs)
        for part in (tag("dt", "Joined or split"), tag("dd", words))
    ]
    return tag("dl", *parts)
