"""Phases of a sample in the twin: reads and activities, until the network has settled.

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

from madem_emulator.twin.array import FULL, Bytes, Converter, Floats, Offsets, Sums
from madem_emulator.twin.competition import Competition, Singles
from madem_emulator.twin.config import ONE, Config, LayerConfig, Rule
from madem_emulator.twin.noise import States

Activities = list[Floats]
"""(B, S, n) of unit layers 0…L, layer 0 being the input."""


def as_bytes(s: Activities) -> list[Bytes]:
    """Activities as a trace has them.

    Args:
        s: (B, 1, n) of unit layers 0…L.

    Returns:
        uint8 (B, n) of unit layers 1…L.
    """
    return [layer[:, 0].astype(np.uint8) for layer in s[1:]]


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
        """Lay out the reads.

        Args:
            config: the integers.
            feedback: layers hear from the ones above. Without, one sweep settles the network.
        """
        self._config = config
        last = len(config.layers)
        forward = [self._converter(layer, transposed=False) for layer in config.layers]
        transposed = [self._converter(k, transposed=True) for k in config.layers if feedback]
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

    def _converter(self, layer: LayerConfig, transposed: bool) -> Converter:
        return Converter(layer, self._config.adc_bits, transposed)

    def sample_offsets(self, states: States) -> Floats:
        """Draw the offsets of all readings of training samples.

        Args:
            states: generators, (B, S).

        Returns:
            ADC steps, (B, S, readings).
        """
        return self._offsets.make(states, len(self._offsets))

    def prediction_offsets(self, states: States) -> Floats:
        """Draw the offsets of all readings of predictions: as `sample_offsets`."""
        return self._offsets.make(states, self.readings_to_predict)

    def free(
        self, weights: Sequence[Sums], x: Floats, offsets: Floats
    ) -> tuple[Floats, Activities]:
        """Settle with only the inputs held.

        Args:
            weights: of every weight layer.
            x: activities of the inputs, (B, S, features).
            offsets: of a sample or of a prediction, (B, S, readings).

        Returns:
            The held reading of layer 1, (B, S, n[1]), and the activities of all unit layers.
        """
        config = self._config
        held = self._held.read(weights[0].forward(x), offsets[..., : self._n_held])
        s = [x] + [np.zeros((*x.shape[:2], n)) for n in config.sizes[1:]]
        offsets = offsets[..., self._n_held : self.readings_to_predict]
        self._settle(self._free_sweep, config.t_free, weights, held, s, offsets)
        return held, s

    def nudged(
        self,
        weights: Sequence[Sums],
        held: Floats,
        free: Activities,
        on: NDArray[np.bool_],
        offsets: Floats,
    ) -> tuple[Activities, Activities]:
        """Settle with the outputs pulled toward their targets, and away from them.

        Args:
            weights: of every weight layer.
            held: from `free`, (B, 1, n[1]).
            free: from `free`, (B, 1, n) each.
            on: which outputs should be on, (B, n[L]).
            offsets: of the sample, (B, 1, readings).

        Returns:
            Activities after the plus and after the minus phase: A and B of the page.
        """
        if self._config.rule != Rule.CENTRED:
            return self._nudged_phase(weights, held, free, on, offsets, 1), free
        # Neither phase depends on the other: both at once.
        s = [np.repeat(layer, 2, axis=1) for layer in free]
        nudge = self._nudge(self.targets(on), free[-1])
        both_ways = np.concatenate([nudge, -nudge], axis=1)
        offsets = offsets[..., self.readings_to_predict :].reshape(len(offsets), 2, -1)
        times = self._config.t_nudge
        self._settle(self._nudged_sweep, times, weights, held, s, offsets, both_ways)
        return [layer[:, :1] for layer in s], [layer[:, 1:] for layer in s]

    def _nudged_phase(
        self,
        weights: Sequence[Sums],
        held: Floats,
        free: Activities,
        on: NDArray[np.bool_],
        offsets: Floats,
        sign: int,
    ) -> Activities:
        """Activities after one nudged phase; arguments as of `nudged`, `sign` 1 is the plus one."""
        config, target = self._config, self.targets(on)
        nudge = sign * self._nudge(target, free[-1])
        s = [*free[:-1], target] if config.rule == Rule.CLAMPED else list(free)
        offsets = offsets[..., self.readings_to_predict :]
        self._settle(self._nudged_sweep, config.t_nudge, weights, held, s, offsets, nudge)
        return s

    def targets(self, on: NDArray[np.bool_]) -> Floats:
        """Target activities of the outputs.

        Args:
            on: which outputs should be on, (B, n[L]).

        Returns:
            (B, 1, n[L]).
        """
        config = self._config
        high, low = config.t_hi & config.dac_mask, config.t_lo & config.dac_mask
        return np.where(on, float(high), float(low))[:, None]

    def _nudge(self, target: Floats, outputs: Floats) -> Floats:
        return np.floor(self._config.beta * (target - outputs) / 16)

    def _settle(
        self,
        sweep: _Sweep,
        times: int,
        weights: Sequence[Sums],
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
        """Activities of units.

        Args:
            drive: their complete drives, of any shape.

        Returns:
            0…255, of that shape.
        """
        s = drive * (FULL / ONE)
        s += 0.5
        np.floor(s, out=s)
        np.maximum(s, 0.0, out=s)
        np.minimum(s, float(FULL), out=s)
        if self._config.dac_mask != FULL:
            s -= s % (256 - self._config.dac_mask)
        return s
