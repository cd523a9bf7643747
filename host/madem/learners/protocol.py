"""What learns, and how samples reach it.

`Learner` is all that training and testing need. Each is made of three parts:

- an input: whole samples (rows of DAC codes), or a raw stream that a pipeline cuts into windows
  and turns into DAC codes;
- an engine, which presents samples to a network one after the other: `board.BoardLearner` and,
  for streams, `stream.BoardStream` (firmware behind a link), or `twin.TwinLearner` (the desktop);
- a checker, or none: `madem.verify` runs a board and its twin in lock step, as one more engine.

`Engine.present` is the one way that a sample takes. `Engine.learn` here, `gated.GatedLearner`
and `novelty.NoveltyDetector` say how samples are presented, and are the same for every engine.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from madem.boards.link_protocol import Flag, GateRequest, Mode, Outcome
from madem.data.task import Samples
from madem.learners.state import NetworkState
from madem_emulator.twin.config import Config
from madem_emulator.twin.gated import FULL, NEVER, GateSettings
from madem_emulator.twin.twin import Digests

Bytes = NDArray[np.uint8]
Progress = Callable[[int], None]
"""Called with the number of samples just done."""


class Learner(Protocol):
    """A network that can be trained and asked."""

    @property
    def config(self) -> Config:
        """The integers that the network computes with."""
        ...

    def learn(
        self,
        rate: int,
        x: Samples,
        targets: Bytes,
        progress: Progress | None = None,
        pulses_per_update: int = 1,
    ) -> Bytes:
        """Train on samples in order.

        Args:
            rate: the integer RATE of docs/reference/arithmetic.md.
            x: DAC codes, uint8 (samples, features); for the learner of a stream its windows.
            targets: class of each sample (samples,) or on/off outputs (samples, outputs).
            progress: called with the number of samples just learned.
            pulses_per_update: that a device gets for one change, 1…255.

        Returns:
            The answer of each sample's free phase before it was learned, (samples,): the
            predicted class, or the number of wrong outputs.
        """
        ...

    def outputs(self, x: Samples) -> Bytes:
        """Ask for samples, and learn nothing.

        The read noise of the emulated front end is each sample's own: the same sample has the
        same answer alone, among others, in any order and whatever was asked before.

        Args:
            x: as for `learn`; the normalisation of a stream does not follow them.

        Returns:
            Free activities of the output layer, (samples, outputs).
        """
        ...

    def add_stuck(self, stuck: int) -> None:
        """Have more devices stuck from now on.

        Args:
            stuck: STUCK of docs/reference/arithmetic.md, which only rises.
        """
        ...

    def state(self) -> NetworkState:
        """All that learning has changed."""
        ...


class Presentation(NamedTuple):
    """A way of presenting samples to a network.

    Attributes:
        mode: learn them, predict them, or only let the pipeline of a stream go on.
        flags: of a stream, whether the normalisation follows it, a gate decides what is learned,
            and the inputs are their own targets; of all, whether replies are traced.
        rate, pulses_per_update: as for `Learner.learn`.
        first: step of the first sample, where samples are learned. None: the network's own.
    """

    mode: Mode
    flags: Flag = Flag(0)
    rate: int = 0
    pulses_per_update: int = 1
    first: int | None = None


class Reply(NamedTuple):
    """A network's reply to one sample.

    Attributes:
        answer: the class, or the number of wrong outputs, before anything was learned; the
            novelty score of a sample whose targets are its inputs.
        margin: of a gated sample: activity of the answer's output above the next, 0…255.
        outcome: of a gated sample: what became of it.
        digests: of a traced sample.
        inputs: CRC-32 of the network's inputs, of a traced window of a stream.
    """

    answer: int
    margin: int = 0
    outcome: Outcome = Outcome(0)
    digests: Digests | None = None
    inputs: int | None = None

    @property
    def learned(self) -> bool:
        """Whether the sample was learned."""
        return Outcome.LEARNED in self.outcome

    @property
    def checkpointed(self) -> bool:
        """Whether the network was then copied."""
        return Outcome.CHECKPOINT in self.outcome

    @property
    def rolled_back(self) -> bool:
        """Whether the network was then replaced by its checkpoint."""
        return Outcome.ROLLBACK in self.outcome


class GateStatus(NamedTuple):
    """The counters of a gate.

    Attributes:
        steps: windows tested in the network's life.
        learned: windows learned since the settings were given.
        checkpoint_at: step at which the checkpoint was made; None without one.
        accuracy, checkpoint_accuracy: running, of the network and of its checkpoint, 0…1.
        rollbacks: times the network went back to its checkpoint.
    """

    steps: int
    learned: int
    checkpoint_at: int | None
    accuracy: float
    checkpoint_accuracy: float
    rollbacks: int

    @classmethod
    def of(cls, *counts: int) -> GateStatus:
        """Make one of integers.

        Args:
            counts: in the order of the fields; accuracies from 0 to 65535, and `NEVER` as the step
                of no checkpoint.

        Returns:
            What they say.
        """
        steps, learned, at, accuracy, copy, rollbacks = counts
        made_at = None if at == NEVER else at
        return cls(steps, learned, made_at, accuracy / FULL, copy / FULL, rollbacks)


class Engine(ABC):
    """A `Learner` to which samples are presented one by one: a board, its twin, or both."""

    @property
    @abstractmethod
    def config(self) -> Config:
        """See `Learner.config`."""

    @abstractmethod
    def present(
        self, samples: Iterable[Any], targets: Iterable[Any], how: Presentation
    ) -> Iterator[Reply]:
        """Present samples to the network, one after the other.

        Args:
            samples: rows of DAC codes, or windows of a stream. They are taken only when they can
                be sent, so that a generator can work between them.
            targets: of each sample, as for `Learner.learn`; of no matter where nothing needs them.
            how: what is done with them.

        Yields:
            What the network made of each.
        """

    @abstractmethod
    def outputs(self, x: Samples) -> Bytes:
        """See `Learner.outputs`."""

    @abstractmethod
    def add_stuck(self, stuck: int) -> None:
        """See `Learner.add_stuck`."""

    @abstractmethod
    def state(self) -> NetworkState:
        """See `Learner.state`; of a stream, the notes hold the pipeline and its normalisation."""

    @abstractmethod
    def load(self, state: NetworkState) -> None:
        """Make the network what it was when the state was taken.

        Args:
            state: of a network of any shape.

        Raises:
            TaskError: it has learned from another pipeline.
        """

    @abstractmethod
    def ask_gate(self, request: GateRequest, settings: GateSettings | None = None) -> GateStatus:
        """Have the gate of a network do something, or only tell what it has counted.

        Args:
            request: what it is to do.
            settings: to begin with, for `GateRequest.SETTINGS`.

        Returns:
            What it has counted, after that.

        Raises:
            MademError: it has no settings yet, or there is no checkpoint to go back to.
        """

    def learn(
        self,
        rate: int,
        x: Samples,
        targets: Bytes,
        progress: Progress | None = None,
        pulses_per_update: int = 1,
    ) -> Bytes:
        """See `Learner.learn`."""
        how = Presentation(Mode.LEARN, Flag.FOLLOW, rate, pulses_per_update)
        replies = counted(self.present(x, targets, how), progress)
        return np.array([reply.answer for reply in replies], np.uint8)


def counted(replies: Iterable[Reply], progress: Progress | None) -> Iterator[Reply]:
    """Pass replies on, and tell the progress after each.

    Args:
        replies: of samples.
        progress: called with 1 for each; None: nothing is told.

    Yields:
        The replies.
    """
    for reply in replies:
        yield reply
        if progress:
            progress(1)
