"""Pictures made of characters: heat maps in half blocks, curves in Braille dots, bars.

Colours are Okabe and Ito's, on a dark ground; what they say is said by place or shape as well.
Sizes are in characters. A character holds two square pixels, or two by four dots.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from rich.style import Style
from rich.text import Text

RGB = tuple[int, int, int]

GROUND: RGB = (28, 30, 34)
BLUE: RGB = (86, 180, 233)
ORANGE: RGB = (230, 159, 0)
VERMILLION: RGB = (240, 110, 30)
GREEN: RGB = (0, 190, 140)
WHITE: RGB = (235, 235, 235)

_BARS = " ▁▂▃▄▅▆▇█"
_BESIDE = " ▏▎▍▌▋▊▉█"
# Bits of a Braille character's dots, by row and column (Unicode 15, "Braille Patterns").
_DOTS = np.array([[0x01, 0x08], [0x02, 0x10], [0x04, 0x20], [0x40, 0x80]])


def hex_of(colour: RGB) -> str:
    """Write a colour as rich does.

    Args:
        colour: red, green and blue, 0…255.

    Returns:
        Such as "#e69f00".
    """
    return "#{:02x}{:02x}{:02x}".format(*colour)


def diverging(value: float) -> RGB:
    """Colour of a value with a sign: -1 is blue, 0 the ground, 1 vermillion; beyond that it stays.

    Args:
        value: to be shown.

    Returns:
        The colour.
    """
    return _mix(GROUND, VERMILLION if value > 0 else BLUE, min(abs(value), 1.0))


def rising(value: float, colour: RGB = WHITE) -> RGB:
    """Colour of a value from 0, the ground, to 1, the full colour.

    Args:
        value: to be shown.
        colour: of 1.

    Returns:
        The colour.
    """
    return _mix(GROUND, colour, min(max(value, 0.0), 1.0))


def strongest(values: NDArray[Any], rows: int, columns: int) -> NDArray[Any]:
    """Make a matrix smaller: of the values that fall together the strongest stays.

    Args:
        values: with signs, (rows, columns).
        rows: at most.
        columns: at most.

    Returns:
        The smaller matrix; the same one if it is small enough.
    """
    for axis, most in enumerate((rows, columns)):
        have = values.shape[axis]
        if have <= most:
            continue
        starts = np.linspace(0, have, most, endpoint=False).astype(int)
        high = np.maximum.reduceat(values, starts, axis)
        low = np.minimum.reduceat(values, starts, axis)
        values = np.where(high >= -low, high, low)
    return values


def heat(values: ArrayLike, width: int, height: int) -> Text:
    """A matrix of -1…1, rows downwards, as large as goes into so many characters.

    Args:
        values: (rows, columns).
        width: in characters.
        height: in characters, two rows each.

    Returns:
        Lines of half blocks.
    """
    matrix = strongest(np.asarray(values, float), 2 * height, width)
    return _pixels(_enlarged(matrix, width, height), diverging)


def grey(values: ArrayLike, width: int, height: int) -> Text:
    """A picture of 0…1, as large as goes into so many characters.

    Args:
        values: (rows, columns).
        width: in characters.
        height: in characters, two rows each.

    Returns:
        Lines of half blocks.
    """
    matrix = strongest(np.asarray(values, float), 2 * height, width)
    return _pixels(_enlarged(matrix, width, height), rising)


def pairs(top: ArrayLike, bottom: ArrayLike, colours: tuple[RGB, RGB]) -> Text:
    """Two rows of 0…1 in one line, each in its colour.

    Args:
        top: the upper row.
        bottom: the lower row, as long.
        colours: of the upper row and of the lower one.

    Returns:
        A line of half blocks.
    """
    text = Text(no_wrap=True)
    for a, b in zip(np.asarray(top, float), np.asarray(bottom, float), strict=True):
        text.append("▀", _style(rising(a, colours[0]), rising(b, colours[1])))
    return text


def bars(values: ArrayLike, low: float, high: float) -> str:
    """A line of upright bars between two levels.

    Args:
        values: one for each bar.
        low: where the lowest bar ends.
        high: where the highest bar ends.

    Returns:
        A character for each value.
    """
    share = np.clip((np.asarray(values, float) - low) / max(high - low, 1e-9), 0, 1)
    return "".join(_BARS[1 + round(x * 7)] for x in share.tolist())


def bar(share: float, width: int) -> str:
    """A lying bar, in eighths of a character.

    Args:
        share: of the width, 0…1.
        width: in characters.

    Returns:
        Text of that width.
    """
    eighths = round(min(max(share, 0.0), 1.0) * width * 8)
    return ("█" * (eighths // 8) + _BESIDE[eighths % 8].strip()).ljust(width)


class Line(NamedTuple):
    """A curve.

    Attributes:
        x, y: its points, x rising.
        colour: of it.
    """

    x: ArrayLike
    y: ArrayLike
    colour: RGB


def plot(
    lines: Sequence[Line],
    width: int,
    height: int,
    x_range: tuple[float, float],
    y_range: tuple[float, float],
) -> Text:
    """Curves in Braille dots; where two meet in a character the later one's colour is seen.

    Args:
        lines: the curves.
        width: in characters.
        height: in characters.
        x_range: x at the left and at the right end.
        y_range: y at the lower and at the upper end.

    Returns:
        The lines of the picture.
    """
    bits = np.zeros((height, width), int)
    colours: dict[tuple[int, int], RGB] = {}
    for line in lines:
        for column, low, high in _columns(line, 2 * width, 4 * height, x_range, y_range):
            for row in range(low, high + 1):
                place = (row // 4, column // 2)
                bits[place] |= _DOTS[row % 4, column % 2]
                colours[place] = line.colour
    text = Text(no_wrap=True)
    for i, row in enumerate(bits.tolist()):
        if i:
            text.append("\n")
        for k, bit in enumerate(row):
            colour = colours.get((i, k))
            text.append(chr(0x2800 + bit), Style(color=hex_of(colour)) if colour else None)
    return text


def _columns(
    line: Line, width: int, height: int, x_range: tuple[float, float], y_range: tuple[float, float]
) -> list[tuple[int, int, int]]:
    """The dots of each column: its number, the highest row and the lowest."""
    x, y = np.asarray(line.x, float), np.asarray(line.y, float)
    if len(x) == 0:
        return []
    at = (x - x_range[0]) / max(x_range[1] - x_range[0], 1e-9) * (width - 1)
    up = (y - y_range[0]) / max(y_range[1] - y_range[0], 1e-9)
    rows = np.clip(np.rint((1 - up) * (height - 1)), 0, height - 1).astype(int)
    at = np.clip(np.rint(at), 0, width - 1).astype(int)
    if len(x) == 1:
        return [(int(at[0]), int(rows[0]), int(rows[0]))]
    found = []
    for column in range(at[0], at[-1] + 1):
        here = rows[at == column]
        if not len(here):  # between two points
            here = np.array([round(float(np.interp(column, at, rows)))])
        low, high = int(here.min()), int(here.max())
        if found:  # steep parts hang together
            low, high = min(low, found[-1][2] + 1), max(high, found[-1][1] - 1)
        found.append((column, low, high))
    return found


def _enlarged(matrix: NDArray[Any], width: int, height: int) -> NDArray[Any]:
    times = min(width // matrix.shape[1], 2 * height // matrix.shape[0])
    return np.kron(matrix, np.ones((times, times))) if times > 1 else matrix


def _pixels(matrix: NDArray[Any], colour: Any) -> Text:
    text = Text(no_wrap=True)
    rows = matrix.tolist()
    for k in range(0, len(rows), 2):
        if k:
            text.append("\n")
        below = rows[k + 1] if k + 1 < len(rows) else None
        for i, value in enumerate(rows[k]):
            text.append("▀", _style(colour(value), colour(below[i]) if below else None))
    return text


def _style(top: RGB, bottom: RGB | None) -> Style:
    return Style(color=hex_of(top), bgcolor=hex_of(bottom) if bottom else None)


def _mix(a: RGB, b: RGB, share: float) -> RGB:
    one, two, three = (round(x + (y - x) * share) for x, y in zip(a, b, strict=True))
    return one, two, three
