"""Faults of chips, bus and supply: a clear message or a clean continuation, no silent weight."""

import random
import sys
import threading
from collections.abc import Iterator

import numpy as np
import pytest

from madem.boards import Board
from madem.chips import Chips
from madem.device import Device, connect
from madem.errors import DeviceError, LinkError
from madem.repl import open_port
from madem_emulator.config import Settings
from madem_emulator.designs import GEOMETRIES, maker8x8
from madem_emulator.physical import presets

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the emulated board needs Linux")

Bench = tuple[maker8x8.Board, Device]
SETTINGS = Settings(sizes=(7, 4), weight_bits=7)
X = np.full((1, 7), 220, np.uint8)
Y = np.array([1], np.uint8)


@pytest.fixture(scope="module")
def wired() -> maker8x8.Board:
    """Chips that this process holds."""
    return maker8x8.Board(presets.TAOX_HFOX_WU2018, seed=3)


@pytest.fixture(scope="module")
def board(wired: maker8x8.Board, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Board]:
    """A board with them."""
    from madem_emulator.unix_board import UnixBoard, find_micropython

    board = UnixBoard(find_micropython(), tmp_path_factory.mktemp("flash"), bus=wired.bus)
    threading.Thread(target=board.run, args=([],), daemon=True).start()
    with Board("unix", open_port(board.port)) as opened:
        yield opened


@pytest.fixture(scope="module")
def bench(wired: maker8x8.Board, board: Board) -> Bench:
    """Real firmware on it."""
    return wired, connect(board, deploy_firmware=True)


@pytest.fixture
def sound(bench: Bench) -> Iterator[Bench]:
    """The board, configured; whatever is hung onto its bus is taken off again, and no pulse has
    had another voltage than it should.
    """
    chips, device = bench
    device.configure(SETTINGS.integers(), "maker8x8")
    yield bench
    for address, dac in zip((0x60, 0x61, 0x62, 0x63), chips.dacs, strict=True):
        chips.bus.remove_i2c(0, address)
        chips.bus.attach_i2c(0, address, dac)
    assert [said for said in chips.misuse if "pulse" in said] == []
    chips.misuse.clear()


def learn(device: Device, times: int) -> None:
    for _ in range(times):
        device.learn(SETTINGS.rate(16.0), X, Y, train=2)


class Eeprom:
    """A chip that acknowledges all, and says what it was told last."""

    def __init__(self) -> None:
        self._said = b""

    def start(self) -> None: ...

    def write(self, data: bytes) -> int:
        self._said = data
        return len(data)

    def read(self, n: int) -> bytes:
        return (self._said + bytes(n))[:n]

    def general_call(self, data: bytes) -> int:
        return 0


class Flipping:
    """A DAC whose line flips some bits, of what it hears or of what it says."""

    def __init__(self, chip: maker8x8.Mcp4728, *, hears: float = 0.0, says: float = 0.0) -> None:
        self._chip, self._hears, self._says = chip, hears, says
        self._random = random.Random(5)
        self.flipped = 0

    def _through(self, data: bytes, share: float) -> bytes:
        if self._random.random() >= share:
            return data
        self.flipped += 1
        at = self._random.randrange(len(data))
        return data[:at] + bytes([data[at] ^ 1 << self._random.randrange(4)]) + data[at + 1 :]

    def start(self) -> None:
        self._chip.start()

    def write(self, data: bytes) -> int:
        return self._chip.write(self._through(data, self._hears))

    def read(self, n: int) -> bytes:
        return self._through(self._chip.read(n), self._says)

    def general_call(self, data: bytes) -> int:
        return self._chip.general_call(data)


def hang(chips: maker8x8.Board, address: int, chip: object) -> None:
    chips.bus.remove_i2c(0, address)
    chips.bus.attach_i2c(0, address, chip)  # type: ignore[arg-type]


def test_another_chip_at_the_address_is_named(sound: Bench) -> None:
    chips, device = sound
    hang(chips, 0x62, Eeprom())
    with pytest.raises(DeviceError, match="0x62 does not hold what it is told: another chip"):
        device.configure(SETTINGS.integers(), "maker8x8")


@pytest.mark.parametrize("dac", range(4))
def test_a_dac_that_was_reset_between_samples_gives_no_pulse(sound: Bench, dac: int) -> None:
    chips, device = sound
    learn(device, 2)
    before = chips.card(0).counters.set_pulses + chips.card(0).counters.reset_pulses
    chips.dacs[dac].general_call(b"\x06")  # as a dip of the supply does
    with pytest.raises(DeviceError, match=f"0x6{dac} lost its settings: a supply dip"):
        learn(device, 1)
    after = chips.card(0).counters.set_pulses + chips.card(0).counters.reset_pulses
    assert after == before
    with pytest.raises(DeviceError, match="lost its settings"):
        device.outputs(X)
    device.configure(SETTINGS.integers(), "maker8x8")
    learn(device, 1)


