"""How learning went, pass by pass, and how far recall carries."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from madem.learn.baselines import LABELS
from madem.learn.report import wilson
from madem.pictures.style import (
    BLUE,
    GREEN,
    GREY,
    INK,
    ORANGE,
    PALE,
    PERCENT,
    PURPLE,
    blank_figure,
    styled,
)

_LINES: dict[str, dict[str, Any]] = {
    "ml_bound": {"color": INK, "linestyle": ":", "marker": ""},
    "pseudo_inverse": {"color": ORANGE, "linestyle": "--", "marker": "s"},
    "hebb": {"color": GREY, "linestyle": "-.", "marker": "v"},
}
_OTHER_LINE: dict[str, Any] = {"color": PURPLE, "linestyle": "--", "marker": "D"}


@styled
def learning_curve(
    train: Sequence[float],
    test: Sequence[float | None] | None = None,
    *,
    measure: str = "dots wrong",
    recall: Mapping[str, float] | None = None,
    baselines: Mapping[str, Mapping[str, float]] | None = None,
    samples: int | None = None,
    device_label: str = "device",
    title: str = "",
) -> Figure:
    """How learning went, and beside it how recall falls with distortion.

    Args:
        train: fraction (error or accuracy) over each training pass, at least one.
        test: the same on the test set after each pass, None where it was not measured.
        measure: what these fractions are, for the axis.
        recall: the device's exact-word recall by distortion key; None: no second panel.
        baselines: the same for each baseline, as `baselines.word_baselines` gives it.
        samples: samples behind each recall of the device, for 95 % intervals.
        device_label: what the device is called.
        title: above the picture.

    Returns:
        The picture.
    """
    figure = blank_figure(11.5 if recall else 6.4, 4.4, title)
    panels = np.ravel(figure.subplots(1, 2 if recall else 1))
    _passes(panels[0], train, test, measure)
    if recall:
        _recall(panels[1], recall, baselines or {}, samples, device_label)
    return figure


def _passes(
    axes: Axes, train: Sequence[float], test: Sequence[float | None] | None, measure: str
) -> None:
    axes.plot(
        range(1, len(train) + 1),
        train,
        color=BLUE,
        marker="o" if len(train) <= 30 else "",
        label="training samples",
    )
    measured = [(at, value) for at, value in enumerate(test or (), 1) if value is not None]
    if measured:
        x, y = np.transpose(measured)
        axes.plot(x, y, color=GREEN, marker="D", linestyle="--", label="test samples")
        axes.legend()
    top = max([*train, *(value for _, value in measured)])
    # A fraction near 1 is read from 1, a small error from 0.
    axes.set_ylim(0, 1.02 if top > 0.6 else top * 1.1 or 1)
    axes.set(
        xlabel="training pass",
        xlim=(0.5, len(train) + 0.5),
        title=f"{measure.capitalize()} while learning",
    )
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.yaxis.set_major_formatter(PERCENT)
    axes.grid(axis="y")


def _recall(
    axes: Axes,
    recall: Mapping[str, float],
    baselines: Mapping[str, Mapping[str, float]],
    samples: int | None,
    device_label: str,
) -> None:
    for name, fractions in baselines.items():
        x = [float(key) for key in fractions]
        y = list(fractions.values())
        axes.plot(
            x, y, **_LINES.get(name, _OTHER_LINE), label=LABELS.get(name, name), clip_on=False
        )
        if name == "ml_bound":
            axes.fill_between(x, y, 1.02, color=PALE, zorder=0)
            axes.text(
                x[-1], 0.97, "out of reach for any decoder", color=GREY, fontsize=9, ha="right",
                va="top",
            )  # fmt: skip
    x = np.array([float(key) for key in recall])
    y = np.array(list(recall.values()))
    axes.plot(
        x, y, color=BLUE, marker="o", linewidth=2.6, label=device_label, zorder=4, clip_on=False
    )
    if samples:
        low, high = np.transpose([wilson(fraction, samples) for fraction in y])
        axes.fill_between(x, low, high, color=BLUE, alpha=0.2, linewidth=0, zorder=3)
    axes.set(
        xlabel="probability of each dot to be flipped",
        title="Words recalled without a wrong dot",
        ylim=(0, 1.02),
        xticks=x,
    )
    axes.yaxis.set_major_formatter(PERCENT)
    axes.grid(axis="y")
    handles, labels = axes.get_legend_handles_labels()
    axes.legend(
        handles[-1:] + handles[:-1],
        labels[-1:] + labels[:-1],
        loc="lower left",
        bbox_to_anchor=(0, 0.04),
    )
