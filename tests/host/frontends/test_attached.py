"""The attached front end: the firmware's drivers on real MicroPython, against chip models."""

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from madem.boards.link_protocol import Memory
from madem.cli import main
from madem.errors import DeviceError
from madem.learners.board import BoardLearner, connect
from madem_emulator.designs import maker8x8
from madem_emulator.physical import presets
from madem_emulator.twin.config import Settings

from ..conftest import board_with

pytestmark = pytest.mark.needs("unix")

Bench = tuple[maker8x8.Maker8x8, BoardLearner]
SIZES = (10, 6, 3)  # two cards down and two across, then one
SETTINGS = Settings(sizes=SIZES, weight_bits=7, w_max=(0.3, 0.2))


@pytest.fixture(scope="module")
def bench(
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Bench]:
    """Real firmware on a board whose chips this process holds."""
    chips = maker8x8.Maker8x8(presets.TAOX_HFOX_WU2018, seed=3)
    with board_with(chips.bus, tmp_path_factory.mktemp("flash")) as opened:
        yield chips, connect(opened, deploy_firmware=True)


def weights(chips: maker8x8.Maker8x8, k: int) -> np.ndarray:
    """P − N of a weight layer as (bit lines, word lines and bias), in windows."""
    m, n = SIZES[k], SIZES[k + 1]
    across, down = -(-n // 4), -(-(m + 1) // 8)
    first = sum(-(-SIZES[j + 1] // 4) * -(-(SIZES[j] + 1) // 8) for j in range(k))
    cards = [[chips.card(first + r * across + c) for c in range(across)] for r in range(down)]
    g = np.block([[card.conductances for card in row] for row in cards])
    return ((g[:, 0::2] - g[:, 1::2]) / chips.device.window)[: m + 1, :n].T


def test_it_reads_what_the_devices_hold(bench: Bench) -> None:
    chips, device = bench
    device.configure(SETTINGS.integers(), "maker8x8")
    for k in (0, 1):
        m, n = SIZES[k], SIZES[k + 1]
        measured = np.frombuffer(device.read(Memory.DEVICES, k + 1), np.uint8)
        pairs = measured.reshape(n, 2, m + 1).astype(int)
        found = (pairs[:, 0] - pairs[:, 1]) / 200
        assert np.abs(found - weights(chips, k)).max() < 0.03
    assert chips.misuse == []


def test_a_free_phase_settles_where_the_weights_say(bench: Bench) -> None:
    """Forward and transposed reads through the same devices, against a model in floats."""
    chips, device = bench
    device.configure(SETTINGS.integers(), "maker8x8")
    x = np.random.default_rng(5).integers(0, 256, (6, SIZES[0])).astype(np.uint8)
    outputs = device.outputs(x)
    couplings = [w * weights(chips, k) for k, w in enumerate((0.3, 0.2))]
    for sample, seen in zip(x, outputs, strict=True):
        hidden, out = np.zeros(SIZES[1]), np.zeros(SIZES[2])
        for _ in range(SETTINGS.sweeps_free):
            drive = couplings[0] @ np.append(sample / 255, 1.0)
            hidden = np.clip(drive + out @ couplings[1][:, :-1], 0, 1)
            out = np.clip(couplings[1] @ np.append(hidden, 1.0), 0, 1)
        assert np.abs(seen - 255 * out).max() <= 6
    assert chips.misuse == []


def test_pulses_go_to_the_couplings_that_change(bench: Bench) -> None:
    """One sample, learned again and again: its output wins, and no chip is misused."""
    chips, device = bench
    device.configure(SETTINGS.integers(), "maker8x8")
    x = np.full((1, SIZES[0]), 200, np.uint8)
    before = weights(chips, 1).copy()
    for _ in range(60):
        device.learn(SETTINGS.rate(8.0), x, np.array([2], np.uint8), pulses_per_update=4)
    change = (weights(chips, 1) - before).sum(axis=1)
    assert change[2] > 0.2
    assert change[2] > max(change[0], change[1])
    assert device.outputs(x)[0].argmax() == 2
    assert chips.misuse == []
    assert all(chip.misuse == [] for chip in (*chips.dacs, chips.row_adc, chips.column_adc))


def test_what_only_the_emulated_front_end_has_is_refused(bench: Bench) -> None:
    _, device = bench
    config = SETTINGS.integers()
    device.configure(config, "maker8x8")
    with pytest.raises(DeviceError, match="no digest"):
        device.digest(Memory.DEVICES, 1, 0, 4)
    with pytest.raises(DeviceError, match="no such cell"):
        device.flip(False, 0, 1, 0, 0)
    with pytest.raises(DeviceError, match="emulated front end"):
        device.add_stuck(1000)
    with pytest.raises(DeviceError, match="there is no board design other"):
        device.configure(config, "other")
    with pytest.raises(DeviceError, match="cards are needed"):
        device.configure(Settings(sizes=(200, 200, 4)).integers(), "maker8x8")


def test_faults_of_the_bus_are_named(bench: Bench) -> None:
    chips, device = bench
    config = SETTINGS.integers()
    dac = chips.dacs[2]
    chips.bus.remove_i2c(0, 0x62)
    with pytest.raises(DeviceError, match="MCP4728 at 0x62 does not answer"):
        device.configure(config, "maker8x8")
    chips.bus.attach_i2c(0, 0x62, dac)

    chips.bus.remove_spi(0, chips.row_adc)
    with pytest.raises(DeviceError, match="word lines' MCP3208 does not answer"):
        device.configure(config, "maker8x8")
    chips.bus.attach_spi(0, chips.row_adc, maker8x8.PIN_ROW_ADC)

    device.configure(config, "maker8x8")
    chips.bus.remove_spi(0, chips.column_adc)
    with pytest.raises(DeviceError, match="bit lines' MCP3208 does not answer"):
        device.outputs(np.full((1, 10), 255, np.uint8))
    chips.bus.attach_spi(0, chips.column_adc, maker8x8.PIN_COLUMN_ADC)

    device.configure(config, "maker8x8")
    chips.bus.hold_i2c(0)
    with pytest.raises(DeviceError, match="sample 0: the I2C bus is stuck"):
        device.learn(100, np.full((1, 10), 255, np.uint8), np.array([0], np.uint8))
    chips.bus.hold_i2c(0, False)
    device.configure(config, "maker8x8")
    device.outputs(np.zeros((1, 10), np.uint8))


def small_task(folder: Path) -> Path:
    """Three classes of four numbers, far apart."""
    rng = np.random.default_rng(3)
    centres = np.array([[1, 0, 0, 1], [0, 1, 0, 1], [0, 0, 1, 0]])
    rows = [
        [*centres[i % 3] + 0.25 * rng.standard_normal(4), f"k{i % 3}"] for i in range(120)
    ]  # fmt: skip
    path = folder / "small.csv"
    path.write_text("a,b,c,d,y\n" + "\n".join(",".join(map(str, row)) for row in rows) + "\n")
    return path


@pytest.mark.parametrize(
    ("preset", "layers", "epochs"), [("taox_hfox_wu2018", "none", 3), ("cmo_hfox_2025", "8", 5)]
)
def test_a_small_task_is_learned_through_the_chips(
    tmp_path: Path, preset: str, layers: str, epochs: int
) -> None:
    found = tmp_path / "found.json"
    command = ["learn", str(small_task(tmp_path)), "--frontend", "attached", "--design", "maker8x8"]
    command += ["--preset", preset, "--layers", layers, "--epochs", str(epochs)]
    assert main([*command, "--no-baselines", "--quiet", "--json", str(found)]) == 0
    result = json.loads(found.read_text())
    assert result["frontend"] == "attached"
    assert result["preset"] == preset
    assert result["metrics"]["accuracy"] >= 0.9
    assert result["train_curve"][0] < 0.9  # it did not begin there


@pytest.mark.parametrize("design", ["maker8x8", "lab64x64"])
def test_a_small_task_is_learned_while_bits_flip(tmp_path: Path, design: str) -> None:
    found = tmp_path / "found.json"
    command = ["learn", str(small_task(tmp_path)), "--frontend", "attached", "--design", design]
    command += ["--preset", "cmo_hfox_2025", "--layers", "none", "--epochs", "5"]
    command += ["--inject", "flips:0.0005"]
    assert main([*command, "--no-baselines", "--quiet", "--json", str(found)]) == 0
    result = json.loads(found.read_text())
    assert result["metrics"]["accuracy"] >= 0.9
    assert result["chips"]["repeated"] > 0


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--frontend", "attached", "--board", "twin"], "needs a board"),
        (["--frontend", "attached", "--board", "qemu"], "no SPI and I2C"),
        (["--frontend", "attached", "--design", "other"], "maker8x8"),
        (["--frontend", "attached", "--preset", "harsh"], "taox_hfox_wu2018"),
        (["--frontend", "attached", "--bits", "3"], "--preset"),
        (["--frontend", "attached", "--stuck-after-training", "0.1"], "--stuck-after-training"),
        (["--design", "maker8x8"], "--frontend attached"),
        (["--frontend", "attached", "--device", "read_noise=0"], "--device read_noise can't be"),
        (["--load", "chips"], "--load chips needs --frontend attached"),
        (["--board", "unix:wiring=nothing"], "no board design 'nothing'"),
    ],
)
def test_what_makes_no_sense_is_refused_in_one_line(
    options: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["learn", "digits", *options]) == 2
    error = capsys.readouterr().err
    assert said in error
    assert error.count("\n") == 1


def test_the_bench_measures_reads_and_pulses_beside_the_wires(tmp_path: Path) -> None:
    found = tmp_path / "found.json"
    assert main(["bench", "frontend", "--quiet", "--json", str(found)]) == 0
    rows = json.loads(found.read_text())["frontend"]
    assert [row["what"] for row in rows] == ["read", "learn", "read", "learn"]
    for row in rows:
        # On wires: four DACs of 83 bits at 400 kHz at most, 8 conversions of 40 bits at 2 MHz.
        assert 1 / 0.003 < row["reads_per_s_on_wires"] < 1 / 0.0001
        assert (row["pulses_per_s"] > 0) == (row["what"] == "learn")
