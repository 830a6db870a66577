"""What the report's figures share: their look, and where they are kept."""

import base64
import io
from pathlib import Path

import numpy as np
from matplotlib import colormaps, rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from dec.page.html import Html, tag

INK, SOFT, GRID = "#1f2933", "#52606d", "#e4e8ec"
BLUE, ORANGE, GREEN, GREY = "#2f6db3", "#d9772b", "#3b8f5a", "#b8c1cb"
_TEN = [
    *("#3b76b5", "#f28e2b", "#d94a4c", "#4fa04a", "#9d5fc0"),
    *("#8f6a4f", "#f58fb5", "#2fb5c0", "#d6b012", "#3c444d"),
]
_DPI = 160
_LOOK = {
    "font.size": 10,
    "axes.edgecolor": "#9aa5b1",
    "axes.labelcolor": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlesize": 11,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.axisbelow": True,
    "text.color": INK,
    "xtick.color": SOFT,
    "ytick.color": SOFT,
}


def plot(width: float, height: float, title: str) -> tuple[Figure, Axes]:
    """A figure of these inches with one plot in the report's look."""
    with rc_context(_LOOK):
        figure = Figure(figsize=(width, height), layout="constrained")
        axes = figure.subplots()
        axes.set_title(title)
    return figure, axes


def colors(count: int) -> list:
    """So many colours that can be told apart as well as so many can be."""
    if count <= len(_TEN):
        return _TEN[:count]
    if count <= 20:
        return [colormaps["tab20"](i) for i in range(count)]
    return [colormaps["turbo"](i) for i in np.linspace(0.03, 0.97, count)]


class Figures:
    """A folder of PNGs that become parts of the page as well."""

    def __init__(self, folder: Path):
        self.folder = folder

    def add(self, name: str, figure: Figure, alt: str) -> Html:
        """Keeps the figure as `name`.png; returns it as a picture of the page."""
        file = io.BytesIO()
        with rc_context(_LOOK):
            figure.savefig(file, dpi=_DPI, format="png", metadata={"Software": None})
        (self.folder / f"{name}.png").write_bytes(file.getvalue())
        width, height = (round(side * 100) for side in figure.get_size_inches())
        return inline(file.getvalue(), alt, width=width, height=height)


def inline(content: bytes, alt: str, **attributes: object) -> Html:
    """A PNG file as a picture inside the page."""
    source = "data:image/png;base64," + base64.b64encode(content).decode()
    return tag("img", src=source, alt=alt, **attributes)
