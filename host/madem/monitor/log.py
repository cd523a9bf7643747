"""What happened to a board, as a file with one JSON object a line."""

from __future__ import annotations

import json
import re
from pathlib import Path
from types import TracebackType
from typing import Any

from madem import output


class BoardLog:
    """A board's own file; a context manager. Lines are in it as soon as they are written."""

    def __init__(self, folder: Path, number: int, board: str) -> None:
        """Begin the file `NUMBER-BOARD.jsonl`; one that is there is replaced.

        Args:
            folder: where the file goes; it is made.
            number: of the board.
            board: its name.

        Raises:
            MademError: it can't be written.
        """
        output.check_folder(folder)
        name = re.sub(r"[^A-Za-z0-9.=-]+", "_", board).strip("_")
        self.path = folder / f"{number}-{name}.jsonl"
        try:
            self._file = self.path.open("w", encoding="utf-8", buffering=1)
        except OSError as error:
            raise output.refused(self.path, error) from None

    def __enter__(self) -> BoardLog:
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: object, _trace: TracebackType | None
    ) -> None:
        self._file.close()

    def write(self, event: dict[str, Any]) -> None:
        """Write one line more.

        Args:
            event: what JSON can hold.
        """
        self._file.write(json.dumps(event) + "\n")
