"""Sensors that a board has itself, named in one line: `mpu6050:rate=100,labels=10+11`.

docs/guide/sensors.md lists them. The firmware has a file for each, `source_NAME.py`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from madem.boards.link_protocol import SOURCE_HEAD
from madem.errors import MademError

SPECS = "mpu6050, lsm6ds3, adc:pins=26 or pin:pins=2, with rate=HZ and other options behind commas"
_AXES = ("acc x", "acc y", "acc z", "gyro x", "gyro y", "gyro z")
_LSM6DS3_PINS = {"bus": 0, "sck": 18, "mosi": 19, "miso": 16, "cs": 9}
_MOST_PINS = 7
_MOST_CHANNELS = 16


class SensorError(MademError):
    """A sensor that can't be meant."""


@dataclass(frozen=True)
class Sensor:
    """One source of docs/guide/sensors.md.

    Attributes:
        spec: as it was named.
        name: of the firmware's module.
        rate_hz: samples a second that are asked for.
        channels: names.
        options: what the firmware's module takes.
        label_pins: pins that show the label.
        units, units_per_count: of each channel; empty where a count is just a count.
        bus_s: seconds that a sample takes on its way to the board.
    """

    spec: str
    name: str
    rate_hz: float
    channels: tuple[str, ...]
    options: bytes
    label_pins: tuple[int, ...] = ()
    units: tuple[str, ...] = ()
    units_per_count: tuple[float, ...] = ()
    bus_s: float = 0.0

    def packed(self) -> bytes:
        """Pack the payload of SOURCE in docs/reference/link.md."""
        name = self.name.encode()
        head = SOURCE_HEAD.pack(round(self.rate_hz * 1000), len(self.label_pins))
        return head + bytes([*self.label_pins, len(name)]) + name + self.options


def name_of(packed: bytes) -> str:
    """Read a sensor's name.

    Args:
        packed: payload of SOURCE.

    Returns:
        Its name; "" where there is none.
    """
    at = SOURCE_HEAD.size + (packed[SOURCE_HEAD.size - 1] if len(packed) > SOURCE_HEAD.size else 0)
    return packed[at + 1 :][: packed[at]].decode("utf-8", "replace") if at < len(packed) else ""


def parse(spec: str) -> Sensor:
    """Read the line that names a sensor.

    Args:
        spec: such as `mpu6050:rate=100,labels=10+11`.

    Returns:
        The sensor.

    Raises:
        SensorError: no such sensor or option, or a value out of range.
    """
    name, _, rest = spec.strip().partition(":")
    if name not in _MAKERS:
        raise SensorError(f"there is no sensor {name!r}: use {SPECS}")
    words: dict[str, str] = {}
    for word in filter(None, rest.split(",")):
        key, equals, value = word.partition("=")
        if key in words or not equals or not value:
            raise SensorError(f"sensor {spec!r}: {word!r} is not one OPTION=VALUE")
        words[key] = value
    options = _Options(spec, words)
    rate = options.rate()
    labels = options.pins("labels", ())
    sensor = _MAKERS[name](options, rate, labels)
    if options.words:
        known = ", ".join(_KNOWN[name])
        raise SensorError(
            f"sensor {spec!r}: {name} has no option {next(iter(options.words))!r}, only {known}"
        )
    return sensor


