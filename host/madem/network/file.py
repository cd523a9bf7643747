"""A network in one file: docs/reference/network_file.md, written and read.

A file is read whole or refused in one line; nothing in it is taken for something else in silence.
"""

from __future__ import annotations

import json
import math
import struct
import zlib
from collections.abc import Callable, Iterable, Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from madem import json_text, output
from madem.boards.link_protocol import (
    CONFIGURE_DEVICE,
    CONFIGURE_FORMAT,
    CONFIGURE_HEAD,
    CONFIGURE_LAYER,
    PIPELINE,
    Feature,
)
from madem.data.scaling import COUNTS
from madem.errors import MademError
from madem.learners.board import pack_config
from madem.learners.state import NetworkState
from madem.learners.stream import pack_pipeline
from madem.network import old_file
from madem.network.network import Channel, Column, Network, StreamInputs, TableInputs, WordInputs
from madem_emulator.twin.config import Config, LayerConfig, Rule
from madem_emulator.twin.pipeline import Pipeline, PipelineError, parse

MAGIC = b"MADEM\0"
VERSION = 3
_HEAD = struct.Struct("<6sHH")
_SECTION = struct.Struct("<4sI")
_COLUMN = struct.Struct("<hiid")
_GATE = struct.Struct("<HBBHHHHIHIIHHI")
_NO_CHECKPOINT = 0xFFFFFFFF
_MOST_UNITS, _MOST_CLASSES = 1024, 255
RATE = struct.Struct("<HB")
"""RATE and PULSES, of the section of that name."""
SAVES = struct.Struct("<I")
"""How often boards have written the file, of the section SAVE."""
ON_BOARD = (b"RATE", b"GATE", b"SRCE", b"SAVE")
"""Sections that only a board makes use of; a desktop keeps them as they are."""
DESKTOP_ONLY = (b"CHAN", b"NOTE", b"PHYS")
"""Sections that a board has no use for."""


class _FormatError(Exception):
    """What a section holds can't be; the message says what."""


def save(network: Network, path: str | Path) -> None:
    """Write a network; an existing file is replaced whole or not at all.

    Args:
        network: what to write.
        path: of the file.

    Raises:
        MademError: the file can't be written.
    """
    output.write_whole(path, pack(network))


def load(path: str | Path) -> Network:
    """Read a network.

    Args:
        path: of the file.

    Returns:
        The network.

    Raises:
        MademError: there is no such file, or it is not a whole network's.
    """
    try:
        data = Path(path).read_bytes()
    except OSError as error:
        raise MademError(f"can't load {path}: {error.strerror}") from None
    try:
        return unpack(data)
    except _FormatError as error:
        raise MademError(f"{path} {error}") from None


def pack(network: Network, board: bool = False) -> bytes:
    """Pack a network into the bytes of a file.

    Args:
        network: what to pack.
        board: leave out the sections that only a desktop reads.

    Returns:
        The bytes.
    """
    sections = _sections(network)
    if board:
        sections = {tag: data for tag, data in sections.items() if tag not in DESKTOP_ONLY}
    body = _HEAD.pack(MAGIC, VERSION, 0)
    body += b"".join(_SECTION.pack(tag, len(data)) + data for tag, data in sections.items())
    return body + struct.pack("<I", zlib.crc32(body))


def unpack(data: bytes) -> Network:
    """Unpack the network in a file's bytes.

    Args:
        data: the bytes.

    Returns:
        The network.

    Raises:
        _FormatError: they are none, or damaged; the message goes behind the file's name.
    """
    if data[:6] != MAGIC or len(data) < _HEAD.size + 4:
        raise _FormatError("is not a network saved by madem")
    version = int.from_bytes(data[6:8], "little")
    if version > VERSION or not version:
        raise _FormatError(
            f"has format {version}, this madem reads the formats 1 to {VERSION}: it was saved by"
            " a newer madem"
        )
    if zlib.crc32(data[:-4]) != int.from_bytes(data[-4:], "little"):
        raise _FormatError("is damaged: its checksum is wrong")
    try:
        if version < VERSION:
            return _of_old(old_file.read_state(data))
        return _network(_split(data[:-4]))
    except (KeyError, TypeError, ValueError, IndexError, struct.error, OverflowError) as error:
        # The checksum is right: whoever wrote it meant something else by it.
        raise _FormatError(f"was saved by a madem that this one can't read ({error})") from None


# --- writing -----------------------------------------------------------------------------------


