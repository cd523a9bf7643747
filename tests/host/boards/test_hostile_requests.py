"""Requests that are sound frames and mean harm: the firmware answers each, and goes on.

Everything is drawn from one seed. A third of the requests are right in form, so that handlers are
reached and left in all states; the others are right ones with bytes changed, cut, or added, or
nothing but random bytes.
"""

import struct
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from madem.boards.link import Link
from madem.boards.link_protocol import (
    ADD_STUCK,
    CALIBRATE_MEASURE,
    CALIBRATE_STORE,
    CODES_HEAD,
    FEED_HEAD,
    FLIP,
    GATE_SETTINGS,
    LEARN_HEAD,
    LIVE_ASK,
    LIVE_START,
    MEMORY_HEAD,
    PIPELINE,
    PREDICT_HEAD,
    CalibrateRequest,
    CodesRequest,
    Error,
    Kind,
    LiveRequest,
    Memory,
)
from madem.boards.open import open_board
from madem.errors import DeviceError
from madem.learners.board import connect, pack_config
from madem.stream.sensors import parse as parse_sensor
from madem_emulator.twin.config import Rule, Settings

from ...conftest import SEED

_WAYS = ("right", "changed", "cut", "longer", "random")
_KINDS = tuple(kind for kind in Kind if kind not in (Kind.HELLO, Kind.STOP))


