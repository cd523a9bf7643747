"""Learn with care: only what is worth it, and go back when learning made things worse.

docs/guide/online.md, "In integers", is what this computes. Imported when the first GATE of
docs/reference/link.md comes; a board that learns every window never loads it.
"""

import gc
import struct

from micropython import const

from . import frontend_emulated, kernels, stream_feed
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


class Keeper:
    """Decides window by window whether to learn it, and keeps a copy of the devices."""

    def __init__(self, learner, gate, at_most, fade, drop, every):
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
        self.margin = 0  # of the newest window
        self.learned = 0
        self.backs = 0
        self.accuracy = 0
        self.kept_accuracy = 0
        self.kept_at = _NEVER
        self._copy = None
        self._reads = None
        if drop:  # made after the first windows; that there is room shows now
            self._make_room(learner.network.front)

    def learn(self, x, label, rate, train):
        """Test the window x, the target of which is set, and perhaps learn it: flags."""
        learner = self.learner
        net = learner.network
        last, classes = net.at[-1], net.sizes[-1]
        kept_right = 0
        if self._drop and self.kept_at != _NEVER:
            # Before the network's own free phase, which must be the one that is left behind.
            kept_right = self._ask_the_copy(x) == label
        learner.test(x, 0)
        answer = net.answer()
        self.margin = stream_feed.margin(net.free, last, classes, answer)
        right = answer == label
        found = stream_feed.OUTCOME_RIGHT if right else 0
        self._credit = min(self._credit + self._at_most, _PRICE * self._at_most)
        if self._credit >= _PRICE and (not right or self.margin < self._gate):
            learner.change(rate, train)
            self._credit -= _PRICE
            self.learned += 1
            found |= stream_feed.OUTCOME_LEARNED
        else:
            learner.steps += 1
        self.accuracy = self._faded(self.accuracy, right)
        self.kept_accuracy = self._faded(self.kept_accuracy, kept_right)
        if self._shift < self._fade:
            self._tested += 1
            if self._tested >> self._shift:
                self._shift += 1
        return found | self._compare() if self._drop else found

    def _ask_the_copy(self, x):
        net = self.learner.network
        front = net.front
        own = front.reads_forward
        own_transposed = front.reads_transposed
        front.reads_forward, front.reads_transposed = self._reads  # pyright: ignore
        front.begin(frontend_emulated.STREAM_PREDICT, self.learner.steps)
        net.settle_free(x, 0)
        front.reads_forward = own
        front.reads_transposed = own_transposed
        return net.answer()

    def _faded(self, accuracy, right):
        return accuracy + (((_FULL if right else 0) - accuracy) >> self._shift)

    def _compare(self):
        """Go back, or keep what is no worse than what was kept."""
        kept = self.kept_at != _NEVER
        if kept and self.kept_accuracy - self.accuracy > self._drop:
            self.back()
            return _OUTCOME_ROLLBACK
        steps = self.learner.steps
        if steps - self._checked < self._every:
            return 0
        # A network that has just become much worse may be learning nonsense.
        settled = self._checked_accuracy - self.accuracy <= self._drop
        self._checked = steps
        self._checked_accuracy = self.accuracy
        if kept and (not settled or self.accuracy < self.kept_accuracy):
            return 0
        self.keep()
        return _OUTCOME_CHECKPOINT

    def keep(self):
        """Copy the devices. MemoryError: there is no room."""
        front = self.learner.network.front
        if self._copy is None:
            self._make_room(front)
        kernels.load(self._copy, 0, len(self._copy), front.devices, 0, 255)
        self.kept_at = self.learner.steps
        self.kept_accuracy = self.accuracy

    def _make_room(self, front):
        gc.collect()
        copy = bytearray(len(front.devices))
        self._reads = tuple(
            [(copy, record, rng) for _, record, rng in reads]
            for reads in (front.reads_forward, front.reads_transposed)
        )
        self._copy = copy

    def back(self):
        """Put the copy back; what the accumulators hold belongs to weights that are gone."""
        learner = self.learner
        front = learner.network.front
        kernels.load(front.devices, 0, len(front.devices), self._copy, 0, 255)
        front.put_devices(False)  # some may have become stuck since the copy was made
        for cells in learner.accumulators:
            kernels.select(cells, len(cells), cells, 0, 0, 128, 128)
        self.accuracy = self.kept_accuracy
        self._checked = learner.steps
        self.backs += 1


def serve(sensing, server):
    """GATE: what u8, and for settings gate u16, at_most u8, fade u8, drop u16, every u16."""
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
            sensing.keeper = None
            sensing.keeper = _keeper(learner, struct.unpack_from(_GATE_SETTINGS_LAYOUT, body, at))
        keeper = sensing.keeper
        if keeper is None or keeper.learner is not learner:
            lk.error(protocol.NOT_CONFIGURED, "send GATE's settings first")
            return
        if what == _GATE_CHECKPOINT:
            if not learner.network.front.exact:
                raise ValueError("devices behind chips can't be put back")
            keeper.keep()
        elif what == _GATE_ROLLBACK:
            if keeper.kept_at == _NEVER:
                raise ValueError("nothing has been kept")
            keeper.back()
    except ValueError as e:
        lk.refuse(protocol.reason(e))
        return
    except MemoryError:
        gc.collect()
        size = len(learner.network.front.devices)
        lk.error(protocol.OUT_OF_MEMORY, "no room for a copy of %d bytes" % size)
        return
    struct.pack_into(
        _GATE_REPLY_LAYOUT, lk.out, lk.start, learner.steps, keeper.learned, keeper.kept_at,
        keeper.accuracy, keeper.kept_accuracy, keeper.backs & 65535,
    )  # fmt: skip
    lk.reply(18)


def _keeper(learner, settings):
    """A keeper with these settings. ValueError: they make no sense."""
    _, gate, at_most, fade, drop, every = settings
    if gate > 256 or at_most > 100 or not 1 <= fade <= 12 or not every:
        raise ValueError("a setting out of range")
    if not learner.network.one_hot:
        raise ValueError("only classes have a margin")
    if drop and not learner.network.front.exact:
        raise ValueError("devices behind chips can't be put back")
    return Keeper(learner, gate, at_most, fade, drop, every)
