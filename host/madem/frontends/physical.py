"""`--frontend physical`: which devices the options ask for."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from madem.errors import TaskError
from madem_emulator.physical import presets
from madem_emulator.physical.device import CycleToCycle, DeviceModel, DeviceToDevice, Faults

DEFAULT = presets.TAOX_64X64_HE2026.name


def device_of(
    preset: str, bits: int | None = None, figures: Mapping[str, float] | None = None
) -> DeviceModel:
    """Take a published device, with a user's choices in place of its figures.

    Args:
        preset: its name.
        bits: 1 to 16, for 2^bits - 1 pulses from end to end of its window; None: the preset's.
        figures: values by name, of which those in `FIGURES` are the devices'.

    Returns:
        What the couplings are made of.

    Raises:
        TaskError: one is out of range.
    """
    figures = figures or {}
    if preset not in presets.ALL:
        names = ", ".join(presets.ALL)
        raise TaskError(f"--preset {preset} is not one of --frontend physical: use {names}")
    if bits is not None and not 1 <= bits <= 16:
        raise TaskError(f"--bits is {bits}, but must be from 1 to 16")
    if not 0 <= figures.get("stuck", 0) <= 1:
        raise TaskError(f"stuck is {figures['stuck']}, but must be from 0 to 1")
    device = presets.get(preset)
    changed: dict[str, Any] = {}
    try:
        if bits is not None:
            pulses = 2**bits - 1
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


def device_of_notes(notes: Mapping[str, Any]) -> DeviceModel:
    """Take the device that a saved network was learned with.

    Args:
        notes: of the network.

    Returns:
        What its couplings are made of.

    Raises:
        TaskError: this madem does not know it.
    """
    chosen = notes.get("device", {})
    figures = {name: x for name in FIGURES if (x := chosen.get(name)) is not None}
    return device_of(str(notes.get("preset")), chosen.get("bits"), figures)


FIGURES = ("cycle_to_cycle", "device_to_device", "stuck")
"""What `device_of` takes in place of the preset's, as the notes of a saved state have it too."""


def weight_bits(device: DeviceModel) -> int:
    """Tell a recipe how far one pulse moves a device.

    Args:
        device: what the couplings are made of.

    Returns:
        Bits of an integer device whose pulse moves it about as far, 2…8.
    """
    return min(8, max(2, round(math.log2(device.pulses.pulses_set + 1))))
