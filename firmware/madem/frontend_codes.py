"""Learn or predict one sample and tell what the chips said meanwhile: kind CODES of
docs/reference/link.md.

The codes of a sample are too many for a board's memory, and for one frame. They go out in pieces
while the sample is worked on: each request but the first asks for the next piece.
"""

import struct

from . import frontend_emulated, kernels
from .link_server import now, put_u32, reason, since

_CODES = 18

_GO_ON = 0
_LEARN = 1
_PREDICT = 2

# Records: kind u8, card u16, then codes i16 of every line, or of pulses the train u8 and two masks.
_COLUMNS = 0
_ROWS = 1
_RESET = 2

_HEAD = 3  # of a piece: last u8, number u16


class Recorder:
    """Stands before the board of an attached front end while one sample is worked on."""

    def __init__(self, server):
        self._server = server
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
        self._put(_COLUMNS, card, out, 2 * len(out))

    def sense_rows(self, card, out):
        self._board.sense_rows(card, out)
        self._put(_ROWS, card, out, 2 * len(out))

    def pulse(self, card, rows, columns, up, train):
        self._board.pulse(card, rows, columns, up, train)
        said = bytes((train,)) + rows.to_bytes(self._rows, "little")
        said += columns.to_bytes(self._columns, "little")
        self._put(_RESET + bool(up), card, said, len(said))

    def serve(self):
        """Answer a CODES request that begins a sample: what u8, number u32, rate u16, train u8,
        sample.
        """
        server, lk = self._server, self._link
        learner = server.learner
        net = learner.network
        body = bytes(lk.body[lk.start : lk.end])  # its place is needed for the next request
        what = body[0] if body else _GO_ON
        learns = what == _LEARN
        if not (learns or what == _PREDICT) or len(body) != 8 + server.sample_size(learns):
            lk.error(2, "not one sample")
            return
        number, rate, train = struct.unpack_from("<IHB", body, 1)
        if learns:
            target = 8 + net.sizes[0]
            if number != learner.steps:
                lk.error(5, str(learner.steps))
                return
            if not train or rate * max(learner.scales) > 16383:
                lk.error(2, "a train of no pulses, or a rate above 16383")
                return
            if net.one_hot and body[target] >= net.sizes[-1]:
                lk.error(2, "a class that has no output")
                return
            net.set_targets(body, target)
        began = now()
        self._front.board = self
        try:
            if learns:
                learner.learn(body, 8, rate, train)
            else:
                net.front.begin(frontend_emulated.STREAM_PREDICT, number)
                net.settle_free(body, 8)
        except OSError as e:
            if not self._unasked:
                lk.error(8, "sample %d: %s" % (number, reason(e)))
            return
        finally:
            self._front.board = self._board
        server.busy_us += since(began)
        if self._unasked:
            return
        self._flush(0)
        if not self._unasked:
            out, at = lk.out, lk.start
            out[at] = 1
            out[at + 1] = self._piece & 255
            out[at + 2] = self._piece >> 8
            put_u32(out, at + 3, learner.steps)
            out[at + 7] = net.answer() if learns or net.one_hot else 0
            if learns:
                server.trace(at + 8)
                lk.reply(_CODES, 24)
            else:
                server.trace_phase(net.free, at + 8)
                lk.reply(_CODES, 12)

    def _put(self, kind, card, data, count):
        if self._unasked:
            return
        self._flush(3 + count)
        if self._unasked:
            return
        buffer, at = self._buffer, self._fill
        buffer[at] = kind
        buffer[at + 1] = card & 255
        buffer[at + 2] = card >> 8
        kernels.load(buffer, at + 3, count, data, 0, 255)
        self._fill = at + 3 + count

    def _flush(self, needed):
        """Send the piece if there is no room for so many bytes more, or 0: if it holds any."""
        n = self._fill
        if n == _HEAD or needed and n + needed <= len(self._buffer):
            return
        lk = self._link
        self._buffer[1] = self._piece & 255
        self._buffer[2] = self._piece >> 8
        asked = self._piece
        while asked == self._piece:  # again, if the line lost it
            kernels.load(lk.out, lk.start, n, self._buffer, 0, 255)
            lk.reply(_CODES, n)
            kind = lk.receive()
            body, at = lk.body, lk.start
            if kind != _CODES:
                # The sample is finished all the same, so that the weights are those of a step.
                self._unasked = True
                self.waiting = kind
                return
            asked = body[at + 1] | body[at + 2] << 8 if body[at] == _GO_ON else 0
        self._piece += 1
        self._fill = _HEAD
