"""Tables to be read as text: in columns for the terminal, and in Markdown."""

from collections.abc import Iterable, Sequence


def aligned(rows: Iterable[Sequence[object]], columns: Sequence[str]) -> list[str]:
    """The rows as lines, their cells in columns.

    columns: "<12" for text at the left of 12 characters, ">8" for text at the right of
    8; a column is as wide as its longest cell where that is more. A row may have fewer
    cells than there are columns; no line ends with blanks.
    """
    texts = [[str(cell) for cell in row] for row in rows]
    widths = [int(column[1:]) for column in columns]
    for row in texts:
        for i, cell in enumerate(row):
            widths[i] = max(widths[i], len(cell))
    how = [f"{column[0]}{w}" for column, w in zip(columns, widths, strict=True)]
    return [
        "".join(f"{cell:{form}}" for cell, form in zip(row, how, strict=False)).rstrip()
        for row in texts
    ]


def markdown(header: Sequence[str], rows: Iterable[Sequence[object]]) -> list[str]:
    """The lines of a Markdown table; a | in a cell stays one, a line end is a blank.

    Raises ValueError for a row that has not as many cells as the header.
    """
    lines = [_row(header, len(header)), "|" + " --- |" * len(header)]
    return lines + [_row(row, len(header)) for row in rows]


def _row(cells: Sequence[object], count: int) -> str:
    if len(cells) != count:
        raise ValueError(f"{len(cells)} cells for {count} columns")
    words = (" ".join(str(cell).splitlines()).replace("|", "\\|") for cell in cells)
    return f"| {' | '.join(words)} |"