class Attacker:
    """Draws requests, and keeps in mind what right ones need."""

    def __init__(self, seed: int, design: str = "", source: bytes = b"") -> None:
        """
        Args:
            seed: of all that is drawn.
            design: of the chips that the board has; "": none.
            source: payload of SOURCE for the sensor that the board has.
        """
        self._design = design
        self._source = source or struct.pack("<IBB", 50000, 0, 3) + b"adc" + b"\1"
        self._random = np.random.default_rng(seed)
        self.sizes = (3, 2)
        self.steps = 0
        self.channels = 1
        self._right: dict[Kind, Callable[[], bytes]] = {
            Kind.CONFIGURE: self._configure,
            Kind.LEARN: self._learn,
            Kind.PREDICT: lambda: PREDICT_HEAD.pack(self._below(3)) + self._x(),
            Kind.READ: lambda: self._memory(9),
            Kind.WRITE: self._write,
            Kind.DIGEST: lambda: self._memory(6),
            Kind.STATS: lambda: bytes([self._below(2)]),
            Kind.FLIP: lambda: FLIP.pack(0, self.steps + 2, 1, self._below(4), self._below(8)),
            Kind.ECHO: lambda: self._bytes(1 + self._below(40)),
            Kind.ADD_STUCK: lambda: ADD_STUCK.pack(self._below(2000)),
            Kind.PIPELINE: self._pipeline,
            Kind.FEED: self._feed,
            Kind.SOURCE: lambda: self._source,
            Kind.LIVE: self._live,
            Kind.CALIBRATE: self._calibrate,
            Kind.CODES: lambda: CODES_HEAD.pack(CodesRequest.PREDICT, 0, 0, 1) + self._x(),
            Kind.GATE: self._gate,
        }

    def draw(self) -> tuple[str, Kind, bytes]:
        """How it was made, its kind, and its payload."""
        kind = _KINDS[self._below(len(_KINDS))]
        # What others need is right more often.
        ways = 12 if kind in (Kind.CONFIGURE, Kind.PIPELINE, Kind.SOURCE) else 6
        how = (*_WAYS, *["right"] * 8)[self._below(ways)]
        payload = bytearray(self._right[kind]())
        if how == "changed":
            for _ in range(1 + self._below(3)):
                if payload:
                    at = self._below(len(payload))
                    wide = payload[at : at + (1, 2, 4)[self._below(3)]]
                    payload[at : at + len(wide)] = self._extreme(len(wide))
        elif how == "cut":
            payload = payload[: self._below(len(payload) + 1)]
        elif how == "longer":
            payload += self._bytes(1 + self._below(30))
        elif how == "random":
            payload = bytearray(self._bytes(self._below(100)))
        return how, kind, bytes(payload)

    def heard(self, kind: Kind, payload: bytes, reply: bytes) -> None:
        """What the reply changes."""
        if kind == Kind.CONFIGURE:
            depth = payload[1]
            self.sizes = struct.unpack_from(f"<{depth + 1}H", payload, 32)
            self.steps = 0
        elif kind == Kind.PIPELINE:
            self.channels = payload[0]
        elif kind in (Kind.LEARN, Kind.FEED, Kind.STATS, Kind.GATE):
            self.steps = int.from_bytes(reply[:4], "little")
        elif kind == Kind.WRITE and payload[0] == Memory.STEPS:
            self.steps = int.from_bytes(payload[6:10], "little")

    def _below(self, n: int) -> int:
        return int(self._random.integers(n))

    def _bytes(self, n: int) -> bytes:
        return self._random.bytes(n)

    def _extreme(self, n: int) -> bytes:
        ends = (b"\0" * n, b"\xff" * n, b"\x7f".rjust(n, b"\xff"), b"\x80".rjust(n, b"\0"))
        return (*ends, self._bytes(n), self._bytes(n))[self._below(6)]

    def _x(self) -> bytes:
        """A sample, or now and then nothing: the one that was written before."""
        return self._bytes(self.sizes[0] if self._below(5) else 0)

    def _configure(self) -> bytes:
        sizes = [1 + self._below(12) for _ in range(2 + self._below(3))]
        if self._below(3) == 0:
            sizes[-1] = sizes[0]
        config = Settings(tuple(sizes), bool(self._below(3)), self._below(9), Rule(self._below(3)))
        if self._design and self._below(2):
            chips = replace(config, sizes=(1 + self._below(7), 1 + self._below(4)))
            return pack_config(chips.integers(), self._design)
        return pack_config(config.integers())

    def _learn(self) -> bytes:
        head = LEARN_HEAD.pack(self.steps, self._below(4000), 1, self._below(2))
        return head + (self._x() + b"\0" if self._below(4) else b"")

    def _memory(self, regions: int) -> bytes:
        return MEMORY_HEAD.pack(self._below(regions), 1, self._below(3), self._below(20))

    def _write(self) -> bytes:
        regions = (0, 1, Memory.STEPS, Memory.NORMALISATION, Memory.SAMPLE)
        region = regions[self._below(len(regions))]
        if region == Memory.STEPS:
            return MEMORY_HEAD.pack(region, 0, 0, self._below(2**30))
        count = 1 + self._below(24)
        return MEMORY_HEAD.pack(region, 1, self._below(8), count) + self._bytes(count)

    def _pipeline(self) -> bytes:
        window = 8 + self._below(30)
        return PIPELINE.pack(1 + self._below(3), window, 1 + self._below(window), 3, 0, 4)

    def _feed(self) -> bytes:
        mode = self._below(3)
        flags = (0, 1, 2, 3, 8, 16)[self._below(6)]
        head = FEED_HEAD.pack(self.steps, 1000, 1, mode, flags, 0)
        return head + self._bytes(2 * self.channels * self._below(20))

    def _calibrate(self) -> bytes:
        measure = CALIBRATE_MEASURE.pack(CalibrateRequest.MEASURE, 0, 0, 255, 0, 1, 0)
        piece = CALIBRATE_STORE.pack(CalibrateRequest.STORE, 0) + self._bytes(30)
        others = [bytes([what]) for what in CalibrateRequest if what > CalibrateRequest.STORE]
        return (measure, piece, *others)[self._below(2 + len(others))]

    def _live(self) -> bytes:
        if self._below(2):
            return LIVE_ASK.pack(LiveRequest.ASK, self._below(9), self._below(20))
        return LIVE_START.pack(LiveRequest.START, self._below(3), 2, 1000, 1, self._below(9))

    def _gate(self) -> bytes:
        what = self._below(4)
        if what:
            return bytes([what])
        return GATE_SETTINGS.pack(0, self._below(257), self._below(101), 6, 9000, 20)


