"""The load of pipelines and networks, told beforehand, is what a Cortex-M3 then takes."""

from collections.abc import Iterator

import pytest

from madem.boards import deploy
from madem.boards.open import Board, open_board
from madem.boards.repl import Repl
from madem.boards.timing import network_instructions, pipeline_instructions, stream_load
from madem.learn.train import classifying
from madem.learners.board import pack_config
from madem_emulator.twin.config import Settings
from madem_emulator.twin.pipeline import parse

_COUNT = """
from time import ticks_cpu, ticks_diff
from madem.stream_features import Pipeline
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
    with open_board("qemu:heap=256K,icount") as board:
        deploy.deploy(board)
        yield board


@pytest.mark.slow
@pytest.mark.needs("qemu")
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
    expected = pipeline_instructions(p)
    # 25 MHz ticks of 64 ns instructions: madem_emulator/qemu_board.py.
    assert push * 5 / 8 / 100 == pytest.approx(expected.per_sample, rel=0.1)
    assert compute * 5 / 8 == pytest.approx(expected.per_window, rel=0.1)


_COUNT_LIVE = """
import io
from time import ticks_cpu, ticks_diff
from madem import link_server, stream_features, stream_feed, stream_onboard
class Fake:
    rate = 100000
    lost = due = 0
    def start(self):
        pass
    def read(self, into):
        self.due -= 1
        return self.due >= 0
def count(channels):
    server = link_server.Server(io.BytesIO(), io.BytesIO())
    stream = server.stream = stream_feed.StreamFeed(server)
    stream.pipeline = stream_features.Pipeline(channels, 200, 200, 1, 0, 6)
    l = stream_onboard.OnboardRun(stream, server)
    fake = Fake()
    fake.channels = channels
    l._source = fake
    assert l._begin(0, 2, 0, 1, 0) is None
    l.pump()
    a = ticks_cpu()
    k = 0
    while k < 50:
        fake.due = 0
        l.pump()
        fake.due = 1
        l.pump()
        k += 1
    b = ticks_cpu()
    while k:
        l.take()
        k -= 1
    print(ticks_diff(b, a), ticks_diff(ticks_cpu(), b))
"""


@pytest.mark.slow
@pytest.mark.needs("qemu")
def test_the_live_loop_s_instructions_are_as_planned(counting: Board) -> None:
    """One sample with an empty look before it; a look while a window is worked on."""
    with Repl(counting.port, counting.name) as repl:
        repl.exec(_COUNT_LIVE)
        for channels in (1, 6):
            sample, look = (int(n) * 5 / 8 / 50 for n in repl.exec(f"count({channels})").split())
            planned = stream_load(parse("window=200 | mean", channels), 100)
            assert sample == pytest.approx(planned.sample, rel=0.15)
            assert look == pytest.approx(planned.polls / channels, rel=0.15)


_COUNT_NETWORK = """
import gc
from time import ticks_cpu, ticks_diff
from madem import network_config
def count(payload, rate):
    gc.collect()
    learner = network_config.build(network_config.parse(payload, 0, len(payload)))
    net = learner.network
    x = bytearray(net.sizes[0])
    label = bytearray(1)
    s = 12345
    asked = tested = changed = 0
    for k in range(24):
        for i in range(len(x)):
            s = s * 30903 + 11 & 0xFFFF
            x[i] = s >> 8 if s & 8 else 0
        label[0] = k % net.sizes[-1]
        net.set_targets(label, 0)
        a = ticks_cpu()
        net.predict(x, 0)
        if k >= 8:
            asked += ticks_diff(ticks_cpu(), a)
        a = ticks_cpu()
        learner.free_phase(x, 0)
        b = ticks_cpu()
        learner.update(rate, 1)
        c = ticks_cpu()
        if k >= 8:
            tested += ticks_diff(b, a)
            changed += ticks_diff(c, b)
    print(asked // 16, tested // 16, changed // 16)
"""


@pytest.mark.slow
@pytest.mark.needs("qemu")
@pytest.mark.parametrize("sizes", [(108, 32, 4), (36, 8, 3), (60, 24, 8, 3)])
def test_the_network_s_instructions_are_as_planned(counting: Board, sizes: tuple[int, ...]) -> None:
    settings = Settings(sizes=sizes, learning_rate=6.0, **classifying(len(sizes) - 2))
    payload = pack_config(settings.integers())
    with Repl(counting.port, counting.name) as repl:
        repl.exec(_COUNT_NETWORK)
        asked, tested, changed = map(
            int, repl.exec(f"count({payload!r}, {settings.rate()})").split()
        )
    assert asked * 5 / 8 == pytest.approx(network_instructions(sizes, False), rel=0.1)
    assert (tested + changed) * 5 / 8 == pytest.approx(network_instructions(sizes, True), rel=0.2)


def test_a_stream_that_is_too_fast_is_said_so() -> None:
    pipeline = parse("window=40 hop=20 | energy bands:4", 6)
    slow = stream_load(pipeline, 100, (60, 32, 4), learns=True)
    assert slow.keeps_up
    assert "keeps up at 100 Hz: busy" in slow.verdict()
    fast = stream_load(pipeline, 10 * slow.highest_rate_hz, (60, 32, 4), learns=True)
    assert fast.share == pytest.approx(8.0)
    assert not fast.keeps_up
    assert "can't keep up" in fast.verdict()
    # Rows on a slow bus count too: 1 ms each at 900 Hz.
    assert not stream_load(pipeline, 900, bus_s=1e-3).keeps_up
