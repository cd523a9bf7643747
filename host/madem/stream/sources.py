"""Sources of samples on the host: recordings, CSV, NPZ and WAV files, a serial line, the
standard input. All give the same: counts of 16 bits at a rate, one sample after the other."""

from __future__ import annotations

import re
import signal
import time
import wave
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, NamedTuple

import numpy as np
import serial

from madem.boards.repl import open_port
from madem.data import motions
from madem.data.files import recording
from madem.errors import MademError

SPECS = (
    "a recording, a .csv, .npz or .wav file, serial:PORT, serial:PORT:BAUD, - (stdin), or motions"
    " (its training recordings, one after the other)"
)


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
        skipped: lines so far that were no samples.
    """

    name: str
    channels: tuple[str, ...]
    rate_hz: float | None
    live: bool = False
    units: tuple[str, ...] = ()
    units_per_count: tuple[float, ...] = ()
    skipped: int = 0
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
        """For a recording of this source that begins now."""
        return recording.Header(
            self.channels,
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
    scale: float | None = None,
    stdin: Iterable[str] | None = None,
) -> Source:
    """Open a source.

    Args:
        spec: one of `SPECS`.
        rate_hz: of a source that does not say its own.
        scale: units per count, for sources whose values are no counts yet.
        stdin: lines for the source `-`.

    Raises:
        SourceError: it can't be opened, or its first line is no sample.
    """
    if rate_hz is not None and not 0 < rate_hz <= 1e6:
        raise SourceError(f"the rate is {rate_hz:g} Hz, but must be above 0 and at most 1000000")
    if scale is not None and not scale > 0:
        raise SourceError(f"the scale is {scale:g}, but must be above 0")
    if spec == "-":
        return _lines("stdin", stdin or (), rate_hz, scale, live=True)
    if spec.startswith("serial:"):
        return _serial(spec, rate_hz, scale)
    if spec == "motions":
        return _motions(rate_hz)
    path = Path(spec)
    if not path.is_file():
        raise SourceError(f"no such file: {spec}; a source is {SPECS}")
    if recording.is_recording(path):
        return _recording(path)
    kinds: dict[str, Callable[[Path, float | None, float | None], Source]] = {
        ".csv": _csv,
        ".npz": _npz,
        ".wav": _wav,
    }
    if path.suffix.lower() not in kinds:
        raise SourceError(f"{spec} is no source: it can be {SPECS}")
    return kinds[path.suffix.lower()](path, rate_hz, scale)


def at_true_rate(source: Source) -> Iterator[Sample]:
    """The samples of a source that is not live, each when its time has come."""
    began = time.monotonic()
    for sample in source:
        wait = began + sample.t_us / 1e6 - time.monotonic()
        if wait > 0:
            time.sleep(wait)
        yield sample


def until_interrupted(samples: Iterable[Sample]) -> Iterator[Sample]:
    """The samples up to a Ctrl-C, the usual end of a live stream; in the main thread only.

    The Ctrl-C takes effect while the next sample is waited for. What is done with a sample is
    finished first, unless a second one comes.
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


def _recording(path: Path) -> Source:
    found = recording.read(path)
    head = found.header
    rows = zip(found.t_us.tolist(), found.samples.tolist(), found.labels, strict=True)
    return Source(
        str(path),
        head.channels,
        head.rate_hz,
        units=head.units,
        units_per_count=head.units_per_count,
        _samples=(Sample(t, tuple(values), label) for t, values, label in rows),
    )


def _motions(rate_hz: float | None) -> Source:
    """At 10 Hz, or as fast as is asked for: what the board is then shown is sped up."""
    task = motions.load(seed=1)
    segments = task.segments[: task.training]
    x = np.concatenate([segment.samples for segment in segments])
    labels = [task.class_names[s.label] for s in segments for _ in s.samples]
    return _array(
        "motions", x, task.channel_names, rate_hz or motions.RATE_HZ, None, labels,
        tuple(task.scale.tolist()),
    )  # fmt: skip


def _csv(path: Path, rate_hz: float | None, scale: float | None) -> Source:
    try:
        file = path.open(encoding="utf-8-sig")
    except OSError as error:
        raise SourceError(f"can't read {path}: {error.strerror}") from None
    return _lines(str(path), file, rate_hz or 100.0, scale, live=False, holder=file)


def _npz(path: Path, rate_hz: float | None, scale: float | None) -> Source:
    """An array X (samples, channels); optionally y (labels), rate_hz and channels (names)."""
    try:
        with np.load(path, allow_pickle=False) as archive:
            x = archive["X"]
            labels = archive["y"].astype(str).tolist() if "y" in archive else [""] * len(x)
            rate = float(archive["rate_hz"]) if "rate_hz" in archive else None
            names = tuple(archive["channels"].astype(str)) if "channels" in archive else ()
    except (OSError, ValueError, KeyError, TypeError):
        raise SourceError(f"{path} holds no array X of samples") from None
    x = x.reshape(len(x), -1)
    names = names or _numbered(x.shape[1])
    if x.dtype.kind not in "iuf" or len(names) != x.shape[1] or len(labels) != len(x):
        raise SourceError(f"{path}: X must be numbers, samples by channels, with a label for each")
    return _array(path, x, names, rate_hz or rate or 100.0, scale, labels)


