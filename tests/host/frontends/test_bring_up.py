"""Bring-up of a board of chips: what works passes, and what is broken is named with what to do."""

import json
import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from madem.cli import main
from madem.doctor import Check
from madem.frontends import bring_up
from madem.learners.board import BoardLearner, connect
from madem_emulator.designs import faults, maker8x8
from madem_emulator.physical import presets
from madem_emulator.physical.crossbar import Crossbar

from ..conftest import board_with

pytestmark = pytest.mark.needs("unix")

KIND = presets.TAOX_HFOX_WU2018
STEPS = [
    *("chips", "zeros", "word lines", "bit lines"),
    *("both ways", "devices", "linear", "pulse"),
]


class Changing(faults.BoardFaults):
    """Faults that come and go."""

    def become(self, *wanted: str) -> None:
        self._faults = tuple(faults.parse(each) for each in wanted)
        self._held.clear()


Bench = tuple[maker8x8.Maker8x8, Changing, BoardLearner]


@pytest.fixture(scope="module")
def bench(
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Bench]:
    """Real firmware on a board whose chips this process holds."""
    injected = Changing()
    chips = maker8x8.Maker8x8(KIND, 3, injected)
    with board_with(chips.bus, tmp_path_factory.mktemp("flash")) as opened:
        yield chips, injected, connect(opened, deploy_firmware=True)


def steps(device: BoardLearner, card: int = 0) -> list[Check]:
    return list(bring_up.examine(device, "maker8x8", KIND, card))


def failure(device: BoardLearner, card: int = 0) -> Check:
    """The step that fails: the last one, and the only one."""
    found = steps(device, card)
    assert all(check.ok for check in found[:-1])
    assert not found[-1].ok
    assert found[-1].remedy
    return found[-1]


def test_a_board_in_order_passes_every_step(bench: Bench) -> None:
    chips, _, device = bench
    g = 1e6 * chips.card(0).conductances
    found = steps(device)
    assert [check.name for check in found] == STEPS
    assert all(check.ok for check in found), found
    assert chips.misuse == []
    said = found[5].detail.split()
    assert float(said[3]) == pytest.approx(g.min(), abs=0.2)
    assert float(said[5]) == pytest.approx(g.max(), abs=0.2)


@pytest.mark.parametrize(
    ("fault", "step", "said"),
    [
        ("dead:r3", "word lines", "word line 3 gives no current"),
        ("dead:c4", "bit lines", "bit line 4 gives no current"),
        ("gain:c3:1.3", "both ways", r"bit line 3 reads 1\.(29|30|31) times"),
        ("gain:r6:0.7", "both ways", r"word line 6 reads 0\.(69|70|71) times"),
        ("swap:c2:c5", "both ways", "bit lines 2 and 5 are swapped"),
        ("swap:r1:r6", "both ways", "word lines 1 and 6 are swapped"),
        ("open:2.r3.c2", "devices", "row 3, column 2 has 0.0 µS"),
        ("short:3.r3.c2", "devices", "row 3, column 2 is a short"),
        ("stuck:4.r7.c7", "pulse", "row 7, column 7: .* does not follow"),
    ],
)
def test_faults_of_lines_and_devices_are_named(
    bench: Bench, fault: str, step: str, said: str
) -> None:
    _, injected, device = bench
    injected.become(fault)
    on_card = re.search(r"(\d)\.r", fault)  # which stays broken
    found = failure(device, card=int(on_card[1]) if on_card else 1)
    injected.become()
    assert found.name == step
    assert re.search(said, found.detail), found.detail


