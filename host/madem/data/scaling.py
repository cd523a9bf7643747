"""From the values of a table to DAC codes, in integers that a board computes to the same bit.

A column's values are counted in steps of a power of ten; the range that was learned from is
spread over all codes. The file of a network keeps these integers (docs/reference/network_file.md),
so that a value gives the same code on the desktop and on the board, today and later.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

FULL_SCALE = 255
"""The largest DAC code."""
COUNTS = 1 << 30
"""Counts are within ±COUNTS: a small integer on every board."""
_SPAN = 1 << 15
"""Most steps that a fitted range has: enough that no code is missed."""
_DECIMALS = 300
"""Powers of ten are within 10^±_DECIMALS, which a float holds."""
_DIVIDED = 1 << 21
"""A range is halved until it is below this, so that all products fit 32 bits."""
_FENCE = 3.0
"""Interquartile ranges beyond the quartiles from which on a value is an outlier: Tukey's outer
fence (Exploratory Data Analysis, 1977), which no value of normal data reaches in practice."""

Spread = Literal["robust", "range"]


@dataclass(frozen=True, eq=False)
class Scaling:
    """The line from a feature's value to its DAC code: low -> 0, high -> 255, clipped outside.

    Attributes:
        low, high: int64 (features,): the ends of the range, in counts.
        decimals: int64 (features,): a count is a step of 10^-decimals in the units of the data.
        origin: float64 (features,): the value that is count 0.
        fitted: True if the range was found in the training set, False if it is known beforehand.
    """

    low: NDArray[np.int64]
    high: NDArray[np.int64]
    decimals: NDArray[np.int64]
    origin: NDArray[np.float64]
    fitted: bool

    @classmethod
    def between(cls, low: ArrayLike, high: ArrayLike, fitted: bool = False) -> Scaling:
        """Make the scaling whose ranges have these ends.

        Args:
            low: lower ends in the units of the data, float (features,).
            high: upper ends, not below the lower ones, float (features,).
            fitted: whether they were found in the training set.

        Returns:
            The scaling.
        """
        low, high = (np.array(each, np.float64, ndmin=1) for each in (low, high))
        span = high - low
        decimals = np.zeros(len(low), np.int64)
        wide = span > 0
        # Without range there is nothing to resolve: the step is one unit.
        resolved = np.floor(np.log10(_SPAN) - np.log10(span[wide])).astype(np.int64)
        decimals[wide] = np.clip(resolved, -_DECIMALS, _DECIMALS)
        largest = np.maximum(np.abs(low), np.abs(high))
        far = _scaled(largest, decimals) >= COUNTS // 2
        origin = np.where(far, low, 0.0)
        ends = [_counts(each, origin, decimals) for each in (low, high)]
        return cls(ends[0], ends[1], decimals, origin, fitted)

    @classmethod
    def fit(cls, x_train: ArrayLike, spread: Spread = "robust") -> Scaling:
        """Fit the scaling that spreads the training values of each feature over all codes.

        Args:
            x_train: finite values, float (samples, features).
            spread: "robust": values beyond Tukey's outer fences do not stretch the range, they are
                clipped; "range": from the least to the greatest value.

        Returns:
            The scaling.
        """
        x = np.asarray(x_train, np.float64)
        low, high = x.min(axis=0), x.max(axis=0)
        if spread == "robust":
            q1, q3 = np.quantile(x, (0.25, 0.75), axis=0)
            fence = _FENCE * (q3 - q1)
            inside = (x >= q1 - fence) & (x <= q3 + fence)
            least = np.where(inside, x, np.inf).min(axis=0)
            most = np.where(inside, x, -np.inf).max(axis=0)
            # Where those inside are all equal, they say nothing of how far the others reach.
            known = most > least
            low, high = np.where(known, least, low), np.where(known, most, high)
        return cls.between(low, high, fitted=True)

    def counts(self, x: ArrayLike) -> NDArray[np.int64]:
        """Write values as counts, saturated at ±COUNTS.

        Args:
            x: in the units of the data, (samples, features).

        Returns:
            The counts, int64 (samples, features).
        """
        return _counts(np.asarray(x, np.float64), self.origin, self.decimals)

    def codes(self, x: ArrayLike) -> NDArray[np.uint8]:
        """Write values as DAC codes; a feature without range gives 0.

        Args:
            x: in the units of the data, (samples, features).

        Returns:
            The codes, uint8 (samples, features).
        """
        return self.encode(self.counts(x))

    def encode(self, counts: NDArray[np.int64]) -> NDArray[np.uint8]:
        """Turn counts into DAC codes, in the integers that a board computes with.

        Args:
            counts: (samples, features).

        Returns:
            The codes, uint8 (samples, features).
        """
        span = self.high - self.low
        shift = np.zeros(len(span), np.int64)
        while (large := span >> shift >= _DIVIDED).any():
            shift += large
        width = span >> shift
        inside = np.clip(counts - self.low, 0, span) >> shift
        code = (inside * 2 * FULL_SCALE + width) // np.maximum(2 * width, 1)
        return np.where(width > 0, code, 0).astype(np.uint8)

    def clipped(self, x: ArrayLike) -> int:
        """Count the values that lie outside and are clipped.

        Args:
            x: in the units of the data, (samples, features).

        Returns:
            How many.
        """
        counts = self.counts(x)
        return int(np.count_nonzero((counts < self.low) | (counts > self.high)))

    def range(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """The ends of the ranges in the units of the data, float64 (features,) each."""
        low, high = (_scaled(end, -self.decimals) for end in (self.low, self.high))
        return self.origin + low, self.origin + high


def _scaled(values: ArrayLike, decimals: NDArray[np.int64]) -> NDArray[np.float64]:
    """Values times 10^decimals; a division where that is the exact one."""
    values = np.asarray(values, np.float64)
    power = 10.0 ** np.abs(decimals)
    with np.errstate(over="ignore", invalid="ignore"):
        return np.where(decimals >= 0, values * power, values / power)


def _counts(
    values: NDArray[np.float64], origin: NDArray[np.float64], decimals: NDArray[np.int64]
) -> NDArray[np.int64]:
    """Values as whole counts, halves to even, saturated."""
    with np.errstate(over="ignore"):
        apart = values - origin
    counts = np.rint(np.clip(_scaled(apart, decimals), -COUNTS, COUNTS - 1))
    return np.nan_to_num(counts, nan=0.0).astype(np.int64)
