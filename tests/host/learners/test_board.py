"""The device behind the link: real MicroPython with the real firmware, and the twin beside it."""

import contextlib
import dataclasses
import struct
import time
import zlib
from collections.abc import Iterator

import numpy as np
import pytest
from numpy.typing import NDArray

from madem.boards.link import wire_length
from madem.boards.link_protocol import (
    FRAME_BYTES,
    LEARN_HEAD,
    MEMORY_HEAD,
    Flag,
    Kind,
    Memory,
    Mode,
)
from madem.boards.open import open_board
from madem.errors import DeviceError, LinkError
from madem.learners.board import BoardLearner, connect, pack_config
from madem.learners.protocol import Presentation
from madem.learners.state import NetworkState
from madem.learners.twin import TwinLearner
from madem_emulator.twin.config import Config, Rule, Settings
from madem_emulator.twin.presets import PRESETS

pytestmark = pytest.mark.needs("unix")

Bytes = NDArray[np.uint8]
RATE = 3000


@pytest.fixture(scope="module")
def device() -> Iterator[BoardLearner]:
    with open_board("unix") as board:
        yield connect(board)


def harsh(sizes: tuple[int, ...], seed: int = 5, **settings: object) -> Config:
    """A network with every imperfection on."""
    chosen: dict = PRESETS["harsh"] | {"sizes": sizes, "seed": seed} | settings
    return Settings(**chosen).integers()


def samples(config: Config, count: int, seed: int = 0) -> tuple[Bytes, Bytes]:
    random = np.random.default_rng(seed)
    x = random.integers(0, 256, (count, config.sizes[0]), np.uint8)
    outputs = config.sizes[-1]
    if config.one_hot:
        return x, random.integers(0, outputs, count, np.uint8)
    return x, random.integers(0, 2, (count, outputs), np.uint8)


def trained(device: BoardLearner, count: int = 6) -> tuple[Config, NetworkState]:
    """The device after a few samples, as most tests find it."""
    config = harsh((6, 5, 4))
    device.configure(config)
    device.learn(RATE, *samples(config, count))
    return config, device.state()


# --- device and twin -----------------------------------------------------------------------------


@pytest.mark.parametrize("rule", Rule, ids=lambda rule: rule.name.lower())
@pytest.mark.parametrize("sizes", [(7, 3), (5, 9, 4), (6, 8, 7, 5)], ids=str)
@pytest.mark.parametrize("one_hot", [True, False], ids=["class", "on-off"])
def test_equals_the_twin(
    device: BoardLearner, rule: Rule, sizes: tuple[int, ...], one_hot: bool
) -> None:
    # Seeds that use all 32 bits, converters and units that do too.
    config = harsh(
        sizes, 0xDEADBEEF - len(sizes), rule=rule, one_hot=one_hot, beta=0.7, weight_bits=6,
        dac_bits=7, adc_bits=9, sweeps_free=5, sweeps_nudged=3, target_low=0.1,
        competition=(1.7, 0.0, 1.2)[: len(sizes) - 1], rate_scale=(1, 5, 3)[: len(sizes) - 1],
    )  # fmt: skip
    device.configure(config)
    twin = TwinLearner(config)
    assert device.state() == twin.state()
    x, targets = samples(config, 30)
    for train in (1, 4):
        answers = device.learn(RATE, x, targets, pulses_per_update=train)
        assert (answers == twin.learn(RATE, x, targets, pulses_per_update=train)).all()
    after = device.state()
    assert after == twin.state()
    assert after.steps == 60
    assert after.devices != TwinLearner(config).state().devices
    assert (device.outputs(x) == twin.outputs(x)).all()
    assert device.state() == after, "predictions change nothing"


