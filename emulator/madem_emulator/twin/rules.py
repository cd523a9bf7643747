"""Learning rules for one crossbar: the three of docs/reference/arithmetic.md, and their rivals.

Every rule but the ceiling is a `Twin`: the same cells, reads, noise and pulses. A rule has its own
way to make a change for each coupling out of what it reads, or its own way to turn that change
into pulses. The ceiling, `Backprop`, has float weights and none of the device's limits.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from madem_emulator.twin.array import FULL, Bytes, Floats, Weights, by_layer
from madem_emulator.twin.config import Config, Rule, Settings
from madem_emulator.twin.noise import States, Stream, draws, start
from madem_emulator.twin.phases import Activities, Phases
from madem_emulator.twin.twin import Twin, Update

# Streams of these rules; docs/reference/arithmetic.md ends at 5.
_FEEDBACK, _DIRECTION, _READ_PLUS, _READ_MINUS = 16, 17, 18, 19

ONE_PULSE = 1 << 26
"""One pulse in units of D · RATE · SCALE: 2^20 units of an accumulator, of which 64 are a pulse."""
DEAD_BAND = ONE_PULSE // 16
"""Differences below this give no pulse where a pulse has only the sign of the difference."""
PERTURBATION = 8
"""Shift of a coupling under weight perturbation, in units of g: 4 % of the window."""


class Network(Protocol):
    """B networks that a rule trains.

    Attributes:
        pulses: given to each network so far, int64 (B,).
    """

    pulses: NDArray[np.int64]

    def learn(
        self, rate: ArrayLike, x: ArrayLike, target: ArrayLike, pulses_per_update: int = 1, /
    ) -> Any:
        """Learn one sample: as `Twin.learn`, with the rate from `LearningRule.rate`."""
        ...

    def outputs(self, x: Bytes) -> NDArray[Any]:
        """Activities of the outputs for many samples.

        Args:
            x: DAC codes, uint8 (samples, features) or (B, samples, features).

        Returns:
            (B, samples, n[L]), 255 is fully active.
        """
        ...

    def answer(self, outputs: ArrayLike) -> NDArray[np.int64]:
        """See `Twin.answer`."""
        ...


class CrossbarNetwork(Twin):
    """A twin as a `Network`: accumulated activity differences.

    They are centred, one-sided or clamped, as the configuration says.
    """

    def outputs(self, x: Bytes) -> Bytes:
        """See `Network.outputs`."""
        return self.predict_many(x)[-1]


class SignPulses(CrossbarNetwork):
    """Manhattan: one pulse with the sign of the difference beyond a dead band. Nothing is kept.

    The dead band is 1/16 pulse, so it gets narrower with the learning rate: differences within
    ±1/(16 · learning rate) give no pulse.
    """

    def _change_weights(self, rows_that_draw: NDArray[np.bool_], update: Update) -> None:
        self._multiply_by_rates(update.rates)
        at = np.flatnonzero(np.abs(self._change) >= DEAD_BAND)
        self._pulse(at, self._change.reshape(-1)[at] > 0, update)


class StochasticPulses(CrossbarNetwork):
    """One pulse with the probability |change|, if that is below 1. Nothing is kept.

    Takes one draw per coupling from stream *update*.
    """

    def _change_weights(self, rows_that_draw: NDArray[np.bool_], update: Update) -> None:
        self._multiply_by_rates(update.rates)
        lot = draws(update.update_states, self._change.shape[1]).astype(np.int32)
        at = np.flatnonzero(np.abs(self._change) // (ONE_PULSE >> 16) > lot)
        self._pulse(at, self._change.reshape(-1)[at] > 0, update)


class _FeedForward(CrossbarNetwork):
    """A network without transposed reads: each layer is read once, from below."""

    def __init__(self, config: Config, seeds: Sequence[int] | None = None) -> None:
        super().__init__(replace(config, t_free=1), seeds)
        self._phases = Phases(self.config, feedback=False)


class DirectFeedback(_FeedForward):
    """Direct feedback alignment: fixed random matrices carry the output's error to each layer.

    A unit's wanted activity is its present one plus that error, within 0…255, and
    D = (wanted − present activity of the unit) · activity of the line below.

    Attributes:
        feedback: by hidden layer, int8 (B, n[k], n[L]) in 1/128; digital memory.
    """

    def __init__(self, config: Config, seeds: Sequence[int] | None = None) -> None:
        """See `Twin`; the matrices are drawn from the seeds too."""
        super().__init__(config, seeds)
        *hidden, outputs = config.sizes[1:]
        self.feedback: list[NDArray[np.int8]] = []
        for k, n in enumerate(hidden):
            taken = draws(start(self.seeds, _FEEDBACK, k), n * outputs)
            signed = (taken & 0xFF).astype(np.uint8).view(np.int8)
            self.feedback.append(signed.reshape(-1, n, outputs))

    def _settle(
        self, inputs: Floats, on: NDArray[np.bool_], states: States
    ) -> tuple[Activities, Activities, Activities]:
        offsets = self._phases.prediction_offsets(states[:, None])
        _, s = self._phases.free(self._memristors.weights(), inputs, offsets)
        target = self._phases.targets(on)
        error = (target - s[-1]).swapaxes(1, 2)
        wanted = [inputs]
        for present, feedback in zip(s[1:-1], self.feedback, strict=True):
            delta = np.floor((feedback.astype(np.float64) @ error).swapaxes(1, 2) / 128)
            wanted.append(np.clip(present + delta, 0, FULL))
        return s, [*wanted, target], s

    def _differences(
        self, a: list[NDArray[np.int32]], b: list[NDArray[np.int32]]
    ) -> NDArray[np.bool_]:
        for k, change in enumerate(self._change_by_layer, start=1):
            below = np.pad(b[k - 1], ((0, 0), (0, 1)), constant_values=FULL)
            np.multiply((a[k] - b[k])[:, :, None], below[:, None], out=change)
        return np.concatenate([x != y for x, y in zip(a[1:], b[1:], strict=True)], axis=1)


class WeightPerturbation(_FeedForward):
    """Weight perturbation: all couplings are shifted by ±PERTURBATION at once.

    They are shifted in a random direction, and against it. The error of the outputs,
    Σ (target − activity)², is read both times; D is its fall along the direction, with each
    coupling's sign. The shift is made at the read (by gate voltages, say), not by pulses, and a
    generator that is started again gives the direction back, so that no memory is needed for it.
    """

    def _settle(
        self, inputs: Floats, on: NDArray[np.bool_], states: States
    ) -> tuple[Activities, Activities, Activities]:
        couplings = self.config.couplings
        lots = draws(start(self.seeds, _DIRECTION, self.steps), -(-couplings // 16))
        bits = np.unpackbits(lots.astype("<u2").view(np.uint8), axis=1, count=couplings)
        self._direction = 2 * bits.astype(np.int32) - 1
        shifts = by_layer(PERTURBATION * self._direction, self.config.sizes)
        weights = self._memristors.weights()

        phases, errors = [], []
        for stream, sign in ((Stream.LEARN, 0), (_READ_PLUS, 1), (_READ_MINUS, -1)):
            offsets = self._phases.prediction_offsets(
                start(self.seeds[:, None], stream, self.steps)
            )
            shifted = [
                Weights(
                    w.lines + sign * shift[..., :-1],
                    w.bias + sign * FULL * shift[:, None, :, -1],
                )
                for w, shift in zip(weights, shifts, strict=True)
            ]
            _, s = self._phases.free(shifted, inputs, offsets)
            phases.append(s)
            errors.append(np.square(self._phases.targets(on) - s[-1]).sum(axis=(1, 2)))
        self._fall = np.clip(errors[2] - errors[1], -FULL * FULL, FULL * FULL).astype(np.int32)
        free, plus, minus = phases
        return free, plus, minus

    def _differences(
        self, a: list[NDArray[np.int32]], b: list[NDArray[np.int32]]
    ) -> NDArray[np.bool_]:
        np.multiply(self._fall[:, None], self._direction, out=self._change)
        return np.ones((len(self.seeds), sum(self.config.sizes[1:])), bool)


class Backprop:
    """The ceiling: float64 weights, rectified hidden units, gradient descent sample by sample.

    Softmax and cross-entropy for classes, a logistic unit for each on/off output. B networks that
    differ in the seed of their first weights, as `Twin` has B boards.
    """

    def __init__(self, config: Config, seeds: Sequence[int] | None = None) -> None:
        """Draw the first weights.

        Args:
            config: sizes and kind of targets; the rest has no effect.
            seeds: one for each network; None: one network, with the configuration's seed.
        """
        self._one_hot = config.one_hot
        seeds = [config.seed] if seeds is None else seeds
        self.pulses = np.zeros(len(seeds), np.int64)
        randoms = [np.random.default_rng([seed, _FEEDBACK]) for seed in seeds]
        # The last column is the bias, the last activity of each layer a constant 1.
        self.weights: list[Floats] = [
            np.stack([random.normal(0, np.sqrt(2 / m), (n, m + 1)) for random in randoms])
            for m, n in pairwise(config.sizes)
        ]

    def learn(
        self, rate: ArrayLike, x: ArrayLike, target: ArrayLike, pulses_per_update: int = 1
    ) -> None:
        """One step of gradient descent.

        Args:
            rate: step width, one or (B,).
            x: as for `Twin.learn`.
            target: as for `Twin.learn`.
            pulses_per_update: there are no pulses, so it has no effect.
        """
        boards, outputs, _ = self.weights[-1].shape
        x = np.broadcast_to(x, (boards, np.shape(x)[-1]))
        s = self._forward(x[:, None])
        target = np.asarray(target)
        on = target[..., None] == np.arange(outputs) if self._one_hot else target
        error = np.broadcast_to(on, (boards, outputs)) - s[-1][:, 0]
        step = np.broadcast_to(rate, boards)[:, None, None]
        for k in reversed(range(len(self.weights))):
            below = s[k][:, 0]
            change = step * error[:, :, None] * below[:, None]
            error = (error[:, None] @ self.weights[k])[:, 0, :-1] * (below[:, :-1] > 0)
            self.weights[k] += change

    def outputs(self, x: Bytes) -> Floats:
        """See `Network.outputs`."""
        x = np.broadcast_to(x, (len(self.pulses), *x.shape[-2:]))
        return FULL * self._forward(x)[-1]

    def answer(self, outputs: ArrayLike) -> NDArray[np.int64]:
        """See `Twin.answer`."""
        outputs = np.asarray(outputs)
        if self._one_hot:
            return outputs.argmax(axis=-1)
        return (outputs >= FULL / 2).astype(np.int64)

    def _forward(self, x: NDArray[Any]) -> list[Floats]:
        """Activities (B, S, n + 1) of layers 0…L−1, their constant last; (B, S, n[L]) of L."""
        s = [_with_one(x / FULL)]
        for weights in self.weights[:-1]:
            s.append(_with_one(np.maximum(s[-1] @ weights.swapaxes(1, 2), 0)))
        drive = s[-1] @ self.weights[-1].swapaxes(1, 2)
        if self._one_hot:
            odds = np.exp(drive - drive.max(axis=-1, keepdims=True))
            return [*s, odds / odds.sum(axis=-1, keepdims=True)]
        return [*s, (1 + np.tanh(drive / 2)) / 2]


def _with_one(s: Floats) -> Floats:
    return np.concatenate([s, np.ones((*s.shape[:-1], 1))], axis=-1)


# --- the rules by name -------------------------------------------------------------------------


@dataclass(frozen=True)
class LearningRule:
    """A learning rule as it is compared.

    Attributes:
        name: on the command line.
        label: where people read it.
        make: gives networks of this rule, from a configuration and seeds.
        rates: learning rates that tuning tries.
        span: rule of the configuration; the learning rate has its unit, see `Settings.rate`.
        accumulates: it keeps a byte per coupling between samples.
        forward_only: it takes no transposed reads.
        on_crossbar: it has the device's limits.
    """

    name: str
    label: str
    make: Callable[[Config, Sequence[int]], Network]
    rates: tuple[float, ...]
    span: Rule = Rule.CENTRED
    accumulates: bool = True
    forward_only: bool = False
    on_crossbar: bool = True

    def rate(self, settings: Settings, learning_rate: float) -> float:
        """Rate as `Network.learn` takes it.

        Tuning tries rates beyond the highest that a crossbar can learn with; they stand for it.

        Args:
            settings: of the network.
            learning_rate: changes of a coupling per unit of activity difference.

        Returns:
            The integer RATE, or for the ceiling the step width itself.
        """
        if not self.on_crossbar:
            return learning_rate
        settings = replace(settings, rule=self.span)
        return settings.rate(min(learning_rate, settings.highest_rate))

    def pulses_per_update(self, settings: Settings, update_size: float) -> int:
        """Pulses of one change, at least 1.

        A rule that accumulates nothing gives single pulses.

        Args:
            settings: of the devices.
            update_size: how far a change should move a device, as a fraction of its window.

        Returns:
            How many.
        """
        if not self.accumulates:
            return 1
        return max(1, round(update_size * (2**settings.weight_bits - 1)))

    def memory(self, sizes: Sequence[int]) -> int:
        """Bytes that learning needs beside the devices: accumulators, feedback, float weights.

        Args:
            sizes: units of every layer, input first.

        Returns:
            Bytes, all together.
        """
        couplings = sum((m + 1) * n for m, n in pairwise(sizes))
        if not self.on_crossbar:
            return 4 * couplings
        feedback = sum(sizes[1:-1]) * sizes[-1] if self.make is DirectFeedback else 0
        return couplings * self.accumulates + feedback

    def reads(self, config: Config) -> int:
        """Number of reads of a whole array, forward or transposed, in one training sample.

        Args:
            config: of the network.

        Returns:
            How many.
        """
        layers = len(config.layers)
        if not self.on_crossbar:
            return 0
        if self.forward_only:
            return layers * (3 if self.make is WeightPerturbation else 1)
        sweep = 2 * (layers - 1)
        nudged = {Rule.CENTRED: 2 * sweep, Rule.ONE_SIDED: sweep, Rule.CLAMPED: max(sweep - 1, 0)}
        return 1 + config.t_free * sweep + config.t_nudge * nudged[self.span]


_RATES = tuple(2.0**k for k in range(-4, 6))

RULES: dict[str, LearningRule] = {
    rule.name: rule
    for rule in (
        LearningRule("centred", "centred difference", CrossbarNetwork, _RATES),
        LearningRule("one-sided", "one-sided difference", CrossbarNetwork, _RATES, Rule.ONE_SIDED),
        LearningRule("clamped", "contrastive (clamped)", CrossbarNetwork, _RATES, Rule.CLAMPED),
        LearningRule("sign", "sign pulses", SignPulses, _RATES, accumulates=False),
        LearningRule(
            "stochastic", "stochastic pulses", StochasticPulses, _RATES, accumulates=False
        ),
        LearningRule(
            "dfa", "direct feedback", DirectFeedback, _RATES, Rule.CLAMPED, forward_only=True
        ),
        LearningRule(
            "perturb",
            "weight perturbation",
            WeightPerturbation,
            _RATES,
            Rule.CLAMPED,
            forward_only=True,
        ),
        LearningRule(
            "backprop",
            "float backprop",
            Backprop,
            tuple(2.0**k / 1000 for k in range(1, 9)),
            on_crossbar=False,
        ),
    )
}
"""By name, in the order of reports."""