def test_a_dip_in_a_pulse_is_told_before_the_next_one(sound: Bench) -> None:
    chips, device = sound
    fired: list[int] = []

    def dip(level: bool) -> None:
        fired.append(level)
        if sum(fired) == 1:
            for dac in chips.dacs:
                dac.general_call(b"\x06")

    chips.bus.watch(maker8x8.PIN_PULSE, dip)
    many = np.repeat(X, 40, axis=0), np.repeat(Y, 40)
    with pytest.raises(DeviceError, match=r"sample \d+: MCP4728 at .* lost its settings"):
        device.learn(SETTINGS.rate(16.0), *many, train=1)
    assert sum(fired) == 1, "no pulse comes after the one in which it happened"


def test_bits_that_flip_on_their_way_to_a_dac_never_reach_a_pulse(sound: Bench) -> None:
    """Written again until the readback is right; `misuse` tells of pulses with other voltages."""
    chips, device = sound
    lines = [Flipping(dac, hears=0.2) for dac in chips.dacs]
    for address, line in zip((0x60, 0x61, 0x62, 0x63), lines, strict=True):
        hang(chips, address, line)
    learn(device, 30)
    assert sum(line.flipped for line in lines) > 20
    assert Chips(device, GEOMETRIES["maker8x8"]).counts().repeated > 10


def test_a_dac_that_says_nonsense_is_named(sound: Bench) -> None:
    chips, device = sound
    hang(chips, 0x61, Flipping(chips.dacs[1], says=1.0))
    with pytest.raises(DeviceError, match="0x61 lost its settings"):
        learn(device, 30)


class Noisy:
    """An ADC whose MISO flips bits of some conversions."""

    def __init__(self, chip: maker8x8.Mcp3208, share: float) -> None:
        self._chip, self._share = chip, share
        self._random = random.Random(6)

    def select(self, selected: bool) -> None:
        self._chip.select(selected)

    def transfer(self, data: bytes, clock: float) -> bytes:
        said = bytearray(self._chip.transfer(data, clock))
        if self._random.random() < self._share:
            bit = 12 + self._random.randrange(11)  # of the code, but its last one
            said[bit >> 3] ^= 0x80 >> (bit & 7)
        return bytes(said)


@pytest.mark.parametrize("share", [0.05, 1.0])
def test_bits_that_flip_on_their_way_from_an_adc_are_read_again(sound: Bench, share: float) -> None:
    chips, device = sound
    counted = Chips(device, GEOMETRIES["maker8x8"])
    expected = device.outputs(np.repeat(X, 40, axis=0))
    before = counted.counts().repeated
    chips.bus.remove_spi(0, chips.column_adc)
    noisy = Noisy(chips.column_adc, share)
    chips.bus.attach_spi(0, noisy, maker8x8.PIN_COLUMN_ADC)
    try:
        if share == 1.0:
            with pytest.raises(DeviceError, match="bit errors from the bit lines' MCP3208"):
                device.outputs(X)
        else:
            found = device.outputs(np.repeat(X, 40, axis=0))
            assert np.abs(found.astype(int) - expected).max() <= 3
            assert counted.counts().repeated > before
    finally:
        chips.bus.remove_spi(0, noisy)
        chips.bus.attach_spi(0, chips.column_adc, maker8x8.PIN_COLUMN_ADC)


def test_saturated_conversions_are_counted(sound: Bench) -> None:
    chips, device = sound
    counted = Chips(device, GEOMETRIES["maker8x8"])
    assert counted.counts().saturated == 0
    array = chips.card(0)
    array.conductances = 4 * array.device.g_max
    device.outputs(X)
    assert counted.counts().saturated >= 8


def test_a_reset_in_mid_update_leaves_what_the_devices_hold(bench: Bench, board: Board) -> None:
    """The firmware is stopped between two pulses of a sample, and started anew."""
    chips, device = bench
    chips.renew(9)
    device.configure(SETTINGS.integers(), "maker8x8")
    learn(device, 20)
    before = chips.card(0).conductances
    pulses: list[bool] = []

    def stop(level: bool) -> None:
        pulses.append(level)
        if sum(pulses) == 3:
            board.port.write(b"\x03")  # Ctrl-C

    chips.bus.watch(maker8x8.PIN_PULSE, stop)
    many = np.hstack([np.repeat(X, 50, axis=0), np.full((50, 1), 2, np.uint8)])
    head = bytes([20, 0, 0, 0]) + SETTINGS.rate(16.0).to_bytes(2, "little") + bytes([2, 0])
    with pytest.raises(LinkError):
        device.link.request(3, head + many.tobytes(), timeout=1.0)
    again = connect(board, deploy_firmware=False)
    with pytest.raises(DeviceError, match="not configured"):
        again.link.request(3, head + many.tobytes())
    again.configure(SETTINGS.integers(), "maker8x8")
    assert again.stats().steps == 0
    after = chips.card(0).conductances
    changed = np.count_nonzero(before != after)
    assert 1 <= changed <= 24, "the pulses up to then, and nothing else"
    for _ in range(20):
        again.learn(SETTINGS.rate(16.0), X, Y, train=2)
    assert again.outputs(X).argmax() == 1
