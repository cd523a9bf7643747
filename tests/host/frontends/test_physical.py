"""`--frontend physical`: what the options make of a preset, and learning with it."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from madem.cli import main
from madem.commands import learn as command
from madem.commands import training
from madem.commands.terminal import Terminal
from madem.frontends import physical
from madem.learn import session
from madem.learners.twin import TwinLearner
from madem.network import file
from madem.network.network import Network
from madem_emulator import presets
from madem_emulator.physical.device import TelegraphNoise
from madem_emulator.physical.learner import PhysicalTwin
from madem_emulator.twin.config import Settings


def parse(*words: str):
    import argparse

    parser = argparse.ArgumentParser()
    command.add_options(parser)
    return parser.parse_args(["digits", "--board", "twin", "--frontend", "physical", *words])


def test_options_change_the_preset() -> None:
    args = parse("--preset", "cmo_hfox_2025", "--bits", "4", "--device", "cycle_to_cycle=0.3")
    device = physical.device_of(args.preset, args.bits, args.device)
    assert device.pulses.pulses_set == device.pulses.pulses_reset == 15
    assert device.cycle_to_cycle.step == pytest.approx(0.3 / 15)
    assert device.read_noise == presets.CMO_HFOX_2025.read_noise
    assert physical.weight_bits(device) == 4
    args = parse("--device", "stuck=0.1,device_to_device=0.2")
    device = physical.device_of(physical.DEFAULT, args.bits, args.device)
    assert (device.faults.stuck_low, device.faults.stuck_high) == (0.05, 0.05)
    assert device.device_to_device.step_set == 0.2


@pytest.mark.parametrize("name", presets.ALL)
def test_every_preset_has_a_recipe(name: str) -> None:
    args = parse("--preset", name)
    task = training.load(args, Terminal(quiet=True))
    plan = training.recipe(args, task)
    assert plan.device == presets.get(name)
    learner, _ = session.prepare(None, plan, task, None)
    assert isinstance(learner.twin, PhysicalTwin)  # type: ignore[union-attr]


def test_streams_reach_the_physical_array() -> None:
    args = parse("--epochs", "1")
    args.task = ["motions"]
    task = training.load(args, Terminal(quiet=True))
    plan = training.recipe(args, task)
    learner, _ = session.prepare(None, plan, task, None)
    assert isinstance(learner, TwinLearner)
    assert isinstance(learner.twin, PhysicalTwin)


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


def test_devices_get_stuck_after_training(tmp_path: Path) -> None:
    report = tmp_path / "r.json"
    words = ["learn", "digits", "--board", "twin", "--frontend", "physical", "--epochs", "2"]
    more = ["--stuck-after-training", "0.2,1", "--no-baselines", "--quiet"]
    assert main([*words, *more, "--json", str(report)]) == 0
    args = parse()
    plan = training.recipe(args, training.load(args, Terminal(quiet=True)))
    twin = PhysicalTwin(plan.settings.integers(), presets.IDEAL)
    before = twin.conductances
    twin.add_stuck(0x4000)
    ends = [np.isin(g, (presets.IDEAL.g_min, presets.IDEAL.g_max)) for g in twin.conductances]
    share = np.concatenate([e.ravel() for e in ends]).mean()
    assert share == pytest.approx(0.25, abs=0.03)
    for was, now, end in zip(before, twin.conductances, ends, strict=True):
        np.testing.assert_array_equal(was[~end], now[~end])


LEARN = ["learn", "digits", "--board", "twin", "--frontend", "physical", "--epochs", "1"]


def test_save_and_go_on(tmp_path: Path) -> None:
    """The second command goes on with the same devices, and knows the first one's options."""
    options = [
        "--preset",
        "cmo_hfox_2025",
        "--device",
        "stuck=0.1",
        "--bits",
        "5",
        "--no-baselines",
    ]
    save, again = tmp_path / "a.madem", tmp_path / "b.madem"
    assert main([*LEARN, *options, "--no-baselines", "--quiet", "--save", str(save)]) == 0
    network = file.load(save)
    first = network.state
    assert network.notes["device"]["stuck"] == 0.1
    report = tmp_path / "r.json"
    more = ["--load", str(save), "--save", str(again), "--no-baselines", "--quiet"]
    assert main([*LEARN, *more, "--json", str(report)]) == 0
    assert json.loads(report.read_text())["preset"] == "cmo_hfox_2025"
    second = file.load(again).state
    assert second.steps == 2 * first.steps
    assert file.load(again).notes["device"] == network.notes["device"]
    assert first.physical is not None
    assert second.physical is not None
    stuck = first.physical["stuck"]
    assert stuck.mean() == pytest.approx(0.1, abs=0.03)
    np.testing.assert_array_equal(second.physical["stuck"], stuck)
    np.testing.assert_array_equal(second.physical["g"][stuck], first.physical["g"][stuck])
    assert (second.physical["g"] != first.physical["g"]).mean() > 0.2


