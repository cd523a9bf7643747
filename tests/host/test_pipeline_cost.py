"""The cost of a pipeline, told beforehand, is what a Cortex-M3 then takes."""

from collections.abc import Iterator

import pytest

from madem import deploy, session
from madem.boards import Board, open_board
from madem.pipeline_cost import cost
from madem.repl import Repl
from madem.stream_learner import Feeder
from madem_emulator.board_process import EmulatedBoardError
from madem_emulator.pipeline import Pipeline, parse
from madem_emulator.qemu_board import find_image

_COUNT = """
from time import ticks_cpu, ticks_diff
from madem.features import Pipeline
def count():
    p = Pipeline({shape})
    d = bytearray({width})
    x = 1
    for k in range({window}):
        for c in range({width}):
            x = x * 30903 + 11 & 0xFFFF
            d[c] = x >> 8
        p.push(d, 0)
    a = ticks_cpu()
    k = 0
    while k < 100:
        p.push(d, 0)
        k += 1
    b = ticks_cpu()
    p.compute(1)
    c = ticks_cpu()
    print(ticks_diff(b, a), ticks_diff(c, b))
count()
"""


@pytest.fixture(scope="module")
def counting() -> Iterator[Board]:
    """A Cortex-M3 whose clock counts instructions."""
    try:
        find_image()
    except EmulatedBoardError as reason:
        pytest.skip(str(reason))
    with open_board("qemu:heap=256K,icount") as board:
        deploy.deploy(board)
        yield board


@pytest.mark.slow
@pytest.mark.parametrize(
    "line",
    [
        "window=40 hop=20 | mean energy zero minmax bands:4",
        "window=100 | mean energy",
        "window=64 | bands:16",
    ],
)
def test_instructions_are_those_of_a_cortex_m3(counting: Board, line: str) -> None:
    p = parse(line, 3)
    flags = p.mean + 2 * p.energy + 4 * p.zero + 8 * p.minmax
    shape = f"{p.channels}, {p.window}, {p.hop}, {flags}, {p.bands}, {p.norm}"
    code = _COUNT.format(shape=shape, width=2 * p.channels, window=p.window)
    with Repl(counting.port, counting.name) as repl:
        push, compute = map(int, repl.exec(code).split())
    expected = cost(p)
    # 25 MHz ticks of 64 ns instructions: madem_emulator/qemu_board.py.
    assert push * 5 / 8 / 100 == pytest.approx(expected.instructions_per_sample, rel=0.1)
    assert compute * 5 / 8 == pytest.approx(expected.instructions_per_window, rel=0.1)


@pytest.mark.parametrize(
    "pipeline",
    [parse("window=40 hop=20 | energy", 2), parse("window=256 | mean energy minmax bands:9", 6)],
    ids=str,
)
def test_bytes_are_those_that_a_board_takes(pipeline: Pipeline) -> None:
    with session.open_learner("unix") as device:
        assert device is not None
        Feeder(device, pipeline)  # with it comes the code
        heap = [device.stats(collect=True).heap_free]
        Feeder(device, parse("window=8 | mean", 1))
        heap.append(device.stats(collect=True).heap_free)
    least = cost(parse("window=8 | mean", 1)).heap_bytes
    assert heap[1] - heap[0] == pytest.approx(cost(pipeline).heap_bytes - least, abs=600)
