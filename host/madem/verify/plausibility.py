"""Are the codes of a board of chips plausible? Tested while it is verified."""

from __future__ import annotations

import numpy as np

from madem.learners.chips import Chips
from madem.verify.attached import AttachedLockStep
from madem.verify.lock_step import DiffersError, Mismatch
from madem_emulator.physical.device import DeviceModel
from madem_emulator.plausibility.codes import READS, AlarmBudget, ImplausibleError, PlausibilityTest
from madem_emulator.twin.cards import CardPulse, Geometry, Place, places
from madem_emulator.twin.config import Config, Rule

_INTERVAL = 25, 100
"""Samples between two probes, at least and at most: as many as take as long as a probe."""
_OVERHEAD = 200
"""What a sample costs beside its codes, in codes."""


class PlausibilityCheck:
    """Probes a board between samples, and tests the codes that it gives during them."""

    def __init__(
        self, lock: AttachedLockStep, memristor: DeviceModel, samples: int, predictions: int
    ) -> None:
        """Listen to a lock step.

        Args:
            lock: what learns.
            memristor: the preset of the devices behind the chips.
            samples: that are learned, at most. False alarms of all tests of the run together are
                as rare as one test's should be.
            predictions: at most.

        Raises:
            ValueError: the preset's I–V curve is not linear: then a code is no sum over lines.
        """
        config, geometry = lock.config, lock.attached.geometry
        each = codes_of_a_sample(config, geometry)
        self._cards = cards_of(config, geometry)
        probe = 2 * self._cards * geometry.rows * geometry.columns * READS
        self._interval = min(max(probe // (each[0] + _OVERHEAD), _INTERVAL[0]), _INTERVAL[1])
        budget = AlarmBudget(
            codes=max(1, samples * each[0] + predictions * each[1]),
            # … and one before each part of the predictions.
            probes=4 + (samples + predictions) // self._interval + predictions // 100,
        )
        self._chips = Chips(lock.device, geometry)
        self.test = PlausibilityTest(memristor, geometry, self._cards, budget, config.seed)
        self._lock = lock
        self._since = 0
        lock.heard = self._hear
        lock.before_predicting = self._rest

    def probe(self) -> None:
        """Measure all devices and test what is found.

        Raises:
            DiffersError: what the board says is not plausible.
        """
        self._since = 0
        try:
            probe(self.test, self._chips, self._cards)
        except ImplausibleError as error:
            raise self._differs(str(error)) from None

    def _rest(self) -> None:
        """Nothing is pulsed from now on: what changes all the same, drifts."""
        if self._since:
            self.probe()

    def _hear(self) -> None:
        unexpected = None
        for event in self._lock.attached.log:
            if isinstance(event, CardPulse):
                self.test.pulse(event)
            else:
                unexpected = unexpected or self.test.read(*event)
        self._since += 1
        if unexpected or self._since == self._interval:
            self.probe()  # which names the fault, if it can
        if unexpected:
            raise self._differs(unexpected)

    def _differs(self, what: str) -> DiffersError:
        return DiffersError(Mismatch(self._lock.attached.steps, "codes", 0, what, 0, 0))


def cards_of(config: Config, geometry: Geometry) -> int:
    """Count the cards that a network takes.

    Args:
        config: of the network.
        geometry: of the board's design.

    Returns:
        Their number; they are the first ones.
    """
    last = places(config, geometry)[-1]
    return last.first + last.across * last.down


def probe(test: PlausibilityTest, chips: Chips, cards: int) -> None:
    """Measure all devices of cards, and test what is found.

    Args:
        test: which follows the devices from there.
        chips: of a configured board.
        cards: how many, from 0 on.

    Raises:
        ImplausibleError: a fault, by its name.
    """
    found = [chips.card(n, reads=READS) for n in range(cards)]
    test.probe(
        np.array([card.forward for card in found]), np.array([card.transposed for card in found])
    )


def codes_of_a_sample(config: Config, geometry: Geometry) -> tuple[int, int]:
    """Codes that a sample takes at most.

    Args:
        config: of the network.
        geometry: of the board's design.

    Returns:
        Those of a training sample, and those of a prediction.
    """

    def blocks(place: Place) -> int:
        return -(-(place.lines + 1) // geometry.rows)

    layers = places(config, geometry)
    forward = [place.across * blocks(place) * geometry.columns for place in layers]
    transposed = [place.across * blocks(place) * geometry.rows for place in layers]
    sweep = sum(forward[1:]) + sum(transposed[1:])
    free = forward[0] + config.t_free * sweep
    nudged = 2 if config.rule == Rule.CENTRED else 1
    return free + nudged * config.t_nudge * sweep, free
