"""The attached front end: a crossbar behind converter chips, cut into the cards of a board.

It has the methods of frontend_emulated.Crossbar, and the learner can't tell them apart. Of a weight
layer, word line j (the bias is the last) is row j % ROWS of a card, unit i has its devices P and N
on the columns 2i and 2i + 1 of COLUMNS, and the layer's cards follow each other, those of the same
rows first. docs/hardware/frontends.md
"""

from array import array

from micropython import const

from . import frontend_sums, kernels
from .frontend_emulated import STREAM_LEARN, STREAM_PULSE
from .link_protocol import u16

_CODES = const(51000)  # 200 * 255: what one window at full activity is to the gain of a layer


class Attached:
    """Cards of one board under the layers of a network."""

    exact = False  # what `devices` holds was measured

    def __init__(self, sizes, config, layers, seed, design):
        """OSError: a chip of the board does not answer. ValueError: no such board, or no room."""
        try:
            module = __import__("madem.board_" + design, None, None, ("ArrayBoard",))
        except ImportError:
            raise ValueError("there is no board design " + design)
        self.design = design
        board = self.board = _calibrated(module.ArrayBoard(), design)
        rows = board.ROWS
        units = board.COLUMNS // 2
        self._device = kernels.device_words(seed, *config)
        self._pulse_rng = array("I", (0,))
        self.devices = bytearray(sum(2 * (m + 1) * n for m, n in zip(sizes, sizes[1:])))
        self.bases = []
        self._layers = []
        base = first = at = 0
        for k in range(len(sizes) - 1):
            m, n = sizes[k], sizes[k + 1]
            across = -(-n // units)
            gain, shift = layers[k][:2]
            # From codes to the drive: as in the page's reading, an acc of _CODES is SPAN codes.
            gain = gain * _CODES // board.SPAN
            while shift and gain > 32767:
                gain >>= 1
                shift -= 1
            self._layers.append((m, n, at, first, across, gain, shift))
            self.bases.append(base)
            base += 2 * (m + 1) * n
            first += across * -(-(m + 1) // rows)
            at += m
        self._used = first
        if first > board.CARDS:
            raise ValueError("%d cards are needed, %s selects %d" % (first, design, board.CARDS))
        self._row_levels = array("h", bytearray(2 * rows))
        self._column_levels = array("h", bytearray(2 * board.COLUMNS))
        self._row_codes = array("h", bytearray(2 * rows))
        self._column_codes = array("h", bytearray(2 * board.COLUMNS))
        self._sums = array("i", bytearray(4 * (1 + max(sizes))))

    def begin(self, stream, index):
        """The devices are noisy enough: only the choice of pulsed devices is drawn here."""
        self.board.check()
        if stream == STREAM_LEARN:
            kernels.seed(self._pulse_rng, self._device, STREAM_PULSE, index)

    def stuck_count(self):
        """How many devices can't change, as far as the board was calibrated."""
        dead = getattr(self.board, "dead", None)
        return dead(self._used) if dead else 0

    def start(self, rng, stream, index):
        kernels.seed(rng, self._device, stream, index)

    def add_stuck(self, share):
        raise ValueError("only devices of the emulated front end can be made stuck")

    def forward(self, k, s, out):
        m, n, at, card, across, gain, shift = self._layers[k]
        board = self.board
        rows = board.ROWS
        units = board.COLUMNS // 2
        levels, codes, sums = self._row_levels, self._column_codes, self._sums
        frontend_sums.clear(sums, n)
        for block in range(0, m + 1, rows):
            inside = min(m - block, rows)
            # Without voltage there is no current to read.
            if frontend_sums.place(
                levels, rows, s, at + block, inside, 255 if inside < rows else 0
            ):
                board.drive_rows(levels)
                for c in range(across):
                    board.sense_columns(card + c, codes)
                    frontend_sums.add_pairs(sums, c * units, codes, min(n - c * units, units))
            card += across
        frontend_sums.put(out, sums, n, gain, shift)

    def transposed(self, k, s, out):
        m, n, at, first, across, gain, shift = self._layers[k]
        board = self.board
        rows = board.ROWS
        units = board.COLUMNS // 2
        levels, codes, sums = self._column_levels, self._row_codes, self._sums
        frontend_sums.clear(sums, m)
        for c in range(across):
            start = c * units
            if frontend_sums.place_pairs(levels, units, s, at + m + start, min(n - start, units)):
                board.drive_columns(levels)
                card = first + c
                for block in range(0, m, rows):
                    board.sense_rows(card, codes)
                    frontend_sums.add(sums, block, codes, min(rows, m - block))
                    card += across
        frontend_sums.put(out, sums, m, gain, shift)

    def pulse(self, k, due, count, pulses):
        """As `Crossbar.pulse`; devices of a bit line that need the same are pulsed together."""
        across = self._layers[k][4]
        first = self._layers[k][3]
        rows = self.board.ROWS
        units = self.board.COLUMNS // 2
        at = 0
        x = self._pulse_rng[0]
        last = -1
        masks = [0, 0, 0, 0]  # SET of P, SET of N, RESET of P, RESET of N
        card = unit = 0
        for _ in range(count):
            line = u16(due, at)
            coupling = u16(due, at + 2)
            at += 4
            block, row = divmod(coupling >> 1, rows)
            here = line << 16 | block
            if here != last:
                self._pulse_pair(card, unit, masks, pulses)
                last = here
                part, unit = divmod(line, units)
                card = first + block * across + part
            x = 30903 * (x & 0xFFFF) + (x >> 16)
            is_set = x & 1
            is_n = (coupling & 1) ^ is_set
            masks[2 - 2 * is_set + is_n] |= 1 << row
        self._pulse_pair(card, unit, masks, pulses)
        self._pulse_rng[0] = x
        self.board.rest()

    def _pulse_pair(self, card, unit, masks, pulses):
        for kind in range(4):
            if masks[kind]:
                self.board.pulse(card, masks[kind], 1 << 2 * unit + (kind & 1), kind < 2, pulses)
                masks[kind] = 0

    def refresh(self, k):
        """Measure the conductances of a weight layer into `devices`, a row at a time."""
        m, n, _, card, across, _, _ = self._layers[k]
        board = self.board
        levels, codes = self._row_levels, self._column_codes
        for r in range(board.ROWS):
            levels[r] = 0
        for j in range(m + 1):
            levels[j % board.ROWS] = 255
            board.drive_rows(levels)
            levels[j % board.ROWS] = 0
            for c in range(across):
                board.sense_columns(card + j // board.ROWS * across + c, codes)
                for column in range(board.COLUMNS):
                    i = c * (board.COLUMNS // 2) + (column >> 1)
                    if i < n:
                        g = (codes[column] * 200 + board.SPAN // 2) // board.SPAN
                        half = (column & 1) * (m + 1)
                        self.devices[self.bases[k] + 2 * (m + 1) * i + half + j] = min(
                            max(g, 0), 255
                        )

    def program(self, k):
        """Bring a weight layer to the conductances in `devices`; pulses given, devices that failed.

        Those that are known to be dead are left alone. OSError: as of the board.
        """
        from . import frontend_write_verify  # only now: learning has no use for it

        m, n, _, card, across, _, _ = self._layers[k]
        board = self.board
        rows, units = board.ROWS, board.COLUMNS // 2
        levels = self._row_levels
        for r in range(rows):
            levels[r] = 0
        dead_columns = getattr(board, "dead_columns", None)
        pulses = failed = 0
        for j in range(m + 1):
            for c in range(across):
                here = card + j // rows * across + c
                wanted = [-1] * board.COLUMNS
                for u in range(min(units, n - c * units)):
                    at = self.bases[k] + 2 * (m + 1) * (c * units + u) + j
                    wanted[2 * u] = self.devices[at]
                    wanted[2 * u + 1] = self.devices[at + m + 1]
                if dead_columns:
                    dead = dead_columns(here, j % rows)
                    for column in range(board.COLUMNS):
                        if dead >> column & 1:
                            wanted[column] = -1
                found = frontend_write_verify.line(
                    board, here, j % rows, wanted, levels, self._column_codes
                )
                pulses += found[0]
                failed += found[1]
        return pulses, failed


def _calibrated(board, design):
    """The board, behind its calibration if it keeps one."""
    from . import flash_file  # only now: a board without chips has no use for it

    try:
        path = flash_file.find("madem.cal")
    except OSError:  # damaged, which is told below, or not there
        path = "madem.cal"
    try:
        with open(path, "rb") as file:
            data = file.read()
    except OSError:
        return board
    from . import calibration_apply  # only now: a board that was never calibrated has no use for it

    return calibration_apply.CalibratedBoard(board, data, design)
