"""Novelty without labels: the score, the ROC curve, and what it reaches on motions."""

from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from madem.data import motions
from madem.data.stream_task import StreamTask
from madem.errors import TaskError
from madem.learn import session
from madem.learners.board import BoardLearner
from madem.learners.novelty import NoveltyDetector
from madem.learners.stream import BoardStream
from madem.learners.twin import TwinLearner
from madem.stream import novelty


@pytest.fixture(scope="module")
def device() -> Iterator[BoardLearner]:
    with session.open_learner("unix") as found:
        assert found is not None
        yield found


@pytest.fixture(scope="module")
def task() -> StreamTask:
    return motions.load(1)


def test_scores_of_the_board_are_those_of_the_twin(device: BoardLearner, task: StreamTask) -> None:
    plan = novelty.recipe(task.pipeline, seed=2)
    config = plan.settings.integers()
    chunks = task.feed.train_pass(0)[0][:40]
    device.configure(config)
    board = NoveltyDetector(BoardStream(device, task.pipeline))
    twin = NoveltyDetector(TwinLearner(config, task.pipeline))
    rate = plan.settings.rate()
    assert board.learn(rate, chunks[:30]) == twin.learn(rate, chunks[:30])
    assert board.scores(chunks[28:]) == twin.scores(chunks[28:])


@pytest.mark.slow
def test_what_was_never_learned_is_noticed(device: BoardLearner) -> None:
    """Each class of motions in turn is the new one; no label is used. Two seeds."""
    found: dict[str, list[float]] = {}
    for seed in (1, 2):
        task = motions.load(seed)
        plan = novelty.recipe(task.pipeline, seed)
        for name in task.class_names:
            device.configure(plan.settings.integers())
            detector = NoveltyDetector(BoardStream(device, task.pipeline))
            found.setdefault(name, []).append(novelty.run(detector, task, plan, name)["auc"])
    means = {name: np.mean(values) for name, values in found.items()}
    assert np.mean(list(means.values())) > 0.88, means
    assert min(means.values()) > 0.8, means


def test_a_detector_that_has_learned_nothing_notices_less(task: StreamTask) -> None:
    """What the score says comes from learning."""
    aucs = []
    for epochs in (0, 6):
        plan = novelty.recipe(task.pipeline, 1, epochs)
        detector = NoveltyDetector(TwinLearner(plan.settings.integers(), task.pipeline))
        found = novelty.run(detector, task, plan, "Badminton")
        aucs.append(found["auc"])
        assert (found["new_windows"], found["familiar_windows"]) == (40, 120)
    assert aucs[1] > max(0.75, aucs[0])


def test_an_unknown_class_is_refused(task: StreamTask) -> None:
    plan = novelty.recipe(task.pipeline)
    detector = NoveltyDetector(TwinLearner(plan.settings.integers(), task.pipeline))
    with pytest.raises(TaskError, match="motions has no class 'Flying': it has Badminton, Run"):
        novelty.run(detector, task, plan, "Flying")


@given(
    st.lists(st.integers(0, 9), min_size=1, max_size=20),
    st.lists(st.integers(0, 9), min_size=1, max_size=20),
)
def test_the_area_is_the_share_of_pairs(familiar: list[int], new: list[int]) -> None:
    pairs = [(b > a) + 0.5 * (b == a) for a in familiar for b in new]
    assert novelty.auc(familiar, new) == pytest.approx(np.mean(pairs))
