"""Learn or predict one sample and tell what the chips said: kind CODES of docs/reference/link.md.

The codes of a sample are too many for a board's memory, and for one frame. They go out in pieces
while the sample is worked on: each request but the first asks for the next piece.
"""

import struct

from micropython import const

from . import kernels
from . import link_protocol as protocol
from .link_protocol import reason, u16

_CODES_GO_ON = const(0)
_CODES_LEARN = const(1)
_CODES_PREDICT = const(2)
_CODES_HEAD_LAYOUT = const("<BIHB")
_CODES_PIECE_LAYOUT = const("<BH")
_CODES_EVENT_LAYOUT = const("<BH")
_CODES_REPLY_LAYOUT = const("<BHIB")

# Events: kind u8, card u16, then codes i16 of every line, or u8 pulses and two masks.
_EVENT_COLUMNS = const(0)
_EVENT_ROWS = const(1)
_EVENT_RESET = const(2)
_EVENT_SET = const(3)

_HEAD = const(3)  # of a piece: last u8, number u16


def serve(server, kind):
    """Answer a CODES request that begins a sample.

    Args:
        server: the `link_server.Server`, whose weights are behind chips.
        kind: of the request, and of those for further pieces.

    Returns:
        The kind of another request that came meanwhile, to be served next; 0: none did.
    """
    board = RecordingBoard(server, kind)
    board.serve()
    return board.waiting


class RecordingBoard:
    """Stands before the board of an attached front end while one sample is worked on."""

    def __init__(self, server, kind):
        self._server = server
        self._kind = kind  # of the requests for pieces
        self._link = server.link
        self._front = server.learner.network.front
        self._board = self._front.board
        self._buffer = bytearray(self._link.max_body - 12)
        self._fill = _HEAD
        self._piece = 0
        self._unasked = False  # the host wants something else by now
        self.waiting = 0  # kind of its request, to be served next
        self._rows = (self._board.ROWS + 7) >> 3
        self._columns = (self._board.COLUMNS + 7) >> 3

    def __getattr__(self, name):
        return getattr(self._board, name)

    def sense_columns(self, card, out):
        self._board.sense_columns(card, out)
        self._put(_EVENT_COLUMNS, card, out, 2 * len(out))

    def sense_rows(self, card, out):
        self._board.sense_rows(card, out)
        self._put(_EVENT_ROWS, card, out, 2 * len(out))

    def pulse(self, card, rows, columns, up, pulses):
        self._board.pulse(card, rows, columns, up, pulses)
        said = bytes((pulses,)) + rows.to_bytes(self._rows, "little")
        said += columns.to_bytes(self._columns, "little")
        self._put(_EVENT_SET if up else _EVENT_RESET, card, said, len(said))

    def serve(self):
        """CODES: what u8, step u32, rate u16, pulses u8, sample."""
        server, lk = self._server, self._link
        learner = server.learner
        net = learner.network
        body = bytes(lk.body[lk.start : lk.end])  # its place is needed for the next request
        what = body[0] if body else _CODES_GO_ON
        learns = what == _CODES_LEARN
        if not (learns or what == _CODES_PREDICT) or len(body) != 8 + server.sample_size(learns):
            lk.refuse("not one sample")
            return
        _, number, rate, pulses = struct.unpack_from(_CODES_HEAD_LAYOUT, body)
        if learns:
            target = 8 + net.sizes[0]
            if number != learner.steps:
                lk.error(protocol.STEP_MISMATCH, str(learner.steps))
                return
            wrong = learner.objection(rate, pulses)
            if net.one_hot and body[target] >= net.sizes[-1]:
                wrong = "a class that has no output"
            if wrong:
                lk.refuse(wrong)
                return
            net.set_targets(body, target)
        began = server.now()
        self._front.board = self
        try:
            if learns:
                learner.learn(body, 8, rate, pulses)
            else:
                net.predict(body, 8)
        except OSError as e:
            if not self._unasked:
                lk.error(protocol.FRONT_END, "sample %d: %s" % (number, reason(e)))
            return
        finally:
            self._front.board = self._board
        server.worked(began)
        if self._unasked:
            return
        self._flush(0)
        if not self._unasked:
            out, at = lk.out, lk.start
            answer = net.answer() if learns or net.one_hot else 0
            struct.pack_into(_CODES_REPLY_LAYOUT, out, at, 1, self._piece, learner.steps, answer)
            if learns:
                server.trace(at + 8)
                lk.reply(24)
            else:
                server.trace_phase(net.free, at + 8)
                lk.reply(12)

    def _put(self, kind, card, data, count):
        if self._unasked:
            return
        self._flush(3 + count)
        if self._unasked:
            return
        buffer, at = self._buffer, self._fill
        struct.pack_into(_CODES_EVENT_LAYOUT, buffer, at, kind, card)
        kernels.copy_masked(buffer, at + 3, count, data, 0, 255)
        self._fill = at + 3 + count

    def _flush(self, needed):
        """Send the piece if there is no room for so many bytes more, or 0: if it holds any."""
        n = self._fill
        if n == _HEAD or needed and n + needed <= len(self._buffer):
            return
        lk = self._link
        struct.pack_into(_CODES_PIECE_LAYOUT, self._buffer, 0, 0, self._piece)
        asked = self._piece
        while asked == self._piece:  # again, if the line lost it
            kernels.copy_masked(lk.out, lk.start, n, self._buffer, 0, 255)
            lk.reply(n)
            kind = lk.receive()
            body, at = lk.body, lk.start
            if kind != self._kind:
                # The sample is finished all the same, so that the weights are those of a step.
                self._unasked = True
                self.waiting = kind
                return
            asked = u16(body, at + 1) if body[at] == _CODES_GO_ON else 0
        self._piece += 1
        self._fill = _HEAD
