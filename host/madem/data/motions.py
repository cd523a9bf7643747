"""The task `motions`: what a wrist does, from accelerometer and gyroscope.

BasicMotions of the UEA archive (Bagnall et al., arXiv:1811.00075): four students wore a watch
and stood, walked, ran and played badminton; 40 + 40 recordings of 10 s, six channels at 10 Hz.
The data are those that the Python package `aeon` (BSD-3) carries; the package itself is not used.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np

from madem.data.files.counts import saturated
from madem.data.files.read import read
from madem.data.labelled import spans
from madem.data.stream_task import Segment, StreamTask, parse_pipeline, stream_task
from madem.errors import TaskError

RATE_HZ = 10.0
CHANNELS = ("acc x", "acc y", "acc z", "gyro x", "gyro y", "gyro z")
SCALE = 1 / 512
"""Units of the data per count: the largest training value, 34.9, is 17,851 of 32,767 counts."""
PIPELINE = "window=40 hop=20 | mean energy zero minmax bands:4 | norm:8"
"""Chosen by four-fold validation within the training recordings."""


def load(seed: int, pipeline: str | None = None) -> StreamTask:
    """Load the task with its official split.

    Args:
        seed: of the order in which recordings come.
        pipeline: another pipeline than `PIPELINE`.

    Returns:
        The task.

    Raises:
        TaskError: the data are not installed, or the pipeline can't be.
    """
    chosen = parse_pipeline(pipeline or PIPELINE, len(CHANNELS))
    folder = _folder()
    scale = np.full(len(CHANNELS), SCALE)
    parts = [read(folder / f"BasicMotions_{part}.ts", learn=True) for part in ("TRAIN", "TEST")]
    segments = [
        [Segment(saturated(part.x[s.begin : s.end], scale), s.label) for s in spans(part)]
        for part in parts
    ]
    return stream_task(
        "motions",
        chosen,
        *segments,
        seed=seed,
        class_names=parts[0].class_names,
        channel_names=CHANNELS,
        scale=scale,
        rate_hz=RATE_HZ,
    )


def _folder() -> Path:
    """Where aeon keeps the recordings; it is found, not imported."""
    spec = importlib.util.find_spec("aeon")
    for place in (spec.submodule_search_locations if spec else None) or ():
        folder = Path(place) / "datasets" / "data" / "BasicMotions"
        if folder.is_dir():
            return folder
    raise TaskError(
        "the recordings of motions come with the package aeon: run"
        " `pip install --no-deps 'aeon>=1.0,<2'` (only its data are used)"
    )
