"""Signals, features and what windows gave, as lines of text."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from madem.stream.sources import Sample
from madem.stream.windows import WindowResult

_BARS = " ▁▂▃▄▅▆▇█"
_COLUMNS = 60


def no_change_line(share: float) -> str:
    """Say what whoever repeats the last label would score.

    Args:
        share: of the windows, from 0 to 1.

    Returns:
        The line.
    """
    return f"repeating the last label would be right in {100 * share:.1f} %"


def bars(values: Iterable[float], low: float, high: float) -> str:
    """Draw each value as one character, which is higher the nearer the value is to `high`.

    Args:
        values: from `low` to `high`.
        low: what the lowest bar stands for.
        high: what the highest bar stands for.

    Returns:
        A character for each value.
    """
    span = max(high - low, 1e-9)
    steps = len(_BARS) - 2
    return "".join(_BARS[1 + round((value - low) / span * steps)] for value in values)


def feature_bars(inputs: NDArray[np.uint8]) -> str:
    """Draw a window's features, a bar for each: in the middle for one that is as usual.

    Args:
        inputs: of the network, (2 features,): how far each feature is above and below the usual.

    Returns:
        A character for each feature.
    """
    above, below = inputs.reshape(-1, 2).astype(int).T
    return bars((above - below).tolist(), -255, 255)


def channel_bars(channels: Sequence[str], samples: Sequence[Sample]) -> str:
    """Draw samples, a line for each channel, 60 columns wide, with its range behind it.

    Args:
        channels: their names.
        samples: one or more; the time of the last one stands above.

    Returns:
        The lines.
    """
    values = np.array([sample.values for sample in samples], float)
    lines = [f"{samples[-1].t_us / 1e6:8.1f} s  {samples[-1].label}".rstrip()]
    width = max(map(len, channels))
    for name, column in zip(channels, values.T, strict=True):
        parts = [part.mean() for part in np.array_split(column, min(_COLUMNS, len(column)))]
        low, high = column.min(), column.max()
        lines.append(f"  {name:<{width}}  {bars(parts, low, high)}  {low:g} to {high:g}")
    return "\n".join(lines)


def window_line(
    window: WindowResult,
    classes: Sequence[str],
    label: str,
    inputs: NDArray[np.uint8] | None,
    accuracy: float | None = None,
) -> str:
    """Tell what a window gave: its novelty score, its class, or a bar for each of its features.

    Args:
        window: with a time.
        classes: names of the answers.
        label: the true class; "" where it is not known.
        inputs: of the network, (2 features,), for a window that has neither score nor answer.
        accuracy: running accuracy, 0…1; None: leave it out.

    Returns:
        The line.
    """
    at = f"{window.t_s:8.1f} s  "
    if window.score is not None:
        return f"{at}{window.score:8,}{'  new' if window.new else ''}"
    if window.answer is None:
        assert inputs is not None
        return at + feature_bars(inputs)
    told = f", {accuracy:.0%} right" if accuracy is not None else ""
    labelled = f"  (labelled {label}{told})" if label else ""
    return f"{at}{classes[window.answer]}{labelled}{'  learned' if window.learned else ''}"
