"""Devices that get stuck in mid-life: what is asked for, what it costs, and how it is reported."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from madem import cli
from madem.data.registry import load_task
from madem.errors import TaskError
from madem.learn.report import stuck_line
from madem.learn.train import StuckAfterTraining, check_faults, evaluate, recipe, recover, train
from madem.learners.twin import TwinLearner
from madem.network import file
from madem_emulator.twin.config import Settings


def test_a_network_with_stuck_devices_learns_on() -> None:
    task = load_task("digits")
    plan = recipe(task, hidden=(16,), epochs=1)
    learner = TwinLearner(plan.settings.integers())
    result = train(learner, task, plan)
    result.metrics = evaluate(learner, task)
    seen: list[int] = []
    after = recover(
        learner, task, plan, StuckAfterTraining(0.2, epochs=1), result, progress=seen.append
    )

    assert after.stuck_after_training is not None
    before, stuck = (after.stuck_after_training[name]["accuracy"] for name in ("before", "stuck"))
    assert before == result.metrics["accuracy"] > stuck + 0.1
    assert after.metrics["accuracy"] > stuck + 0.1
    assert after.samples == 2 * task.samples_per_pass == learner.twin.steps
    assert sum(seen) == task.samples_per_pass
    assert len(after.train_curve) == 2
    assert learner.state().config.stuck == 13107, "a saved state knows of it"
    stuck = learner.twin._memristors.stuck
    assert stuck.mean() == pytest.approx(0.2, abs=0.02)


def test_learning_on_has_the_pace_of_the_middle() -> None:
    plan = recipe(load_task("digits"), weight_bits=6)
    on = replace(plan, epochs=5, earlier=10)
    assert [on.schedule(k) for k in range(5)] == [plan.schedule(k) for k in range(10, 15)]


@pytest.mark.parametrize(
    ("faults", "told"),
    [
        (StuckAfterTraining(0.0), "stuck-after-training is 0.0, but must be above 0 and at most 1"),
        (StuckAfterTraining(1.5), "stuck-after-training is 1.5, but must be above 0 and at most 1"),
        (
            StuckAfterTraining(0.1),
            "is 0.1, but 0.1 of the devices are stuck already",
        ),
        (StuckAfterTraining(0.2, epochs=-1), "passes of learning on are -1"),
    ],
)
def test_faults_that_can_not_be(faults: StuckAfterTraining, told: str) -> None:
    with pytest.raises(TaskError, match=told):
        check_faults(faults, Settings(sizes=(3, 2), stuck=0.1).integers())


def test_the_line_tells_before_stuck_and_recovered() -> None:
    faults = {"share": 0.1, "epochs": 5, "before": {"accuracy": 0.98}, "stuck": {"accuracy": 0.7}}
    line = "10 % of the devices stuck: accuracy 98.0 % before, 70.0 % right after, 97.0 % recovered"
    assert stuck_line(faults, {"accuracy": 0.97}) == line
    words = [{"exact_word": {"0.10": a, "0.20": b}} for a, b in ((1.0, 0.9), (0.6, 0.4), (1, 0.8))]
    line = stuck_line({"share": 0.05, "before": words[0], "stuck": words[1]}, words[2])
    assert line.endswith("words recalled 95.0 % before, 50.0 % right after, 90.0 % recovered")


@pytest.fixture
def flowers(tmp_path: Path) -> Path:
    rows = [f"{k % 3},{k % 5},{k % 7},{'ab'[k % 3 == 0]}" for k in range(60)]
    path = tmp_path / "flowers.csv"
    path.write_text("x,y,z,kind\n" + "\n".join(rows) + "\n")
    return path


def test_devices_get_stuck_after_training_on_the_command_line(
    flowers: Path, tmp_path: Path, capsys
) -> None:
    run = ["learn", str(flowers), "--board", "twin", "--epochs", "1", "--no-baselines"]
    run += ["--seed", "7", "--layers", "4"]
    found, saved = tmp_path / "run.json", tmp_path / "it.madem"
    faults = ["--stuck-after-training", "0.3,2"]
    assert cli.main([*run, *faults, "--json", str(found), "--save", str(saved)]) == 0
    assert "30 % of the devices stuck: accuracy" in capsys.readouterr().out
    facts = json.loads(found.read_text())
    assert facts["stuck_after_training"]["share"] == 0.3
    assert (
        set(facts["stuck_after_training"]["before"])
        == set(facts["stuck_after_training"]["stuck"])
        == set(facts["metrics"])
    )
    assert facts["samples_seen"] == 3 * 48
    assert file.load(saved).state.config.stuck == 19661
    # Tested on the split of the state's seed, and no other.
    again = ["learn", str(flowers), "--board", "twin", "--epochs", "0", "--no-baselines"]
    assert cli.main([*again, "--load", str(saved), "--json", str(found)]) == 0
    loaded = json.loads(found.read_text())
    assert loaded["data"]["seed"] == loaded["seed"] == 7
    assert loaded["metrics"] == facts["metrics"]


@pytest.mark.parametrize(
    "option",
    [
        *("--layers 8", "--bits 4", "--beta 1", "--rule centred", "--preset default", "--seed 1"),
        "--device stuck=0",
    ],
)
def test_what_a_state_settles_is_refused_beside_it(option: str, capsys) -> None:
    assert cli.main(["learn", "digits", "--load", "it.madem", *option.split()]) == 2
    name = option.split()[0]
    told = f"madem: {name} can't be used with --load: the saved network settles it\n"
    assert capsys.readouterr().err == told


def test_devices_of_board_and_twin_get_stuck_alike(flowers: Path, capsys) -> None:
    arguments = [
        "verify",
        str(flowers),
        "--samples",
        "60",
        "--stuck-after-training",
        "0.2",
        "--bits",
        "6",
    ]
    assert cli.main(arguments) == 0
    assert "120 steps" in capsys.readouterr().out
