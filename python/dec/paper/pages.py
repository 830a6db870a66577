"""What tables and figures are written as: Markdown, and one page of HTML."""

from dataclasses import dataclass, field
from pathlib import Path

from dec.base import progress
from dec.base.atomic import write_text_atomic
from dec.base.text_tables import markdown
from dec.page.html import Html, Section, section, table, tag
from dec.page.page import page


@dataclass
class Part:
    """A title, words, a table, and pictures (HTML) with the names of their files."""

    title: str
    words: str = ""
    head: list[str] = field(default_factory=list)
    rows: list[list[str]] = field(default_factory=list)
    pictures: list[Html] = field(default_factory=list)
    files: list[str] = field(default_factory=list)

    def section(self) -> Section:
        parts = [tag("p", self.words)] if self.words else []
        if self.pictures:
            parts.append(tag("div", *self.pictures, class_="grid two"))
        if self.rows:
            parts.append(table(self.head, self.rows, self.title))
        return section(self.title, *parts)

    def lines(self) -> list[str]:
        """As Markdown."""
        found = [f"## {self.title}", ""]
        found += [self.words, ""] if self.words else []
        for name in self.files:
            found += [f"![{name}]({name})", ""]
        found += [*markdown(self.head, self.rows), ""] if self.rows else []
        return found


def write_pages(
    folder: Path, name: str, title: str, words: str, parts: list[Part]
) -> Path:
    """Writes NAME.md and NAME.html into the folder; returns the latter's path."""
    lines = [f"# {title}", "", words, ""]
    lines += [line for part in parts for line in part.lines()]
    write_text_atomic(folder / f"{name}.md", "\n".join(lines).rstrip() + "\n")
    sections = [part.section() for part in parts]
    html = page(title, "", words, sections, f"dec paper {name}")
    file = folder / f"{name}.html"
    write_text_atomic(file, html)
    progress.say(f"paper: {file}, and as {name}.md")
    return file
