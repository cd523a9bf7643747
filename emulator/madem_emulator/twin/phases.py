"""The phases of a sample in the twin: reads and activities, until the network has settled.

Arrays are (B, S, …): B boards, and on each S things that happen with the same weights, such as
the two nudged phases of a sample, or many predictions.

Sums, readings and activities are computed in float64, which is exact: all of them are integers,
or integers over a power of two, of fewer than 53 bits.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from madem_emulator.twin.array import FULL, Converter, Floats, Offsets, Weights
from madem_emulator.twin.competition import Competition, Singles
from madem_emulator.twin.config import ONE, Config, Rule
from madem_emulator.twin.noise import States

Activities = list[Floats]
"""(B, S, n) of unit layers 0…L, layer 0 being the input."""


class _Read(NamedTuple):
    """A read of a sweep: its converter, and where its readings are among those of the sweep."""

    converter: Converter
    where: slice


class _Sweep:
    """The layers that a sweep updates and the reads that this takes.

    Attributes:
        layers: unit layers, in order.
        forward, transposed: the reads by the unit layer that gets them.
        converters: that of every reading, in order.
    """

    def __init__(
        self,
        sizes: Sequence[int],
        layers: Sequence[int],
        forward: Sequence[Converter],
        transposed: Sequence[Converter],
    ) -> None:
        """`layers` are updated in this order; the converters are by weight layer.

        Without converters for the transposed reads there are none.
        """
        self.layers = layers
        self.forward: dict[int, _Read] = {}
        self.transposed: dict[int, _Read] = {}
        self.converters: list[Converter] = []
        for k in self.layers:
            # Weight layer k is number k − 1 in Python's counting, the one above it number k.
            if k > 1:
                self.forward[k] = self._take(forward[k - 1], sizes[k])
            if transposed and k < len(sizes) - 1:
                self.transposed[k] = self._take(transposed[k], sizes[k])

    @property
    def readings(self) -> int:
        return len(self.converters)

    def _take(self, converter: Converter, units: int) -> _Read:
        begin = len(self.converters)
        self.converters += [converter] * units
        return _Read(converter, slice(begin, begin + units))


class Phases:
    """Free and nudged phases with the reads that a configuration asks for."""

    def __init__(self, config: Config, *, feedback: bool = True) -> None:
        """Without `feedback` no layer hears from the one above: one sweep settles the network."""
        self._config = config
        bits, last = config.adc_bits, len(config.layers)
        forward = [
            Converter(k.gain, k.gain_shift, bits, k.range_forward, k.noise_forward)
            for k in config.layers
        ]
        transposed = [
            Converter(k.gain, k.gain_shift, bits, k.range_transposed, k.noise_transposed)
            for k in config.layers
            if feedback
        ]
        # Down from the output: what is pulled there reaches every layer within one sweep.
        highest_moved = last - 1 if config.rule == Rule.CLAMPED else last
        self._held = forward[0]
        self._free_sweep = _Sweep(config.sizes, range(1, last + 1), forward, transposed)
        down = range(highest_moved, 0, -1)
        self._nudged_sweep = _Sweep(config.sizes, down, forward, transposed)
        self._competitions = {
            k: Competition(layer.cap, config.sizes[k], config.dac_mask)
            for k, layer in enumerate(config.layers, start=1)
            if layer.cap
        }

        # The readings of a sample in order: held, free, plus, minus.
        self._n_held = config.sizes[1]
        self.readings_to_predict = self._n_held + config.t_free * self._free_sweep.readings
        nudged_phases = 2 if config.rule == Rule.CENTRED else 1
        self._offsets = Offsets(
            [self._held] * self._n_held
            + self._free_sweep.converters * config.t_free
            + self._nudged_sweep.converters * config.t_nudge * nudged_phases
        )

    def sample_offsets(self, states: States) -> Floats:
        """Offsets of all readings of training samples, (B, S, readings), from generators (B, S)."""
        return self._offsets.make(states, len(self._offsets))

    def prediction_offsets(self, states: States) -> Floats:
        """Offsets of all readings of predictions, likewise."""
        return self._offsets.make(states, self.readings_to_predict)

    def free(self, weights: list[Weights], x: Floats, offsets: Floats) -> tuple[Floats, Activities]:
        """The held reading of layer 1, and the activities after the free phase.

        Args:
            x: activities of the inputs, (B, S, features).
            offsets: of a sample or of a prediction.
        """
        config = self._config
        held = self._held.read(weights[0].forward(x), offsets[..., : self._n_held])
        s = [x] + [np.zeros((*x.shape[:2], n)) for n in config.sizes[1:]]
        offsets = offsets[..., self._n_held : self.readings_to_predict]
        self._settle(self._free_sweep, config.t_free, weights, held, s, offsets)
        return held, s

    def nudged(
        self,
        weights: list[Weights],
        held: Floats,
        free: Activities,
        on: NDArray[np.bool_],
        offsets: Floats,
    ) -> tuple[Activities, Activities]:
        """Activities after the plus and after the minus phase: A and B of the page.

        Args:
            held, free: from `free`, with S = 1.
            on: which outputs should be on, (B, n[L]).
            offsets: of the sample.
        """
        config = self._config
        high, low = config.t_hi & config.dac_mask, config.t_lo & config.dac_mask
        target = np.where(on, float(high), float(low))[:, None]
        nudge = np.floor(config.beta * (target - free[-1]) / 16)
        offsets = offsets[..., self.readings_to_predict :]
        sweep, times = self._nudged_sweep, config.t_nudge

        if config.rule == Rule.CENTRED:
            # Neither phase depends on the other: both at once.
            s = [np.repeat(layer, 2, axis=1) for layer in free]
            both_ways = np.concatenate([nudge, -nudge], axis=1)
            offsets = offsets.reshape(len(offsets), 2, -1)
            self._settle(sweep, times, weights, held, s, offsets, both_ways)
            return [layer[:, :1] for layer in s], [layer[:, 1:] for layer in s]

        s = list(free)
        if config.rule == Rule.CLAMPED:
            s[-1] = target
        self._settle(sweep, times, weights, held, s, offsets, nudge)
        return s, free

    def _settle(
        self,
        sweep: _Sweep,
        times: int,
        weights: list[Weights],
        held: Floats,
        s: Activities,
        offsets: Floats,
        nudge: Floats | None = None,
    ) -> None:
        """Sweep `times` times: puts new arrays into `s`."""
        last = len(weights)
        inhibitions: dict[int, Singles] = {}
        for t in range(times):
            now = offsets[..., t * sweep.readings : (t + 1) * sweep.readings]
            for k in sweep.layers:
                drive = held
                if k in sweep.forward:
                    converter, where = sweep.forward[k]
                    drive = converter.read(weights[k - 1].forward(s[k - 1]), now[..., where])
                if k in sweep.transposed:
                    converter, where = sweep.transposed[k]
                    back = converter.read(weights[k].transposed(s[k + 1]), now[..., where])
                    drive = drive + back
                if k == last and nudge is not None:
                    drive = drive + nudge
                if k in self._competitions:
                    compete = self._competitions[k].activity
                    s[k], inhibitions[k] = compete(drive, inhibitions.get(k))
                else:
                    s[k] = self.activity(drive)

    def activity(self, drive: Floats) -> Floats:
        """Of complete drives, of any shape."""
        s = drive * (FULL / ONE)
        s += 0.5
        np.floor(s, out=s)
        np.maximum(s, 0.0, out=s)
        np.minimum(s, float(FULL), out=s)
        if self._config.dac_mask != FULL:
            s -= s % (256 - self._config.dac_mask)
        return s
