"""Faults of the lab board's chips, buses and supply: a message or a clean continuation."""

import re
import time
from collections.abc import Callable, Iterator

import numpy as np
import pytest

from madem.boards.open import Board
from madem.errors import DeviceError, LinkError
from madem.learners.board import BoardLearner, connect
from madem.learners.chips import Chips
from madem.verify.attached import AttachedLockStep
from madem_emulator.designs import GEOMETRIES, lab64x64
from madem_emulator.physical import presets
from madem_emulator.twin.cards import CardPulse
from madem_emulator.twin.config import Settings
from madem_emulator.wiring.bit_errors import FlippingSpi
from madem_emulator.wiring.bus import SpiChip

from ..conftest import board_with

pytestmark = pytest.mark.needs("unix")

DESIGN = "lab64x64"
SETTINGS = Settings(sizes=(70, 3), weight_bits=7)  # two cards, one below the other
LOUD = 40
CENTRES = np.zeros((3, 70))
CENTRES[:, :LOUD] = np.random.default_rng(1).integers(0, 256, (3, LOUD))


class Bench:
    """The chips, real firmware on them, and what the one-shot did.

    Attributes:
        fired: pulses by what the lines were at, trains as one.
        levels: volts of the bit lines and of the gates in them.
        wrong: pulses that are of no kind that is given.
        at_pulse, at_read: called when the one-shot fires, and when bit lines are converted.
    """

    def __init__(self, chips: lab64x64.Lab64x64, board: Board) -> None:
        self.chips, self.board = chips, board
        self.device: BoardLearner = connect(board, deploy_firmware=True)
        self.fired: list[CardPulse] = []
        self.wrong: list[str] = []
        self.levels: set[tuple[float, float]] = set()
        chips.bus.watch(lab64x64.PIN_PULSE, self._fire)
        self.at_pulse: Callable[[], None] = lambda: None
        self.at_read: Callable[[], None] = lambda: None
        chips.bus.watch(lab64x64.PIN_COLUMN_CONVST, self._convert)
        self.rng = np.random.default_rng(2)
        self._again = False
        for pin in lab64x64.PIN_DACS:
            chips.bus.watch(pin, self._touched)

    def _touched(self, level: bool) -> None:
        self._again = False

    def _convert(self, level: bool) -> None:
        if level:
            self.at_read()

    def _fire(self, level: bool) -> None:
        if not level:
            return
        chips = self.chips
        on = [(k, chain.closed) for k, chain in enumerate(chips.gates) if chain.closed]
        volts = np.concatenate([dac.volts for dac in chips.dacs[:8]])
        columns = np.flatnonzero(np.abs(volts[64:]) > lab64x64.SILENT)
        if len(on) != 1 or len(columns) != 1 or np.abs(volts[:64]).max() > lab64x64.SILENT:
            self.wrong.append(f"gates {on}, bit lines {columns}, {np.abs(volts[:64]).max()} V")
            return
        level_now = float(volts[64 + columns[0]])
        gates = float(chips.dacs[8].volts[0])
        self.levels.add((round(level_now, 3), round(gates, 3)))
        pulse = CardPulse(level_now > 0, on[0][0], 1, on[0][1], 1 << int(columns[0]))
        if self._again and self.fired:
            last = self.fired.pop()
            pulse = CardPulse(last.up, last.card, last.pulses + 1, last.rows, last.columns)
        self.fired.append(pulse)
        self._again = True
        self.at_pulse()

    def configure(self) -> None:
        self.device.configure(SETTINGS.integers(), DESIGN)

    def samples(self, times: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Three classes, and so much noise that there is always something to learn."""
        for _ in range(times):
            k = int(self.rng.integers(3))
            noisy = CENTRES[k] + self.rng.normal(0, 60, 70) * (CENTRES[k] > 0)
            yield np.clip(noisy, 0, 255).astype(np.uint8)[None], np.array([k], np.uint8)

    def learn(self, times: int, pulses: int = 2) -> None:
        for x, y in self.samples(times):
            self.device.learn(SETTINGS.rate(8.0), x, y, pulses_per_update=pulses)

    def learn_recorded(self, times: int, said: list[CardPulse], pulses: int = 2) -> None:
        """As learn; `said` gets the pulses that the device says it gave."""
        lock = AttachedLockStep(self.device, DESIGN)
        for x, y in self.samples(times):
            lock.learn(SETTINGS.rate(8.0), x, y, pulses_per_update=pulses)
            said += [each for each in lock.attached.log if isinstance(each, CardPulse)]

    def repeated(self) -> int:
        return Chips(self.device, GEOMETRIES[DESIGN]).counts().repeated

    def conductances(self) -> np.ndarray:
        return np.vstack([self.chips.card(k).conductances for k in (0, 1)])


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    chips = lab64x64.Lab64x64(presets.CMO_HFOX_2025, seed=3)
    with board_with(chips.bus, tmp_path_factory.mktemp("flash")) as opened:
        yield Bench(chips, opened)


@pytest.fixture
def bench(running: Bench) -> Iterator[Bench]:
    """Configured; afterwards no pulse has had another voltage, card or line than it should, no read
    another voltage, silent devices are where they were, and the board learns the right answer.
    """
    running.chips.renew(7)
    running.configure()
    running.chips.misuse.clear()
    running.fired.clear()
    running.wrong.clear()
    running.levels.clear()
    before = running.conductances()
    yield running
    running.at_pulse = running.at_read = lambda: None
    assert running.chips.misuse == []
    assert running.wrong == []
    assert running.levels <= {(1.8, 1.8), (-1.8, 2.5)}
    silent = np.setdiff1d(np.arange(128), [*range(LOUD), 70])  # the bias is word line 70
    rows = sum(1 << r for r in range(LOUD)), 1 << 70 - 64
    for pulse in running.fired:
        assert pulse.rows & ~rows[pulse.card] == 0
        assert pulse.columns < 1 << 6
    after = running.conductances()
    assert np.array_equal(before[silent], after[silent])
    assert np.array_equal(before[:, 6:], after[:, 6:])
    running.chips.renew(7)
    running.configure()
    classes = CENTRES.astype(np.uint8), np.arange(3, dtype=np.uint8)
    for _ in range(50):
        running.device.learn(SETTINGS.rate(4.0), *classes, pulses_per_update=1)
    assert list(running.device.outputs(classes[0]).argmax(axis=1)) == [0, 1, 2]


def flipping(bench: Bench, chip: SpiChip, hears: float, says: float) -> FlippingSpi:
    line = FlippingSpi(chip, hears=hears, says=says)
    bench.chips.bus.replace_spi(0, chip, line)
    return line


def wires(bench: Bench, which: str) -> list[SpiChip]:
    chips = bench.chips
    return {
        "rows": list[SpiChip](chips.dacs[:4]),
        "columns": list[SpiChip](chips.dacs[4:8]),
        "voltage": [chips.dacs[8]],
        "gates": [chips.chains],
        "adcs": [chips.row_adc, chips.column_adc],
    }[which]


@pytest.mark.slow
@pytest.mark.parametrize("share", [0.001, 0.02, 0.2])
@pytest.mark.parametrize("way", ["hears", "says"])
@pytest.mark.parametrize("which", ["rows", "columns", "voltage", "gates", "adcs"])
def test_bits_that_flip_never_reach_a_pulse(
    bench: Bench, which: str, way: str, share: float
) -> None:
    """What the device says it pulsed is what the one-shot found; or there is a message."""
    chips = wires(bench, which)
    lines = [
        flipping(bench, chip, share if way == "hears" else 0.0, share if way == "says" else 0.0)
        for chip in chips
    ]
    said: list[CardPulse] = []
    message = ""
    try:
        bench.learn_recorded(40, said)
    except DeviceError as error:
        message = str(error)
    finally:
        for chip, line in zip(chips, lines, strict=True):
            bench.chips.bus.replace_spi(0, line, chip)
    if message:
        assert share > 0.001, message
        assert re.search(r"DAC81416 \d|ADG1414|ADS8568|(word|bit) line \d+", message)
    else:
        assert len(bench.fired) == len(said) > 20
        if share > 0.001 and (which, way) != ("adcs", "hears"):  # nobody listens
            assert bench.repeated() > 0
    assert bench.fired[: len(said)] == said


class FlippingStreams(FlippingSpi):
    """Flips a bit of a code, bit 12 of it, in every frame of more than one output."""

    def transfer(self, data: bytes, clock: float) -> bytes | None:
        if len(data) > 3:
            data = data[:1] + bytes([data[1] ^ 0x10]) + data[2:]
            self.flipped += 1
        return super().transfer(data, clock)


@pytest.mark.parametrize("which", ["rows", "columns"])
def test_no_card_conducts_before_its_lines_are_right(bench: Bench, which: str) -> None:
    """Every stream brings a wrong voltage: it is measured, and written again in single frames."""
    chips = wires(bench, which)
    x = np.random.default_rng(3).integers(1, 256, (20, 70)).astype(np.uint8)
    expected = bench.device.outputs(x).astype(int)
    before = bench.repeated()
    lines = [FlippingStreams(chip) for chip in chips]
    for chip, line in zip(chips, lines, strict=True):
        bench.chips.bus.replace_spi(0, chip, line)
    found = bench.device.outputs(x)
    bench.learn(3)
    for chip, line in zip(chips, lines, strict=True):
        bench.chips.bus.replace_spi(0, line, chip)
    assert np.abs(found - expected).max() <= 12
    # With one weight layer no side but the word lines is driven for a read.
    assert sum(line.flipped for line in lines) == bench.repeated() - before
    assert (which == "columns") or lines[0].flipped > 20


@pytest.mark.parametrize("way", ["hears", "says"])
def test_a_read_through_gates_that_were_not_all_on_is_made_again(bench: Bench, way: str) -> None:
    x = np.repeat(CENTRES.astype(np.uint8), 20, axis=0)
    expected = bench.device.outputs(x).astype(int)
    before = bench.repeated()
    line = flipping(bench, bench.chips.chains, **{"hears": 0.0, "says": 0.0, way: 0.02})
    found = bench.device.outputs(x)
    bench.chips.bus.replace_spi(0, line, bench.chips.chains)
    assert bench.repeated() > before
    assert np.abs(found - expected).max() <= 6


def test_readings_of_codes_with_flipped_bits_are_made_again(bench: Bench) -> None:
    x = np.repeat(CENTRES.astype(np.uint8), 20, axis=0)
    expected = bench.device.outputs(x).astype(int)
    line = flipping(bench, bench.chips.column_adc, 0.0, 0.02)
    found = bench.device.outputs(x)
    bench.chips.bus.replace_spi(0, line, bench.chips.column_adc)
    assert line.flipped > 5
    assert bench.repeated() > 0
    assert np.abs(found - expected).max() <= 6


def test_no_card_conducts_after_a_read_that_failed(bench: Bench) -> None:
    x = CENTRES.astype(np.uint8)
    bench.device.outputs(x)
    line = flipping(bench, bench.chips.column_adc, 0.0, 1.0)
    with pytest.raises(DeviceError, match="bit errors from the bit lines' ADS8568"):
        bench.device.outputs(x)
    bench.chips.bus.replace_spi(0, line, bench.chips.column_adc)
    conducts: list[bool] = []
    bench.chips.bus.watch(
        lab64x64.PIN_DACS[0],
        lambda level: conducts.append(any(chain.closed for chain in bench.chips.gates)),
    )
    bench.device.outputs(x)
    assert len(conducts) > 2
    assert not any(conducts)


def reset(bench: Bench, *numbers: int) -> None:
    """As a dip of the supply does."""
    for number in numbers:
        dac = bench.chips.dacs[number]
        dac.select(True)
        dac.transfer(b"\x0e\x00\x0a", 1e6)
        dac.select(False)


@pytest.mark.parametrize("dac", range(9))
def test_a_dip_of_one_chip_between_samples_is_named(bench: Bench, dac: int) -> None:
    bench.learn(2)
    before = len(bench.fired)
    reset(bench, dac)
    with pytest.raises(DeviceError, match=f"DAC81416 {dac} lost its settings: a supply dip"):
        bench.learn(1)
    assert len(bench.fired) == before
    with pytest.raises(DeviceError, match="a supply dip"):
        bench.device.outputs(CENTRES.astype(np.uint8))


@pytest.mark.parametrize("dacs", [*((k,) for k in range(9)), tuple(range(9))])
def test_a_dip_in_a_pulse_is_told_before_the_next_that_it_spoils(
    bench: Bench, dacs: tuple[int, ...]
) -> None:
    """Word lines stay at 0 V, so pulses are right up to the end of the sample; then it is told."""
    bench.learn(3)
    before = len(bench.fired)

    def dip() -> None:
        reset(bench, *dacs)
        bench.at_pulse = lambda: None

    bench.at_pulse = dip
    with pytest.raises(DeviceError, match=r"DAC81416 \d lost its settings: a supply dip") as caught:
        bench.learn(20, pulses=1)
    assert "sample" in str(caught.value)
    spoilt = bench.fired[before + 1 :]
    if 8 in dacs or 4 in dacs:  # the gates' voltage, or the bit lines of all pulses here
        assert spoilt == []


@pytest.mark.parametrize("dac", range(9))
def test_a_dip_in_the_reads_is_told_before_the_first_pulse(bench: Bench, dac: int) -> None:
    bench.learn(3)
    before = len(bench.fired)

    def dip() -> None:
        reset(bench, dac)
        bench.at_read = lambda: None

    bench.at_read = dip
    with pytest.raises(DeviceError, match=f"DAC81416 {dac} lost its settings: a supply dip"):
        bench.learn(2)  # if the first needs no pulse, its successor tells
    assert len(bench.fired) == before


def test_gates_that_a_dip_opened_are_closed_again_for_the_next_pulse(bench: Bench) -> None:
    def dip() -> None:
        for chain in bench.chips.gates:
            chain.reset()

    bench.at_pulse = dip
    said: list[CardPulse] = []
    bench.learn_recorded(10, said, pulses=1)
    assert bench.fired == said != []


def test_a_reset_in_mid_update_leaves_what_the_devices_hold(bench: Bench) -> None:
    """The firmware is stopped between two pulses of a sample, and started anew."""
    bench.learn(5)
    before = bench.conductances()
    fired = len(bench.fired)

    def stop() -> None:
        if len(bench.fired) == fired + 3:
            bench.board.port.write(b"\x03")  # Ctrl-C
            time.sleep(0.5)  # it arrives before the chips answer again

    bench.at_pulse = stop
    many = np.hstack([np.repeat(CENTRES[:1], 50, axis=0), np.full((50, 1), 2)]).astype(np.uint8)
    head = bytes([5, 0, 0, 0]) + SETTINGS.rate(16.0).to_bytes(2, "little") + bytes([1, 0])
    with pytest.raises(LinkError):
        bench.device.link.request(3, head + many.tobytes(), timeout=1.0)
    fired = len(bench.fired)
    bench.device = connect(bench.board, deploy_firmware=False)
    with pytest.raises(DeviceError, match="not configured"):
        bench.device.link.request(3, head + many.tobytes())
    bench.configure()
    assert bench.device.stats().steps == 0
    assert len(bench.fired) == fired
    changed = np.any(before != bench.conductances(), axis=1)
    assert 1 <= changed.sum() <= LOUD + 1


@pytest.mark.parametrize("dac", range(9))
def test_a_chip_that_is_missing_is_named(bench: Bench, dac: int) -> None:
    chips = bench.chips
    bench.learn(2)
    chips.bus.remove_spi(0, chips.dacs[dac])
    try:
        with pytest.raises(DeviceError, match=f"DAC81416 {dac} does not answer"):
            bench.learn(1)
        with pytest.raises(DeviceError, match=f"DAC81416 {dac} does not answer, or is another"):
            bench.configure()
    finally:
        chips.bus.attach_spi(0, chips.dacs[dac], lab64x64.PIN_DACS[dac])


def test_a_converter_that_is_missing_is_named(bench: Bench) -> None:
    chips = bench.chips
    for adc, pin, name in (
        (chips.row_adc, lab64x64.PIN_ROW_ADC, "word"),
        (chips.column_adc, lab64x64.PIN_COLUMN_ADC, "bit"),
    ):
        chips.bus.remove_spi(0, adc)
        try:
            with pytest.raises(DeviceError, match=f"the {name} lines' ADS8568 do not answer"):
                bench.learn(3)
        finally:
            chips.bus.attach_spi(0, adc, pin)
        bench.configure()


@pytest.mark.parametrize("level", [0x00, 0xFF])
def test_miso_that_is_stuck_is_told(bench: Bench, level: int) -> None:
    class Stuck:
        def select(self, selected: bool) -> None: ...

        def transfer(self, data: bytes, clock: float) -> bytes:
            return bytes([level]) * len(data)

    chips = wires(bench, "columns")[0], bench.chips.chains
    for chip in chips:
        stuck = Stuck()
        bench.chips.bus.replace_spi(0, chip, stuck)
        try:
            with pytest.raises(DeviceError, match=r"DAC81416 4|ADG1414"):
                bench.learn(20)
        finally:
            bench.chips.bus.replace_spi(0, stuck, chip)
        bench.configure()


def test_saturated_conversions_are_counted(bench: Bench) -> None:
    counted = Chips(bench.device, GEOMETRIES[DESIGN])
    assert counted.counts().saturated == 0
    arrays = [bench.chips.card(k) for k in (0, 1)]
    before = [array.conductances for array in arrays]
    for array in arrays:
        array.conductances = 8 * array.device.g_max
    bench.device.outputs(np.full((1, 70), 255, np.uint8))
    for array, g in zip(arrays, before, strict=True):
        array.conductances = g
    assert counted.counts().saturated >= 3
