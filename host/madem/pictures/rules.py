"""Learning rules side by side."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator
from numpy.typing import NDArray

from madem.pictures.style import (
    BLUE,
    GREEN,
    GREY,
    INK,
    ORANGE,
    PERCENT,
    PURPLE,
    VERMILLION,
    blank_figure,
    styled,
)

# Colour, marker and dashes of the first, second, … rule.
_RULES: tuple[tuple[str, str, Any], ...] = (
    (BLUE, "o", "-"),
    ("#56B4E9", "s", "-"),
    (GREEN, "D", "-"),
    (VERMILLION, "^", "--"),
    (ORANGE, "v", "--"),
    (PURPLE, "P", "-."),
    (GREY, "X", ":"),
)


class RulesPanel(NamedTuple):
    """Accuracies over one limit of the device.

    Attributes:
        label: the limit.
        values: how the limit's values are written.
        accuracy: by rule, (values, seeds).
    """

    label: str
    values: Sequence[str]
    accuracy: Mapping[str, NDArray[np.float64]]


@styled
def rules_picture(
    panels: Sequence[RulesPanel],
    *,
    memory: Mapping[str, tuple[float, Sequence[float]]] | None = None,
    ceiling: tuple[str, Sequence[float]] | None = None,
    measure: str = "accuracy",
    title: str = "",
) -> Figure:
    """Learning rules side by side: a panel for each limit of the device.

    Points are means over seeds, bars their standard deviation. The scale is that of log odds, so
    that 98 % is as far from 95 % as 10 % is from 5 %.

    Args:
        panels: one or more; the same rules in all of them, at most seven.
        memory: by rule, bytes per coupling and the accuracy of each seed on the default device:
            one more panel. None: no such panel.
        ceiling: name and accuracies of a rule without the device's limits.
        measure: what is measured, for the axis.
        title: above the picture.

    Returns:
        The picture.
    """
    count = len(panels) + bool(memory)
    columns = min(count, 2)
    rows = math.ceil(count / columns)
    figure = blank_figure(5.3 * columns + 2.6, 3.7 * rows + 0.7, title)
    grid = figure.subplots(rows, columns, squeeze=False, sharey=True)
    for axes in grid.flat[count:]:
        axes.set_axis_off()
    names = list(panels[0].accuracy)
    marks = dict(zip(names, _RULES, strict=False))
    for axes, panel in zip(grid.flat, panels, strict=False):
        _rules_panel(axes, panel, marks)
    if memory:
        _memory_panel(grid.flat[count - 1], memory, marks)
    for axes in grid.flat[:count]:
        if ceiling:
            name, seeds = ceiling
            axes.axhline(float(np.mean(seeds)), color=INK, linestyle=":", label=name, zorder=1)
        _error_scale(axes)
    for row in grid:
        row[0].set_ylabel(measure)
    # Room below and above, by hand: autoscaling would show odds that nobody reached.
    drawn = [_mean_and_bar(y) for panel in panels for y in panel.accuracy.values()]
    reached = [y for mean, bar in drawn for y in (*(mean - bar[0]), *(mean + bar[1]))]
    reached += [float(np.mean(ceiling[1]))] if ceiling else []
    ends = np.clip([min(reached), max(reached)], *_ENDS)
    odds = ends / (1 - ends) * [1 / 1.4, 1.4]
    grid.flat[0].set_ylim(*(odds / (1 + odds)))
    figure.legend(*grid.flat[0].get_legend_handles_labels(), loc="outside right center")
    return figure


def _rules_panel(axes: Axes, panel: RulesPanel, marks: Mapping[str, tuple[str, str, Any]]) -> None:
    x = np.arange(len(panel.values))
    for at, (name, accuracy) in enumerate(panel.accuracy.items()):
        color, marker, dashes = marks[name]
        # Side by side, so that bars of equal rules can be told apart.
        aside = 0.04 * (at - (len(panel.accuracy) - 1) / 2)
        axes.errorbar(
            x + aside, *_mean_and_bar(accuracy), color=color, marker=marker,
            linestyle=dashes, label=name, capsize=2, elinewidth=1.2,
        )  # fmt: skip
    axes.set_xticks(x, panel.values)
    axes.set(xlim=(-0.3, len(x) - 0.7), title=f"over {panel.label}")


def _memory_panel(
    axes: Axes,
    memory: Mapping[str, tuple[float, Sequence[float]]],
    marks: Mapping[str, tuple[str, str, Any]],
) -> None:
    for at, (name, (size, seeds)) in enumerate(memory.items()):
        color, marker, _ = marks[name]
        axes.errorbar(
            [size + 0.02 * (at - (len(memory) - 1) / 2)], *_mean_and_bar(np.array([seeds])),
            color=color, marker=marker, markersize=8, linestyle="", capsize=3,
        )  # fmt: skip
    axes.set(xlabel="bytes of memory per coupling, beside the devices", xlim=(-0.15, None))
    axes.set_title("over the memory that a rule needs")


_ENDS = 0.005, 0.995
"""Log odds have no 0 % and no 100 %: what is beyond is drawn here."""


def _mean_and_bar(accuracy: NDArray[np.float64]) -> tuple[NDArray[Any], NDArray[Any]]:
    """Means over the last axis, (values,), and how far bars go down and up, (2, values)."""
    mean = accuracy.mean(axis=-1)
    spread = accuracy.std(axis=-1, ddof=1) if accuracy.shape[-1] > 1 else np.zeros_like(mean)
    low, mean, high = (np.clip(y, *_ENDS) for y in (mean - spread, mean, mean + spread))
    return mean, np.array([mean - low, high - mean])


def _error_scale(axes: Axes) -> None:
    axes.set_yscale("logit")
    axes.set_yticks([0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 0.8, 0.9, 0.95, 0.98, 0.99])
    axes.yaxis.set_major_formatter(PERCENT)
    axes.yaxis.set_minor_locator(NullLocator())
    axes.grid(axis="y")
