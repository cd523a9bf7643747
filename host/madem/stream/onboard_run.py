"""A board works on what its own sensor measures, and the host only listens: `madem stream live`."""

from __future__ import annotations

import contextlib
import signal
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any

from madem.boards.link_protocol import Flag, GateRequest, Mode
from madem.boards.timing import stream_load
from madem.data.files.recording import Header, Recorder, now
from madem.errors import DeviceError, MademError
from madem.learn import session, train
from madem.learners import state
from madem.learners.board import BoardLearner
from madem.learners.stream import BoardStream
from madem.stream.keys import Keys
from madem.stream.novelty import recipe as novelty_recipe
from madem.stream.onboard import Live, OnboardStatus, RawSample
from madem.stream.prequential import LEARNING_RATE
from madem.stream.replay import Usual, bars, choose
from madem.stream.sensors import Sensor
from madem.stream.windows import RunningAccuracy, WindowResult
from madem_emulator.twin.config import Settings
from madem_emulator.twin.gated import GateSettings

HIDDEN = 32
"""Hidden units of a network that is begun here."""
_WAIT_MS = 100
_RAW_SECONDS = 2.0
"""What the board keeps of samples that were asked for, until they are fetched."""
_RAW_BYTES = 16384
"""The most memory that this may take."""

Say = Callable[[str], None]


@dataclass(frozen=True)
class RunOptions:
    """What shall happen.

    Attributes:
        pipeline: what the board computes; None: that of the saved network.
        load, save: state files to begin from and to leave.
        learn: learn windows with a label.
        classes: names; empty: those of the saved network.
        label_keys: labels come from keys.
        novelty: learn without labels, and score.
        raw: have the samples sent as well.
        out: recording for them.
        seconds: to stop after; None: at Ctrl-C.
        leave: let the board go on without a host.
        seed: of a new network.
        care: what is learned, and when learning is taken back; None: every window with a label.
    """

    pipeline: str | None = None
    load: str | None = None
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
    care: GateSettings | None = None


@dataclass
class _Found:
    """What came of a run."""

    windows: list[WindowResult] = field(default_factory=list)
    accuracy: RunningAccuracy = field(default_factory=RunningAccuracy)
    samples: int = 0  # that were sent
    new_at_s: list[float] = field(default_factory=list)


def classifier(inputs: int, classes: int, seed: int) -> Settings:
    """A new network for so many inputs and classes, as `madem learn` would choose it."""
    return Settings(
        sizes=(inputs, HIDDEN, classes),
        seed=seed,
        learning_rate=LEARNING_RATE,
        **train.classifying(1),
    )


def run(board: str, sensor: Sensor, options: RunOptions, say: Say) -> dict[str, Any]:
    """Have the board work on its sensor until Ctrl-C, or for so long.

    Args:
        board: which one.
        sensor: of the board.
        options: what shall happen.
        say: gets a line for each window.

    Raises:
        MademError: options that don't go together, or the board, the sensor or a file fails.
    """
    check(sensor, options)
    saved, pipeline = choose(sensor.channels, options.pipeline, options.load, options.novelty)
    classes = class_names(options, saved)
    keys = Keys() if options.label_keys else None
    with contextlib.ExitStack() as stack:
        device = stack.enter_context(session.open_learner(board, leave=options.leave))
        if device is None:
            raise MademError("a sensor is on a board: choose one")
        live = Live(device, sensor, pipeline)
        feeder = live.prepare()
        mode, flags, rate = network(device, feeder, saved, options, len(classes))
        room = raw_room(live) if options.raw else 0
        recorder = None
        if options.out:
            header = Header(
                sensor.channels, live.rate_hz, sensor.units, sensor.units_per_count,
                source=sensor.spec, started=now(),
            )  # fmt: skip
            recorder = stack.enter_context(Recorder(options.out, header))
        if keys:
            stack.enter_context(keys)
            pairs = "  ".join(f"{k} {name}" for k, name in enumerate(classes[:9], 1))
            by_hand = "  k keep a copy  b go back to it" if options.care else ""
            say(f"keys: {pairs}  0 none{by_hand}; Ctrl-C ends")
        sizes = device.config.sizes if mode else ()
        load = stream_load(
            pipeline, live.rate_hz, sizes, learns=mode == Mode.LEARN, bus_s=sensor.bus_s
        )
        say(load.verdict())
        stopped = stack.enter_context(_interrupts())
        began = time.monotonic()
        live.start(mode, rate=rate, flags=flags, raw=room)
        found, status = _follow(live, feeder, options, classes, keys, recorder, stopped, say)
        if not options.leave:
            status = live.stop()
        wall = time.monotonic() - began
        if options.save:
            notes = {
                "task": "live", "classes": list(classes), "preset": None,
                "pipeline": str(pipeline), "normalisation": feeder.normalisation().hex(),
            }  # fmt: skip
            state.save(replace(device.state(), notes=notes), options.save)
    return _result(board, live, status, found, classes, wall) | {
        "load": load.share,
        "keeps_up": load.keeps_up,
    }


