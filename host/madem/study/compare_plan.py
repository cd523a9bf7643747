"""What a comparison of learning rules varies, and how thoroughly.

A *condition* is a device with one limit changed from the default; a *cell* is one rule under one
condition, trained on a batch of independent devices (seeds) at once. The test set is the same in
all cells; devices, their noise and the order of the training samples differ from seed to seed.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from madem.data.registry import load_task
from madem.data.task import Task
from madem.errors import MademError, TaskError
from madem.learn import train
from madem_emulator.twin.config import Settings
from madem_emulator.twin.rules import RULES, LearningRule


@dataclass(frozen=True)
class Limit:
    """A limit of the hardware that a comparison varies, such as the bits of a device.

    Attributes:
        label: its name in tables and pictures.
        setting: the field of `Settings` that it changes.
        values: those that are tried; the default is among them.
        quick: those that a quick run tries.
        percent: the values are fractions, and are shown in per cent.
    """

    label: str
    setting: str
    values: tuple[float, ...]
    quick: tuple[float, ...]
    percent: bool

    def show(self, value: float) -> str:
        """Write a value as text.

        Args:
            value: of this limit.

        Returns:
            The text.
        """
        return f"{100 * value:g} %" if self.percent else f"{value:g}"


LIMITS = {
    "bits": Limit("bits of a device", "weight_bits", (2, 3, 4, 6, 8), (2, 4, 8), False),
    "noise": Limit("read noise", "read_noise", (0.0, 0.01, 0.03, 0.1), (0.01, 0.1), True),
    "faults": Limit("stuck devices", "stuck", (0.0, 0.05, 0.1, 0.2), (0.0, 0.2), True),
}
DEFAULT_BITS = 4
EPOCHS = {"digits": 4, "braille-words": 10, "braille": 4}
"""Training passes of a default run: few enough for all cells to take some minutes, and for recall
ten or so."""
OTHER_EPOCHS = 4
SEEDS, QUICK_SEEDS = 5, 2
SPLIT_SEED = 1
"""Of the split into training and test set. It is no option: the learning rates below were tuned
on this split's training set, which has samples that another split would test on."""
WORD_DRAWS = 40
"""Copies of each word per distortion in the test set: 2,520 samples for nine words."""
WORD_DISTORTION = 0.30
"""Of the training samples of a word task. This and what follows is what the learning rates below
were tuned with, so it does not follow the defaults of `madem learn`."""
NETWORK: dict[str, Any] = {
    "beta": 1.0,
    "sweeps_free": 4,
    "sweeps_nudged": 2,
    "target_high": 0.8,
    "target_low": 0.0,
    "init": 0.14,
    "adc_range_forward": 2.0,
    "adc_range_transposed": 0.5,
}
"""`Settings` of all rules where samples have classes; their hidden units do not compete. Recall
of dots alone needs competition: `train.recipe` has its network."""
UPDATE_SIZE = {"classify": 0.0, "reconstruct": 1 / 15}
"""How far one change moves a device at least, by the kind of task, as a fraction of its window:
0 is a single pulse. Rules that keep nothing between samples always give single pulses, since a
train only makes a device coarser."""


TUNED_BITS = (2, 4, 8)
"""Learning rates are tuned for these; between them their logarithm is interpolated."""


Rates = Mapping[str, tuple[float, ...]]
"""By rule: a learning rate for each of TUNED_BITS; a single one for the ceiling."""

RATES: dict[str, Rates] = {
    "digits": {
        "centred": (1.0, 4.0, 16.0),
        "one-sided": (2.0, 4.0, 8.0),
        "clamped": (2.0, 8.0, 16.0),
        "sign": (1.0, 1.0, 8.0),
        "stochastic": (1.0, 4.0, 32.0),
        "dfa": (0.5, 0.5, 4.0),
        "perturb": (0.25, 1.0, 8.0),
        "backprop": (0.064,),
    },
    "braille-words": {
        "centred": (0.5, 1.0, 32.0),
        "one-sided": (0.25, 0.5, 16.0),
        "clamped": (0.25, 1.0, 16.0),
        "sign": (0.25, 2.0, 4.0),
        "stochastic": (0.5, 4.0, 32.0),
        "dfa": (0.125, 0.25, 4.0),
        "perturb": (0.25, 2.0, 32.0),
        "backprop": (0.008,),
    },
    "braille": {
        "centred": (0.5, 2.0, 2.0),
        "one-sided": (0.5, 2.0, 2.0),
        "clamped": (0.125, 0.5, 0.5),
        "sign": (0.125, 0.5, 0.125),
        "stochastic": (0.125, 2.0, 32.0),
        "dfa": (0.125, 0.125, 0.125),
        "perturb": (0.125, 0.125, 0.125),
        "backprop": (0.016,),
    },
}
"""What `madem compare --tune` chose with the default passes, on validation samples of training
data: of each rule's `rates` the one with the best mean over three devices. Those for classes are
from when each phase had eight sweeps. Tasks that are not listed use those of the digits until they
are tuned."""


