"""HTML from nested calls; all text is escaped."""

from dataclasses import dataclass
from html import escape

_EMPTY = {"img", "meta", "link", "br"}


class Html(str):
    """Text that is HTML already."""


def tag(name: str, /, *children: str, **attributes: object) -> Html:
    """An element. Children are escaped unless they are Html.

    attributes: `class_` stands for class, `aria_label` for aria-label; those that are
    None are left out.
    """
    opening = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{escape(str(value))}"'
        for key, value in attributes.items()
        if value is not None
    )
    if name in _EMPTY:
        return Html(f"<{name}{opening}>")
    return Html(f"<{name}{opening}>{join(*children)}</{name}>")


def join(*children: str) -> Html:
    """Children one after another, escaped unless they are Html."""
    return Html("".join(c if isinstance(c, Html) else escape(c) for c in children))


@dataclass
class Section:
    """A part of the page."""

    title: str
    body: Html

    @property
    def anchor(self) -> str:
        """The name by which it can be linked to."""
        return "".join(c if c.isalnum() else "-" for c in self.title.lower())

    def html(self) -> Html:
        return tag("section", tag("h2", self.title), self.body, id=self.anchor)


def section(title: str, *children: str) -> Section:
    return Section(title, join(*children))


def table(
    head: list[str], rows: list[list[str]], label: str, kind: str | None = None
) -> Html:
    """A table whose first column names its rows; it scrolls in a box of its own.

    Cells that are Html are there with their tag. kind: its class in the style sheet.
    """
    top = tag(
        "tr",
        *(t if isinstance(t, Html) else tag("th", t, scope="col") for t in head),
    )
    body = (
        tag(
            "tr",
            tag("th", row[0], scope="row"),
            *(c if isinstance(c, Html) else tag("td", c) for c in row[1:]),
        )
        for row in rows
    )
    parts = tag("thead", top), tag("tbody", *body)
    return tag(
        "div",
        tag("table", *parts, class_=kind),
        class_="scroll",
        tabindex=0,
        role="region",
        aria_label=label,
    )
