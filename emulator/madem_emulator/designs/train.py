"""Equal pulses, one after another, that reach the devices together: many cost as much as one."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from madem_emulator.physical.crossbar import Crossbar


class Train:
    """Pulses of one shape to some devices of an array, from the first until the lines change.

    In the emulator's devices n pulses at once are n pulses one by one (`PulseResponse`,
    `CycleToCycle`), other than in the random numbers that they draw.
    """

    def __init__(
        self,
        array: Crossbar,
        index: tuple[NDArray[np.intp], ...],
        signs: NDArray[np.int64],
    ) -> None:
        """Args:
        array: whose devices.
        index: rows and columns of the devices, all different.
        signs: of each of them, 1 for SET and -1 for RESET.
        """
        self._array = array
        self._index = index
        self._signs = signs
        self._count = 1

    def append_one(self) -> None:
        """One more pulse, with all lines as they were."""
        self._count += 1

    def give(self) -> None:
        """Let the devices have them."""
        if len(self._signs):
            self._array.pulse_devices(self._index, self._signs * self._count)
