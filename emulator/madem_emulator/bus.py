"""SPI, I2C and pins between real MicroPython and chip models.

`Bus` is the wiring: which chip hangs on which bus, at which address or chip select. An emulated
RP2040 drives it by its own peripherals (rp2040_wires.py). For the Unix boards `connect` carries out
what their `machine` module (emulator/prepare/unix_bus/machine.py) sends over a socket: operation
u8, unit u8, length u16, data, all little-endian.

| operation | unit | data | answer |
|---|---|---|---|
| 1 write a pin | pin | level u8 | none |
| 2 read a pin | pin | | level u8 |
| 3 set up SPI | bus | clock in Hz u32, mode u8 | none |
| 4 SPI write | bus | bytes | none |
| 5 SPI transfer | bus | bytes | as many bytes |
| 6 set up I2C | bus | clock in Hz u32 | none |
| 7 I2C write | bus | address u8, stop u8, bytes | status u8, bytes acknowledged u16 |
| 8 I2C read | bus | address u8, stop u8, n u16 | status u8, 0 u16; then n bytes if it is 0 |
| 9 read the ADC | pin | | u16 |

Status 0 is success, 1 no acknowledge (ENODEV), 2 the bus is stuck (ETIMEDOUT).
"""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
import time
from collections.abc import Callable
from typing import Protocol

_HEAD = struct.Struct("<BBH")
_CHUNK = 65536
HIGH = 1
OK, NO_ANSWER, STUCK = range(3)
"""What became of an I2C address: see the table."""


class SpiChip(Protocol):
    """A chip on SPI, bytes with the highest bit first; a transfer may come in pieces."""

    def select(self, selected: bool) -> None:
        """Its chip select fell (True) or rose."""
        ...

    def transfer(self, data: bytes, clock: float) -> bytes | None:
        """Clocked bytes, at `clock` Hz; what it drives onto MISO, or None when it doesn't."""
        ...


class I2cChip(Protocol):
    """A chip on I2C."""

    def start(self) -> None:
        """Its address was sent: what comes next is the first after it."""
        ...

    def write(self, data: bytes) -> int:
        """All bytes after its address; returns how many of them it acknowledges."""
        ...

    def read(self, n: int) -> bytes:
        """The next n bytes that it sends; a transfer may come in pieces."""
        ...

    def general_call(self, data: bytes) -> int:
        """As `write`, to address 0."""
        ...


class _Spi:
    def __init__(self) -> None:
        self.clock = 1e6
        self.chips: list[tuple[SpiChip, int | None]] = []


class _I2c:
    def __init__(self) -> None:
        self.clock = 4e5
        self.chips: dict[int, I2cChip] = {}
        self.stuck = False


