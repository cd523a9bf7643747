"""Recordings: samples of a sensor in a file that says what it holds and survives being cut.

docs/guide/recordings.md is the format. `Recorder` writes it block by block, `read` reads it.
"""

from __future__ import annotations

import datetime
import math
import os
import re
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from madem import output
from madem.data.files.table import Column, Table
from madem.errors import TaskError, printable

MAGIC = "# madem recording 1"
BLOCK_ROWS = 64
"""Rows after which a block is closed."""
GAP = 1.5
"""Sample times after which samples do not join on to each other."""
_MARK = re.compile(rb"# block rows=(\d+) crc32=([0-9a-f]{8})\n")
_FORBIDDEN = set(',#"\r\n')


class RecordingError(TaskError):
    """A recording that can't be read or written."""


@dataclass(frozen=True)
class Header:
    """The lines at the top of a recording.

    Attributes:
        channels: names of the columns with samples.
        rate_hz: nominal samples a second; None for what comes when it comes.
        units: of each channel, such as "g" or "deg/s"; empty if not known.
        units_per_count: what one count is worth in that unit, of each channel.
        source: where the samples came from.
        started: when, in ISO 8601.
    """

    channels: tuple[str, ...]
    rate_hz: float | None = None
    units: tuple[str, ...] = ()
    units_per_count: tuple[float, ...] = ()
    source: str = ""
    started: str = ""


@dataclass(frozen=True, eq=False)
class Recording:
    """A recording in memory.

    Attributes:
        header: what is said at its top.
        t_us: time of each sample since the beginning, int64 (samples,), in microseconds.
        samples: counts, int16 (samples, channels).
        labels: of each sample; empty strings where none was given.
        cut_bytes, cut_rows: of an unfinished block at the end that were left out.
        has_blocks: it has whole blocks; else it was cut in its first one, or written by others.
    """

    header: Header
    t_us: NDArray[np.int64]
    samples: NDArray[np.int16]
    labels: tuple[str, ...] = field(repr=False)
    cut_bytes: int = 0
    cut_rows: int = 0
    has_blocks: bool = True


class _Progress(NamedTuple):
    """How far a file is: replaced as one, so that a Ctrl-C finds it whole."""

    end: int
    """Bytes of the file that are whole blocks."""
    crc: int
    rows: int
    pending: list[str]
    """Rows that belong to the next block."""


class Recorder:
    """Appends samples to a file; a context manager that closes the last block.

    Attributes:
        header: of the file.
        cut_bytes: bytes of an unfinished block that were removed when the file was opened.
    """

    def __init__(self, path: str | Path, header: Header, *, append: bool = False) -> None:
        """Begin a file, or go on with one that has the same channels.

        Args:
            path: of the file.
            header: what is said at its top.
            append: go on with a file that is there.

        Raises:
            RecordingError: the file exists already, or is of other channels.
            MademError: it can't be written.
        """
        self._path = Path(path)
        self._offset_us = 0
        self.cut_bytes = 0
        self.header = header
        _check_header(header)
        try:
            if append and self._path.exists():
                self._go_on(header)
            else:
                # Never over an earlier recording.
                self._file = open(self._path, "xb", buffering=0)  # noqa: SIM115
                top = _format_header(header).encode()
                self._write(0, top)
                self._progress = _Progress(len(top), zlib.crc32(top), 0, [])
        except FileExistsError:
            raise RecordingError(
                f"{path} exists already: choose another name, or --append to go on with it"
            ) from None
        except OSError as error:
            raise output.refused(path, error) from None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def rows(self) -> int:
        """Rows in whole blocks so far, those of an earlier run included."""
        return self._progress.rows

    def add(self, t_us: int, values: Sequence[int], label: str = "") -> None:
        """Append a sample.

        Args:
            t_us: its time since the recording began, µs.
            values: a count for each channel.
            label: what it means; "": nobody said.

        Raises:
            RecordingError: the sample is none.
            DiskError: the disk is full.
        """
        if len(values) != len(self.header.channels):
            raise RecordingError(
                f"a sample of {len(values)} values in a recording of"
                f" {len(self.header.channels)} channels"
            )
        if _FORBIDDEN & set(label):
            raise RecordingError(f"the label {label!r} has a comma, a quote, a # or a line end")
        cells = [str(t_us + self._offset_us), *(str(int(value)) for value in values), label]
        pending = self._progress.pending
        pending.append(",".join(cells) + "\n")
        if len(pending) >= BLOCK_ROWS:
            self.flush()

    def flush(self) -> None:
        """Close the block: what was added until now is safe.

        Raises:
            DiskError: the disk is full.
        """
        end, crc, rows, pending = self._progress
        if not pending:
            return
        data = "".join(pending).encode()
        crc = zlib.crc32(data, crc)
        data += f"# block rows={len(pending)} crc32={crc:08x}\n".encode()
        try:
            self._write(end, data)
        except OSError as error:
            raise output.refused(self._path, error) from None
        self._progress = _Progress(end + len(data), crc, rows + len(pending), [])

    def close(self) -> None:
        """Close the last block and the file."""
        try:
            self.flush()
        finally:
            self._file.close()

    def _write(self, at: int, data: bytes) -> None:
        """Write there, over what an interrupted write may have left."""
        self._file.seek(at)
        while data:
            data = data[self._file.write(data) :]
        self._file.truncate()
        os.fsync(self._file.fileno())

    def _go_on(self, header: Header) -> None:
        data = self._path.read_bytes()
        found = _parse(self._path, data)
        if found.header.channels != header.channels:
            raise RecordingError(
                f"{self._path} has the channels {', '.join(found.header.channels)},"
                f" not {', '.join(header.channels)}"
            )
        self.header = found.header
        self.cut_bytes = found.cut_bytes
        if b"\r" in data:
            raise RecordingError(f"{self._path} has Windows line ends: can't go on with it")
        rows = len(found.t_us)
        if rows:
            # A gap tells that the two parts do not join on to each other.
            period_us = 1e6 / found.header.rate_hz if found.header.rate_hz else 0
            self._offset_us = int(found.t_us[-1]) + max(1_000_000, round(2 * period_us))
        self._file = open(self._path, "r+b", buffering=0)  # noqa: SIM115
        if found.has_blocks:
            end = len(data) - found.cut_bytes
            crc = int(_MARK.findall(data)[-1][1], 16)
            self._file.truncate(end)
            self._progress = _Progress(end, crc, rows, [])
        else:  # the rows that are there belong to the block that is closed next
            end = _parse_header(self._path, data)[1]
            pending = [
                ",".join([str(t), *map(str, counts), label]) + "\n"
                for t, counts, label in zip(
                    found.t_us.tolist(), found.samples.tolist(), found.labels, strict=True
                )
            ]
            self._progress = _Progress(end, zlib.crc32(data[:end]), 0, pending)


