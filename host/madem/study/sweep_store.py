"""Where a sweep keeps its results: one line of JSON a point, appended as soon as it is known.

A line is written whole and synced, so whatever ends the sweep costs at most the points that were
under way; a line cut short by a crash is dropped when the file is opened again.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType
from typing import IO, Any

from madem import json_text, output
from madem.errors import MademError

_FORMAT = 1


@dataclass(frozen=True)
class Outcome:
    """The result of a point.

    Attributes:
        key: of the point.
        score: share of the test set that is right, 0…1; None if the point failed.
        pulses: to each coupling in the whole training, in the mean; None if the point failed.
        error: why it failed; "" if it did not.
        seconds: that a worker spent on it. Not reproducible, so it is in no table.
    """

    key: str
    score: float | None
    pulses: float | None
    error: str
    seconds: float


def _outcome(row: Any) -> Outcome:
    """A line's result.

    Raises:
        TypeError: it is none.
    """
    outcome = Outcome(**row)
    texts, numbers = (outcome.key, outcome.error), (outcome.score, outcome.pulses)
    right = all(isinstance(text, str) for text in texts) and isinstance(outcome.seconds, float)
    if not right or not all(x is None or isinstance(x, float) for x in numbers):
        raise TypeError
    return outcome


class Store:
    """The results of one sweep in a file. Use it as a context.

    Attributes:
        outcomes: by key, the last one of each point.
    """

    def __init__(self, path: Path, context: str, what: str) -> None:
        """Open the file, or begin it.

        Args:
            path: in a folder that exists.
            context: `SweepPlan.context`: results of another one are refused.
            what: says to a person what the sweep is.

        Raises:
            MademError: the file holds another sweep, or the file can't be read or written.
        """
        self.path = path
        self.outcomes: dict[str, Outcome] = {}
        try:
            self._file: IO[bytes] = self.path.open("a+b")
            self._read(context, what)
        except OSError as error:
            raise MademError(f"can't use {self.path}: {error.strerror or error}") from None

    def __enter__(self) -> Store:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._file.close()

    def add(self, outcomes: Iterable[Outcome]) -> None:
        """Keep results; they outlive a crash as soon as this returns.

        Args:
            outcomes: of points.

        Raises:
            DiskError: the disk refuses.
        """
        new = list(outcomes)
        try:
            self._write("".join(json.dumps(asdict(outcome)) + "\n" for outcome in new))
        except OSError as error:
            raise output.refused(self.path, error) from None
        self.outcomes |= {outcome.key: outcome for outcome in new}

    def _read(self, context: str, what: str) -> None:
        self._file.seek(0)
        data = self._file.read()
        whole = data.rfind(b"\n") + 1
        lines = data[:whole].splitlines()
        begin = json.dumps({"format": _FORMAT, "context": context, "sweep": what}) + "\n"
        if not lines and begin.encode().startswith(data):  # new, or a crash has cut its first line
            self._file.truncate(0)
            self._write(begin)
            return
        try:
            head, *rows = [json_text.parse(line) for line in lines]
            found = head["format"], head["context"], head["sweep"]
            self.outcomes = {outcome.key: outcome for outcome in map(_outcome, rows)}
        except (ValueError, TypeError, KeyError):
            raise MademError(
                f"{self.path} is damaged or of another program: choose another --out"
            ) from None
        if found[:2] != (_FORMAT, context):
            raise MademError(
                f"{self.path} holds another sweep ({found[2]}), not {what}:"
                " choose another --out, or remove the file"
            )
        self._file.truncate(whole)  # what a crash has cut short

    def _write(self, text: str) -> None:
        self._file.write(text.encode())
        self._file.flush()
        os.fsync(self._file.fileno())
