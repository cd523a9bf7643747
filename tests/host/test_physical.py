"""`--frontend physical`: what the options make of a preset, and learning with it."""

import json
from pathlib import Path

import numpy as np
import pytest

from madem import physical, session
from madem.cli import main
from madem.commands import learn as command
from madem.commands import training
from madem.stream_learner import StreamTwin
from madem_emulator import presets
from madem_emulator.physical.learner import PhysicalTwin


def parse(*words: str):
    import argparse

    parser = argparse.ArgumentParser()
    command.add_options(parser)
    return parser.parse_args(["digits", "--board", "twin", "--frontend", "physical", *words])


def test_options_change_the_preset() -> None:
    args = parse("--preset", "cmo_hfox_2025", "--bits", "4", "--cycle-to-cycle", "0.3")
    device = physical.device_of(args)
    assert device.pulses.pulses_set == device.pulses.pulses_reset == 15
    assert device.cycle_to_cycle.step == pytest.approx(0.3 / 15)
    assert device.read_noise == presets.CMO_HFOX_2025.read_noise
    assert physical.weight_bits(device) == 4
    args = parse("--stuck", "0.1", "--device-to-device", "0.2")
    device = physical.device_of(args)
    assert args.preset == physical.DEFAULT
    assert (device.faults.stuck_low, device.faults.stuck_high) == (0.05, 0.05)
    assert device.device_to_device.step_set == 0.2


@pytest.mark.parametrize("name", presets.ALL)
def test_every_preset_has_a_recipe(name: str) -> None:
    _, plan = training.make_plan(parse("--preset", name))
    assert plan.device == presets.get(name)
    learner, _ = session.prepare(None, plan, training.make_plan(parse())[0], None)
    assert isinstance(learner.twin, PhysicalTwin)  # type: ignore[union-attr]


def test_streams_reach_the_physical_array() -> None:
    args = parse("--epochs", "1")
    args.task = "motions"
    task, plan = training.make_plan(args)
    learner, _ = session.prepare(None, plan, task, None)
    assert isinstance(learner, StreamTwin)
    assert isinstance(learner.network.twin, PhysicalTwin)


@pytest.mark.parametrize(
    ("task", "epochs", "least"), [("digits", "2", 0.9), ("braille-words", "6", 0.4)]
)
def test_learn(task: str, epochs: str, least: float, tmp_path: Path) -> None:
    report = tmp_path / "r.json"
    words = ["learn", task, "--board", "twin", "--frontend", "physical", "--epochs", epochs]
    assert main([*words, "--no-baselines", "--quiet", "--json", str(report)]) == 0
    found = json.loads(report.read_text())
    assert (found["frontend"], found["preset"]) == ("physical", physical.DEFAULT)
    # Guessing scores 0.1.
    assert found["metrics"]["accuracy"] > least


def test_strike_and_recover(tmp_path: Path) -> None:
    report = tmp_path / "r.json"
    words = ["learn", "digits", "--board", "twin", "--frontend", "physical", "--epochs", "2"]
    more = ["--strike", "0.2", "--strike-epochs", "1", "--no-baselines", "--quiet"]
    assert main([*words, *more, "--json", str(report)]) == 0
    twin = PhysicalTwin(training.make_plan(parse())[1].settings.integers(), presets.IDEAL)
    before = twin.conductances
    twin.strike(0x4000)
    ends = [np.isin(g, (presets.IDEAL.g_min, presets.IDEAL.g_max)) for g in twin.conductances]
    share = np.concatenate([e.ravel() for e in ends]).mean()
    assert share == pytest.approx(0.25, abs=0.03)
    for was, now, end in zip(before, twin.conductances, ends, strict=True):
        np.testing.assert_array_equal(was[~end], now[~end])


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--board", "unix"], "--board twin"),
        (["--preset", "harsh"], "taox_64x64_he2026"),
        (["--save", "x.madem"], "--save"),
        (["--stuck", "2"], "--stuck"),
        (["--bits", "40"], "--bits"),
        (["--cycle-to-cycle", "-1"], "step"),
        (["--frontend", "emulated", "--preset", "cmo_hfox_2025"], "--frontend physical"),
    ],
)
def test_what_does_not_fit_is_refused(
    words: list[str], says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    line = ["learn", "digits", "--board", "twin", "--frontend", "physical", *words]
    assert main(line) == 2
    error = capsys.readouterr().err
    assert says in error
    assert error.count("\n") == 1