def read(path: str | Path) -> Recording:
    """Read a recording up to its last whole block; one without any block line up to its end.

    Args:
        path: of the file.

    Returns:
        The recording.

    Raises:
        RecordingError: there is no such file, it is none, or it is damaged before its end.
    """
    try:
        data = Path(path).read_bytes()
    except OSError as error:
        raise RecordingError(f"can't read {path}: {error.strerror}") from None
    return _parse(Path(path), data)


def table(path: Path, data: bytes) -> Table:
    """Read a recording as a table: the time, a column for each channel in its unit, the label.

    Args:
        path: for messages.
        data: what the file holds.

    Returns:
        The table.

    Raises:
        RecordingError: it is none, or it is damaged before its end.
    """
    found = _parse(path, data)
    head = found.header
    n = len(head.channels)
    channels = [
        Column(
            printable(name),
            counts * (scale or 1.0),
            unit,
            "feature",
            scale,
            title=name,
        )
        for name, counts, unit, scale in zip(
            head.channels,
            found.samples.T.astype(np.float64),
            head.units or ("",) * n,
            head.units_per_count or (None,) * n,
            strict=True,
        )
    ]
    labels = np.array([printable(label) or None for label in found.labels], object)
    notes = []
    if found.cut_rows:
        notes.append(f"it was cut: {found.cut_rows} rows behind its last whole block are left out")
    elif not found.has_blocks and len(labels):
        notes.append("it has no block lines, so nothing proves that it is whole")
    return Table(
        ((path, 0),),
        (
            Column("t_us", found.t_us.astype(np.float64), "us", "time"),
            *channels,
            Column("label", labels, role="label"),
        ),
        np.zeros(len(labels), np.int64),
        series=True,
        rate_hz=head.rate_hz,
        notes=tuple(notes),
    )


def is_recording(path: str | Path) -> bool:
    """Whether a file begins as a recording does.

    Args:
        path: of the file.

    Returns:
        Whether it does.
    """
    try:
        with open(path, "rb") as file:
            return file.read(len(MAGIC)) == MAGIC.encode()
    except OSError:
        return False


def now() -> str:
    """Tell the time for `Header.started`."""
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")


def _format_header(header: Header) -> str:
    lines = [MAGIC]
    if header.rate_hz is not None:
        lines.append(f"# rate_hz: {header.rate_hz:g}")
    if header.units:
        lines.append(f"# units: {','.join(header.units)}")
    if header.units_per_count:
        lines.append(f"# units_per_count: {','.join(map(repr, header.units_per_count))}")
    if header.source:
        lines.append(f"# source: {header.source}")
    if header.started:
        lines.append(f"# started: {header.started}")
    lines.append(",".join(["t_us", *header.channels, "label"]))
    return "".join(line + "\n" for line in lines)


