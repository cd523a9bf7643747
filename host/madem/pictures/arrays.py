"""Crossbars as heat maps: their weights, and what is wrong with their devices."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from madem.pictures.style import DIVERGING, SEQUENTIAL, VERMILLION, blank_figure, styled


@styled
def weights_picture(
    layers: Sequence[NDArray],
    names: Sequence[str] | None = None,
    *,
    unit: str = "conductance difference (steps)",
    title: str = "",
) -> Figure:
    """Each layer's couplings as a map, word lines down and bit lines across.

    Zero is white; every layer has its own symmetrical scale.

    Args:
        layers: couplings (rows, columns) of each layer, signed.
        names: of the layers; default "layer 1" …
        unit: of the couplings.
        title: above the picture.

    Returns:
        The picture.
    """
    names = names or [f"layer {at}" for at in range(1, len(layers) + 1)]
    tallest = max(layer.shape[0] for layer in layers)
    # All in inches, by hand: a coupling has one size in all layers, save that no map shrinks
    # until nothing can be seen, and the maps share their top.
    cell = min(4.6 / tallest, 11 / sum(layer.shape[1] for layer in layers))
    before, bar, after, below, above = 0.85, 0.13, 0.9, 0.65, 0.85 if title else 0.45
    sizes = [(max(layer.shape[1] * cell, 0.8), max(layer.shape[0] * cell, 1.6)) for layer in layers]
    slots = [before + size[0] + 0.1 + bar + after for size in sizes]
    width, height = sum(slots) + 0.15, below + max(size[1] for size in sizes) + above
    figure = Figure(figsize=(width, height))
    if title:
        figure.text(0.15 / width, 1 - 0.3 / height, title, fontsize=14, fontweight="bold")

    def axes_at(left: float, size: tuple[float, float]) -> Axes:
        bottom = height - above - size[1]
        return figure.add_axes((left / width, bottom / height, size[0] / width, size[1] / height))

    for at, (layer, name) in enumerate(zip(layers, names, strict=True)):
        left, size = sum(slots[:at]) + before, sizes[at]
        rows, columns = layer.shape
        limit = float(np.abs(layer).max()) or 1.0
        axes = axes_at(left, size)
        image = axes.imshow(layer, cmap=DIVERGING, vmin=-limit, vmax=limit, aspect="auto")
        axes.set(title=name, xlabel=f"{columns} bit lines", ylabel=f"{rows} word lines")
        axes.spines[:].set_visible(True)
        for axis, length in zip((axes.xaxis, axes.yaxis), size, strict=True):
            axis.set_major_locator(MaxNLocator(max(1, min(6, int(length / 0.4))), integer=True))
        scale = figure.colorbar(image, cax=axes_at(left + size[0] + 0.1, (bar, size[1])))
        scale.outline.set_visible(False)
        if at == len(layers) - 1:
            scale.set_label(unit)
    return figure


@styled
def health_picture(cards: Sequence[tuple[NDArray, NDArray, str]]) -> Figure:
    """Codes of every device of some cards as heat maps; dead devices are crossed out.

    Args:
        cards: of each its codes (rows, columns), which devices are dead, and its name.

    Returns:
        The picture.
    """
    across = min(len(cards), 4)
    down = -(-len(cards) // across)
    figure = blank_figure(3.2 * across + 0.6, 3.2 * down + 0.4)
    grid = figure.subplots(down, across, squeeze=False)
    top = max(1.0, *(float(np.max(codes[~dead], initial=0.0)) for codes, dead, _ in cards))
    image = None
    for axes, (codes, dead, name) in zip(grid.flat, cards, strict=False):
        image = axes.imshow(codes, cmap=SEQUENTIAL, vmin=0, vmax=top)
        rows, columns = np.nonzero(dead)
        axes.scatter(columns, rows, marker="x", color=VERMILLION, s=1600 / len(codes))
        axes.set(title=name, xlabel="column", ylabel="row")
    for axes in grid.flat[len(cards) :]:
        axes.set_axis_off()
    assert image is not None
    figure.colorbar(image, ax=grid, label="codes at full activity")
    return figure
