"""Samples in their units as the counts of a 16-bit sensor, and how many saturate."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from madem.data.files.judge import Samples
from madem.errors import TaskError

LOWEST, HIGHEST = -32768, 32767
_LARGEST = 8192
"""Count of a channel's largest value where the scale is fitted to it: a quarter of the range."""


class Counts(NamedTuple):
    """Samples as counts.

    Attributes:
        values: int16 (samples, channels); 0 where missing.
        scale: units per count of each channel, float64 (channels,); None: counts have no unit.
        fitted: the scale is neither the file's nor the user's.
        clipped: values that saturate, bool (samples, channels).
    """

    values: NDArray[np.int16]
    scale: NDArray[np.float64] | None
    fitted: bool
    clipped: NDArray[np.bool_]


def as_counts(samples: Samples, scale: Sequence[float] | None = None) -> Counts:
    """Turn samples into counts.

    They are in the user's scale, else in the file's own; whole numbers of 16 bits are counts
    already;
    for anything else a scale is fitted to each channel.

    Args:
        samples: as they were read.
        scale: units per count, one for all channels or one for each.

    Returns:
        The counts and their scale.

    Raises:
        TaskError: there is not a scale for each channel.
    """
    x = np.where(np.isnan(samples.x), 0.0, samples.x)
    fitted = False
    if scale is not None:
        chosen = per_channel(scale, samples.feature_names)
    elif samples.scale is not None:
        chosen = samples.scale
    elif whole_counts(samples.x):
        return Counts(x.astype(np.int16), None, False, np.zeros(x.shape, bool))
    else:
        chosen, fitted = fitting(x), True
    values = saturated(x, chosen)
    return Counts(values, chosen, fitted, clipped=np.abs(values - x / chosen) >= 1)


def per_channel(scale: Sequence[float], channels: Sequence[str]) -> NDArray[np.float64]:
    """Give each channel a scale.

    Args:
        scale: one for all channels, or one for each.
        channels: their names.

    Returns:
        The scales, float64 (channels,).

    Raises:
        TaskError: there are neither one nor as many as channels.
    """
    if len(scale) not in (1, len(channels)):
        raise TaskError(
            f"--scale has {len(scale)} values, but there are {len(channels)} channels:"
            f" {', '.join(channels)}"
        )
    return np.broadcast_to(np.array(scale, np.float64), (len(channels),)).copy()


def beyond(x: NDArray[np.float64], scale: NDArray[np.float64]) -> int:
    """Count the values that saturate.

    Args:
        x: in the units of the data, (samples, channels), none missing.
        scale: units per count, (channels,).

    Returns:
        How many of them are outside 16 bits.
    """
    counts = np.rint(x / scale)
    return int(np.count_nonzero((counts < LOWEST) | (counts > HIGHEST)))


def whole_counts(x: NDArray[np.float64]) -> bool:
    """Tell whether values are counts already: whole numbers of 16 bits.

    Args:
        x: float64 (samples, channels); NaN where missing.

    Returns:
        Whether all are.
    """
    known = x[~np.isnan(x)]
    return bool(np.all(known == np.rint(known)) and np.all((known >= LOWEST) & (known <= HIGHEST)))


def fitting(x: NDArray[np.float64]) -> NDArray[np.float64]:
    """Fit a scale to samples: the largest of each channel is a quarter of the range.

    Args:
        x: in the units of the data, (samples, channels).

    Returns:
        Units per count, (channels,).
    """
    largest = np.abs(x).max(axis=0)
    return np.where(largest > 0, largest, 1.0) / _LARGEST


def saturated(x: NDArray[Any], scale: NDArray[np.float64] | float) -> NDArray[np.int16]:
    """Write values as the counts of a 16-bit sensor.

    Args:
        x: in the units of the data, (…, channels).
        scale: units per count, (channels,) or one for all.

    Returns:
        The counts, int16 of the same shape.
    """
    return np.clip(np.rint(x / scale), LOWEST, HIGHEST).astype(np.int16)
