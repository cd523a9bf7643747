"""Device and twin in lock step: every state and every weight of every step, bit for bit.

The device sends four digests with each training sample (docs/reference/arithmetic.md,
"Digests"). The first that differs from the twin's is tracked down to the first
differing cell by halving: digests of ever smaller pieces of the device's
memory, which stays as it was because the next sample is not sent.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from madem.boards.link_protocol import Memory
from madem.learners.board import BoardLearner
from madem.learners.state import NetworkState
from madem.learners.twin import TwinLearner
from madem_emulator.twin.config import Config
from madem_emulator.twin.twin import Digests, Trace

Bytes = NDArray[np.uint8]


@dataclass(frozen=True)
class Mismatch:
    """The first value in which device and twin differ."""

    step: int
    phase: str
    """free, plus, minus, weights, answer or prediction; of a board of chips also schedule (other
    reads or pulses than the twin's) or codes (readings that are not plausible)."""
    layer: int
    """Unit layer of an activity, weight layer of a device or accumulator; both count from 1."""
    cell: str
    """Which unit, device or accumulator."""
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
    """Device and twin have parted; the run is over."""

    def __init__(self, mismatch: Mismatch) -> None:
        super().__init__(str(mismatch))
        self.mismatch = mismatch


class LockStep:
    """A learner that is two: the device and its twin, compared after every sample.

    Attributes:
        compared: values compared so far.
        steps: training samples compared so far.
    """

    def __init__(self, device: BoardLearner) -> None:
        self.device = device
        self.config: Config = device.config
        self._twin = TwinLearner(device.config)
        self.compared = 0
        self.steps = 0
        activities = sum(self.config.sizes[1:])
        self._values = 3 * activities + 3 * self.config.couplings + 1

    def learn(
        self,
        rate: int,
        x: Bytes,
        targets: Bytes,
        progress: Callable[[int], None] | None = None,
        pulses_per_update: int = 1,
    ) -> Bytes:
        """See `Learner.learn`.

        Raises:
            DiffersError: at the first sample after which anything differs.
        """
        answers = np.empty(len(x), np.uint8)
        for i, (sample, target) in enumerate(zip(x, targets, strict=True)):
            step = self._twin.twin.steps
            trace: Trace | None = None

            def follow(sample: Bytes = sample, target: Bytes = target) -> None:
                nonlocal trace
                trace = self._twin.twin.learn(rate, sample, target, pulses_per_update)

            answer, digests = self.device.learn_traced(
                step, rate, sample, target, pulses_per_update, follow
            )
            assert trace is not None
            self._compare(trace, answer, digests)
            answers[i] = answer
            if progress:
                progress(1)
        return answers

    def strike(self, stuck: int) -> None:
        """See `Learner.strike`; what it did is compared with the next sample's weights."""
        self.device.strike(stuck)
        self._twin.strike(stuck)
        self.config = self.device.config

    def outputs(self, x: Bytes, first: int = 0) -> Bytes:
        """See `Learner.outputs`; the device's, compared with the twin's."""
        device, twin = self._predict(x, first)
        self.compared += device.size
        for sample, unit in np.argwhere(device != twin)[:1]:
            raise DiffersError(
                Mismatch(
                    int(first + sample),
                    "prediction",
                    len(self.config.sizes) - 1,
                    f"unit {unit}",
                    int(device[sample, unit]),
                    int(twin[sample, unit]),
                )
            )
        return device

    def state(self) -> NetworkState:
        """See `Learner.state`."""
        return self.device.state()

    def _predict(self, x: Bytes, first: int) -> tuple[Bytes, Bytes]:
        """Outputs of the device and of the twin."""
        return self.device.outputs(x, first), self._twin.outputs(x, first)

    def _compare(self, trace: Trace, answer: int, digests: Digests) -> None:
        self.steps += 1
        self.compared += self._values
        phases = {
            "free": (Memory.FREE, trace.free),
            "plus": (Memory.PLUS, trace.plus),
            "minus": (Memory.MINUS, trace.minus),
        }
        if digests != trace.digests:
            for name, (memory, activities) in phases.items():
                for layer, s in enumerate(activities, 1):
                    self._search(trace.step, name, memory, layer, s[0].tobytes())
            twin = self._twin.twin
            for layer in range(1, len(self.config.sizes)):
                for memory, parts in (
                    (Memory.DEVICES, twin.devices),
                    (Memory.ACCUMULATORS, twin.accumulators),
                ):
                    data = parts[layer - 1][0].tobytes()
                    self._search(trace.step, "weights", memory, layer, data)
            raise DiffersError(Mismatch(trace.step, "digest", 0, "no cell", 0, 0))
        if answer != trace.answer[0]:
            last = len(self.config.sizes) - 1
            raise DiffersError(
                Mismatch(trace.step, "answer", last, "answer", answer, int(trace.answer[0]))
            )

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
    """What the byte at an offset of a layer's memory is, in words."""
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
    """The keys that verify adds to the JSON contract."""
    return {
        "steps": lock.steps,
        "values_compared": lock.compared,
        "mismatches": 0 if mismatch is None else 1,
        "first_mismatch": None if mismatch is None else asdict(mismatch),
    }