@given(data=st.data())
@settings(max_examples=4, deadline=None)
def test_a_network_from_a_file_goes_on_as_if_it_had_never_stopped(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    """Bit for bit, for every sort of device, wherever it was stopped."""
    path = tmp_path_factory.mktemp("state") / "it"
    device = replace(
        data.draw(st.sampled_from(sorted(presets.ALL.values(), key=lambda d: d.name))),
        telegraph=TelegraphNoise(fraction=0.3, amplitude=0.1),
    )
    config = Settings(sizes=(6, 5, 3), seed=7).integers()
    x = np.random.default_rng(2).integers(0, 256, (40, 6)).astype(np.uint8)
    y = np.arange(40, dtype=np.uint8) % 3
    stop = data.draw(st.integers(0, 39))

    def start() -> TwinLearner:
        learner = TwinLearner(config)
        learner.twin = PhysicalTwin(config, device)
        return learner

    whole, part, resumed = start(), start(), start()
    whole.learn(9000, x, y)
    part.learn(9000, x[:stop], y[:stop])
    file.save(Network(part.state()), path)
    resumed.load(file.load(path).state)
    resumed.learn(9000, x[stop:], y[stop:])
    for learner in (whole, resumed):
        assert isinstance(learner.twin, PhysicalTwin)
        learner.twin.wait(10.0)
    np.testing.assert_array_equal(resumed.outputs(x), whole.outputs(x))
    after, expected = resumed.state(), whole.state()
    assert after == expected
    assert after.physical is not None
    assert expected.physical is not None
    for name, array in expected.physical.items():
        np.testing.assert_array_equal(after.physical[name], array)


def test_a_state_of_the_other_front_end_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    emulated, siemens = tmp_path / "e.madem", tmp_path / "p.madem"
    config = Settings(sizes=(64, 32, 10)).integers()
    learner = TwinLearner(config)
    file.save(Network(learner.state()), emulated)
    learner.twin = PhysicalTwin(config, presets.get(physical.DEFAULT))
    file.save(Network(learner.state()), siemens)
    assert main([*LEARN, "--quiet", "--load", str(emulated)]) == 2
    assert "learned with --frontend emulated" in capsys.readouterr().err
    words = ["learn", "digits", "--board", "twin", "--quiet", "--load", str(siemens)]
    assert main(words) == 2
    assert "learned with --frontend physical" in capsys.readouterr().err
    other = [*LEARN, "--quiet", "--load", str(siemens), "--preset", "cmo_hfox_2025"]
    assert main(other) == 2
    assert "the saved network settles it" in capsys.readouterr().err
    # A hand-made mix: the notes name a preset whose devices have more to remember.
    wrong = file.load(siemens)
    file.save(replace(wrong, notes=wrong.notes | {"preset": "cmo_hfox_2025"}), siemens)
    assert main([*LEARN, "--quiet", "--load", str(siemens)]) == 2
    assert "the state is one of other devices" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--board", "unix"], "--board twin"),
        (["--preset", "harsh"], "taox_64x64_he2026"),
        (["--device", "stuck=2"], "stuck is 2"),
        (["--bits", "40"], "--bits"),
        (["--device", "cycle_to_cycle=-1"], "step"),
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
