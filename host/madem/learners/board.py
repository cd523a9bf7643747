"""Firmware behind a link, as a learner: `connect` makes it from an open board."""

from __future__ import annotations

import shlex
import struct
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any

import numpy as np

from madem import __version__
from madem.boards import capacity, deploy, link
from madem.boards.link_protocol import (
    ADD_STUCK,
    CONFIGURE_DEVICE,
    CONFIGURE_FORMAT,
    CONFIGURE_HEAD,
    CONFIGURE_LAYER,
    CONFIGURE_REPLY,
    FLIP,
    GATE_REPLY,
    GATE_SETTINGS,
    LEARN_HEAD,
    MEMORY_HEAD,
    PREDICT_HEAD,
    STATS_REPLY,
    WRITE_VERIFY_REPLY,
    Error,
    Flag,
    GateRequest,
    Kind,
    Memory,
    Mode,
    PredictReply,
)
from madem.boards.open import Board
from madem.data.task import Samples
from madem.errors import BoardError, DeviceError, LinkError, TooLargeError
from madem.learners.protocol import Bytes, Engine, GateStatus, Presentation, Reply
from madem.learners.state import NetworkState, deviations
from madem_emulator.twin.codes import checked_codes
from madem_emulator.twin.config import Config
from madem_emulator.twin.gated import GateSettings
from madem_emulator.twin.twin import Digests

_KEPT = 56
"""Samples a LEARN frame may hold, so that the board can keep its reply for a repetition."""

_KEPT_BY_CHIPS = 4
"""The same for an attached front end, where a sample may take a second."""
_DIGESTS = struct.Struct("<4I")
_WRITING = 600.0
"""Seconds that write-verify of a layer may take."""


@dataclass(frozen=True)
class Stats:
    """A board's measurements of itself.

    Attributes:
        steps: samples learned.
        busy_us: time in the learner since the last question, in microseconds; 0 where there is no
            clock.
        heap_alloc, heap_free: bytes.
    """

    steps: int
    busy_us: int
    heap_alloc: int
    heap_free: int


@dataclass(frozen=True)
class Fit:
    """The room that a network takes on a board, and leaves.

    Attributes:
        heap_used: bytes that it takes.
        heap_free: bytes that are left.
        stuck: devices that can't change.
    """

    heap_used: int
    heap_free: int
    stuck: int


@dataclass(frozen=True)
class Written:
    """The work of write-verify that loaded a state into devices behind chips.

    Attributes:
        devices: how many were written.
        pulses: those that devices got, all together.
        failed: devices that did not come within the tolerance.
        error: how far devices are off then, as a fraction of their window, root mean square.
    """

    devices: int
    pulses: int
    failed: int
    error: float


