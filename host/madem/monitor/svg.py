"""Pictures in SVG, as text that is put into a page.

Colours are classes of the page's style sheet, so that they follow its dark and its light form:
`free`, `nudged`, `more` and `less` than zero, `good`, `bad`, `line`, `quiet`. Coordinates are
pixels of the size that a picture has on a wide page.
"""

from __future__ import annotations

import html
import math
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

LEVELS = 16
"""Strengths of a heat map's colours, on each side of zero."""


def picture(width: float, height: float, content: Iterable[str], label: str) -> str:
    """A picture as wide as its place.

    Args:
        width: in pixels, on a wide page.
        height: in pixels.
        content: elements, as the functions below give them.
        label: read to those who do not see it.

    Returns:
        An element `svg`.
    """
    return (
        f'<svg viewBox="0 0 {_n(width)} {_n(height)}" role="img" preserveAspectRatio="xMinYMin"'
        f' aria-label="{html.escape(label)}">{"".join(content)}</svg>'
    )


def text(x: float, y: float, said: str, kind: str = "", anchor: str = "start") -> str:
    """A line of text.

    Args:
        x: of its anchor, in pixels to the right.
        y: of its baseline, in pixels downwards.
        said: the text.
        kind: classes.
        anchor: start, middle or end.

    Returns:
        An element `text`.
    """
    return (
        f'<text x="{_n(x)}" y="{_n(y)}" class="{kind}" text-anchor="{anchor}">'
        f"{html.escape(said)}</text>"
    )


def rect(x: float, y: float, width: float, height: float, kind: str, title: str = "") -> str:
    """A filled rectangle.

    Args:
        x: of its left edge.
        y: of its upper edge.
        width: in pixels.
        height: in pixels.
        kind: classes.
        title: shown where the pointer rests on it.

    Returns:
        An element `rect`.
    """
    inside = f"<title>{html.escape(title)}</title>" if title else ""
    return (
        f'<rect x="{_n(x)}" y="{_n(y)}" width="{_n(width)}" height="{_n(height)}"'
        f' class="{kind}">{inside}</rect>'
    )


def line(x1: float, y1: float, x2: float, y2: float, kind: str) -> str:
    """A straight line.

    Args:
        x1: of one end.
        y1: of one end.
        x2: of the other end.
        y2: of the other end.
        kind: classes.

    Returns:
        An element `line`.
    """
    return f'<line x1="{_n(x1)}" y1="{_n(y1)}" x2="{_n(x2)}" y2="{_n(y2)}" class="{kind}"/>'


def dot(x: float, y: float, radius: float, kind: str, title: str = "") -> str:
    """A filled circle.

    Args:
        x: of its centre.
        y: of its centre.
        radius: in pixels.
        kind: classes.
        title: shown where the pointer rests on it.

    Returns:
        An element `circle`.
    """
    inside = f"<title>{html.escape(title)}</title>" if title else ""
    return f'<circle cx="{_n(x)}" cy="{_n(y)}" r="{_n(radius)}" class="{kind}">{inside}</circle>'


def path(x: ArrayLike, y: ArrayLike, kind: str) -> str:
    """Points that hang together.

    Args:
        x: of each point, in pixels.
        y: of each point, in pixels.
        kind: classes.

    Returns:
        An element `polyline`.
    """
    points = " ".join(f"{_n(a)},{_n(b)}" for a, b in zip(np.asarray(x), np.asarray(y), strict=True))
    return f'<polyline points="{points}" class="{kind}"/>'