class _Options:
    """Options that are left to be used."""

    def __init__(self, spec: str, words: dict[str, str]) -> None:
        self.spec, self.words = spec, words

    def rate(self) -> float:
        text = self.words.pop("rate", "100")
        try:
            rate = float(text)
        except ValueError:
            rate = 0.0
        if not 0.1 <= rate <= 10000:
            raise self.wrong("rate", text, "0.1 to 10000 Hz")
        return rate

    def number(self, key: str, default: int, low: int, high: int) -> int:
        text = self.words.pop(key, str(default))
        try:
            value = int(text, 0)
        except ValueError:
            value = low - 1
        if not low <= value <= high:
            raise self.wrong(key, text, f"{low} to {high}")
        return value

    def choice(self, key: str, choices: tuple[int, ...]) -> int:
        """Which one it is."""
        text = self.words.pop(key, str(choices[0]))
        if text not in map(str, choices):
            raise self.wrong(key, text, ", ".join(map(str, choices)))
        return list(map(str, choices)).index(text)

    def pins(self, key: str, default: tuple[int, ...]) -> tuple[int, ...]:
        text = self.words.pop(key, "+".join(map(str, default)))
        parts = text.split("+") if text else []
        most = _MOST_PINS if key == "labels" else _MOST_CHANNELS
        if not all(part.isdecimal() and int(part) < 256 for part in parts) or len(parts) > most:
            raise self.wrong(key, text, f"up to {most} pin numbers with + between them")
        return tuple(map(int, parts))

    def wrong(self, key: str, text: str, meant: str) -> SensorError:
        return SensorError(f"sensor {self.spec!r}: {key} is {text}, but must be {meant}")


def _mpu6050(options: _Options, rate: float, labels: tuple[int, ...]) -> Sensor:
    accel = options.choice("accel", (2, 4, 8, 16))
    gyro = options.choice("gyro", (250, 500, 1000, 2000))
    packed = bytes([
        options.number("bus", 0, 0, 255),
        options.number("scl", 5, 0, 255),
        options.number("sda", 4, 0, 255),
        options.number("address", 0x68, 8, 0x77),
        accel,
        gyro,
    ])  # fmt: skip
    # Sensitivities of RM-MPU-6000A-00, registers 59 to 72.
    scales = (2**accel / 16384,) * 3 + (2**gyro / 131,) * 3
    units = ("g",) * 3 + ("deg/s",) * 3
    # At 400 kHz, nine bits a byte: the FIFO's count and a sample, each behind two addresses and
    # a register.
    bus_s = (5 + 15) * 9 / 400e3
    return Sensor(options.spec, "mpu6050", rate, _AXES, packed, labels, units, scales, bus_s)


def _lsm6ds3(options: _Options, rate: float, labels: tuple[int, ...]) -> Sensor:
    accel = options.choice("accel", (2, 4, 8, 16))
    gyro = options.choice("gyro", (245, 500, 1000, 2000))
    pins = [options.number(name, default, 0, 255) for name, default in _LSM6DS3_PINS.items()]
    # FS_XL, and the sensitivities of DocID026899, Table 3.
    packed = bytes([*pins, (0, 2, 3, 1)[accel], gyro])
    scales = (0.061e-3 * 2**accel,) * 3 + (8.75e-3 * 2**gyro,) * 3
    units = ("g",) * 3 + ("deg/s",) * 3
    # At 4 MHz: the FIFO's status and a sample, each behind an address.
    bus_s = (3 + 13) * 8 / 4e6
    return Sensor(options.spec, "lsm6ds3", rate, _AXES, packed, labels, units, scales, bus_s)


def _adc(options: _Options, rate: float, labels: tuple[int, ...]) -> Sensor:
    pins = options.pins("pins", (26,))
    names = tuple(f"pin {pin}" for pin in pins)
    return Sensor(options.spec, "adc", rate, names, bytes(pins), labels)


def _pin(options: _Options, rate: float, labels: tuple[int, ...]) -> Sensor:
    pins = options.pins("pins", (2,))
    rises = options.choice("rises", (0, 1))
    names = tuple(f"pin {pin}" for pin in pins)
    return Sensor(options.spec, "pin", rate, names, bytes([rises, *pins]), labels)


_MAKERS: dict[str, Callable[[_Options, float, tuple[int, ...]], Sensor]] = {
    "mpu6050": _mpu6050,
    "lsm6ds3": _lsm6ds3,
    "adc": _adc,
    "pin": _pin,
}
_KNOWN = {
    "mpu6050": ("rate", "labels", "accel", "gyro", "bus", "scl", "sda", "address"),
    "lsm6ds3": ("rate", "labels", "accel", "gyro", *_LSM6DS3_PINS),
    "adc": ("rate", "labels", "pins"),
    "pin": ("rate", "labels", "pins", "rises"),
}
NAMES = tuple(_MAKERS)
"""What the line begins with."""
