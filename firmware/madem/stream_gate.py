"""Serve the request GATE of docs/reference/link.md; imported when the first one comes."""

import gc
import struct

from micropython import const

from . import learn_gate
from . import link_protocol as protocol

_GATE_SETTINGS = const(0)
_GATE_CHECKPOINT = const(1)
_GATE_ROLLBACK = const(2)
_GATE_ASK = const(3)
_GATE_SETTINGS_LAYOUT = const("<BHBBHH")
_GATE_REPLY_LAYOUT = const("<3I3H")


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
            stream.gate = learn_gate.UpdateGate(
                learner, *struct.unpack_from(_GATE_SETTINGS_LAYOUT, body, at)[1:]
            )
        gate = stream.gate
        if gate is None or gate.learner is not learner:
            lk.error(protocol.NOT_CONFIGURED, "send GATE's settings first")
            return
        if what == _GATE_CHECKPOINT:
            if not learner.network.front.exact:
                raise ValueError("devices behind chips can't be put back")
            gate.checkpoint()
        elif what == _GATE_ROLLBACK:
            if gate.checkpoint_at == learn_gate.NEVER:
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