class BoardLearner(Engine):
    """Firmware behind a link, that learns whole samples. See `Engine`; made by `connect`.

    Attributes:
        link: to the firmware.
        hello: how the firmware introduced itself.
        written: what the newest `load` did to devices behind chips; None before one.
    """

    def __init__(self, connection: link.Link, hello: link.Hello) -> None:
        """Take a session over.

        Args:
            connection: whose session has begun.
            hello: with which it began.
        """
        self.link = connection
        self.hello = hello
        self._config: Config | None = None
        self._most = _KEPT  # samples in a frame
        self.written: Written | None = None

    @property
    def config(self) -> Config:
        """The integers that the board was configured with.

        Raises:
            LinkError: it was not.
        """
        if self._config is None:
            raise LinkError("configure the device before using it")
        return self._config

    def configure(self, config: Config, design: str = "") -> Fit:
        """Build a network with fresh random weights.

        Args:
            config: its integers.
            design: the board of chips that holds the weights; "": the emulated front end.

        Returns:
            How it fits the board.

        Raises:
            TooLargeError: it does not fit.
            DeviceError: a chip does not answer (8), or the firmware
                can't do this.
        """
        try:
            reply = self.link.request(Kind.CONFIGURE, pack_config(config, design), timeout=120.0)
        except DeviceError as error:
            if error.code != Error.OUT_OF_MEMORY:
                raise
            needed = capacity.network_bytes(config.sizes, self.hello.word_bits)
            free = self.stats(collect=True).heap_free
            raise TooLargeError(
                Error.OUT_OF_MEMORY,
                f"this network does not fit the board: it needs {-(-needed // 1024)} KB,"
                f" {free // 1024} KB are free{' in pieces' if needed <= free else ''}:"
                " use fewer or smaller hidden layers",
            ) from None
        self._config = config
        self._most = _KEPT_BY_CHIPS if design else _KEPT
        return Fit(*CONFIGURE_REPLY.unpack(reply))

    def present(
        self, samples: Iterable[Bytes], targets: Iterable[Any], how: Presentation
    ) -> Iterator[Reply]:
        """See `Engine.present`; whole samples are only learned, and `outputs` asks for them."""
        if how.mode != Mode.LEARN or how.flags & (Flag.GATED | Flag.OWN):
            raise ValueError("whole samples are learned with their targets, every one")
        traced = Flag.TRACED in how.flags
        # A traced one stands alone: the next must not change what its digests are of.
        most = 1 if traced else self._most
        sizes = self.config.sizes
        width = sizes[0] + (1 if self.config.one_hot else sizes[-1])
        room = min(most, self.link.room(LEARN_HEAD.size, width))
        step = self.stats().steps if how.first is None else how.first

        def frames() -> Iterator[tuple[int, bytes]]:
            number, pairs = step, zip(samples, targets, strict=True)
            while part := list(islice(pairs, max(room, 1))):
                head = LEARN_HEAD.pack(number, how.rate, how.pulses_per_update, traced)
                x, on = zip(*part, strict=True)
                data = pack_samples(x, on, self.config)
                if not room:
                    yield from self._pieces(Memory.SAMPLE, 0, data)
                    data = b""
                yield Kind.LEARN, head + data
                number += len(part)

        for reply in self._ask(Kind.LEARN, frames()):
            if traced:
                yield Reply(reply[4], digests=Digests(*_DIGESTS.unpack_from(reply, 5)))
            else:
                yield from map(Reply, reply[4:])

    def add_stuck(self, stuck: int) -> None:
        """See `Learner.add_stuck`.

        Raises:
            DeviceError: it is lower than it was.
        """
        self.link.request(Kind.ADD_STUCK, ADD_STUCK.pack(stuck), timeout=120.0)
        self._config = replace(self.config, stuck=stuck)

    def outputs(self, x: Samples) -> Bytes:
        """See `Learner.outputs`."""
        last = len(self.config.sizes) - 1
        wide = self.config.sizes[-1]
        codes = checked_codes(np.asarray(x), self.config.sizes[0], rows=True)
        room = self.link.room(PREDICT_HEAD.size, codes.shape[1])
        answers = self.link.max_payload // wide
        what = PredictReply.OUTPUTS if answers else PredictReply.NOTHING
        room = min(room, max(answers, 1))
        if self._most < _KEPT:
            room = min(room, self._most)

        def frames() -> Iterator[tuple[int, bytes]]:
            for start in range(0, len(codes), max(room, 1)):
                data = codes[start : start + max(room, 1)].tobytes()
                if not room:
                    yield from self._pieces(Memory.SAMPLE, 0, data)
                    data = b""
                yield Kind.PREDICT, PREDICT_HEAD.pack(what) + data
                if not answers:
                    yield from self._reads(Memory.FREE, last, 0, wide)

        data = b"".join(self._ask(Kind.PREDICT if answers else Kind.READ, frames()))
        return np.frombuffer(data, np.uint8).reshape(len(codes), wide)

    def read(self, which: Memory, layer: int, offset: int = 0, count: int | None = None) -> bytes:
        """Read a piece of the board's memory.

        Args:
            which: its region.
            layer: weight layers count from 1, unit layers from 0.
            offset: of the first byte, in the layer.
            count: bytes; None: to the layer's end.

        Returns:
            The bytes, laid out as in docs/reference/arithmetic.md.
        """
        count = self._size(which, layer) - offset if count is None else count
        return b"".join(self.link.request_many(self._reads(which, layer, offset, count)))

    def _reads(
        self, which: Memory, layer: int, offset: int, count: int
    ) -> Iterator[tuple[int, bytes]]:
        """The requests that read so many bytes of a region."""
        room = self.link.max_payload
        for at in range(offset, offset + count, room):
            part = min(room, offset + count - at)
            yield Kind.READ, MEMORY_HEAD.pack(which, layer, at, part)

    def write(self, which: Memory, layer: int, data: bytes) -> None:
        """Overwrite a layer from its first byte on.

        Args:
            which: region of the board's memory.
            layer: weight layers count from 1.
            data: the new bytes.

        Raises:
            DeviceError: the firmware does not take them there.
        """
        for _ in self.link.request_many(self._pieces(which, layer, data)):
            pass

    def _pieces(self, which: Memory, layer: int, data: bytes) -> Iterator[tuple[int, bytes]]:
        """The requests that write into a region from its first byte on."""
        room = self.link.queued_payload - MEMORY_HEAD.size
        if room < 1:  # a line that holds next to nothing
            room = self.link.max_payload - MEMORY_HEAD.size
        for at in range(0, len(data), room):
            part = data[at : at + room]
            yield Kind.WRITE, MEMORY_HEAD.pack(which, layer, at, len(part)) + part

    def _ask(self, kind: Kind, requests: Iterable[tuple[int, bytes]]) -> Iterator[bytes]:
        """As `Link.request_many`, but only the replies to requests of one kind."""
        kinds: deque[int] = deque()

        def noted() -> Iterator[tuple[int, bytes]]:
            for request in requests:
                kinds.append(request[0])
                yield request

        for reply in self.link.request_many(noted()):
            if kinds.popleft() == kind:
                yield reply

    def digest(self, which: Memory, layer: int, offset: int, count: int) -> int:
        """Ask for the CRC-32 of a piece of the board's memory.

        Args:
            which: region of the board's memory.
            layer: of it, as for `read`.
            offset: of the first byte.
            count: of bytes.

        Returns:
            The CRC-32.
        """
        payload = MEMORY_HEAD.pack(which, layer, offset, count)
        return int.from_bytes(self.link.request(Kind.DIGEST, payload), "little")

    def stats(self, collect: bool = False) -> Stats:
        """Ask the board what it has measured of itself.

        Args:
            collect: have the garbage collected first, so that the free heap is all free heap.

        Returns:
            The figures; the time counts from the last question on.
        """
        return Stats(*STATS_REPLY.unpack(self.link.request(Kind.STATS, bytes([collect]))))

    def flip(self, state: bool, step: int, layer: int, index: int, bit: int) -> None:
        """Have the board flip one bit later on, to see that a check finds it.

        Args:
            state: of an activity after the free phase; otherwise of a device after the pulses.
            step: number of the training sample.
            layer: 1…L, of the units or of the weights.
            index: of the unit, or of the device in its layer.
            bit: 0…7.
        """
        self.link.request(Kind.FLIP, FLIP.pack(state, step, layer, index, bit))

    def ask_gate(self, request: GateRequest, settings: GateSettings | None = None) -> GateStatus:
        """See `Engine.ask_gate`.

        Raises:
            DeviceError: as there; or the checkpoint does not fit (code 4), or the front end can't
                be put back.
        """
        payload = bytes([request])
        if settings is not None:
            s = settings
            payload = GATE_SETTINGS.pack(request, s.gate, s.at_most, s.fade, s.drop, s.every)
        counts = GATE_REPLY.unpack(self.link.request(Kind.GATE, payload))
        return GateStatus.of(*counts)

    def state(self) -> NetworkState:
        """See `Learner.state`."""
        layers = range(1, len(self.config.sizes))
        return NetworkState(
            self.config,
            self.stats().steps,
            tuple(self.read(Memory.DEVICES, k) for k in layers),
            tuple(self.read(Memory.ACCUMULATORS, k) for k in layers),
        )

    def load(
        self,
        state: NetworkState,
        design: str = "",
        progress: Callable[[int], None] = lambda devices: None,
    ) -> None:
        """Make the device what it was when the state was taken.

        Args:
            state: what was saved.
            design: the board of chips that holds the weights; its devices are brought to about
                those of the state, and `written` tells how. "": the emulated front end.
            progress: called with how many devices behind chips have been written.

        Raises:
            LinkError: what arrived is not what was sent.
        """
        self.configure(state.config, design)
        if design:
            found = []
            for k, data in enumerate(state.devices, 1):
                found.append(self._program(k, data))
                progress(len(data))
            pulses, failed = (sum(each) for each in zip(*found, strict=True))
            for k, data in enumerate(state.accumulators, 1):
                self.write(Memory.ACCUMULATORS, k, data)
            self._set_steps(state.steps)
            off = deviations(state, self.state())
            error = round(float(np.sqrt(np.mean(off**2))), 4)
            self.written = Written(sum(map(len, state.devices)), pulses, failed, error)
            return
        for which, parts in (
            (Memory.DEVICES, state.devices),
            (Memory.ACCUMULATORS, state.accumulators),
        ):
            for k, data in enumerate(parts, 1):
                self.write(which, k, data)
        self._set_steps(state.steps)
        if self.state() != state:
            raise LinkError("the board does not hold what was written: try again")

    def _set_steps(self, steps: int) -> None:
        self.link.request(Kind.WRITE, MEMORY_HEAD.pack(Memory.STEPS, 0, 0, steps))

    def _program(self, layer: int, data: bytes) -> tuple[int, int]:
        """Write a layer's devices behind chips; pulses that it took, devices that failed."""
        self.write(Memory.DEVICES, layer, data[:-1])
        last = MEMORY_HEAD.pack(Memory.DEVICES, layer, len(data) - 1, 1) + data[-1:]
        return WRITE_VERIFY_REPLY.unpack(self.link.request(Kind.WRITE, last, timeout=_WRITING))

    def stop(self) -> None:
        """Leave the firmware; the board is back at its REPL."""
        self.link.request(Kind.STOP)
        self.link.close()

    def _size(self, which: Memory, layer: int) -> int:
        sizes = self.config.sizes
        if which >= Memory.FREE:
            return sizes[layer]
        couplings = (sizes[layer - 1] + 1) * sizes[layer]
        return 2 * couplings if which == Memory.DEVICES else couplings


