"""What a sweep varies, and the points that come of it.

A *point* is one emulated device: a value for each axis, and the number of the device among those
that share these values. Its seed is a digest of its own values, its number and the master seed,
so a point is the same whatever else is in the sweep and whoever computes it.
"""

from __future__ import annotations

import hashlib
import itertools
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from madem import __version__
from madem.data.task import Task
from madem.errors import MademError, TaskError
from madem.frontends import physical
from madem.learn import train
from madem_emulator.physical.wires import Wires
from madem_emulator.twin.presets import PRESETS

Value = float | int | str
EPOCHS, WORD_EPOCHS = 3, 10
"""Training passes of a point, unless told: enough to tell good devices from bad ones."""
MAX_POINTS = 1_000_000


@dataclass(frozen=True)
class Axis:
    """Something that a sweep can vary.

    Attributes:
        label: for tables and pictures.
        setting: the argument of `train.recipe` that it changes; empty for `preset`.
        parse: makes a value of its text.
        ranges: a user may write `low:high:count` for evenly spaced values.
    """

    label: str
    setting: str
    parse: Callable[[str], Value]
    ranges: bool = True


def _layers(text: str) -> str:
    if text != "none":
        for part in text.split("-"):
            int(part)
    return text


def _preset(text: str) -> str:
    if text not in PRESETS and text not in physical.presets.ALL:
        raise ValueError
    return text


AXES: dict[str, Axis] = {
    "preset": Axis("preset", "", _preset, ranges=False),
    "layers": Axis("hidden layers", "hidden", _layers, ranges=False),
    "bits": Axis("bits of a device", "weight_bits", int),
    "cycle-to-cycle": Axis("variation of a step", "cycle_to_cycle", float),
    "device-to-device": Axis("variation over devices", "device_to_device", float),
    "read-noise": Axis("read noise", "read_noise", float),
    "stuck": Axis("stuck devices", "stuck", float),
    "nonlinearity-set": Axis("nonlinearity of SET", "nonlinearity_set", float),
    "nonlinearity-reset": Axis("nonlinearity of RESET", "nonlinearity_reset", float),
    "dac-bits": Axis("bits of the DACs", "dac_bits", int),
    "adc-bits": Axis("bits of the ADCs", "adc_bits", int),
    "beta": Axis("strength of the nudge", "beta", float),
    "rate": Axis("learning rate", "learning_rate", float),
    "wire-resistance": Axis("wires (Ω a cell)", "wires", float),
}
"""By option and column name."""
EMULATED, PHYSICAL = "emulated", "physical"
FRONTENDS = (EMULATED, PHYSICAL)
"""The integer crossbar, or published devices in siemens."""
_ONLY = {"nonlinearity-set": EMULATED, "nonlinearity-reset": EMULATED, "wire-resistance": PHYSICAL}
"""Axes that one front end alone has."""


def values(name: str, text: str) -> tuple[Value, ...]:
    """Read the values of an axis as a user writes them: `2,4,8`, `0:0.05:6`, or both mixed.

    Args:
        name: of the axis, a key of `AXES`.
        text: the values.

    Returns:
        The values, in the order in which they are written.

    Raises:
        MademError: a value can't be read, or appears twice.
    """
    axis = AXES[name]
    found: list[Value] = []
    for part in text.split(","):
        try:
            found += _range(axis, part) if ":" in part and axis.ranges else [axis.parse(part)]
        except ValueError:
            raise MademError(f"--{name} {text}: {part!r} is {_expected(name, axis)}") from None
    if len(set(found)) < len(found):
        raise MademError(f"--{name} {text}: a value appears twice")
    return tuple(found)


def _range(axis: Axis, text: str) -> list[Value]:
    low, high, count = text.split(":")
    ends = float(low), float(high)
    if not np.isfinite(ends).all() or not 1 <= int(count) <= MAX_POINTS:
        raise ValueError
    numbers = np.linspace(*ends, int(count)).tolist()
    if axis.parse is int:
        if any(number != round(number) for number in numbers):
            raise ValueError
        return [round(number) for number in numbers]
    return [float(f"{number:.12g}") for number in numbers]  # 0.3, not 0.30000000000000004


def _expected(name: str, axis: Axis) -> str:
    if name == "preset":
        return f"none of {', '.join([*PRESETS, *physical.presets.ALL])}"
    if name == "layers":
        return "neither `none` nor sizes such as 64 or 64-32"
    kind = "whole number" if axis.parse is int else "number"
    return f"neither a {kind} nor low:high:count with {kind}s"


@dataclass(frozen=True)
class Point:
    """One emulated device.

    Attributes:
        key: names it in the store; also tells the sweep's context.
        condition: value by axis.
        device: number among those of the same condition, from 0.
        seed: of the device and of the order of its samples, 0…2³²−1.
    """

    key: str
    condition: tuple[tuple[str, Value], ...]
    device: int
    seed: int


