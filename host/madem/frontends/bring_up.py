"""Bring up a board of chips, step by step: `madem doctor --frontend attached`.

docs/hardware/maker_board.md tells what each step should show. A step that fails ends the list:
those behind it would measure its fault once more.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from madem.doctor import Check
from madem.errors import DeviceError
from madem.frontends import physical
from madem.learners.board import BoardLearner
from madem.learners.chips import Card, Chips
from madem_emulator.designs import GEOMETRIES
from madem_emulator.designs.faults import resistors
from madem_emulator.physical.device import DeviceModel
from madem_emulator.twin.config import Settings

Floats = NDArray[np.float64]

_READS = 16
_NONE = 255  # no line is driven
_SILENT = 0.1
"""Of the current of the other lines: a line of less has none."""
_NOISY = 3.0
"""Times the noise that the design declares."""
_HALF = 127
_GAIN = 0.1
"""A line may differ by this from what its devices read the other way: resistors of 5 %, twice."""
_LINEAR = 0.1
"""Departure from a straight line, as a fraction: devices have one of their own."""
_RANGE = 0.25
"""Devices may be outside their window by this fraction of it, an open one is below 0."""
_SHORT = 3.0
"""A device of more codes than this many windows is a short."""
_RESISTOR = 0.1
"""Resistor and amplifier of 5 % each."""
_MOVES = 0.05
"""Windows that a device moves at least under pulses, and that its neighbours don't."""

_REMEDIES = (
    (r"bus is stuck|bus error 110", "SDA or SCL is held low: pull-ups to both, supply of every chip"
     " on them"),
    (r"MCP4728 .* (not answer|stopped)", "its supply, SDA on GP4, SCL on GP5, pull-ups; its"
     " address is part of its order number (MCP4728A1 is 0x61)"),
    (r"MCP4728 .* another chip", "the order number of the chip at this address"),
    (r"MCP3208", "its supply, MISO on GP16 with a pull-up, SCK on GP18, MOSI on GP19, its chip"
     " select (GP17 the word lines', GP20 the bit lines')"),
    (r"without current|at 0 V", "the amplifier of this line, VMID and reference; OE of the"
     " switches high at power-up; no card in the wrong socket"),
    (r"ADS8568", "its supply, MISO with a pull-up, SCK, its FS and CONVST, the chain's order"),
    (r"74HC595", "its supply, the buffer from QH' to MISO and its enable (GP27), the latch (GP21)"),
    (r"ADG1414", "the card's supply and plug, SYNC (GP15 through the decoder), its buffer to MISO"),
    (r"DAC81416", "its supply, its chip select, SCK, MOSI and MISO"),
    (r"follow its DAC", "the amplifier of this line, the wires of its DAC and of its ADC input"),
    (r"calibration request", "--card: this design has fewer of them"),
    (r"lost its settings", "the supply: its decoupling, and what it does when the card is plugged"),
)  # fmt: skip


class _Found(Exception):
    """A step failed: what is wrong, and what to check."""

    def __init__(self, detail: str, remedy: str) -> None:
        super().__init__(detail)
        self.remedy = remedy


@dataclass
class _Bench:
    """What the steps share: the board, and what was measured so far."""

    device: BoardLearner
    design: str
    kind: DeviceModel
    card: int
    resistors: bool
    chips: Chips
    zeros: tuple[Floats, Floats] = (np.zeros(0), np.zeros(0))
    measured: Card | None = None

    @property
    def window(self) -> float:
        """Codes of a device's window at full activity."""
        geometry = self.chips.geometry
        return geometry.span * float(geometry.share(np.array(255.0)))

    @property
    def codes(self) -> Card:
        """Of all devices, both ways, measured once."""
        if self.measured is None:
            self.measured = self.chips.card(self.card, reads=_READS, raw=True)
        return self.measured

    def siemens(self, codes: Floats) -> Floats:
        """The conductances that codes stand for."""
        return codes / self.window * self.kind.window


def examine(
    device: BoardLearner, design: str, kind: DeviceModel, card: int = 0, resistors: bool = False
) -> Iterator[Check]:
    """Look at a board of chips; ends with the first step that fails.

    Args:
        device: the board, with madem's firmware.
        design: of the board, a key of `designs.GEOMETRIES`.
        kind: what the card holds: the amplifiers' resistors are made for its window.
        card: number of the card; one device of it is pulsed.
        resistors: the card holds resistors as docs/hardware/maker_board.md has them.

    Yields:
        What each step found.
    """
    bench = _Bench(device, design, kind, card, resistors, Chips(device, GEOMETRIES[design]))
    for name, step in _STEPS:
        try:
            yield Check(name, True, step(bench))
        except _Found as found:
            yield Check(name, False, str(found), found.remedy)
            return
        except DeviceError as error:
            advice = (text for pattern, text in _REMEDIES if re.search(pattern, str(error)))
            yield Check(
                name, False, str(error), next(advice, "see docs/reference/link.md for the error")
            )
            return


