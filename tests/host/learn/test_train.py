"""How a run is planned, streamed and scored, on a learner that only writes down what it gets."""

import numpy as np
import pytest
from numpy.typing import NDArray

from madem.data.registry import load_task
from madem.data.task import DISTORTIONS, Samples, Task
from madem.errors import TaskError
from madem.learn.train import evaluate, recipe, scores, train
from madem.learners.state import NetworkState
from madem_emulator.twin.config import Config, Rule

Bytes = NDArray[np.uint8]


class Notebook:
    """A learner that answers what it is told to answer."""

    def __init__(self, task: Task, config: Config) -> None:
        self.config = config
        self.task = task
        self.learned: list[tuple[tuple[int, int], Bytes, Bytes]] = []
        self.asked: list[int] = []

    def learn(
        self,
        rate: int,
        x: Samples,
        targets: Bytes,
        progress: object = None,
        pulses_per_update: int = 1,
    ) -> Bytes:
        self.learned.append(((rate, pulses_per_update), np.asarray(x), targets))
        if callable(progress):
            progress(len(x))
        return targets if targets.ndim == 1 else np.full(len(x), 3, np.uint8)

    def outputs(self, x: Samples) -> Bytes:
        """The right answer to every second sample, the last output for the rest."""
        y = self.task.y_test[sum(self.asked) :][: len(x)]
        self.asked.append(len(x))
        found = np.zeros((len(x), self.config.sizes[-1]), np.uint8)
        found[:, -1] = 100
        found[np.arange(0, len(x), 2), y[::2]] = 101
        return found

    def add_stuck(self, stuck: int) -> None:
        raise NotImplementedError

    def state(self) -> NetworkState:
        raise NotImplementedError


def test_passes_rates_and_progress() -> None:
    task = load_task("digits", seed=3)
    plan = recipe(task, epochs=4, decay=0.5, learning_rate=2.0, update_size=0.0)
    notebook = Notebook(task, plan.settings.integers())
    seen: list[int] = []
    result = train(notebook, task, plan, progress=seen.append)
    paces = [(plan.settings.rate(2.0 * 0.5**k), 1) for k in range(4)]
    assert [pace for pace, _, _ in notebook.learned] == paces
    assert paces[0][0] == pytest.approx(2 * paces[1][0], abs=1)
    for k, (_, x, targets) in enumerate(notebook.learned):
        expected = task.train_pass(k)
        assert np.array_equal(x, expected.x)
        assert np.array_equal(targets, expected.target)
    assert result.samples == sum(seen) == 4 * task.samples_per_pass
    assert result.train_curve == [1.0] * 4
    assert result.busy_us == 0


@pytest.mark.parametrize(
    ("limit", "lengths"), [(0, []), (1, [1]), (450, [450]), (451, [450, 1]), (9999, [450, 450])]
)
def test_a_limit_cuts_the_last_pass(limit: int, lengths: list[int]) -> None:
    task = load_task("braille")
    plan = recipe(task, epochs=2)
    notebook = Notebook(task, plan.settings.integers())
    result = train(notebook, task, plan, limit=limit)
    assert [len(x) for _, x, _ in notebook.learned] == lengths
    assert result.samples == sum(lengths)
    assert result.train_curve == [3.0] * len(lengths), "mean wrong outputs"


def test_every_test_sample_is_asked_for_once() -> None:
    task = load_task("braille-words", draws=20)
    notebook = Notebook(task, recipe(task).settings.integers())
    seen: list[int] = []
    evaluate(notebook, task, seen.append)
    assert len(task.x_test) == 7 * 9 * 20
    assert notebook.asked == [256, 256, 256, 256, 236]
    assert sum(seen) == 1260


def test_accuracy_is_the_share_of_right_answers() -> None:
    task = load_task("digits")
    notebook = Notebook(task, recipe(task).settings.integers())
    found = evaluate(notebook, task)
    right = np.arange(len(task.y_test)) % 256 % 2 == 0
    right |= task.y_test == 9
    assert found["accuracy"] == pytest.approx(right.mean())
    assert sum(map(sum, found["confusion"])) == len(right)
    assert sum(part["samples"] for part in found["calibration"]) == len(right)


