"""A gate before learning: samples are learned that are worth it.

A checkpoint is put back when learning has made things worse.

docs/guide/online.md, "In integers", is what this computes. A board that learns every sample never
loads it.
"""

import gc
import struct

from micropython import const

from . import kernels
from . import link_protocol as protocol

NEVER = 0xFFFFFFFF  # the step of a checkpoint that was not made

# What became of a sample, beside what link_protocol.py has.
_OUTCOME_CHECKPOINT = const(4)
_OUTCOME_ROLLBACK = const(8)

_PRICE = const(100)  # of learning one sample
_FULL = const(65535)  # an accuracy of 1
# Settings, credit, samples tested, then of the last check and of the checkpoint: section GATE of
# docs/reference/network_file.md.
_STATE = const("<HBBHHHHIHIIHHI")
STATE_BYTES = 34


class UpdateGate:
    """Decides sample by sample whether to learn it, and keeps a checkpoint of the devices.

    Attributes:
        learner: whose samples these are.
        margin: of the newest sample, 0 to 255.
        outcome: what became of it, outcomes of docs/reference/link.md added up.
        learned: samples that were learned.
        rollbacks: times that the checkpoint was put back.
        accuracy, checkpoint_accuracy: running, of the network and of the checkpoint; 65535 is 1.
        checkpoint_at: step at which the checkpoint was made; 2**32 - 1 without one.
    """

    def __init__(self, learner, gate, at_most, fade, drop, every):
        """The settings are those of GATE.

        Raises:
            ValueError: one is out of range, or the network can't be gated so.
            MemoryError: there is no room for a checkpoint.
        """
        if not (0 <= gate <= 256 and 0 <= at_most <= 100 and 1 <= fade <= 12):
            raise ValueError("a setting out of range")
        if not (0 <= drop <= _FULL and 1 <= every <= 65535):
            raise ValueError("a setting out of range")
        if not learner.network.one_hot:
            raise ValueError("only classes have a margin")
        if drop and not learner.network.front.exact:
            raise ValueError("devices behind chips can't be put back")
        self.learner = learner
        self._gate = gate
        self._at_most = at_most
        self._fade = fade
        self._drop = drop
        self._every = every
        self._credit = _PRICE * at_most
        self._tested = 0  # samples, as far as the fading needs to know
        self._shift = 0  # the bits of that number, FADE at most
        self._checked = learner.steps
        self._checked_accuracy = 0
        self.margin = 0
        self.outcome = 0
        self.learned = 0
        self.rollbacks = 0
        self.accuracy = 0
        self.checkpoint_accuracy = 0
        self.checkpoint_at = NEVER
        self._copy = None
        self._reads = None
        self._copy_answer = -1
        if drop:  # made after the first samples; that there is room shows now
            self._make_room(learner.network.front)

    def free_phase(self, x):
        """Let the inputs x settle, in the checkpoint too if there is one."""
        self._copy_answer = -1
        if self._drop and self.checkpoint_at != NEVER:
            # Before the network's own free phase, which must be the one that is left behind.
            self._copy_answer = self._answer_of_checkpoint(x)
        self.learner.free_phase(x, 0)

    def update(self, label, rate, pulses):
        """Test what has settled, and perhaps learn it; `outcome` then says what became of it.

        Args:
            label: its class, which the network has for its target.
            rate, pulses: as for `Learner.update`.
        """
        learner = self.learner
        net = learner.network
        answer = net.answer()
        self.margin = net.margin(answer)
        right = answer == label
        found = protocol.OUTCOME_RIGHT if right else 0
        self._credit = min(self._credit + self._at_most, _PRICE * self._at_most)
        if self._credit >= _PRICE and (not right or self.margin < self._gate):
            learner.update(rate, pulses)
            self._credit -= _PRICE
            self.learned += 1
            found |= protocol.OUTCOME_LEARNED
        else:
            learner.steps += 1
        self.accuracy = self._faded(self.accuracy, right)
        self.checkpoint_accuracy = self._faded(self.checkpoint_accuracy, self._copy_answer == label)
        if self._shift < self._fade:
            self._tested += 1
            if self._tested >> self._shift:
                self._shift += 1
        self.outcome = found | self._check() if self._drop else found

    def _answer_of_checkpoint(self, x):
        net = self.learner.network
        front = net.front
        own = front.reads_forward
        own_transposed = front.reads_transposed
        front.reads_forward, front.reads_transposed = self._reads  # pyright: ignore
        net.predict(x, 0)
        front.reads_forward = own
        front.reads_transposed = own_transposed
        return net.answer()

    def _faded(self, accuracy, right):
        return accuracy + (((_FULL if right else 0) - accuracy) >> self._shift)

    def _check(self):
        """Go back to the checkpoint, or make a new one of what is no worse; the outcome."""
        kept = self.checkpoint_at != NEVER
        if kept and self.checkpoint_accuracy - self.accuracy > self._drop:
            self.rollback()
            return _OUTCOME_ROLLBACK
        steps = self.learner.steps
        if steps - self._checked < self._every:
            return 0
        # A network that has just become much worse may be learning nonsense.
        settled = self._checked_accuracy - self.accuracy <= self._drop
        self._checked = steps
        self._checked_accuracy = self.accuracy
        if kept and (not settled or self.accuracy < self.checkpoint_accuracy):
            return 0
        self.checkpoint()
        return _OUTCOME_CHECKPOINT

    def checkpoint(self):
        """Copy the devices as they are. MemoryError: there is no room."""
        front = self.learner.network.front
        if self._copy is None:
            self._make_room(front)
        kernels.copy_masked(self._copy, 0, len(self._copy), front.devices, 0, 255)
        self.checkpoint_at = self.learner.steps
        self.checkpoint_accuracy = self.accuracy

    def _make_room(self, front):
        gc.collect()
        copy = bytearray(len(front.devices))
        self._reads = tuple(
            [(copy, record, rng) for _, record, rng in reads]
            for reads in (front.reads_forward, front.reads_transposed)
        )
        self._copy = copy

    def rollback(self):
        """Put the checkpoint back, and the accumulators to 0.

        What they hold belongs to weights that are gone.
        """
        learner = self.learner
        front = learner.network.front
        kernels.copy_masked(front.devices, 0, len(front.devices), self._copy, 0, 255)
        front.put_devices(False)  # some may have become stuck since the copy was made
        for cells in learner.accumulators:
            kernels.select(cells, len(cells), cells, 0, 0, 128, 128)
        self.accuracy = self.checkpoint_accuracy
        self._checked = learner.steps
        self.rollbacks += 1

    def state(self):
        """All but the copy of the devices, in bytes that `take_state` takes."""
        return struct.pack(
            _STATE, self._gate, self._at_most, self._fade, self._drop, self._every, self._credit,
            self._tested, self._checked, self._checked_accuracy, self.learned, self.rollbacks,
            self.accuracy, self.checkpoint_accuracy, self.checkpoint_at,
        )  # fmt: skip

    def copy(self):
        """The checkpoint's devices, a bytearray; of a gate without one it is empty."""
        return bytearray() if self.checkpoint_at == NEVER else self._copy


def of_state(learner, state):
    """The gate that `UpdateGate.state` was of; the devices are to be put into its `copy()`.

    Raises:
        ValueError: these can't be.
        MemoryError: there is no room for a checkpoint.
    """
    found = struct.unpack(_STATE, state)
    gate = UpdateGate(learner, *found[:5])
    gate._credit, gate._tested, gate._checked, gate._checked_accuracy = found[5:9]
    gate.learned, gate.rollbacks, gate.accuracy, gate.checkpoint_accuracy = found[9:13]
    gate.checkpoint_at = found[13]
    if gate._credit > _PRICE * gate._at_most or gate._tested >> gate._fade > 1:
        raise ValueError("counters that no gate comes to")
    while gate._shift < gate._fade and gate._tested >> gate._shift:
        gate._shift += 1
    if gate.checkpoint_at != NEVER and gate._copy is None:
        gate._make_room(learner.network.front)
    return gate
