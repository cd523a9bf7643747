"""The work bench and boards on it."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from madem.flash import board

from .bench import Bench, UnixBoard


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bench:
    """A computer to which nothing is attached, and on which no flashing program is installed."""
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    return Bench(tmp_path, monkeypatch)


@pytest.fixture
def unix_board(tmp_path: Path) -> Iterator[UnixBoard]:
    """A board that runs MicroPython and has a boot loader."""
    one = UnixBoard(tmp_path / "flash")
    yield one
    one.close()


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """For what never comes: waits are short."""
    for name in ("RESTART_SECONDS", "BUTTON_SECONDS", "_FIRST_START_SECONDS"):
        monkeypatch.setattr(board, name, 0.3)
