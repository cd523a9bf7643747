"""Physical settings, and the integers that the device and the twin compute with.

`Settings` is what a person chooses, in physical units. `Settings.integers()`
turns it into a `Config`: the table "Configuration" of docs/reference/arithmetic.md, and
the only place where a float becomes a device integer.

>>> config = Settings(sizes=(64, 10), weight_bits=4).integers()
>>> config.step, config.couplings, config.layers[0].gain
(213, 650, 197)
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import IntEnum
from itertools import pairwise

Z_SIGMA = 147.8
"""Standard deviation of the normal variate z: the sum of four uniform bytes."""
WINDOW = 200
"""Nominal conductance window in the device's units of g."""
ONE = 1024
"""Drive that means full activity (1.0)."""
MAX_RATE = 16383
"""Of RATE times a layer's SCALE."""


class Rule(IntEnum):
    """Ways to make the two conditions of a training sample whose activities are compared."""

    CENTRED = 0
    ONE_SIDED = 1
    CLAMPED = 2

    @classmethod
    def of(cls, name: str | Rule) -> Rule:
        """Find a rule by its name.

        Args:
            name: "centred", "one-sided" or "clamped"; or the rule itself.

        Returns:
            The rule.

        Raises:
            ValueError: there is none of this name; the message has those that there are.
        """
        names = {rule.name.lower().replace("_", "-"): rule for rule in cls}
        if isinstance(name, Rule):
            return name
        if name not in names:
            raise ValueError(f"rule is {name!r}, but must be one of {', '.join(names)}")
        return names[name]


@dataclass(frozen=True)
class LayerConfig:
    """One weight layer's integers: sense-amplifier gain and converter ranges.

    Attributes:
        gain, gain_shift: M and Q: the coupling of a pair in units of g, as M / 2^Q.
        range_forward, range_transposed: F of a forward and of a transposed reading.
        noise_forward, noise_transposed: NZ of them.
        cap: of the unit layer above the weights.
        scale: SCALE, the factor on RATE.
    """

    gain: int
    gain_shift: int
    range_forward: int
    range_transposed: int
    noise_forward: int
    noise_transposed: int
    cap: int = 0
    scale: int = 1


@dataclass(frozen=True)
class Config:
    """All integers of docs/reference/arithmetic.md, under the names used there in lower case.

    Attributes:
        sizes: units of every layer, input first.
        layers: integers of each weight layer.
        one_hot: targets are one class of the outputs; otherwise each output is on or off.
        rule: which conditions are compared.
        t_free, t_nudge: sweeps of the free phase and of a nudged one.
        beta: strength of the nudge, in 1/64.
        t_hi, t_lo: target activities of an output that is on and of one that is off.
        dac_mask: bits of an activity that the DAC has.
        adc_bits: bits of the ADC.
        seed: of every draw.
        step: mean step of a pulse, in 1/16 of g.
        nl_set, nl_reset: curvature of SET and RESET.
        c2c: variation of one pulse.
        d_step, d_top: variation of steps and windows over devices.
        stuck: how many of 65536 devices never change.
        init: spread of the first conductances.
    """

    sizes: tuple[int, ...]
    layers: tuple[LayerConfig, ...]
    one_hot: bool
    rule: Rule
    t_free: int
    t_nudge: int
    beta: int
    t_hi: int
    t_lo: int
    dac_mask: int
    adc_bits: int
    seed: int
    step: int
    nl_set: int
    nl_reset: int
    c2c: int
    d_step: int
    d_top: int
    stuck: int
    init: int

    @property
    def weight_bits(self) -> int:
        """`Settings.weight_bits`, as the step tells it."""
        return round(math.log2(16 * WINDOW / self.step + 1))

    @property
    def couplings(self) -> int:
        """Number of couplings, biases included; there are two devices to each."""
        return sum((m + 1) * n for m, n in pairwise(self.sizes))


