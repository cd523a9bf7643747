"""The windows of a stream that is not a task: cut by the network's own pipeline."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from madem.data.stream_task import StreamWindows
from madem_emulator.twin.pipeline import Pipeline

Counts = NDArray[np.int16]


class Windows(StreamWindows):
    """Windows of rows of samples.

    Attributes:
        ends: row of the last sample of each window, int64 (windows,).
    """

    def __init__(self, pipeline: Pipeline, counts: Counts, joins: NDArray[np.bool_]) -> None:
        """
        Args:
            pipeline: what cuts the windows.
            counts: samples, int16 (rows, channels).
            joins: whether a row follows on the one before without a gap, bool (rows,).
        """
        gaps = np.flatnonzero(~joins)
        begins = [0, *gaps[gaps > 0].tolist()]
        runs = np.split(counts, begins[1:])
        super().__init__(pipeline, runs)
        ends = [
            begin + pipeline.window - 1 + pipeline.hop * np.arange(pipeline.windows(len(run)))
            for begin, run in zip(begins, runs, strict=True)
        ]
        self.ends = np.concatenate(ends).astype(np.int64)

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
