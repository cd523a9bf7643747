"""A crossbar behind its converters: codes in, codes out, in both directions."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from madem_emulator.physical import checks
from madem_emulator.physical.checks import Floats
from madem_emulator.physical.converters import Adc, Codes, Dac, SenseAmplifier
from madem_emulator.physical.crossbar import Crossbar


class Reading(NamedTuple):
    """A read as the digital side knows it.

    Attributes:
        codes: of the ADC, (…, lines).
        amperes: currents that the codes stand for with the gain that was used, (…, lines).
    """

    codes: Codes
    amperes: Floats


class FrontEnd:
    """A crossbar with a DAC for every driven line and ADCs shared by the sensed lines.

    Attributes:
        crossbar, dac, amplifier, adc: its parts. Forward and transposed reads use the same.
        time: seconds that all reads took so far.
        energy: joules that converters and amplifiers took so far; the array's own are in
            `crossbar.counters`.
    """

    def __init__(
        self,
        crossbar: Crossbar,
        dac: Dac,
        amplifier: SenseAmplifier,
        adc: Adc,
        *,
        lines_per_adc: int = 1,
    ) -> None:
        """Connect the parts.

        Args:
            crossbar: the array.
            dac: of every driven line; its range must be one that the devices allow.
            amplifier: of every sensed line.
            adc: of the sensed lines.
            lines_per_adc: sensed lines that one ADC converts one after another.

        Raises:
            ValueError: the DAC reaches beyond the devices' `max_read_voltage`.
        """
        checks.count("lines_per_adc", lines_per_adc)
        allowed = crossbar.device.max_read_voltage
        reach = max(abs(dac.data.low), abs(dac.data.high))
        must = f"within the device's {allowed:g} V"
        checks.need(reach <= allowed, "the DAC's range", f"{reach:g} V", must)
        self.crossbar, self.dac, self.amplifier, self.adc = crossbar, dac, amplifier, adc
        self.time = 0.0
        self.energy = 0.0
        self._lines_per_adc = lines_per_adc

    def forward(self, codes: ArrayLike) -> Reading:
        """Drive the word lines, sense the bit lines.

        Args:
            codes: of the DACs, (*batch, [vectors,] rows).

        Returns:
            Codes and amperes of the bit lines, (*batch, [vectors,] columns).
        """
        return self._read(codes, transposed=False)

    def transposed(self, codes: ArrayLike) -> Reading:
        """Drive the bit lines, sense the word lines.

        Args:
            codes: of the DACs, (*batch, [vectors,] columns).

        Returns:
            Codes and amperes of the word lines, (*batch, [vectors,] rows).
        """
        return self._read(codes, transposed=True)

    def _read(self, codes: ArrayLike, transposed: bool) -> Reading:
        xbar = self.crossbar
        limit = xbar.device.max_read_voltage
        # Errors of the DAC must not lift a line above what the device bears.
        volts = np.clip(self.dac.convert(codes), -limit, limit)
        currents = xbar.read_transposed(volts) if transposed else xbar.read(volts)
        amplified = self.amplifier.convert(currents, xbar.rng)
        found = self.adc.convert(amplified.volts)
        amperes = self.adc.value(found) / amplified.gain[..., None]

        # Arrays of a batch are read at the same time, vectors one after another.
        many = volts.ndim > len(xbar.batch) + 1
        steps = volts.shape[-2] if many else 1
        turns = -(-currents.shape[-1] // self._lines_per_adc)
        once = self.dac.data.time + self.amplifier.sample_time + turns * self.adc.data.time
        self.time += steps * once
        self.energy += volts.size * self.dac.data.energy
        self.energy += currents.size * (self.amplifier.energy + self.adc.data.energy)
        return Reading(found, amperes)
