"""WAV files as a table: a column for each channel, 1 is full scale."""

from __future__ import annotations

import io
import struct
import warnings
from pathlib import Path

import numpy as np

from madem.data.files.table import Column, Table
from madem.errors import TaskError

SCALE = 1 / 32768
"""Full scale of a count of 16 bits."""


def read(path: Path, data: bytes) -> Table:
    """Read integers of 8, 16, 24 or 32 bits, or floating-point numbers, at the file's rate.

    Args:
        path: for messages.
        data: what the file holds.

    Returns:
        The table.

    Raises:
        TaskError: it is no WAV file, or one of a coding that can't be read.
    """
    from scipy.io import wavfile

    notes = []
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        try:
            rate, frames = wavfile.read(io.BytesIO(data))
        except (ValueError, EOFError, struct.error, TypeError, OverflowError, MemoryError,
                UnboundLocalError, ZeroDivisionError) as error:  # fmt: skip
            why = str(error).splitlines()[0] if str(error) else "it is damaged"
            raise TaskError(f"{path} is not a WAV file that can be read: {why}") from None
    if any("EOF" in str(warning.message) for warning in told):
        notes.append("it was cut: it is shorter than it says")
    frames = frames.reshape(len(frames), -1)
    if not rate or not len(frames):
        raise TaskError(f"{path} is a WAV file without samples")
    if frames.dtype == np.uint8:
        values = (frames.astype(np.float64) - 128) / 128
    elif frames.dtype.kind == "i":
        values = frames / -float(np.iinfo(frames.dtype).min)
    else:
        values = frames.astype(np.float64)
    columns = [
        Column(f"channel {k}", channel, "full scale", "feature", SCALE)
        for k, channel in enumerate(values.T)
    ]
    return Table(
        ((path, 0),),
        tuple(columns),
        np.zeros(len(values), np.int64),
        series=True,
        rate_hz=float(rate),
        notes=tuple(notes),
    )