def check(sensor: Sensor, options: RunOptions) -> None:
    """See that the options go together.

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
    elif options.care:
        raise MademError("--gate, --at-most and --rollback choose what is learned: add --learn")
    elif options.save or (options.classes and not options.load):
        raise MademError("--save and --classes belong to a network that learns: add --learn")


def class_names(options: RunOptions, saved: state.NetworkState | None) -> tuple[str, ...]:
    """What the network's outputs stand for; () where it has no classes.

    Raises:
        MademError: there are more or fewer names than outputs of the saved network.
    """
    classes = options.classes or (tuple(saved.notes["classes"]) if saved else ())
    if saved and len(classes) != saved.config.sizes[-1]:
        raise MademError(
            f"{options.load} knows {saved.config.sizes[-1]} classes, not {len(classes)}"
        )
    return classes


def network(
    device: BoardLearner,
    feeder: BoardStream,
    saved: state.NetworkState | None,
    options: RunOptions,
    classes: int,
) -> tuple[int, int, int]:
    """Put the network on the board; mode, flags and rate of the run."""
    settings = classifier(feeder.pipeline.inputs, classes, options.seed) if classes else None
    if saved:
        device.load(saved)
        feeder.set_normalisation(bytes.fromhex(saved.notes["normalisation"]))
    if options.novelty:
        plan = novelty_recipe(feeder.pipeline, options.seed)
        device.configure(plan.settings.integers())
        return Mode.LEARN, Flag.FOLLOW | Flag.OWN, plan.settings.rate()
    if settings is None:
        return Mode.FEATURES, Flag.FOLLOW, 0
    if not options.learn:
        return Mode.PREDICT, Flag.FOLLOW, 0
    if saved:
        settings = session.settings_of(settings, saved.config)
    else:
        device.configure(settings.integers())
    flags = Flag.FOLLOW
    if options.care:
        device.ask_gate(GateRequest.SETTINGS, options.care)
        flags |= Flag.GATED
    return Mode.LEARN, flags, settings.rate()


def raw_room(live: Live) -> int:
    """Samples that the board is to keep."""
    wanted = round(_RAW_SECONDS * live.rate_hz) + 1
    return min(wanted, _RAW_BYTES // (2 * live.pipeline.channels + 1))


def _follow(
    live: Live,
    feeder: BoardStream,
    options: RunOptions,
    classes: tuple[str, ...],
    keys: Keys | None,
    recorder: Recorder | None,
    stopped: Callable[[], bool],
    say: Say,
) -> tuple[_Found, OnboardStatus]:
    """Ask again and again until the end."""
    found, usual = _Found(), Usual()
    status = live.status()
    end = None if options.seconds is None else time.monotonic() + options.seconds
    while status.running and not stopped() and (end is None or time.monotonic() < end):
        pressed = keys.pressed() if keys else ""
        if (label := _label(pressed, len(classes))) is not None:
            live.label(label if label >= 0 else None)
        if options.care:
            _by_hand(live.device, pressed, say)
        status, windows = live.new(_WAIT_MS)
        if options.raw:
            _take(live.raw(), recorder, live.rate_hz, classes, found)
        for window in windows:
            found.windows.append(window)
            if window.right is not None:
                found.accuracy.add(window.right)
            new = window.score is not None and usual.judge(window.score)
            if new and window.t_s is not None:
                found.new_at_s.append(window.t_s)
            say(_line(window, classes, found.accuracy.value, new, feeder))
    return found, status


def _by_hand(device: BoardLearner, keys: str, say: Say) -> None:
    """Keep a copy of the network, or go back to it, as these keys say."""
    for key in keys:
        if key == "k":
            say(f"kept a copy after {device.ask_gate(GateRequest.CHECKPOINT).steps} windows")
        elif key == "b":
            try:
                at = device.ask_gate(GateRequest.ROLLBACK).checkpoint_at
                say(f"went back to the network after {at} windows")
            except DeviceError as error:
                say(str(error))


def _label(keys: str, classes: int) -> int | None:
    """What the newest of these keys labels: a class, -1 for none; None: no such key."""
    for key in reversed(keys):
        if key.isdecimal() and int(key) <= classes:
            return int(key) - 1
    return None


def _take(
    samples: list[RawSample],
    recorder: Recorder | None,
    rate_hz: float,
    classes: tuple[str, ...],
    found: _Found,
) -> None:
    found.samples += len(samples)
    if recorder:
        for sample in samples:
            known = sample.label is not None and sample.label < len(classes)
            label = classes[sample.label] if known else ""  # pyright: ignore
            recorder.add(round(sample.number * 1e6 / rate_hz), sample.values, label)


def _line(
    window: WindowResult,
    classes: tuple[str, ...],
    accuracy: float | None,
    new: bool,
    feeder: BoardStream,
) -> str:
    at = f"{window.t_s:8.1f} s  "
    if window.score is not None:
        return f"{at}{window.score:8,}{'  new' if new else ''}"
    if window.answer is None:
        inputs = feeder.inputs().reshape(-1, 2).astype(int)
        return at + bars((inputs[:, 0] - inputs[:, 1]).tolist(), -255, 255)
    line = at + classes[window.answer]
    if window.label is not None and window.label < len(classes):
        line += f"  (labelled {classes[window.label]}"
        line += f", {accuracy:.0%} right)" if accuracy is not None else ")"
    return line + ("  learned" if window.learned else "")


@contextlib.contextmanager
def _interrupts() -> Iterator[Callable[[], bool]]:
    """A Ctrl-C is remembered, so that what is under way on the link ends well; a second one is
    not."""
    asked = False

    def stop(_signal: int, _frame: object) -> None:
        nonlocal asked
        if asked:
            raise KeyboardInterrupt
        asked = True

    before = signal.signal(signal.SIGINT, stop)
    try:
        yield lambda: asked
    finally:
        signal.signal(signal.SIGINT, before)


def _result(
    board: str,
    live: Live,
    status: OnboardStatus,
    found: _Found,
    classes: tuple[str, ...],
    wall: float,
) -> dict[str, Any]:
    windows = found.windows
    answers = [classes[w.answer] for w in windows if w.answer is not None]
    return {
        "board": board,
        "sensor": live.sensor.spec,
        "pipeline": str(live.pipeline),
        "channels": list(live.sensor.channels),
        "rate_hz": live.rate_hz,
        "samples": status.samples,
        "lost": status.lost,
        "windows": status.windows,
        "labelled": status.labelled,
        "right": status.right,
        "learned": sum(w.learned for w in windows),
        "forgotten": live.forgotten,
        "running_accuracy": found.accuracy.value,
        "answers": answers,
        "counts": dict(Counter(answers)),
        "scores": [w.score for w in windows if w.score is not None],
        "new_at_s": found.new_at_s,
        "samples_sent": found.samples,
        "wall_s": round(wall, 3),
    }