class Bus:
    """What is wired to a board.

    Attributes:
        clock: the board's time in seconds; by default the desktop's.
        transfers: SPI transfers and, where the board sends them whole, I2C transactions so far.
        seconds: that they take on wires of the clocks that were set up, pauses left out.
    """

    def __init__(self) -> None:
        self.transfers = 0
        self.seconds = 0.0
        began = time.monotonic()
        self.clock: Callable[[], float] = lambda: time.monotonic() - began
        self._reached = 0.0  # when the last transfer ended
        self._levels: dict[int, int] = {}
        self._watchers: dict[int, list[Callable[[bool], None]]] = {}
        self._inputs: dict[int, Callable[[], bool]] = {}
        self._voltages: dict[int, Callable[[], float]] = {}
        self._spi: dict[int, _Spi] = {}
        self._i2c: dict[int, _I2c] = {}

    # Wiring

    def attach_spi(self, unit: int, chip: SpiChip, select: int | None) -> None:
        """Wire a chip to an SPI bus.

        Args:
            unit: number of the bus.
            chip: the model.
            select: pin of its chip select, active low; None: it sees every clock.
        """
        self._spi.setdefault(unit, _Spi()).chips.append((chip, select))
        if select is not None:
            self.watch(select, lambda level: chip.select(not level))

    def attach_i2c(self, unit: int, address: int, chip: I2cChip) -> None:
        """Wire a chip to an I2C bus at a 7-bit address."""
        chips = self._i2c.setdefault(unit, _I2c()).chips
        if address in chips:
            raise ValueError(f"address 0x{address:02x} of I2C {unit} is taken")
        chips[address] = chip

    def watch(self, pin: int, changed: Callable[[bool], None]) -> None:
        """Call `changed` with the new level whenever the board changes a pin."""
        self._watchers.setdefault(pin, []).append(changed)

    def drive(self, pin: int, level: Callable[[], bool]) -> None:
        """Let a chip say the level of a pin that the board reads."""
        self._inputs[pin] = level

    def attach_adc(self, pin: int, fraction: Callable[[], float]) -> None:
        """What the board's own ADC reads at a pin, as a fraction of its full scale."""
        self._voltages[pin] = fraction

    # Faults

    def remove_i2c(self, unit: int, address: int) -> None:
        """Take a chip off an I2C bus."""
        del self._i2c[unit].chips[address]

    def remove_spi(self, unit: int, chip: SpiChip) -> None:
        """Take a chip off an SPI bus."""
        bus = self._spi[unit]
        bus.chips = [(other, select) for other, select in bus.chips if other is not chip]

    def replace_spi(self, unit: int, chip: SpiChip, other: SpiChip) -> None:
        """Put something else on a chip's data lines; its chip select stays wired to it."""
        bus = self._spi[unit]
        bus.chips = [(other if each is chip else each, select) for each, select in bus.chips]

    def hold_i2c(self, unit: int, stuck: bool = True) -> None:
        """Hold an I2C bus low, as a hung chip does, or let it go."""
        self._i2c.setdefault(unit, _I2c()).stuck = stuck

    # Time

    def now(self) -> float:
        """Seconds of `clock`; every transfer passes the time it takes on wires."""
        return max(self.clock(), self._reached)

    def _take(self, seconds: float) -> None:
        self.transfers += 1
        self.seconds += seconds
        self._reached = self.now() + seconds

    # What the board does

    def level(self, pin: int) -> int:
        """Of a pin; one that nobody drives is pulled up."""
        if pin in self._inputs:
            return int(self._inputs[pin]())
        return self._levels.get(pin, HIGH)

    def set_level(self, pin: int, level: int) -> None:
        """The board drives a pin."""
        if self._levels.get(pin, HIGH) != level:
            self._levels[pin] = level
            for changed in self._watchers.get(pin, ()):
                changed(bool(level))

    @property
    def watched(self) -> tuple[int, ...]:
        """Pins whose level chips look at."""
        return tuple(self._watchers)

    @property
    def driven(self) -> tuple[int, ...]:
        """Pins whose level chips say."""
        return tuple(self._inputs)

    def set_up_spi(self, unit: int, clock: float) -> None:
        """An SPI bus gets its clock, in Hz."""
        self._spi.setdefault(unit, _Spi()).clock = clock

    def set_up_i2c(self, unit: int, clock: float) -> None:
        """An I2C bus gets its clock, in Hz."""
        self._i2c.setdefault(unit, _I2c()).clock = clock

    def adc(self, pin: int) -> float:
        """What the board's own ADC sees at a pin, 0 to 1."""
        read = self._voltages.get(pin)
        return min(max(read(), 0.0), 1.0) if read else 0.0

    def spi(self, unit: int, data: bytes) -> bytes:
        """One SPI transfer; MISO reads 1 where no chip drives it."""
        bus = self._spi.setdefault(unit, _Spi())
        self._take(8 * len(data) / bus.clock)
        said = b""
        for chip, select in bus.chips:
            if select is None or not self._levels.get(select, HIGH):
                driven = chip.transfer(data, bus.clock)
                if driven is not None:
                    # Two at once fight for the line; the stronger low side wins.
                    said = _wired_and(said, driven) if said else driven
        return said or b"\xff" * len(data)

    def i2c_finds(self, unit: int, address: int) -> int:
        """The status of an address on the wires: whether a chip acknowledges it."""
        bus = self._i2c.setdefault(unit, _I2c())
        if bus.stuck:
            return STUCK
        return OK if address in bus.chips or (address == 0 and bus.chips) else NO_ANSWER

    def i2c_give(self, unit: int, address: int, data: bytes) -> tuple[int, int]:
        """Status, and the number of data bytes that were acknowledged."""
        if status := self.i2c_finds(unit, address):
            return status, 0
        chips = self._i2c[unit].chips
        if address == 0:
            return OK, max(chip.general_call(data) for chip in chips.values())
        chips[address].start()
        return OK, chips[address].write(data)

    def i2c_take(self, unit: int, address: int, n: int, first: bool = True) -> tuple[int, bytes]:
        """Status, and n bytes of a chip: the first after its address, or the next ones."""
        status = self.i2c_finds(unit, address)
        chip = self._i2c[unit].chips.get(address)
        if status or chip is None:
            return status or NO_ANSWER, b""
        if first:
            chip.start()
        return OK, chip.read(n)

    def i2c_write(self, unit: int, address: int, data: bytes) -> tuple[int, int]:
        """As `i2c_give`, and the time that it takes passes."""
        self._count_i2c(unit, len(data))
        return self.i2c_give(unit, address, data)

    def i2c_read(self, unit: int, address: int, n: int) -> tuple[int, bytes]:
        """As `i2c_take`, and the time that it takes passes."""
        self._count_i2c(unit, n)
        return self.i2c_take(unit, address, n)

    def _count_i2c(self, unit: int, n: int) -> None:
        bus = self._i2c.setdefault(unit, _I2c())
        self._take((9 * (n + 1) + 2) / bus.clock)  # start, address and bytes with ACK, stop

    # The board's side

    def connect(self) -> socket.socket:
        """A socket for one run of the interpreter; this end is served until it closes."""
        here, there = socket.socketpair()
        threading.Thread(target=self._serve, args=(here,), daemon=True).start()
        return there

    def _serve(self, line: socket.socket) -> None:
        pending = bytearray()
        with line, contextlib.suppress(ConnectionError):
            while data := line.recv(_CHUNK):
                pending += data
                at = 0
                while len(pending) - at >= _HEAD.size:
                    operation, unit, size = _HEAD.unpack_from(pending, at)
                    end = at + _HEAD.size + size
                    if len(pending) < end:
                        break
                    answer = self._carry_out(operation, unit, bytes(pending[at + 4 : end]))
                    if answer:
                        line.sendall(answer)
                    at = end
                del pending[:at]

    def _carry_out(self, operation: int, unit: int, data: bytes) -> bytes:
        if operation == 1:
            self.set_level(unit, data[0])
        elif operation == 2:
            return bytes([self.level(unit)])
        elif operation == 3:
            self.set_up_spi(unit, float(struct.unpack_from("<I", data)[0]))
        elif operation == 4:
            self.spi(unit, data)
        elif operation == 5:
            return self.spi(unit, data)
        elif operation == 6:
            self.set_up_i2c(unit, float(struct.unpack("<I", data)[0]))
        elif operation == 7:
            return struct.pack("<BH", *self.i2c_write(unit, data[0], data[2:]))
        elif operation == 8:
            address, _, n = struct.unpack("<BBH", data)
            status, said = self.i2c_read(unit, address, n)
            return bytes([status, 0, 0]) + said
        elif operation == 9:
            return struct.pack("<H", round(65535 * self.adc(unit)))
        return b""


def _wired_and(a: bytes, b: bytes) -> bytes:
    return bytes(x & y for x, y in zip(a, b, strict=True))