def test_an_answer_does_not_depend_on_what_was_asked_before(device: BoardLearner) -> None:
    """Alone, among others in any order and in frames cut anywhere, of a class as of activities."""
    config = harsh((6, 5, 4), read_noise=0.1)
    device.configure(config)
    x, targets = samples(config, 40)
    twin = TwinLearner(config)
    for learner in (device, twin):
        learner.learn(RATE, x, targets)
    alone = np.concatenate([device.outputs(row[None]) for row in x])
    assert len(np.unique(alone, axis=0)) > 30, "of noise that is each row's own"
    assert (twin.outputs(x) == alone).all()
    draw = np.random.default_rng(1)
    for count in (1, 39, 40, 700):  # of several frames
        order = draw.integers(0, 40, count)
        assert (device.outputs(x[order]) == alone[order]).all()
    answers = device.link.request(Kind.PREDICT, b"\0" + x[::-1].tobytes())
    assert list(answers) == alone[::-1].argmax(axis=1).tolist()
    # Nor on how many steps were learned that changed nothing.
    device.learn(0, x[:7], targets[:7])
    assert (device.outputs(x) == alone).all()


def test_traced_samples_equal_the_twin_in_every_digest(device: BoardLearner) -> None:
    config = harsh((6, 8, 7, 5))
    device.configure(config)
    twin = TwinLearner(config).twin
    meanwhile = 0

    def one(sample: np.ndarray) -> Iterator[np.ndarray]:
        nonlocal meanwhile
        yield sample
        meanwhile += 1

    for step, (x, target) in enumerate(zip(*samples(config, 20), strict=True)):
        how = Presentation(Mode.LEARN, Flag.TRACED, RATE, 3, first=step)
        (reply,) = device.present(one(x), [target], how)
        trace = twin.learn(RATE, x, target, 3)
        assert (reply.answer, reply.digests) == (trace.answer[0], trace.digests)
        for memory, phase in (
            (Memory.FREE, trace.free),
            (Memory.PLUS, trace.plus),
            (Memory.MINUS, trace.minus),
        ):
            assert device.read(memory, 0) == x.tobytes()
            for k, activities in enumerate(phase, 1):
                assert device.read(memory, k) == activities.tobytes()
    assert meanwhile == 20


@pytest.mark.parametrize("what", ["state", "weight"])
def test_a_flip_is_the_same_on_device_and_twin(device: BoardLearner, what: str) -> None:
    config = harsh((6, 5, 4))
    device.configure(config)
    twin = TwinLearner(config)
    clean = TwinLearner(config)
    device.flip(what == "state", 3, 2, 1, 6)
    twin.twin.flip(3, "state" if what == "state" else "weight", 2, 1, 6)
    x, targets = samples(config, 8)
    assert (device.learn(RATE, x, targets) == twin.learn(RATE, x, targets)).all()
    clean.learn(RATE, x, targets)
    assert device.state() == twin.state() != clean.state()


def test_a_new_configuration_forgets_the_flip_and_the_steps(device: BoardLearner) -> None:
    config, _ = trained(device)
    device.flip(False, 7, 1, 0, 7)
    device.configure(config)
    twin = TwinLearner(config)
    x, targets = samples(config, 9)
    device.learn(RATE, x, targets)
    twin.learn(RATE, x, targets)
    assert device.state() == twin.state()


