"""The task `motions`: what a wrist does, from accelerometer and gyroscope.

BasicMotions of the UEA archive (Bagnall et al., arXiv:1811.00075): four students wore a watch
and stood, walked, ran and played badminton; 40 + 40 recordings of 10 s, six channels at 10 Hz.
The data are those that the Python package `aeon` (BSD-3) carries; the package itself is not used.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from madem.data import labelled
from madem.data.stream_task import Segment, StreamTask, counts, stream_task
from madem.errors import TaskError
from madem_emulator.twin.pipeline import Pipeline, PipelineError, parse

RATE_HZ = 10.0
CHANNELS = ("acc x", "acc y", "acc z", "gyro x", "gyro y", "gyro z")
SCALE = 1 / 512
"""Units of the data per count: the largest training value, 34.9, is 17,851 of 32,767 counts."""
PIPELINE = "window=40 hop=20 | mean energy zero minmax bands:4 | norm:8"
"""Chosen by four-fold validation within the training recordings."""


def load(seed: int, pipeline: str | None = None) -> StreamTask:
    """The task with its official split.

    Args:
        seed: of the order in which recordings come.
        pipeline: another pipeline than `PIPELINE`.

    Raises:
        TaskError: the data are not installed, or the pipeline can't be.
    """
    chosen = _pipeline(pipeline, len(CHANNELS))
    folder = _folder()
    parts = [read_ts(folder / f"BasicMotions_{part}.ts") for part in ("TRAIN", "TEST")]
    class_names = tuple(sorted(set(parts[0][1])))
    scale = np.full(len(CHANNELS), SCALE)
    train, test = (
        [
            Segment(counts(recording, scale), class_names.index(label))
            for recording, label in zip(*part, strict=True)
        ]
        for part in parts
    )
    return stream_task(
        "motions",
        chosen,
        train,
        test,
        seed=seed,
        class_names=class_names,
        channel_names=CHANNELS,
        scale=scale,
        rate_hz=RATE_HZ,
    )


def load_source(
    path: Path,
    pipeline: str | None,
    target: str | int | None,
    seed: int,
    test_fraction: float,
) -> StreamTask:
    """The same task from a labelled stream of the user's own.

    Of each labelled segment the last share in time is for the test: what comes later is predicted
    from what came before. Values that are no counts are scaled so that the largest of a channel
    in the training part is a quarter of the range.

    Args:
        path: a recording of madem, or a CSV or NPZ file whose rows follow one another in time.
        pipeline: another pipeline than `PIPELINE`.
        target: the label column or array; default: the last column, `label` in a recording.
        seed: of the order in which segments come.
        test_fraction: the share.

    Raises:
        TaskError: the file, its labels or the pipeline can't be used.
    """
    if not 0 < test_fraction < 1:
        raise TaskError(f"the test fraction must be between 0 and 1, not {test_fraction}")
    stream = labelled.read(path, target)
    chosen = _pipeline(pipeline, stream.values.shape[1])
    parts: tuple[list[labelled.Piece], list[labelled.Piece]] = ([], [])
    for piece in stream.pieces:
        cut = piece.begin + round((piece.end - piece.begin) * (1 - test_fraction))
        parts[0].append(piece._replace(end=cut))
        parts[1].append(piece._replace(begin=cut))
    scale = stream.scale
    if scale is None:
        largest = np.max(
            [abs(stream.values[p.begin : p.end]).max(axis=0) for p in parts[0]], axis=0
        )
        scale = np.where(largest > 0, largest, 1.0) / 8192
    train, test = (
        [Segment(counts(stream.values[p.begin : p.end], scale), p.label) for p in part]
        for part in parts
    )
    return stream_task(
        path.name,
        chosen,
        train,
        test,
        seed=seed,
        class_names=stream.class_names,
        channel_names=stream.channel_names,
        scale=scale,
        rate_hz=stream.rate_hz,
        test_fraction=test_fraction,
    )


def read_ts(path: Path) -> tuple[list[NDArray[np.float64]], list[str]]:
    """Recordings, float64 (samples, channels), and their labels, from a file of the archive.

    After the line `@data`, each line is one recording: channels separated by `:`, the values of a
    channel by `,`, and the label behind the last channel.

    Raises:
        TaskError: the file is not of this format.
    """
    recordings, labels = [], []
    try:
        lines = path.read_text().splitlines()
        begin = [line.strip().lower() for line in lines].index("@data") + 1
        for line in filter(None, lines[begin:]):
            *channels, label = line.split(":")
            recordings.append(np.array([np.fromstring(c, sep=",") for c in channels]).T)
            labels.append(label.strip())
    except (OSError, ValueError):
        raise TaskError(f"{path} is not a time-series file that madem can read") from None
    return recordings, labels


def _pipeline(text: str | None, channels: int) -> Pipeline:
    try:
        return parse(text or PIPELINE, channels)
    except PipelineError as error:
        raise TaskError(str(error)) from None


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