def connect(board: Board, deploy_firmware: bool | None = None) -> BoardLearner:
    """Reach the firmware on a board, starting it when it does not run.

    Args:
        board: an open board.
        deploy_firmware: put the firmware on it first; None: on emulated boards, which start
            empty.

    Returns:
        A learner without a network: `configure` it, or `load` one.

    Raises:
        LinkError: nothing answers.
        BoardError: the firmware is of another version.
    """
    connection = link.Link(board.port, board.slowness)
    if board.emulated if deploy_firmware is None else deploy_firmware:
        deploy.deploy(board)
        deploy.start(board)
        hello = connection.hello()
    else:
        try:
            hello = connection.hello(timeout=1.0)
        except LinkError:
            deploy.start(board)
            hello = connection.hello()
    if hello.firmware != __version__:
        raise BoardError(
            f"{board.name} runs firmware {hello.firmware}, this is madem {__version__}:"
            f" run `madem deploy --board {shlex.quote(board.name)}`"
        )
    return BoardLearner(connection, hello)


def pack_config(config: Config, design: str = "") -> bytes:
    """Payload of CONFIGURE in docs/reference/link.md; arguments as for `BoardLearner.configure`."""
    c = config
    head = CONFIGURE_HEAD.pack(
        CONFIGURE_FORMAT, len(c.layers), c.one_hot, c.rule, c.t_free, c.t_nudge, c.beta,
        c.t_hi, c.t_lo, c.dac_mask, c.adc_bits, bool(design), c.seed,
    )  # fmt: skip
    device = CONFIGURE_DEVICE.pack(
        c.step, c.nl_set, c.nl_reset, c.c2c, c.d_step, c.d_top, c.stuck, c.init
    )
    sizes = struct.pack(f"<{len(c.sizes)}H", *c.sizes)
    layers = b"".join(
        CONFIGURE_LAYER.pack(
            la.gain, la.gain_shift, la.range_forward, la.range_transposed,
            la.noise_forward, la.noise_transposed, la.cap, la.scale,
        )
        for la in c.layers
    )  # fmt: skip
    return head + device + sizes + layers + design.encode()


def pack_samples(x: Sequence[Bytes], targets: Sequence[Any], config: Config) -> bytes:
    """Pack samples to learn as they go over the link: of each its codes, then its targets.

    Args:
        x: DAC codes, uint8 (samples, inputs).
        targets: of each its class, or 0/1 of each output.
        config: of the network.

    Returns:
        The bytes.

    Raises:
        ValueError: the samples are no codes, or a target is none of the network's.
    """
    codes = checked_codes(np.asarray(x), config.sizes[0], rows=True)
    on = np.asarray(targets).reshape(len(codes), -1)
    outputs, most = config.sizes[-1], config.sizes[-1] - 1 if config.one_hot else 1
    if on.shape[1] != (1 if config.one_hot else outputs) or on.min() < 0 or on.max() > most:
        what = f"a class from 0 to {most}" if config.one_hot else f"{outputs} times 0 or 1"
        raise ValueError(f"a target is {what}, not {on.tolist()}")
    return np.hstack([codes, on.astype(np.uint8)]).tobytes()
