"""`mpremote mip install firmware/package.json`, for people who use mpremote alone."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from madem import __version__
from madem.boards.deploy import deploy, start
from madem.boards.open import Board
from madem.boards.repl import Repl, open_port
from madem.learners.board import connect

pytestmark = pytest.mark.needs("unix")

FIRMWARE = Path(__file__).parents[3] / "firmware"


def test_the_package_names_every_module_and_the_version() -> None:
    package = json.loads((FIRMWARE / "package.json").read_text())
    modules = sorted(f"madem/{path.name}" for path in (FIRMWARE / "madem").glob("*.py"))
    assert package == {"version": __version__, "urls": [[path, path] for path in modules]}


OWN = b"""\
import madem
net = madem.Network((3, 4, 2), ('a', 'b'), seed=1)
print('own', len(net.names))
"""


@pytest.mark.parametrize(
    "install",
    [
        ["mpremote", "connect", "PORT", "mip", "install", str(FIRMWARE / "package.json")],
        ["madem", "deploy", "--library", "--board", "PORT"],
    ],
    ids=["mip", "deploy"],
)
def test_a_main_of_ones_own_stays_and_finds_the_library(port: str, install: list[str]) -> None:
    """Also where an older firmware was deployed, which has none."""
    with Repl(port) as repl:
        for folder in ("madem-7", "madem-7/madem"):
            repl.make_directory(folder)
        repl.write_file("madem-7/madem/__init__.py", b"__version__ = '0.0.1'\n")
        repl.write_file("main.py", OWN)
    words = [port if word == "PORT" else word for word in install]
    subprocess.run([sys.executable, "-m", *words], check=True, capture_output=True, timeout=300)
    with Board(port, open_port(port)) as board:
        start(board, ready=b"own 2")
        with Repl(board.port) as repl:
            assert repl.find_equal({"main.py": OWN}) == {"main.py"}
            printed = repl.exec("import madem\nprint(madem.__file__)")
            assert printed.startswith(b"/lib/madem/")


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