@pytest.mark.parametrize(
    ("problem", "step", "said", "remedy"),
    [
        ("no DAC", "chips", "MCP4728 at 0x62 does not answer", "SDA on GP4"),
        ("no ADC", "chips", "the word lines' MCP3208 does not answer", "GP17 the word lines'"),
        ("stuck", "chips", "the I2C bus is stuck", "pull-ups to both"),
        ("no VMID", "chips", r"line 5 reads code \d+ without current", "VMID"),
        ("noise", "zeros", r"noise of σ = \d+\.\d codes", "decoupling"),
        ("offset", "zeros", r"word line \d is [+-]\d+\.\d codes off its zero", "switches"),
        ("one-sided", "linear", "at negative activity gives -?0.00 of full, not 1.00", "VMID"),
        ("neighbour", "pulse", r"row 0, column 4 moved by \+0\.\d+ windows", "VMID in a pulse"),
    ],
)
def test_faults_of_chips_and_levels_are_named(
    bench: Bench,
    monkeypatch: pytest.MonkeyPatch,
    problem: str,
    step: str,
    said: str,
    remedy: str,
) -> None:
    chips, injected, device = bench
    adc, dac = chips.row_adc, chips.dacs[2]
    read = adc._volts
    if problem == "no DAC":
        chips.bus.remove_i2c(0, 0x62)
    elif problem == "no ADC":
        chips.bus.remove_spi(0, adc)
    elif problem == "stuck":
        chips.bus.hold_i2c(0)
    elif problem == "no VMID":
        monkeypatch.setattr(adc, "_volts", lambda line: read(line) - 0.2 * (line == 5))
    elif problem == "noise":
        monkeypatch.setattr(maker8x8, "ADC_NOISE", 0.005)
    elif problem == "offset":
        monkeypatch.setattr(injected, "driven", lambda columns, volts: volts + 0.02 * columns)
    elif problem == "one-sided":
        monkeypatch.setattr(injected, "driven", lambda _, volts: np.maximum(volts, 0.0))
    else:
        monkeypatch.setattr(chips.bus, "_watchers", dict(chips.bus._watchers))
        chips.bus._watchers[maker8x8.PIN_PULSE] = [
            *chips.bus._watchers[maker8x8.PIN_PULSE],
            lambda level: nudge(chips.card(5)) if level else None,
        ]
    chips._noise.clear()
    found = failure(device, card=5)
    monkeypatch.undo()
    chips._noise.clear()
    chips.bus.hold_i2c(0, False)
    if problem == "no DAC":
        chips.bus.attach_i2c(0, 0x62, dac)
    elif problem == "no ADC":
        chips.bus.attach_spi(0, adc, maker8x8.PIN_ROW_ADC)
    assert found.name == step
    assert re.search(said, found.detail), found.detail
    assert found.remedy is not None
    assert remedy in found.remedy


def nudge(card: Crossbar) -> None:
    changed = card.conductances
    changed[0, 4] += 0.005 * KIND.window
    card.conductances = changed


def test_the_card_of_resistors_is_what_the_page_says(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found = tmp_path / "found.json"
    command = ["doctor", "--frontend", "attached", "--resistors"]
    assert main([*command, "--quiet", "--json", str(found)]) == 0
    checks = {check["name"]: check for check in json.loads(found.read_text())["checks"]}
    assert list(checks) == ["board", *STEPS]
    # Word line 0 has eight of 248 codes, word line 7 one of them and seven of 25.
    low, high = re.findall(r"\d+", checks["word lines"]["detail"])[1:]
    assert int(low) == pytest.approx(248 + 7 * 25, abs=10)
    assert int(high) == pytest.approx(8 * 248, abs=20)
    assert "a resistor stays" in checks["pulse"]["detail"]

    assert main([*command, "--inject", "open:0.r3.c2"]) == 1
    said = capsys.readouterr().out
    assert "failed   devices           row 3, column 2 is open, not 1.00 MΩ" in said


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--resistors"], "--resistors needs --frontend attached"),
        (["--board", "qemu"], "--board needs --frontend attached"),
        (["--frontend", "attached", "--design", "other"], "maker8x8"),
        (["--frontend", "attached", "--preset", "harsh"], "taox_hfox_wu2018"),
        (["--frontend", "attached", "--card", "256"], "0 to 255"),
        (["--frontend", "attached", "--board", "qemu"], "no SPI and I2C"),
        (["--frontend", "attached", "--board", "twin"], "the twin has no chips"),
        (["--frontend", "attached", "--inject", "moths"], "--inject"),
    ],
)
def test_what_makes_no_sense_is_refused_in_one_line(
    options: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["doctor", *options]) == 2
    error = capsys.readouterr().err
    assert said in error
    assert error.count("\n") == 1