@dataclass(frozen=True)
class ComparePlan:
    """A plan of what is compared, and how thoroughly.

    Attributes:
        task: what every rule learns.
        rules: that are compared.
        limits: by key of `LIMITS`, the values that are tried.
        seeds: one for each independent device.
        recipe: the default network, its devices and the number of passes.
        rates: learning rates by rule.
    """

    task: Task
    rules: tuple[LearningRule, ...]
    limits: Mapping[str, tuple[float, ...]]
    seeds: tuple[int, ...]
    recipe: train.Recipe
    rates: Rates


def plan_comparison(
    task_name: str,
    *,
    rules: Sequence[str] | None = None,
    over: str = "all",
    seeds: int | None = None,
    epochs: int | None = None,
    quick: bool = False,
) -> ComparePlan:
    """Plan a comparison from what a person asks for.

    Args:
        task_name: as for `load_task`.
        rules: names; None: all.
        over: a key of LIMITS, or "all".
        seeds: number of devices; None: the default.
        epochs: training passes; None: the default of the task.
        quick: fewer conditions, seeds and passes.

    Returns:
        The plan, with the task loaded and the rates that were tuned for it.

    Raises:
        TaskError: there is no such task.
        MademError: there is no such rule, or a number is out of range.
    """
    unknown = [name for name in rules or () if name not in RULES]
    if unknown:
        raise MademError(f"unknown rule {unknown[0]!r}: known are {', '.join(RULES)}")
    if over != "all" and over not in LIMITS:
        raise MademError(f"can't compare over {over!r}: choose {', '.join(LIMITS)} or all")
    seeds = (QUICK_SEEDS if quick else SEEDS) if seeds is None else seeds
    if not 1 <= seeds <= 100:
        raise MademError(f"seeds is {seeds}, but must be between 1 and 100")
    epochs = (1 if quick else EPOCHS.get(task_name, OTHER_EPOCHS)) if epochs is None else epochs
    if epochs < 1:
        raise MademError(f"epochs is {epochs}, but must be 1 or more")
    # Dots alone: what is compared is how rules find their way through a hidden layer.
    task = load_task(
        task_name, seed=SPLIT_SEED, draws=WORD_DRAWS, distortion=WORD_DISTORTION, labels=False
    )
    names = list(RULES) if rules is None else list(dict.fromkeys(rules))
    return ComparePlan(
        task=task,
        rules=tuple(RULES[name] for name in names),
        limits={
            key: limit.quick if quick else limit.values
            for key, limit in LIMITS.items()
            if over in (key, "all")
        },
        seeds=tuple(range(1, seeds + 1)),
        recipe=_recipe(task, epochs),
        rates=RATES.get(task.name, RATES["digits"]),
    )


def _recipe(task: Task, epochs: int) -> train.Recipe:
    words = task.patterns is not None
    decay = 0.9 if words else 0.8
    if task.kind == "reconstruct":
        return train.recipe(
            task,
            epochs=epochs,
            decay=decay,
            update_size=UPDATE_SIZE[task.kind],
            weight_bits=DEFAULT_BITS,
        )
    settings = Settings(
        sizes=(task.n_features, 64 if words else 32, task.n_outputs),
        w_max=(0.2 if words else 0.6, 0.3),
        weight_bits=DEFAULT_BITS,
        **NETWORK,
    )
    try:
        settings.integers()
    except ValueError as error:
        raise TaskError(str(error)) from None
    return train.Recipe(settings, epochs, decay, UPDATE_SIZE[task.kind])


def rate_at(rates: Sequence[float], bits: int) -> float:
    """Interpolate the learning rate for devices of so many bits.

    Args:
        rates: one for each of `TUNED_BITS`, between which it is interpolated; or a single one.
        bits: of a device.

    Returns:
        The learning rate.
    """
    if len(rates) == 1:
        return rates[0]
    return float(np.exp(np.interp(bits, TUNED_BITS, np.log(rates))))


def conditions(plan: ComparePlan) -> Iterator[tuple[str, float, Settings]]:
    """List every condition.

    Args:
        plan: what is compared.

    Yields:
        The limit's key, its value, and the settings with that value.
    """
    for key, values in plan.limits.items():
        limit = LIMITS[key]
        for value in values:
            number = int(value) if key == "bits" else value
            yield key, value, replace(plan.recipe.settings, **{limit.setting: number})
