"""The desktop twin of the device: docs/reference/arithmetic.md to the bit, for many boards at once.

A `Twin` is a batch of B boards that differ in their seeds; one board is a batch of one. Arrays
have the batch as their first axis.

`Twin.learn` is the page from top to bottom; what one phase does is in `twin_phases`, what the
array of memristors does is in `twin_array`, and the random numbers are in `noise`.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from madem_emulator.twin.array import FULL, Bytes, Floats, Memristors, Numbers, by_layer
from madem_emulator.twin.config import MAX_RATE, Config
from madem_emulator.twin.noise import States, Stream, draw, powers, start, variates
from madem_emulator.twin.phases import Activities, Phases

ZERO = 128
"""How an accumulator of 0 is stored."""
PULSE = 64
"""What an accumulator pays for one pulse."""
MAX_PULSES_PER_UPDATE = 255
"""Pulses of one change."""
_CHUNK = 1 << 18
"""Readings that `predict_many` prepares noise for at a time, so that they stay in the cache."""


class TwinState(NamedTuple):
    """All that learning changes, in the shapes of `Twin`."""

    steps: int
    devices: list[Bytes]
    accumulators: list[Bytes]
    physical: Mapping[str, NDArray[Any]] | None = None
    """What bytes don't tell of devices in siemens: see `physical.learner.PhysicalTwin`."""


class Digests(NamedTuple):
    """CRC-32 of what one board's training sample did."""

    free: int
    plus: int
    minus: int
    weights: int


@dataclass(frozen=True, eq=False)
class Trace:
    """What one training sample did.

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
        """Those of the first board: `digests_of(0)`."""
        return self.digests_of(0)

    def digests_of(self, board: int) -> Digests:
        """Digests of one board of the batch, as long as its weights are those after this step.

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


