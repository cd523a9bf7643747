"""An I2C bus byte by byte and bit by bit, as a chip's peripheral and its pins have it.

NXP UM10204, sections 3.1.4 (start and stop), 3.1.5 (bytes), 3.1.6 (acknowledge).
"""

from __future__ import annotations

from madem_emulator.wiring.bus import OK, STUCK, Bus


class I2cWire:
    """An I2C bus of a board, byte by byte.

    A data byte is acknowledged when its chip acknowledged its address; the chip gets all of them
    together, at the stop or the repeated start.
    """

    def __init__(self, bus: Bus, unit: int) -> None:
        """Begin idle.

        Args:
            bus: all that is wired to the board.
            unit: number of the I2C bus.
        """
        self._bus = bus
        self._unit = unit
        self._address: int | None = None  # of the chip that was addressed and answered
        self._written: bytearray | None = None  # None: it is read
        self._first = True

    @property
    def stuck(self) -> bool:
        """Whether something holds the wires low, so that nothing on them ever ends."""
        return self._bus.i2c_finds(self._unit, 0) == STUCK

    def start(self, address: int, reading: bool) -> bool:
        """Send a start or repeated start, and an address.

        Args:
            address: 7 bits.
            reading: the bytes that follow come from the chip.

        Returns:
            Whether a chip acknowledges it.
        """
        self.stop()
        if self._bus.i2c_finds(self._unit, address) != OK:
            return False
        self._address = address
        self._written = None if reading else bytearray()
        self._first = True
        return True

    def write(self, byte: int) -> bool:
        """Send a data byte.

        Args:
            byte: 0 to 255.

        Returns:
            Whether it is acknowledged.
        """
        if self._address is None or self._written is None:
            return False
        self._written.append(byte)
        return True

    def read(self) -> int:
        """Take the next byte of the chip that is read; 0xFF when there is none."""
        if self._address is None:
            return 0xFF
        _, said = self._bus.i2c_take(self._unit, self._address, 1, self._first)
        self._first = False
        return said[0] if said else 0xFF

    def stop(self) -> None:
        """Send a stop, or end what a repeated start ends."""
        if self._address is not None and self._written is not None:
            self._bus.i2c_give(self._unit, self._address, bytes(self._written))
        self._address = None


class I2cBits:
    """An I2C bus seen by its two wires, for a program that moves them itself.

    Attributes:
        low: a chip holds SDA low.
    """

    def __init__(self, wire: I2cWire) -> None:
        """Begin with both wires high.

        Args:
            wire: gets the bytes.
        """
        self._wire = wire
        self._scl = self._sda = True
        self._running = False
        self._count = 0  # clocks of this byte so far; the ninth is the acknowledge
        self._byte = 0
        self._addressing = True
        self._sent = 0
        self._reading = False
        self.low = False

    def move(self, scl: bool, sda: bool) -> None:
        """Change what the board does with the wires.

        Args:
            scl: let SCL go, else hold it low.
            sda: let SDA go, else hold it low.
        """
        before = self._scl, self._sda
        self._scl, self._sda = scl, sda
        if before[0] and scl and before[1] != sda:
            self._condition(start=before[1])
        elif self._running and not before[0] and scl:
            self._rise(sda)
        elif self._running and before[0] and not scl:
            self._fall()

    def _condition(self, start: bool) -> None:
        """Hear a start or a stop: SDA moved while SCL was high."""
        if not start:
            self._wire.stop()
        self._running, self._addressing = start, True
        self._count = self._byte = 0
        self._reading = self.low = False

    def _rise(self, sda: bool) -> None:
        """Take a bit over."""
        if self._count < 8:
            self._byte = self._byte << 1 | (sda and not self.low)
        elif self._reading and not self._addressing and sda:
            self._running = False  # the board has enough: it will stop
        self._count += 1

    def _fall(self) -> None:
        """Let whoever sends put the next bit onto SDA."""
        if self._count == 8:
            self._answer()
            return
        if self._count == 9:
            self._count = self._byte = 0
            self.low = False
            if self._addressing:
                self._addressing = False
            if self._reading:
                self._sent = self._wire.read()
        if self._reading and not self._addressing and self._count < 8:
            self.low = not self._sent >> 7 - self._count & 1

    def _answer(self) -> None:
        """Acknowledge a byte whose eight bits are there, or leave that to the board."""
        if self._addressing:
            self._reading = bool(self._byte & 1)
            self.low = self._wire.start(self._byte >> 1, self._reading)
            self._running = self.low
        elif self._reading:
            self.low = False
        else:
            self.low = self._wire.write(self._byte)
