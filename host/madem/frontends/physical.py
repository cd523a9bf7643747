"""`--frontend physical`: which devices the options ask for."""

from __future__ import annotations

import argparse
import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from madem.errors import TaskError
from madem_emulator.physical import presets
from madem_emulator.physical.device import CycleToCycle, DeviceModel, DeviceToDevice, Faults

DEFAULT = presets.TAOX_64X64_HE2026.name


def device_of(args: argparse.Namespace) -> DeviceModel:
    """The preset with what other options change of it; fills in the default preset.

    Raises:
        TaskError: an option is out of range, or can't be used with this front end.
    """
    if args.board != "twin":
        raise TaskError("--frontend physical is the desktop's alone: use it with --board twin")
    args.preset = args.preset or DEFAULT
    if args.preset not in presets.ALL:
        names = ", ".join(presets.ALL)
        raise TaskError(f"--preset {args.preset} is not one of --frontend physical: use {names}")
    if args.bits is not None and not 1 <= args.bits <= 16:
        raise TaskError(f"--bits is {args.bits}, but must be from 1 to 16")
    figures = args.device
    if not 0 <= figures.get("stuck", 0) <= 1:
        raise TaskError(f"stuck is {figures['stuck']}, but must be from 0 to 1")
    device = presets.get(args.preset)
    changed: dict[str, Any] = {}
    try:
        if args.bits is not None:
            pulses = 2**args.bits - 1
            changed["pulses"] = replace(device.pulses, pulses_set=pulses, pulses_reset=pulses)
        device = replace(device, **changed)
        if (x := figures.get("cycle_to_cycle")) is not None:
            changed["cycle_to_cycle"] = CycleToCycle(step=x / device.pulses.pulses_set)
        if (x := figures.get("device_to_device")) is not None:
            changed["device_to_device"] = DeviceToDevice(g_max=x, step_set=x, step_reset=x)
        if (x := figures.get("stuck")) is not None:
            changed["faults"] = Faults(stuck_low=x / 2, stuck_high=x / 2)
        return replace(device, **changed)
    except ValueError as error:
        raise TaskError(str(error)) from None


_FIGURES = ("cycle_to_cycle", "device_to_device", "stuck")


def options_of(args: argparse.Namespace) -> dict[str, Any]:
    """The options that `device_of` has used besides the preset, for the notes of a saved state."""
    return {"bits": args.bits, **{name: args.device.get(name) for name in _FIGURES}}


def take_options(args: argparse.Namespace, noted: Mapping[str, Any]) -> None:
    """Choose the options that `options_of` has noted."""
    args.bits = noted.get("bits")
    args.device = {name: value for name in _FIGURES if (value := noted.get(name)) is not None}


def weight_bits(device: DeviceModel) -> int:
    """Bits that tell a recipe how far one pulse moves the device, 2…8."""
    return min(8, max(2, round(math.log2(device.pulses.pulses_set + 1))))
