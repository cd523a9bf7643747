"""The desktop twin in place of a board."""

from __future__ import annotations

import numpy as np

from madem.learners.protocol import Bytes, Progress
from madem.learners.state import NetworkState
from madem_emulator.twin.config import Config
from madem_emulator.twin.twin import Twin, TwinState


class TwinLearner:
    """The desktop twin in place of a board."""

    def __init__(self, config: Config) -> None:
        self.config = config
        self.twin = Twin(config)

    def learn(
        self,
        rate: int,
        x: Bytes,
        targets: Bytes,
        progress: Progress | None = None,
        pulses_per_update: int = 1,
    ) -> Bytes:
        """See `Learner.learn`."""
        answers = np.empty(len(x), np.uint8)
        for i, (sample, target) in enumerate(zip(x, targets, strict=True)):
            answers[i] = self.twin.learn(rate, sample, target, pulses_per_update).answer[0]
            if progress:
                progress(1)
        return answers

    def strike(self, stuck: int) -> None:
        """See `Learner.strike`."""
        self.twin.strike(stuck)
        self.config = self.twin.config

    def outputs(self, x: Bytes, first: int = 0) -> Bytes:
        """See `Learner.outputs`."""
        return self.twin.predict_many(first, x)[-1][0]

    def state(self) -> NetworkState:
        """See `Learner.state`."""
        found = self.twin.state()
        return NetworkState(
            self.config,
            found.steps,
            tuple(part.tobytes() for part in found.devices),
            tuple(part.tobytes() for part in found.accumulators),
            physical=found.physical,
        )

    def load(self, state: NetworkState) -> None:
        """See `Device.load`."""
        self.config = state.config
        if type(self.twin) is Twin:  # one of physical devices is the right one already
            self.twin = Twin(state.config)
        shapes = [part.shape for part in self.twin.devices]
        cells = [part.shape for part in self.twin.accumulators]
        self.twin.load_state(
            TwinState(
                state.steps,
                [_array(b, s) for b, s in zip(state.devices, shapes, strict=True)],
                [_array(b, s) for b, s in zip(state.accumulators, cells, strict=True)],
                state.physical,
            )
        )


def _array(data: bytes, shape: tuple[int, ...]) -> Bytes:
    return np.frombuffer(data, np.uint8).reshape(shape).copy()
