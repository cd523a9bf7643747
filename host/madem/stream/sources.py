"""Sources of samples on the host: files of any kind, a serial line, the standard input.

All give the same: counts of 16 bits at a rate, one sample after the other.
"""

from __future__ import annotations

import re
import signal
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, NamedTuple

import numpy as np
import serial
from numpy.typing import NDArray

from madem.boards.repl import open_port
from madem.data import motions
from madem.data.files import recording
from madem.data.files.counts import HIGHEST, LOWEST, as_counts, per_channel, saturated
from madem.data.files.judge import LARGEST, ReadOptions, Samples
from madem.data.files.read import KINDS, read
from madem.data.files.table import listed_names, number
from madem.data.match import Taught, column_order, matched
from madem.errors import MademError

SPECS = (
    f"{KINDS}; serial:PORT, serial:PORT:BAUD, - (stdin), or motions (its training recordings, one"
    " of each class in turn)"
)
_ASSUMED_HZ = 100.0
"""Rate of a file that does not say its own."""
_APART_US = 1_000_000
"""At least so much time is between recordings that are played one after the other."""


class SourceError(MademError):
    """A source that can't be opened, or gives what is no sample."""


class Sample(NamedTuple):
    """One sample.

    Attributes:
        t_us: time since the first one, in microseconds.
        values: a count for each channel.
        label: what it means, or "".
    """

    t_us: int
    values: tuple[int, ...]
    label: str


