"""Saved states: what goes in comes out, and learning goes on as if nothing had happened."""

import os
from pathlib import Path

import numpy as np
import pytest

from madem.boards.open import open_board
from madem.errors import MademError
from madem.learn.session import prepare
from madem.learners.board import connect
from madem.learners.protocol import Learner
from madem.learners.twin import TwinLearner
from madem.network import file
from madem.network.network import Network
from madem_emulator.twin.config import Config, Rule, Settings
from madem_emulator.twin.presets import PRESETS

RATE = 3000


def config_of(sizes: tuple[int, ...] = (6, 5, 4), **chosen: object) -> Config:
    every: dict = PRESETS["harsh"] | {"sizes": sizes, "seed": 9} | chosen
    return Settings(**every).integers()


def learned(learner: Learner, count: int, seed: int) -> bytes:
    """Answers to some samples that it learns."""
    random = np.random.default_rng(seed)
    x = random.integers(0, 256, (count, learner.config.sizes[0]), np.uint8)
    targets = random.integers(0, learner.config.sizes[-1], count, np.uint8)
    return learner.learn(RATE, x, targets).tobytes()


def asked(learner: Learner, count: int = 30) -> bytes:
    x = np.random.default_rng(4).integers(0, 256, (count, learner.config.sizes[0]), np.uint8)
    return learner.outputs(x).tobytes()


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    """A small saved state."""
    learner = TwinLearner(config_of((2, 2)))
    learned(learner, 5, seed=1)
    path = tmp_path / "small.madem"
    file.save(Network(learner.state()), path)
    return path


def test_a_save_that_fails_leaves_the_old_file(
    saved: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = saved.read_bytes()

    def full_disk(_file: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full_disk)
    with pytest.raises(MademError, match="No space left"):
        file.save(Network(TwinLearner(config_of()).state()), saved)
    assert saved.read_bytes() == before
    assert list(saved.parent.iterdir()) == [saved]


def test_a_twin_goes_on_from_a_file(tmp_path: Path) -> None:
    never_stopped = TwinLearner(config_of())
    learned(never_stopped, 40, seed=1)
    file.save(Network(never_stopped.state()), tmp_path / "it")
    resumed = TwinLearner(config_of((3, 2)))  # replaced by the state's
    resumed.load(file.load(tmp_path / "it").state)
    assert asked(resumed) == asked(never_stopped)
    assert learned(resumed, 40, seed=2) == learned(never_stopped, 40, seed=2)
    assert resumed.state() == never_stopped.state()
    assert resumed.state().steps == 80


@pytest.mark.needs("unix")
def test_a_fresh_board_goes_on_where_another_stopped(tmp_path: Path) -> None:
    path = tmp_path / "it"
    with open_board("unix") as board:
        first = connect(board)
        first.configure(config_of((9, 30, 4), rule=Rule.ONE_SIDED))
        learned(first, 100, seed=1)
        file.save(Network(first.state()), path)
        outputs = asked(first)
        answers = learned(first, 100, seed=2)  # never stopped
        final, final_outputs = first.state(), asked(first)
    with open_board("unix:heap=128K") as board:
        second = connect(board)
        second.load(file.load(path).state)
        assert second.stats().steps == 100
        assert asked(second) == outputs
        assert learned(second, 100, seed=2) == answers
        assert second.state() == final
        assert asked(second) == final_outputs
        # Onto a board that is in the middle of something else, too.
        second.load(file.load(path).state)
        assert asked(second) == outputs
        twin = TwinLearner(second.config)
        twin.load(file.load(path).state)
        assert asked(twin) == outputs
        assert learned(twin, 100, seed=2) == answers


def test_a_resumed_run_has_the_settings_of_its_state(tmp_path: Path) -> None:
    """The rate is worked out from the rule and beta: those of the state, not the default's."""
    from madem.data.registry import load_task
    from madem.learn.train import recipe

    task = load_task("braille-words")
    choice = recipe(
        task, hidden=(7,), beta=0.25, rule=Rule.ONE_SIDED, weight_bits=6, seed=3, rate_scale=(9, 1)
    )
    chosen = choice.settings
    file.save(Network(TwinLearner(chosen.integers()).state()), tmp_path / "it")
    learner, plan = prepare(None, recipe(task), task, file.load(tmp_path / "it"))
    assert learner.config == chosen.integers()
    assert learner.config.weight_bits == 6
    assert plan.settings.sizes == (60, 7, 9)
    # What a scale of 9 allows; and any rate comes out the same.
    assert plan.settings.highest_rate == chosen.highest_rate
    assert plan.settings.rate(plan.settings.highest_rate) == 16383 // 9
    assert plan.settings.rate(0.2) == chosen.rate(0.2) != recipe(task).settings.rate(0.2)
    assert plan.schedule(3) == choice.schedule(3)
    with pytest.raises(MademError, match="60 inputs and 9 outputs, braille needs 96 and 69"):
        prepare(
            None, recipe(load_task("braille")), load_task("braille"), file.load(tmp_path / "it")
        )


@pytest.mark.parametrize("bits", range(2, 9))
def test_the_bits_of_a_device_can_be_told_from_its_step(bits: int) -> None:
    assert config_of(weight_bits=bits).weight_bits == bits
