"""Results as pictures: matplotlib figures in one colour-blind-safe style, without a display.

Every function returns a `Figure`; `save_picture` writes it. Colours are those of Okabe and Ito:
blue is the device, orange and grey its rivals, vermillion a mistake. Nothing is told by colour
alone.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from functools import wraps
from pathlib import Path
from typing import Any, NamedTuple, ParamSpec

import numpy as np
from matplotlib import style
from matplotlib.axes import Axes
from matplotlib.collections import PatchCollection
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure, SubFigure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.patches import Circle, FancyBboxPatch
from matplotlib.ticker import FuncFormatter, MaxNLocator, NullLocator
from numpy.typing import NDArray

from madem.data import braille
from madem.errors import MademError
from madem.learn.baselines import LABELS
from madem.learn.report import wilson

INK = "#222222"
GREY = "#757575"
PALE = "#F3F3F1"
FLAT = "#CFCFCB"
BLUE = "#0072B2"
ORANGE = "#E69F00"
VERMILLION = "#D55E00"
GREEN = "#009E73"
PURPLE = "#CC79A7"

DIVERGING = LinearSegmentedColormap.from_list(
    "blue-white-vermillion", [BLUE, "#FFFFFF", VERMILLION]
)
SEQUENTIAL = LinearSegmentedColormap.from_list("white-blue", ["#FFFFFF", BLUE, "#00344F"])

_STYLE = {
    "font.family": "DejaVu Sans",
    "font.size": 11,
    "text.color": INK,
    "axes.labelcolor": INK,
    "axes.edgecolor": GREY,
    "axes.titlesize": 12,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": False,
    "axes.axisbelow": True,
    "grid.color": "#E4E4E4",
    "xtick.color": GREY,
    "ytick.color": GREY,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "legend.frameon": False,
    "lines.linewidth": 2,
    "lines.markersize": 6,
}
_LINES: dict[str, dict[str, Any]] = {
    "ml_bound": {"color": INK, "linestyle": ":", "marker": ""},
    "pseudo_inverse": {"color": ORANGE, "linestyle": "--", "marker": "s"},
    "hebb": {"color": GREY, "linestyle": "-.", "marker": "v"},
}
_OTHER_LINE: dict[str, Any] = {"color": PURPLE, "linestyle": "--", "marker": "D"}

_PERCENT = FuncFormatter(lambda fraction, _: f"{100 * fraction:g} %")

P = ParamSpec("P")


def _style() -> AbstractContextManager[None]:
    """Our style instead of whatever is set, and everything as it was afterwards."""
    return style.context(["default", _STYLE])


def styled(draw: Callable[P, Figure]) -> Callable[P, Figure]:
    """Have a function draw in our style."""

    @wraps(draw)
    def in_style(*args: P.args, **kwargs: P.kwargs) -> Figure:
        with _style():
            return draw(*args, **kwargs)

    return in_style


def layout() -> ConstrainedLayoutEngine:
    """How the parts of a figure are spaced."""
    return ConstrainedLayoutEngine(w_pad=0.14, h_pad=0.1, wspace=0.05)


def save_picture(figure: Figure, path: str | Path) -> Path:
    """Write a figure as PNG, making its folder; the same figure gives the same bytes.

    Raises:
        MademError: the file can't be written.
    """
    path = Path(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with _style():  # ticks are made only now
            figure.savefig(path, format="png", dpi=150, metadata={"Software": None})
    except OSError as error:
        raise MademError(f"can't write the picture {path}: {error.strerror or error}") from None
    return path


# --- Braille -----------------------------------------------------------------------------------

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
_LOOKS = {
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
        shown, recalled: dots of the distorted input and of the answer, (samples, 60), 0 = flat.
        title: above the picture.
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
        radius, face, edge = _LOOKS[kind]
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
    for label, (radius, face, edge) in _LOOKS.items():
        axes.add_patch(Circle((left + 0.5, y), radius, facecolor=face, edgecolor=edge, lw=0.9))
        axes.text(left + 1.6, y, label, fontsize=9, va="center")
        left += 4.5 + 0.72 * len(label)


# --- curves ------------------------------------------------------------------------------------


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
    """
    figure = Figure(figsize=(11.5 if recall else 6.4, 4.4), layout=layout())
    if title:
        figure.suptitle(title, x=0.015, ha="left", fontsize=14, fontweight="bold")
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
    axes.yaxis.set_major_formatter(_PERCENT)
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
    axes.yaxis.set_major_formatter(_PERCENT)
    axes.grid(axis="y")
    handles, labels = axes.get_legend_handles_labels()
    axes.legend(
        handles[-1:] + handles[:-1],
        labels[-1:] + labels[:-1],
        loc="lower left",
        bbox_to_anchor=(0, 0.04),
    )


# --- classification ----------------------------------------------------------------------------

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
        y_true, y_pred: class indices (samples,).
        class_names: all classes.
        images: the samples as pictures (samples, rows, columns); None: the matrix alone.
        title: above the picture.
    """
    wrong = [] if images is None else np.flatnonzero(y_true != y_pred)[:_EXAMPLES].tolist()
    classes = len(class_names)
    side = min(4.6 + 0.1 * classes, 9)
    figure = Figure(figsize=(side + (4.4 if wrong else 0.3), side), layout=layout())
    if title:
        figure.suptitle(title, x=0.015, ha="left", fontsize=14, fontweight="bold")
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


# --- weights -----------------------------------------------------------------------------------


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


# --- learning rules ----------------------------------------------------------------------------

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
def health_picture(cards: Sequence[tuple[NDArray, NDArray, str]]) -> Figure:
    """Codes of every device of some cards as heat maps; dead devices are crossed out.

    Args:
        cards: of each its codes (rows, columns), which devices are dead, and its name.
    """
    across = min(len(cards), 4)
    down = -(-len(cards) // across)
    figure = Figure(figsize=(3.2 * across + 0.6, 3.2 * down + 0.4), layout=layout())
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
    """
    count = len(panels) + bool(memory)
    columns = min(count, 2)
    rows = math.ceil(count / columns)
    figure = Figure(figsize=(5.3 * columns + 2.6, 3.7 * rows + 0.7), layout=layout())
    if title:
        figure.suptitle(title, x=0.015, ha="left", fontsize=14, fontweight="bold")
    grid = figure.subplots(rows, columns, squeeze=False, sharey=True)
    for axes in grid.flat[count:]:
        axes.set_axis_off()
    names = list(panels[0].accuracy)
    looks = dict(zip(names, _RULES, strict=False))
    for axes, panel in zip(grid.flat, panels, strict=False):
        _rules_panel(axes, panel, looks)
    if memory:
        _memory_panel(grid.flat[count - 1], memory, looks)
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


def _rules_panel(axes: Axes, panel: RulesPanel, looks: Mapping[str, tuple[str, str, Any]]) -> None:
    x = np.arange(len(panel.values))
    for at, (name, accuracy) in enumerate(panel.accuracy.items()):
        color, marker, dashes = looks[name]
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
    looks: Mapping[str, tuple[str, str, Any]],
) -> None:
    for at, (name, (size, seeds)) in enumerate(memory.items()):
        color, marker, _ = looks[name]
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
    axes.yaxis.set_major_formatter(_PERCENT)
    axes.yaxis.set_minor_locator(NullLocator())
    axes.grid(axis="y")
