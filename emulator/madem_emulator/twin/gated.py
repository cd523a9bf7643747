"""The desktop twin of gated learning: docs/guide/online.md, "In integers", to the bit.

Like `Twin`, for many boards at once; each decides for itself.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from madem_emulator.twin.array import Bytes
from madem_emulator.twin.twin import ZERO, Trace, Twin

Numbers = NDArray[np.int64]
Bits = NDArray[np.bool_]

EVERYTHING = 256
"""GATE that lets every window pass."""
PRICE = 100
"""Credit that learning one window costs; each tested window gives AT_MOST of it."""
FULL = 65535
"""A running accuracy of 1."""
NEVER = 0xFFFFFFFF
"""The step of a copy that has not been made."""


@dataclass(frozen=True)
class GateSettings:
    """Rules for what is learned, and for when learning is taken back.

    Attributes:
        gate: a window that was answered rightly is learned if its margin is below this, 0…256.
        at_most: of a hundred windows so many are learned, 0…100; what is not used is saved for
            the next hundred.
        fade: log2 of the windows that a running accuracy averages over, 1…12.
        drop: go back when the running accuracy is further below the copy's than this, in
            1/65535; 0: keep no copy.
        every: windows after which the first copy is made, and then a network that is no worse
            than its copy, and has not just become much worse, replaces it.
    """

    gate: int = EVERYTHING
    at_most: int = 100
    fade: int = 4
    drop: int = 0
    every: int = 100

    def __post_init__(self) -> None:
        """Check the ranges.

        Raises:
            ValueError: one is left; the message names it.
        """
        for name, low, high in (
            ("gate", 0, EVERYTHING),
            ("at_most", 0, 100),
            ("fade", 1, 12),
            ("drop", 0, FULL),
            ("every", 1, 65535),
        ):
            value = getattr(self, name)
            if not low <= value <= high:
                raise ValueError(f"{name} is {value}, but must be from {low} to {high}")


class Judged(NamedTuple):
    """The decision on a window, of each board.

    Attributes:
        free: activities of the free phase, of unit layers 1…L: uint8 (B, n) each.
        answer, margin: int64 (B,).
        learned, checkpointed, rolled_back: bool (B,): it was learned; the network was then
            copied; replaced by its copy.
        trace: of the whole sample; None where no board learned it. That of a board that did
            not learn holds what its phases would have been.
    """

    free: list[Bytes]
    answer: Numbers
    margin: Numbers
    learned: Bits
    checkpointed: Bits
    rolled_back: Bits
    trace: Trace | None


class UpdateGate:
    """A gate before a twin: it decides what is learned, and keeps checkpoints of the devices.

    Attributes:
        twin: that learns.
        accuracy, checkpoint_accuracy: running, of the networks and of their copies, 0…65535,
            int64 (B,).
        learned, rollbacks: windows learned and times gone back so far, int64 (B,).
        checkpoint_at: step at which the copy was made, int64 (B,); NEVER without one.
    """

    def __init__(self, twin: Twin, settings: GateSettings) -> None:
        """Begin with full credit and no checkpoint.

        Args:
            twin: that learns.
            settings: the rules.
        """
        boards = len(twin.seeds)
        self.twin = twin
        self._settings = settings
        self._copy: Twin | None = None
        self._credit = np.full(boards, PRICE * settings.at_most, np.int64)
        self._tested = self._shift = 0
        self._checked = np.full(boards, twin.steps, np.int64)
        self._checked_accuracy = np.zeros(boards, np.int64)
        self.accuracy = np.zeros(boards, np.int64)
        self.checkpoint_accuracy = np.zeros(boards, np.int64)
        self.learned = np.zeros(boards, np.int64)
        self.rollbacks = np.zeros(boards, np.int64)
        self.checkpoint_at = np.full(boards, NEVER, np.int64)

    def learn(
        self, rate: int, x: ArrayLike, label: ArrayLike, pulses_per_update: int = 1
    ) -> Judged:
        """Test a window, and learn it where it is worth it.

        Args:
            rate: as for `Twin.learn`.
            x: as for `Twin.learn`.
            label: the class, () or (B,): the network has one-hot targets.
            pulses_per_update: as for `Twin.learn`.

        Returns:
            What was decided on each board.
        """
        settings, twin = self._settings, self.twin
        labels = np.broadcast_to(np.asarray(label, np.int64), self.accuracy.shape)
        checkpoint_right = np.zeros(len(labels), bool)
        if settings.drop and self._copy is not None:
            checkpoint_right = self._copy.predict(x)[-1].argmax(axis=-1) == labels
            checkpoint_right &= self.checkpoint_at != NEVER
        free = twin.free_phase(x)
        answer = free[-1].argmax(axis=-1)
        margin = _margin(free[-1], answer)
        right = answer == labels
        self._credit = np.minimum(self._credit + settings.at_most, PRICE * settings.at_most)
        learned = (self._credit >= PRICE) & (~right | (margin < settings.gate))
        self._credit -= PRICE * learned
        self.learned += learned
        trace = None
        if learned.any():
            # A rate of 0 changes nothing.
            trace = twin.learn(np.where(learned, rate, 0), x, labels, pulses_per_update)
        else:
            twin.skip()
        self.accuracy = self._faded(self.accuracy, right)
        self.checkpoint_accuracy = self._faded(self.checkpoint_accuracy, checkpoint_right)
        if self._shift < settings.fade:
            self._tested += 1
            self._shift = min(self._tested.bit_length(), settings.fade)
        checkpointed, rolled_back = self._compare()
        return Judged(free, answer, margin, learned, checkpointed, rolled_back, trace)

    def checkpoint(self, boards: Bits | None = None) -> None:
        """Copy the devices.

        Args:
            boards: of which boards, bool (B,); None: of all.
        """
        chosen = np.ones(len(self.twin.seeds), bool) if boards is None else boards
        if self._copy is None:
            self._copy = Twin(self.twin.config, self.twin.seeds.tolist())
        for copy, devices in zip(self._copy.devices, self.twin.devices, strict=True):
            copy[chosen] = devices[chosen]
        self.checkpoint_at[chosen] = self.twin.steps
        self.checkpoint_accuracy = np.where(chosen, self.accuracy, self.checkpoint_accuracy)

    def rollback(self, boards: Bits | None = None) -> None:
        """Put copies back.

        Args:
            boards: on which boards, bool (B,); None: on all.

        Raises:
            ValueError: there are none.
        """
        if self._copy is None:
            raise ValueError("nothing has been kept")
        twin = self.twin
        chosen = np.ones(len(twin.seeds), bool) if boards is None else boards
        for copy, devices in zip(self._copy.devices, twin.devices, strict=True):
            devices[chosen] = copy[chosen]
        for cells in twin.accumulators:
            cells[chosen] = ZERO
        twin.add_stuck(twin.config.stuck)  # some may have become stuck since the copy was made
        self.accuracy = np.where(chosen, self.checkpoint_accuracy, self.accuracy)
        self._checked[chosen] = twin.steps
        self.rollbacks += chosen

    def _faded(self, accuracy: Numbers, right: Bits) -> Numbers:
        return accuracy + (np.where(right, FULL, 0) - accuracy >> self._shift)

    def _compare(self) -> tuple[Bits, Bits]:
        """Make copies and put them back where that is due; on which boards each was done."""
        settings = self._settings
        if not settings.drop:
            none = np.zeros(len(self.accuracy), bool)
            return none, none
        has_copy = self.checkpoint_at != NEVER
        back = has_copy & (self.checkpoint_accuracy - self.accuracy > settings.drop)
        if back.any():
            self.rollback(back)
        due = ~back & (self.twin.steps - self._checked >= settings.every)
        # A network that has just become much worse may be learning nonsense.
        settled = self._checked_accuracy - self.accuracy <= settings.drop
        self._checked[due] = self.twin.steps
        self._checked_accuracy[due] = self.accuracy[due]
        kept = due & (~has_copy | (settled & (self.accuracy >= self.checkpoint_accuracy)))
        if kept.any():
            self.checkpoint(kept)
        return kept, back


def _margin(outputs: Bytes, answer: Numbers) -> Numbers:
    """How far the answer's output is above the next, int64 (B,)."""
    others = outputs.astype(np.int64)
    rows = np.arange(len(outputs))
    best = others[rows, answer]
    others[rows, answer] = 0
    return best - others.max(axis=-1)
