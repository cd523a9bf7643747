"""Versions 1 and 2 of a network's file: integers, a header in JSON, and no columns.

`MADEM`, a NUL, the version (u16), the header's length (u32), the header, the devices and the
accumulators of each weight layer, and the CRC-32 of all that. Version 2 is that of physical
devices: the header lists further arrays, which follow the accumulators.
"""

from __future__ import annotations

import math
import struct
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from madem import json_text
from madem.learners.state import NetworkState
from madem_emulator.twin.config import Config, LayerConfig, Rule

TYPES = ("<f8", "<u8", "|b1")
"""Of the arrays of physical devices, in all versions."""
_HEAD = struct.Struct("<6sHI")
_PHYSICAL = 2
_MOST_STEPS = 1 << 30


def read_state(data: bytes) -> NetworkState:
    """Read the state in a file whose version and checksum are right.

    Args:
        data: the file's bytes.

    Returns:
        The state.

    Raises:
        KeyError, TypeError, ValueError, struct.error: it is no such file.
    """
    _, version, length = _HEAD.unpack_from(data)
    at = _HEAD.size + length
    header = json_text.parse(data[_HEAD.size : at])
    steps, notes, fields = header["steps"], header["notes"], header["config"]
    fields["sizes"] = tuple(fields["sizes"])
    fields["layers"] = tuple(LayerConfig(**layer) for layer in fields["layers"])
    fields["rule"] = Rule(fields["rule"])
    config = Config(**fields)
    if not (isinstance(steps, int) and 0 <= steps < _MOST_STEPS):
        raise ValueError(f"it has learned {steps!r} samples")
    if not isinstance(notes, dict):
        raise TypeError("its notes are none")
    texts = [notes.get(name, "") for name in ("pipeline", "normalisation")]
    texts += notes.get("classes", ())
    if not all(isinstance(text, str) for text in texts):
        raise TypeError("a name or a pipeline is no text")
    couplings = [(m + 1) * n for m, n in pairwise(config.sizes)]
    begin = at + 3 * sum(couplings)
    physical, end = None, begin
    if version == _PHYSICAL:
        physical, end = _arrays(header["physical"], data, begin)
    if len(data) - 4 != end:
        raise ValueError("its length is wrong")
    parts = []
    for size in [2 * n for n in couplings] + couplings:
        parts.append(data[at : at + size])
        at += size
    depth = len(couplings)
    return NetworkState(config, steps, tuple(parts[:depth]), tuple(parts[depth:]), notes, physical)


def _arrays(
    listed: list[tuple[str, str, list[int]]], data: bytes, at: int
) -> tuple[dict[str, NDArray[Any]], int]:
    """The arrays that a header lists, and where they end."""
    found = {}
    for name, kind, shape in listed:
        if kind not in TYPES or any(size < 0 for size in shape):
            raise ValueError("an array that can't be")
        values = np.frombuffer(data, kind, math.prod(shape), at).reshape(shape)
        found[name] = values.astype(values.dtype.newbyteorder("="))
        at += values.nbytes
    return found, at