def attack(board: str, attacker: Attacker, requests: int) -> Counter[tuple[str, str, str]]:
    """Counts of (how, kind, what came of it); fails where the firmware does not answer."""
    found: Counter[tuple[str, str, str]] = Counter()
    with open_board(board) as opened:
        link: Link = connect(opened).link
        for number in range(requests):
            how, kind, payload = attacker.draw()
            try:
                attacker.heard(kind, payload, link.request(kind, payload, timeout=20.0))
                became = "done"
            except DeviceError as error:
                became = Error(error.code).name
                if error.code == Error.INTERNAL:
                    print(number, how, kind.name, payload.hex(), error)
                if error.code == Error.STEP_MISMATCH:
                    attacker.steps = int(str(error).split()[-1])
            except Exception as error:
                pytest.fail(f"request {number}, {how} {kind.name} {payload.hex()}: {error}")
            found[how, kind.name, became] += 1
        assert link.hello().firmware
    return found


def table(found: Counter[tuple[str, str, str]]) -> Iterator[str]:
    """A line for each kind: how many requests, how many right in form, what came of them."""
    for kind in sorted({kind for _, kind, _ in found}):
        mine = {key: n for key, n in found.items() if key[1] == kind}
        became: Counter[str] = Counter()
        for (_, _, what), n in mine.items():
            became[what] += n
        right = sum(n for (how, _, _), n in mine.items() if how == "right")
        yield f"{kind:10} {sum(mine.values()):6} {right:6}  " + ", ".join(
            f"{what} {n}" for what, n in became.most_common()
        )


def check(board: str, attacker: Attacker, requests: int) -> None:
    found = attack(board, attacker, requests)
    print("kind        sent  right  what came of them")
    print("\n".join(table(found)))
    right = sum(n for (how, _, _), n in found.items() if how == "right")
    done = sum(n for (_, _, became), n in found.items() if became == "done")
    assert right > requests / 3
    assert done > requests / 4, "handlers are reached, and leave something behind"
    # Nobody knows of any that is a fault of the firmware.
    assert not [key for key in found if key[2] == Error.INTERNAL.name]


@pytest.mark.parametrize(
    "board",
    [
        pytest.param("unix:heap=256K", marks=pytest.mark.needs("unix")),
        pytest.param("unix32:heap=256K", marks=pytest.mark.needs("unix32")),
        pytest.param("qemu", marks=[pytest.mark.needs("qemu"), pytest.mark.slow]),
    ],
)
def test_the_firmware_survives_what_it_is_sent(board: str) -> None:
    check(board, Attacker(SEED), 5000)


@pytest.mark.needs("unix")
def test_so_does_a_board_of_chips() -> None:
    check("unix:wiring=maker8x8+taox_hfox_wu2018+1", Attacker(SEED, "maker8x8"), 1000)


@pytest.mark.needs("unix")
def test_so_does_a_board_with_a_sensor(tmp_path: Path) -> None:
    motion = tmp_path / "motion.csv"
    rows = "".join(f"{20000 * k},{k % 7},{k % 5},9,1,2,3,\n" for k in range(500))
    motion.write_text("t_us,ax,ay,az,gx,gy,gz,label\n" + rows)
    source = parse_sensor("mpu6050").packed()
    check(f"unix:sensor=mpu6050+{motion}", Attacker(SEED, source=source), 2000)


@pytest.mark.long
@pytest.mark.needs("unix", "unix32", "qemu")
@pytest.mark.parametrize("board", ["unix:heap=256K", "unix32:heap=256K", "qemu"])
def test_the_firmware_survives_a_long_attack(board: str) -> None:
    check(board, Attacker(SEED), 100_000)
