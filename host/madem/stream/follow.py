"""Follow a board's run on its own sensor from a terminal: lines, keys, a recording."""

from __future__ import annotations

import contextlib
import signal
import time
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from madem.boards.link_protocol import GateRequest
from madem.data.files.recording import Header, Recorder, now
from madem.errors import DeviceError, MademError
from madem.learn import session
from madem.network import file, metrics
from madem.stream.keys import Keys
from madem.stream.lines import window_line
from madem.stream.onboard import OnboardStatus
from madem.stream.onboard_run import OnboardBatch, OnboardRun
from madem.stream.windows import RunningAccuracy, WindowResult, taught_in_blocks

Say = Callable[[str], None]


def follow(board: str, run: OnboardRun, say: Say, patience: float | None = None) -> dict[str, Any]:
    """Have a board work on its sensor until a Ctrl-C, or for as long as the run's options say.

    Args:
        board: which one.
        run: that it shall do.
        say: gets a line for each window.
        patience: how long the board may take for an answer, in s; None: as `open_board`.

    Returns:
        What came of it, for JSON.

    Raises:
        MademError: the board, the sensor, a file or the terminal's keys fail.
    """
    options = run.options
    keys = Keys() if options.label_keys else None
    with contextlib.ExitStack() as stack:
        learner = session.open_learner(board, leave=options.leave, patience=patience)
        device = stack.enter_context(learner)
        if device is None:
            raise MademError("a sensor is on a board: choose one")
        run.prepare(device)
        recorder = stack.enter_context(Recorder(options.out, _header(run))) if options.out else None
        if keys:
            stack.enter_context(keys)
            pairs = "  ".join(f"{k} {name}" for k, name in enumerate(run.classes[:9], 1))
            by_hand = "  k keep a copy  b go back to it" if options.gate else ""
            say(f"keys: {pairs}  0 none{by_hand}; Ctrl-C ends")
        say(run.load.verdict())
        stopped = stack.enter_context(_interrupts())
        began = time.monotonic()
        run.start()
        listener = _Listener(run, recorder, say)
        for batch in run.batches():
            listener.take(batch)
            if stopped() or (options.seconds and time.monotonic() - began > options.seconds):
                break
            if keys:
                listener.obey(keys.pressed())
        status = listener.status if options.leave else run.stop()
        wall = time.monotonic() - began
        if options.save:
            file.save(run.network(device.state()), options.save)
    return listener.summary(board, status) | {
        "wall_s": round(wall, 3),
        "load": run.load.share,
        "keeps_up": run.load.keeps_up,
    }


class _Listener:
    """Takes what a run tells, says it, records it and adds it up."""

    status: OnboardStatus

    def __init__(self, run: OnboardRun, recorder: Recorder | None, say: Say) -> None:
        self._run, self._recorder, self._say = run, recorder, say
        self._windows: list[WindowResult] = []
        self._accuracy = RunningAccuracy()
        self._samples = 0
        self._told: set[int] = set()

    def take(self, batch: OnboardBatch) -> None:
        """Take what the board has told."""
        run = self._run
        self.status = batch.status
        self._samples += len(batch.samples)
        if self._recorder:
            for sample in batch.samples:
                t_us = round(sample.number * 1e6 / run.live.rate_hz)
                self._recorder.add(t_us, sample.values, run.class_name(sample.label))
        for label in run.unknown_labels.keys() - self._told:
            self._told.add(label)
            self._say(
                f"label {label + 1} is no class: there are {len(run.classes)},"
                f" {', '.join(run.classes) or 'without names'}; such windows are not learned"
            )
        for window in batch.windows:
            self._windows.append(window)
            if window.right is not None:
                self._accuracy.add(window.right)
            label = run.class_name(window.label)
            accuracy = self._accuracy.value
            self._say(window_line(window, run.classes, label, batch.inputs, accuracy))

    def obey(self, keys: str) -> None:
        """Do what pressed keys ask for: label what comes, keep a checkpoint, go back to it."""
        run = self._run
        labels = [int(key) for key in keys if key.isdecimal() and int(key) <= len(run.classes)]
        if labels:
            run.live.label(labels[-1] - 1 if labels[-1] else None)
        if not run.options.gate:
            return
        for key in keys:
            if key == "k":
                steps = run.stream.ask_gate(GateRequest.CHECKPOINT).steps
                self._say(f"kept a copy after {steps} windows")
            elif key == "b":
                try:
                    at = run.stream.ask_gate(GateRequest.ROLLBACK).checkpoint_at
                    self._say(f"went back to the network after {at} windows")
                except DeviceError as error:
                    self._say(str(error))

    def summary(self, board: str, status: OnboardStatus) -> dict[str, Any]:
        """What came of the run, for JSON."""
        run, windows = self._run, self._windows
        labels = [w.label for w in windows if w.label is not None]
        tested = [w for w in windows if w.right is not None]
        truth, given = np.array([(w.label, w.answer) for w in tested], int).reshape(-1, 2).T
        scores = metrics.classification(truth, given, run.classes) if tested else None
        answers = [run.classes[w.answer] for w in windows if w.answer is not None]
        return {
            "board": board,
            "sensor": run.sensor.spec,
            "pipeline": str(run.pipeline),
            "channels": list(run.sensor.channels),
            "rate_hz": run.live.rate_hz,
            "samples": status.samples,
            "lost": status.lost,
            "windows": status.windows,
            "labelled": status.labelled,
            "right": status.right,
            "learned": sum(window.learned for window in windows),
            "forgotten": run.live.forgotten,
            "unknown_labels": dict(run.unknown_labels),
            "running_accuracy": self._accuracy.value,
            "no_change": metrics.no_change(labels) if labels else None,
            "per_class": scores["per_class"] if scores else {},
            "taught_in_blocks": run.options.learn and taught_in_blocks(labels),
            "answers": answers,
            "counts": dict(Counter(answers)),
            "scores": [window.score for window in windows if window.score is not None],
            "new_at_s": [window.t_s for window in windows if window.new],
            "samples_sent": self._samples,
        }


def _header(run: OnboardRun) -> Header:
    sensor = run.sensor
    return Header(
        sensor.channels, run.live.rate_hz, sensor.units, sensor.units_per_count,
        source=sensor.spec, started=now(),
    )  # fmt: skip


@contextlib.contextmanager
def _interrupts() -> Iterator[Callable[[], bool]]:
    """Remember a Ctrl-C, so that what is under way on the link ends well; a second one is not."""
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
