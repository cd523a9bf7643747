"""Boards that decide what to learn: board and twin do the same, and a difference is named."""

from collections.abc import Iterator

import numpy as np
import pytest

from madem.data import motions
from madem.data.stream_task import StreamTask
from madem.errors import DeviceError
from madem.learn import session, train
from madem.learners.board import BoardLearner
from madem.learners.gated import GatedBoard, GatedLockStep, GatedTwin
from madem.verify.lock_step import DiffersError
from madem_emulator.twin.gated import FULL, GateSettings

PIPELINE = "window=32 hop=16 | mean energy minmax bands:2 | norm:5"
GATE = GateSettings(gate=60, at_most=50, fade=3, drop=FULL // 10, every=25)
RATE = 4000


@pytest.fixture(scope="module")
def device() -> Iterator[BoardLearner]:
    with session.open_learner("unix") as found:
        assert found is not None
        yield found


@pytest.fixture(scope="module")
def task() -> StreamTask:
    return motions.load(1, PIPELINE)


@pytest.fixture
def configured(device: BoardLearner, task: StreamTask) -> BoardLearner:
    device.configure(train.recipe(task, hidden=(8,), seed=3).settings.integers())
    return device


def stream(task: StreamTask, windows: int) -> tuple[np.ndarray, np.ndarray]:
    """Windows of the training segments and their labels, wrong from the 80th to the 99th."""
    parts = [task.feed.train_pass(k) for k in range(-(-windows // task.samples_per_pass))]
    x = np.concatenate([part.x for part in parts])[:windows]
    labels = np.concatenate([part.target for part in parts])[:windows].astype(np.int64)
    labels[80:100] = (labels[80:100] + 1) % 4
    return x, labels


def test_board_and_twin_judge_alike(configured: BoardLearner, task: StreamTask) -> None:
    found = []
    x, labels = stream(task, 160)
    for learner in (GatedBoard(configured, task), GatedTwin(configured.config, task)):
        learner.set_gate(GATE)
        judged = learner.judge(RATE, x, labels)
        found.append((judged, learner.status(), learner.state(), learner.state().notes))
    assert found[0] == found[1]
    judged, status, state, _ = found[0]
    assert status.learned == sum(window.learned for window in judged) < 130
    assert status.rollbacks == sum(window.rolled_back for window in judged) >= 1
    assert any(window.checkpointed for window in judged)
    assert state.steps == 160


def test_lock_step_of_a_gated_run(configured: BoardLearner, task: StreamTask) -> None:
    lock = GatedLockStep(configured, task)
    x, labels = stream(task, 120)
    lock.set_gate(GATE)
    judged = lock.judge(RATE, x, labels)
    assert {window.learned for window in judged} == {True, False}
    assert lock.steps == 120
    kept = lock.checkpoint()
    assert kept.checkpoint_at == 120
    lock.judge(RATE, x[:8], labels[:8])
    assert lock.rollback().rollbacks == kept.rollbacks + 1
    assert lock.status().steps == 128


def test_lock_step_finds_a_board_that_decides_otherwise(
    configured: BoardLearner, task: StreamTask
) -> None:
    lock = GatedLockStep(configured, task)
    x, labels = stream(task, 60)
    lock.set_gate(GateSettings(gate=60))
    lock._board.set_gate(GateSettings(gate=0))
    with pytest.raises(DiffersError):
        lock.judge(RATE, x, labels)


def test_lock_step_finds_a_flipped_weight(configured: BoardLearner, task: StreamTask) -> None:
    lock = GatedLockStep(configured, task)
    lock.set_gate(GateSettings())
    configured.flip(False, 5, 1, 40, 3)
    with pytest.raises(DiffersError) as error:
        lock.judge(RATE, *stream(task, 10))
    assert (error.value.mismatch.step, error.value.mismatch.phase) == (5, "weights")


def test_a_board_without_a_copy_does_not_go_back(
    configured: BoardLearner, task: StreamTask
) -> None:
    learner = GatedBoard(configured, task)
    with pytest.raises(DeviceError, match="send GATE's settings first"):
        learner.status()
    learner.set_gate(GateSettings())
    with pytest.raises(DeviceError, match="nothing has been kept"):
        learner.rollback()
