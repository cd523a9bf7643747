"""The desktop twin of the features: docs/reference/features.md to the bit, for whole streams."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from numpy.typing import ArrayLike, NDArray

from madem_emulator.twin.pipeline import Pipeline

Numbers = NDArray[np.int64]

_WAVE = np.rint(127 * np.cos(2 * np.pi * np.arange(64) / 64)).astype(np.int64)
GAIN = 96
"""Codes per mean absolute deviation."""
FLOOR = 64
"""The least deviation that a feature is divided by: one unit."""


class TwinFeatures:
    """One board's pipeline: windows of a stream, their features, the running normalisation.

    Attributes:
        pipeline: what it computes.
        seen: windows that the normalisation has followed.
        centre, spread: of each feature, in 1/64 unit, int64 (features,).
    """

    def __init__(self, pipeline: Pipeline) -> None:
        """Begin without samples.

        Args:
            pipeline: windows and features.
        """
        self.pipeline = pipeline
        self.seen = 0
        self.centre = np.zeros(pipeline.features, np.int64)
        self.spread = np.zeros(pipeline.features, np.int64)
        self._samples = np.empty((0, pipeline.channels), np.int64)

    def restart(self) -> None:
        """Forget the samples: what follows does not join on to them."""
        self._samples = self._samples[:0]

    def windows(self, samples: ArrayLike) -> Numbers:
        """Take samples.

        Args:
            samples: int16 (n, channels).

        Returns:
            Features of the windows that they complete, int64 (windows, features), not normalised.
        """
        p = self.pipeline
        given = np.asarray(samples, np.int64).reshape(-1, p.channels)
        stream = np.concatenate([self._samples, given])
        count = p.windows(len(stream))
        self._samples = stream[count * p.hop :]
        if not count:
            return np.empty((0, p.features), np.int64)
        starts = np.arange(count) * p.hop
        cut = stream[starts[:, None] + np.arange(p.window)]
        return features_of(p, cut.transpose(0, 2, 1)).reshape(count, p.features)

    def codes(self, features: Numbers, follow: bool) -> NDArray[np.uint8]:
        """Normalise features.

        Args:
            features: from `windows`.
            follow: have the normalisation follow each window before it is applied to it.

        Returns:
            Inputs of the network, uint8 (windows, 2 · features): of each feature how far it is
            above and below its centre.
        """
        out = np.empty((*features.shape, 2), np.uint8)
        for row, window in enumerate(features << 6):
            if follow:
                self._follow(window)
            apart = np.floor_divide((window - self.centre) * GAIN, np.maximum(self.spread, FLOOR))
            out[row] = np.clip(np.stack([apart, -apart], axis=-1), 0, 255)
        return out.reshape(len(features), self.pipeline.inputs)

    def _follow(self, window: Numbers) -> None:
        shift = min(self.pipeline.norm, self.seen.bit_length())
        self.centre += (window - self.centre) >> shift
        self.spread += (np.abs(window - self.centre) - self.spread) >> shift
        self.seen = min(self.seen + 1, 1 << 12)


def features_of(pipeline: Pipeline, windows: Numbers) -> Numbers:
    """Compute the features of windows.

    Args:
        pipeline: says which.
        windows: samples of one channel each, int64 (…, window).

    Returns:
        int64 (…, per_channel).
    """
    x = windows
    mean = x.sum(axis=-1) // pipeline.window
    d = x - mean[..., None]
    peak = np.abs(d).max(axis=-1)
    h = np.frexp(peak)[1].astype(np.int64) - 11
    block = np.where(
        h[..., None] < 0, d << np.maximum(-h, 0)[..., None], d >> np.maximum(h, 0)[..., None]
    )
    found = []
    if pipeline.mean:
        found.append(mean)
    if pipeline.energy:
        found.append(_level((block * block).sum(axis=-1) // pipeline.window, h))
    if pipeline.zero:
        below = d < 0
        found.append(np.count_nonzero(below[..., 1:] != below[..., :-1], axis=-1))
    if pipeline.minmax:
        found += [x.min(axis=-1), x.max(axis=-1)]
    if pipeline.bands:
        n = pipeline.transform
        gain = (64 // n).bit_length() - 1
        found += [_level(power, h + gain) for power in _bands(block[..., -n:], pipeline.bands)]
    return np.stack(found, axis=-1)


def log2_64(value: Numbers) -> Numbers:
    """64 log2 of positive integers, the last six bits by chords: exact at powers of two.

    >>> log2_64(np.array([1, 2, 3, 4]))
    array([  0,  64,  96, 128])

    Args:
        value: 1 or more, of any shape.

    Returns:
        int64, of that shape.
    """
    e = np.frexp(value)[1].astype(np.int64) - 1
    up, down = np.maximum(6 - e, 0), np.maximum(e - 6, 0)
    return 64 * e + ((value << up >> down) & 63)


def _level(power: Numbers, h: Numbers) -> Numbers:
    """Logarithm of a power of block samples, which are 2^h units each; 0 of none."""
    level = np.maximum(log2_64(np.maximum(power, 1)) + 128 * h, 0)
    return np.where(power > 0, level, 0)


def _bands(block: Numbers, bands: int) -> list[Numbers]:
    """Power in each band of the last transform-long part of a window, (…,) each."""
    n = block.shape[-1]
    step = 64 // n
    i = np.arange(n)
    tapered = (block * (127 - _WAVE[i * step])) >> 7
    k = np.arange(1, n // 2 + 1)
    phase = np.outer(i, k) * step % 64
    real = (tapered @ _WAVE[phase]) >> 12
    imaginary = (tapered @ _WAVE[(phase + 48) % 64]) >> 12
    power = real * real + imaginary * imaginary
    edges = np.arange(bands + 1) * (n // 2) // bands
    return [power[..., low:high].sum(axis=-1) for low, high in pairwise(edges)]