def heat(values: ArrayLike, x: float = 0, y: float = 0, cell: float = 1) -> str:
    """A matrix of -1…1, rows downwards.

    Cells of one colour are one path, and neighbours in a row one rectangle of it.

    Args:
        values: (rows, columns).
        x: of its left edge.
        y: of its upper edge.
        cell: pixels of a cell's edge.

    Returns:
        Elements, its ground first.
    """
    matrix = np.asarray(values, float)
    levels = np.clip(np.rint(matrix * LEVELS), -LEVELS, LEVELS).astype(int)
    runs: dict[int, list[str]] = {}
    for row, cells in enumerate(levels.tolist()):
        begin = 0
        for column in range(1, len(cells) + 1):
            if column < len(cells) and cells[column] == cells[begin]:
                continue
            if cells[begin]:
                wide = (column - begin) * cell
                runs.setdefault(cells[begin], []).append(
                    f"M{_n(x + begin * cell)} {_n(y + row * cell)}h{_n(wide)}v{_n(cell)}"
                    f"h{_n(-wide)}z"
                )
            begin = column
    rows, columns = matrix.shape
    ground = rect(x, y, columns * cell, rows * cell, "ground")
    return ground + "".join(
        f'<path class="{"more" if level > 0 else "less"}"'
        f' fill-opacity="{_n(abs(level) / LEVELS)}" d="{"".join(parts)}"/>'
        for level, parts in sorted(runs.items())
    )


def chart(
    x: Sequence[float],
    y: Sequence[float],
    *,
    width: float,
    height: float,
    low: float,
    high: float,
    unit: str,
    said: Callable[[float], str],
    label: str,
    kind: str = "line good",
    mark: tuple[float, str] | None = None,
) -> str:
    """A curve with its axes.

    Args:
        x: of the points, rising from 0 or later.
        y: of the points.
        width: of the picture, in pixels.
        height: of the picture, in pixels.
        low: lower end of the upright axis.
        high: upper end of the upright axis.
        unit: below the other one.
        said: how a number of the upright axis is written.
        label: see `picture`.
        kind: classes of the curve.
        mark: an x where something happened, and what.

    Returns:
        An element `svg`.
    """
    left, top, bottom = 58.0, 10.0, 36.0
    right = width - 12
    base = height - bottom
    end = max([*x, 1e-9])

    def at_x(value: float) -> float:
        return left + value / end * (right - left)

    def at_y(value: float) -> float:
        return base - (value - low) / max(high - low, 1e-9) * (base - top)

    parts = []
    for tick in ticks(low, high, 5):
        parts.append(line(left, at_y(tick), right, at_y(tick), "grid"))
        parts.append(text(left - 8, at_y(tick) + 4, said(tick), "tick", "end"))
    for tick in ticks(0, end, 6):
        parts.append(text(at_x(tick), base + 16, f"{tick:,g}", "tick", "middle"))
    parts.append(text(right, height - 4, unit, "tick", "end"))
    if mark:
        parts.append(line(at_x(mark[0]), top, at_x(mark[0]), base, "mark"))
        parts.append(text(at_x(mark[0]) + 6, base - 8, mark[1], "tick"))
    parts.append(line(left, base, right, base, "axis"))
    parts.append(path([at_x(v) for v in x], [at_y(v) for v in y], kind))
    return picture(width, height, parts, label)


def ticks(low: float, high: float, about: int) -> list[float]:
    """Choose round numbers of an axis.

    Args:
        low: its lower end.
        high: its upper end.
        about: how many of them.

    Returns:
        The numbers, rising.
    """
    if not high > low:
        return [low]
    rough = (high - low) / about
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(m * power for m in (1, 2, 5, 10) if m * power >= rough * 0.999)
    first = math.ceil(low / step - 1e-9)
    last = math.floor(high / step + 1e-9)
    return [round(k * step, 12) for k in range(first, last + 1)]


def outline(values: NDArray[Any], columns: int) -> tuple[NDArray[Any], NDArray[Any]]:
    """Make a long row short, so that it still shows its highs and lows.

    Args:
        values: of the row, (n,).
        columns: in which it is shown; a low and a high stay of each.

    Returns:
        Indices and values of what stays, both (m,).
    """
    if len(values) <= 2 * columns:
        return np.arange(len(values)), values
    starts = np.linspace(0, len(values), columns, endpoint=False).astype(int)
    low, high = np.minimum.reduceat(values, starts), np.maximum.reduceat(values, starts)
    return np.repeat(starts, 2), np.column_stack([low, high]).ravel()


def _n(value: float) -> str:
    """A number, short."""
    return f"{float(value):.2f}".rstrip("0").rstrip(".")
