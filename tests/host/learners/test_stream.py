"""Learning from raw streams: board and twin do the same, and a difference is found and named."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from madem.boards.link_protocol import Flag, Mode
from madem.data import motions
from madem.data.stream_task import StreamTask, WindowSamples
from madem.errors import TaskError
from madem.learn import session, train
from madem.learners.board import BoardLearner
from madem.learners.novelty import NoveltyDetector
from madem.learners.protocol import Presentation
from madem.learners.stream import BoardStream
from madem.learners.twin import TwinLearner
from madem.network import file
from madem.network.from_task import from_task
from madem.network.network import Network
from madem.verify.lock_step import DiffersError, LockStep
from madem_emulator.twin.config import Settings
from madem_emulator.twin.features import TwinFeatures

PIPELINE = "window=32 hop=16 | mean energy minmax bands:2 | norm:5"


@pytest.fixture(scope="module")
def device() -> Iterator[BoardLearner]:
    with session.open_learner("unix") as found:
        assert found is not None
        yield found


@pytest.fixture(scope="module")
def task() -> StreamTask:
    return motions.load(1, PIPELINE)


def plan_of(task: StreamTask) -> train.Recipe:
    return train.recipe(task, hidden=(8,), epochs=1, seed=3)


def test_board_and_twin_end_in_the_same_state(device: BoardLearner, task: StreamTask) -> None:
    plan = plan_of(task)
    ends = []
    for board in (device, None):
        learner, _ = session.prepare(board, plan, task, None)
        result = train.train(learner, task, plan, limit=100)
        ends.append((learner.state(), result.train_curve, train.evaluate(learner, task)))
    (one, *results), (other, *others) = ends
    assert one == other
    assert one.notes == other.notes
    assert one.notes["pipeline"] == PIPELINE
    assert results == others
    assert one.steps == 100


def test_small_frames_make_no_difference(device: BoardLearner, task: StreamTask) -> None:
    plan = plan_of(task)
    found = []
    for room in (1000, 7):
        learner, _ = session.prepare(device, plan, task, None)
        assert isinstance(learner, BoardStream)
        learner._room = room
        train.train(learner, task, plan, limit=24)
        found.append(learner.state())
    assert found[0] == found[1]
    assert found[0].notes == found[1].notes


def test_a_window_is_answered_alike_whatever_came_before(
    device: BoardLearner, task: StreamTask
) -> None:
    """With the normalisation as it is; novelty is scored alike, too."""
    plan = plan_of(task)
    config = replace(plan.settings, read_noise=0.1).integers()
    device.configure(config)
    board, twin = BoardStream(device, task.pipeline), TwinLearner(config, task.pipeline)
    windows, targets = task.feed.train_pass(0)
    for learner in (board, twin):
        learner.learn(1000, windows[:30], targets[:30])
    size = task.pipeline.window, task.pipeline.channels
    cut = np.random.default_rng(1).integers(-900, 900, (8, *size), np.int16)
    shown = [WindowSamples(samples, True) for samples in cut]
    alone = [board.outputs([window])[0].tolist() for window in shown]
    assert len({*map(tuple, alone)}) == 8
    for order in ([*range(8)], [3, 3, 0, 7], [*range(7, -1, -1)]):
        asked = [shown[k] for k in order]
        assert board.outputs(asked).tolist() == [alone[k] for k in order]
        assert twin.outputs(asked).tolist() == [alone[k] for k in order]
        told = board.present(asked, [0] * len(asked), Presentation(Mode.PREDICT))
        assert [reply.answer for reply in told] == [int(np.argmax(alone[k])) for k in order]


def test_novelty_is_scored_alike_whatever_came_before(
    device: BoardLearner, task: StreamTask
) -> None:
    inputs = task.pipeline.inputs
    config = Settings(sizes=(inputs, 9, inputs), one_hot=False, read_noise=0.1).integers()
    device.configure(config)
    size = task.pipeline.window, task.pipeline.channels
    cut = np.random.default_rng(1).integers(-900, 900, (6, *size), np.int16)
    shown = [WindowSamples(samples, True) for samples in cut]
    board, twin = BoardStream(device, task.pipeline), TwinLearner(config, task.pipeline)
    for engine in (board, twin):
        detector = NoveltyDetector(engine)
        detector.learn(1000, shown[:4])
        scores = detector.scores(shown)
        assert detector.scores(shown[::-1]) == scores[::-1]
        assert detector.scores(shown[4:5]) == scores[4:5]


def test_lock_step_agrees_and_counts(device: BoardLearner, task: StreamTask) -> None:
    plan = plan_of(task)
    device.configure(plan.settings.integers())
    lock = LockStep(BoardStream(device, task.pipeline), names=task.feature_names)
    train.train(lock, task, plan, limit=30)
    train.evaluate(lock, task)
    assert lock.steps == 30
    assert lock.compared > 30 * (task.pipeline.inputs + 3 * device.config.couplings)
    assert lock.state().notes["pipeline"] == PIPELINE


def test_lock_step_finds_a_wrong_feature(device: BoardLearner, task: StreamTask) -> None:
    plan = plan_of(task)
    device.configure(plan.settings.integers())
    lock = LockStep(BoardStream(device, task.pipeline), names=task.feature_names)
    windows, targets = task.feed.train_pass(0)
    lock.learn(1000, windows[:6], targets[:6])
    feeder = lock.board
    assert isinstance(feeder, BoardStream)
    words = np.frombuffer(feeder.normalisation(), "<u4").copy()
    words[2 + 2 * 7] = 1 << 21  # the spread of feature 7 on the board alone: its inputs go silent
    feeder.set_normalisation(words.tobytes())
    with pytest.raises(DiffersError) as error:
        lock.learn(1000, windows[6:8], targets[6:8])
    found = error.value.mismatch
    assert (found.step, found.phase, found.layer) == (6, "inputs", 0)
    assert found.cell in (f"unit {unit}, {task.feature_names[unit]}" for unit in (14, 15))


def test_lock_step_finds_a_flipped_weight(device: BoardLearner, task: StreamTask) -> None:
    plan = plan_of(task)
    device.configure(plan.settings.integers())
    device.flip(False, 5, 1, 40, 3)
    lock = LockStep(BoardStream(device, task.pipeline), names=task.feature_names)
    with pytest.raises(DiffersError) as error:
        train.train(lock, task, plan, limit=10)
    assert (error.value.mismatch.step, error.value.mismatch.phase) == (5, "weights")


def test_a_saved_network_goes_on_with_its_normalisation(
    device: BoardLearner, task: StreamTask, tmp_path: Path
) -> None:
    plan = plan_of(task)
    learner, _ = session.prepare(device, plan, task, None)
    train.train(learner, task, plan, limit=60)
    expected = train.evaluate(learner, task)
    file.save(from_task(task, learner.state(), {}), tmp_path / "a.madem")
    for board in (device, None):
        again, _ = session.prepare(board, plan, task, file.load(tmp_path / "a.madem"))
        assert train.evaluate(again, task) == expected
        assert again.state().notes == learner.state().notes
    other = motions.load(1, PIPELINE.replace("norm:5", "norm:6"))
    for board in (device, None):
        with pytest.raises(TaskError, match=r"has learned from window=32 .*norm:5, not from"):
            session.prepare(board, plan, other, file.load(tmp_path / "a.madem"))
    saved = file.load(tmp_path / "a.madem").state
    file.save(Network(replace(saved, notes={})), tmp_path / "b.madem")
    with pytest.raises(TaskError, match="has learned from no stream"):
        session.prepare(None, plan, task, file.load(tmp_path / "b.madem"))


def test_features_without_a_network(device: BoardLearner, task: StreamTask) -> None:
    feeder = BoardStream(device, task.pipeline)
    how = Presentation(Mode.FEATURES, Flag.FOLLOW)
    twin = TwinFeatures(task.pipeline)
    for window in range(6):
        chunk = task.windows[window]
        if chunk.restart:
            twin.restart()
        assert len(list(feeder.present([chunk], [0], how))) == 1
        expected = twin.codes(twin.windows(chunk.samples), True)[0]
        assert np.array_equal(feeder.inputs(), expected)
