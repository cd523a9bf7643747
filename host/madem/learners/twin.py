"""The desktop twin in place of a board: the same bits, and no link.

learner = TwinLearner(settings.integers())
answers = learner.learn(settings.rate(), codes, classes)
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

import numpy as np

from madem.boards.link_protocol import CENTRE_OFFSET, Flag, GateRequest, Mode, Outcome
from madem.data.task import Samples
from madem.errors import MademError
from madem.learners.protocol import Bytes, Engine, GateStatus, Presentation, Reply
from madem.learners.state import NetworkState, normalisation_of, stream_notes
from madem_emulator.twin.codes import checked_codes, checked_counts
from madem_emulator.twin.config import Config
from madem_emulator.twin.features import TwinFeatures
from madem_emulator.twin.gated import GateSettings, Judged, UpdateGate
from madem_emulator.twin.pipeline import Pipeline
from madem_emulator.twin.twin import Trace, Twin, TwinState


class TwinStep(NamedTuple):
    """The twin's reply to one sample, with all that a check needs.

    Attributes:
        reply: what a board would say.
        inputs: of the network, uint8 (inputs,).
        trace: of a sample that was to be learned, else None. Where a gate kept it from being
            learned, it ends with the free phase.
    """

    reply: Reply
    inputs: Bytes
    trace: Trace | None


class TwinLearner(Engine):
    """A network on the desktop. See `Engine`.

    Attributes:
        twin: the network.
        features: what the pipeline computes; None: the samples are whole.
    """

    def __init__(
        self, config: Config, pipeline: Pipeline | None = None, twin: Twin | None = None
    ) -> None:
        """A network that has learned nothing.

        Args:
            config: its integers.
            pipeline: turns raw samples into its inputs; None: the samples are whole.
            twin: made of something else than the integer crossbar, such as a `PhysicalTwin`.
        """
        self.twin = twin or Twin(config)
        self.features = TwinFeatures(pipeline) if pipeline else None
        self._gate: UpdateGate | None = None

    @property
    def config(self) -> Config:
        """See `Learner.config`."""
        return self.twin.config

    def inputs(self, samples: Iterable[Any], follow: bool) -> Bytes:
        """Make the network's inputs of samples.

        Args:
            samples: as for `present`.
            follow: the normalisation of a stream follows them.

        Returns:
            DAC codes, uint8 (samples, inputs).
        """
        if self.features is None:
            return checked_codes(np.asarray(samples), self.config.sizes[0], rows=True)
        rows = []
        for window in samples:
            if window.restart:
                self.features.restart()
            counts = checked_counts(window.samples, self.features.pipeline.channels)
            rows.append(self.features.codes(self.features.windows(counts), follow))
        return np.concatenate(rows)

    def present(
        self, samples: Iterable[Any], targets: Iterable[Any], how: Presentation
    ) -> Iterator[Reply]:
        """See `Engine.present`."""
        for sample, target in zip(samples, targets, strict=True):
            yield self.step(sample, target, how).reply

    def step(self, sample: Any, target: Any, how: Presentation) -> TwinStep:
        """Present one sample, and tell everything.

        Args:
            sample: as for `present`.
            target: of it.
            how: as for `present`; a sample that is learned is the next step, whatever it says.

        Returns:
            What a board would say of it, and all that it can be checked with.
        """
        (x,) = self.inputs([sample], Flag.FOLLOW in how.flags)
        own = Flag.OWN in how.flags
        if how.mode == Mode.FEATURES:
            return TwinStep(Reply(0), x, None)
        if how.mode == Mode.PREDICT:
            outputs = self.twin.predict(x)[-1]
            answer = self._score(x, outputs[0]) if own else int(self.twin.answer(outputs)[0])
            return TwinStep(Reply(answer), x, None)
        if Flag.GATED in how.flags:
            gate = self._asked_gate()
            judged = gate.learn(how.rate, x, target, how.pulses_per_update)
            step = self.twin.steps - 1
            trace = judged.trace or Trace(step, judged.free, [], [], judged.answer, self.twin)
            return TwinStep(_reply(judged, target), x, trace)
        trace = self.twin.learn(how.rate, x, x >= 128 if own else target, how.pulses_per_update)
        answer = self._score(x, trace.free[-1][0]) if own else int(trace.answer[0])
        return TwinStep(Reply(answer), x, trace)

    def outputs(self, x: Samples) -> Bytes:
        """See `Learner.outputs`."""
        return self.outputs_of(self.inputs(x, False))

    def outputs_of(self, inputs: Bytes) -> Bytes:
        """Ask for inputs of the network that are known already.

        Args:
            inputs: uint8 (samples, inputs).

        Returns:
            Free activities of the output layer, uint8 (samples, outputs).
        """
        return self.twin.predict_many(inputs)[-1][0]

    def add_stuck(self, stuck: int) -> None:
        """See `Learner.add_stuck`."""
        self.twin.add_stuck(stuck)

    def ask_gate(self, request: GateRequest, settings: GateSettings | None = None) -> GateStatus:
        """See `Engine.ask_gate`."""
        if settings is not None:
            self._gate = UpdateGate(self.twin, settings)
        gate = self._asked_gate()
        if request == GateRequest.CHECKPOINT:
            gate.checkpoint()
        elif request == GateRequest.ROLLBACK:
            gate.rollback()
        g = gate
        counts = (g.learned, g.checkpoint_at, g.accuracy, g.checkpoint_accuracy, g.rollbacks)
        return GateStatus.of(self.twin.steps, *(int(count[0]) for count in counts))

    def state(self) -> NetworkState:
        """See `Engine.state`."""
        found, notes = self.twin.state(), {}
        if self.features is not None:
            notes = stream_notes(self.features.pipeline, _normalisation(self.features))
        devices, accumulators = (
            tuple(part.tobytes() for part in parts) for parts in (found.devices, found.accumulators)
        )
        return NetworkState(self.config, found.steps, devices, accumulators, notes, found.physical)

    def load(self, state: NetworkState) -> None:
        """See `Engine.load`.

        Raises:
            ValueError: a network of physical devices can't go on from it.
        """
        features = self.features
        normalisation = normalisation_of(state, features.pipeline) if features else b""
        if type(self.twin) is Twin:  # one of physical devices is the right one already
            self.twin = Twin(state.config)
        self._gate = None
        devices, accumulators = (
            [_array(data, part.shape) for data, part in zip(given, own, strict=True)]
            for given, own in (
                (state.devices, self.twin.devices),
                (state.accumulators, self.twin.accumulators),
            )
        )
        self.twin.load_state(TwinState(state.steps, devices, accumulators, state.physical))
        if features:
            words = np.frombuffer(normalisation, "<u4").astype(np.int64)
            features.seen = int(words[0])
            features.centre = words[1::2] - CENTRE_OFFSET
            features.spread = words[2::2].copy()

    def _asked_gate(self) -> UpdateGate:
        if self._gate is None:
            raise MademError("give the gate its settings first")
        return self._gate

    def _score(self, x: Bytes, outputs: Bytes) -> int:
        """How new inputs are, of which these outputs came: docs/reference/features.md."""
        config = self.config
        high, low = config.t_hi & config.dac_mask, config.t_lo & config.dac_mask
        targets = np.where(x >= 128, high, low).astype(np.int64)
        return int(((targets - outputs) ** 2).sum())


def _reply(judged: Judged, label: int) -> Reply:
    """What became of a window on the first board."""
    answer = int(judged.answer[0])
    outcome = (
        Outcome.RIGHT * (answer == label)
        | Outcome.LEARNED * bool(judged.learned[0])
        | Outcome.CHECKPOINT * bool(judged.checkpointed[0])
        | Outcome.ROLLBACK * bool(judged.rolled_back[0])
    )
    return Reply(answer, int(judged.margin[0]), Outcome(outcome))


def _normalisation(features: TwinFeatures) -> bytes:
    """The state of the running normalisation, as docs/reference/link.md has it."""
    words = np.empty(1 + 2 * len(features.centre), "<u4")
    words[0] = features.seen
    words[1::2] = features.centre + CENTRE_OFFSET
    words[2::2] = features.spread
    return words.tobytes()


def _array(data: bytes, shape: tuple[int, ...]) -> Bytes:
    return np.frombuffer(data, np.uint8).reshape(shape).copy()