@dataclass
class Source:
    """Samples that come one after the other; close with `close`, or use as a context manager.

    Attributes:
        name: what it was opened as.
        channels: names.
        rate_hz: samples a second; None: not known, times are those of arrival.
        live: samples come when they come, not as fast as they are taken.
        units, units_per_count: see `recording.Header`.
        skipped: lines so far that were no samples; of a file, all rows in which values are missing.
        clipped: samples so far of which a channel was beyond 16 bits; of a file, all of them.
        notes: how a file was understood, a fact a line.
    """

    name: str
    channels: tuple[str, ...]
    rate_hz: float | None
    live: bool = False
    units: tuple[str, ...] = ()
    units_per_count: tuple[float, ...] = ()
    skipped: int = 0
    clipped: int = 0
    notes: tuple[str, ...] = ()
    _samples: Iterator[Sample] = field(default_factory=lambda: iter(()), repr=False)
    _holder: AbstractContextManager[Any] = field(default_factory=nullcontext, repr=False)

    def __iter__(self) -> Iterator[Sample]:
        return self._samples

    def __enter__(self) -> Source:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Release the file or port."""
        self._holder.__exit__(None, None, None)

    def header(self) -> recording.Header:
        """Make the header of a recording of this source that begins now."""
        return recording.Header(
            _recordable(self.channels),
            self.rate_hz,
            self.units,
            self.units_per_count,
            source=self.name.replace("\n", " "),
            started=recording.now(),
        )


def open_source(
    spec: str,
    *,
    rate_hz: float | None = None,
    scale: Sequence[float] | None = None,
    options: ReadOptions | None = None,
    stdin: Iterable[str] | None = None,
    taught: Taught | None = None,
) -> Source:
    """Open a source.

    Args:
        spec: one of `SPECS`.
        rate_hz: in place of the source's own, or where it does not say one.
        scale: units per count of each channel, or one for all; default: the file's own, none for
            whole numbers of 16 bits, else fitted to each channel of a file.
        options: of a file: what is not to be judged.
        stdin: lines for the source `-`.
        taught: of a network that is to work on the samples: channels are matched by their names,
            and counts are in its scale.

    Returns:
        The source, to be closed.

    Raises:
        SourceError: it can't be opened, or its first line is no sample.
    """
    if rate_hz is not None and not 0 < rate_hz <= 1e6:
        raise SourceError(f"the rate is {rate_hz:g} Hz, but must be above 0 and at most 1000000")
    if scale is not None and not min(scale, default=0.0) > 0:
        raise SourceError(f"the scale is {min(scale, default=0.0):g}, but must be above 0")
    if taught is not None:
        if scale is not None:
            raise SourceError("--scale can't be used with --load: the network has its scale")
        assert taught.scale is not None
    if spec == "-":
        return _lines("stdin", stdin or (), rate_hz, scale, taught=taught)
    if spec.startswith("serial:"):
        return _serial(spec, rate_hz, scale, taught)
    if spec == "motions":
        return _motions(rate_hz)
    if not Path(spec).exists():
        raise SourceError(f"no such file: {spec}; a source is {SPECS}")
    return _file(Path(spec), rate_hz, scale, options, taught)


def at_true_rate(source: Source) -> Iterator[Sample]:
    """Give the samples of a source that is not live, each when its time has come.

    Args:
        source: the source.

    Yields:
        Its samples.
    """
    began = time.monotonic()
    for sample in source:
        wait = began + sample.t_us / 1e6 - time.monotonic()
        if wait > 0:
            time.sleep(wait)
        yield sample


def until_interrupted(samples: Iterable[Sample]) -> Iterator[Sample]:
    """Give samples up to a Ctrl-C, the usual end of a live stream; in the main thread only.

    The Ctrl-C takes effect while the next sample is waited for. What is done with a sample is
    finished first, unless a second one comes.

    Args:
        samples: of a source.

    Yields:
        The samples.
    """
    waiting = asked = False

    def stop(_signal: int, _frame: object) -> None:
        nonlocal asked
        if waiting or asked:
            raise KeyboardInterrupt
        asked = True

    iterator = iter(samples)
    before = signal.signal(signal.SIGINT, stop)
    try:
        while not asked:
            waiting = True
            sample = next(iterator)
            waiting = False
            yield sample
    except (KeyboardInterrupt, StopIteration):
        return
    finally:
        signal.signal(signal.SIGINT, before)


# --- files ----------------------------------------------------------------------------------------


def _file(
    path: Path,
    rate_hz: float | None,
    scale: Sequence[float] | None,
    options: ReadOptions | None,
    taught: Taught | None,
) -> Source:
    if taught is None:
        found = read(path, options, learn=False, series=True)
    else:
        found = read(path, options, learn=False, series=True, known=taught.known)
        found = matched(found, taught, labelled=False)
        assert taught.scale is not None
        scale = taught.scale.tolist()
    judged = found.judgement
    counts = as_counts(found, scale)
    rate = rate_hz or judged.rate_hz
    notes = judged.lines()
    if rate is None:
        rate = _ASSUMED_HZ
        notes.append(f"rate: not known, {rate:g} Hz are assumed; say it with --rate")
    if counts.fitted and counts.scale is not None:
        fitted = [f"{c} {s:.3g}" for c, s in zip(found.feature_names, counts.scale, strict=True)]
        notes.append(f"units per count, fitted: {listed_names(fitted)}; --scale chooses others")
    clipped = int(np.count_nonzero(counts.clipped.any(axis=1)))
    if clipped:
        names = [found.feature_names[k] for k in np.flatnonzero(counts.clipped.any(axis=0))]
        notes.append(
            f"clipped: {clipped:,} of {len(found.x):,} samples are beyond 16 bits at this scale, in"
            f" {listed_names(names)}: choose a larger --scale, one for each channel if they differ"
        )
    present = ~found.missing
    labels = np.array([*found.class_names, ""], object)[found.y]
    t_us = _times(found, rate, own=rate_hz is None)
    return Source(
        str(path),
        found.feature_names,
        rate,
        units=found.units if any(found.units) else (),
        units_per_count=() if counts.scale is None else tuple(counts.scale.tolist()),
        skipped=judged.missing,
        clipped=clipped,
        notes=tuple(notes),
        _samples=_played(t_us[present], counts.values[present], labels[present]),
    )


def _times(found: Samples, rate_hz: float, own: bool) -> NDArray[np.int64]:
    """Time of each sample since the first one in microseconds, int64 (samples,).

    Args:
        found: samples of a file.
        rate_hz: at which they come.
        own: the file's own times are kept, if it has them.
    """
    if own and found.t_s is not None:
        t_us = found.t_s * 1e6
        breaks = np.diff(found.recording, prepend=0) != 0
    else:
        t_us = np.arange(len(found.x)) * 1e6 / rate_hz
        missing = found.missing  # these are gaps by being left out
        breaks = np.logical_and(~found.joins, ~missing)
        breaks[1:] &= ~missing[:-1]
    steps = np.zeros(len(t_us))
    begins = np.flatnonzero(breaks[1:]) + 1
    steps[begins] = max(_APART_US, 2e6 / rate_hz) - (t_us[begins] - t_us[begins - 1])
    return np.rint(t_us - t_us[0] + np.cumsum(steps)).astype(np.int64)


def _motions(rate_hz: float | None) -> Source:
    """At 10 Hz, or as fast as is asked for: what the board is then shown is sped up."""
    task = motions.load(seed=1)
    # One of each class in turn: a network that is taught class after class unlearns the first.
    by_class = [
        [s for s in task.segments[: task.training] if s.label == k]
        for k in range(len(task.class_names))
    ]
    segments = [segment for turn in zip(*by_class, strict=True) for segment in turn]
    rate = rate_hz or motions.RATE_HZ
    values = np.concatenate([segment.samples for segment in segments])
    labels = np.array([task.class_names[s.label] for s in segments for _ in s.samples], object)
    t_us = np.rint(np.arange(len(values)) * 1e6 / rate).astype(np.int64)
    return Source(
        "motions",
        task.channel_names,
        rate,
        units_per_count=tuple(task.scale.tolist()),
        _samples=_played(t_us, values, labels),
    )


def _played(
    t_us: NDArray[np.int64], values: NDArray[np.int16], labels: NDArray[np.object_]
) -> Iterator[Sample]:
    for t, row, label in zip(t_us.tolist(), values.tolist(), labels.tolist(), strict=True):
        yield Sample(t, tuple(row), label)


def _recordable(channels: Sequence[str]) -> tuple[str, ...]:
    """The names as a recording can have them: other marks in place of , # ", and all different."""
    names = [name.translate(str.maketrans(',#"', ";_'")) for name in channels]
    return tuple(
        name if names.index(name) == k else f"{name} ({k})" for k, name in enumerate(names)
    )


