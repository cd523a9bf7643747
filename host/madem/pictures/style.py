"""The one style of all pictures: colour-blind safe, and drawn without a display.

Every function of this room that draws returns a `Figure`; `save_picture` writes it. Colours are
those of Okabe and Ito: blue is the device, orange and grey its rivals, vermillion a mistake.
Nothing is told by colour alone.
"""

import io
from collections.abc import Callable
from contextlib import AbstractContextManager
from functools import wraps
from pathlib import Path
from typing import ParamSpec

from matplotlib import style
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.ticker import FuncFormatter

from madem import output

INK = "#222222"
GREY = "#757575"
PALE = "#F3F3F1"
FLAT = "#CFCFCB"
BLUE = "#0072B2"
ORANGE = "#E69F00"
VERMILLION = "#D55E00"
GREEN = "#009E73"
PURPLE = "#CC79A7"

DIVERGING = LinearSegmentedColormap.from_list(
    "blue-white-vermillion", [BLUE, "#FFFFFF", VERMILLION]
)
SEQUENTIAL = LinearSegmentedColormap.from_list("white-blue", ["#FFFFFF", BLUE, "#00344F"])

_STYLE = {
    "font.family": "DejaVu Sans",
    "font.size": 11,
    "text.color": INK,
    "text.parse_math": False,  # a name may have dollars
    "axes.labelcolor": INK,
    "axes.edgecolor": GREY,
    "axes.titlesize": 12,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": False,
    "axes.axisbelow": True,
    "grid.color": "#E4E4E4",
    "xtick.color": GREY,
    "ytick.color": GREY,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "legend.frameon": False,
    "lines.linewidth": 2,
    "lines.markersize": 6,
}
PERCENT = FuncFormatter(lambda fraction, _: f"{100 * fraction:g} %")
"""Writes the fractions of an axis in per cent."""

P = ParamSpec("P")


def _style() -> AbstractContextManager[None]:
    """Our style instead of whatever is set, and everything as it was afterwards."""
    return style.context(["default", _STYLE])


def styled(draw: Callable[P, Figure]) -> Callable[P, Figure]:
    """Have a function draw in our style.

    Args:
        draw: the function.

    Returns:
        The same function, in whose drawing our style holds.
    """

    @wraps(draw)
    def in_style(*args: P.args, **kwargs: P.kwargs) -> Figure:
        with _style():
            return draw(*args, **kwargs)

    return in_style


def blank_figure(width: float, height: float, title: str = "") -> Figure:
    """A figure without panels yet, that spaces them by itself.

    Args:
        width: in inches.
        height: in inches.
        title: above all panels; an empty one takes no room.

    Returns:
        The figure.
    """
    spacing = ConstrainedLayoutEngine(w_pad=0.14, h_pad=0.1, wspace=0.05)
    figure = Figure(figsize=(width, height), layout=spacing)
    if title:
        figure.suptitle(title, x=0.015, ha="left", fontsize=14, fontweight="bold")
    return figure


def save_picture(figure: Figure, path: str | Path) -> Path:
    """Write a figure as PNG, making its folder; the same figure gives the same bytes.

    Args:
        figure: what to write.
        path: of the file, which is replaced.

    Returns:
        The path.

    Raises:
        MademError: the file can't be written.
    """
    path = Path(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise output.refused(path, error) from None
    data = io.BytesIO()
    with _style():  # ticks are made only now
        figure.savefig(data, format="png", dpi=150, metadata={"Software": None})
    output.write_whole(path, data.getvalue())
    return path
