"""Recordings: samples of a sensor in a file that says what it holds and survives being cut.

docs/guide/recordings.md is the format. `Recorder` writes it block by block, `read` reads it.
"""

from __future__ import annotations

import datetime
import os
import re
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from madem.errors import MademError

MAGIC = "# madem recording 1"
BLOCK_ROWS = 64
"""Rows after which a block is closed."""
GAP = 1.5
"""Sample times after which samples do not join on to each other."""
_MARK = re.compile(rb"# block rows=(\d+) crc32=([0-9a-f]{8})\n")
_FORBIDDEN = set(',#"\r\n')


class RecordingError(MademError):
    """A recording that can't be read or written."""


@dataclass(frozen=True)
class Header:
    """What is said at the top of a recording.

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
        cut_bytes: bytes of an unfinished block at the end that were left out.
    """

    header: Header
    t_us: NDArray[np.int64]
    samples: NDArray[np.int16]
    labels: tuple[str, ...] = field(repr=False)
    cut_bytes: int = 0

    @property
    def duration_s(self) -> float:
        """From the first sample to the last."""
        return float(self.t_us[-1] - self.t_us[0]) / 1e6 if len(self.t_us) else 0.0


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
        """Begin a file, or with `append` go on with one that has the same channels.

        Raises:
            RecordingError: the file exists already, is of other channels, or can't be written.
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
            raise RecordingError(f"can't write {path}: {error.strerror}") from None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def rows(self) -> int:
        """Rows in whole blocks so far, those of an earlier run included."""
        return self._progress.rows

    def add(self, t_us: int, values: Sequence[int], label: str = "") -> None:
        """Append a sample: its time, a count for each channel, what it means.

        Raises:
            RecordingError: the disk is full, or the sample is none.
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
        """Close the block: what was added until now is safe."""
        end, crc, rows, pending = self._progress
        if not pending:
            return
        data = "".join(pending).encode()
        crc = zlib.crc32(data, crc)
        data += f"# block rows={len(pending)} crc32={crc:08x}\n".encode()
        try:
            self._write(end, data)
        except OSError as error:
            raise RecordingError(f"can't write {self._path}: {error.strerror}") from None
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
        rows = len(found.t_us)
        if rows:
            # A gap tells that the two parts do not join on to each other.
            period_us = 1e6 / found.header.rate_hz if found.header.rate_hz else 0
            self._offset_us = int(found.t_us[-1]) + max(1_000_000, round(2 * period_us))
        end = len(data) - found.cut_bytes
        marks = _MARK.findall(data[:end])
        crc = int(marks[-1][1], 16) if marks else zlib.crc32(data[:end])
        self._file = open(self._path, "r+b", buffering=0)  # noqa: SIM115
        self._file.truncate(end)
        self._progress = _Progress(end, crc, rows, [])


def read(path: str | Path) -> Recording:
    """Read a recording up to its last whole block.

    Raises:
        RecordingError: there is no such file, it is none, or it is damaged before its end.
    """
    try:
        data = Path(path).read_bytes()
    except OSError as error:
        raise RecordingError(f"can't read {path}: {error.strerror}") from None
    return _parse(Path(path), data)


def is_recording(path: str | Path) -> bool:
    """Whether a file begins as a recording does."""
    try:
        with open(path, "rb") as file:
            return file.read(len(MAGIC)) == MAGIC.encode()
    except OSError:
        return False


def now() -> str:
    """The time for `Header.started`."""
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
    header, begin = _parse_header(path, data)
    rows: list[list[str]] = []
    at, crc, end = 0, 0, begin
    for mark in _MARK.finditer(data, begin):
        block = data[at : mark.start()]
        lines = data[max(at, begin) : mark.start()].decode(errors="replace").splitlines()
        crc = zlib.crc32(block, crc)
        if crc != int(mark[2], 16) or len(lines) != int(mark[1]):
            line = data.count(b"\n", 0, at) + 1
            raise RecordingError(
                f"{path} is damaged in the block of {int(mark[1])} rows from line {line} on"
            )
        rows += [line.split(",") for line in lines]
        at = end = mark.end()
    width = len(header.channels) + 2
    try:
        numbers = np.array([row[: width - 1] for row in rows], np.int64).reshape(-1, width - 1)
        if any(len(row) != width for row in rows) or np.any(
            numbers[:, 1:] != numbers[:, 1:].astype(np.int16)
        ):
            raise ValueError
    except ValueError:
        raise RecordingError(
            f"{path} has a row that is not t_us, {len(header.channels)} counts of 16 bits, label"
        ) from None
    return Recording(
        header,
        t_us=numbers[:, 0],
        samples=numbers[:, 1:].astype(np.int16),
        labels=tuple(row[-1] for row in rows),
        cut_bytes=len(data) - end,
    )


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
            try:
                return Header(
                    tuple(channels),
                    float(found["rate_hz"]) if "rate_hz" in found else None,
                    tuple(found["units"].split(",")) if "units" in found else (),
                    tuple(float(v) for v in found.get("units_per_count", "").split(",") if v),
                    found.get("source", ""),
                    found.get("started", ""),
                ), at
            except ValueError:
                break
    raise RecordingError(f"{path} is not a recording of madem")