# --- lines of numbers -----------------------------------------------------------------------------


def _lines(
    name: str,
    lines: Iterable[str],
    rate_hz: float | None,
    scale: Sequence[float] | None,
    holder: AbstractContextManager[Any] | None = None,
    taught: Taught | None = None,
) -> Source:
    """A live source of lines: numbers apart by commas, semicolons or blanks, and perhaps a label.

    A first line of names gives the channels theirs. Comments and other lines are skipped.
    """
    rest = iter(lines)
    names: list[str] = []
    source = Source(name, (), rate_hz, live=True, _holder=holder or nullcontext())
    for line in rest:
        cells = _cells(line)
        numbers, label = _numbers(cells)
        if numbers:
            break
        if not names and len(cells) > 1:
            names = cells
        source.skipped += bool(cells)
    else:
        source.close()
        raise SourceError(f"{name} has no samples: a sample is a line of numbers")
    width = len(numbers)
    if len(names) == width + 1:  # the last column is the label's
        names = names[:-1]
    source.channels = tuple(names) if len(names) == width else _numbered(width)
    source.skipped -= len(names) == width
    order = None
    scales = None if scale is None else per_channel(scale, source.channels)
    if taught is not None:
        order = column_order(name, source.channels, len(names) == width, taught)
        scales = taught.scale
        source.channels = taught.names
    source.units_per_count = () if scales is None else tuple(scales.tolist())
    first = (numbers, label)

    def samples() -> Iterator[Sample]:
        began = time.monotonic()
        for k, (values, mark) in enumerate(_rows(source, first, rest, width)):
            if order is not None:
                values = [values[at] for at in order]
            t = k / rate_hz if rate_hz else time.monotonic() - began
            yield Sample(round(t * 1e6), _as_counts(values, scales, source, k), mark)

    source._samples = samples()
    return source


