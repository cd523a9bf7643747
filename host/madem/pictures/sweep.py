"""The picture of `madem sweep`: how each axis moves the score, and the yield."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from madem.learn.report import wilson
from madem.pictures.style import BLUE, GREY, ORANGE, PERCENT, VERMILLION, blank_figure, styled


class SweepPanel(NamedTuple):
    """One axis of a sweep.

    Attributes:
        label: of the axis.
        values: how its values are written.
        scores: by value, those of all devices that have it.
        passed: by value, devices that reached the goal and devices in all.
    """

    label: str
    values: Sequence[str]
    scores: Sequence[NDArray[np.float64]]
    passed: Sequence[tuple[int, int]]


@styled
def sweep_picture(
    panels: Sequence[SweepPanel], *, measure: str, goal: float, title: str = ""
) -> Figure:
    """A column for each axis: above the scores of all devices, below the yield.

    Args:
        panels: at least one.
        measure: what a score is.
        goal: the score from which a device is good enough.
        title: above the picture.

    Returns:
        The picture.
    """
    figure = blank_figure(max(3.6 * len(panels), 5.5) + 0.6, 6.8, title)
    grid = figure.subplots(2, len(panels), squeeze=False, sharey="row")
    for (above, below), panel in zip(grid.T, panels, strict=True):
        _scores(above, panel)
        above.axhline(goal, color=VERMILLION, linestyle=":", linewidth=1.4, label="goal")
        above.set_title(panel.label)
        _yields(below, panel)
        for axes in (above, below):
            axes.set_xticks(range(len(panel.values)), panel.values)
            axes.set_xlim(-0.5, len(panel.values) - 0.5)
            axes.yaxis.set_major_formatter(PERCENT)
            axes.grid(axis="y")
    grid[0, 0].set_ylabel(measure)
    grid[1, 0].set(ylabel=f"yield: {100 * goal:g} % or better", ylim=(-0.03, 1.03))
    figure.legend(*grid[0, 0].get_legend_handles_labels(), loc="outside lower left", ncols=3)
    return figure


def _scores(axes: Axes, panel: SweepPanel) -> None:
    """Every device as a dot, beside its neighbours; the middle 80 % as a bar; the means joined."""
    drawn = [(at, scores) for at, scores in enumerate(panel.scores) if len(scores)]
    for at, scores in drawn:
        aside = np.linspace(-0.22, 0.22, len(scores)) if len(scores) > 1 else np.zeros(1)
        axes.plot(
            at + aside, np.sort(scores), linestyle="", marker=".", markersize=4, color=GREY,
            alpha=0.6, label="devices, the worst first" if at == drawn[0][0] else None,
        )  # fmt: skip
        axes.plot([at, at], np.quantile(scores, [0.1, 0.9]), color=BLUE, linewidth=5, alpha=0.35)
    axes.plot(
        [at for at, _ in drawn], [scores.mean() for _, scores in drawn], color=BLUE, marker="o",
        label="mean, and the middle 80 %",
    )  # fmt: skip


def _yields(axes: Axes, panel: SweepPanel) -> None:
    tried = [(at, p / n, wilson(p / n, n)) for at, (p, n) in enumerate(panel.passed) if n]
    share = np.array([fraction for _, fraction, _ in tried])
    ends = np.array([interval for *_, interval in tried]).T
    axes.bar(
        [at for at, *_ in tried], share, width=0.6, color=ORANGE, alpha=0.8,
        yerr=np.abs(ends - share), capsize=3, error_kw={"elinewidth": 1.2},
    )  # fmt: skip
