"""Device and twin in lock step: every state and every weight of every step, bit for bit.

The device sends four digests with each training sample (docs/reference/arithmetic.md,
"Digests"). The first that differs from the twin's is tracked down to the first
differing cell by halving: digests of ever smaller pieces of the device's
memory, which stays as it was because the next sample is not sent.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any, NoReturn

import numpy as np

from madem.boards.link_protocol import Flag, GateRequest, Memory, Mode
from madem.data.task import Samples
from madem.learners.board import BoardLearner
from madem.learners.protocol import Bytes, Engine, GateStatus, Presentation, Reply
from madem.learners.state import NetworkState
from madem.learners.stream import BoardStream
from madem.learners.twin import TwinLearner, TwinStep
from madem_emulator.twin.config import Config
from madem_emulator.twin.gated import GateSettings
from madem_emulator.twin.twin import Digests, Trace


@dataclass(frozen=True)
class Mismatch:
    """The first value in which device and twin differ.

    Attributes:
        step: number of the training sample, or how many samples were predicted before this one.
        phase: free, plus, minus, weights, answer or prediction; of a stream also inputs or gate; of
            a board of chips also schedule (other reads or pulses than the twin's) or codes
            (readings that are not plausible).
        layer: unit layer of an activity, weight layer of a device or accumulator; both count from
            1.
        cell: which unit, device or accumulator.
        device, twin: the values of both.
    """

    step: int
    phase: str
    layer: int
    cell: str
    device: int
    twin: int

    def __str__(self) -> str:
        if self.phase in ("schedule", "codes"):
            return f"step {self.step}, {self.phase}: {self.cell}"
        return (
            f"step {self.step}, {self.phase}, layer {self.layer}, {self.cell}:"
            f" the device has {self.device}, the twin {self.twin}"
        )


class DiffersError(Exception):
    """Board and twin have parted; the run is over.

    Attributes:
        mismatch: where.
    """

    def __init__(self, mismatch: Mismatch) -> None:
        """Tell the mismatch in words.

        Args:
            mismatch: where they differ.
        """
        super().__init__(str(mismatch))
        self.mismatch = mismatch


class LockStep(Engine):
    """A board and its twin, to which the same samples are presented; compared after each.

    Attributes:
        board: what learns, with its input.
        device: that board itself, whose memory is asked for where something differs.
        twin: that it is compared with.
        compared: values compared so far.
        steps: training samples compared so far.
    """

    def __init__(
        self,
        board: BoardLearner | BoardStream,
        twin: TwinLearner | None = None,
        names: Sequence[str] = (),
    ) -> None:
        """Both begin with fresh weights, or with the same state.

        Args:
            board: configured.
            twin: of the same network and pipeline; None: a fresh one.
            names: of the network's inputs, to name one that differs.
        """
        pipeline = board.pipeline if isinstance(board, BoardStream) else None
        self.board = board
        self.device = board.board if isinstance(board, BoardStream) else board
        self.twin = twin or TwinLearner(board.config, pipeline)
        self.compared = 0
        self.steps = 0
        self._predictions = 0
        self._names = names
        self._values = 3 * sum(self.config.sizes[1:]) + 3 * self.config.couplings + 1
        self._values += pipeline.inputs if pipeline else 0

    @property
    def config(self) -> Config:
        """See `Learner.config`."""
        return self.board.config

    def present(
        self, samples: Iterable[Any], targets: Iterable[Any], how: Presentation
    ) -> Iterator[Reply]:
        """See `Engine.present`.

        Raises:
            DiffersError: at the first sample after which anything differs.
        """
        learns = how.mode == Mode.LEARN
        flags = how.flags | Flag.TRACED if learns else how.flags
        pairs = zip(samples, targets, strict=True)
        # One at a time: the board must not go on before its memory has been compared.
        for number, (sample, target) in enumerate(pairs, how.first or 0):
            first = self.twin.twin.steps if learns else number
            reply, step = self._both(sample, target, how._replace(flags=flags, first=first))
            self._compare(first, reply, step)
            yield reply

    def outputs(self, x: Samples) -> Bytes:
        """See `Learner.outputs`; the board's, compared with the twin's."""
        board, twin = self.board.outputs(x), self.twin.outputs(x)
        first = self._next_prediction(len(x))
        self.compared += board.size
        for sample, unit in np.argwhere(board != twin)[:1]:
            values = board[sample, unit], twin[sample, unit]
            self._differ(first + sample, "prediction", f"unit {unit}", *values)
        return board

    def _next_prediction(self, count: int) -> int:
        """Number of the next prediction, of which so many are asked for."""
        first = self._predictions
        self._predictions += count
        return first

    def add_stuck(self, stuck: int) -> None:
        """See `Learner.add_stuck`; what it did is compared with the next sample's weights."""
        self.board.add_stuck(stuck)
        self.twin.add_stuck(stuck)

    def state(self) -> NetworkState:
        """See `Engine.state`; the board's."""
        return self.board.state()

    def load(self, state: NetworkState) -> None:
        """See `Engine.load`."""
        self.board.load(state)
        self.twin.load(state)

    def ask_gate(self, request: GateRequest, settings: GateSettings | None = None) -> GateStatus:
        """See `Engine.ask_gate`.

        Raises:
            DiffersError: board and twin have counted otherwise.
        """
        board = self.board.ask_gate(request, settings)
        twin = self.twin.ask_gate(request, settings)
        for name, one, other in zip(GateStatus._fields, board, twin, strict=True):
            if one != other:
                self._differ(board.steps, "gate", name, one or 0, other or 0)
        return board

    def _both(self, sample: Any, target: Any, how: Presentation) -> tuple[Reply, TwinStep]:
        """Present a sample to the board and to the twin."""
        steps: list[TwinStep] = []

        def once() -> Iterator[Any]:
            yield sample
            # The link asks for more when the sample is on its way: the twin works meanwhile.
            steps.append(self.twin.step(sample, target, how))

        (reply,) = self.board.present(once(), [target], how)
        return reply, steps[0]

    def _compare(self, number: int, reply: Reply, step: TwinStep) -> None:
        """Raise DiffersError for the first value of a sample that differs."""
        if reply.inputs is not None and reply.inputs != zlib.crc32(step.inputs.tobytes()):
            self._find_input(number, step.inputs)
        if step.trace is not None and reply.digests is not None:
            self.steps += 1
            self.compared += self._values
            self._compare_digests(step.trace, reply.digests)
        else:
            self.compared += 1
        for name in ("answer", "margin", "learned", "checkpointed", "rolled_back"):
            board, twin = getattr(reply, name), getattr(step.reply, name)
            if board != twin:
                self._differ(number, "answer" if name == "answer" else "gate", name, board, twin)

    def _compare_digests(self, trace: Trace, digests: Digests) -> None:
        if not trace.plus:  # nothing came after the free phase
            digests = digests._replace(plus=0, minus=0)
        if digests == trace.digests:
            return
        phases = {"free": trace.free, "plus": trace.plus, "minus": trace.minus}
        self._search_phases(trace.step, phases)
        for layer in range(1, len(self.config.sizes)):
            for memory, parts in (
                (Memory.DEVICES, self.twin.twin.devices),
                (Memory.ACCUMULATORS, self.twin.twin.accumulators),
            ):
                data = parts[layer - 1][0].tobytes()
                self._search(trace.step, "weights", memory, layer, data)
        raise DiffersError(Mismatch(trace.step, "digest", 0, "no cell", 0, 0))

    def _search_phases(self, step: int, phases: dict[str, list[Bytes]]) -> None:
        """Search the activities after phases, by their names, of unit layers 1…L each."""
        for name, activities in phases.items():
            for layer, s in enumerate(activities, 1):
                self._search(step, name, Memory[name.upper()], layer, s[0].tobytes())

    def _find_input(self, step: int, twin: Bytes) -> None:
        """Raise DiffersError for the first of the network's inputs that differs."""
        assert isinstance(self.board, BoardStream)
        device = self.board.inputs()
        unit = int(np.flatnonzero(device != twin)[0])
        name = f"unit {unit}, {self._names[unit]}" if self._names else f"unit {unit}"
        self._differ(step, "inputs", name, device[unit], twin[unit], layer=0)

    def _differ(
        self, step: int, phase: str, cell: str, device: Any, twin: Any, layer: int | None = None
    ) -> NoReturn:
        """Raise DiffersError for two values; without a layer, of the output layer."""
        layer = len(self.config.sizes) - 1 if layer is None else layer
        raise DiffersError(Mismatch(int(step), phase, layer, cell, int(device), int(twin)))

    def _search(self, step: int, phase: str, memory: Memory, layer: int, twin: bytes) -> None:
        """Find the first byte that differs, by halving; returns if none does."""
        if not twin:  # measured devices, which the twin does not have
            return

        def same(low: int, high: int) -> bool:
            return self.device.digest(memory, layer, low, high - low) == zlib.crc32(twin[low:high])

        low, high = 0, len(twin)
        if same(low, high):
            return
        while high - low > 1:
            middle = (low + high) // 2
            if same(low, middle):
                low = middle
            else:
                high = middle
        value = self.device.read(memory, layer, low, 1)[0]
        cell = cell_name(self.config, memory, layer, low)
        raise DiffersError(Mismatch(step, phase, layer, cell, value, twin[low]))


def cell_name(config: Config, memory: Memory, layer: int, offset: int) -> str:
    """Name a byte of a board's memory.

    Args:
        config: of the network.
        memory: the region.
        layer: weight layers count from 1, unit layers from 0.
        offset: of the byte in its layer.

    Returns:
        Its unit, or its device or accumulator with word line and bit line, in words.
    """
    if memory >= Memory.FREE:
        return f"unit {offset}"
    lines = config.sizes[layer - 1] + 1
    bit_line, line = divmod(offset, lines)
    kind = "accumulator"
    if memory == Memory.DEVICES:
        bit_line, negative = divmod(bit_line, 2)
        kind = "device N" if negative else "device P"
    word_line = "bias line" if line == lines - 1 else f"word line {line}"
    return f"{kind}, {word_line}, bit line {bit_line}"


def report(lock: LockStep, mismatch: Mismatch | None) -> dict[str, Any]:
    """Make the keys that `verify` adds to the JSON contract.

    Args:
        lock: that has run.
        mismatch: that ended the run; None: there was none.

    Returns:
        The keys and their values.
    """
    return {
        "steps": lock.steps,
        "values_compared": lock.compared,
        "mismatches": 0 if mismatch is None else 1,
        "first_mismatch": None if mismatch is None else asdict(mismatch),
    }
