"""What a PlatformIO user types works, without a network, and leaves nothing behind elsewhere."""

import ast
import configparser
import json
import os
import pty
import select
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from madem.boards.catalogue import BY_NAME
from madem.boards.firmware import architecture

pytestmark = pytest.mark.needs("unix")

ROOT = Path(__file__).parents[2]
PIO = Path(sys.executable).with_name("pio")

Pio = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Folders of its own, a home that has to stay empty, and no way out."""
    folder = tmp_path_factory.mktemp("pio")
    (folder / "home").mkdir()
    return os.environ | {
        "HOME": str(folder / "home"),
        "PLATFORMIO_CORE_DIR": str(folder / "core"),
        "PLATFORMIO_WORKSPACE_DIR": str(folder / "work"),
        "PLATFORMIO_DISABLE_UPGRADE_CHECK": "true",
        "PLATFORMIO_SETTING_ENABLE_TELEMETRY": "no",
        # Nobody listens at that port.
        "HTTPS_PROXY": "http://127.0.0.1:9",
        "HTTP_PROXY": "http://127.0.0.1:9",
    }


@pytest.fixture
def pio(environment: dict[str, str]) -> Pio:
    def run(*words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [PIO, *words], cwd=ROOT, env=environment, capture_output=True, text=True, timeout=300
        )

    return run


def environments() -> configparser.ConfigParser:
    parser = configparser.ConfigParser()
    parser.read(ROOT / "platformio.ini")
    return parser


def test_there_is_an_environment_for_every_board() -> None:
    parser = environments()
    names = {name.removeprefix("env:") for name in parser.sections() if name.startswith("env:")}
    assert names == {"unix", "qemu", *BY_NAME}
    assert all(parser[f"env:{name}"]["board"] == name for name in names)


@pytest.mark.parametrize("board", BY_NAME.values(), ids=list(BY_NAME))
def test_every_board_has_an_architecture_that_is_compiled_for(board: object) -> None:
    arches = {architecture(number << 10) for number in range(16)} - {None}
    assert getattr(board, "mpy_arch") in arches  # noqa: B009


def test_platformio_keeps_its_own_in_an_ignored_folder_of_the_project() -> None:
    settings = environments()["platformio"]
    assert settings["core_dir"].startswith(".pio/")
    assert ".pio/" in (ROOT / ".gitignore").read_text().splitlines()


@pytest.mark.slow
def test_run_compiles_and_upload_deploys(pio: Pio, environment: dict[str, str]) -> None:
    done = pio("run", "-e", "unix", "-t", "upload")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "it runs" in " ".join(done.stdout.split()), done.stdout
    built = Path(environment["PLATFORMIO_WORKSPACE_DIR"], "build", "unix", "madem")
    assert {file.name for file in built.iterdir()} >= {
        "kernels.mpy",
        "learn_rule.mpy",
        "link_server.mpy",
    }
    # .mpy version 6, native code for x64: MicroPython documentation, "MicroPython .mpy files".
    header = (built / "kernels.mpy").read_bytes()[:3]
    assert (header[0], header[1], header[2] >> 2 & 15) == (ord("M"), 6, 2)
    assert list(Path(environment["HOME"]).iterdir()) == []


@pytest.mark.slow
def test_run_compiles_for_each_kind_of_processor(pio: Pio, environment: dict[str, str]) -> None:
    boards = {board.mpy_arch: board.name for board in BY_NAME.values()}
    assert len(boards) >= 4
    done = pio("run", *(word for name in boards.values() for word in ("-e", name)))
    assert done.returncode == 0, done.stdout + done.stderr
    build = Path(environment["PLATFORMIO_WORKSPACE_DIR"], "build")
    for arch, name in boards.items():
        header = (build / name / "madem" / "kernels.mpy").read_bytes()[:3]
        assert architecture((header[2] >> 2 & 15) << 10) == arch


@pytest.mark.slow
def test_test_runs_every_check_on_the_board(pio: Pio, tmp_path: Path) -> None:
    report = tmp_path / "report.json"
    done = pio("test", "-e", "unix", "--json-output-path", str(report))
    assert done.returncode == 0, done.stdout + done.stderr
    (suite,) = (s for s in json.loads(report.read_text())["test_suites"] if s["test_cases"])
    assert {case["status"] for case in suite["test_cases"]} == {"PASSED"}
    checks = [
        node.name
        for path in (ROOT / "tests/firmware/device").glob("*_checks.py")
        for node in ast.parse(path.read_text()).body
        if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")
    ]
    assert len(suite["test_cases"]) == len(checks) > 30


@pytest.mark.slow
def test_a_check_that_fails_is_a_failed_test(pio: Pio) -> None:
    done = pio("test", "-e", "unix", "--test-port", "unix:heap=80K")
    assert done.returncode == 1
    assert "[FAILED]" in done.stdout
    assert "MemoryError" in done.stdout


@pytest.mark.slow
@pytest.mark.parametrize("words", [("run", "-t", "upload"), ("test",)], ids=" ".join)
def test_a_board_that_is_not_there_is_told_in_a_line(pio: Pio, words: tuple[str, ...]) -> None:
    option = "--upload-port" if words[0] == "run" else "--test-port"
    done = pio(*words, "-e", "unix", option, "/dev/ttyNONE")
    assert done.returncode == 1
    assert "there is no port /dev/ttyNONE" in done.stderr
    assert "Traceback" not in done.stdout + done.stderr


@pytest.mark.slow
def test_flash_is_for_boards_that_are_not_emulated(pio: Pio) -> None:
    done = pio("run", "-e", "pyboard", "-t", "flash", "--upload-port", "/dev/ttyNONE")
    assert done.returncode == 1
    assert "madem: can't fetch PYBV11" in done.stderr  # with the one line that says what to do
    assert "Traceback" not in done.stdout + done.stderr
    assert "Do not know how to make" in pio("run", "-e", "unix", "-t", "flash").stderr


@pytest.mark.slow
def test_devices_are_listed(pio: Pio) -> None:
    done = pio("device", "list")
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.slow
def test_the_monitor_reaches_the_repl(
    port: str, environment: dict[str, str], tmp_path: Path
) -> None:
    # In a new clone it is perhaps the first command of all.
    environment = environment | {
        "PLATFORMIO_CORE_DIR": str(tmp_path / "core"),
        "PLATFORMIO_WORKSPACE_DIR": str(tmp_path / "work"),
    }
    child, terminal = pty.fork()
    if child == 0:
        os.chdir(ROOT)
        os.execve(PIO, [PIO, "device", "monitor", "-e", "unix", "--port", port], environment)
    seen = b""

    def until(text: bytes) -> None:
        nonlocal seen
        end = time.monotonic() + 600
        while text not in seen:
            assert select.select([terminal], [], [], end - time.monotonic())[0], seen
            seen += os.read(terminal, 4096)

    try:
        until(b"Quit:")
        os.write(terminal, b"\rprint(6*7)\r")
        until(b"\r\n42\r\n")
        os.write(terminal, b"\x03")
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    finally:
        os.close(terminal)
