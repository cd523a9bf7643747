"""What learns, whatever it is made of: a board, its twin, or both in lock step."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from madem.learners.state import NetworkState
from madem_emulator.twin.config import Config

Bytes = NDArray[np.uint8]
Progress = Callable[[int], None]
"""Called with the number of samples just done."""


class Learner(Protocol):
    """A network that can be trained and asked."""

    @property
    def config(self) -> Config: ...

    def learn(
        self,
        rate: int,
        x: Bytes,
        targets: Bytes,
        progress: Progress | None = None,
        pulses_per_update: int = 1,
    ) -> Bytes:
        """Train on samples in order.

        Args:
            rate: the integer RATE of docs/reference/arithmetic.md.
            x: DAC codes, (samples, features).
            targets: class of each sample (samples,) or on/off outputs (samples, outputs).
            progress: called with the number of samples just learned.
            pulses_per_update: the pulses that a device gets for one change.

        Returns:
            The answer of each sample's free phase before it was learned, (samples,): the
            predicted class, or the number of wrong outputs.
        """
        ...

    def strike(self, stuck: int) -> None:
        """Have more devices stuck from now on: STUCK of docs/reference/arithmetic.md, which only
        rises.
        """
        ...

    def outputs(self, x: Bytes, first: int = 0) -> Bytes:
        """Free activities of the output layer, (samples, outputs); `first` numbers the noise."""
        ...

    def state(self) -> NetworkState:
        """All that learning has changed."""
        ...
