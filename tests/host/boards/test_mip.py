"""`mpremote mip install firmware/package.json`, for people who use mpremote alone."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from madem import __version__
from madem.boards.deploy import deploy, start
from madem.boards.open import Board
from madem.boards.repl import open_port
from madem.learners.board import connect

pytestmark = pytest.mark.needs("unix")

FIRMWARE = Path(__file__).parents[3] / "firmware"


def test_the_package_names_every_module_and_the_version() -> None:
    package = json.loads((FIRMWARE / "package.json").read_text())
    modules = sorted(f"madem/{path.name}" for path in (FIRMWARE / "madem").glob("*.py"))
    assert package == {"version": __version__, "urls": [[path, path] for path in modules]}


def test_mpremote_installs_it_and_it_runs(port: str) -> None:
    subprocess.run(
        [
            *(sys.executable, "-m", "mpremote", "connect", port),
            *("mip", "install", str(FIRMWARE / "package.json")),
            *("+", "cp", str(FIRMWARE / "main.py"), ":main.py"),
        ],
        check=True,
        capture_output=True,
        timeout=300,
    )
    with Board(port, open_port(port)) as board:
        start(board)
        device = connect(board, deploy_firmware=False)
        assert device.hello.firmware == __version__
        device.stop()
        # What madem deploys goes beside it and before it.
        deployed = deploy(board)
        assert deployed.unchanged == ("main.py",)
        start(board)
        assert connect(board, deploy_firmware=False).hello.firmware == __version__
