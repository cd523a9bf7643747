"""The twin of a board with chips: all that is digital, on the codes that the chips gave.

What a board of docs/hardware/frontends.md records of a sample is a list of events: cards that were
read, and pulses. `AttachedTwin` takes the codes of the reads for its own and works out the rest:
sums, readings, activities, accumulators, and which pulses go to which lines. It says where the
device did otherwise.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from itertools import groupby

import numpy as np
from numpy.typing import ArrayLike, NDArray

from madem_emulator.twin.array import FULL, Bytes, Floats, Numbers
from madem_emulator.twin.competition import Competition
from madem_emulator.twin.config import Config, Rule
from madem_emulator.twin.noise import States, draw, powers
from madem_emulator.twin.phases import Activities
from madem_emulator.twin.twin import Trace, Twin

Codes = NDArray[np.int16]

_MOST = 16383
"""Of a reading, either way."""
_MOST_SUM = 48000
"""Of codes, either way."""
_WINDOW_AT_FULL = 200 * FULL
"""What one device's window at full activity is to the gain of a layer
(docs/reference/arithmetic.md).
"""


@dataclass(frozen=True)
class Geometry:
    """What the digital side has to know of a board design: docs/hardware/frontends.md, "Adding a
    board design".
    """

    rows: int
    columns: int
    span: int
    """Codes by which a device's whole window changes a reading at full activity."""
    noise: float
    """σ of a code: amplifier and converter, rounding included."""
    share: Callable[[Floats], Floats]
    """Of the full read voltage, what a line gets for activities of −255 to 255."""
    conversions: int
    """That a reading is the mean of."""


@dataclass(frozen=True, eq=False)
class Read:
    """A card was read."""

    rows: bool
    """The word lines were sensed; otherwise the bit lines."""
    card: int
    codes: Codes
    """Of every sensed line."""


@dataclass(frozen=True)
class Pulse:
    """Lines of a card were pulsed."""

    up: bool
    """SET; otherwise RESET."""
    card: int
    pulses: int
    rows: int
    """Mask of word lines, bit 0 the first."""
    columns: int

    def __str__(self) -> str:
        kind = "SET" if self.up else "RESET"
        return (
            f"{self.pulses} {kind} on card {self.card}, rows {self.rows:#x},"
            f" columns {self.columns:#x}"
        )


class PlayError(Exception):
    """The device did otherwise than the page says.

    Attributes:
        layer: weight layer, from 1.
        what: what it did, in words.
    """

    def __init__(self, layer: int, what: str) -> None:
        super().__init__(what)
        self.layer = layer


@dataclass(frozen=True)
class Place:
    """Where a weight layer lies on the cards, and what turns codes into readings."""

    lines: int
    """Word lines without the bias line."""
    units: int
    first: int
    """Its first card."""
    across: int
    """Cards for all its bit lines."""
    gain: int
    shift: int


