"""What all tests need, and what becomes of a test whose judge is missing.

A test names what it can't do without in its marker `needs`; no other skip exists. On a user's
computer it is skipped, and the summary at the end has the command that mends it. With
MADEM_NO_SKIP=1, as in .ci/run, it fails.
"""

import functools
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from madem.boards.deploy import deploy
from madem.boards.open import open_board, why_no_emulated_board

# A script that starts the tests in the background has them ignore Ctrl-C, and so would the
# programs that they interrupt.
signal.signal(signal.SIGINT, signal.default_int_handler)

# No test asserts a time: a busy computer may take as long as it likes for an example.
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")

_BROWSERS = ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome")
CHROMIUM = next(filter(None, map(shutil.which, _BROWSERS)), None)
MICROBIT_FIRMWARE = Path("/usr/share/firmware-microbit-micropython/firmware.hex")

SEED = int(os.environ.get("MADEM_SEED", "1"))
"""What longer proofs draw from: of `make long SEED=1`."""

_BOARDS = ("unix", "unix32", "qemu", "rp2040")
_PREPARE = "emulator/prepare/build_micropython.sh"
# Debian's packages, and whether what they bring is there.
_PACKAGES = {
    "ngspice": shutil.which("ngspice"),
    "chromium-headless-shell": CHROMIUM,
    "qemu-system-arm": shutil.which("qemu-system-arm"),
    "firmware-microbit-micropython": MICROBIT_FIRMWARE.is_file(),
    "bash": shutil.which("bash"),
    "zsh": shutil.which("zsh"),
    "fish": shutil.which("fish"),
}


@functools.cache
def _missing(name: str) -> str | None:
    """Why a test can't have `name`, and the command that mends it; None when it can."""
    if name in _PACKAGES:
        return None if _PACKAGES[name] else f"{name} is missing: sudo apt-get install {name}"
    board = name.removeprefix("frozen ")
    if board not in _BOARDS:
        raise ValueError(f"no test can need {name!r}")
    reason = why_no_emulated_board(board)
    if reason or board == name:
        return reason
    with open_board(board) as opened:
        if deploy(opened, dry_run=True).form == "frozen":
            return None
    return f"another firmware is frozen into the board {board}: run {_PREPARE} {board}"


def pytest_configure(config: pytest.Config) -> None:
    names = ", ".join([*_BOARDS, *(f"frozen {board}" for board in _BOARDS[1:]), *_PACKAGES])
    config.addinivalue_line("markers", f"needs(*names): what a test can't do without: {names}")


def pytest_runtest_setup(item: pytest.Item) -> None:
    for marker in item.iter_markers("needs"):
        for reason in filter(None, map(_missing, marker.args)):
            if os.environ.get("MADEM_NO_SKIP"):
                pytest.fail(reason, pytrace=False)
            pytest.skip(reason)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files with slow tests first, so that no process ends with one while the others wait."""
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: item.path not in slow)


@pytest.fixture
def port() -> Iterator[str]:
    """The port of an emulated board that outlives its users, without firmware."""
    madem = Path(sys.executable).with_name("madem")
    with subprocess.Popen(
        [madem, "boards", "--start", "unix"],
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as process:
        assert process.stdout
        try:
            yield process.stdout.readline().strip()
        finally:
            process.send_signal(signal.SIGINT)
            assert process.wait(120) == 0
