"""The lab board: its drivers on real MicroPython against chip models, and write-verify."""

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from madem.boards.link_protocol import Memory
from madem.cli import main
from madem.errors import DeviceError
from madem.learners.board import BoardLearner, connect
from madem.learners.state import NetworkState
from madem.network import file
from madem_emulator.designs import lab64x64
from madem_emulator.physical import presets
from madem_emulator.twin.config import Settings

from ..conftest import board_with

pytestmark = pytest.mark.needs("unix")

Bench = tuple[lab64x64.Lab64x64, BoardLearner]
DESIGN = "lab64x64"
SIZES = (70, 40, 3)  # two cards down and two across, then one
SETTINGS = Settings(sizes=SIZES, weight_bits=7, w_max=(0.3, 0.2))


@pytest.fixture(scope="module")
def bench(
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Bench]:
    """Real firmware on a board whose chips this process holds."""
    chips = lab64x64.Lab64x64(presets.TAOX_HFOX_WU2018, seed=3)
    with board_with(chips.bus, tmp_path_factory.mktemp("flash")) as opened:
        yield chips, connect(opened, deploy_firmware=True)


def conductances(chips: lab64x64.Lab64x64, k: int) -> np.ndarray:
    """Of a weight layer in windows, (bit lines, P and N, word lines and bias)."""
    m, n = SIZES[k], SIZES[k + 1]
    first = (0, 4)[k]
    across, down = -(-n // 32), -(-(m + 1) // 64)
    cards = [[chips.card(first + r * across + c) for c in range(across)] for r in range(down)]
    g = np.block([[card.conductances for card in row] for row in cards]) / chips.device.window
    return g[: m + 1, : 2 * n].T.reshape(n, 2, m + 1)


def no_misuse(chips: lab64x64.Lab64x64) -> bool:
    return not chips.misuse and not any(chip.misuse for chip in chips.chips)


def test_it_reads_what_the_devices_hold(bench: Bench) -> None:
    chips, device = bench
    device.configure(SETTINGS.integers(), DESIGN)
    for k in (0, 1):
        n, m = SIZES[k + 1], SIZES[k]
        measured = np.frombuffer(device.read(Memory.DEVICES, k + 1), np.uint8)
        error = measured.reshape(n, 2, m + 1) / 200 - conductances(chips, k)
        assert np.abs(error).max() < 0.02
    assert no_misuse(chips)


def test_a_free_phase_settles_where_the_weights_say(bench: Bench) -> None:
    """Forward and transposed reads through the same devices, against a model in floats."""
    chips, device = bench
    device.configure(SETTINGS.integers(), DESIGN)
    x = np.random.default_rng(5).integers(0, 256, (4, SIZES[0])).astype(np.uint8)
    outputs = device.outputs(x)
    g = [conductances(chips, k) for k in (0, 1)]
    couplings = [w * (part[:, 0] - part[:, 1]) for w, part in zip((0.3, 0.2), g, strict=True)]
    for sample, seen in zip(x, outputs, strict=True):
        hidden, out = np.zeros(SIZES[1]), np.zeros(SIZES[2])
        for _ in range(SETTINGS.sweeps_free):
            drive = couplings[0] @ np.append(sample / 255, 1.0)
            hidden = np.clip(drive + out @ couplings[1][:, :-1], 0, 1)
            out = np.clip(couplings[1] @ np.append(hidden, 1.0), 0, 1)
        assert np.abs(seen - 255 * out).max() <= 6
    assert no_misuse(chips)


def test_pulses_reach_only_the_devices_that_change(bench: Bench) -> None:
    chips, device = bench
    device.configure(SETTINGS.integers(), DESIGN)
    x = np.zeros((1, SIZES[0]), np.uint8)
    x[0, :20] = 255
    before = [conductances(chips, k) for k in (0, 1)]
    for _ in range(30):
        device.learn(SETTINGS.rate(8.0), x, np.array([2], np.uint8), pulses_per_update=4)
    assert device.outputs(x)[0].argmax() == 2
    change = [conductances(chips, k) - old for k, old in zip((0, 1), before, strict=True)]
    assert np.abs(change[0][:, :, :20]).max() > 0.1
    assert not change[0][:, :, 20:-1].any()  # silent word lines: gates off, nothing disturbed
    raised = (change[1][:, 0] - change[1][:, 1]).sum(axis=1)
    assert raised.argmax() == 2
    assert no_misuse(chips)


def test_faults_of_chips_and_lines_are_named(bench: Bench) -> None:
    chips, device = bench
    config = SETTINGS.integers()

    def refused(match: str) -> None:
        with pytest.raises(DeviceError, match=match):
            device.configure(config, DESIGN)

    dac = chips.dacs[5]
    chips.bus.remove_spi(0, dac)
    refused("DAC81416 5 does not answer")
    chips.bus.attach_spi(0, dac, lab64x64.PIN_DACS[5])

    chips.bus.remove_spi(0, chips.column_adc)
    refused("the bit lines' ADS8568 do not answer")
    chips.bus.attach_spi(0, chips.column_adc, lab64x64.PIN_COLUMN_ADC)

    chips.dacs[1], chips.dacs[2] = chips.dacs[2], chips.dacs[1]
    refused("word line 16 does not follow its DAC")
    chips.dacs[1], chips.dacs[2] = chips.dacs[2], chips.dacs[1]

    device.configure(config, DESIGN)
    x, y = np.full((1, SIZES[0]), 255, np.uint8), np.array([0], np.uint8)
    for chip in chips.dacs:  # their supply dips
        chip.select(True)
        chip.transfer(b"\x0e\x00\x0a", 1e6)
        chip.select(False)
    with pytest.raises(DeviceError, match="DAC81416 0 lost its settings"):
        device.learn(SETTINGS.rate(8.0), x, y, pulses_per_update=4)
    device.configure(config, DESIGN)
    device.learn(SETTINGS.rate(8.0), x, y)
    chips.misuse.clear()


def test_write_verify_brings_devices_where_a_state_wants_them(bench: Bench) -> None:
    """A pulse of this preset goes astray by 3.7 % of the window; the tolerance is 3 %."""
    chips, device = bench
    config = Settings(sizes=(66, 4), weight_bits=7).integers()
    wanted = np.random.default_rng(7).integers(30, 215, (4, 2, 67)).astype(np.uint8)
    sums = (bytes([128]) * (wanted.size // 2),)
    device.load(NetworkState(config, 77, (wanted.tobytes(),), sums), DESIGN)
    assert device.stats().steps == 77
    assert device.written is not None
    assert device.written.devices == wanted.size
    assert device.written.failed <= 0.08 * wanted.size
    g = np.vstack([chips.card(0).conductances, chips.card(1).conductances])[:67, :8]
    error = g.T.reshape(wanted.shape) / chips.device.window - wanted / 200
    off = np.abs(error) > 0.04  # the tolerance, and a reading's error
    assert off.sum() <= 0.08 * wanted.size
    assert error[~off].std() < 0.03
    assert 5 < device.written.pulses / wanted.size < 100
    assert no_misuse(chips)


def test_a_set_ends_where_the_gate_lets_no_more_current_through() -> None:
    """Transactions by hand: gates at 0.9 V limit 16 µA, at 1.8 V that is 8.9 µS."""
    chips = lab64x64.Lab64x64(presets.TAOX_HFOX_WU2018, seed=1)
    bus = chips.bus

    def send(pin: int, *data: int) -> None:
        bus.set_level(pin, 0)
        bus.spi(0, bytes(data))
        bus.set_level(pin, 1)

    for pin in lab64x64.PIN_DACS:
        for register, value in ((3, 0x0A84), (4, 0x3F00), (9, 0), (15, 0x8000)):
            send(pin, register, value >> 8, value & 255)
        for register in range(10, 14):
            send(pin, register, 0xEE, 0xEE)
        send(pin, 15, 0x80, 0)
    for pin in lab64x64.PIN_ADDRESS:
        bus.set_level(pin, 0)
    send(lab64x64.PIN_GATES, *bytes(7), 0b101)  # rows 0 and 2 of card 0
    gate = round(0.9 * 65536 / 5) + 0x8000
    send(lab64x64.PIN_DACS[8], 0x10, gate >> 8, gate & 255)
    level = round(1.8 * 65536 / 5) + 0x8000
    send(lab64x64.PIN_DACS[4], 0x13, level >> 8, level & 255)  # bit line 3
    before = chips.card(0).conductances
    for _ in range(150):
        bus.set_level(lab64x64.PIN_PULSE, 1)
        bus.set_level(lab64x64.PIN_PULSE, 0)
    after = chips.card(0).conductances
    limit = 400e-6 * 0.2**2 / 1.8
    for row in (0, 2):
        assert limit <= after[row, 3] < limit + 1e-6
    after[[0, 2], 3] = before[[0, 2], 3]
    assert np.array_equal(after, before)
    assert chips.misuse == []


def small_task(folder: Path) -> Path:
    """Three classes of four numbers, far apart."""
    rng = np.random.default_rng(3)
    centres = np.array([[1, 0, 0, 1], [0, 1, 0, 1], [0, 0, 1, 0]])
    rows = [[*centres[i % 3] + 0.25 * rng.standard_normal(4), f"k{i % 3}"] for i in range(120)]
    data = folder / "small.csv"
    data.write_text("a,b,c,d,y\n" + "\n".join(",".join(map(str, row)) for row in rows) + "\n")
    return data


def test_a_saved_state_goes_through_the_chips_and_back(tmp_path: Path) -> None:
    """Learned in integers, loaded into devices by write-verify: as good there."""
    data = small_task(tmp_path)
    found, saved = tmp_path / "found.json", tmp_path / "x.madem"
    common = ["learn", str(data), "--no-baselines", "--quiet", "--json", str(found)]
    assert (
        main([*common, "--layers", "8", "--save", str(saved), "--board", "twin", "--epochs", "20"])
        == 0
    )
    learned = json.loads(found.read_text())["metrics"]["accuracy"]
    chips = ["--frontend", "attached", "--design", DESIGN, "--preset", "cmo_hfox_2025"]
    assert main([*common, "--load", str(saved), *chips, "--epochs", "0"]) == 0
    result = json.loads(found.read_text())
    assert result["metrics"]["accuracy"] >= learned - 0.05
    assert result["write_verify"]["failed"] == 0


def test_learning_starts_from_the_weights_of_the_seed(tmp_path: Path) -> None:
    """Those that the emulated front end would begin with, or those that the devices hold."""
    found, saved = tmp_path / "found.json", tmp_path / "x.madem"
    command = ["learn", str(small_task(tmp_path)), "--no-baselines", "--quiet", "--epochs", "0"]
    command += ["--layers", "8", "--bits", "5", "--seed", "4", "--board", "twin"]
    assert main([*command, "--save", str(saved)]) == 0
    fresh = file.load(saved).state
    command = [part for part in command if part not in ("--bits", "5", "--board", "twin")]
    command += ["--frontend", "attached", "--design", DESIGN, "--preset", "cmo_hfox_2025"]
    command += ["--save", str(saved), "--json", str(found)]
    assert main(command) == 0
    written = json.loads(found.read_text())["write_verify"]
    assert written["failed"] == 0
    assert written["devices"] == sum(map(len, fresh.devices))
    for wanted, part in zip(fresh.devices, file.load(saved).state.devices, strict=True):
        pairs = [np.frombuffer(each, np.uint8).astype(int) for each in (wanted, part)]
        off = pairs[1] - np.minimum(pairs[0], 200) - round(200 * 8 / 82)
        assert np.abs(off).max() <= 10  # of 200: the tolerance, and two readings
    assert main([*command, "--load", "chips"]) == 0
    assert json.loads(found.read_text())["write_verify"] is None
    assert file.load(saved).state.devices != fresh.devices


@pytest.mark.parametrize(
    ("design", "reads", "reads_of_learning"), [("maker8x8", 700, 400), (DESIGN, 2500, 2000)]
)
def test_wires_would_carry_so_many_reads_a_second(
    design: str, reads: float, reads_of_learning: float, tmp_path: Path
) -> None:
    """By the bits of all transfers and their clocks; how near to that this computer comes is a
    figure of `madem bench frontend`."""
    found = tmp_path / "found.json"
    assert main(["bench", "frontend", "--design", design, "--quiet", "--json", str(found)]) == 0
    least = {"read": reads, "learn": reads_of_learning}
    rows = json.loads(found.read_text())["frontend"]
    assert {row["what"] for row in rows} == set(least)
    for row in rows:
        assert row["reads_per_s_on_wires"] > least[row["what"]]
        assert row["share_of_wires"] > 0