def _check_header(header: Header) -> None:
    names = ("t_us", *header.channels, "label")
    bad = next((name for name in names if not name or _FORBIDDEN & set(name)), None)
    if bad is not None or len(set(names)) < len(names) or not header.channels:
        what = f"the channel name {bad!r}" if bad is not None else "no or equal channel names"
        raise RecordingError(f"a recording can't have {what}")
    if "\n" in header.source + header.started + "".join(header.units):
        raise RecordingError("a recording's header can't have a line end in a value")


def _parse(path: Path, data: bytes) -> Recording:
    data = data.replace(b"\r\n", b"\n")
    header, begin = _parse_header(path, data)
    blocks = _whole_blocks(path, data, begin)
    end = blocks or data.rindex(b"\n") + 1
    t_us, samples, labels = _rows(path, data[:end], header, begin)
    return Recording(
        header,
        t_us=t_us,
        samples=samples,
        labels=labels,
        cut_bytes=len(data) - end,
        cut_rows=sum(bool(row) and row[:1] != b"#" for row in data[end:].split(b"\n")),
        has_blocks=blocks is not None,
    )


def _whole_blocks(path: Path, data: bytes, begin: int) -> int | None:
    """Where the last whole block ends; None if there is none."""
    at, crc = 0, 0
    for mark in _MARK.finditer(data, begin):
        crc = zlib.crc32(data[at : mark.start()], crc)
        rows = data.count(b"\n", max(at, begin), mark.start())
        if crc != int(mark[2], 16) or rows != int(mark[1]):
            line = data.count(b"\n", 0, at) + 1
            raise RecordingError(
                f"{path} is damaged in the block of {int(mark[1])} rows from line {line} on"
            )
        at = mark.end()
    return at or None


def _rows(
    path: Path, data: bytes, header: Header, begin: int
) -> tuple[NDArray[np.int64], NDArray[np.int16], tuple[str, ...]]:
    """Times, counts and labels of all rows."""
    width = len(header.channels) + 2
    first = data.count(b"\n", 0, begin) + 1
    lines = data[begin:].decode(errors="replace").split("\n")
    rows = {n: line for n, line in enumerate(lines, first) if line and line[0] != "#"}
    numbers = np.empty((len(rows), width - 1), np.int64)
    labels = []
    for k, (line, row) in enumerate(rows.items()):
        *cells, label = row.split(",")
        try:
            numbers[k] = [int(cell) for cell in cells]
            if len(cells) != width - 1 or np.any(np.abs(numbers[k, 1:] * 2 + 1) > 65535):
                raise ValueError
        except (ValueError, OverflowError):
            raise RecordingError(
                f"{path}, line {line}: the row is not t_us, {width - 2} counts of 16 bits, label"
            ) from None
        labels.append(label)
    return numbers[:, 0], numbers[:, 1:].astype(np.int16), tuple(labels)


def _parse_header(path: Path, data: bytes) -> tuple[Header, int]:
    """The header and where the rows begin."""
    found: dict[str, str] = {}
    at = 0
    for k, raw in enumerate(data.split(b"\n")[:-1]):
        line = raw.decode(errors="replace")
        at += len(raw) + 1
        if k == 0:
            if line != MAGIC:
                break
        elif line.startswith("#"):
            key, _, value = line[1:].partition(":")
            found[key.strip()] = value.strip()
        else:
            first, *channels, last = line.split(",") if "," in line else ("", "")
            if (first, last) != ("t_us", "label") or not channels:
                break
            return _header(path, found, channels), at
    raise RecordingError(f"{path} is not a recording of madem")


def _header(path: Path, found: dict[str, str], channels: list[str]) -> Header:
    try:
        header = Header(
            tuple(channels),
            float(found["rate_hz"]) if "rate_hz" in found else None,
            tuple(found["units"].split(",")) if "units" in found else (),
            tuple(float(v) for v in found.get("units_per_count", "").split(",") if v),
            found.get("source", ""),
            found.get("started", ""),
        )
        values = (header.rate_hz if header.rate_hz is not None else 1.0, *header.units_per_count)
        if not all(0 < value < math.inf for value in values):
            raise ValueError
    except ValueError:
        raise RecordingError(
            f"{path}: its rate_hz or units_per_count are no numbers above 0"
        ) from None
    for key, values in (("units", header.units), ("units_per_count", header.units_per_count)):
        if len(values) not in (0, len(channels)):
            raise RecordingError(f"{path} has {len(values)} {key}, but {len(channels)} channels")
    return header
