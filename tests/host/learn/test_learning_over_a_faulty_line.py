"""Learning over a line that drops, flips, repeats, delays, cuts and invents bytes.

The same weights come out as over a clean one, to the bit: no sample is lost or learned twice.
"""

import dataclasses

import numpy as np
import pytest
import serial

from madem.bench.slow_line import Damage, Line
from madem.boards import deploy, link
from madem.boards.open import open_board
from madem.data.registry import load_task
from madem.learn import session, train
from madem.learners.board import BoardLearner
from madem_emulator.twin.presets import PRESETS

from ...conftest import SEED
from ..boards.test_link_faults import Faults

pytestmark = pytest.mark.needs("unix")


def without_ctrl_c(faults: Faults) -> Damage:
    """A 0x03 out of nothing would stop the firmware: the price of a Ctrl-C that always works."""
    return lambda data: faults(data).replace(b"\x03", b"\x02")


@pytest.mark.parametrize(
    ("name", "seed", "samples"),
    [
        ("digits", 1, 250),
        ("braille-words", 2, 250),
        ("motions", 6, 150),
        pytest.param("digits", SEED, 1500, marks=pytest.mark.long),
        pytest.param("braille", SEED, 900, marks=pytest.mark.long),
    ],
)
def test_the_weights_are_those_of_a_clean_line(name: str, seed: int, samples: int) -> None:
    task = load_task(name, seed=seed)
    plan = train.recipe(task, hidden=(12,), epochs=4, seed=seed, **PRESETS["harsh"])
    clean, _ = session.prepare(None, plan, task, None)
    expected = train.train(clean, task, plan, limit=samples)

    down, up = Faults(seed, 1500), Faults(seed + 100, 600)
    with open_board("unix") as board:
        deploy.deploy(board)
        deploy.start(board)
        path = board.port.port
        assert path
        board.port.close()
        with (
            Line(path, to_board=without_ctrl_c(down), to_host=without_ctrl_c(up)) as line,
            serial.Serial(line.port, baudrate=3_000_000) as port,
        ):
            connection = link.Link(port)
            hello = connection.hello(timeout=20)
            # Frames as short as those of a small board: most of them get through.
            connection._hello = dataclasses.replace(hello, max_body=256, rx_bytes=1024)
            device = BoardLearner(connection, connection._hello)
            learner, _ = session.prepare(device, plan, task, None)
            result = train.train(learner, task, plan, limit=samples)
            assert (result.samples, result.train_curve) == (samples, expected.train_curve)
            assert learner.state() == clean.state()
            assert learner.state().notes == clean.state().notes  # a stream's normalisation
            x = task.feed.x_test[:40]
            assert np.array_equal(learner.outputs(x), clean.outputs(x))
            device.load(clean.state())
            assert device.state() == clean.state()
            assert down.count > 5
            assert up.count > 5
            assert connection.resent > 0


def test_the_step_number_guards_what_the_link_can_not(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two sessions that both believe to be at the same step: the later one is refused."""
    task = load_task("digits")
    plan = train.recipe(task, hidden=(4,))
    batch = task.train_pass(0)
    with open_board("unix") as board:
        deploy.deploy(board)
        deploy.start(board)
        first = link.Link(board.port)
        device = BoardLearner(first, first.hello())
        device.configure(plan.settings.integers())
        device.learn(1000, batch.x[:10], batch.target[:10])
        stale = device.stats()
        second = link.Link(board.port)
        other = BoardLearner(second, second.hello())
        other._config = device.config
        assert other.hello.steps == 10
        other.learn(1000, batch.x[10:20], batch.target[10:20])
        after = other.state()
        monkeypatch.setattr(BoardLearner, "stats", lambda self, collect=False: stale)
        for one, told in ((device, "serves somebody else"), (other, "number of samples: 20")):
            with pytest.raises(link.DeviceError, match=told):
                one.learn(1000, batch.x[10:20], batch.target[10:20])
        monkeypatch.undo()
        assert other.state() == after
