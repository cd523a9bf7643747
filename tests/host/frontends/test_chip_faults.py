"""Faults of the maker board's chips, buses and supply: a clear message or a clean continuation."""

import time
from collections.abc import Callable, Iterator

import numpy as np
import pytest

from madem.boards.open import Board
from madem.errors import DeviceError, LinkError
from madem.learners.board import BoardLearner, connect
from madem.learners.chips import Chips
from madem_emulator.designs import GEOMETRIES, maker8x8
from madem_emulator.physical import presets
from madem_emulator.twin.config import Settings
from madem_emulator.wiring.bit_errors import FlippingI2c, FlippingSpi
from madem_emulator.wiring.bus import SpiChip

from ..conftest import board_with

pytestmark = pytest.mark.needs("unix")

Bench = tuple[maker8x8.Maker8x8, BoardLearner]
SETTINGS = Settings(sizes=(7, 4), weight_bits=7)
X = np.full((1, 7), 220, np.uint8)
Y = np.array([1], np.uint8)


@pytest.fixture(scope="module")
def wired() -> maker8x8.Maker8x8:
    """Chips that this process holds."""
    return maker8x8.Maker8x8(presets.TAOX_HFOX_WU2018, seed=3)


@pytest.fixture(scope="module")
def board(wired: maker8x8.Maker8x8, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Board]:
    """A board with them."""
    with board_with(wired.bus, tmp_path_factory.mktemp("flash")) as opened:
        yield opened


@pytest.fixture(scope="module")
def bench(wired: maker8x8.Maker8x8, board: Board) -> Bench:
    """Real firmware on it."""
    return wired, connect(board, deploy_firmware=True)


@pytest.fixture
def sound(bench: Bench) -> Iterator[Bench]:
    """The board, configured; whatever is hung onto its bus is taken off again, and no pulse and no
    read has had another voltage than it should.
    """
    chips, device = bench
    device.configure(SETTINGS.integers(), "maker8x8")
    yield bench
    for address, dac in zip((0x60, 0x61, 0x62, 0x63), chips.dacs, strict=True):
        chips.bus.remove_i2c(0, address)
        chips.bus.attach_i2c(0, address, dac)
    misuse = chips.misuse[:]
    chips.misuse.clear()
    assert misuse == []


def learn(device: BoardLearner, times: int) -> None:
    for _ in range(times):
        device.learn(SETTINGS.rate(16.0), X, Y, pulses_per_update=2)


def learn_much(chips: maker8x8.Maker8x8, device: BoardLearner, times: int) -> None:
    """On fresh cards, with samples that leave always something to learn."""
    chips.renew(11)
    device.configure(SETTINGS.integers(), "maker8x8")
    rng = np.random.default_rng(3)
    for _ in range(times):
        x = rng.integers(0, 256, (1, 7)).astype(np.uint8)
        device.learn(
            SETTINGS.rate(16.0), x, rng.integers(0, 4, 1).astype(np.uint8), pulses_per_update=2
        )


def message_of(work: Callable[[], object]) -> str:
    """What the board complains about; empty if it doesn't."""
    try:
        work()
    except DeviceError as error:
        return str(error)
    return ""


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


def hang(chips: maker8x8.Maker8x8, address: int, chip: object) -> None:
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
        device.learn(SETTINGS.rate(16.0), *many, pulses_per_update=1)
    assert sum(fired) == 1, "no pulse comes after the one in which it happened"


@pytest.mark.parametrize("share", [0.01, 0.05, 0.2])
def test_bits_that_flip_on_their_way_to_a_dac_never_reach_a_pulse(
    sound: Bench, share: float
) -> None:
    """Written again until the readback is right; `misuse` tells of pulses with other voltages."""
    chips, device = sound
    lines = [FlippingI2c(dac, hears=share) for dac in chips.dacs]
    for address, line in zip((0x60, 0x61, 0x62, 0x63), lines, strict=True):
        hang(chips, address, line)
    if said := message_of(lambda: learn_much(chips, device, 60)):
        # A bit may have turned the command into one that changes the reference.
        assert share > 0.01
        assert "lost its settings" in said
        return
    assert sum(line.flipped for line in lines) > 300 * share
    assert Chips(device, GEOMETRIES["maker8x8"]).counts().repeated > 100 * share


def test_a_dac_that_says_nonsense_is_named(sound: Bench) -> None:
    chips, device = sound
    hang(chips, 0x61, FlippingI2c(chips.dacs[1], says=1.0))
    with pytest.raises(DeviceError, match="0x61 lost its settings"):
        learn(device, 30)


@pytest.mark.parametrize("share", [0.05, 1.0])
def test_bits_that_flip_on_their_way_from_an_adc_are_read_again(sound: Bench, share: float) -> None:
    chips, device = sound
    counted = Chips(device, GEOMETRIES["maker8x8"])
    expected = device.outputs(np.repeat(X, 40, axis=0))
    before = counted.counts().repeated
    noisy = FlippingSpi(chips.column_adc, says=share)
    chips.bus.replace_spi(0, chips.column_adc, noisy)
    try:
        if share == 1.0:
            with pytest.raises(DeviceError, match="bit errors from the bit lines' MCP3208"):
                device.outputs(X)
        else:
            found = device.outputs(np.repeat(X, 40, axis=0))
            assert np.abs(found.astype(int) - expected).max() <= 3
            assert counted.counts().repeated > before
    finally:
        chips.bus.replace_spi(0, noisy, chips.column_adc)


