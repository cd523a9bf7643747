"""What happens to a board's sensors: a signal that is played at its true rate, again and again.

`wire` puts a sensor and the signal behind a bus; docs/guide/sensors.md is the wiring. The host
reads a user's file, whatever its format, and hands the signal to the board's process with `write`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

from madem_emulator.chips.lsm6ds3 import Lsm6ds3
from madem_emulator.chips.mpu6050 import COUNTS_PER_DPS, COUNTS_PER_G, Mpu6050
from madem_emulator.wiring.bus import Bus

LABEL_PINS = (10, 11, 12, 13)
"""Show the label: the number of its class in binary, lowest bit first, a bit that is set pulls its
pin low; 0 is no label. Classes are numbered from 1 in alphabetical order."""
ADC_PINS = (26, 27, 28, 29)
LEVEL_PINS = (2, 3, 6, 7)
MPU6050_BUS, MPU6050_ADDRESS = 0, 0x68
LSM6DS3_BUS, LSM6DS3_SELECT = 0, 9
_UNITS = {
    "g": 1.0,
    "mg": 0.001,
    **dict.fromkeys(("m/s2", "m/s^2", "m/s²"), 1 / 9.80665),
    **dict.fromkeys(("deg/s", "°/s", "dps"), 1.0),
    "rad/s": 57.29577951308232,
}
"""What a unit of a file is in g or in °/s."""


@dataclass(frozen=True)
class Signal:
    """Samples at a rate, then the first one again.

    Attributes:
        rate_hz: samples a second.
        counts: of each sample, a value for each channel.
        scales: a count of each channel in its unit; empty if the unit is not known.
        units: of each channel, such as "g"; empty if not known.
        labels: of each sample, "" for none.
    """

    rate_hz: float
    counts: tuple[tuple[int, ...], ...] = field(repr=False)
    scales: tuple[float, ...] = ()
    units: tuple[str, ...] = ()
    labels: tuple[str, ...] = field(default=(), repr=False)

    @property
    def classes(self) -> tuple[str, ...]:
        """All labels, in alphabetical order."""
        return tuple(sorted(set(self.labels) - {""}))

    def index(self, time: float) -> int:
        """Number of the sample that is there at a time.

        Args:
            time: since the signal began, s.

        Returns:
            An index into `counts`.
        """
        return int(time * self.rate_hz) % len(self.counts)


def read(path: Path) -> Signal:
    """Read a signal that `write` wrote.

    Args:
        path: of the file.

    Returns:
        The signal.

    Raises:
        ValueError: it is none.
        OSError: it can't be opened.
    """
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        return Signal(
            float(found["rate_hz"]),
            tuple(tuple(map(int, row)) for row in found["counts"]),
            tuple(map(float, found["scales"])),
            tuple(map(str, found["units"])),
            tuple(map(str, found["labels"])),
        )
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{path} is no signal of a sensor: {error!r}") from None


def write(signal: Signal, path: Path) -> None:
    """Write a signal, as JSON, for the process of an emulated board to read.

    Args:
        signal: what to write.
        path: of the file, which is replaced.

    Raises:
        OSError: it can't be written.
    """
    path.write_text(json.dumps(asdict(signal)), encoding="utf-8")


def wire(kind: str, signal: Signal, bus: Bus) -> None:
    """Put a sensor that plays a signal, and its labels, behind a bus.

    Args:
        kind: a key of `KINDS`.
        signal: what the sensor measures.
        bus: gets them.

    Raises:
        ValueError: no such sensor, or the signal has more channels than it.
    """
    if kind not in KINDS:
        raise ValueError(f"there is no sensor {kind!r}: use {', '.join(KINDS)}")
    most, attach = KINDS[kind]
    if len(signal.counts[0]) > most:
        raise ValueError(
            f"the recording has {len(signal.counts[0])} channels, {kind} at most {most}"
        )
    attach(signal, bus)
    numbers = {label: k for k, label in enumerate(signal.classes, 1)}
    for bit, pin in enumerate(LABEL_PINS):
        bus.drive(pin, lambda bit=bit: not _label(signal, bus, numbers) >> bit & 1)


def _label(signal: Signal, bus: Bus, numbers: dict[str, int]) -> int:
    return numbers.get(signal.labels[signal.index(bus.now())], 0)


def _attach_mpu6050(signal: Signal, bus: Bus) -> None:
    bus.attach_i2c(MPU6050_BUS, MPU6050_ADDRESS, Mpu6050(bus.now, motion(signal)))


def _attach_lsm6ds3(signal: Signal, bus: Bus) -> None:
    bus.attach_spi(LSM6DS3_BUS, Lsm6ds3(bus.now, motion(signal)), LSM6DS3_SELECT)


def motion(signal: Signal) -> Callable[[float], Sequence[float]]:
    """The acceleration in g and rotation in °/s that a recording stands for.

    Counts without a unit are an MPU6050's at its most sensitive ranges; missing channels are 0.

    Args:
        signal: acceleration along x, y and z, then rotation about them.

    Returns:
        Gives these six values for a time in s.
    """
    factors = []
    for k in range(6):
        own = 1 / (COUNTS_PER_G if k < 3 else COUNTS_PER_DPS)
        known = k < len(signal.units) and signal.units[k] in _UNITS and k < len(signal.scales)
        factors.append(_UNITS[signal.units[k]] * signal.scales[k] if known else own)

    def at(time: float) -> list[float]:
        counts = signal.counts[signal.index(time)]
        values = [count * factor for count, factor in zip(counts, factors, strict=False)]
        return values + [0.0] * (6 - len(values))

    return at


def _attach_adc(signal: Signal, bus: Bus) -> None:
    """Have counts from −32768 to 32767 be voltages from 0 V to the reference."""
    for channel, pin in zip(range(len(signal.counts[0])), ADC_PINS, strict=False):

        def fraction(channel: int = channel) -> float:
            return (signal.counts[signal.index(bus.now())][channel] + 32768) / 65535

        bus.attach_adc(pin, fraction)


def _attach_pins(signal: Signal, bus: Bus) -> None:
    """Have a pin be high while its channel is above 0."""
    for channel, pin in zip(range(len(signal.counts[0])), LEVEL_PINS, strict=False):

        def level(channel: int = channel) -> bool:
            return signal.counts[signal.index(bus.now())][channel] > 0

        bus.drive(pin, level)


KINDS: dict[str, tuple[int, Callable[[Signal, Bus], None]]] = {
    "mpu6050": (6, _attach_mpu6050),
    "lsm6ds3": (6, _attach_lsm6ds3),
    "adc": (len(ADC_PINS), _attach_adc),
    "pin": (len(LEVEL_PINS), _attach_pins),
}
