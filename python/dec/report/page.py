"""The page around its parts."""

from dec.report.html import Html, Section, join, tag
from dec.report.results import Results
from dec.report.style import CSS

_POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"


def page(results: Results, parts: list[Section]) -> str:
    """The whole file."""
    name = results.name
    metrics = results.metrics
    facts = f"{results.n:,} rows in {results.k} clusters, seed {metrics['seed']}, "
    facts += f"{metrics['rounds']} rounds"
    links = (tag("a", part.title, href=f"#{part.anchor}") for part in parts)
    head = tag(
        "head",
        tag("meta", charset="utf-8"),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        Html(f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">'),
        tag("title", f"{name}: clusters by DEC"),
        tag("link", rel="icon", href="data:,"),
        tag("style", Html(CSS)),
    )
    body = tag(
        "body",
        tag(
            "header",
            tag("h1", f"{name}: clusters by DEC"),
            tag("p", facts, class_="soft"),
            tag(
                "p",
                "Deep Embedded Clustering sorts rows into groups without being told "
                "what they are. An autoencoder first learns a short code for every "
                "row; k-means finds centres in it; then code and centres are trained "
                "together, so that the groups become clearer.",
            ),
            tag("nav", *links, aria_label="Parts of this page"),
        ),
        tag("main", *(part.html() for part in parts)),
        tag("footer", tag("p", "Written by dec report. This file needs no other.")),
    )
    return "<!doctype html>\n" + tag("html", head, join("\n"), body, lang="en") + "\n"
