"""Pulses that a board gave, kept until somebody looks at the devices.

Many pulses at once cost about as much to work out as one.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from madem_emulator.physical.crossbar import Crossbar

_Pulse = tuple[NDArray[np.intp], NDArray[np.int64]]


class PendingPulses:
    """The pulses that cards were given since their devices were last looked at.

    In the emulator's devices n equal pulses at once are n pulses one by one (`PulseResponse`,
    `CycleToCycle`), and pulses of different devices don't depend on each other, but for the order
    of the random numbers that they draw.
    """

    def __init__(self) -> None:
        """Begin without any."""
        self._waiting: list[tuple[Crossbar, list[_Pulse]]] = []
        self._latest: _Pulse | None = None
        self._count = 0

    def again(self) -> bool:
        """Repeat the latest pulse.

        Returns:
            Whether there was one since the lines last changed.
        """
        if self._latest is None:
            return False
        self._count += 1
        return True

    def add(
        self,
        array: Crossbar,
        rows: NDArray[np.intp],
        columns: NDArray[np.intp],
        signs: NDArray[np.int64],
    ) -> None:
        """Give one pulse to each of some devices.

        Args:
            array: that they belong to.
            rows: of each device, (devices,).
            columns: of each device, (devices,); no device comes twice.
            signs: 1 is SET, −1 is RESET, (devices,).
        """
        self.lines_changed()
        if not self._waiting or self._waiting[-1][0] is not array:
            self._waiting.append((array, []))
        self._latest = rows * array.columns + columns, signs
        self._count = 1

    def lines_changed(self) -> None:
        """End the run of equal pulses: the next one will be another."""
        if self._latest is not None:
            devices, signs = self._latest
            self._waiting[-1][1].append((devices, signs * self._count))
            self._latest = None

    def give(self) -> bool:
        """Let the devices have all of them.

        Returns:
            Whether there were any.
        """
        self.lines_changed()
        if not self._waiting:
            return False
        for array, pulses in self._waiting:
            devices = np.concatenate([each[0] for each in pulses])
            if len(np.unique(devices)) == len(devices):
                pulses = [(devices, np.concatenate([each[1] for each in pulses]))]
            for some, counts in pulses:
                if len(some):
                    array.pulse_devices(np.divmod(some, array.columns), counts)
        self._waiting.clear()
        return True
