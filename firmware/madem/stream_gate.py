"""A gate before learning: windows are learned that are worth it.

A checkpoint is put back when learning has made things worse.

docs/guide/online.md, "In integers", is what this computes. Imported when the first GATE of
docs/reference/link.md comes; a board that learns every window never loads it.
"""

import gc
import struct

from micropython import const

from . import kernels, stream_feed
from . import link_protocol as protocol

_GATE_SETTINGS = const(0)
_GATE_CHECKPOINT = const(1)
_GATE_ROLLBACK = const(2)
_GATE_ASK = const(3)
_GATE_SETTINGS_LAYOUT = const("<BHBBHH")
_GATE_REPLY_LAYOUT = const("<3I3H")
_NEVER = const(0xFFFFFFFF)  # the step of a checkpoint that was not made

# What became of a window, beside what stream_feed.py has.
_OUTCOME_CHECKPOINT = const(4)
_OUTCOME_ROLLBACK = const(8)

_PRICE = const(100)  # of learning one window
_FULL = const(65535)  # an accuracy of 1


class UpdateGate:
    """Decides window by window whether to learn it, and keeps a checkpoint of the devices.

    Attributes:
        margin: of the newest window, 0 to 255.
        learned: windows that were learned.
        rollbacks: times that the checkpoint was put back.
        accuracy, checkpoint_accuracy: running, of the network and of the checkpoint; 65535 is 1.
        checkpoint_at: step at which the checkpoint was made; 2**32 - 1 without one.
    """

    def __init__(self, learner, gate, at_most, fade, drop, every):
        """The settings are those of GATE. MemoryError: there is no room for a checkpoint."""
        self.learner = learner
        self._gate = gate
        self._at_most = at_most
        self._fade = fade
        self._drop = drop
        self._every = every
        self._credit = _PRICE * at_most
        self._tested = 0  # windows, as far as the fading needs to know
        self._shift = 0  # the bits of that number, FADE at most
        self._checked = learner.steps
        self._checked_accuracy = 0
        self.margin = 0
        self.learned = 0
        self.rollbacks = 0
        self.accuracy = 0
        self.checkpoint_accuracy = 0
        self.checkpoint_at = _NEVER
        self._copy = None
        self._reads = None
        if drop:  # made after the first windows; that there is room shows now
            self._make_room(learner.network.front)

    def learn(self, x, label, rate, pulses):
        """Test a window, the target of which is set, and perhaps learn it.

        Args:
            x: inputs of the network.
            label: its class.
            rate, pulses: as for `Learner.learn`.

        Returns:
            What became of it: outcomes of docs/reference/link.md, added up.
        """
        learner = self.learner
        net = learner.network
        last, classes = net.at[-1], net.sizes[-1]
        checkpoint_right = 0
        if self._drop and self.checkpoint_at != _NEVER:
            # Before the network's own free phase, which must be the one that is left behind.
            checkpoint_right = self._answer_of_checkpoint(x) == label
        learner.free_phase(x, 0)
        answer = net.answer()
        self.margin = stream_feed.margin(net.free, last, classes, answer)
        right = answer == label
        found = stream_feed.OUTCOME_RIGHT if right else 0
        self._credit = min(self._credit + self._at_most, _PRICE * self._at_most)
        if self._credit >= _PRICE and (not right or self.margin < self._gate):
            learner.update(rate, pulses)
            self._credit -= _PRICE
            self.learned += 1
            found |= stream_feed.OUTCOME_LEARNED
        else:
            learner.steps += 1
        self.accuracy = self._faded(self.accuracy, right)
        self.checkpoint_accuracy = self._faded(self.checkpoint_accuracy, checkpoint_right)
        if self._shift < self._fade:
            self._tested += 1
            if self._tested >> self._shift:
                self._shift += 1
        return found | self._check() if self._drop else found

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
        kept = self.checkpoint_at != _NEVER
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


def serve(stream, server):
    """Answer GATE: what u8, and for settings gate u16, at_most u8, fade u8, drop u16, every u16.

    Args:
        stream: the `stream_feed.StreamFeed` whose windows the gate is for.
        server: its `link_server.Server`.
    """
    lk, learner = server.link, server.learner
    body, at = lk.body, lk.start
    size = lk.end - at
    what = body[at] if size else 255
    if not server.has_learner():
        return
    if what > _GATE_ASK or size != (1 if what else 9):
        lk.refuse("no such GATE")
        return
    try:
        if what == _GATE_SETTINGS:
            stream.gate = None
            stream.gate = _gate_of(learner, struct.unpack_from(_GATE_SETTINGS_LAYOUT, body, at))
        gate = stream.gate
        if gate is None or gate.learner is not learner:
            lk.error(protocol.NOT_CONFIGURED, "send GATE's settings first")
            return
        if what == _GATE_CHECKPOINT:
            if not learner.network.front.exact:
                raise ValueError("devices behind chips can't be put back")
            gate.checkpoint()
        elif what == _GATE_ROLLBACK:
            if gate.checkpoint_at == _NEVER:
                raise ValueError("there is no checkpoint")
            gate.rollback()
    except ValueError as e:
        lk.refuse(protocol.reason(e))
        return
    except MemoryError:
        gc.collect()
        size = len(learner.network.front.devices)
        lk.error(protocol.OUT_OF_MEMORY, "no room for a copy of %d bytes" % size)
        return
    struct.pack_into(
        _GATE_REPLY_LAYOUT, lk.out, lk.start, learner.steps, gate.learned, gate.checkpoint_at,
        gate.accuracy, gate.checkpoint_accuracy, gate.rollbacks & 65535,
    )  # fmt: skip
    lk.reply(18)


def _gate_of(learner, settings):
    """A gate with these settings. ValueError: they make no sense."""
    _, gate, at_most, fade, drop, every = settings
    if gate > 256 or at_most > 100 or not 1 <= fade <= 12 or not every:
        raise ValueError("a setting out of range")
    if not learner.network.one_hot:
        raise ValueError("only classes have a margin")
    if drop and not learner.network.front.exact:
        raise ValueError("devices behind chips can't be put back")
    return UpdateGate(learner, gate, at_most, fade, drop, every)
