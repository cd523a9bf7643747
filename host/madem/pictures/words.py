"""Words in Braille: what the network saw, what it recalled, and the word itself."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import PatchCollection
from matplotlib.figure import Figure
from matplotlib.patches import Circle, FancyBboxPatch
from numpy.typing import NDArray

from madem.data import braille
from madem.pictures.style import BLUE, FLAT, GREY, INK, PALE, VERMILLION, styled

# Lengths in units of the distance between two dots of a cell.
_CELL = 3.3  # from cell to cell
_ROW = 5.7  # from row to row, letters included
_LABEL = 8.2  # room for the row's name
_HEAD = 3.2  # room for the word
_BOX = 0.72  # from a dot's centre to the edge of its cell
_BLOCK_WIDTH = _LABEL + (braille.CELLS - 1) * _CELL + 1 + _BOX
_BLOCK_HEIGHT = _HEAD + 3 * _ROW - 1
_GAP = 4.0
_INCH = 0.098

# How a dot looks: radius, face, edge.
_DOT_STYLES = {
    "raised": (0.38, INK, INK),
    "flat": (0.13, FLAT, FLAT),
    "raised by mistake": (0.38, VERMILLION, VERMILLION),
    "missing": (0.32, "white", VERMILLION),
}


@styled
def braille_picture(
    words: Sequence[str],
    shown: NDArray[np.uint8],
    recalled: NDArray[np.uint8],
    *,
    title: str = "",
) -> Figure:
    """Each sample as three rows of Braille cells: seen, recalled, and the word itself.

    Dots that differ from the word are vermillion: full if raised by mistake, a ring if missing.
    What each cell reads as stands below it.

    Args:
        words: the true word of each sample, at least one.
        shown: dots of the distorted input, (samples, 60), 0 = flat.
        recalled: dots of the answer, (samples, 60), 0 = flat.
        title: above the picture.

    Returns:
        The picture.
    """
    columns = min(3, len(words))
    rows = math.ceil(len(words) / columns)
    width = columns * (_BLOCK_WIDTH + _GAP) + _GAP
    head, foot = 7.5 if title else 3.0, 5.0
    height = head + rows * (_BLOCK_HEIGHT + _GAP) - _GAP + foot
    figure = Figure(figsize=(width * _INCH, height * _INCH))
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set(xlim=(0, width), ylim=(height, 0), aspect="equal")
    axes.set_axis_off()
    if title:
        axes.text(_GAP, 3.4, title, fontsize=14, fontweight="bold", va="center")

    for index, (word, seen, answer) in enumerate(zip(words, shown, recalled, strict=True)):
        row, column = divmod(index, columns)
        left = _GAP + column * (_BLOCK_WIDTH + _GAP)
        top = head + row * (_BLOCK_HEIGHT + _GAP)
        _braille_block(axes, left, top, word, seen, answer)
    exact = sum(
        np.array_equal(answer != 0, braille.encode(word) != 0)
        for word, answer in zip(words, recalled, strict=True)
    )
    axes.text(
        width - _GAP,
        height - 2.3,
        f"{exact} of {len(words)} words exact",
        fontsize=10,
        fontweight="bold",
        ha="right",
        va="center",
    )
    _braille_legend(axes, _GAP, height - 2.3)
    return figure


def _braille_block(
    axes: Axes,
    left: float,
    top: float,
    word: str,
    seen: NDArray[np.uint8],
    answer: NDArray[np.uint8],
) -> None:
    truth = braille.encode(word) != 0
    wrong = int(np.count_nonzero((answer != 0) != truth))
    axes.text(left + _LABEL - _BOX, top + 0.6, word, fontsize=12, fontweight="bold", va="center")
    axes.text(
        left + _BLOCK_WIDTH,
        top + 0.6,
        f"✗ {wrong} dot{'s' if wrong > 1 else ''} wrong" if wrong else "✓ exact",
        color=VERMILLION if wrong else BLUE,
        fontsize=10,
        va="center",
        ha="right",
    )
    for row, (name, dots) in enumerate((("seen", seen), ("recalled", answer), ("truth", truth))):
        y = top + _HEAD + row * _ROW
        axes.text(left, y + 1, name, fontsize=9, color=INK if row == 1 else GREY, va="center")
        _braille_row(axes, left + _LABEL, y, dots != 0, truth)


def _braille_row(
    axes: Axes, left: float, top: float, dots: NDArray[np.bool_], truth: NDArray[np.bool_]
) -> None:
    """Ten cells with the letters below; dot 1 of the first cell is at (left, top)."""
    boxes = [
        FancyBboxPatch((left + cell * _CELL, top), 1, 2, f"round,pad={_BOX}")
        for cell in range(braille.CELLS)
    ]
    axes.add_collection(PatchCollection(boxes, facecolor=PALE, edgecolor="none", zorder=1))

    index = np.arange(braille.DOTS)
    cell, dot = np.divmod(index, braille.DOTS_PER_CELL)
    x = left + cell * _CELL + dot // 3
    y = top + dot % 3
    kinds = {
        "raised": dots & truth,
        "flat": ~dots & ~truth,
        "raised by mistake": dots & ~truth,
        "missing": ~dots & truth,
    }
    for kind, which in kinds.items():
        radius, face, edge = _DOT_STYLES[kind]
        circles = [Circle((float(x[i]), float(y[i])), radius) for i in index[which]]
        axes.add_collection(
            PatchCollection(
                circles, facecolor=face, edgecolor=edge, linewidth=0.9, zorder=2, label=kind
            )
        )
    for at, (letter, right) in enumerate(
        zip(braille.decode(dots), braille.decode(truth), strict=True)
    ):
        axes.text(
            left + at * _CELL + 0.5,
            top + 3.75,
            "-" if letter == " " != right else letter,
            color=INK if letter == right else VERMILLION,
            fontweight="normal" if letter == right else "bold",
            fontsize=8.5,
            family="DejaVu Sans Mono",
            ha="center",
            va="center",
        )


def _braille_legend(axes: Axes, left: float, y: float) -> None:
    for label, (radius, face, edge) in _DOT_STYLES.items():
        axes.add_patch(Circle((left + 0.5, y), radius, facecolor=face, edgecolor=edge, lw=0.9))
        axes.text(left + 1.6, y, label, fontsize=9, va="center")
        left += 4.5 + 0.72 * len(label)