def _chips(bench: _Bench) -> str:
    bench.device.configure(Settings(sizes=(1, 1)).integers(), bench.design)
    return f"all chips of {bench.design} answer and hold what they are told"


def _zeros(bench: _Bench) -> str:
    """Nothing is driven: the zero that the firmware took off is still right, and quiet."""
    each = [
        np.array([_line(bench, columns, _NONE, reads=1) for _ in range(_READS)])
        for columns in (False, True)
    ]
    bench.zeros = (each[0].mean(axis=0), each[1].mean(axis=0))
    noise = bench.chips.geometry.noise
    sigma = float(np.sqrt(np.mean([codes.var(axis=0, ddof=1).mean() for codes in each])))
    if sigma > _NOISY * noise:
        raise _Found(
            f"noise of σ = {sigma:.1f} codes, the design has {noise:.1f}",
            "ground, decoupling of reference and amplifiers, length of the analog wires",
        )
    # The firmware's zero is a mean of eight codes.
    limit = 6 * _NOISY * noise * (1 / 8 + 1 / _READS) ** 0.5 + 1
    for columns, means in enumerate(bench.zeros):
        worst = int(np.abs(means).argmax())
        if abs(means[worst]) > limit:
            raise _Found(
                f"{_sensed(columns)} {worst} is {means[worst]:+.1f} codes off its zero",
                "the card's switches: a line is driven that should be at VMID",
            )
    most = max(float(np.abs(means).max()) for means in bench.zeros)
    return f"all lines within {most:.1f} codes of their zero, σ = {sigma:.2f} codes"


def _driven(bench: _Bench, columns: bool) -> str:
    """Each line of one side alone gives current on the other."""
    codes = bench.codes.transposed.T if columns else bench.codes.forward
    sums = codes.sum(axis=1)
    side = "bit line" if columns else "word line"
    # Noise of the sum is a code or two.
    silent = np.flatnonzero(sums <= max(_SILENT * float(np.median(sums)), 5.0))
    if len(silent) == len(sums):
        raise _Found(
            f"no {side} gives any current",
            f"card {bench.card}: is it plugged in; its read switch; the drivers' supply",
        )
    if len(silent):
        raise _Found(
            f"{side} {_list(silent)} gives no current",
            "its DAC channel, its analog switch, its wire to the card",
        )
    return f"all {len(sums)} {side}s drive: {sums.min():.0f} to {sums.max():.0f} codes in all"


def _both_ways(bench: _Bench) -> str:
    """A device reads the same from either side."""
    forward, transposed = bench.codes
    swapped = _swapped(forward.T, transposed.T) or _swapped(forward, transposed)
    if swapped:
        side = "bit lines" if _swapped(forward.T, transposed.T) else "word lines"
        raise _Found(
            f"{side} {swapped[0]} and {swapped[1]} are swapped on one side",
            "the wires of these two lines to their drivers and to their amplifiers",
        )
    with np.errstate(divide="ignore", invalid="ignore"):
        columns = forward.sum(axis=0) / transposed.sum(axis=0)
        rows = transposed.sum(axis=1) / forward.sum(axis=1)
    for side, gains in (("bit line", columns), ("word line", rows)):
        gains = gains / np.median(gains)
        worst = int(np.abs(gains - 1).argmax())
        if abs(gains[worst] - 1) > _GAIN:
            raise _Found(
                f"{side} {worst} reads {gains[worst]:.2f} times what the other side reads of it",
                "the resistor of its amplifier; `madem calibrate` can put a gain right",
            )
    return f"bit lines {_spread(columns)} and word lines {_spread(rows)} of the other way"


def _linear(bench: _Bench) -> str:
    """Half the activity gives half the code, and the negative its negative."""
    row = int(bench.codes.forward.sum(axis=1).argmax())
    full, half, below = (
        float((_line(bench, False, row, level) - bench.zeros[0]).sum())
        for level in (255, _HALF, -255)
    )
    share = bench.chips.geometry.share
    wanted = float(share(np.array(float(_HALF))) / share(np.array(255.0)))
    for what, ratio, right in (("half", half / full, wanted), ("negative", -below / full, 1.0)):
        if abs(ratio / right - 1) > _LINEAR:
            raise _Found(
                f"word line {row} at {what} activity gives {ratio:.2f} of full, not {right:.2f}",
                "saturation: resistor of the amplifiers, VMID, supply of the drivers",
            )
    return f"word line {row}: half gives {half / full:.3f}, negative {below / full:+.3f} of full"