def _wav(path: Path, _rate_hz: float | None, scale: float | None) -> Source:
    try:
        with wave.open(str(path), "rb") as file:
            width, channels, rate = file.getsampwidth(), file.getnchannels(), file.getframerate()
            data = file.readframes(file.getnframes())
    except (OSError, EOFError, wave.Error) as error:
        raise SourceError(f"{path} is not a WAV file that can be read: {error}") from None
    frames = np.frombuffer(data[: len(data) // (width * channels) * width * channels], np.uint8)
    # The most significant 16 bits; samples of one byte are unsigned.
    if width == 1:
        x = (frames.astype(np.int64) - 128) << 8
    else:
        x = frames.reshape(-1, width)[:, -2:].copy().view("<i2").astype(np.int64)
    x = x.reshape(-1, channels)
    return _array(path, x, _numbered(channels), float(rate), scale, [""] * len(x))


def _array(
    name: Path | str,
    x: np.ndarray,
    names: tuple[str, ...],
    rate_hz: float,
    scale: float | None,
    labels: list[str],
    per_count: tuple[float, ...] = (),
) -> Source:
    def samples() -> Iterator[Sample]:
        for k, (row, label) in enumerate(zip(x.tolist(), labels, strict=True)):
            values = _as_counts(row, scale, f"{name}, sample {k}")
            yield Sample(round(k * 1e6 / rate_hz), values, label)

    if scale is not None:
        per_count = (scale,) * len(names)
    return Source(str(name), names, rate_hz, units_per_count=per_count, _samples=samples())


# --- lines of numbers -----------------------------------------------------------------------------


def _lines(
    name: str,
    lines: Iterable[str],
    rate_hz: float | None,
    scale: float | None,
    *,
    live: bool,
    holder: AbstractContextManager[Any] | None = None,
) -> Source:
    """A source of lines: numbers apart by commas, semicolons or blanks, perhaps a label behind.

    A first line of names gives the channels theirs. Comments and other lines are skipped.
    """
    rest = iter(lines)
    names: list[str] = []
    source = Source(name, (), rate_hz, live, _holder=holder or nullcontext())
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
    source.units_per_count = (scale,) * width if scale is not None else ()
    first = (numbers, label)

    def samples() -> Iterator[Sample]:
        began = time.monotonic()
        for k, (values, mark) in enumerate(_rows(source, first, rest)):
            t = k / rate_hz if rate_hz else time.monotonic() - began
            counts = _as_counts(values, scale, f"{name}, sample {k}")
            yield Sample(round(t * 1e6), counts, mark)

    source._samples = samples()
    return source


def _rows(
    source: Source, first: tuple[list[float], str], rest: Iterator[str]
) -> Iterator[tuple[list[float], str]]:
    """The first row and those of the other lines that are as wide."""
    yield first
    for line in rest:
        numbers, label = _numbers(_cells(line))
        if len(numbers) == len(source.channels):
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
    try:
        number = float(cell)
    except ValueError:
        return None
    return number if abs(number) < 1e300 else None


def _as_counts(values: Iterable[float], scale: float | None, where: str) -> tuple[int, ...]:
    """Counts of 16 bits: scaled and saturated, or as they are."""
    if scale is not None:
        return tuple(max(-32768, min(32767, round(value / scale))) for value in values)
    counts = []
    for value in values:
        counts.append(int(value))
        if counts[-1] != value or not -32768 <= value <= 32767:
            raise SourceError(
                f"{where}: {value:g} is no count of 16 bits: say with --scale how much of the unit"
                " a count is worth"
            )
    return tuple(counts)


def _numbered(n: int) -> tuple[str, ...]:
    return tuple(f"channel {k}" for k in range(n))


# --- a serial line --------------------------------------------------------------------------------


def _serial(spec: str, rate_hz: float | None, scale: float | None) -> Source:
    """Lines of numbers from another device, such as a board that prints what it measures."""
    address = spec.removeprefix("serial:")
    head, _, tail = address.rpartition(":")
    baud = None
    if head and tail.isdecimal() and "://" not in address:
        address, baud = head, int(tail)
    port = open_port(address)
    if baud:
        port.baudrate = baud
    return _lines(spec, _serial_lines(port), rate_hz, scale, live=True, holder=port)


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
    """Lines as they come, not as a buffer fills."""
    return iter(file.readline, "")
