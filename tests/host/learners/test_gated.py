"""Boards that decide what to learn: board and twin do the same, and a difference is named."""

from collections.abc import Iterator

import numpy as np
import pytest

from madem.boards.link_protocol import GateRequest
from madem.data import motions
from madem.data.stream_task import StreamTask, StreamWindows
from madem.errors import DeviceError
from madem.learn import session, train
from madem.learners.board import BoardLearner
from madem.learners.gated import GatedLearner
from madem.learners.stream import BoardStream
from madem.learners.twin import TwinLearner
from madem.verify.lock_step import DiffersError, LockStep
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


def stream(task: StreamTask, windows: int) -> tuple[StreamWindows, np.ndarray]:
    """Windows of the training segments and their labels, wrong from the 80th to the 99th."""
    passes = range(-(-windows // task.samples_per_pass))
    order = np.concatenate([task.order(k) for k in passes])[:windows]
    labels = task.y_train[order]
    labels[80:100] = (labels[80:100] + 1) % 4
    return task.windows[order], labels


def lock_step(configured: BoardLearner, task: StreamTask) -> LockStep:
    return LockStep(BoardStream(configured, task.pipeline))


def test_board_and_twin_judge_alike(configured: BoardLearner, task: StreamTask) -> None:
    found = []
    x, labels = stream(task, 160)
    board = BoardStream(configured, task.pipeline)
    for engine in (board, TwinLearner(configured.config, task.pipeline)):
        learner = GatedLearner(engine, GATE)
        judged = learner.judge(RATE, x, labels)
        found.append((judged, learner.status(), engine.state(), engine.state().notes))
    assert found[0] == found[1]
    judged, status, state, _ = found[0]
    assert status.learned == sum(window.learned for window in judged) < 130
    assert status.rollbacks == sum(window.rolled_back for window in judged) >= 1
    assert any(window.checkpointed for window in judged)
    assert state.steps == 160


def test_lock_step_of_a_gated_run(configured: BoardLearner, task: StreamTask) -> None:
    lock = lock_step(configured, task)
    x, labels = stream(task, 120)
    learner = GatedLearner(lock, GATE)
    judged = learner.judge(RATE, x, labels)
    assert {window.learned for window in judged} == {True, False}
    assert lock.steps == 120
    kept = learner.checkpoint()
    assert kept.checkpoint_at == 120
    learner.judge(RATE, x[:8], labels[:8])
    assert learner.rollback().rollbacks == kept.rollbacks + 1
    assert learner.status().steps == 128


def test_lock_step_finds_a_board_that_decides_otherwise(
    configured: BoardLearner, task: StreamTask
) -> None:
    lock = lock_step(configured, task)
    x, labels = stream(task, 60)
    learner = GatedLearner(lock, GateSettings(gate=60))
    GatedLearner(lock.board, GateSettings(gate=0))
    with pytest.raises(DiffersError):
        learner.judge(RATE, x, labels)


def test_lock_step_finds_a_flipped_weight(configured: BoardLearner, task: StreamTask) -> None:
    learner = GatedLearner(lock_step(configured, task), GateSettings())
    configured.flip(False, 5, 1, 40, 3)
    with pytest.raises(DiffersError) as error:
        learner.judge(RATE, *stream(task, 10))
    assert (error.value.mismatch.step, error.value.mismatch.phase) == (5, "weights")


def test_a_board_without_a_copy_does_not_go_back(
    configured: BoardLearner, task: StreamTask
) -> None:
    with pytest.raises(DeviceError, match="send GATE's settings first"):
        configured.ask_gate(GateRequest.ASK)
    learner = GatedLearner(configured, GateSettings())
    with pytest.raises(DeviceError, match="there is no checkpoint"):
        learner.rollback()
