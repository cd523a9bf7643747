"""The windows of a stream that is not a task: cut by the network's own pipeline."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from madem.data.stream_task import WindowSamples
from madem_emulator.twin.pipeline import Pipeline

Counts = NDArray[np.int16]


class Windows:
    """Windows of runs of samples, numbered through all runs. A learner of streams takes them.

    Attributes:
        pipeline: what cuts them.
        ends: row of the last sample of each window, int64 (windows,), counted through the rows of
            which `runs` were made.
    """

    def __init__(self, pipeline: Pipeline, counts: Counts, joins: NDArray[np.bool_]) -> None:
        """
        Args:
            pipeline: what cuts the windows.
            counts: samples, int16 (rows, channels).
            joins: whether a row follows on the one before without a gap, bool (rows,).
        """
        self.pipeline = pipeline
        begins = np.flatnonzero(~joins)
        if not len(begins) or begins[0]:
            begins = np.concatenate([[0], begins])
        bounds = [*begins.tolist(), len(counts)]
        self._runs: list[Counts] = []
        first, ends = [0], []
        for begin, end in pairwise(bounds):
            windows = pipeline.windows(end - begin)
            self._runs.append(counts[begin:end])
            first.append(first[-1] + windows)
            ends.append(begin + pipeline.window - 1 + pipeline.hop * np.arange(windows))
        self._first = np.array(first)
        self.ends = np.concatenate(ends).astype(np.int64)

    def __len__(self) -> int:
        return len(self.ends)

    def window_samples(self, window: int) -> WindowSamples:
        """The samples that complete a window: see `StreamTask.window_samples`."""
        run = int(np.searchsorted(self._first, window, side="right")) - 1
        k = window - int(self._first[run])
        end = self.pipeline.window + k * self.pipeline.hop
        begin = end - self.pipeline.hop if k else 0
        return WindowSamples(self._runs[run][begin:end], k == 0)

    def names(self) -> NDArray[np.uint8]:
        """What names each window to a learner, uint8 (windows, 4): see `StreamTask.feed`."""
        return np.arange(len(self), dtype="<u4").view(np.uint8).reshape(-1, 4)

    def labels(self, y: Sequence[int] | NDArray[np.int64]) -> NDArray[np.int64]:
        """The class of each window, int64 (windows,): that of all its rows, or -1 where they are
        of several or of none.

        Args:
            y: class of each row, (rows,); -1: none.
        """
        y = np.asarray(y, np.int64)
        rows = self.ends[:, None] + np.arange(1 - self.pipeline.window, 1)
        inside = y[rows]
        return np.where((inside == inside[:, :1]).all(axis=1), inside[:, 0], -1)