def _devices(bench: _Bench) -> str:
    """Every device is inside its window, or the resistor that it should be."""
    codes = bench.codes.forward
    windows = codes / bench.window
    low, high = bench.kind.g_min / bench.kind.window, bench.kind.g_max / bench.kind.window
    short = windows > _SHORT * high
    if short.any():
        raise _Found(
            f"{_first(short)} is a short{_others(short)}",
            "a bridge there: it takes both of its lines with it",
        )
    if bench.resistors:
        wanted = resistors(codes.shape)
        off = bench.siemens(codes) / wanted - 1
        # A code more or less matters for the small ones.
        bad = np.abs(off) > _RESISTOR + bench.kind.window / (wanted * bench.window)
        if bad.any():
            found, right = (_ohms(float(g[bad][0])) for g in (bench.siemens(codes), wanted))
            raise _Found(
                f"{_first(bad)} is {found}, not {right}{_others(bad)}",
                "the resistor there: its value, its solder joints, a bridge",
            )
        return f"all {codes.size} resistors within {np.abs(off).max():.1%}"
    outside = (windows < low * (1 - _RANGE)) | (windows > high + _RANGE)
    if outside.any():
        found = 1e6 * abs(float(bench.siemens(codes)[outside][0]))
        raise _Found(
            f"{_first(outside)} has {found:.1f} µS, outside its window{_others(outside)}",
            "form or replace the card, or `madem calibrate`: the learner leaves dead cells alone",
        )
    found = 1e6 * bench.siemens(codes)
    return f"{codes.size} devices of {found.min():.1f} to {found.max():.1f} µS"


def _pulse(bench: _Bench) -> str:
    """One device moves under pulses and back, and no other does."""
    rows, columns = bench.codes.forward.shape
    cell = rows - 1, columns - 1
    before = bench.codes.forward / bench.window
    middle = (bench.kind.g_min + bench.kind.g_max) / 2 / bench.kind.window
    up = bool(before[cell] < middle)
    pulses = 2 ** (physical.weight_bits(bench.kind) - 2)
    states = [before]
    for direction in (up, not up):
        bench.chips.pulse(bench.card, 1 << cell[0], 1 << cell[1], direction, pulses)
        states.append(bench.chips.card(bench.card, reads=_READS, raw=True).forward / bench.window)
    moves = np.diff(np.array(states), axis=0)
    there, back = (float(move[cell]) for move in moves)
    said = f"{_cell(*cell)}: {pulses} pulses {there:+.2f} windows, {pulses} back {back:+.2f}"
    if bench.resistors:
        if max(abs(there), abs(back)) > _MOVES:
            raise _Found(f"{said}, but resistors stay", "is this a card of resistors?")
        return f"{said}: a resistor stays"
    sign = 1 if up else -1
    if sign * there < _MOVES or -sign * back < _MOVES:
        raise _Found(
            f"{said}: it does not follow",
            "the one-shot and its trigger (GP26), the pulse's voltage and width; or the device is"
            " stuck: try another card",
        )
    moves[:, cell[0], cell[1]] = 0
    worst = tuple(int(k) for k in np.unravel_index(np.abs(moves).argmax(), moves.shape))
    if abs(moves[worst]) > _MOVES:
        raise _Found(
            f"{_cell(*worst[1:])} moved by {moves[worst]:+.2f} windows without being selected",
            "lines that are not selected have to be at VMID in a pulse",
        )
    return said


_STEPS: tuple[tuple[str, Callable[[_Bench], str]], ...] = (
    ("chips", _chips),
    ("zeros", _zeros),
    ("word lines", lambda bench: _driven(bench, False)),
    ("bit lines", lambda bench: _driven(bench, True)),
    ("both ways", _both_ways),
    ("devices", _devices),
    ("linear", _linear),
    ("pulse", _pulse),
)


def _line(bench: _Bench, columns: bool, line: int, level: int = 255, reads: int = _READS) -> Floats:
    return bench.chips.lines(bench.card, columns, line, level, reads=reads, raw=True)


def _swapped(ways: Floats, others: Floats) -> tuple[int, int] | None:
    """Two lines (the rows here) that are each other's, where both match far better so."""
    distance = np.abs(ways[:, None, :] - others[None, :, :]).sum(axis=2)
    best = distance.argmin(axis=1)
    for line, other in enumerate(best):
        if other > line and best[other] == line:
            mine = distance[line, line] + distance[other, other]
            if distance[line, other] + distance[other, line] < mine / 3:
                return line, int(other)
    return None


def _sensed(columns: int) -> str:
    return "word line" if columns else "bit line"


def _cell(row: int, column: int) -> str:
    return f"row {row}, column {column}"


def _list(lines: NDArray[np.int64]) -> str:
    return " and ".join(map(str, lines))


def _first(bad: NDArray[np.bool_]) -> str:
    row, column = np.argwhere(bad)[0]
    return _cell(row, column)


def _others(bad: NDArray[np.bool_]) -> str:
    more = int(bad.sum()) - 1
    return f", and {more} more" if more else ""


def _ohms(siemens: float) -> str:
    if siemens < 1e-8:
        return "open"
    return f"{1e-6 / siemens:.2f} MΩ" if siemens < 2e-6 else f"{1e-3 / siemens:.0f} kΩ"


def _spread(gains: Floats) -> str:
    return f"{gains.min():.3f} to {gains.max():.3f}"
