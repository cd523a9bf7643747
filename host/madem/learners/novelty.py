"""Novelty without labels: how well a network gives back its inputs. docs/reference/features.md.

The targets are made from the inputs themselves, so that no label is needed, and the score of a
window is small for what the network has seen often.
"""

from __future__ import annotations

from collections.abc import Sequence

from madem.boards.link_protocol import Flag, Mode
from madem.data.stream_task import WindowSamples
from madem.learners.protocol import Engine, Presentation


class NoveltyDetector:
    """Scores windows.

    Attributes:
        engine: what learns, with a network that gives back the inputs of its pipeline.
    """

    def __init__(self, engine: Engine) -> None:
        """Score what an engine is shown.

        Args:
            engine: with a network that gives back its inputs.
        """
        self.engine = engine

    def learn(self, rate: int, windows: Sequence[WindowSamples]) -> list[int]:
        """Score windows, and learn each after that; the normalisation follows.

        Args:
            rate: as for `Learner.learn`.
            windows: in order.

        Returns:
            The scores.
        """
        return self._present(windows, Presentation(Mode.LEARN, Flag.FOLLOW | Flag.OWN, rate))

    def scores(self, windows: Sequence[WindowSamples]) -> list[int]:
        """Score windows, and learn nothing; the normalisation does not follow.

        Args:
            windows: in order.

        Returns:
            The scores.
        """
        return self._present(windows, Presentation(Mode.PREDICT, Flag.OWN))

    def _present(self, windows: Sequence[WindowSamples], how: Presentation) -> list[int]:
        return [r.answer for r in self.engine.present(windows, [0] * len(windows), how)]
