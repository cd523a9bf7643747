"""How many answers of a board of chips are right, predicted from its devices and its read noise."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from madem.errors import TaskError
from madem.learn.answers import Answers
from madem.learners.board import BoardLearner
from madem.learners.chips import Chips
from madem.learners.twin import TwinLearner
from madem.network.network import Network
from madem.verify.plausibility import cards_of, probe
from madem_emulator.designs import GEOMETRIES
from madem_emulator.physical import presets
from madem_emulator.plausibility.codes import (
    ALARM,
    AlarmBudget,
    ImplausibleError,
    PlausibilityTest,
)
from madem_emulator.twin.array import Floats
from madem_emulator.twin.attached import AttachedTwin
from madem_emulator.twin.cards import Geometry
from madem_emulator.twin.config import Config

_DRAWS = 16
"""How often all samples are answered with other noise."""


def answered_right(board: BoardLearner, network: Network, found: Answers) -> tuple[int, int]:
    """Predict how many of a board's answers are right.

    The devices are measured, as `madem verify` does. The answers that they lead to are then drawn
    again and again, with the noise of every read that `verify` takes for plausible.

    Args:
        board: that answered, with the network in its devices; nothing is pulsed.
        network: that was learned behind chips.
        found: the answers, some of them with a label.

    Returns:
        From how many to how many: a board in order is outside once in a thousand times.

    Raises:
        TaskError: it can't be predicted: devices or chips are out of order, or the preset's I–V
            curve is not linear, and a code no sum over lines.
    """
    config = board.config
    design, device = str(network.notes["design"]), presets.get(str(network.notes["preset"]))
    geometry = GEOMETRIES[design]
    cards = cards_of(config, geometry)
    try:
        test = PlausibilityTest(device, geometry, cards, AlarmBudget(1, 1), config.seed)
        probe(test, Chips(board, geometry), cards)
    except (ImplausibleError, ValueError) as error:
        raise TaskError(f"how many answers should be right can't be told: {error}") from None
    features = TwinLearner(config, network.task_pipeline)
    features.load(network.state)
    known = found.truth >= 0
    inputs, truth = features.inputs(found.asked, False)[known], found.truth[known]
    right = []
    for draw in range(_DRAWS):
        twin = _ExpectedTwin(config, geometry, test, draw)
        answers = [int(twin.answer(twin.predict(sample)[-1])[0]) for sample in inputs]
        right.append(np.count_nonzero(np.array(answers) == truth))
    mean, variance = float(np.mean(right)), float(np.var(right, ddof=1))
    # What no draw shows may still come once in as many.
    spread = math.sqrt(variance * (1 + 1 / _DRAWS) + 1 / _DRAWS)
    reach = float(stats.t.isf(ALARM / 2, _DRAWS - 1)) * spread
    return max(0, math.floor(mean - reach)), min(len(truth), math.ceil(mean + reach))


class _ExpectedTwin(AttachedTwin):
    """A board whose codes are drawn about what its measured devices let expect."""

    def __init__(
        self, config: Config, geometry: Geometry, test: PlausibilityTest, draw: int
    ) -> None:
        super().__init__(config, geometry)
        self._test = test
        self._rng = np.random.default_rng([config.seed, draw])

    def take(
        self, layer: int, rows: bool, driven: dict[int, Floats]
    ) -> list[tuple[int, NDArray[np.int_]]]:
        """As `AttachedTwin.take`, of no record."""
        found = []
        for card, levels in driven.items():
            mean, sigma = self._test.expected(card, rows, levels)
            codes = np.rint(mean + sigma * self._rng.standard_normal(len(mean)))
            found.append((card, codes.astype(np.int_)))
        return found