def _sections(network: Network) -> dict[bytes, bytes]:
    state, inputs = network.state, network.inputs
    found = {
        b"CONF": pack_config(state.config),
        b"STEP": struct.pack("<I", state.steps),
        b"DEVS": b"".join(state.devices),
        b"ACCS": b"".join(state.accumulators),
        b"NAMS": _listed(network.classes, _text),
    }
    if isinstance(inputs, TableInputs):
        found[b"COLS"] = _listed(inputs.columns, _column)
    elif isinstance(inputs, StreamInputs):
        found[b"CHAN"] = _listed(inputs.channels, _channel) + struct.pack(
            "<d", inputs.rate_hz or 0.0
        )
        p = parse(inputs.pipeline, len(inputs.channels))
        found[b"PIPE"] = pack_pipeline(p) + bytes([p.follow]) + inputs.normalisation
    elif isinstance(inputs, WordInputs):
        found[b"WORD"] = bytes([inputs.label_lines])
    found |= {tag: network.on_board[tag] for tag in ON_BOARD if tag in network.on_board}
    found[b"NOTE"] = json.dumps(network.notes, ensure_ascii=False, sort_keys=True).encode()
    if state.physical is not None:
        found[b"PHYS"] = _listed(state.physical.items(), _array)
    return found


def _listed(items: Iterable[Any], pack_one: Callable[[Any], bytes]) -> bytes:
    packed = [pack_one(item) for item in items]
    return struct.pack("<H", len(packed)) + b"".join(packed)


def _text(text: str) -> bytes:
    """At most 255 bytes of UTF-8, behind a byte with their number; cut between characters."""
    data = text.encode()[:255].decode(errors="ignore").encode()
    return bytes([len(data)]) + data


def _column(column: Column) -> bytes:
    return (
        _text(column.name)
        + _text(column.unit)
        + _COLUMN.pack(column.decimals, column.low, column.high, column.origin)
    )


def _channel(channel: Channel) -> bytes:
    return _text(channel.name) + _text(channel.unit) + struct.pack("<d", channel.scale)


def _array(item: tuple[str, NDArray[Any]]) -> bytes:
    name, array = item
    little = array.astype(array.dtype.newbyteorder("<"))
    shape = struct.pack(f"<B{little.ndim}I", little.ndim, *little.shape)
    return _text(name) + _text(little.dtype.str) + shape + little.tobytes()


# --- reading -----------------------------------------------------------------------------------


class _Reader:
    """Takes a section's bytes from front to back.

    Raises `ValueError` in every method where there are too few.
    """

    def __init__(self, tag: bytes, data: bytes) -> None:
        self._name, self._data, self._at = tag.decode(), data, 0

    def take(self, count: int) -> bytes:
        """The next bytes."""
        end = self._at + count
        if count < 0 or end > len(self._data):
            raise ValueError(f"section {self._name} is too short")
        part, self._at = self._data[self._at : end], end
        return part

    def unpack(self, layout: struct.Struct) -> tuple[Any, ...]:
        """The next fields."""
        return layout.unpack(self.take(layout.size))

    def text(self) -> str:
        """The next text."""
        return self.take(self.take(1)[0]).decode()

    def number(self) -> int:
        """The next u16."""
        return int.from_bytes(self.take(2), "little")

    def end(self) -> None:
        """Nothing may be left."""
        if self._at != len(self._data):
            raise ValueError(f"section {self._name} is too long")


def _split(body: bytes) -> dict[bytes, bytes]:
    found: dict[bytes, bytes] = {}
    at = _HEAD.size
    while at < len(body):
        tag, length = _SECTION.unpack_from(body, at)
        at += _SECTION.size
        if at + length > len(body):
            raise ValueError("a section is cut")
        if tag in found:
            raise ValueError(f"section {tag.decode()} is there twice")
        found[tag] = body[at : at + length]
        at += length
    for tag in (b"CONF", b"STEP", b"DEVS", b"ACCS"):
        if tag not in found:
            raise ValueError(f"section {tag.decode()} is missing")
    return found


def _network(sections: Mapping[bytes, bytes]) -> Network:
    config = unpack_config(sections[b"CONF"])
    couplings = [(m + 1) * n for m, n in pairwise(config.sizes)]
    devices = _cut(b"DEVS", sections, [2 * n for n in couplings])
    accumulators = _cut(b"ACCS", sections, couplings)
    step = _Reader(b"STEP", sections[b"STEP"])
    steps = int.from_bytes(step.take(4), "little")
    step.end()
    physical = None
    if b"PHYS" in sections:
        physical = dict(_items(b"PHYS", sections, _read_array))
    classes = tuple(_items(b"NAMS", sections, _Reader.text)) if b"NAMS" in sections else ()
    notes = json_text.parse(sections[b"NOTE"]) if b"NOTE" in sections else {}
    if not isinstance(notes, dict):
        raise ValueError("section NOTE is no object")
    inputs = _inputs(sections, config)
    of_stream = {}
    if isinstance(inputs, StreamInputs):
        # What a learner of streams goes on from.
        of_stream = {"pipeline": inputs.pipeline, "normalisation": inputs.normalisation.hex()}
    state = NetworkState(config, steps, devices, accumulators, notes=of_stream, physical=physical)
    on_board = {tag: sections[tag] for tag in ON_BOARD if tag in sections}
    _check_on_board(on_board, sum(map(len, devices)))
    network = Network(state, classes, inputs, notes, on_board)
    outputs = config.sizes[-1] if config.one_hot else len(classes)
    if classes and len(classes) != outputs:
        raise ValueError(f"{len(classes)} classes for {outputs} outputs")
    return network


