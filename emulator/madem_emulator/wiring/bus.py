"""SPI, I2C and pins of a board: which chip models are wired to them.

`Bus` is the wiring: which chip hangs on which bus, at which address or chip select. An emulated
RP2040 drives it by its own peripherals (rp2040_wires.py), a Unix board through pipes
(unix_pipes.py).
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable
from typing import Protocol

HIGH = 1
OK, NO_ANSWER, STUCK = range(3)
"""Status of an I2C address: a chip acknowledges it, none does, or the wires are held low."""


class SpiChip(Protocol):
    """A chip on SPI, bytes with the highest bit first."""

    def select(self, selected: bool) -> None:
        """Hear that chip select changed.

        Args:
            selected: it fell, else it rose.
        """
        ...

    def transfer(self, data: bytes, clock: float) -> bytes | None:
        """Take and give bytes; one transfer may come in pieces.

        Args:
            data: on MOSI.
            clock: in hertz.

        Returns:
            As many bytes as the chip drives onto MISO; None when it drives nothing.
        """
        ...


class I2cChip(Protocol):
    """A chip on I2C."""

    def start(self) -> None:
        """Hear its address: the next byte is the first one after it."""
        ...

    def write(self, data: bytes) -> int:
        """Take the bytes of a write.

        Args:
            data: all bytes after the address.

        Returns:
            How many of them the chip acknowledges.
        """
        ...

    def read(self, n: int) -> bytes:
        """Send bytes; one read may come in pieces.

        Args:
            n: how many.

        Returns:
            The next n bytes.
        """
        ...

    def general_call(self, data: bytes) -> int:
        """Take a write to address 0, which all chips hear: as `write`."""
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
    """All that is wired to a board's SPI, I2C, pins and ADC.

    Attributes:
        clock: gives the board's time in seconds; by default since the bus was made.
        transfers: SPI transfers and, where the board sends them whole, I2C transactions so far.
        seconds: time that they take on wires at the clocks that were set up, pauses left out.
    """

    def __init__(self) -> None:
        """Begin with nothing wired to it, at time 0."""
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
        self._spi: defaultdict[int, _Spi] = defaultdict(_Spi)
        self._i2c: defaultdict[int, _I2c] = defaultdict(_I2c)

    # Wiring

    def attach_spi(self, unit: int, chip: SpiChip, select: int | None) -> None:
        """Wire a chip to an SPI bus.

        Args:
            unit: number of the bus.
            chip: the model.
            select: pin of its chip select, active low; None: it sees every clock.
        """
        self._spi[unit].chips.append((chip, select))
        if select is not None:
            self._selects.setdefault(select, []).append(chip)
            self._watchers.setdefault(select, [])

    def attach_i2c(self, unit: int, address: int, chip: I2cChip) -> None:
        """Wire a chip to an I2C bus.

        Args:
            unit: number of the bus.
            address: of the chip, 7 bits.
            chip: the model.

        Raises:
            ValueError: another chip has the address.
        """
        chips = self._i2c[unit].chips
        if address in chips:
            raise ValueError(f"address 0x{address:02x} of I2C {unit} is taken")
        chips[address] = chip

    def watch(self, pin: int, changed: Callable[[bool], None]) -> None:
        """Let a chip hear a pin that the board drives.

        Args:
            pin: its number.
            changed: called with the new level whenever that changes.
        """
        self._watchers.setdefault(pin, []).append(changed)

    def drive(self, pin: int, level: Callable[[], bool]) -> None:
        """Let a chip drive a pin that the board reads.

        Args:
            pin: its number.
            level: gives the level at any time.
        """
        self._inputs[pin] = level

    def attach_adc(self, pin: int, fraction: Callable[[], float]) -> None:
        """Put a voltage at a pin of the board's own ADC.

        Args:
            pin: its number.
            fraction: gives the voltage at any time, as a fraction of the ADC's full scale.
        """
        self._voltages[pin] = fraction

    # Faults

    def remove_i2c(self, unit: int, address: int) -> None:
        """Take a chip off an I2C bus.

        Args:
            unit: number of the bus.
            address: of the chip.
        """
        del self._i2c[unit].chips[address]

    def remove_spi(self, unit: int, chip: SpiChip) -> None:
        """Take a chip off an SPI bus, its chip select too.

        Args:
            unit: number of the bus.
            chip: the model.
        """
        bus = self._spi[unit]
        bus.chips = [(other, select) for other, select in bus.chips if other is not chip]
        for chips in self._selects.values():
            if chip in chips:
                chips.remove(chip)

    def replace_spi(self, unit: int, chip: SpiChip, other: SpiChip) -> None:
        """Put another model on a chip's data lines; chip select stays wired to the first.

        Args:
            unit: number of the bus.
            chip: the model that is there now.
            other: gets the bytes from now on.
        """
        bus = self._spi[unit]
        bus.chips = [(other if each is chip else each, select) for each, select in bus.chips]

    def replace_all(
        self, spi: Callable[[SpiChip], SpiChip], i2c: Callable[[I2cChip], I2cChip]
    ) -> None:
        """Put other models in place of all chips; chip selects stay as in `replace_spi`.

        Args:
            spi: gives the one that takes the place of a chip on SPI.
            i2c: the same for I2C.
        """
        for each in self._spi.values():
            each.chips = [(spi(chip), select) for chip, select in each.chips]
        for wires in self._i2c.values():
            wires.chips = {address: i2c(chip) for address, chip in wires.chips.items()}

    def hold_i2c(self, unit: int, stuck: bool = True) -> None:
        """Hold an I2C bus low, as a hung chip does, or let it go.

        Args:
            unit: number of the bus.
            stuck: hold it, else let it go.
        """
        self._i2c[unit].stuck = stuck

    # Time

    def now(self) -> float:
        """The time of the board in seconds.

        Every transfer passes the time that it takes on wires, also where `clock` does not.
        """
        return max(self.clock(), self._reached)

    def _take(self, seconds: float) -> None:
        self.transfers += 1
        self.seconds += seconds
        now, reached = self.clock(), self._reached
        self._reached = (now if now > reached else reached) + seconds

    # What the board does

    def level(self, pin: int) -> int:
        """Level of a pin, 0 or 1; one that nobody drives is pulled up.

        Args:
            pin: its number.

        Returns:
            The level.
        """
        if pin in self._inputs:
            return int(self._inputs[pin]())
        return self._levels.get(pin, HIGH)

    def set_level(self, pin: int, level: int) -> None:
        """Drive a pin from the board.

        Args:
            pin: its number.
            level: 0 or 1.
        """
        levels = self._levels
        if levels.get(pin, HIGH) != level:
            levels[pin] = level
            for chip in self._selects.get(pin, ()):
                chip.select(not level)
            for changed in self._watchers.get(pin, ()):
                changed(level == HIGH)

    @property
    def watched(self) -> tuple[int, ...]:
        """Pins whose level chips hear."""
        return tuple(self._watchers)

    @property
    def driven(self) -> tuple[int, ...]:
        """Pins whose level chips drive."""
        return tuple(self._inputs)

    def set_up_spi(self, unit: int, clock: float) -> None:
        """Give an SPI bus its clock.

        Args:
            unit: number of the bus.
            clock: in hertz.
        """
        self._spi[unit].clock = clock

    def set_up_i2c(self, unit: int, clock: float) -> None:
        """Give an I2C bus its clock.

        Args:
            unit: number of the bus.
            clock: in hertz.
        """
        self._i2c[unit].clock = clock

    def adc(self, pin: int) -> float:
        """Voltage at a pin of the board's own ADC, as a fraction of its full scale, 0 to 1.

        Args:
            pin: its number.

        Returns:
            The fraction.
        """
        read = self._voltages.get(pin)
        return min(max(read(), 0.0), 1.0) if read else 0.0

    def spi(self, unit: int, data: bytes) -> bytes:
        """Make one SPI transfer.

        Args:
            unit: number of the bus.
            data: bytes on MOSI.

        Returns:
            As many bytes on MISO, which reads 1 where no chip drives it.
        """
        bus = self._spi[unit]
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
        """Status of an address on the wires: `OK`, `NO_ANSWER` or `STUCK`.

        Args:
            unit: number of the bus.
            address: 7 bits.

        Returns:
            The status.
        """
        bus = self._i2c[unit]
        if bus.stuck:
            return STUCK
        return OK if address in bus.chips or (address == 0 and bus.chips) else NO_ANSWER

    def i2c_give(self, unit: int, address: int, data: bytes) -> tuple[int, int]:
        """Write to a chip without letting time pass.

        Args:
            unit: number of the bus.
            address: of the chip, or 0 for all.
            data: the bytes after the address.

        Returns:
            The status, and how many data bytes were acknowledged.
        """
        if status := self.i2c_finds(unit, address):
            return status, 0
        chips = self._i2c[unit].chips
        if address == 0:
            return OK, max(chip.general_call(data) for chip in chips.values())
        chips[address].start()
        return OK, chips[address].write(data)

    def i2c_take(self, unit: int, address: int, n: int, first: bool = True) -> tuple[int, bytes]:
        """Read from a chip without letting time pass.

        Args:
            unit: number of the bus.
            address: of the chip.
            n: how many bytes.
            first: they are the first after the address, else the next ones.

        Returns:
            The status, and n bytes where it is `OK`.
        """
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
        bus = self._i2c[unit]
        self._take((9 * (n + 1) + 2) / bus.clock)  # start, address and bytes with ACK, stop


def _wired_and(a: bytes, b: bytes) -> bytes:
    return bytes(x & y for x, y in zip(a, b, strict=True))
