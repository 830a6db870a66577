"""The page around a report's parts."""

from collections.abc import Iterable

from dec.page.html import Html, Section, join, tag
from dec.page.style import CSS

_POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"


def page(
    title: str,
    facts: str,
    words: str,
    parts: Iterable[Section],
    by: str = "dec report",
) -> str:
    """The whole file: a title, facts in a line, what it is about, and the parts.

    by: the command that writes it.
    """
    parts = list(parts)
    links = (tag("a", part.title, href=f"#{part.anchor}") for part in parts)
    head = tag(
        "head",
        tag("meta", charset="utf-8"),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        Html(f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">'),
        tag("title", title),
        tag("link", rel="icon", href="data:,"),
        tag("style", Html(CSS)),
    )
    body = tag(
        "body",
        tag(
            "header",
            tag("h1", title),
            tag("p", facts, class_="soft"),
            tag("p", words),
            tag("nav", *links, aria_label="Parts of this page"),
        ),
        tag("main", *(part.html() for part in parts)),
        tag("footer", tag("p", f"Written by {by}. This file needs no other.")),
    )
    return "<!doctype html>\n" + tag("html", head, join("\n"), body, lang="en") + "\n"