def test_progress_counts_every_sample_once(
    device: BoardLearner, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = harsh((6, 5, 4))
    device.configure(config)
    seen: list[int] = []
    frames: list[int] = []
    send = device.link._send

    def noted(kind: int, payload: bytes) -> None:
        if kind == Kind.LEARN:
            frames.append((len(payload) - LEARN_HEAD.size) // 7)
        send(kind, payload)

    monkeypatch.setattr(device.link, "_send", noted)
    device.learn(RATE, *samples(config, 150), seen.append)
    assert seen == [1] * 150
    assert frames == [56, 56, 38], "a step and 56 answers are the 60 bytes that a board keeps"


# --- memory --------------------------------------------------------------------------------------


def test_read_write_and_digest(device: BoardLearner) -> None:
    config, before = trained(device)
    for k in (1, 2):
        cells = (config.sizes[k - 1] + 1) * config.sizes[k]
        data = bytes(range(1, 2 * cells + 1))
        device.write(Memory.DEVICES, k, data)
        assert device.read(Memory.DEVICES, k) == data
        assert device.read(Memory.DEVICES, k, 3, 10) == data[3:13]
        assert device.read(Memory.DEVICES, k, 2 * cells, 0) == b""
        assert device.digest(Memory.DEVICES, k, 5, 20) == zlib.crc32(data[5:25])
        assert device.digest(Memory.DEVICES, k, 0, 2 * cells) == zlib.crc32(data)
        device.write(Memory.ACCUMULATORS, k, bytes([65 + k]) * cells)
    after = device.state()
    assert after.accumulators == (bytes([66]) * 35, bytes([67]) * 24)
    assert after.steps == before.steps


def test_memory_that_fills_many_frames(device: BoardLearner) -> None:
    config = harsh((300, 40, 3))
    device.configure(config)
    data = np.random.default_rng(1).integers(0, 201, 2 * 301 * 40, np.uint8).tobytes()
    device.write(Memory.DEVICES, 1, data)
    assert device.read(Memory.DEVICES, 1) == data
    assert device.state().devices[1] == TwinLearner(config).state().devices[1]


def test_stats_count_steps_and_time(device: BoardLearner) -> None:
    device.stats()
    began = time.monotonic()
    config, _ = trained(device, 10)
    device.learn(RATE, *samples(config, 200))
    busy = device.stats()
    assert busy.steps == 210
    assert 0 < busy.busy_us < 1e6 * (time.monotonic() - began)
    assert device.stats().busy_us == 0, "since the last question"
    collected = device.stats(collect=True)
    assert 3 * 59 < collected.heap_alloc <= busy.heap_alloc
    assert collected.heap_free >= busy.heap_free


def test_configure_tells_how_the_network_fits(device: BoardLearner) -> None:
    fit = device.configure(harsh((6, 5, 4), stuck=0))
    assert fit.stuck == 0
    assert 3 * 59 < fit.heap_used < 20_000
    assert fit.heap_free == pytest.approx(device.stats(collect=True).heap_free, abs=4096)
    assert device.configure(harsh((6, 5, 4), stuck=1)).stuck == 2 * 59
    share = device.configure(harsh((60, 50, 4), stuck=0.1)).stuck / (2 * (61 * 50 + 51 * 4))
    assert 0.08 < share < 0.12


def test_a_state_that_does_not_arrive_is_noticed(
    device: BoardLearner, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, state = trained(device)
    write = BoardLearner.write

    def lossy(self: BoardLearner, which: Memory, layer: int, data: bytes) -> None:
        if (which, layer) != (Memory.ACCUMULATORS, 2):
            write(self, which, layer, data)

    monkeypatch.setattr(BoardLearner, "write", lossy)
    with pytest.raises(LinkError, match="does not hold what was written: try again"):
        device.load(state)
    monkeypatch.undo()
    device.load(state)
    assert device.state() == state


# --- refusals ------------------------------------------------------------------------------------


def refused(device: BoardLearner, kind: int, payload: bytes) -> DeviceError:
    with pytest.raises(DeviceError) as caught:
        device.link.request(kind, payload)
    assert "\n" not in str(caught.value)
    return caught.value


@pytest.mark.parametrize("step", [0, 5, 7, 6 + 2**16, 2**32 - 1])
def test_a_sample_of_another_step_is_refused(device: BoardLearner, step: int) -> None:
    _, before = trained(device, 6)
    error = refused(device, Kind.LEARN, struct.pack("<IHBB", step, RATE, 1, 0) + bytes(7))
    assert error.code == 5
    assert str(error).endswith(": 6"), "the device's own step"
    assert device.state() == before


def learn_payload(*body: int, rate: int = RATE, pulses_per_update: int = 1) -> bytes:
    return struct.pack("<IHBB", 6, rate, pulses_per_update, 0) + bytes(body)


BAD = [
    *((kind, b"", 1) for kind in (20, 99, 0x7D)),
    (Kind.LEARN, b"", 2),
    (Kind.LEARN, learn_payload()[:-1], 2),
    (Kind.LEARN, learn_payload(), 2),
    (Kind.LEARN, learn_payload(*range(6)), 2),
    (Kind.LEARN, learn_payload(*[1] * 8), 2),
    (Kind.LEARN, learn_payload(0, 0, 0, 0, 0, 0, 4), 2),
    (Kind.LEARN, learn_payload(*[1] * 7, *[0] * 6, 255), 2),
    (Kind.LEARN, learn_payload(*[1] * 7, rate=16384), 2),
    (Kind.LEARN, learn_payload(*[1] * 7, pulses_per_update=0), 2),
    (Kind.PREDICT, b"", 2),
    *((Kind.ADD_STUCK, payload, 2) for payload in (b"", b"\xff", b"\0\0", b"\xff\xff\xff")),
    (Kind.PREDICT, b"\1", 2),
    (Kind.PREDICT, b"\1" + bytes(5), 2),
    (Kind.PREDICT, b"\1" + bytes(13), 2),
    *((kind, b"\0\1\0\0\0\0\1\0\0", 2) for kind in (Kind.READ, Kind.WRITE, Kind.DIGEST)),
    *(
        (kind, struct.pack("<BBII", *where), 2)
        for kind in (Kind.READ, Kind.DIGEST)
        for where in (
            *((0, 0, 0, 1), (0, 3, 0, 1), (1, 0, 0, 1), (2, 3, 0, 1), (4, 255, 0, 1)),
            *((5, 0, 0, 0), (255, 1, 0, 1), (0, 1, 71, 0), (0, 1, 70, 1), (0, 1, 0, 71)),
            *((0, 2, 0, 49), (1, 1, 0, 36), (2, 1, 4, 2), (0, 1, 1, 2**32 - 1)),
        )
    ),
    *(
        (Kind.WRITE, struct.pack("<BBII", *where) + data, 2)
        for *where, data in (
            *((0, 1, 0, 2, b"x"), (0, 1, 0, 1, b"xx"), (0, 1, 69, 2, b"xx"), (0, 3, 0, 1, b"x")),
            *((2, 1, 0, 1, b"x"), (4, 0, 0, 1, b"x"), (5, 0, 0, 7, b"x"), (6, 0, 0, 0, b"")),
        )
    ),
    (Kind.FLIP, b"", 2),
    *(
        (Kind.FLIP, struct.pack("<BIBIB", *where), 2)
        for where in (
            *((0, 9, 0, 0, 0), (0, 9, 3, 0, 0), (0, 9, 1, 70, 0), (0, 9, 1, 0, 8)),
            *((1, 9, 0, 0, 0), (1, 9, 3, 0, 0), (1, 9, 1, 5, 0), (2, 9, 1, 0, 0)),
        )
    ),
    (Kind.FLIP, struct.pack("<BIBIB", 0, 9, 1, 0, 0) + b"\0", 2),
]


@pytest.mark.parametrize(
    ("kind", "payload", "code"), BAD, ids=[f"{kind}-{data.hex()}" for kind, data, _ in BAD]
)
def test_a_bad_request_is_refused_and_changes_nothing(
    device: BoardLearner, kind: int, payload: bytes, code: int
) -> None:
    config, before = trained(device, 6)
    assert refused(device, kind, payload).code == code
    assert device.state() == before
    # Not even a flip: the next samples are the twin's.
    twin = TwinLearner(config)
    twin.load(before)
    more = samples(config, 5, seed=1)
    twin.learn(RATE, *more)
    device.learn(RATE, *more)
    assert device.state() == twin.state()


GOOD = pack_config(harsh((6, 5, 4)))


def changed(at: int, data: bytes) -> bytes:
    return GOOD[:at] + data + GOOD[at + len(data) :]


BAD_CONFIGURATIONS = {
    "empty": b"",
    "cut in the head": GOOD[:31],
    "cut": GOOD[:-1],
    "too long": GOOD + b"\0",
    "format 0": changed(0, b"\0"),
    "format 1": changed(0, b"\1"),
    "format 3": changed(0, b"\3"),
    "no layers": changed(1, b"\0"),
    "one layer": changed(1, b"\1"),
    "three layers": changed(1, b"\3"),
    "rule 3": changed(3, b"\3"),
    "no free sweeps": changed(4, b"\0"),
    "no nudged sweeps": changed(5, b"\0"),
    "one ADC bit": changed(10, b"\1"),
    "eleven ADC bits": changed(10, b"\x0b"),
    "attached front end": changed(11, b"\1"),
    "no inputs": changed(32, b"\0\0"),
    "no outputs": changed(36, b"\0\0"),
    "1025 hidden units": changed(34, struct.pack("<H", 1025)),
    "256 classes": changed(36, struct.pack("<H", 256)),
    "gain shift 0": changed(39, b"\0"),
    "gain shift 31": changed(39, b"\x1f"),
    "range below the ADC": changed(40, b"\6"),
    "no rate scale": changed(48, b"\0"),
    "range of the second layer": changed(51, b"\x0f"),
    "no rate scale of the second layer": changed(59, b"\0"),
}


@pytest.mark.parametrize("payload", BAD_CONFIGURATIONS.values(), ids=BAD_CONFIGURATIONS.keys())
def test_a_bad_configuration_is_refused_and_the_learner_stays(
    device: BoardLearner, payload: bytes
) -> None:
    _, before = trained(device)
    assert refused(device, Kind.CONFIGURE, payload).code == 2
    assert device.state() == before


def test_a_rate_is_limited_by_the_largest_scale(device: BoardLearner) -> None:
    device.configure(harsh((6, 5, 4), rate_scale=(1, 4)))
    before = device.state()
    sample = struct.pack("<IHBB", 0, 4096, 1, 0) + bytes(7)
    assert refused(device, Kind.LEARN, sample).code == 2
    assert device.state() == before
    device.link.request(Kind.LEARN, struct.pack("<IHBB", 0, 4095, 1, 0) + bytes(7))


def test_the_good_configuration_of_those_tests_is_good(device: BoardLearner) -> None:
    device.link.request(Kind.CONFIGURE, GOOD)
    assert device.stats().steps == 0


def test_nothing_but_a_configuration_before_the_first() -> None:
    with open_board("unix") as board:
        fresh = connect(board)
        for kind in (Kind.LEARN, Kind.PREDICT, Kind.READ, Kind.WRITE, Kind.DIGEST, Kind.FLIP):
            assert refused(fresh, kind, bytes(11)).code == 3
        assert fresh.stats().steps == 0
        with pytest.raises(LinkError, match="configure the device before"):
            fresh.outputs(np.zeros((1, 6), np.uint8))
        trained(fresh)


def test_more_stuck_devices_equal_the_twin_and_are_in_its_state(device: BoardLearner) -> None:
    config = harsh((6, 5, 4))
    device.configure(config)
    twin = TwinLearner(config)
    for stuck in (9000, 9000, 40000, 65535):
        device.add_stuck(stuck)
        twin.add_stuck(stuck)
        assert device.state() == twin.state()
        assert device.config.stuck == stuck
        assert (
            device.learn(RATE, *samples(config, 20)) == twin.learn(RATE, *samples(config, 20))
        ).all()
        assert device.state() == twin.state()
    assert refused(device, Kind.ADD_STUCK, struct.pack("<H", 65534)).code == 2
    saved = device.state()
    device.load(saved)
    assert (
        device.learn(RATE, *samples(config, 20)).tolist()
        == twin.learn(RATE, *samples(config, 20)).tolist()
    )
    assert device.state() == twin.state()


@contextlib.contextmanager
def frames(device: BoardLearner, longest: int, waiting: int) -> Iterator[None]:
    """A board with other frames: the longest payload of any, and of one that waits in its ring."""
    hello = device.link._hello
    assert hello is not None
    rx_bytes = wire_length(FRAME_BYTES + waiting)
    device.link._hello = dataclasses.replace(
        hello, max_body=FRAME_BYTES + longest, rx_bytes=rx_bytes
    )
    assert device.link.max_payload == longest
    assert device.link.queued_payload == min(longest, waiting)
    try:
        yield
    finally:
        device.link._hello = hello


@pytest.mark.parametrize(
    ("longest", "waiting"),
    [(13, 13), (13, 1), (13, 500), (300, 13), (300, 1), (14, 200), (15, 14)],
    ids=["pieces", "small_ring", "large_ring", "alone", "alone_always", "one_less", "just"],
)
def test_frames_of_any_length_carry_the_same(
    device: BoardLearner, longest: int, waiting: int
) -> None:
    """Every answer, digest and bit, whether samples go many in a frame, alone or in pieces."""
    config, _ = trained(device)
    assert config.sizes[0] + LEARN_HEAD.size + 1 == 15
    x, targets = samples(config, 9)
    traced = Presentation(Mode.LEARN, Flag.TRACED, RATE)
    start = device.state()
    whole = [device.learn(RATE, x, targets).tolist(), device.outputs(x).tolist()]
    whole += [list(device.present(x, targets, traced)), device.state()]
    device.load(start)
    with frames(device, longest, waiting):
        pieces = [device.learn(RATE, x, targets).tolist(), device.outputs(x).tolist()]
        pieces.append(list(device.present(x, targets, traced)))
    assert [*pieces, device.state()] == whole


def test_what_a_sample_in_pieces_is_refused_for(device: BoardLearner) -> None:
    config, before = trained(device)
    head = LEARN_HEAD.pack(before.steps, RATE, 1, 0)
    inputs = config.sizes[0]
    device.write(Memory.SAMPLE, 0, bytes(inputs) + bytes([config.sizes[-1]]))
    if config.one_hot:
        assert refused(device, Kind.LEARN, head).code == 2  # no such class
    past = MEMORY_HEAD.pack(Memory.SAMPLE, 0, inputs, 200) + bytes(200)
    assert refused(device, Kind.WRITE, past).code == 2
    device.configure(config)
    assert refused(device, Kind.LEARN, LEARN_HEAD.pack(0, RATE, 1, 0)).code == 2  # none any more
    device.load(before)
    assert device.state() == before


@pytest.mark.parametrize("one_hot", [True, False], ids=["class", "on-off"])
def test_outputs_that_are_too_many_for_a_frame_are_read_afterwards(
    device: BoardLearner, one_hot: bool
) -> None:
    config = harsh((6, 40), read_noise=0.1, one_hot=one_hot)
    device.configure(config)
    x, _ = samples(config, 7)
    with frames(device, 39, 30):
        assert (device.outputs(x) == TwinLearner(config).outputs(x)).all()
    with pytest.raises(DeviceError, match="no such reply"):
        device.link.request(Kind.PREDICT, b"\3" + x[0].tobytes())


# --- out of memory -------------------------------------------------------------------------------


def test_out_of_memory_is_one_line_and_the_board_still_answers() -> None:
    with open_board("unix:heap=96K") as board:
        small = connect(board)
        with pytest.raises(DeviceError) as caught:
            small.configure(harsh((64, 500, 10)))
        assert caught.value.code == 4
        message = str(caught.value)
        assert "\n" not in message
        assert "it needs 124 KB, " in message
        assert " KB are free" in message
        assert "fewer or smaller hidden layers" in message

        assert refused(small, Kind.LEARN, bytes(11)).code == 3, "no learner is left"
        with pytest.raises(DeviceError):
            small.configure(harsh((64, 500, 10)))
        config, state = trained(small, 30)
        twin = TwinLearner(config)
        twin.learn(RATE, *samples(config, 30))
        assert state == twin.state()
