"""A network that recalls is shown its own answer until it stays."""

import numpy as np
import pytest
from numpy.typing import NDArray

from madem.data.registry import load_task
from madem.data.task import Task
from madem.learn import session
from madem.learn.baselines import exact_word, word_baselines
from madem.learn.recall import next_input, read_dots, recall, words_right
from madem.learn.train import evaluate, recipe, scores, train
from madem.learners.twin import TwinLearner
from madem_emulator.twin.config import Config

Bytes = NDArray[np.uint8]


@pytest.fixture(scope="module")
def task() -> Task:
    return load_task("braille", words=("ab", "b", "c"), draws=1)


def test_the_threshold_of_a_dot(task: Task) -> None:
    outputs = np.zeros((1, 63), np.uint8)
    outputs[0, :5] = [109, 110, 111, 0, 255]
    assert read_dots(task, outputs, 200, 20)[0, :5].tolist() == [0, 1, 1, 0, 1]
    assert read_dots(task, outputs, 200, 21)[0, :5].tolist() == [0, 0, 1, 0, 1], "221 / 2, up"
    assert read_dots(task, outputs, 200, 20).shape == (1, 60), "labels are no dots"


def test_the_next_input_shows_the_dots_and_the_label_of_the_strongest(task: Task) -> None:
    outputs = np.zeros((2, 4, 63), np.uint8)  # two boards, four samples
    outputs[..., 7] = 200
    outputs[0, 1, 60:] = [3, 5, 5]  # the first of a tie
    outputs[1, 3, 62] = 1  # never mind how weak
    seen = next_input(task, outputs, 200, 20)
    assert seen.shape == (2, 4, 60 + 3 * 4)
    assert (seen[..., 7] == 255).all()
    assert np.count_nonzero(seen[..., :60]) == 8
    labels = {tuple(at) for at in np.argwhere(seen[..., 60::4])}
    assert labels == {(0, 1, 1), (1, 3, 2)}, "no label without an active one"


class Echo:
    """A network that answers with what it sees, less something."""

    def __init__(self, config: Config) -> None:
        self.config = config
        self.asked: list[int] = []

    def outputs(self, x: Bytes) -> Bytes:
        # The first sample stays as it is; others lose their last dot.
        answer = x[:, :60].copy()
        for row in answer[0 if self.asked else 1 :]:
            row[np.flatnonzero(row)[-1:]] = 0
        self.asked.append(len(x))
        return answer


def test_it_iterates_until_the_answer_stays() -> None:
    task = load_task("braille", labels=False, draws=1)
    x = np.zeros((3, 60), np.uint8)
    x[0, 0] = x[1, :2] = x[2, :20] = 255
    echo = Echo(recipe(task).settings.integers())
    found = recall(echo, task, x)  # pyright: ignore[reportArgumentType]
    assert echo.asked == [3, 2, 2, 1, 1, 1, 1, 1]
    assert [row.astype(bool).sum() for row in found] == [1, 0, 12]


def test_what_is_scored_is_recalled() -> None:
    task = load_task("braille", draws=1)
    config = recipe(task).settings.integers()
    twin = TwinLearner(config)
    expected = scores(task, config.t_hi, config.t_lo, recall(twin, task, task.x_test))
    assert evaluate(twin, task) == expected


def test_a_board_tells_apart_words_that_differ_in_a_letter() -> None:
    """Within 2 points of the nearest word: what nobody gets by deciding about every dot alone."""
    words = ("cat", "bat", "rat", "car", "bar", "far", "can", "ban", "ran")
    task = load_task("braille", words=words)
    plan = recipe(task)
    with session.open_learner("unix") as device:
        assert device is not None
        device.configure(plan.settings.integers())
        train(device, task, plan)
        shown = task.test_set(0.2)
        outputs = recall(device, task, shown.x)
    dots = read_dots(task, outputs, device.config.t_hi, device.config.t_lo)
    bound = word_baselines(task)["ml_bound"]["0.20"]
    assert exact_word(dots, shown.target[:, :60]) > bound - 0.02


def test_words_right_needs_every_dot(task: Task) -> None:
    outputs = task.targets(task.y_test) * np.uint8(120)
    outputs[4, 59] ^= 120
    outputs[5, 60:] = 0  # a label is not asked for
    assert np.flatnonzero(~words_right(task, outputs, 200, 20)).tolist() == [4]
