"""The peripherals of an emulated RP2040 on the emulator's wires, against the board `unix`."""

import contextlib
import os
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
import serial

from madem.boards.open import Board, why_no_emulated_board
from madem.boards.repl import Repl, open_port
from madem.learners.board import connect
from madem_emulator.chips.mcp4728 import Mcp4728
from madem_emulator.designs import DESIGNS
from madem_emulator.physical import presets
from madem_emulator.twin.config import Settings
from madem_emulator.wiring.bus import Bus
from madem_emulator.wiring.i2c_wire import I2cBits, I2cWire

PIN_PULSE = 26  # of either design
_LAST = 8
"""Writes and levels after the last answer of a sample, at most."""

pytestmark = pytest.mark.needs("unix")


@contextlib.contextmanager
def running(name: str, bus: Bus, flash: Path) -> Iterator[serial.Serial]:
    """A board in a thread of this process, which holds its chips."""
    from madem_emulator.boards.prepared import find_unix32
    from madem_emulator.boards.rp2040 import Rp2040Board, find_uf2
    from madem_emulator.boards.unix import UnixBoard
    from madem_emulator.boards.unix_interpreter import find_micropython

    if name == "rp2040":
        board = Rp2040Board(find_uf2(), bus)
    else:
        flash.mkdir()
        binary = find_micropython() if name == "unix" else str(find_unix32())
        board = UnixBoard(binary, flash, bus=bus)
    ended, end = os.pipe()
    pump = threading.Thread(target=board.run, args=([ended],))
    pump.start()
    try:
        with open_port(board.port) as port:
            yield port
    finally:
        os.write(end, b"x")
        pump.join()
        board.close()
        os.close(end)
        os.close(ended)


@dataclass
class Slave:
    """A chip on I2C that remembers what it was told and counts up in what it says."""

    said: int = 0
    seen: list[bytes] = field(default_factory=list)

    def start(self) -> None:
        self.said = 0x40

    def write(self, data: bytes) -> int:
        self.seen.append(data)
        return len(data)

    def read(self, n: int) -> bytes:
        self.said += n
        return bytes(range(self.said - n, self.said))

    def general_call(self, data: bytes) -> int:
        return 0


class Line:
    """A board that moves SCL and SDA itself, as UM10204 has the waveforms."""

    def __init__(self, bits: I2cBits) -> None:
        self.bits = bits

    def start(self) -> None:
        self.bits.move(False, True)
        self.bits.move(True, True)
        self.bits.move(True, False)
        self.bits.move(False, False)

    def stop(self) -> None:
        self.bits.move(False, False)
        self.bits.move(True, False)
        self.bits.move(True, True)

    def clock(self, bit: bool) -> bool:
        self.bits.move(False, bit)
        self.bits.move(True, bit)
        level = bit and not self.bits.low
        self.bits.move(False, bit)
        return level

    def send(self, byte: int) -> bool:
        """Whether it is acknowledged."""
        for k in range(8):
            self.clock(bool(byte >> 7 - k & 1))
        return not self.clock(True)

    def receive(self, more: bool) -> int:
        byte = 0
        for _ in range(8):
            byte = byte << 1 | self.clock(True)
        self.clock(not more)
        return byte


def test_i2c_bit_by_bit() -> None:
    bus, slave = Bus(), Slave()
    bus.attach_i2c(0, 0x50, slave)
    line = Line(I2cBits(I2cWire(bus, 0)))
    line.start()
    assert not line.send(0x51 << 1)  # nobody there
    line.stop()
    line.start()
    assert line.send(0x50 << 1)
    assert line.send(0xA5)
    assert line.send(0x0F)
    assert slave.seen == []
    line.start()  # a repeated start, and an address: the write is over
    assert line.send(0x50 << 1 | 1)
    assert slave.seen == [b"\xa5\x0f"]
    assert [line.receive(True), line.receive(True), line.receive(False)] == [0x40, 0x41, 0x42]
    line.stop()
    line.start()
    assert line.send(0x50 << 1)
    line.stop()
    assert slave.seen == [b"\xa5\x0f", b""]


@dataclass
class Chip:
    """A chip on SPI that answers each byte with its complement of the byte before."""

    last: int = 0
    seen: list[bytes] = field(default_factory=list)
    clock: float = 0.0

    def select(self, selected: bool) -> None:
        if selected:
            self.seen.append(b"")
            self.last = 0

    def transfer(self, data: bytes, clock: float) -> bytes:
        self.seen[-1] += data
        self.clock = clock
        before, self.last = bytes([self.last]) + data[:-1], data[-1]
        return bytes(0xFF ^ byte for byte in before)