def _check_on_board(sections: Mapping[bytes, bytes], device_bytes: int) -> None:
    """Their lengths; what they say is the board's to judge.

    Raises:
        ValueError: one is wrong.
    """
    for tag, layout in ((b"RATE", RATE), (b"SAVE", SAVES)):
        if len(sections.get(tag, bytes(layout.size))) != layout.size:
            raise ValueError(f"section {tag.decode()} has another length")
    gate = sections.get(b"GATE")
    if gate is not None:
        *_, checkpoint_at = _Reader(b"GATE", gate).unpack(_GATE)
        copied = 0 if checkpoint_at == _NO_CHECKPOINT else device_bytes
        if len(gate) != _GATE.size + copied:
            raise ValueError("section GATE has another length")


def gate_facts(gate: bytes) -> dict[str, int]:
    """Tell what a section GATE says.

    Args:
        gate: its bytes, as they were checked when a file was read.

    Returns:
        Settings and counters of docs/guide/online.md, by name; "checkpoint_at" is -1 without a
        checkpoint.
    """
    names = (
        "gate at_most fade drop every credit tested checked checked_accuracy learned rollbacks"
        " accuracy checkpoint_accuracy checkpoint_at"
    )
    facts: dict[str, int] = dict(zip(names.split(), _GATE.unpack_from(gate), strict=True))
    if facts["checkpoint_at"] == _NO_CHECKPOINT:
        facts["checkpoint_at"] = -1
    return facts


def _inputs(
    sections: Mapping[bytes, bytes], config: Config
) -> TableInputs | StreamInputs | WordInputs | None:
    if b"COLS" in sections:
        columns = tuple(_items(b"COLS", sections, _read_column))
        if len(columns) != config.sizes[0]:
            raise ValueError(f"{len(columns)} columns for {config.sizes[0]} inputs")
        return TableInputs(columns)
    if b"PIPE" in sections:
        return _stream_inputs(sections, config)
    if b"WORD" in sections:
        word = _Reader(b"WORD", sections[b"WORD"])
        lines = word.take(1)[0]
        word.end()
        return WordInputs(lines)
    return None


def _stream_inputs(sections: Mapping[bytes, bytes], config: Config) -> StreamInputs:
    reader = _Reader(b"PIPE", sections[b"PIPE"])
    channels, window, hop, features, bands, norm = reader.unpack(PIPELINE)
    follow = reader.take(1)[0]
    try:
        pipeline = Pipeline(
            channels,
            window,
            hop,
            mean=bool(features & Feature.MEAN),
            energy=bool(features & Feature.ENERGY),
            zero=bool(features & Feature.ZERO),
            minmax=bool(features & Feature.MINMAX),
            bands=bands,
            norm=norm,
            follow=bool(follow),
        )
    except PipelineError as error:
        raise ValueError(str(error)) from None
    if pipeline.inputs != config.sizes[0]:
        raise ValueError(f"a pipeline of {pipeline.inputs} values for {config.sizes[0]} inputs")
    normalisation = reader.take(4 + 8 * pipeline.features)
    reader.end()
    named: tuple[Channel, ...] = tuple(
        Channel(f"channel {k}", "", 1.0) for k in range(1, channels + 1)
    )
    rate_hz = 0.0
    if b"CHAN" in sections:
        reader = _Reader(b"CHAN", sections[b"CHAN"])
        named = tuple(_read_channel(reader) for _ in range(reader.number()))
        (rate_hz,) = struct.unpack("<d", reader.take(8))
        reader.end()
        if len(named) != channels:
            raise ValueError(f"{len(named)} names for {channels} channels")
    return StreamInputs(named, str(pipeline), normalisation, rate_hz or None)


