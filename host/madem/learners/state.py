"""A learned state in one file: versioned, checksummed, the same bits on every machine.

Layout: `MADEM`, a NUL, the format's version (u16), the header's length (u32), the header in
JSON, the devices and the accumulators of each weight layer, and the CRC-32 of all that.
Integers are little-endian. The header holds the integer configuration of
docs/reference/arithmetic.md, the step number, and notes on the task (its name, classes and
scaling). Version 2 is that of physical devices: the header lists further arrays, which follow the
accumulators.
"""

from __future__ import annotations

import json
import math
import struct
import zlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from madem import output
from madem.errors import MademError, TaskError
from madem_emulator.twin.config import Config, LayerConfig, Rule
from madem_emulator.twin.pipeline import Pipeline

_MAGIC = b"MADEM\0"
_BYTES, _PHYSICAL = 1, 2
"""Versions of the format: without and with arrays of physical devices."""
_TYPES = ("<f8", "<u8", "|b1")
"""Of those arrays."""
_HEAD = struct.Struct("<6sHI")


@dataclass(frozen=True)
class NetworkState:
    """What a device has learned, and all that is needed to go on from it.

    Attributes:
        config: the integers it computes with, its seed among them.
        steps: training samples so far.
        devices, accumulators: bytes of each weight layer, laid out as in
            docs/reference/arithmetic.md.
        notes: what the numbers mean; not part of what makes two states equal.
        physical: of devices in siemens, what bytes don't tell, by name; not part of it either.
    """

    config: Config
    steps: int
    devices: tuple[bytes, ...]
    accumulators: tuple[bytes, ...]
    notes: dict[str, Any] = field(default_factory=dict, compare=False)
    physical: Mapping[str, NDArray[Any]] | None = field(default=None, compare=False)


def stream_notes(pipeline: Pipeline, normalisation: bytes) -> dict[str, Any]:
    """Make the notes that hold a stream.

    Args:
        pipeline: that the network learned from.
        normalisation: its state, as in docs/reference/link.md.

    Returns:
        The notes.
    """
    return {"pipeline": str(pipeline), "normalisation": normalisation.hex()}


def normalisation_of(state: NetworkState, pipeline: Pipeline) -> bytes:
    """Read the state of the normalisation from the notes.

    Args:
        state: of a network that has learned from a stream.
        pipeline: that it is to go on with.

    Returns:
        The bytes of docs/reference/link.md.

    Raises:
        TaskError: it has learned from another one, or from none.
    """
    notes = state.notes
    if notes.get("pipeline") != str(pipeline):
        raise TaskError(
            f"the saved network has learned from {notes.get('pipeline') or 'no stream'},"
            f" not from {pipeline}"
        )
    return bytes.fromhex(notes["normalisation"])


def save(state: NetworkState, path: str | Path) -> None:
    """Write a state; an existing file is replaced whole or not at all.

    Args:
        state: what to write.
        path: of the file.

    Raises:
        MademError: the file can't be written.
    """
    facts = {"config": asdict(state.config), "steps": state.steps, "notes": state.notes}
    version, arrays = _BYTES, []
    if state.physical is not None:
        version = _PHYSICAL
        little = {name: a.astype(a.dtype.newbyteorder("<")) for name, a in state.physical.items()}
        facts["physical"] = [[name, a.dtype.str, a.shape] for name, a in little.items()]
        arrays = [a.tobytes() for a in little.values()]
    header = json.dumps(facts).encode()
    data = _HEAD.pack(_MAGIC, version, len(header)) + header
    data += b"".join([*state.devices, *state.accumulators, *arrays])
    data += struct.pack("<I", zlib.crc32(data))
    output.write_whole(path, data)


def load(path: str | Path) -> NetworkState:
    """Read a state.

    Args:
        path: of the file.

    Returns:
        The state.

    Raises:
        MademError: there is no such file, or it is not a whole state file.
    """
    try:
        data = Path(path).read_bytes()
    except OSError as error:
        raise MademError(f"can't load {path}: {error.strerror}") from None
    if data[:6] != _MAGIC or len(data) < _HEAD.size + 4:
        raise MademError(f"{path} is not a state saved by madem")
    _, version, length = _HEAD.unpack_from(data)
    if version not in (_BYTES, _PHYSICAL):
        raise MademError(
            f"{path} has format {version}, this madem reads the formats {_BYTES} and {_PHYSICAL}"
        )
    if zlib.crc32(data[:-4]) != int.from_bytes(data[-4:], "little"):
        raise MademError(f"{path} is damaged: its checksum is wrong")
    at = _HEAD.size + length
    try:
        header = json.loads(data[_HEAD.size : at])
        steps, notes, fields = header["steps"], header["notes"], header["config"]
        fields["sizes"] = tuple(fields["sizes"])
        fields["layers"] = tuple(LayerConfig(**layer) for layer in fields["layers"])
        fields["rule"] = Rule(fields["rule"])
        config = Config(**fields)
        couplings = [(m + 1) * n for m, n in pairwise(config.sizes)]
        begin = at + 3 * sum(couplings)
        physical, end = (
            _arrays(header["physical"], data, begin) if version > _BYTES else (None, begin)
        )
        if len(data) - 4 != end:
            raise ValueError
    except (KeyError, TypeError, ValueError):
        raise MademError(
            f"{path} was saved by a version of madem that this one can't read"
        ) from None
    parts = []
    for size in [2 * n for n in couplings] + couplings:
        parts.append(data[at : at + size])
        at += size
    depth = len(couplings)
    return NetworkState(config, steps, tuple(parts[:depth]), tuple(parts[depth:]), notes, physical)


def _arrays(
    listed: list[tuple[str, str, list[int]]], data: bytes, at: int
) -> tuple[dict[str, NDArray[Any]], int]:
    """The arrays that a header lists, and where they end.

    Raises:
        ValueError, TypeError: the list is none of ours.
    """
    found = {}
    for name, kind, shape in listed:
        if kind not in _TYPES or any(size < 0 for size in shape):
            raise ValueError
        count = math.prod(shape)
        values = np.frombuffer(data, kind, count, at).reshape(shape)
        found[name] = values.astype(values.dtype.newbyteorder("="))
        at += values.nbytes
    return found, at