@dataclass(frozen=True, eq=False)
class SweepPlan:
    """A whole sweep.

    Attributes:
        task: what is learned.
        axes: values by name of AXES, those with a single value included.
        devices: of each condition.
        seed: the master seed.
        epochs: training passes.
        frontend: one of FRONTENDS.
    """

    task: Task
    axes: Mapping[str, tuple[Value, ...]]
    devices: int
    seed: int
    epochs: int
    frontend: str = EMULATED

    @property
    def conditions(self) -> list[tuple[tuple[str, Value], ...]]:
        """Every combination of the axes' values."""
        pairs = [[(name, value) for value in found] for name, found in self.axes.items()]
        return list(itertools.product(*pairs))

    @cached_property
    def context(self) -> str:
        """Digest of all that a result depends on besides its condition, device and seed."""
        digest = hashlib.sha256()
        for array in (self.task.x_train, self.task.y_train, self.task.x_test, self.task.y_test):
            digest.update(array.tobytes())
        facts = [__version__, self.task.name, self.task.kind, self.seed, self.epochs, self.frontend]
        digest.update(json.dumps([facts, self.task.distortion]).encode())
        return digest.hexdigest()[:16]

    @cached_property
    def points(self) -> list[Point]:
        """All of them, devices of a condition together."""
        return [
            self._point(condition, device)
            for condition in self.conditions
            for device in range(self.devices)
        ]

    def recipe(self, condition: Sequence[tuple[str, Value]], seed: int) -> train.Recipe:
        """Choose how the network of a point is made and trained; see the function `recipe`.

        Args:
            condition: value by axis.
            seed: of the point.

        Returns:
            The recipe.

        Raises:
            TaskError: the condition is out of range; the message names it.
        """
        return recipe(self.task, condition, self.epochs, seed, self.frontend)

    def _point(self, condition: tuple[tuple[str, Value], ...], device: int) -> Point:
        text = json.dumps([self.context, sorted(condition), device])
        digest = hashlib.sha256(text.encode()).digest()
        return Point(digest[:8].hex(), condition, device, int.from_bytes(digest[8:12], "little"))


def recipe(
    task: Task,
    condition: Sequence[tuple[str, Value]],
    epochs: int,
    seed: int,
    frontend: str = EMULATED,
) -> train.Recipe:
    """Choose how `madem learn --board twin` would make and train a network with these settings.

    Args:
        task: what is learned.
        condition: value by name of the axis.
        epochs: training passes.
        seed: of the devices and of the first weights.
        frontend: one of `FRONTENDS`.

    Returns:
        The recipe.

    Raises:
        TaskError: a setting is out of range, or not one of this front end; the message names it.
    """
    chosen = dict(condition)
    for name in chosen:
        if _ONLY.get(name, frontend) != frontend:
            raise TaskError(f"the {frontend} front end does not have it")
    device = None
    if frontend == PHYSICAL:
        preset, bits = (chosen.pop(name, None) for name in ("preset", "bits"))
        figures = {
            name: float(chosen.pop(axis))
            for name in physical.FIGURES
            if (axis := name.replace("_", "-")) in chosen
        }
        device = physical.device_of(
            str(preset or physical.DEFAULT), None if bits is None else int(bits), figures
        )
        chosen["bits"] = physical.weight_bits(device)
        chosen.pop("wire-resistance", None)
    preset = str(chosen.pop("preset", "default"))
    if preset not in PRESETS:
        raise TaskError("needs --frontend physical")
    settings: dict[str, Any] = dict(PRESETS[preset])
    settings |= {AXES[name].setting: value for name, value in chosen.items()}
    if (layers := settings.pop("hidden", None)) is not None:
        hidden = () if layers == "none" else tuple(int(part) for part in layers.split("-"))
        settings["hidden"] = hidden
    return replace(train.recipe(task, epochs=epochs, seed=seed, **settings), device=device)


def wires(condition: Sequence[tuple[str, Value]]) -> Wires | None:
    """Choose the array's wires under a condition.

    Args:
        condition: value by axis.

    Returns:
        The wires; None where they have no resistance.

    Raises:
        ValueError: the resistance is negative.
    """
    ohms = float(dict(condition).get("wire-resistance", 0))
    return Wires(word_segment=ohms, bit_segment=ohms) if ohms else None


def plan_sweep(
    task: Task,
    axes: Mapping[str, str],
    *,
    devices: int = 5,
    seed: int = 1,
    epochs: int | None = None,
    frontend: str = EMULATED,
) -> SweepPlan:
    """Plan a sweep from what a person asks for.

    Args:
        task: what is learned.
        axes: by name of AXES, the values as `values` reads them.
        devices: emulated devices of each condition.
        seed: master seed, 0 or more.
        epochs: training passes; None: few.
        frontend: one of FRONTENDS.

    Returns:
        The plan, every value of which can be trained on its own.

    Raises:
        MademError: a value can't be read or is out of range on its own, or there is too much.
    """
    if devices < 1:
        raise MademError(f"--seeds is {devices}, but must be 1 or more")
    if epochs is None:
        epochs = EPOCHS if task.patterns is None else WORD_EPOCHS
    if epochs < 1:
        raise MademError(f"--epochs is {epochs}, but must be 1 or more")
    found = {name: values(name, text) for name, text in axes.items()}
    plan = SweepPlan(task, found, devices, seed, epochs, frontend)
    count = devices * int(np.prod([len(found) for found in plan.axes.values()], dtype=float))
    if count > MAX_POINTS:
        raise MademError(
            f"{count:,} points are more than {MAX_POINTS:,}: take fewer values or seeds"
        )
    for name, found in plan.axes.items():
        for value in found:
            try:  # combinations that fail are results; a value that can't be is a mistake
                plan.recipe([(name, value)], 0)
                wires([(name, value)])
            except (TaskError, ValueError) as error:
                raise MademError(f"--{name} {value}: {error}") from None
    return plan
