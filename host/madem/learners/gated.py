"""Learning that decides, window by window, what to learn: docs/guide/online.md.

learner = GatedLearner(BoardStream(board, pipeline), GateSettings(gate=40))
for reply in learner.judge(rate, windows, labels):
    print(reply.answer, reply.learned)
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from madem.boards.link_protocol import Flag, GateRequest, Mode
from madem.data.task import Samples
from madem.learners.protocol import Engine, GateStatus, Presentation, Progress, Reply, counted
from madem_emulator.twin.gated import GateSettings


class GatedLearner:
    """Tests windows, and learns those that a gate lets through.

    Attributes:
        engine: what learns, with a network that is configured.
    """

    def __init__(self, engine: Engine, settings: GateSettings) -> None:
        """Give the gate its settings; it begins to count.

        Args:
            engine: what learns, with a network that is configured.
            settings: which windows are learned, and when learning is taken back.

        Raises:
            DeviceError: the checkpoint does not fit the board (code 4), or its front end can't be
                put back.
        """
        self.engine = engine
        engine.ask_gate(GateRequest.SETTINGS, settings)

    def judge(
        self,
        rate: int,
        x: Samples,
        labels: NDArray[np.int64],
        progress: Progress | None = None,
        pulses_per_update: int = 1,
    ) -> list[Reply]:
        """Test windows, and learn those that are worth it.

        Args:
            rate: as for `Learner.learn`.
            x: the windows.
            labels: class of each, (windows,).
            progress: called with the number of windows just done.
            pulses_per_update: as for `Learner.learn`.

        Returns:
            What became of each.
        """
        how = Presentation(Mode.LEARN, Flag.FOLLOW | Flag.GATED, rate, pulses_per_update)
        return list(counted(self.engine.present(x, labels.tolist(), how), progress))

    def checkpoint(self) -> GateStatus:
        """Keep a copy of the network as it is; returns what has been counted."""
        return self.engine.ask_gate(GateRequest.CHECKPOINT)

    def rollback(self) -> GateStatus:
        """Go back to the copy; returns what has been counted.

        Raises:
            DeviceError: the board has none.
            ValueError: the twin has none.
        """
        return self.engine.ask_gate(GateRequest.ROLLBACK)

    def status(self) -> GateStatus:
        """Tell what has been counted."""
        return self.engine.ask_gate(GateRequest.ASK)