def _rows(
    source: Source, first: tuple[list[float], str], rest: Iterator[str], width: int
) -> Iterator[tuple[list[float], str]]:
    """The first row and those of the other lines that are as wide."""
    yield first
    for line in rest:
        numbers, label = _numbers(_cells(line))
        if len(numbers) == width:
            yield numbers, label
        elif line.strip() and not line.startswith("#"):
            source.skipped += 1


def _cells(line: str) -> list[str]:
    line = line.strip()
    if not line or line.startswith("#"):
        return []
    return [
        cell.strip() for cell in re.split(r"[,;\t]" if re.search(r"[,;\t]", line) else r"\s+", line)
    ]


def _numbers(cells: list[str]) -> tuple[list[float], str]:
    """Numbers and a label, which is text or nothing; no numbers if this is no sample."""
    label = ""
    if cells and _number(cells[-1]) is None:
        *cells, label = cells
    numbers = [_number(cell) for cell in cells]
    if any(number is None for number in numbers) or set(label) & set('#"'):
        return [], ""
    return [number for number in numbers if number is not None], label


def _number(cell: str) -> float | None:
    value = number(cell)
    return value if value is not None and abs(value) < LARGEST else None


def _as_counts(
    values: Sequence[float], scales: NDArray[np.float64] | None, source: Source, k: int
) -> tuple[int, ...]:
    """Counts of 16 bits: scaled and saturated, or as they are."""
    if scales is not None:
        exact = np.array(values) / scales
        counts = saturated(exact, 1.0)
        source.clipped += bool(np.any(np.abs(counts - exact) >= 1))
        return tuple(counts.tolist())
    for value in values:
        if value != int(value) or not LOWEST <= value <= HIGHEST:
            raise SourceError(
                f"{source.name}, sample {k}: {value:g} is no count of 16 bits: say with --scale how"
                " much of the unit a count is worth"
            )
    return tuple(map(int, values))


def _numbered(n: int) -> tuple[str, ...]:
    return tuple(f"channel {k}" for k in range(n))


# --- a serial line --------------------------------------------------------------------------------


def _serial(
    spec: str, rate_hz: float | None, scale: Sequence[float] | None, taught: Taught | None
) -> Source:
    """Lines of numbers from another device, such as a board that prints what it measures."""
    address = spec.removeprefix("serial:")
    head, _, tail = address.rpartition(":")
    baud = None
    if head and tail.isdecimal() and "://" not in address:
        address, baud = head, int(tail)
    port = open_port(address)
    if baud:
        port.baudrate = baud
    return _lines(spec, _serial_lines(port), rate_hz, scale, holder=port, taught=taught)


def _serial_lines(port: serial.Serial) -> Iterator[str]:
    """Whole lines until the device is unplugged; what was under way at the beginning is dropped."""
    port.timeout = 0.5
    waiting = b""
    whole = False
    while True:
        try:
            waiting += port.read(max(1, port.in_waiting))
        except (serial.SerialException, OSError):
            return
        *lines, waiting = waiting.split(b"\n")
        for line in lines:
            if whole:
                yield line.decode(errors="replace")
            whole = True


def stdin_lines(file: IO[str]) -> Iterator[str]:
    """Read lines as they come, not as a buffer fills.

    Args:
        file: such as the standard input.

    Returns:
        Its lines.
    """
    return iter(file.readline, "")
