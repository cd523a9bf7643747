"""Which classes are taken for which."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from madem.pictures.style import INK, SEQUENTIAL, VERMILLION, blank_figure, styled


@styled
def confusion_picture(
    counts: NDArray[np.integer], class_names: Sequence[str], *, title: str = ""
) -> Figure:
    """Which classes are taken for which.

    Args:
        counts: samples of each class (rows) by the class that was answered (columns).
        class_names: all classes.
        title: above the picture.

    Returns:
        The picture.
    """
    side = min(4.6 + 0.1 * len(class_names), 9)
    figure = blank_figure(side + 0.3, side, title)
    _matrix(figure.subplots(), counts, class_names)
    return figure


def _matrix(axes: Axes, counts: NDArray[np.integer], class_names: Sequence[str]) -> None:
    classes = len(class_names)
    share = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    axes.imshow(share, cmap=SEQUENTIAL, vmin=0, vmax=1)
    if classes <= 20:
        for (row, column), count in np.ndenumerate(counts):
            if count:
                right = row == column
                axes.text(
                    column, row, str(count), ha="center", va="center",
                    fontsize=10 if classes <= 12 else 8,
                    color="white" if share[row, column] > 0.4 else INK if right else VERMILLION,
                )  # fmt: skip
    ticks = np.arange(classes)
    names = [_shortened(name, 14) for name in class_names]
    size = 10 if classes <= 20 else 6
    if max(map(len, names)) * classes <= 40:
        axes.set_xticks(ticks, names, fontsize=size)
    else:
        axes.set_xticks(
            ticks, names, fontsize=size, rotation=60, ha="right", rotation_mode="anchor"
        )
    axes.set_yticks(ticks, names, fontsize=size)
    axes.set_xticks(ticks[1:] - 0.5, minor=True)
    axes.set_yticks(ticks[1:] - 0.5, minor=True)
    axes.grid(which="minor", color="#E4E4E4", linewidth=0.6)
    axes.tick_params(which="both", length=0)
    axes.spines[:].set_visible(True)
    samples = int(counts.sum())
    accuracy = float(counts.trace() / samples)
    axes.set(
        xlabel="classified as",
        ylabel="true class",
        title=f"{100 * accuracy:.1f} % of {samples} test samples right",
    )


def _shortened(name: str, most: int) -> str:
    return name if len(name) <= most else name[: most - 1] + "…"
