"""What goes into a network, checked: DAC codes, and the counts of a stream.

Whoever gives values in their place would get answers to something else, so nothing is converted.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray


def checked_codes(x: Any, inputs: int, rows: bool = False) -> NDArray[np.uint8]:
    """See that samples are DAC codes.

    Args:
        x: of a network, (…, inputs).
        inputs: how many a sample has.
        rows: take (samples, inputs) alone.

    Returns:
        They, uint8 (…, inputs).

    Raises:
        ValueError: they are something else, such as values; the message names the remedy.
    """
    codes = np.asarray(x)
    if isinstance(x, list) and codes.dtype.kind == "i" and not ((codes < 0) | (codes > 255)).any():
        codes = codes.astype(np.uint8)  # of Python's own numbers, which have no type
    if codes.dtype != np.uint8:
        raise ValueError(
            f"inputs are DAC codes, uint8 from 0 to 255, not {_told(codes)}: make codes of values"
            " with Scaling.fit(values).codes(values), of madem.data.scaling"
        )
    if codes.shape[-1:] != (inputs,) or (rows and codes.ndim != 2):
        raise ValueError(
            f"the input has shape {codes.shape}, but the network has {inputs} inputs: give a row"
            f" of {inputs} codes for each sample"
        )
    return codes


def checked_counts(samples: Any, channels: int) -> NDArray[np.int16]:
    """See that samples of a stream are counts of a sensor.

    Args:
        samples: of a stream, (samples, channels).
        channels: how many a sample has.

    Returns:
        They, int16 (samples, channels).

    Raises:
        ValueError: they are something else, such as values; the message names the remedy.
    """
    counts = np.asarray(samples)
    if counts.dtype != np.int16:
        raise ValueError(
            f"samples of a stream are counts, int16, not {_told(counts)}: make counts of values"
            " with saturated(values, scale), of madem.data.files.counts"
        )
    if counts.ndim != 2 or counts.shape[1] != channels:
        raise ValueError(
            f"the stream has shape {counts.shape}, but the pipeline has {channels} channels: give"
            f" a row of {channels} counts for each sample"
        )
    return counts


def _told(array: NDArray[np.generic]) -> str:
    """Their type and, of numbers, their range."""
    if array.dtype.kind not in "biuf" or not array.size:
        return str(array.dtype)
    return f"{array.dtype} from {array.min():.6g} to {array.max():.6g}"