def unpack_config(data: bytes) -> Config:
    """The integers of a CONFIGURE's payload; see `pack_config`.

    Raises:
        ValueError, struct.error: it is none, or names a board of chips.
    """
    reader = _Reader(b"CONF", data)
    (
        *(kind, depth, one_hot, rule, t_free, t_nudge, beta, t_hi, t_lo, dac_mask, adc_bits, chips),
        seed,
    ) = reader.unpack(CONFIGURE_HEAD)
    if kind != CONFIGURE_FORMAT or chips:
        raise ValueError("section CONF is of another format")
    step, nl_set, nl_reset, c2c, d_step, d_top, stuck, init = reader.unpack(CONFIGURE_DEVICE)
    sizes = reader.unpack(struct.Struct(f"<{depth + 1}H"))
    layers = tuple(LayerConfig(*reader.unpack(CONFIGURE_LAYER)) for _ in range(depth))
    reader.end()
    config = Config(
        sizes=sizes, layers=layers, one_hot=bool(one_hot), rule=Rule(rule), t_free=t_free,
        t_nudge=t_nudge, beta=beta, t_hi=t_hi, t_lo=t_lo, dac_mask=dac_mask, adc_bits=adc_bits,
        seed=seed, step=step, nl_set=nl_set, nl_reset=nl_reset, c2c=c2c, d_step=d_step,
        d_top=d_top, stuck=stuck, init=init,
    )  # fmt: skip
    if not _possible(config):
        raise ValueError("section CONF has a number out of range")
    return config


def _possible(config: Config) -> bool:
    """Whether a board would take these integers; `parse` of firmware/madem/network_config.py."""
    sizes, bits = config.sizes, config.adc_bits
    return (
        bool(config.layers)
        and 1 <= min(sizes) <= max(sizes) <= _MOST_UNITS
        and not (config.one_hot and sizes[-1] > _MOST_CLASSES)
        and 2 <= bits <= 10
        and config.t_free * config.t_nudge > 0
        and all(
            1 <= layer.gain_shift <= 30
            and bits - 1 <= min(layer.range_forward, layer.range_transposed)
            and max(layer.range_forward, layer.range_transposed) <= 14
            and layer.scale > 0
            for layer in config.layers
        )
    )


def _cut(tag: bytes, sections: Mapping[bytes, bytes], sizes: list[int]) -> tuple[bytes, ...]:
    reader = _Reader(tag, sections[tag])
    parts = tuple(reader.take(size) for size in sizes)
    reader.end()
    return parts


def _items(
    tag: bytes, sections: Mapping[bytes, bytes], read_one: Callable[[_Reader], Any]
) -> list[Any]:
    reader = _Reader(tag, sections[tag])
    found = [read_one(reader) for _ in range(reader.number())]
    reader.end()
    return found


def _read_column(reader: _Reader) -> Column:
    name, unit = reader.text(), reader.text()
    decimals, low, high, origin = reader.unpack(_COLUMN)
    if not -COUNTS <= low <= high < COUNTS or abs(decimals) > 308 or not math.isfinite(origin):
        raise ValueError(f"the scale of column {name!r} makes no sense")
    return Column(name, unit, decimals, low, high, origin)


def _read_channel(reader: _Reader) -> Channel:
    name, unit = reader.text(), reader.text()
    (scale,) = struct.unpack("<d", reader.take(8))
    if not (math.isfinite(scale) and scale > 0):
        raise ValueError(f"the scale of channel {name!r} makes no sense")
    return Channel(name, unit, scale)


def _read_array(reader: _Reader) -> tuple[str, NDArray[Any]]:
    name, kind = reader.text(), reader.text()
    if kind not in old_file.TYPES:
        raise ValueError(f"an array of type {kind!r}")
    dimensions = reader.take(1)[0]
    shape = reader.unpack(struct.Struct(f"<{dimensions}I"))
    count = math.prod(shape)
    values = np.frombuffer(reader.take(count * np.dtype(kind).itemsize), kind).reshape(shape)
    return name, values.astype(values.dtype.newbyteorder("="))


def _of_old(state: NetworkState) -> Network:
    """The network of versions 1 and 2: its columns, units and scale are not known."""
    notes = state.notes
    if unpack_config(pack_config(state.config)) != state.config:
        raise ValueError("its configuration has a number that is none")
    classes = tuple(notes.get("classes", ()))
    inputs = None
    if "pipeline" in notes:
        normalisation = bytes.fromhex(notes["normalisation"])
        features = (len(normalisation) - 4) // 8
        # The line does not say how many channels there were; one gives so many features.
        channels = features // parse(notes["pipeline"], 1).features
        if channels < 1 or len(normalisation) != 4 + 8 * features:
            raise ValueError("its normalisation is not that of its pipeline")
        inputs = StreamInputs(
            tuple(Channel(f"channel {k}", "", 1.0) for k in range(1, channels + 1)),
            notes["pipeline"],
            normalisation,
        )
    return Network(state, classes, inputs, dict(notes))
