"""A board that learns from its own sensor: SOURCE and LIVE of docs/reference/link.md.

The board goes on by itself; the host only starts it and asks now and then.
"""

from __future__ import annotations

import struct
import time
from collections.abc import Iterator
from typing import NamedTuple

from madem.boards.link_protocol import (
    LIVE_ASK,
    LIVE_LABEL,
    LIVE_RAW,
    LIVE_START,
    LIVE_STATUS,
    LIVE_WINDOW,
    LOST,
    NO_LABEL,
    SOURCE_REPLY,
    Gives,
    Kind,
    LiveRequest,
    Outcome,
)
from madem.errors import MademError
from madem.learners.board import BoardLearner
from madem.learners.stream import BoardStream
from madem.stream.sensors import Sensor
from madem.stream.windows import WindowResult
from madem_emulator.twin.pipeline import Pipeline

_WAIT_MS = 100
"""The board may keep a question waiting so long for a window: less than the link's patience."""


class OnboardStatus(NamedTuple):
    """Counters of a run.

    Attributes:
        running: it goes on.
        samples: sample times passed since its start, lost ones included.
        lost: samples that nobody took.
        windows: that were whole.
        labelled: windows with a known class.
        right: of those, how many were answered right before they were learned.
    """

    running: bool
    samples: int
    lost: int
    windows: int
    labelled: int
    right: int


class RawSample(NamedTuple):
    """A sample that was asked for.

    Attributes:
        number: counts the sample times of the run, from 0.
        label: class, or None.
        values: a count for each channel.
    """

    number: int
    label: int | None
    values: tuple[int, ...]


class Live:
    """A board and its sensor. Nothing is sent before the first call.

    Attributes:
        device: the board, with a network for everything but features.
        sensor: what it measures with.
        pipeline: what it makes of that.
        rate_hz: what the sensor can do of the rate that was asked for.
        forgotten: windows that the board no longer remembered when it was asked for them.
    """

    def __init__(self, device: BoardLearner, sensor: Sensor, pipeline: Pipeline) -> None:
        """Plan a run; nothing is sent yet.

        Args:
            device: the board, with a network for everything but features.
            sensor: what it measures with.
            pipeline: what it makes of that.
        """
        self.device, self.sensor, self.pipeline = device, sensor, pipeline
        self.rate_hz = sensor.rate_hz
        self.forgotten = 0
        self._next = 0
        self._next_raw = 0

    def prepare(self) -> BoardStream:
        """Choose the sensor and set the pipeline up.

        Returns:
            What reads the pipeline's normalisation.

        Raises:
            DeviceError: the sensor does not answer (8), or the board can't do this.
            MademError: the sensor has other channels than the pipeline.
        """
        reply = self.device.link.request(Kind.SOURCE, self.sensor.packed(), timeout=20.0)
        channels, rate = SOURCE_REPLY.unpack(reply)
        if channels != self.pipeline.channels:
            raise MademError(
                f"{self.sensor.name} gives {channels} channels, the pipeline takes"
                f" {self.pipeline.channels}"
            )
        self.rate_hz = rate / 1000
        return BoardStream(self.device, self.pipeline)

    def start(
        self, mode: int, *, rate: int = 0, pulses_per_update: int = 1, flags: int = 0, raw: int = 0
    ) -> None:
        """Begin a run, after `prepare`.

        Args:
            mode: as in a `Presentation`.
            rate: as in a `Presentation`.
            pulses_per_update: as in a `Presentation`.
            flags: as in a `Presentation`; TRACED and RESTART are not possible.
            raw: newest samples that the board keeps for `raw`; 0: none can be asked for.
        """
        payload = LIVE_START.pack(LiveRequest.START, mode, flags, rate, pulses_per_update, raw)
        self.device.link.request(Kind.LIVE, payload, timeout=20.0)
        self._next = self._next_raw = self.forgotten = 0

    def stop(self) -> OnboardStatus:
        """End the run."""
        return self._ask(bytes([LiveRequest.STOP]))[0]

    def label(self, label: int | None) -> None:
        """Tell the board what the samples from now on mean.

        Args:
            label: a class; None: none.
        """
        self._ask(LIVE_LABEL.pack(LiveRequest.LABEL, NO_LABEL if label is None else label))

    def status(self) -> OnboardStatus:
        """Ask how far the run is."""
        return self._ask(LIVE_ASK.pack(LiveRequest.ASK, 0xFFFFFFFF, 0))[0]

    def new(self, wait_ms: int = 0) -> tuple[OnboardStatus, list[WindowResult]]:
        """Ask for the windows since the last time.

        Args:
            wait_ms: that the board may wait for one, at most 1000.

        Returns:
            How far the run is, and the windows.
        """
        status, first, rows, gives = self._ask(LIVE_ASK.pack(LiveRequest.ASK, self._next, wait_ms))
        if rows:
            self.forgotten += first - self._next
            self._next = first + len(rows)
        return status, [self._window(first + k, gives, *row) for k, row in enumerate(rows)]

    def windows(self, seconds: float | None = None) -> Iterator[WindowResult]:
        """Ask for windows as they come.

        Args:
            seconds: for so long; None: until the run ends.

        Yields:
            The windows.
        """
        end = None if seconds is None else time.monotonic() + seconds
        while end is None or time.monotonic() < end:
            status, found = self.new(_WAIT_MS)
            yield from found
            if not status.running and not found:
                return

    def raw(self) -> list[RawSample]:
        """Ask for the samples since the last time, of a run that was started with `raw`.

        Returns:
            The samples; lost ones are not among them.
        """
        found = []
        width = 2 * self.pipeline.channels
        while True:
            reply = self.device.link.request(
                Kind.LIVE, LIVE_RAW.pack(LiveRequest.RAW, self._next_raw)
            )
            first = int.from_bytes(reply[:4], "little")
            rows = range(4, len(reply), width + 1)
            for number, at in enumerate(rows, first):
                label = reply[at]
                values = struct.unpack_from(f"<{self.pipeline.channels}h", reply, at + 1)
                if label != LOST:
                    found.append(RawSample(number, None if label == NO_LABEL else label, values))
            self._next_raw = first + len(rows)
            if not rows:
                return found

    def _window(
        self, number: int, gives: int, at: int, label: int, flags: int, value: int
    ) -> WindowResult:
        classes = gives == Gives.CLASSES
        return WindowResult(
            number=number,
            t_s=at / self.rate_hz,
            answer=value & 255 if classes else None,
            margin=value >> 8 & 255 if classes else None,
            label=None if label == NO_LABEL else label,
            learned=bool(flags & Outcome.LEARNED),
            rolled_back=bool(flags & Outcome.ROLLBACK),
            score=value if gives == Gives.SCORES else None,
        )

    def _ask(
        self, payload: bytes
    ) -> tuple[OnboardStatus, int, list[tuple[int, int, int, int]], int]:
        """Counters, the number of the first window told, windows, and what they give."""
        reply = self.device.link.request(Kind.LIVE, payload, timeout=20.0)
        state, *counters, first, _ = LIVE_STATUS.unpack_from(reply)
        rows = list(LIVE_WINDOW.iter_unpack(reply[LIVE_STATUS.size :]))
        status = OnboardStatus(bool(state & 1), *counters)
        return status, first, rows, state >> 1
