"""What calibrating a board of chips takes: kind CALIBRATE of docs/reference/link.md.

The device measures, pulses and keeps the result; what follows from the measurements is worked out
by the host (docs/hardware/calibration.md).
"""

import struct
from array import array

from micropython import const

from . import calibration_apply, flash_file, link_protocol

_CALIBRATE_MEASURE = const(0)
_CALIBRATE_PULSE = const(1)
_CALIBRATE_STORE = const(2)
_CALIBRATE_KEEP = const(3)
_CALIBRATE_FORGET = const(4)
_CALIBRATE_COUNTS = const(5)
_CALIBRATE_MEASURE_LAYOUT = const("<BHBBhBB")
_CALIBRATE_PULSE_LAYOUT = const("<BHBB")
_CALIBRATE_STORE_LAYOUT = const("<BI")
_CALIBRATE_COUNTS_REPLY_LAYOUT = const("<II")

_NEW = calibration_apply.FILE + ".new"


def serve(server):
    """Answer a CALIBRATE request."""
    lk = server.link
    body = bytes(lk.body[lk.start : lk.end])
    front = server.learner.network.front
    try:
        lk.reply(_do(body, front, lk.out, lk.start))
    except (ValueError, IndexError):
        lk.refuse("a calibration request that can't be used")
    except OSError as e:
        lk.error(link_protocol.FRONT_END, link_protocol.reason(e))


def _do(body, front, out, at):
    """Carry it out; the length of what is said at out[at:]."""
    what = body[0]
    board = front.board
    if what == _CALIBRATE_MEASURE:
        _, card, columns, line, level, reads, raw = struct.unpack(_CALIBRATE_MEASURE_LAYOUT, body)
        if raw:
            board = getattr(board, "raw", board)
        if card >= board.CARDS or not reads or abs(level) > 255:
            raise ValueError
        return _measure(board, card, columns, line, level, reads, out, at)
    if what == _CALIBRATE_PULSE:
        _, card, up, pulses = struct.unpack_from(_CALIBRATE_PULSE_LAYOUT, body)
        rows = (board.ROWS + 7) >> 3
        if card >= board.CARDS or not pulses or len(body) != 5 + rows + ((board.COLUMNS + 7) >> 3):
            raise ValueError
        board = getattr(board, "raw", board)
        row_mask = int.from_bytes(body[5 : 5 + rows], "little")
        column_mask = int.from_bytes(body[5 + rows :], "little")
        board.pulse(card, row_mask, column_mask, up, pulses)
        board.rest()
    elif what == _CALIBRATE_STORE:
        offset = struct.unpack_from(_CALIBRATE_STORE_LAYOUT, body)[1]
        flash_file.put_piece(_NEW, offset, body[5:])
    elif what == _CALIBRATE_KEEP:
        with open(_NEW, "rb") as file:
            data = file.read()
        # Whatever a start would refuse is refused now.
        calibration_apply.check(data, front.design, board.ROWS, board.COLUMNS)
        try:
            flash_file.replace(calibration_apply.FILE, (memoryview(data)[:-4],))
        finally:
            flash_file.delete(_NEW)
    elif what == _CALIBRATE_FORGET:
        flash_file.remove(calibration_apply.FILE)
    elif what == _CALIBRATE_COUNTS:
        struct.pack_into(_CALIBRATE_COUNTS_REPLY_LAYOUT, out, at, *board.counts())
        return 8
    else:
        raise ValueError
    return 0


def _measure(board, card, columns, line, level, reads, out, at):
    """Drive one line, or none, and put the mean codes of the other side at out[at:].

    They are times 256, as three bytes each.
    """
    driven, sensed = (board.COLUMNS, board.ROWS) if columns else (board.ROWS, board.COLUMNS)
    levels = array("h", bytearray(2 * driven))
    codes = array("h", bytearray(2 * sensed))
    if line < driven:
        levels[line] = level
    (board.drive_columns if columns else board.drive_rows)(levels)
    sense = board.sense_rows if columns else board.sense_columns
    sums = [0] * sensed
    for _ in range(reads):
        sense(card, codes)
        for i in range(sensed):
            sums[i] += codes[i]
    for i in range(sensed):
        mean = (sums[i] << 8) // reads
        out[at + 3 * i] = mean & 255
        out[at + 3 * i + 1] = mean >> 8 & 255
        out[at + 3 * i + 2] = mean >> 16 & 255
    return 3 * sensed