PROGRAM = """\
from machine import ADC, I2C, SPI, Pin
i = I2C(0, scl=Pin(5), sda=Pin(4), freq=100000)
print(i.scan())
print(i.writeto(0x50, b'abc'), i.readfrom(0x50, 3))
print(i.writevto(0x50, (b'de', b'', b'f')))
i.writeto_mem(0x50, 7, b'xy')
print(i.readfrom_mem(0x50, 0x1234, 4, addrsize=16))
for call in (lambda: i.writeto(0x51, b'a'), lambda: i.readfrom(0x51, 2)):
    try:
        call()
    except OSError:
        print('nobody')
print(i.readfrom(0x50, 2))
s = SPI(0, baudrate=1000000, sck=Pin(18), mosi=Pin(19), miso=Pin(16))
cs = Pin(17, Pin.OUT, value=1)
for n in (1, 3, 40):
    b = bytearray(n)
    cs.off()
    s.write_readinto(bytes(range(n)), b)
    cs.on()
    print(bytes(b))
cs.off()
s.write(b'only written')
cs.on()
print(ADC(26).read_u16() >> 8, ADC(Pin(27)).read_u16() >> 8)
p = Pin(10, Pin.IN)
print(p.value())
"""


def test_the_same_program_gets_the_same_from_both_boards(tmp_path: Path) -> None:
    """SPI by the processor and by DMA, I2C with all its calls, ADC and a pin that a chip drives."""
    said, seen = {}, {}
    for name in runnable():
        bus, slave, chip = Bus(), Slave(), Chip()
        bus.attach_i2c(0, 0x50, slave)
        bus.attach_spi(0, chip, 17)
        bus.attach_adc(26, lambda: 0.25)
        bus.attach_adc(27, lambda: 7.0)  # too much: full scale
        bus.drive(10, lambda: True)
        with running(name, bus, tmp_path / name) as port, Repl(port) as repl:
            said[name] = repl.exec(PROGRAM).splitlines()
        seen[name] = slave.seen, chip.seen
        assert chip.clock == 1e6
    assert said["unix"][:5] == [
        b"[80]",
        b"3 b'@AB'",
        b"3",
        b"b'@ABC'",
        b"nobody",
    ]
    assert said["unix"][-2:] == [b"64 255", b"1"]
    assert seen["unix"][0] == [b"", b"abc", b"def", b"\7xy", b"\x12\x34"]
    for name in said:
        assert said[name] == said["unix"], name
        assert seen[name] == seen["unix"], name


@pytest.mark.slow
@pytest.mark.parametrize("design", ["maker8x8", "lab64x64"])
def test_learning_is_the_same_transactions_on_all_boards(
    design: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The firmware's drivers as they are: same bytes, same levels, so the same codes."""
    settings = Settings(sizes=(4, 3, 2), weight_bits=7, w_max=(0.3, 0.2))
    found = {}
    for name in runnable():
        chips = DESIGNS[design](presets.TAOX_HFOX_WU2018, seed=3)
        events: list[object] = []
        chips.bus.attach_spi(0, Recorder(events), None)
        for chip in chips.chips:
            if isinstance(chip, Mcp4728):
                monkeypatch.setattr(chip, "write", recorded(chip, events))
        for pin in chips.bus.watched:
            chips.bus.watch(pin, lambda level, pin=pin, to=events: to.append((pin, level)))
        with (
            running(name, chips.bus, tmp_path / name) as port,
            Board(name, port, slowness=20.0) as board,
        ):
            device = connect(board, deploy_firmware=True)
            device.configure(settings.integers(), design)
            device.learn(
                settings.rate(8.0),
                np.full((1, 4), 200, np.uint8),
                np.array([1], np.uint8),
                pulses_per_update=4,
            )
        assert chips.misuse == []
        assert all(chip.misuse == [] for chip in chips.chips)
        found[name] = joined(events), [chips.card(k).conductances for k in range(2)]
    for name, (events, cards) in found.items():
        # What needs no answer leaves a Unix board with what comes next: the end is still there.
        seen = found["unix"][0]
        assert events[: len(seen)] == seen, name
        assert len(events) - len(seen) <= _LAST, name
        assert (PIN_PULSE, True) in events
        np.testing.assert_array_equal(cards, found["unix"][1])


def recorded(dac: Mcp4728, events: list[object]) -> Callable[[bytes], int]:
    """Its `write`, which notes what comes over I2C."""
    write, which = dac.write, dac.read(1)[0] & 7

    def noted(data: bytes) -> int:
        events.append((which, data))
        return write(data)

    return noted


class Recorder:
    """Sees every byte on an SPI bus."""

    def __init__(self, events: list[object]) -> None:
        self._events = events

    def select(self, selected: bool) -> None:
        """It has no chip select."""

    def transfer(self, data: bytes, clock: float) -> None:
        self._events.append(data)


def joined(events: list[object]) -> list[object]:
    """Bytes that come one by one and in one piece are the same."""
    found: list[object] = []
    for event in events:
        if isinstance(event, bytes) and found and isinstance(found[-1], bytes):
            found[-1] += event
        else:
            found.append(event)
    return found


def runnable() -> list[str]:
    """The boards with wires that can run here."""
    return ["unix", *(b for b in ("unix32", "rp2040") if why_no_emulated_board(b) is None)]