def places(config: Config, geometry: Geometry) -> list[Place]:
    """Of every weight layer: as firmware/madem/frontend_chips.py lays them."""
    found = []
    first = 0
    for k, layer in enumerate(config.layers):
        m, n = config.sizes[k], config.sizes[k + 1]
        across = -(-2 * n // geometry.columns)
        gain, shift = layer.gain * _WINDOW_AT_FULL // geometry.span, layer.gain_shift
        while shift and gain >= 1 << 15:
            gain, shift = gain >> 1, shift - 1
        found.append(Place(m, n, first, across, gain, shift))
        first += across * -(-(m + 1) // geometry.rows)
    return found


class AttachedTwin(Twin):
    """One board whose weights are behind chips.

    `devices` are empty: they are not digital. `learn` and `predict` need `play` first.

    Attributes:
        places: of the weight layers.
        log: reads of the newest sample with the levels of the driven lines, and pulses, in order.
        settled: activities after those phases of the newest sample that could be worked out, by
            name, as in a `Trace`.
    """

    def __init__(self, config: Config, geometry: Geometry) -> None:
        super().__init__(config)
        self.devices: list[Bytes] = [np.empty((1, 0), np.uint8) for _ in config.layers]
        self.geometry = geometry
        self.places = places(config, geometry)
        self.log: list[tuple[Read, Floats] | Pulse] = []
        self.settled: dict[str, list[Bytes]] = {}
        self._events: deque[Read | Pulse] = deque()
        self._competitions = {
            k: Competition(layer.cap, config.sizes[k], config.dac_mask)
            for k, layer in enumerate(config.layers, start=1)
            if layer.cap
        }

    def play(self, events: list[Read | Pulse]) -> None:
        """What the device recorded of the sample that comes next."""
        self._events = deque(events)
        self.log = []

    def learn(
        self, rate: ArrayLike, x: ArrayLike, target: ArrayLike, pulses_per_update: int = 1
    ) -> Trace:
        """As `Twin.learn`.

        Raises:
            PlayError: the device read other cards, or gave other pulses.
        """
        trace = super().learn(rate, x, target, pulses_per_update)
        self._end()
        return trace

    def predict(self, index: int, x: ArrayLike) -> list[Bytes]:
        """As `Twin.predict`; raises as `learn`. The codes know the noise, not the index."""
        free = self._free(self._inputs(x)[0])
        self._end()
        return _as_bytes(free[1])

    def _end(self) -> None:
        if self._events:
            raise PlayError(len(self.places), f"{len(self._events)} reads or pulses too many")

    def _settle(
        self, inputs: Floats, on: NDArray[np.bool_], states: States
    ) -> tuple[Activities, Activities, Activities]:
        config = self.config
        self.settled = {}
        held, free = self._free(inputs[0, 0])
        self._flip_states(free)
        self.settled["free"] = _as_bytes(free)
        high, low = config.t_hi & config.dac_mask, config.t_lo & config.dac_mask
        target = np.where(on[0], high, low).astype(np.float64)
        nudge = np.floor(config.beta * (target - free[-1]) / 16)
        down = range(len(self.places), 0, -1)
        if config.rule == Rule.CLAMPED:
            plus = self._sweep(config.t_nudge, down[1:], held, [*free[:-1], target])
        else:
            plus = self._sweep(config.t_nudge, down, held, free, nudge)
        self.settled["plus"] = _as_bytes(plus)
        minus = free
        if config.rule == Rule.CENTRED:
            minus = self._sweep(config.t_nudge, down, held, free, -nudge)
        self.settled["minus"] = _as_bytes(minus)
        free, plus, minus = ([s[None, None] for s in phase] for phase in (free, plus, minus))
        return free, plus, minus

    def _free(self, x: Floats) -> tuple[Floats, Activities]:
        """The held reading, and activities (n,) of unit layers 0…L."""
        config = self.config
        held = self._forward(1, x)
        s = [x, *(np.zeros(n) for n in config.sizes[1:])]
        return held, self._sweep(config.t_free, range(1, len(config.sizes)), held, s)

    def _sweep(
        self, times: int, layers: range, held: Floats, s: Activities, nudge: Floats | None = None
    ) -> Activities:
        s = list(s)
        last = len(self.places)
        for _ in range(times):
            for k in layers:
                drive = held if k == 1 else self._forward(k, s[k - 1])
                if k < last:
                    drive = drive + self._transposed(k + 1, s[k + 1])
                elif nudge is not None:
                    drive = drive + nudge
                if k in self._competitions:
                    s[k] = self._competitions[k].activity(drive[None, None], None)[0][0, 0]
                else:
                    s[k] = self._phases.activity(drive)
        return s

    def _forward(self, k: int, s: Floats) -> Floats:
        """Readings of the bit lines of weight layer k, (n,), for activities of its word lines."""
        place, rows = self.places[k - 1], self.geometry.rows
        levels = np.zeros(-(-(place.lines + 1) // rows) * rows)
        levels[: place.lines + 1] = *s, FULL
        sums = np.zeros(place.across * self.geometry.columns // 2, np.int64)
        cards, driven = {}, {}
        for block, part in enumerate(levels.reshape(-1, rows)):
            if part.any():
                for c in range(place.across):
                    card = place.first + block * place.across + c
                    cards[card], driven[card] = c, part
        half = self.geometry.columns // 2
        for card, codes in self._take(k, False, driven):
            sums[cards[card] * half : (cards[card] + 1) * half] += codes[0::2] - codes[1::2]
        return self._reading(place, sums[: place.units])

    def _transposed(self, k: int, s: Floats) -> Floats:
        """Readings of the word lines of weight layer k, (m,), for activities of its bit lines."""
        place, rows, half = self.places[k - 1], self.geometry.rows, self.geometry.columns // 2
        blocks = -(-place.lines // rows)
        sums = np.zeros(blocks * rows, np.int64)
        pairs = np.zeros((place.across * half, 2))
        pairs[: place.units] = np.stack([s, -s], axis=1)
        cards, driven = {}, {}
        for c, part in enumerate(pairs.reshape(place.across, -1)):
            if part.any():
                for block in range(blocks):
                    card = place.first + block * place.across + c
                    cards[card], driven[card] = block, part
        for card, codes in self._take(k, True, driven):
            sums[cards[card] * rows : (cards[card] + 1) * rows] += codes
        return self._reading(place, sums[: place.lines])

    def _take(
        self, layer: int, rows: bool, driven: dict[int, Floats]
    ) -> list[tuple[int, NDArray[np.int_]]]:
        """The next reads, which must be of these cards, in whatever order."""
        found = {}
        for _ in driven:
            event = self._events.popleft() if self._events else None
            if not isinstance(event, Read) or event.rows != rows or event.card not in driven:
                raise PlayError(layer, f"the device should read cards {list(driven)}, but: {event}")
            found[event.card] = event.codes.astype(np.int_)
            self.log.append((event, driven[event.card]))
        if len(found) != len(driven):
            raise PlayError(layer, f"the device read a card of {list(driven)} twice")
        return list(found.items())

    @staticmethod
    def _reading(place: Place, sums: NDArray[np.int64]) -> Floats:
        u = np.clip(sums, -_MOST_SUM, _MOST_SUM) * place.gain
        u = u + (1 << place.shift >> 1) >> place.shift
        return np.clip(u, -_MOST, _MOST).astype(np.float64)

    def _pulse(
        self, couplings: Numbers, raised: NDArray[np.bool_], states: States, pulses_per_update: int
    ) -> None:
        """See `Twin._pulse`: what the device pulsed must be this."""
        self.pulses += pulses_per_update * len(couplings)
        is_set = draw(states[0], powers(len(couplings) + 1)[1:]) & 1 == 1
        for layer, pulse in self._expected(couplings, raised, is_set, pulses_per_update):
            event = self._events.popleft() if self._events else None
            if event != pulse:
                raise PlayError(layer, f"the device should give {pulse}, but: {event}")
            self.log.append(pulse)

    def _expected(
        self,
        couplings: Numbers,
        raised: NDArray[np.bool_],
        is_set: NDArray[np.bool_],
        pulses_per_update: int,
    ) -> list[tuple[int, Pulse]]:
        """Weight layers and pulses in the order in which the device gives them: bit line by bit
        line, card by card, SET of P and N before RESET of P and N.
        """
        rows, half = self.geometry.rows, self.geometry.columns // 2
        found: list[tuple[int, Pulse]] = []
        begin = 0
        for k, place in enumerate(self.places, start=1):
            end = begin + (place.lines + 1) * place.units
            inside = (couplings >= begin) & (couplings < end)
            line, word = np.divmod(couplings[inside] - begin, place.lines + 1)
            up = is_set[inside]
            negative = raised[inside] ^ up
            wanted = zip(line, word // rows, 2 - 2 * up + negative, word % rows, strict=True)
            ordered = sorted(tuple(int(v) for v in each) for each in wanted)
            for (i, block, kind), group in groupby(ordered, key=lambda each: each[:3]):
                part, unit = divmod(i, half)
                mask = sum(1 << each[3] for each in group)
                card = place.first + block * place.across + part
                column = 1 << 2 * unit + (kind & 1)
                found.append((k, Pulse(kind < 2, card, pulses_per_update, mask, column)))
            begin = end
        return found


def _as_bytes(s: Activities) -> list[Bytes]:
    """Activities (n,) of unit layers 0…L as a trace has them."""
    return [layer.astype(np.uint8)[None] for layer in s[1:]]
