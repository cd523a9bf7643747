"""A learned state in one file: versioned, checksummed, the same bits on every machine.

Layout: `MADEM`, a NUL, the format's version (u16), the header's length (u32), the header in
JSON, the devices and the accumulators of each weight layer, and the CRC-32 of all that.
Integers are little-endian. The header holds the integer configuration of docs/arithmetic.md,
the step number, and notes on the task (its name, classes and scaling).
"""

from __future__ import annotations

import json
import struct
import zlib
from dataclasses import asdict, dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

from madem import output
from madem.errors import MademError
from madem_emulator.config import Config, LayerConfig, Rule

_MAGIC = b"MADEM\0"
_VERSION = 1
_HEAD = struct.Struct("<6sHI")


@dataclass(frozen=True)
class State:
    """What a device has learned, and all that is needed to go on from it.

    Attributes:
        config: the integers it computes with, its seed among them.
        steps: training samples so far.
        devices, accumulators: bytes of each weight layer, laid out as in docs/arithmetic.md.
        notes: what the numbers mean; not part of what makes two states equal.
    """

    config: Config
    steps: int
    devices: tuple[bytes, ...]
    accumulators: tuple[bytes, ...]
    notes: dict[str, Any] = field(default_factory=dict, compare=False)


def save(state: State, path: str | Path) -> None:
    """Write a state; an existing file is replaced whole or not at all.

    Raises:
        MademError: the file can't be written.
    """
    header = json.dumps(
        {"config": asdict(state.config), "steps": state.steps, "notes": state.notes}
    ).encode()
    data = _HEAD.pack(_MAGIC, _VERSION, len(header)) + header
    data += b"".join(state.devices) + b"".join(state.accumulators)
    data += struct.pack("<I", zlib.crc32(data))
    output.write_whole(path, data)


def load(path: str | Path) -> State:
    """Read a state.

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
    if version != _VERSION:
        raise MademError(f"{path} has format {version}, this madem reads format {_VERSION}")
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
        if len(data) - 4 - at != 3 * sum(couplings):
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
    return State(config, steps, tuple(parts[:depth]), tuple(parts[depth:]), notes)