def test_exact_words_need_every_dot() -> None:
    task = load_task("braille", draws=10)
    good = task.targets(task.y_test) * np.uint8(120)
    assert scores(task, 200, 20, good)["exact_word"] == {f"{p:.2f}": 1.0 for p in DISTORTIONS}
    # One dot wrong in the first three samples at the second distortion.
    bad = good.copy()
    bad[90:93, 17] = 120 - bad[90:93, 17]
    found = scores(task, 200, 20, bad)["exact_word"]
    assert found.pop("0.15") == pytest.approx(87 / 90)
    assert set(found.values()) == {1.0}


@pytest.mark.parametrize("name", ["digits", "braille", "braille-words"])
@pytest.mark.parametrize("hidden", [None, (), (1,), (5, 4)])
def test_the_defaults_of_every_task_suit_any_depth(
    name: str, hidden: tuple[int, ...] | None
) -> None:
    task = load_task(name)
    plan = recipe(task, hidden=hidden)
    config = plan.settings.integers()
    between = config.sizes[1:-1]
    usual = {"digits": (32,), "braille": (), "braille-words": (64,)}
    assert between == (usual[name] if hidden is None else hidden)
    assert (config.sizes[0], config.sizes[-1]) == (task.n_features, task.n_outputs)
    assert config.one_hot == (name != "braille")
    assert plan.epochs >= 1
    assert 0 < plan.decay <= 1
    assert plan.settings.learning_rate < plan.settings.highest_rate


@pytest.mark.parametrize("bits", range(2, 9))
def test_changes_move_as_far_with_devices_of_any_bits(bits: int) -> None:
    """A fifth of the window at first; later less, and as much more often as it takes."""
    plan = recipe(load_task("digits"), weight_bits=bits, decay=0.9)
    step = 1 / (2**bits - 1)
    rate, pulses = plan.schedule(0)
    assert pulses * step == pytest.approx(max(0.19, step), abs=step / 2)
    assert rate == plan.settings.rate()
    for k in range(1, 20):
        later, shorter = plan.schedule(k)
        assert shorter == max(1, round(pulses * 0.9**k))
        assert later * shorter == pytest.approx(rate * pulses * 0.9**k, rel=0.01)


@pytest.mark.parametrize("choice", [{"learning_rate": 100.0}, {"beta": 0.1}, {"decay": 1.0}])
def test_trains_carry_what_the_rate_can_not(choice: dict) -> None:
    """RATE ends at 16383; a learning rate beyond it is no smaller for that."""
    plan = recipe(load_task("digits"), weight_bits=6, **choice)
    settings = plan.settings
    for k in (0, 19):
        rate, pulses = plan.schedule(k)
        assert rate <= 16383 // 2
        wanted = settings.learning_rate * plan.decay**k * 12
        unit = settings.highest_rate / (16383 // 2)
        assert rate * pulses * unit == pytest.approx(wanted, rel=0.01)


def test_choices_replace_the_defaults_and_none_does_not() -> None:
    task = load_task("digits")
    plan = recipe(task, weight_bits=7, rule=Rule.CLAMPED, beta=None, epochs=3, decay=1)
    assert (plan.settings.weight_bits, plan.settings.rule) == (7, Rule.CLAMPED)
    assert plan.settings.beta == recipe(task).settings.beta
    assert (plan.epochs, plan.decay) == (3, 1)


@pytest.mark.parametrize(
    ("choice", "told"),
    [
        ({"epochs": -1}, "epochs is -1"),
        ({"decay": 0.0}, "decay is 0.0"),
        ({"decay": 1.1}, "decay is 1.1"),
        ({"hidden": (0,)}, "sizes"),
        ({"weight_bits": 1}, "weight_bits is 1"),
        ({"w_max": (0.1,)}, "w_max"),
        ({"update_size": -0.1}, "update-size is -0.1"),
        ({"update_size": 1.1}, "update-size is 1.1"),
        ({"learning_rate": -1.0}, "learning_rate is -1.0"),
        ({"learning_rate": 2e3}, "learning_rate is 2000.0, but must be at most 1349"),
    ],
)
def test_choices_that_can_not_be(choice: dict, told: str) -> None:
    with pytest.raises(TaskError, match=told):
        recipe(load_task("digits"), **choice)
