"""pyOCD by a double that prints what the real one does."""

import json
from pathlib import Path

import pytest

from madem import cli
from madem.flash import board

from . import images
from .bench import Bench, UnixBoard

PROBES = {
    "pyocd_version": "0.46.0",
    "version": {"major": 1, "minor": 1},
    "status": 0,
    "boards": [
        {"unique_id": "683339521", "info": "Segger J-Link OB", "target": None, "board_name": "x"}
    ],
}
_PYOCD = """\
#!/bin/sh
cd "$(dirname "$0")"
echo "$@" >> log
case "$1" in
json) cat probes;;
*) cat says; exit "$(cat code)";;
esac
"""


@pytest.fixture
def tool(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = bench.folder / "bin"
    folder.mkdir()
    (folder / "pyocd").write_text(_PYOCD)
    (folder / "pyocd").chmod(0o755)
    (folder / "probes").write_text(json.dumps(PROBES))
    (folder / "says").write_text("[=====] 50%\n[==========] 100%\n")
    (folder / "code").write_text("0")
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")
    return folder


def image(folder: Path, version: str = "v1.26.1") -> str:
    program = images.program("PCA10056 with NRF52840", version)
    (folder / "dk.hex").write_text(images.hexadecimal(program))
    return str(folder / "dk.hex")


def command(file: str) -> list[str]:
    return ["flash", file, "--type", "nrf52840"]


def test_a_probe_is_not_guessed_to_be_on_a_certain_board(
    bench: Bench, tool: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its USB numbers are those of every probe of its maker."""
    bench.port((0x1366, 0x1051))
    assert cli.main(["flash", image(bench.folder)]) == 2
    assert "pyocd: it can't tell the chip: name the board with --type" in capsys.readouterr().err


def test_a_board_with_a_debug_probe(bench: Bench, tool: Path, unix_board: UnixBoard) -> None:
    port = bench.port((0x1366, 0x1051), unix_board.path)
    file = image(bench.folder, board.ask(unix_board.path).version.split()[2])
    assert cli.main([*command(file), "--erase", "--json", str(bench.folder / "result.json")]) == 0
    expected = f"load --uid 683339521 --target nrf52840 --erase chip {file}"
    assert expected in (tool / "log").read_text().splitlines()
    assert json.loads((bench.folder / "result.json").read_text())["port"] == port


@pytest.mark.parametrize(
    ("boards", "told"),
    [
        ([], "pyOCD finds no debug probe"),
        (PROBES["boards"] * 2, "several debug probes are attached, unplug all but one: 683339521"),
    ],
)
def test_no_probe_or_two(
    bench: Bench, tool: Path, capsys: pytest.CaptureFixture[str], boards: list, told: str
) -> None:
    (tool / "probes").write_text(json.dumps(PROBES | {"boards": boards}))
    bench.port((0x1366, 0x1051))
    assert cli.main(command(image(bench.folder))) == 3
    assert told in capsys.readouterr().err
    assert "load" not in (tool / "log").read_text()


def test_its_reason_is_passed_on(
    bench: Bench, tool: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tool / "says").write_text("0000512 C No ACK received from target [__main__]\n")
    (tool / "code").write_text("1")
    bench.port((0x1366, 0x1051))
    assert cli.main(command(image(bench.folder))) == 3
    assert "pyOCD could not write: No ACK received from target\n" in capsys.readouterr().err


def test_it_is_named_when_it_is_missing(bench: Bench, capsys: pytest.CaptureFixture[str]) -> None:
    bench.port((0x1366, 0x1051))
    assert cli.main(command(image(bench.folder))) == 2
    said = capsys.readouterr().err
    assert "pyocd: pyOCD is not installed: `pip install pyocd`" in said
    assert "daplink: there is no volume with DETAILS.TXT" in said
    assert "uf2: it takes .uf2 files" in said
