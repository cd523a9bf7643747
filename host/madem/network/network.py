"""What a network is: integers, names, units, scaling, classes, and how it came about."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from madem.data.match import Taught
from madem.data.scaling import Scaling
from madem.errors import TaskError
from madem.learners.state import NetworkState
from madem_emulator.twin.pipeline import Pipeline, parse


@dataclass(frozen=True)
class Column:
    """One input that is a column of a table.

    Attributes:
        name: as in the data.
        unit: of its values; "" where it is not known.
        decimals, low, high, origin: see `Scaling`.
    """

    name: str
    unit: str
    decimals: int
    low: int
    high: int
    origin: float = 0.0


@dataclass(frozen=True)
class Channel:
    """One channel of a stream.

    Attributes:
        name, unit: as for a `Column`.
        scale: units per count of the samples that the board is sent.
    """

    name: str
    unit: str
    scale: float


@dataclass(frozen=True)
class TableInputs:
    """Inputs that are the columns of a table.

    Attributes:
        columns: in the order of the inputs.
    """

    columns: tuple[Column, ...]

    @property
    def names(self) -> tuple[str, ...]:
        """Of the columns."""
        return tuple(column.name for column in self.columns)

    @property
    def scaling(self) -> Scaling:
        """From values (samples, columns) to DAC codes."""
        columns = self.columns
        return Scaling(
            np.array([column.low for column in columns], np.int64),
            np.array([column.high for column in columns], np.int64),
            np.array([column.decimals for column in columns], np.int64),
            np.array([column.origin for column in columns], np.float64),
            fitted=True,
        )

    @classmethod
    def of(
        cls, scaling: Scaling, names: Sequence[str], units: Sequence[str] | None = None
    ) -> TableInputs:
        """Make columns of their names and their scaling.

        Args:
            scaling: of all columns.
            names: of the columns.
            units: of the columns; None: not known.

        Returns:
            The inputs.
        """
        units = units or [""] * len(names)
        return cls(
            tuple(
                Column(name, unit, int(d), int(low), int(high), float(origin))
                for name, unit, d, low, high, origin in zip(
                    names,
                    units,
                    scaling.decimals,
                    scaling.low,
                    scaling.high,
                    scaling.origin,
                    strict=True,
                )
            )
        )


@dataclass(frozen=True)
class StreamInputs:
    """Inputs that a board computes from a stream of samples.

    Attributes:
        channels: of a sample.
        pipeline: the line of docs/reference/features.md.
        normalisation: its state, as READ of docs/reference/link.md gives it.
        rate_hz: samples a second; None where it is not known.
    """

    channels: tuple[Channel, ...]
    pipeline: str
    normalisation: bytes
    rate_hz: float | None = None

    @property
    def names(self) -> tuple[str, ...]:
        """Of the channels."""
        return tuple(channel.name for channel in self.channels)

    @property
    def named(self) -> bool:
        """Whether the channels are known by more than their number: not of old files."""
        return self.names != tuple(f"channel {k}" for k in range(1, len(self.channels) + 1))


@dataclass(frozen=True)
class WordInputs:
    """Inputs that are the dots of a word in Braille, and lines that carry its label.

    Attributes:
        label_lines: inputs for each word's label; 0: none.
    """

    label_lines: int

    @property
    def names(self) -> tuple[str, ...]:
        """Dots have none."""
        return ()


Inputs = TableInputs | StreamInputs | WordInputs


@dataclass(frozen=True)
class Network:
    """A network that can be used, saved and taught on.

    Attributes:
        state: its integers.
        classes: names of the outputs, or of the words; () where nobody said.
        inputs: what goes in; None where nobody said.
        notes: what else is told of it, ready for JSON: "label" (name of the label), "training",
            "test", "preset", "frontend", "design" (of the board of chips).
        on_board: what a board goes on from: the sections RATE, GATE, SRCE and SAVE of
            docs/reference/network_file.md by their tags, those that are known.
    """

    state: NetworkState
    classes: tuple[str, ...] = ()
    inputs: Inputs | None = None
    notes: dict[str, Any] = field(default_factory=dict, compare=False)
    on_board: Mapping[bytes, bytes] = field(default_factory=dict)

    @property
    def names(self) -> tuple[str, ...]:
        """Of the classes; numbers where nobody named them."""
        return self.classes or tuple(map(str, range(self.state.config.sizes[-1])))

    @property
    def recalls(self) -> bool:
        """Whether it gives back words; otherwise it tells classes apart."""
        return not self.state.config.one_hot

    @property
    def pipeline(self) -> str:
        """The line of what a board computes from a stream; "" of a network that takes none."""
        return self.inputs.pipeline if isinstance(self.inputs, StreamInputs) else ""

    @property
    def chips(self) -> bool:
        """Whether it was learned by devices behind chips, which were then measured."""
        return self.notes.get("frontend") == "attached"

    @property
    def knows_inputs(self) -> bool:
        """Whether its inputs are known by more than their number: not of old files."""
        if isinstance(self.inputs, StreamInputs):
            return self.inputs.named
        return self.inputs is not None

    @property
    def task_pipeline(self) -> Pipeline | None:
        """What a board computes from a stream, with its channels; None of one that takes none."""
        if not isinstance(self.inputs, StreamInputs):
            return None
        return parse(self.inputs.pipeline, len(self.inputs.channels))

    @property
    def label(self) -> str:
        """Name of the label's column; "" where it is not known."""
        return str(self.notes.get("label", ""))

    @property
    def taught(self) -> Taught:
        """The columns, classes and scale that new data have to fit.

        Raises:
            TaskError: it is not known what the inputs are, or they are no columns.
        """
        if isinstance(self.inputs, TableInputs):
            columns = self.inputs.columns
            return Taught(
                self.inputs.names,
                tuple(column.unit for column in columns),
                self.classes,
                self.label,
                scaling=self.inputs.scaling,
            )
        if isinstance(self.inputs, StreamInputs):
            channels = self.inputs.channels
            return Taught(
                self.inputs.names,
                tuple(channel.unit for channel in channels),
                self.classes,
                self.label,
                scale=np.array([channel.scale for channel in channels]),
            )
        if isinstance(self.inputs, WordInputs):
            raise TaskError("the network was taught with words in Braille, not with columns")
        raise TaskError(
            "the network does not know its columns: an older madem saved it; `madem learn DATA"
            " --load NET --refit --epochs 0 --save NEW` finds them in data like those it was taught"
        )
