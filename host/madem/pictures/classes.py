"""Which classes are taken for which."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure, SubFigure
from numpy.typing import NDArray

from madem.pictures.style import INK, SEQUENTIAL, VERMILLION, blank_figure, styled

_EXAMPLES = 12


@styled
def confusion_picture(
    y_true: NDArray[np.integer],
    y_pred: NDArray[np.integer],
    class_names: Sequence[str],
    *,
    images: NDArray[np.uint8] | None = None,
    title: str = "",
) -> Figure:
    """Which classes are taken for which, and samples that were.

    Args:
        y_true: true class indices (samples,).
        y_pred: those that were answered (samples,).
        class_names: all classes.
        images: the samples as pictures (samples, rows, columns); None: the matrix alone.
        title: above the picture.

    Returns:
        The picture.
    """
    wrong = [] if images is None else np.flatnonzero(y_true != y_pred)[:_EXAMPLES].tolist()
    classes = len(class_names)
    side = min(4.6 + 0.1 * classes, 9)
    figure = blank_figure(side + (4.4 if wrong else 0.3), side, title)
    left = figure
    if images is not None and wrong:
        left, right = figure.subfigures(1, 2, squeeze=False, width_ratios=(side, 4.4))[0]
        _mistakes(right, wrong, images, y_true, y_pred, class_names)
    _matrix(left.subplots(), y_true, y_pred, class_names)
    return figure


def _matrix(
    axes: Axes,
    y_true: NDArray[np.integer],
    y_pred: NDArray[np.integer],
    class_names: Sequence[str],
) -> None:
    classes = len(class_names)
    counts = np.zeros((classes, classes), int)
    np.add.at(counts, (y_true, y_pred), 1)
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
    accuracy = float(np.mean(y_true == y_pred))
    axes.set(
        xlabel="classified as",
        ylabel="true class",
        title=f"{100 * accuracy:.1f} % of {len(y_true)} test samples right",
    )


def _mistakes(
    figure: SubFigure,
    wrong: Sequence[int],
    images: NDArray[np.uint8],
    y_true: NDArray[np.integer],
    y_pred: NDArray[np.integer],
    class_names: Sequence[str],
) -> None:
    """The samples `wrong` in a grid of three columns, on a (sub)figure."""
    total = int(np.count_nonzero(y_true != y_pred))
    which = f"{len(wrong)} of {total} mistakes" if total > len(wrong) else "All mistakes"
    figure.suptitle(
        f"{which}: true → classified as", x=0.04, ha="left", fontsize=12, fontweight="bold"
    )
    grid = figure.subplots(_EXAMPLES // 3, 3)
    for axes in grid.flat[len(wrong) :]:
        axes.set_axis_off()
    for axes, sample in zip(grid.flat, wrong, strict=False):
        axes.set(xticks=[], yticks=[])
        axes.spines[:].set(visible=True, color="#E4E4E4")
        axes.imshow(images[sample], cmap="Greys", vmin=0, vmax=255)
        axes.set_title(
            " → ".join(_shortened(class_names[int(y[sample])], 8) for y in (y_true, y_pred)),
            fontsize=11 if max(map(len, class_names)) <= 3 else 8,
            loc="center",
            color=VERMILLION,
        )


def _shortened(name: str, most: int) -> str:
    return name if len(name) <= most else name[: most - 1] + "…"