@pytest.mark.parametrize("share", [0.001, 0.02, 0.2])
@pytest.mark.parametrize("way", ["hears", "says"])
def test_bits_that_flip_on_their_way_to_the_switches_never_reach_a_pulse(
    sound: Bench, way: str, share: float
) -> None:
    chips, device = sound
    fired: list[int | None] = []

    def fire(level: bool) -> None:
        if level:
            fired.append(chips.registers.outputs)

    chips.bus.watch(maker8x8.PIN_PULSE, fire)
    hears, says = (share, 0.0) if way == "hears" else (0.0, share)
    line = FlippingSpi(chips.chain, hears=hears, says=says)
    chips.bus.replace_spi(0, chips.chain, line)
    said = message_of(lambda: learn_much(chips, device, 100))
    chips.bus.replace_spi(0, line, chips.chain)
    assert not said or (share == 0.2 and "74HC595: bit errors" in said)
    assert set(fired) == {0}, "card 0, and not in a read"
    if share == 0.02:
        assert Chips(device, GEOMETRIES["maker8x8"]).counts().repeated > 0
    assert list(chips.cards) == [0]
    device.configure(SETTINGS.integers(), "maker8x8")
    learn(device, 20)
    assert device.outputs(X).argmax() == 1


def test_switches_that_do_not_answer_are_named(sound: Bench) -> None:
    chips, device = sound
    chips.bus.remove_spi(0, chips.chain)
    try:
        with pytest.raises(DeviceError, match="74HC595: bit errors, or they do not answer"):
            device.configure(SETTINGS.integers(), "maker8x8")
    finally:
        chips.bus.attach_spi(0, chips.chain, None)


class OtherChannel:
    """An ADC to which the number of the channel comes with a flipped bit."""

    def __init__(self, chip: SpiChip) -> None:
        self._chip = chip
        self.times = 0

    def select(self, selected: bool) -> None: ...

    def transfer(self, data: bytes, clock: float) -> bytes | None:
        self.times += 1
        return self._chip.transfer(
            data[:1] + bytes([data[1] ^ (self.times & 1) << 6]) + data[2:], clock
        )


def test_a_line_that_flips_the_channel_is_told_within_16_reads(sound: Bench) -> None:
    """Every other conversion is one of the neighbour."""
    chips, device = sound
    other = OtherChannel(chips.column_adc)
    chips.bus.replace_spi(0, chips.column_adc, other)
    reads = chips.card(0).counters.reads
    try:
        said = message_of(lambda: [device.outputs(X) for _ in range(17)])
    finally:
        chips.bus.replace_spi(0, other, chips.column_adc)
    assert "bit errors on the way to the bit lines' MCP3208" in said
    assert other.times <= 15 * 8 + 8 * 6  # three pairs of the last read's lines, at most
    assert chips.card(0).counters.reads - reads <= 16


@pytest.mark.parametrize("share", [0.02, 1.0])
def test_no_read_is_made_before_its_drivers_are_right(sound: Bench, share: float) -> None:
    chips, device = sound
    x = np.random.default_rng(1).integers(1, 256, (100, 7)).astype(np.uint8)
    expected = device.outputs(x).astype(int)
    counted = Chips(device, GEOMETRIES["maker8x8"])
    before = counted.counts().repeated
    lines = [FlippingI2c(dac, hears=share) for dac in chips.dacs[:2]]
    for address, line in zip((0x60, 0x61), lines, strict=True):
        hang(chips, address, line)
    if share == 1.0:
        reads = chips.card(0).counters.reads
        with pytest.raises(DeviceError, match=r"0x6[01] lost its settings"):
            device.outputs(x)
        assert chips.card(0).counters.reads == reads
        return
    found = device.outputs(x)
    assert counted.counts().repeated - before >= sum(line.flipped for line in lines) // 2 > 0
    assert np.abs(found - expected).max() <= 3


def test_saturated_conversions_are_counted(sound: Bench) -> None:
    chips, device = sound
    counted = Chips(device, GEOMETRIES["maker8x8"])
    assert counted.counts().saturated == 0
    array = chips.card(0)
    array.conductances = 4 * array.device.g_max
    device.outputs(np.repeat(X, 10, axis=0))
    assert counted.counts().saturated > 40  # of 80; noise lifts some by a code


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
        if level and sum(pulses) == 3:  # once, not at the pulse's end again
            board.port.write(b"\x03")  # Ctrl-C
            time.sleep(0.5)  # it arrives before the chips answer again

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
        again.learn(SETTINGS.rate(16.0), X, Y, pulses_per_update=2)
    assert again.outputs(X).argmax() == 1
