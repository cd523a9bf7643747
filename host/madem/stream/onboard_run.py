"""A run on a board's own sensor: the board works by itself, and whoever watches asks it."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from madem.boards.link_protocol import Flag, GateRequest, Mode
from madem.boards.timing import StreamLoad, stream_load
from madem.errors import MademError
from madem.learn import session, train
from madem.learners.board import BoardLearner
from madem.learners.state import NetworkState
from madem.learners.stream import BoardStream
from madem.network.network import Channel, Network, StreamInputs
from madem.stream.novelty import NoveltyThreshold
from madem.stream.novelty import recipe as novelty_recipe
from madem.stream.onboard import Live, OnboardStatus, RawSample
from madem.stream.prequential import LEARNING_RATE
from madem.stream.replay import choose
from madem.stream.sensors import Sensor
from madem.stream.windows import WindowResult
from madem_emulator.twin.config import Settings
from madem_emulator.twin.gated import GateSettings

HIDDEN = 32
"""Hidden units of a network that is begun here."""
_WAIT_MS = 100
"""That a board may keep a question waiting for a window."""
_RAW_SECONDS = 2.0
"""What the board keeps of samples that were asked for, until they are fetched."""
_RAW_BYTES = 16384
"""The most memory that this may take."""


@dataclass(frozen=True)
class OnboardOptions:
    """The choices of what a board does with what its sensor measures.

    Attributes:
        pipeline: what it computes; None: that of the saved network.
        load: a saved network to begin with; None: a new one, or none.
        save: file that the learned network is written to.
        learn: learn windows with a label.
        classes: their names; (): those of the saved network.
        label_keys: labels come from keys that a person presses, not from the sensor's pins.
        novelty: learn without labels, and score.
        raw: send the samples as well, which else stay on the board.
        out: recording that they are written to.
        seconds: that it lasts; None: until a Ctrl-C.
        leave: let the board go on without a host.
        seed: of a new network.
        gate: what is learned, and when learning is taken back; None: every window with a label.
    """

    pipeline: str | None = None
    load: Network | None = None
    save: str | None = None
    learn: bool = False
    classes: tuple[str, ...] = ()
    label_keys: bool = False
    novelty: bool = False
    raw: bool = False
    out: str | None = None
    seconds: float | None = None
    leave: bool = False
    seed: int = 1
    gate: GateSettings | None = None


class OnboardBatch(NamedTuple):
    """A board's news since it was last asked.

    Attributes:
        status: its counters.
        windows: new ones. A label that stands for no class is None.
        samples: new ones, if they are sent.
        inputs: of the network in the newest window, (2 features,), where the board computes
            features alone and there is a window; else None.
    """

    status: OnboardStatus
    windows: list[WindowResult]
    samples: list[RawSample]
    inputs: NDArray[np.uint8] | None


class OnboardRun:
    """A board at work on its own sensor.

    `prepare` brings sensor, pipeline and network to the board, `start` has it begin, `batches`
    gives what it tells, and `stop` ends it. It goes on without anybody asking.

    Attributes:
        sensor: what it measures with.
        options: what it does.
        pipeline: what it computes.
        classes: what the network's answers mean; () where it has no classes.
        unknown_labels: windows for each label that stands for no class: pins can show more.
        live, stream: the board's run and its pipeline; after `prepare`.
        mode: what it does with a window; after `prepare`.
        load: what that asks of a Cortex-M3; after `prepare`.
    """

    live: Live
    stream: BoardStream
    mode: Mode
    load: StreamLoad

    def __init__(self, sensor: Sensor, options: OnboardOptions) -> None:
        """Plan a run; the board is not needed yet.

        Args:
            sensor: what the board measures with.
            options: what it does.

        Raises:
            MademError: options that don't go together, or a saved network that does not fit.
        """
        check(sensor, options)
        self.sensor, self.options = sensor, options
        self._saved = options.load
        self.pipeline = choose(sensor.channels, options.pipeline, options.load, options.novelty)
        if options.load:
            check_sensor(sensor, options.load)
        self.unknown_labels: Counter[int] = Counter()
        self.classes = _class_names(options, self._saved)

    @property
    def learns(self) -> bool:
        """Whether the network is changed, with labels or without; known after `prepare`."""
        return self.mode == Mode.LEARN

    def prepare(self, device: BoardLearner) -> None:
        """Bring sensor, pipeline and network to a board.

        Args:
            device: the board.

        Raises:
            DeviceError: they do not fit, or the sensor does not answer.
        """
        self.live = Live(device, self.sensor, self.pipeline)
        self.stream = self.live.prepare()
        self.mode, self._flags, self._rate = self._network(device)
        self.load = stream_load(
            self.pipeline,
            self.live.rate_hz,
            device.config.sizes if self.mode != Mode.FEATURES else (),
            learns=self.learns,
            bus_s=self.sensor.bus_s,
        )

    def start(self) -> None:
        """Have the board begin."""
        room = 0
        if self.options.raw:
            wanted = round(_RAW_SECONDS * self.live.rate_hz) + 1
            room = min(wanted, _RAW_BYTES // (2 * self.pipeline.channels + 1))
        self.live.start(self.mode, rate=self._rate, flags=self._flags, raw=room)

    def batches(self) -> Iterator[OnboardBatch]:
        """Ask the board again and again, until its run has ended.

        Yields:
            What is new, perhaps nothing, at least every tenth of a second.
        """
        threshold = NoveltyThreshold()
        while True:
            status, found = self.live.new(_WAIT_MS)
            samples = self.live.raw() if self.options.raw else []
            windows = [self._completed(window, threshold) for window in found]
            features = bool(windows) and self.mode == Mode.FEATURES
            inputs = self.stream.inputs() if features else None
            yield OnboardBatch(status, windows, samples, inputs)
            if not status.running and not windows:
                return

    def stop(self) -> OnboardStatus:
        """End the board's run.

        Returns:
            Its last counters.
        """
        return self.live.stop()

    def network(self, state: NetworkState) -> Network:
        """Make the network that the board has learned, as it goes into a file.

        Args:
            state: the board's integers.

        Returns:
            The network.
        """
        sensor = self.sensor
        units = sensor.units or ("",) * len(sensor.channels)
        scales = sensor.units_per_count or (1.0,) * len(sensor.channels)
        inputs = StreamInputs(
            tuple(map(Channel, sensor.channels, units, scales)),
            str(self.pipeline),
            self.stream.normalisation(),
            self.live.rate_hz,
        )
        notes = {"training": {"sensor": sensor.spec}}
        return Network(state, self.classes, inputs, notes, {b"SRCE": sensor.packed()})

    def class_name(self, label: int | None) -> str:
        """Name a label.

        Args:
            label: a class; None: none.

        Returns:
            Its name; "" for none, and for one that stands for no class.
        """
        return self.classes[label] if label is not None and label < len(self.classes) else ""

    def _completed(self, window: WindowResult, threshold: NoveltyThreshold) -> WindowResult:
        if window.label is not None and window.label >= len(self.classes):
            self.unknown_labels[window.label] += 1
            window = replace(window, label=None)
        if window.score is not None:
            window = replace(window, new=threshold.is_new(window.score))
        return window

    def _network(self, device: BoardLearner) -> tuple[Mode, int, int]:
        """Bring the network to the board; mode, flags and rate of the run."""
        options, saved = self.options, self._saved
        if saved:
            self.stream.load(saved.state)
        if options.novelty:
            settings = novelty_recipe(self.pipeline, options.seed).settings
            device.configure(settings.integers())
            return Mode.LEARN, Flag.FOLLOW | Flag.OWN, settings.rate()
        if not self.classes:
            return Mode.FEATURES, Flag.FOLLOW, 0
        if not options.learn:
            follow = Flag.FOLLOW if self.pipeline.follow else Flag(0)
            return Mode.PREDICT, follow, 0
        settings = classifier(self.pipeline.inputs, len(self.classes), options.seed)
        if saved:
            settings = session.settings_of(settings, saved.state.config)
        else:
            device.configure(settings.integers())
        flags = Flag.FOLLOW
        if options.gate:
            device.ask_gate(GateRequest.SETTINGS, options.gate)
            flags |= Flag.GATED
        return Mode.LEARN, flags, settings.rate()


def classifier(inputs: int, classes: int, seed: int) -> Settings:
    """Choose the settings of a new network, as `madem learn` chooses them.

    Args:
        inputs: of the network.
        classes: that it tells apart.
        seed: of everything random.

    Returns:
        The settings.
    """
    return Settings(
        sizes=(inputs, HIDDEN, classes),
        seed=seed,
        learning_rate=LEARNING_RATE,
        **train.classifying(1),
    )


def check(sensor: Sensor, options: OnboardOptions) -> None:
    """See that options go together.

    Args:
        sensor: what the board measures with.
        options: what it does.

    Raises:
        MademError: they don't.
    """
    if options.out and not options.raw:
        raise MademError("--out records samples, which stay on the board: ask with --stream raw")
    if options.label_keys and not options.learn:
        raise MademError("--label-keys labels what is learned: add --learn")
    if options.learn:
        if options.novelty:
            raise MademError("--novelty learns without labels: leave --learn out")
        if not options.load and len(options.classes) < 2:
            raise MademError("--learn needs two or more names: --classes still,moving")
        if not options.label_keys and not sensor.label_pins:
            raise MademError(
                "--learn needs labels: press keys with --label-keys, or wire pins and say"
                f" {sensor.spec},labels=10+11"
            )
    elif options.gate:
        raise MademError("--gate, --at-most and --rollback choose what is learned: add --learn")
    elif options.save or (options.classes and not options.load):
        raise MademError("--save and --classes belong to a network that learns: add --learn")


def check_sensor(sensor: Sensor, network: Network) -> None:
    """See that a sensor gives what a saved network was taught with: a board can't rescale it.

    Args:
        sensor: of the board.
        network: that is to work on its samples.

    Raises:
        MademError: channels or units per count are others; the message names both sides.
    """
    inputs = network.inputs
    if not isinstance(inputs, StreamInputs) or not inputs.named:
        return
    if inputs.names != sensor.channels:
        raise MademError(
            f"{sensor.name} gives {', '.join(sensor.channels)}, the network was taught with"
            f" {', '.join(inputs.names)}"
        )
    given = sensor.units_per_count or (1.0,) * len(sensor.channels)
    for name, one, channel in zip(sensor.channels, given, inputs.channels, strict=True):
        if not math.isclose(one, channel.scale, rel_tol=1e-6):
            raise MademError(
                f"a count of {sensor.name}'s {name} is worth {one:.6g}, the network was taught with"
                f" {channel.scale:.6g}: learn from a recording of this sensor"
            )


def _class_names(options: OnboardOptions, saved: Network | None) -> tuple[str, ...]:
    classes = options.classes or (saved.names if saved else ())
    if saved and len(classes) != saved.state.config.sizes[-1]:
        raise MademError(
            f"the saved network knows {saved.state.config.sizes[-1]} classes, not {len(classes)}"
        )
    return classes