@dataclass(frozen=True)
class _Flip:
    step: int
    what: Literal["state", "weight"]
    layer: int
    index: int
    bit: int


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
        """Boards that have learned nothing, with the configuration's seed or one for each seed."""
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
        self._flips: list[_Flip] = []

    # --- using a network -----------------------------------------------------------------------

    def predict(self, index: int, x: ArrayLike) -> list[Bytes]:
        """Free activities of unit layers 1…L for one sample: uint8 (B, n) each.

        Args:
            index: sample number, which chooses the read noise.
            x: DAC codes, uint8 (features,) or (B, features).
        """
        return [s[:, 0] for s in self.predict_many(index, np.asarray(x)[..., None, :])]

    def predict_many(self, first_index: int, x: ArrayLike) -> list[Bytes]:
        """The same for samples number first_index, first_index + 1, …: uint8 (B, samples, n) each.

        Args:
            first_index: number of the first sample.
            x: DAC codes, uint8 (samples, features) or (B, samples, features).
        """
        x = self._inputs(x, np.shape(x)[-2])
        chunk = self._samples_at_once()
        weights = self._memristors.weights()
        parts = []
        for begin in range(0, x.shape[1], chunk):
            part = x[:, begin : begin + chunk]
            index = (first_index + begin + np.arange(part.shape[1])) & 0xFFFFFFFF
            states = start(self.seeds[:, None], Stream.PREDICT, index)
            offsets = self._phases.prediction_offsets(states)
            _, s = self._phases.free(weights, part, offsets)
            parts.append([layer.astype(np.uint8) for layer in s[1:]])
        return [np.concatenate(layer, axis=1) for layer in zip(*parts, strict=True)]

    def _samples_at_once(self) -> int:
        """How many samples `predict_many` takes together."""
        return max(1, _CHUNK // (self._phases.readings_to_predict * len(self.seeds)))

    def answer(self, outputs: ArrayLike) -> NDArray[np.int64]:
        """What activities of layer L say.

        Args:
            outputs: (…, n[L]).

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
        self._change_weights(rates, rows_that_draw, update_states, pulse_states, pulses_per_update)
        self._flip_weights()

        outputs = _bytes(free)
        trace = Trace(
            step=self.steps,
            free=outputs,
            plus=_bytes(plus),
            minus=_bytes(minus),
            answer=self._judge(outputs[-1], on),
            twin=self,
        )
        self.steps += 1
        return trace

    def test(self, x: ArrayLike) -> list[Bytes]:
        """Free activities with which `learn` would begin: uint8 (B, n) of unit layers 1…L.

        Args:
            x: as for `learn`.
        """
        states = start(self.seeds, Stream.LEARN, self.steps)
        offsets = self._phases.prediction_offsets(states[:, None])
        _, free = self._phases.free(self._memristors.weights(), self._inputs(x)[:, None], offsets)
        self._flip_states(free)
        return _bytes(free)

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
        weights = self._memristors.weights()
        offsets = self._phases.sample_offsets(states[:, None])
        held, free = self._phases.free(weights, inputs, offsets)
        self._flip_states(free)
        return free, *self._phases.nudged(weights, held, free, on, offsets)

    def _differences(
        self, a: list[NDArray[np.int32]], b: list[NDArray[np.int32]]
    ) -> NDArray[np.bool_]:
        """Put each coupling's activity difference, the page's D, into `_change`.

        Args:
            a, b: A and B, (B, n) of unit layers 0…L.

        Returns:
            Which rows take a draw for the rounding of their accumulators, (B, all rows).
        """
        for k, change in enumerate(self._change_by_layer, start=1):
            np.subtract(_products(a[k], a[k - 1]), _products(b[k], b[k - 1]), out=change)
        # A row of layer 1 without a difference draws nothing. Nothing changes there with any r.
        return np.concatenate([a[1] != b[1], *(np.ones(s.shape, bool) for s in a[2:])], axis=1)

    def _change_weights(
        self,
        rates: NDArray[np.int32],
        rows_that_draw: NDArray[np.bool_],
        update_states: States,
        pulse_states: States,
        pulses_per_update: int,
    ) -> None:
        """Move the accumulators by the differences; those that are full pulse a device.

        Args:
            rates: RATE, (B,).
            rows_that_draw: from `_differences`.
            update_states, pulse_states: generators, (B,).
            pulses_per_update: pulses of one change.
        """
        number = np.cumsum(rows_that_draw, axis=1)
        r = draw(update_states[:, None], powers(number.shape[1] + 1)[number]).astype(np.int32) << 4

        self._multiply_by_rates(rates)
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
        self._pulse(full, raised, pulse_states, pulses_per_update)

    def _multiply_by_rates(self, rates: NDArray[np.int32]) -> None:
        """Multiply `_change` by RATE, (B,), and by the SCALE of each weight layer."""
        for change, layer in zip(self._change_by_layer, self.config.layers, strict=True):
            change *= (rates * np.int32(layer.scale))[:, None, None]

    def _pulse(
        self, couplings: Numbers, raised: NDArray[np.bool_], states: States, pulses_per_update: int
    ) -> None:
        """Raise or lower couplings by some pulses each.

        Args:
            couplings: positions in the flattened (B, couplings), in order.
            raised: raise it, else lower it.
            states: generators, (B,).
            pulses_per_update: how many pulses.
        """
        memristors = self._memristors
        board, coupling = np.divmod(couplings, self.config.couplings)
        self.pulses += pulses_per_update * np.bincount(board, minlength=len(self.pulses))
        # Every change takes a draw of its board's generator, and three more for each pulse.
        each = 1 + 3 * pulses_per_update
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

    def _inputs(self, x: ArrayLike, *samples: int) -> Floats:
        """What drives the inputs: (B, *samples, features), for DAC codes with or without B."""
        codes = np.asarray(x, np.uint8) & np.uint8(self.config.dac_mask)
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
        """A copy of what learning has changed."""
        return TwinState(
            self.steps, [g.copy() for g in self.devices], [c.copy() for c in self.accumulators]
        )

    def load_state(self, state: TwinState) -> None:
        """Continue from a state: of the batch, or of one board (arrays without B) for all of it.

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

    def strike(self, stuck: int) -> None:
        """Raise STUCK: more devices can't change from now on.

        Raises:
            ValueError: it is lower than it was, or no 16-bit number.
        """
        if not self.config.stuck <= stuck <= 0xFFFF:
            raise ValueError(
                f"STUCK is {stuck}, but must be from {self.config.stuck} to 65535: it only rises"
            )
        self.config = replace(self.config, stuck=stuck)
        self._memristors.strike(stuck)

    def flip(
        self, step: int, what: Literal["state", "weight"], layer: int, index: int, bit: int
    ) -> None:
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
        sizes = self.config.sizes
        if not 1 <= layer < len(sizes):
            raise ValueError(f"there is no layer {layer} to flip a bit of")
        items = sizes[layer] if what == "state" else 2 * sizes[layer] * (sizes[layer - 1] + 1)
        if not (0 <= index < items and 0 <= bit < 8):
            raise ValueError(f"there is no bit {bit} of {what} {index} in layer {layer}")
        self._flips.append(_Flip(step, what, layer, index, bit))

    def _flips_now(self, what: str) -> list[_Flip]:
        return [flip for flip in self._flips if (flip.step, flip.what) == (self.steps, what)]

    def _flip_states(self, s: list[Floats]) -> None:
        for flip in self._flips_now("state"):
            unit = s[flip.layer][..., flip.index]
            unit[:] = unit.astype(np.int64) ^ (1 << flip.bit)

    def _flip_weights(self) -> None:
        for flip in self._flips_now("weight"):
            layer = self.devices[flip.layer - 1]
            layer.reshape(len(layer), -1)[:, flip.index] ^= np.uint8(1 << flip.bit)


def _products(above: NDArray[np.int32], below: NDArray[np.int32]) -> NDArray[np.int32]:
    """Activity of the unit above times that of the line below, of each coupling: (B, n, m + 1)."""
    bias = np.full((len(below), 1), FULL, np.int32)
    return above[:, :, None] * np.concatenate([below, bias], axis=1)[:, None]


def _crc(parts: Sequence[Bytes], board: int) -> int:
    crc = 0
    for part in parts:
        crc = zlib.crc32(part[board].tobytes(), crc)
    return crc


def _bytes(s: list[Floats]) -> list[Bytes]:
    """Activities (B, 1, n) of unit layers 0…L as a trace has them."""
    return [layer[:, 0].astype(np.uint8) for layer in s[1:]]
