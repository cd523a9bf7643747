"""Values in place of codes, and other targets than the network's, are refused by every learner."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from madem.boards.open import open_board
from madem.data.stream_task import WindowSamples
from madem.learners.board import BoardLearner, connect
from madem.learners.protocol import Engine
from madem.learners.stream import BoardStream
from madem.learners.twin import TwinLearner
from madem.verify.lock_step import LockStep
from madem_emulator.twin.config import Settings
from madem_emulator.twin.pipeline import Pipeline

CONFIG = Settings(sizes=(3, 2)).integers()
PIPELINE = Pipeline(1, 8, 8, mean=True)
OF_STREAM = Settings(sizes=(2, 2)).integers()
CODES = np.array([[1, 2, 3], [4, 5, 6]], np.uint8)
VALUES: Any = CODES / 255
CLASSES = np.array([0, 1], np.uint8)


@pytest.fixture(scope="module")
def board() -> Iterator[BoardLearner]:
    with open_board("unix") as opened:
        yield connect(opened)


def refuses_samples(learner: Engine, x: Any, told: str) -> None:
    for call in (learner.outputs, lambda x: learner.learn(100, x, CLASSES)):
        with pytest.raises(ValueError, match=told) as caught:
            call(x)
        assert "\n" not in str(caught.value)


def refuses(learner: Engine, steps: int = 0) -> None:
    wrong = [
        (VALUES, "not float64 from 0.00392157 to .*: make codes of values"),
        (CODES.astype(np.int64), "not int64 from 1 to "),
        (CODES[:, :2], "the network has 3 inputs"),
    ]
    for x, told in wrong:
        refuses_samples(learner, x, told)
    with pytest.raises(ValueError, match="a row of 3 codes for each sample"):
        learner.outputs(CODES[0])
    for targets in ([0, 2], [-1, 0], [0, 256]):
        with pytest.raises(ValueError, match=r"target is .*class"):
            learner.learn(100, CODES, np.array(targets))
    assert learner.state().steps == steps


def test_the_twin_refuses_them() -> None:
    refuses(TwinLearner(CONFIG), steps=2)  # the samples before a wrong target were learned


@pytest.mark.needs("unix")
def test_a_board_and_its_lock_step_refuse_them(board: BoardLearner) -> None:
    board.configure(CONFIG)
    refuses(board)
    with pytest.raises(ValueError, match="make codes of values"):
        LockStep(board).outputs(VALUES)


@pytest.mark.needs("unix")
def test_streams_of_values_are_refused(board: BoardLearner) -> None:
    board.configure(OF_STREAM)
    window = [WindowSamples(np.linspace(-1, 1, 8)[:, None], True)]  # type: ignore[arg-type]
    for learner in (TwinLearner(OF_STREAM, PIPELINE), BoardStream(board, PIPELINE)):
        with pytest.raises(ValueError, match="are counts, int16, not float64 from -1 to 1"):
            learner.outputs(window)
        with pytest.raises(ValueError, match="are counts, int16"):
            learner.learn(100, window, CLASSES[:1])
