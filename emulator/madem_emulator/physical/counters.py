"""Counts of what a crossbar did: time and energy follow from them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from madem_emulator.physical.checks import Flags, Floats
from madem_emulator.physical.device import PulseResponse


@dataclass
class Counters:
    """Reads and pulses of a crossbar since it was made, summed over the batch."""

    reads: int = 0
    """Vectors read, forward and transposed."""
    device_reads: int = 0
    """Devices that took part in reads: vectors times devices of the array."""
    set_pulses: float = 0.0
    """SET pulses that devices received, half-selected ones counted by their strength."""
    reset_pulses: float = 0.0
    """RESET pulses, likewise."""
    read_time: float = 0.0
    """Seconds spent reading, one vector after another, arrays of a batch at the same time."""
    write_time: float = 0.0
    """Seconds of pulses, one after another except where they were given in parallel."""
    read_energy: float = 0.0
    """Joules dissipated in the devices by reads: Σ g V² · read_time, wires and curvature of the
    I–V curve left out."""
    write_energy: float = 0.0
    """Joules dissipated in the devices by pulses: Σ g V² · width, with g before the pulses."""

    def add_reads(self, vectors: int, devices: int, seconds: float, joules: float = 0.0) -> None:
        """Count reads.

        Args:
            vectors: how many.
            devices: that took part in each.
            seconds: that they took together.
            joules: in the devices.
        """
        self.reads += vectors
        self.device_reads += vectors * devices
        self.read_time += seconds
        self.read_energy += joules

    def add_pulses(
        self, pulses: PulseResponse, amount: Floats, is_set: Flags, g: Floats, slots: float
    ) -> None:
        """Count pulses.

        Args:
            pulses: their voltages and width.
            amount: pulses that each device receives, of any shape.
            is_set: SET, else RESET, of that shape.
            g: conductances before them in siemens, of that shape.
            slots: pulse widths that pass.
        """
        upward = amount * is_set
        total, up = float(amount.sum()), float(upward.sum())
        charge, charge_up = float(np.vdot(amount, g)), float(np.vdot(upward, g))
        self.set_pulses += up
        self.reset_pulses += total - up
        self.write_time += slots * pulses.width
        spent = pulses.voltage_set**2 * charge_up + pulses.voltage_reset**2 * (charge - charge_up)
        self.write_energy += spent * pulses.width
