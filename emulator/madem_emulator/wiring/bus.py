"""SPI, I2C and pins between real MicroPython and chip models.

`Bus` is the wiring: which chip hangs on which bus, at which address or chip select. An emulated
RP2040 drives it by its own peripherals (rp2040_wires.py). For the Unix boards `connect` carries out
what their `machine` module (emulator/prepare/unix_bus/machine.py) sends through a pipe: operation
u8, unit u8, length u16, data, all little-endian. Answers come through another one: a round trip
takes two thirds of what it takes over a socket.

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
import os
import struct
import threading
import time
from collections.abc import Callable
from typing import Protocol

_PIN_WRITE, _SPI_TRANSFER = 1, 5
_CHUNK = 8192
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
        clock: the board's time in seconds; by default since this was made.
        transfers: SPI transfers and, where the board sends them whole, I2C transactions so far.
        seconds: that they take on wires of the clocks that were set up, pauses left out.
    """

    def __init__(self) -> None:
        self.transfers = 0
        self.seconds = 0.0
        began = time.monotonic()  # a recording behind the bus begins with it
        self.clock: Callable[[], float] = lambda: time.monotonic() - began
        self._reached = 0.0  # when the last transfer ended
        self._levels: dict[int, int] = {}
        self._selects: dict[int, list[SpiChip]] = {}
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
            self._selects.setdefault(select, []).append(chip)
            self._watchers.setdefault(select, [])

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
        for chips in self._selects.values():
            if chip in chips:
                chips.remove(chip)

    def replace_spi(self, unit: int, chip: SpiChip, other: SpiChip) -> None:
        """Put something else on a chip's data lines; its chip select stays wired to it."""
        bus = self._spi[unit]
        bus.chips = [(other if each is chip else each, select) for each, select in bus.chips]

    def replace_all(
        self, spi: Callable[[SpiChip], SpiChip], i2c: Callable[[I2cChip], I2cChip]
    ) -> None:
        """As `replace_spi` for every chip, and the same for those on I2C."""
        for each in self._spi.values():
            each.chips = [(spi(chip), select) for chip, select in each.chips]
        for wires in self._i2c.values():
            wires.chips = {address: i2c(chip) for address, chip in wires.chips.items()}

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
        now, reached = self.clock(), self._reached
        self._reached = (now if now > reached else reached) + seconds

    # What the board does

    def level(self, pin: int) -> int:
        """Of a pin; one that nobody drives is pulled up."""
        if pin in self._inputs:
            return int(self._inputs[pin]())
        return self._levels.get(pin, HIGH)

    def set_level(self, pin: int, level: int) -> None:
        """The board drives a pin."""
        levels = self._levels
        if levels.get(pin, HIGH) != level:
            levels[pin] = level
            for chip in self._selects.get(pin, ()):
                chip.select(not level)
            for changed in self._watchers.get(pin, ()):
                changed(level == HIGH)

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
        bus = self._spi.get(unit) or self._spi.setdefault(unit, _Spi())
        clock, levels = bus.clock, self._levels
        self._take(8 * len(data) / clock)
        said = b""
        for chip, select in bus.chips:
            if select is None or not levels.get(select, HIGH):
                driven = chip.transfer(data, clock)
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

    def connect(self) -> tuple[int, int]:
        """Descriptors for one run of the interpreter: what it reads from, and what it writes to.

        They are the caller's, to be closed; it is served until the last copy of them is.
        """
        reads, answers = os.pipe()
        questions, writes = os.pipe()
        threading.Thread(target=self._serve, args=(questions, answers), daemon=True).start()
        return reads, writes

    def _serve(self, questions: int, answers: int) -> None:
        with open(questions, "rb", 0), open(answers, "wb", 0), contextlib.suppress(ConnectionError):
            read, write = os.read, os.write
            pending = b""
            while more := read(questions, _CHUNK):
                pending = pending + more if pending else more
                at, length = 0, len(pending)
                while length - at >= 4:
                    operation, unit, start = pending[at], pending[at + 1], at + 4
                    at = start + (pending[at + 2] | pending[at + 3] << 8)
                    if at > length:
                        at = start - 4
                        break
                    # The two that are most of all, without another call.
                    if operation == _PIN_WRITE:
                        self.set_level(unit, pending[start])
                    elif operation == _SPI_TRANSFER:
                        write(answers, self.spi(unit, pending[start:at]))
                    elif answer := self._carry_out(operation, unit, pending[start:at]):
                        write(answers, answer)
                pending = pending[at:]

    def _carry_out(self, operation: int, unit: int, data: bytes) -> bytes:
        if operation == 2:
            return bytes([self.level(unit)])
        if operation == 3:
            self.set_up_spi(unit, float(struct.unpack_from("<I", data)[0]))
        elif operation == 4:
            self.spi(unit, data)
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