@dataclass(frozen=True)
class Settings:
    """A network and its devices as a person chooses them; 0.1 of something is 10 per cent of it.

    Attributes:
        sizes: units of every layer, input first.
        one_hot: targets are one class of the outputs; otherwise each output is on or off.
        seed: seeds every draw on the device, 0…2³²−1.
        rule: which conditions are compared; its name will do.
        beta: strength of the nudge, in drive per unit of output error.
        sweeps_free: sweeps of the free phase.
        sweeps_nudged: sweeps of each nudged phase.
        target_high: target activity of an output that is on; below 1 so that overshoot is corrected
            too.
        target_low: target activity of an output that is off.
        learning_rate: changes of a coupling, each a train of pulses, per unit of activity
            difference.
        rate_scale: factor on the learning rate, one per weight layer; empty: 1.
        competition: sum of activities that a unit layer is held at by shared inhibition, one per
            unit layer above the input, in fully active units; 0: no inhibition; empty: none.
        weight_bits: a device has 2^bits states, 2 to 8.
        w_max: coupling at the ends of the window, a value per weight layer; empty: 0.6, then 0.3.
        cycle_to_cycle: σ of one pulse's step, as a fraction of the step.
        device_to_device: σ over devices of the step up, the step down and the window.
        read_noise: σ of a reading, as a fraction of the converter's full scale.
        stuck: fraction of the devices that never change, half at g_min and half at the top.
        init: σ of a device's first conductance about the middle, as a fraction of the window.
        nonlinearity_set: relative change of the SET step over the window; 1 = from 1.5 to 0.5 of
            the mean.
        nonlinearity_reset: the same for RESET.
        dac_bits: bits of an activity that the DAC has, 1 to 8.
        adc_bits: bits of the ADC, 2 to 10.
        adc_range_forward: full scale of a forward reading in units of activity; a power of two.
        adc_range_transposed: the same for a transposed reading.
    """

    sizes: tuple[int, ...]
    one_hot: bool = True
    seed: int = 1
    rule: Rule = Rule.CENTRED
    beta: float = 1.0
    sweeps_free: int = 4
    sweeps_nudged: int = 2
    target_high: float = 0.8
    target_low: float = 0.0
    learning_rate: float = 4.0
    rate_scale: tuple[int, ...] = ()
    competition: tuple[float, ...] = ()
    weight_bits: int = 4
    w_max: tuple[float, ...] = ()
    cycle_to_cycle: float = 0.1
    device_to_device: float = 0.1
    read_noise: float = 0.01
    stuck: float = 0.0
    init: float = 0.14
    nonlinearity_set: float = 0.0
    nonlinearity_reset: float = 0.0
    dac_bits: int = 8
    adc_bits: int = 8
    adc_range_forward: float = 2.0
    adc_range_transposed: float = 0.5

    def __post_init__(self) -> None:
        object.__setattr__(self, "rule", Rule.of(self.rule))

    def rate(self, learning_rate: float | None = None) -> int:
        """Compute the integer RATE for a learning rate.

        Args:
            learning_rate: changes of a coupling per unit of activity difference; None: this one's.

        Returns:
            RATE, 0…16383.

        Raises:
            ValueError: it is negative, or beyond `highest_rate`.
        """
        rate = self.learning_rate if learning_rate is None else learning_rate
        if not 0 <= rate <= self.highest_rate:
            raise ValueError(
                f"learning_rate is {rate}, but must be from 0 to {self.highest_rate:.4g}"
            )
        return round(rate / self._rate_unit)

    @property
    def highest_rate(self) -> float:
        """The learning rate beyond which RATE times a layer's SCALE would overflow 32 bits."""
        return MAX_RATE // max(self.rate_scale or (1,)) * self._rate_unit

    @property
    def _rate_unit(self) -> float:
        """The learning rate of RATE = 1."""
        span = {Rule.CENTRED: 2 * self.beta, Rule.ONE_SIDED: self.beta, Rule.CLAMPED: 1.0}
        return 65025 * span[self.rule] / (64 * 2**20)

    def integers(self) -> Config:
        """The device's integers.

        Raises:
            ValueError: a setting is out of range; the message names it.
        """
        self._check()
        w_max = self.w_max or (0.6, *(0.3,) * (len(self.sizes) - 2))
        depth = len(self.sizes) - 1
        competition = self.competition or (0.0,) * depth
        scales = self.rate_scale or (1,) * depth
        forward = _log2_units(self.adc_range_forward)
        transposed = _log2_units(self.adc_range_transposed)
        layers = tuple(
            LayerConfig(
                *_gain(m, n, w),
                range_forward=forward,
                range_transposed=transposed,
                noise_forward=round(256 * self.read_noise * 2**forward / Z_SIGMA),
                noise_transposed=round(256 * self.read_noise * 2**transposed / Z_SIGMA),
                cap=round(255 * held),
                scale=scale,
            )
            for (m, n), w, held, scale in zip(
                pairwise(self.sizes), w_max, competition, scales, strict=True
            )
        )
        return Config(
            sizes=tuple(self.sizes),
            layers=layers,
            one_hot=self.one_hot,
            rule=self.rule,
            t_free=self.sweeps_free,
            t_nudge=self.sweeps_nudged,
            beta=round(64 * self.beta),
            t_hi=round(255 * self.target_high),
            t_lo=round(255 * self.target_low),
            dac_mask=256 - 2 ** (8 - self.dac_bits),
            adc_bits=self.adc_bits,
            seed=self.seed,
            step=round(16 * WINDOW / (2**self.weight_bits - 1)),
            nl_set=round(81.92 * self.nonlinearity_set),
            nl_reset=round(81.92 * self.nonlinearity_reset),
            c2c=round(65536 * self.cycle_to_cycle / Z_SIGMA),
            d_step=round(65536 * self.device_to_device / Z_SIGMA),
            d_top=round(256 * WINDOW * self.device_to_device / Z_SIGMA),
            stuck=stuck_limit(self.stuck),
            init=round(256 * WINDOW * self.init / Z_SIGMA),
        )

    def _check(self) -> None:
        def need(ok: bool, name: str, must: str) -> None:
            if not ok:
                raise ValueError(f"{name} is {getattr(self, name)}, but must be {must}")

        sizes = self.sizes
        need(
            2 <= len(sizes) <= 256 and all(1 <= n <= 1024 for n in sizes),
            "sizes",
            "2 to 256 layers of 1 to 1024 units",
        )
        pairs = list(pairwise(sizes))
        need(0 <= self.seed < 2**32, "seed", "between 0 and 4294967295")
        need(math.isfinite(self.beta), "beta", "a number")
        need(1 <= round(64 * self.beta) <= 255, "beta", "between 0.016 and 3.98")
        for name in ("sweeps_free", "sweeps_nudged"):
            need(1 <= getattr(self, name) <= 255, name, "between 1 and 255")
        for name in ("target_high", "target_low"):
            need(0 <= getattr(self, name) <= 1, name, "between 0 and 1")
        need(self.target_high > self.target_low, "target_high", "above target_low")
        need(2 <= self.weight_bits <= 8, "weight_bits", "between 2 and 8")
        need(1 <= self.dac_bits <= 8, "dac_bits", "between 1 and 8")
        need(2 <= self.adc_bits <= 10, "adc_bits", "between 2 and 10")
        for name in ("device_to_device", "init"):
            need(0 <= getattr(self, name) <= 1, name, "between 0 and 1")
        need(0 <= self.cycle_to_cycle <= 5, "cycle_to_cycle", "between 0 and 5 steps")
        need(0 <= self.read_noise <= 0.5, "read_noise", "between 0 and 0.5")
        need(0 <= self.stuck <= 1, "stuck", "between 0 and 1")
        for name in ("nonlinearity_set", "nonlinearity_reset"):
            need(-1.98 <= getattr(self, name) <= 1.98, name, "between -1.98 and 1.98")
        need(0 <= self.learning_rate < math.inf, "learning_rate", "0 or more")
        need(
            not self.w_max or len(self.w_max) == len(pairs),
            "w_max",
            f"one value for each of the {len(pairs)} weight layers",
        )
        need(all(0 < w <= 16 for w in self.w_max), "w_max", "above 0 and at most 16")
        for name in ("competition", "rate_scale"):
            given = getattr(self, name)
            must = f"one value for each of the {len(pairs)} layers above the input"
            need(not given or len(given) == len(pairs), name, must)
        need(
            all(
                held >= 0 and round(255 * held) < 255 * min(n, 257)
                for held, n in zip(self.competition, sizes[1:], strict=False)
            ),
            "competition",
            "0, or a number of units smaller than the layer, at most 256",
        )
        need(all(1 <= scale <= 255 for scale in self.rate_scale), "rate_scale", "between 1 and 255")
        for name in ("adc_range_forward", "adc_range_transposed"):
            value = getattr(self, name)
            exact = value > 0 and math.log2(value).is_integer()
            need(exact and 1 / 8 <= value <= 16, name, "a power of two from 0.125 to 16")
            lowest = 2.0 ** (self.adc_bits - 11)
            need(value >= lowest, name, f"at least {lowest} with {self.adc_bits} ADC bits")


def stuck_limit(fraction: float) -> int:
    """Compute STUCK for a fraction of the devices.

    Args:
        fraction: 0 to 1.

    Returns:
        How many of 65536 devices are stuck, 0…65535.
    """
    return min(round(65536 * fraction), 65535)


def _log2_units(value: float) -> int:
    return 10 + round(math.log2(value))


def _gain(m: int, n: int, w_max: float) -> tuple[int, int]:
    """M and Q: the finest fraction for the scale that can't overflow 32 bits."""
    scale = ONE * w_max / (WINDOW * 255)
    widest = 255 * 255 * max(m + 1, n)
    for shift in range(30, 0, -1):
        gain = round(scale * 2**shift)
        if 1 <= gain <= 255 and widest * gain < 2**31 - 2 ** (shift - 1):
            return gain, shift
    raise ValueError(f"w_max is {w_max}, out of reach for a layer of {m} by {n}")
