"""The memory model against what real boards measure of themselves."""

import pytest

from madem.boards import capacity
from madem.boards.open import open_board
from madem.data.registry import load_task
from madem.errors import BoardError, DeviceError, LinkError
from madem.learn import session, train
from madem.learners.board import connect
from madem.learners.stream import BoardStream
from madem.learners.twin import TwinLearner
from madem_emulator.twin.config import Config
from madem_emulator.twin.pipeline import Pipeline, parse

pytestmark = pytest.mark.needs("unix")

HIDDEN = ((), (1,), (8,), (100,), (32, 16), (20, 20, 20), (3, 4, 5, 6))


def config(hidden: tuple[int, ...]) -> Config:
    return train.recipe(load_task("digits"), hidden=hidden).settings.integers()


@pytest.mark.parametrize(
    "board", ["unix", pytest.param("unix32", marks=pytest.mark.needs("unix32"))]
)
def test_what_networks_take_is_known_to_two_blocks(board: str) -> None:
    with open_board(board) as opened:
        device = connect(opened)
        bits = device.hello.word_bits
        for hidden in HIDDEN:
            used = device.configure(config(hidden)).heap_used
            expected = capacity.network_bytes((64, *hidden, 10), bits)
            assert abs(used - expected) <= 2 * 4 * bits // 8, hidden


def learns(heap: int, hidden: tuple[int, ...]) -> bool:
    task = load_task("digits")
    plan = train.recipe(task, hidden=hidden)
    try:
        with open_board(f"qemu:heap={heap}") as board:
            device = connect(board)
            device.configure(plan.settings.integers())
            train.train(device, task, plan, limit=100)
            device.outputs(task.x_test[:10])
    except (BoardError, LinkError):
        return False
    return True


@pytest.mark.slow
@pytest.mark.needs("frozen qemu")
@pytest.mark.parametrize("hidden", [(), (32,), (60, 30)])
def test_the_smallest_heap_of_a_chip_is_known_to_two_and_a_half_kilobytes(
    hidden: tuple[int, ...],
) -> None:
    expected = capacity.heap_bytes((64, *hidden, 10), "frozen")
    assert learns(expected + 2560, hidden)
    assert not learns(expected - 2560, hidden)


@pytest.mark.slow
@pytest.mark.needs("frozen qemu")
def test_digits_learns_in_24_kilobytes_on_a_cortex_m3_what_it_learns_anywhere() -> None:
    task = load_task("digits")
    plan = train.recipe(task)
    twin = TwinLearner(plan.settings.integers())
    with open_board("qemu:heap=24K") as board:
        device = connect(board)
        device.configure(plan.settings.integers())
        for learner in (device, twin):
            train.train(learner, task, plan, limit=500)
        assert device.state() == twin.state()


@pytest.mark.slow
@pytest.mark.needs("frozen qemu")
def test_frames_follow_the_free_heap() -> None:
    bodies = []
    for heap in ("20K", "100K", "600K"):
        with open_board(f"qemu:heap={heap}") as opened:
            bodies.append(connect(opened).hello.max_body)
    assert (bodies[0], bodies[2]) == (256, 4096)
    assert 512 <= bodies[1] < 1024


@pytest.mark.parametrize("heap", ["96K", "200K"])
def test_a_network_that_is_too_large_is_refused_with_both_sizes(heap: str) -> None:
    wanted = config((1000,))
    needed = capacity.network_bytes((64, 1000, 10), 64)
    with open_board(f"unix:heap={heap}") as board:
        device = connect(board)
        with pytest.raises(DeviceError) as caught:
            device.configure(wanted)
        free = device.stats(collect=True).heap_free
    assert f"it needs {-(-needed // 1024)} KB, {free // 1024} KB are free" in str(caught.value)
    assert str(caught.value).endswith("use fewer or smaller hidden layers")


@pytest.mark.parametrize(
    "pipeline",
    [parse("window=40 hop=20 | energy", 2), parse("window=256 | mean energy minmax bands:9", 6)],
    ids=str,
)
def test_bytes_are_those_that_a_board_takes(pipeline: Pipeline) -> None:
    with session.open_learner("unix") as device:
        assert device is not None
        BoardStream(device, pipeline)  # with it comes the code
        heap = [device.stats(collect=True).heap_free]
        BoardStream(device, parse("window=8 | mean", 1))
        heap.append(device.stats(collect=True).heap_free)
    least = capacity.pipeline_bytes(parse("window=8 | mean", 1))
    assert heap[1] - heap[0] == pytest.approx(capacity.pipeline_bytes(pipeline) - least, abs=600)
