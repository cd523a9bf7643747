"""Pictures of learning through a change."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

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

_CLASS_LINES = (
    (BLUE, "-"), (ORANGE, "--"), (GREEN, "-."), (PURPLE, ":"), (VERMILLION, "-"), (GREY, "--"),
)  # fmt: skip


@dataclass(frozen=True)
class OnlinePanel:
    """One change, learned once or several times.

    Attributes:
        title: what changes.
        change_at: window at which the change begins.
        change_done: window from which the world stays as it is.
        running, frozen: prequential accuracy after each window of each run, of the learner and
            of the network that stopped at the change (NaN before it): (runs, windows).
        checks: windows at which the held-out segments were tested.
        held_out: the learner's accuracy there, (runs, checks).
        fresh: held-out accuracy of a fresh network.
        classes: mean held-out accuracy of each class, (checks,); None: leave it out.
        learned: of a single run: which windows were learned, where not all were.
        backs: of a single run: windows after which it went back to its copy.
    """

    title: str
    change_at: int
    change_done: int
    running: Sequence[Sequence[float]]
    frozen: Sequence[Sequence[float]]
    checks: Sequence[int]
    held_out: Sequence[Sequence[float]]
    fresh: float
    classes: Mapping[str, Sequence[float]] | None = None
    learned: Sequence[bool] | None = None
    backs: Sequence[int] = ()


@styled
def online_picture(panels: Sequence[OnlinePanel]) -> Figure:
    """Accuracy over windows, a panel for each change.

    Args:
        panels: at least one.

    Returns:
        The picture.
    """
    columns = 1 if len(panels) == 1 else 2
    rows = math.ceil(len(panels) / columns)
    figure = blank_figure(5.6 * columns + 0.6, 3.2 * rows + 0.8)
    grid = figure.subplots(rows, columns, squeeze=False, sharey=True)
    for axes, panel in zip(grid.flat, panels, strict=False):
        _draw(axes, panel)
    for axes in grid.flat[len(panels) :]:
        axes.remove()
    for row in grid:
        row[0].set_ylabel("accuracy")
    handles, labels = [], []
    for axes in grid.flat[: len(panels)]:
        for handle, label in zip(*axes.get_legend_handles_labels(), strict=True):
            if label not in labels:
                handles.append(handle)
                labels.append(label)
    figure.legend(handles, labels, loc="outside lower center", ncols=2 * columns)
    return figure


def _draw(axes: Axes, panel: OnlinePanel) -> None:
    running = np.array(panel.running, float)
    frozen = np.array(panel.frozen, float)
    x = np.arange(1, running.shape[1] + 1)
    axes.axvspan(
        panel.change_at, max(panel.change_done, panel.change_at + 1), color="#E4E4E4", linewidth=0
    )
    axes.axvline(panel.change_at, color=GREY, linewidth=1)
    axes.axhline(panel.fresh, color=INK, linestyle=":", linewidth=1.2, label="a fresh network's")
    if panel.classes is None:
        after = x > panel.change_at
        axes.plot(
            x[after], frozen[:, after].mean(axis=0), color=ORANGE, linestyle="--", linewidth=1.5,
            label="frozen at the change",
        )  # fmt: skip
        if len(running) > 1:
            axes.fill_between(
                x, running.min(axis=0), running.max(axis=0), color=BLUE, alpha=0.15, linewidth=0
            )
        axes.plot(x, running.mean(axis=0), color=BLUE, label="learning, tested before each window")
        held_out = np.array(panel.held_out, float).mean(axis=0)
        axes.plot(
            panel.checks, held_out, color=GREEN, marker="o", markersize=3, linestyle="",
            label="learning, on windows never learned",
        )  # fmt: skip
    else:
        for (name, values), (color, line) in zip(
            panel.classes.items(), _CLASS_LINES * 50, strict=False
        ):
            axes.plot(panel.checks, values, color=color, linestyle=line, label=name)
    if panel.learned is not None:
        at = x[np.array(panel.learned)]
        axes.plot(at, np.full(len(at), -0.03), "|", color=BLUE, markersize=5, label="learned")
    for back in panel.backs:
        axes.axvline(back, color=VERMILLION, linewidth=1, label="went back to its copy")
    axes.set_title(panel.title)
    axes.set_xlim(0, len(x))
    axes.set_ylim(-0.06 if panel.learned is not None else 0, 1.03)
    axes.yaxis.set_major_formatter(PERCENT)
    axes.grid(axis="y")
    axes.set_xlabel("windows")
