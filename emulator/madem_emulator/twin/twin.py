"""The desktop twin of the device: docs/reference/arithmetic.md to the bit, for many boards at once.

A `Twin` is a batch of B boards that differ in their seeds; one board is a batch of one. Arrays
have the batch as their first axis.

`Twin.learn` is the page from top to bottom. The phases of a sample are in `phases`, the devices and
converters in `array`, the random numbers in `noise`.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from madem_emulator.twin.array import FULL, Bytes, Floats, Memristors, Numbers, Sums, by_layer
from madem_emulator.twin.bit_flips import BitFlips, Flipped
from madem_emulator.twin.codes import checked_codes
from madem_emulator.twin.config import MAX_RATE, Config
from madem_emulator.twin.noise import (
    States,
    Stream,
    draw,
    powers,
    row_indices,
    start,
    variates,
)
from madem_emulator.twin.phases import Activities, Phases, as_bytes

ZERO = 128
"""An accumulator of 0, as it is stored."""
PULSE = 64
"""Units of an accumulator that one pulse stands for."""
MAX_PULSES_PER_UPDATE = 255
"""The most pulses of one change."""
_CHUNK = 1 << 18
"""Readings that `predict_many` prepares noise for at a time, so that they stay in the cache."""


class TwinState(NamedTuple):
    """All that learning changes, in the shapes of `Twin`.

    Attributes:
        steps: training samples learned.
        devices: of each weight layer, both devices of every pair.
        accumulators: of each weight layer, one of every pair.
        physical: the rest of devices in siemens, which bytes don't tell: see `PhysicalTwin.state`.
    """

    steps: int
    devices: list[Bytes]
    accumulators: list[Bytes]
    physical: Mapping[str, NDArray[Any]] | None = None


class Digests(NamedTuple):
    """CRC-32 of one board's activities and weights in a training sample.

    Attributes:
        free, plus, minus: of the activities after each phase.
        weights: of devices and accumulators after the change.
    """

    free: int
    plus: int
    minus: int
    weights: int


@dataclass(frozen=True, eq=False)
class Trace:
    """The course of one training sample.

    Attributes:
        step: its number.
        free, plus, minus: activities after the phases, of unit layers 1…L: uint8 (B, n) each.
        answer: int64 (B,), in the free phase: the predicted class, or how many outputs are wrong.
        twin: that learned it.
    """

    step: int
    free: list[Bytes]
    plus: list[Bytes]
    minus: list[Bytes]
    answer: NDArray[np.int64]
    twin: Twin

    @property
    def digests(self) -> Digests:
        """Digests of the first board: `digests_of(0)`."""
        return self.digests_of(0)

    def digests_of(self, board: int) -> Digests:
        """Digests of one board, as long as its weights are those after this step.

        Args:
            board: of the batch, from 0.

        Returns:
            The digests.

        Raises:
            RuntimeError: the twin has learned on.
        """
        if self.twin.steps != self.step + 1:
            raise RuntimeError(f"the weights after step {self.step} are gone: learned on")
        weights = zip(self.twin.devices, self.twin.accumulators, strict=True)
        return Digests(
            free=_crc(self.free, board),
            plus=_crc(self.plus, board),
            minus=_crc(self.minus, board),
            weights=_crc([part for layer in weights for part in layer], board),
        )


class Update(NamedTuple):
    """The change of the weights that one sample's activity differences make.

    Attributes:
        rates: RATE, int32 (B,).
        update_states, pulse_states: generators for the rounding of the accumulators and for the
            pulses, (B,).
        pulses: that a device gets for one change.
    """

    rates: NDArray[np.int32]
    update_states: States
    pulse_states: States
    pulses: int


class Twin:
    """B boards with the same configuration but for the seed.

    Attributes:
        config: the integers.
        seeds: uint64 (B,).
        devices: conductances by weight layer, uint8 (B, n, 2, m + 1); axis 2 is P, N, and a
            board's layer has the memory layout of the page.
        accumulators: by weight layer, uint8 (B, n, m + 1).
        steps: training samples learned so far, the number of the next one.
        pulses: given to each board so far, int64 (B,).
    """

    def __init__(self, config: Config, seeds: Sequence[int] | None = None) -> None:
        """Make boards that have learned nothing.

        Args:
            config: the integers.
            seeds: one for each board; None: one board, with the configuration's seed.
        """
        self.config = config
        self.seeds = np.array([config.seed] if seeds is None else seeds, np.uint64)
        self.steps = 0
        self.pulses = np.zeros(len(self.seeds), np.int64)
        self._memristors = Memristors(config, self.seeds)
        self.devices = self._memristors.layers
        self._c = np.full((len(self.seeds), config.couplings), ZERO, np.uint8)
        self.accumulators: list[Bytes] = by_layer(self._c, config.sizes)
        self._change = np.zeros(self._c.shape, np.int32)
        self._change_by_layer = by_layer(self._change, config.sizes)
        self._phases = Phases(config)
        self._flips = BitFlips()

    def _weights(self) -> Sequence[Sums]:
        """Weight layers as reads see them now."""
        return self._memristors.weights()

    def _weights_to_predict(self) -> Callable[[NDArray[np.int64]], Sequence[Sums]]:
        """Weight layers as predictions see them now, by the indices of rows: (S,) or (B, S)."""
        weights = self._weights()
        return lambda indices: weights

    # --- using a network -----------------------------------------------------------------------

    def predict(self, x: ArrayLike) -> list[Bytes]:
        """Settle with only the inputs held, for one sample.

        Args:
            x: DAC codes, uint8 (features,) or (B, features).

        Returns:
            Activities of unit layers 1…L, uint8 (B, n) each.
        """
        codes = checked_codes(x, self.config.sizes[0])
        return [s[:, 0] for s in self.predict_many(codes[..., None, :])]

    def predict_many(self, x: ArrayLike) -> list[Bytes]:
        """Settle with only the inputs held, for many samples.

        The read noise of a sample is its own: the same sample has the same answer alone, among
        others, in any order and whatever was asked before.

        Args:
            x: DAC codes, uint8 (samples, features) or (B, samples, features).

        Returns:
            Activities of unit layers 1…L, uint8 (B, samples, n) each.
        """
        codes = self._masked(x)
        inputs = self._inputs(codes, codes.shape[-2] if codes.ndim > 1 else 0)
        indices = row_indices(codes)
        chunk = self._samples_at_once()
        weights = self._weights_to_predict()
        parts = []
        for begin in range(0, inputs.shape[1], chunk):
            these = slice(begin, begin + chunk)
            own = indices[..., these]
            states = start(self.seeds[:, None], Stream.PREDICT, own)
            offsets = self._phases.prediction_offsets(states)
            _, s = self._phases.free(weights(own), inputs[:, these], offsets)
            parts.append([layer.astype(np.uint8) for layer in s[1:]])
        return [np.concatenate(layer, axis=1) for layer in zip(*parts, strict=True)]

    def _samples_at_once(self) -> int:
        """How many samples `predict_many` takes together."""
        return max(1, _CHUNK // (self._phases.readings_to_predict * len(self.seeds)))

    def answer(self, outputs: ArrayLike) -> NDArray[np.int64]:
        """Read the answer from activities of layer L.

        Args:
            outputs: activities, (…, n[L]).

        Returns:
            For one-hot targets the class, int64 (…); otherwise on or off, 0/1 (…, n[L]).
        """
        outputs = np.asarray(outputs)
        if self.config.one_hot:
            return outputs.argmax(axis=-1)
        return (outputs >= (self.config.t_hi + self.config.t_lo + 1) >> 1).astype(np.int64)

    # --- learning ------------------------------------------------------------------------------

    def learn(
        self, rate: ArrayLike, x: ArrayLike, target: ArrayLike, pulses_per_update: int = 1
    ) -> Trace:
        """Learn one sample.

        Args:
            rate: RATE, 0…16383 over the largest SCALE: one, or (B,) for different boards.
            x: DAC codes, uint8 (features,), or (B, features) for different samples.
            target: for one-hot targets the class, () or (B,); otherwise 0/1, (n[L],) or
                (B, n[L]).
            pulses_per_update: PULSES, 1…255: pulses that a device gets for one change.

        Returns:
            Activities and answers on the way.

        Raises:
            ValueError: an argument is out of range or has a wrong shape.
        """
        rates = np.broadcast_to(np.asarray(rate, np.int32), self.seeds.shape)
        highest = MAX_RATE // max(layer.scale for layer in self.config.layers)
        if np.any((rates < 0) | (rates > highest)):
            raise ValueError(f"the rate is {rate}, but must be from 0 to {highest}")
        if not 1 <= pulses_per_update <= MAX_PULSES_PER_UPDATE:
            raise ValueError(
                f"pulses_per_update is {pulses_per_update}, but must be from 1 to"
                f" {MAX_PULSES_PER_UPDATE}"
            )
        inputs, on = self._inputs(x)[:, None], self._on(target)
        streams = [[Stream.LEARN], [Stream.UPDATE], [Stream.PULSE]]
        read_states, update_states, pulse_states = start(self.seeds, streams, self.steps)

        free, plus, minus = self._settle(inputs, on, read_states)
        a, b = ([s[:, 0].astype(np.int32) for s in phase] for phase in (plus, minus))
        rows_that_draw = self._differences(a, b)
        update = Update(rates, update_states, pulse_states, pulses_per_update)
        self._change_weights(rows_that_draw, update)
        self._flips.in_weights(self.steps, self.devices)

        outputs = as_bytes(free)
        trace = Trace(
            step=self.steps,
            free=outputs,
            plus=as_bytes(plus),
            minus=as_bytes(minus),
            answer=self._judge(outputs[-1], on),
            twin=self,
        )
        self.steps += 1
        return trace

    def free_phase(self, x: ArrayLike) -> list[Bytes]:
        """Settle as `learn` would begin with a sample, without learning it.

        Args:
            x: as for `learn`.

        Returns:
            Activities of unit layers 1…L, uint8 (B, n) each.
        """
        states = start(self.seeds, Stream.LEARN, self.steps)
        offsets = self._phases.prediction_offsets(states[:, None])
        _, free = self._phases.free(self._weights(), self._inputs(x)[:, None], offsets)
        self._flips.in_states(self.steps, free)
        return as_bytes(free)

    def skip(self) -> None:
        """Count a sample that was tested and is not learned."""
        self.steps += 1

    # What one sample does, in three parts: `rules` has learning rules that replace one of them.

    def _settle(
        self, inputs: Floats, on: NDArray[np.bool_], states: States
    ) -> tuple[Activities, Activities, Activities]:
        """Activities of the free, plus and minus phases.

        Args:
            inputs: (B, 1, features).
            on: which outputs should be on, (B, n[L]).
            states: generators of the read noise, (B,).
        """
        weights = self._weights()
        offsets = self._phases.sample_offsets(states[:, None])
        held, free = self._phases.free(weights, inputs, offsets)
        self._flips.in_states(self.steps, free)
        return free, *self._phases.nudged(weights, held, free, on, offsets)

    def _differences(
        self, a: list[NDArray[np.int32]], b: list[NDArray[np.int32]]
    ) -> NDArray[np.bool_]:
        """Put each coupling's activity difference, the page's D, into `_change`.

        Args:
            a: A, (B, n) of unit layers 0…L.
            b: B, likewise.

        Returns:
            Which rows take a draw for the rounding of their accumulators, (B, all rows).
        """
        for k, change in enumerate(self._change_by_layer, start=1):
            np.subtract(_products(a[k], a[k - 1]), _products(b[k], b[k - 1]), out=change)
        # A row of layer 1 without a difference draws nothing. Nothing changes there with any r.
        return np.concatenate([a[1] != b[1], *(np.ones(s.shape, bool) for s in a[2:])], axis=1)

    def _change_weights(self, rows_that_draw: NDArray[np.bool_], update: Update) -> None:
        """Move the accumulators by the differences; those that are full pulse a device.

        Args:
            rows_that_draw: from `_differences`.
            update: how.
        """
        number = np.cumsum(rows_that_draw, axis=1)
        factors = powers(number.shape[1] + 1)[number]
        r = draw(update.update_states[:, None], factors).astype(np.int32) << 4

        self._multiply_by_rates(update.rates)
        begin = 0
        for change in self._change_by_layer:
            end = begin + change.shape[1]
            change += r[:, begin:end, None]
            begin = end
        self._change >>= 20
        self._change += self._c
        c = np.clip(self._change, ZERO - 127, ZERO + 127).astype(np.uint8)
        full = np.flatnonzero((c >= ZERO + PULSE) | (c <= ZERO - PULSE))
        contents = c.reshape(-1)[full]
        raised = contents > ZERO
        c.reshape(-1)[full] = np.where(raised, contents - PULSE, contents + PULSE)
        self._c[:] = c
        self._pulse(full, raised, update)

    def _multiply_by_rates(self, rates: NDArray[np.int32]) -> None:
        """Multiply `_change` by RATE, (B,), and by the SCALE of each weight layer."""
        for change, layer in zip(self._change_by_layer, self.config.layers, strict=True):
            change *= (rates * np.int32(layer.scale))[:, None, None]

    def _pulse(self, couplings: Numbers, raised: NDArray[np.bool_], update: Update) -> None:
        """Raise or lower couplings by `update.pulses` pulses each.

        Args:
            couplings: positions in the flattened (B, couplings), in order.
            raised: raise it, else lower it.
            update: how.
        """
        states = update.pulse_states
        memristors = self._memristors
        board, coupling = np.divmod(couplings, self.config.couplings)
        self.pulses += update.pulses * np.bincount(board, minlength=len(self.pulses))
        # Every change takes a draw of its board's generator, and three more for each pulse.
        each = 1 + 3 * update.pulses
        before = np.arange(len(board)) - np.searchsorted(board, np.arange(len(states)))[board]
        number = each * before[:, None] + np.arange(1, each + 1)
        taken = draw(states[board, None], powers(each * len(number) + 1)[number])
        is_set = taken[:, 0] & 1 == 1
        on_p = is_set == raised
        device = np.where(on_p, memristors.p[coupling], memristors.n[coupling])
        at = board * memristors.g.shape[1] + device
        for first in range(1, each, 3):
            memristors.pulse(
                at,
                is_set,
                z=variates(taken[:, first : first + 2].copy())[:, 0],
                r=taken[:, first + 2].astype(np.int32),
            )

    # --- arguments and results -----------------------------------------------------------------

    def _masked(self, x: ArrayLike) -> Bytes:
        return checked_codes(x, self.config.sizes[0]) & np.uint8(self.config.dac_mask)

    def _inputs(self, x: ArrayLike, *samples: int) -> Floats:
        """Activities of the inputs, (B, *samples, features), for DAC codes with or without B."""
        codes = self._masked(x)
        shape = (len(self.seeds), *samples, self.config.sizes[0])
        if codes.shape not in (shape, shape[1:]):
            raise ValueError(f"the input has shape {codes.shape}, not {shape[1:]} or {shape}")
        return np.broadcast_to(codes, shape).astype(np.float64)

    def _on(self, target: ArrayLike) -> NDArray[np.bool_]:
        """Which outputs are on: (B, n[L])."""
        outputs = self.config.sizes[-1]
        target = np.asarray(target)
        shape = (len(self.seeds),) if self.config.one_hot else (len(self.seeds), outputs)
        if target.shape not in (shape, shape[1:]):
            raise ValueError(f"the target has shape {target.shape}, not {shape[1:]} or {shape}")
        if not self.config.one_hot:
            return np.broadcast_to(target.astype(bool), shape)
        if np.any((target < 0) | (target >= outputs)):
            raise ValueError(f"the target is {target}, but there are {outputs} classes")
        return np.broadcast_to(target[..., None] == np.arange(outputs), (*shape, outputs))

    def _judge(self, outputs: Bytes, on: NDArray[np.bool_]) -> NDArray[np.int64]:
        answer = self.answer(outputs)
        return answer if self.config.one_hot else np.count_nonzero(answer != on, axis=-1)

    # --- checkpoints and faults ----------------------------------------------------------------

    def state(self) -> TwinState:
        """Copy all that learning has changed."""
        return TwinState(
            self.steps, [g.copy() for g in self.devices], [c.copy() for c in self.accumulators]
        )

    def load_state(self, state: TwinState) -> None:
        """Continue from a state.

        Args:
            state: of the batch, or of one board (arrays without B) for all of it.

        Raises:
            ValueError: the arrays don't fit, or an accumulator has what no step leaves behind.
        """
        own = self.devices + self.accumulators
        given = [np.asarray(array, np.uint8) for array in (*state.devices, *state.accumulators)]
        shapes, expected = [array.shape for array in given], [array.shape for array in own]
        if shapes not in (expected, [shape[1:] for shape in expected]):
            raise ValueError(f"the state has arrays of shapes {shapes}, not {expected}")
        for c in state.accumulators:
            if np.any((c <= ZERO - PULSE) | (c >= ZERO + PULSE)):
                raise ValueError("the state has an accumulator that was due for a pulse")
        for array, new in zip(own, given, strict=True):
            array[:] = new
        self.steps = state.steps

    def add_stuck(self, stuck: int) -> None:
        """Raise STUCK: more devices can't change from now on.

        Args:
            stuck: the new STUCK, 0…65535.

        Raises:
            ValueError: it is lower than it was, or no 16-bit number.
        """
        if not self.config.stuck <= stuck <= 0xFFFF:
            raise ValueError(
                f"STUCK is {stuck}, but must be from {self.config.stuck} to 65535: it only rises"
            )
        self.config = replace(self.config, stuck=stuck)
        self._memristors.add_stuck(stuck)

    def flip(self, step: int, what: Flipped, layer: int, index: int, bit: int) -> None:
        """Flip one bit on every board when that step is learned.

        Args:
            step: its number.
            what: "state" is a unit's activity after the free phase, "weight" a device after the
                pulses.
            layer: 1…L, of the units or of the weights.
            index: of the unit, or offset of the device in its layer.
            bit: 0…7.

        Raises:
            ValueError: there is no such thing to flip.
        """
        self._flips.add(self.config, step, what, layer, index, bit)


def _products(above: NDArray[np.int32], below: NDArray[np.int32]) -> NDArray[np.int32]:
    """Activity of the unit above times that of the line below, of each coupling: (B, n, m + 1)."""
    bias = np.full((len(below), 1), FULL, np.int32)
    return above[:, :, None] * np.concatenate([below, bias], axis=1)[:, None]


def _crc(parts: Sequence[Bytes], board: int) -> int:
    crc = 0
    for part in parts:
        crc = zlib.crc32(part[board].tobytes(), crc)
    return crc
