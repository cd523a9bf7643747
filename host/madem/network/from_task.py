"""The network that has learned a task: its integers, and what the task knows of its inputs."""

from __future__ import annotations

from typing import Any

from madem.data.stream_task import StreamTask
from madem.data.task import Task
from madem.learners.state import NetworkState
from madem.network.network import (
    Channel,
    Inputs,
    Network,
    StreamInputs,
    TableInputs,
    WordInputs,
)


def from_task(task: Task, state: NetworkState, notes: dict[str, Any]) -> Network:
    """Make a network as it goes into a file.

    Args:
        task: what it has learned.
        state: its integers; of a stream also the normalisation, in `state.notes`.
        notes: what else is to be told of it, ready for JSON.

    Returns:
        The network.
    """
    return Network(state, task.class_names, inputs_of(task, state), notes)


def inputs_of(task: Task, state: NetworkState) -> Inputs:
    """Describe what goes into a network of a task.

    Args:
        task: that it learns.
        state: of the network; of a stream its normalisation is taken from it.

    Returns:
        The inputs.
    """
    if task.patterns is not None:
        return WordInputs(task.label_lines)
    features = task.reading.features if task.reading else ()
    if isinstance(task, StreamTask):
        units = [feature.unit for feature in features] or [""] * len(task.channel_names)
        return StreamInputs(
            tuple(
                Channel(name, unit, float(scale))
                for name, unit, scale in zip(task.channel_names, units, task.scale, strict=True)
            ),
            str(task.pipeline),
            bytes.fromhex(state.notes["normalisation"]),
            task.rate_hz,
        )
    units = [feature.unit for feature in features] or None
    return TableInputs.of(task.scaling, task.feature_names, units)
