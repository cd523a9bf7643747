"""A board of chips around memristor cards: what all board designs have in common."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Protocol

import numpy as np

from madem_emulator.designs.faults import BoardFaults
from madem_emulator.designs.pending_pulses import PendingPulses
from madem_emulator.physical.crossbar import Crossbar
from madem_emulator.physical.device import DeviceModel
from madem_emulator.twin.cards import Geometry
from madem_emulator.wiring.bus import Bus


class Chip(Protocol):
    """A chip model."""

    misuse: list[str]
    """In words, what was done against its data sheet."""


class ArrayBoard:
    """A board design's chips, and as many cards of devices as are used.

    A card is one crossbar. It is made when it is first selected, its devices about mid-window.

    Attributes:
        geometry: what the digital side has to know of the design.
        device: the kind of device on the cards.
        faults: what is broken on purpose.
        bus: the wires that the firmware's `machine` talks to.
        cards: arrays by their number.
        misuse: in words, what the firmware did that would have hurt devices or meant nothing.
    """

    geometry: ClassVar[Geometry]

    def __init__(
        self, device: DeviceModel, seed: int = 1, faults: BoardFaults | None = None
    ) -> None:
        """Make the bus; a design then wires its chips to it.

        Args:
            device: the kind of device on the cards.
            seed: of all cards and of the board's noise.
            faults: what is broken on purpose; None: nothing.
        """
        self.device = device
        self.faults = faults or BoardFaults()
        self.bus = Bus()
        self.cards: dict[int, Crossbar] = {}
        self.misuse: list[str] = []
        self._seed = seed
        self._rng = np.random.Generator(np.random.SFC64([seed, self.geometry.rows]))
        self._pulses = PendingPulses()

    @property
    def chips(self) -> Sequence[Chip]:
        """All chip models."""
        raise NotImplementedError

    def renew(self, seed: int, faults: BoardFaults | None = None) -> None:
        """Put in other cards.

        Args:
            seed: of the new cards.
            faults: what is broken from now on; None: nothing.
        """
        self._settle()
        self._seed = seed
        self.faults = faults or BoardFaults()
        self.cards.clear()

    def card(self, number: int) -> Crossbar:
        """The array of a card as it is now.

        Args:
            number: of the card, from 0.

        Returns:
            The array itself, not a copy.
        """
        self._settle()
        return self._array(number)

    def _array(self, number: int) -> Crossbar:
        if number not in self.cards:
            self.cards[number] = _new_card(self.geometry.rows, self.device, self._seed, number)
            self.faults.made(number, self.cards[number])
        return self.cards[number]

    def _settle(self) -> None:
        """Let the devices be what pulses and faults make of them."""
        if self._pulses.give():
            self.faults.settle()


def _new_card(lines: int, device: DeviceModel, seed: int, number: int) -> Crossbar:
    """The array of a card that nobody has used: its devices about mid-window, σ 0.14 of it."""
    own = int(np.random.SeedSequence([seed, number]).generate_state(1)[0])
    array = Crossbar(lines, lines, device, seed=own)
    spread = 0.5 + 0.14 * array.rng.standard_normal(array.shape)
    array.program(device.g_min + device.window * np.clip(spread, 0, 1))
    return array
