"""The picture of `madem bench energy`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullFormatter

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

_LINES = (
    (BLUE, "o", "-"),
    ("#56B4E9", "s", "-"),
    (GREEN, "D", "-"),
    (GREY, "v", "-."),
    (VERMILLION, "^", "--"),
    (VERMILLION, "^", ":"),
    (ORANGE, "P", "--"),
    (ORANGE, "P", ":"),
)
# A part of an array's energy has one colour in all panels.
_PARTS = {
    "devices": BLUE,
    "lines": "#56B4E9",
    "amplifiers": GREEN,
    "ADCs": ORANGE,
    "DACs": VERMILLION,
    "sums": INK,
    "accumulators": PURPLE,
    "pulses": GREY,
}


@styled
def energy_picture(
    sizes: Sequence[int],
    *,
    energies: Mapping[str, Sequence[float]],
    advantages: Mapping[tuple[str, str], Sequence[float]],
    shares: Mapping[str, Mapping[str, Sequence[float]]],
    claim: float,
) -> Figure:
    """Energies over size, advantages of the arrays, and what the arrays spend theirs on.

    Args:
        sizes: lines of an array.
        energies: joules a sample by machine, at most eight, a value per size.
        advantages: by (array, rival), rival over array, a value per size.
        shares: by array, at most three, the share of each part, a value per size.
        claim: an advantage to draw a line at.

    Returns:
        The picture.
    """
    figure = blank_figure(13, 10)
    grid = figure.add_gridspec(2, 6)
    first, second = (figure.add_subplot(grid[0, at : at + 3]) for at in (0, 3))
    lines = dict(zip(energies, _LINES, strict=False))
    for name, values in energies.items():
        color, marker, dashes = lines[name]
        first.plot(sizes, values, color=color, marker=marker, linestyle=dashes, label=name)
    first.set(yscale="log", ylabel="energy of a training sample (J)", title="Energy")
    second.axhline(claim, color=INK, linestyle=":", linewidth=1.4, label="the paper's claim")
    for (array, rival), values in advantages.items():
        second.plot(
            sizes, values, color=lines[array][0], marker=lines[array][1],
            linestyle=lines[rival][2], label=f"{rival} / {array}",
        )  # fmt: skip
    second.set(yscale="log", ylabel="energy over that of the array", title="Advantage")
    panels = [first, second]
    for at, (name, parts) in enumerate(shares.items()):
        axes = figure.add_subplot(grid[1, 2 * at : 2 * at + 2])
        axes.stackplot(
            sizes, *parts.values(), labels=list(parts), colors=[_PARTS[part] for part in parts],
            edgecolor="white", linewidth=0.6,
        )  # fmt: skip
        axes.set(ylim=(0, 1), title=name)
        axes.yaxis.set_major_formatter(PERCENT)
        panels.append(axes)
    panels[2].set_ylabel("share of the energy")
    for axes in panels:
        _size_axis(axes, sizes)
        below = 2 if axes in (first, second) else 3
        axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.16), ncols=below, fontsize=9)
    return figure


def _size_axis(axes: Axes, sizes: Sequence[int]) -> None:
    axes.set_xscale("log", base=2)
    axes.set(xlim=(sizes[0], sizes[-1]), xlabel="lines of an array, N")
    axes.set_xticks(sizes, [str(size) for size in sizes], fontsize=9)
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.grid(axis="y")
