"""What a network has learned, and all that is needed to go on from it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from madem.errors import TaskError
from madem_emulator.twin.config import WINDOW, Config
from madem_emulator.twin.pipeline import Pipeline


@dataclass(frozen=True)
class NetworkState:
    """What a device has learned, and all that is needed to go on from it.

    Attributes:
        config: the integers it computes with, its seed among them.
        steps: training samples so far.
        devices, accumulators: bytes of each weight layer, laid out as in
            docs/reference/arithmetic.md.
        notes: what the numbers mean; not part of what makes two states equal.
        physical: of devices in siemens, what bytes don't tell, by name; not part of it either.
    """

    config: Config
    steps: int
    devices: tuple[bytes, ...]
    accumulators: tuple[bytes, ...]
    notes: dict[str, Any] = field(default_factory=dict, compare=False)
    physical: Mapping[str, NDArray[Any]] | None = field(default=None, compare=False)


def deviations(wanted: NetworkState, found: NetworkState) -> NDArray[np.float64]:
    """Compare the devices of a state with those that were measured.

    Args:
        wanted: what was learned, counted as chips measure it.
        found: of the same network.

    Returns:
        How far each is above what is wanted, as a fraction of its window, (devices,).
    """
    one, other = (
        np.frombuffer(b"".join(state.devices), np.uint8).astype(np.int64)
        for state in (wanted, found)
    )
    return (other - one) / WINDOW


def stream_notes(pipeline: Pipeline, normalisation: bytes) -> dict[str, Any]:
    """Make the notes that hold a stream.

    Args:
        pipeline: that the network learned from.
        normalisation: its state, as in docs/reference/link.md.

    Returns:
        The notes.
    """
    return {"pipeline": str(pipeline), "normalisation": normalisation.hex()}


def normalisation_of(state: NetworkState, pipeline: Pipeline) -> bytes:
    """Read the state of the normalisation from the notes.

    Args:
        state: of a network that has learned from a stream.
        pipeline: that it is to go on with.

    Returns:
        The bytes of docs/reference/link.md.

    Raises:
        TaskError: it has learned from another one, or from none.
    """
    notes = state.notes
    if notes.get("pipeline") != str(pipeline):
        raise TaskError(
            f"the saved network has learned from {notes.get('pipeline') or 'no stream'},"
            f" not from {pipeline}"
        )
    return bytes.fromhex(notes["normalisation"])
