"""The twin of a board with chips: all that is digital, on the codes that the chips gave.

`AttachedTwin` takes the codes of a board's record for its own and works out the rest: sums,
readings, activities, accumulators, and which pulses go to which lines. It says where the board did
otherwise.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from itertools import groupby

import numpy as np
from numpy.typing import ArrayLike, NDArray

from madem_emulator.twin.array import FULL, Bytes, Converter, Floats, Numbers, Sums
from madem_emulator.twin.cards import CardPulse, CardRead, Geometry, Place, places
from madem_emulator.twin.config import Config, LayerConfig, Rule
from madem_emulator.twin.noise import draw, powers
from madem_emulator.twin.phases import Activities, Phases, as_bytes
from madem_emulator.twin.twin import Trace, Twin, Update

_MOST = 16383
"""Of a reading, either way."""
_MOST_SUM = 48000
"""Of codes, either way."""


class ReplayError(Exception):
    """The board did otherwise than the page says; the message tells what it did.

    Attributes:
        layer: weight layer, from 1.
    """

    def __init__(self, layer: int, what: str) -> None:
        """Name what happened.

        Args:
            layer: weight layer, from 1.
            what: the board did, in words.
        """
        super().__init__(what)
        self.layer = layer


class AttachedTwin(Twin):
    """One board whose weights are behind chips.

    `devices` are empty: they are not digital. `learn` and `predict` need `replay` first.

    Attributes:
        geometry: of the board.
        places: cards of the weight layers.
        log: reads of the newest sample with the activities of the driven lines, (lines,), and
            pulses, in order.
        settled: activities after those phases of the newest sample that could be worked out, by
            name, as in a `Trace`.
    """

    def __init__(self, config: Config, geometry: Geometry) -> None:
        """Make a board that has learned nothing.

        Args:
            config: the integers.
            geometry: of the board.
        """
        super().__init__(config)
        self.devices: list[Bytes] = [np.empty((1, 0), np.uint8) for _ in config.layers]
        self.geometry = geometry
        self.places = places(config, geometry)
        self.log: list[tuple[CardRead, Floats] | CardPulse] = []
        self.settled: dict[str, list[Bytes]] = {}
        self._events: deque[CardRead | CardPulse] = deque()
        self._phases = _ReplayedPhases(config, self.settled)

    def replay(self, events: list[CardRead | CardPulse]) -> None:
        """Take over a record.

        Args:
            events: that the board recorded of the sample that comes next.
        """
        self._events = deque(events)
        self.log = []
        self.settled.clear()

    def learn(
        self, rate: ArrayLike, x: ArrayLike, target: ArrayLike, pulses_per_update: int = 1
    ) -> Trace:
        """As `Twin.learn`.

        Raises:
            ReplayError: the board read other cards, or gave other pulses.
        """
        trace = super().learn(rate, x, target, pulses_per_update)
        self._end()
        return trace

    def predict(self, x: ArrayLike) -> list[Bytes]:
        """As `Twin.predict`; raises as `learn`. The noise is in the codes."""
        free = super().predict(x)
        self._end()
        return free

    def _end(self) -> None:
        if self._events:
            raise ReplayError(len(self.places), f"{len(self._events)} reads or pulses too many")

    def _weights(self) -> Sequence[Sums]:
        return [_ReplayedReads(self, k) for k in range(1, len(self.places) + 1)]

    def take(
        self, layer: int, rows: bool, driven: dict[int, Floats]
    ) -> list[tuple[int, NDArray[np.int_]]]:
        """Take the next reads of the record, which must be of these cards, in whatever order.

        Args:
            layer: weight layer, from 1.
            rows: the word lines are sensed; otherwise the bit lines.
            driven: activities of the driven lines, (lines,), by the number of the card.

        Returns:
            Numbers of the cards and codes of their sensed lines, (lines,).

        Raises:
            ReplayError: the board did otherwise.
        """
        found = {}
        for _ in driven:
            event = self._events.popleft() if self._events else None
            if not isinstance(event, CardRead) or event.rows != rows or event.card not in driven:
                wanted = f"the device should read cards {list(driven)}, but: {event}"
                raise ReplayError(layer, wanted)
            found[event.card] = event.codes.astype(np.int_)
            self.log.append((event, driven[event.card]))
        if len(found) != len(driven):
            raise ReplayError(layer, f"the device read a card of {list(driven)} twice")
        return list(found.items())

    def _pulse(self, couplings: Numbers, raised: NDArray[np.bool_], update: Update) -> None:
        """See `Twin._pulse`: the pulses that the board gave must be these."""
        self.pulses += update.pulses * len(couplings)
        is_set = draw(update.pulse_states[0], powers(len(couplings) + 1)[1:]) & 1 == 1
        for layer, pulse in self._expected(couplings, raised, is_set, update.pulses):
            event = self._events.popleft() if self._events else None
            if event != pulse:
                raise ReplayError(layer, f"the device should give {pulse}, but: {event}")
            self.log.append(pulse)

    def _expected(
        self, couplings: Numbers, raised: NDArray[np.bool_], is_set: NDArray[np.bool_], pulses: int
    ) -> list[tuple[int, CardPulse]]:
        """Weight layers and pulses in the order in which the device gives them.

        Bit line by bit line, card by card, SET of P and N before RESET of P and N.
        """
        rows, half = self.geometry.rows, self.geometry.columns // 2
        found: list[tuple[int, CardPulse]] = []
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
                found.append((k, CardPulse(kind < 2, card, pulses, mask, column)))
            begin = end
        return found


class _ReplayedPhases(Phases):
    """Phases whose readings come from the record: the two nudged ones one after the other."""

    def __init__(self, config: Config, settled: dict[str, list[Bytes]]) -> None:
        """`settled` gets the activities after each phase."""
        super().__init__(config)
        self._settled = settled

    def _converter(self, layer: LayerConfig, transposed: bool) -> Converter:
        return _NoConverter()

    def nudged(
        self,
        weights: Sequence[Sums],
        held: Floats,
        free: Activities,
        on: NDArray[np.bool_],
        offsets: Floats,
    ) -> tuple[Activities, Activities]:
        self._settled["free"] = as_bytes(free)
        plus = self._nudged_phase(weights, held, free, on, offsets, 1)
        self._settled["plus"] = as_bytes(plus)
        minus = free
        if self._config.rule == Rule.CENTRED:
            minus = self._nudged_phase(weights, held, free, on, offsets, -1)
        self._settled["minus"] = as_bytes(minus)
        return plus, minus


class _NoConverter(Converter):
    """In place of a converter where sums are readings already."""

    def __init__(self) -> None:
        self.noise, self.lsb, self.rounding = 0, 1.0, 0.0

    def read(self, sums: Floats, offsets: Floats) -> Floats:
        return sums


class _ReplayedReads:
    """Readings of a weight layer, from the codes of its cards; see `Sums`, with B = S = 1."""

    def __init__(self, twin: AttachedTwin, layer: int) -> None:
        self._twin = twin
        self._layer = layer
        self._place = twin.places[layer - 1]
        self._rows, self._half = twin.geometry.rows, twin.geometry.columns // 2

    def forward(self, s: Floats) -> Floats:
        place = self._place
        levels = np.zeros(place.down * self._rows)
        levels[: place.lines + 1] = *s[0, 0], FULL
        sums = np.zeros(place.across * self._half, np.int64)
        cards, driven = {}, {}
        for block, part in enumerate(levels.reshape(-1, self._rows)):
            if part.any():
                for c in range(place.across):
                    card = place.first + block * place.across + c
                    cards[card], driven[card] = c, part
        for card, codes in self._twin.take(self._layer, False, driven):
            at = cards[card] * self._half
            sums[at : at + self._half] += codes[0::2] - codes[1::2]
        return _reading(place, sums[: place.units])

    def transposed(self, s: Floats) -> Floats:
        place, rows = self._place, self._rows
        blocks = -(-place.lines // rows)
        sums = np.zeros(blocks * rows, np.int64)
        pairs = np.zeros((place.across * self._half, 2))
        pairs[: place.units] = np.stack([s[0, 0], -s[0, 0]], axis=1)
        cards, driven = {}, {}
        for c, part in enumerate(pairs.reshape(place.across, -1)):
            if part.any():
                for block in range(blocks):
                    card = place.first + block * place.across + c
                    cards[card], driven[card] = block, part
        for card, codes in self._twin.take(self._layer, True, driven):
            sums[cards[card] * rows : (cards[card] + 1) * rows] += codes
        return _reading(place, sums[: place.lines])


def _reading(place: Place, sums: NDArray[np.int64]) -> Floats:
    u = np.clip(sums, -_MOST_SUM, _MOST_SUM) * place.gain
    u = u + (1 << place.shift >> 1) >> place.shift
    return np.clip(u, -_MOST, _MOST).astype(np.float64)[None, None]
