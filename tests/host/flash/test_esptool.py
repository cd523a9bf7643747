"""The real esptool against a model of the chip's boot loader on a pty."""

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from madem import cli
from madem.boards.repl import open_port
from madem.flash import board

from . import images
from .bench import Bench, UnixBoard
from .esp_rom import EspRom

CP210X = (0x10C4, 0xEA60)
GENERIC = "Generic ESP32 module with ESP32"
GENERIC_S3 = "Generic ESP32S3 module with ESP32-S3"


@pytest.fixture
def chip() -> Iterator[Callable[..., EspRom]]:
    """Plug in a chip; the arguments are those of EspRom."""
    with ExitStack() as stack:

        def plug_in(*args, **named) -> EspRom:
            rom = EspRom(*args, **named)
            stack.callback(rom.close)
            return rom

        yield plug_in


def write(folder: Path, content: bytes) -> str:
    (folder / "esp.bin").write_bytes(content)
    return str(folder / "esp.bin")


@pytest.mark.parametrize(
    ("chip_id", "offset", "machine"), [(0, 0x1000, GENERIC), (9, 0, GENERIC_S3)]
)
def test_from_an_empty_chip_to_its_new_version(
    bench: Bench,
    chip: Callable[..., EspRom],
    unix_board: UnixBoard,
    chip_id: int,
    offset: int,
    machine: str,
) -> None:
    version = board.ask(unix_board.path).version.split()[2]
    rom = chip(chip_id, then=unix_board.path)
    content = images.esp(images.program(machine, version), chip_id, offset)
    result = bench.folder / "result.json"
    words = [write(bench.folder, content), "--board", rom.port, "--erase", "--json", str(result)]
    assert cli.main(["flash", *words]) == 0
    assert rom.flash[offset : offset + len(content)] == content
    assert rom.erased
    told = json.loads(result.read_text())
    assert told["method"] == "esptool"
    assert told["port"] == rom.port
    assert told["as_expected"] is True


def test_only_what_the_image_covers_is_written(
    bench: Bench, chip: Callable[..., EspRom], unix_board: UnixBoard
) -> None:
    """Without --erase the board's files stay."""
    version = board.ask(unix_board.path).version.split()[2]
    rom = chip(0, then=unix_board.path)
    rom.flash[0x200000:0x200005] = b"files"
    file = write(bench.folder, images.esp(images.program(GENERIC, version)))
    assert cli.main(["flash", file, "--board", rom.port]) == 0
    assert rom.flash[0x200000:0x200005] == b"files"
    assert not rom.erased


def test_another_chip_than_the_image_is_for_is_refused(
    bench: Bench, chip: Callable[..., EspRom], capsys: pytest.CaptureFixture[str]
) -> None:
    """esptool asks the chip itself, before anything is written."""
    rom = chip(9)
    file = write(bench.folder, images.esp(images.program(GENERIC)))
    assert cli.main(["flash", file, "--board", rom.port]) == 3
    said = capsys.readouterr().err
    assert f"esp.bin is for ESP32, the board on {rom.port} is a ESP32-S3; nothing was" in said
    assert rom.flash.count(b"\xff") == len(rom.flash)


@pytest.mark.slow  # esptool waits for the board to come back
def test_unplugging_while_writing(
    bench: Bench, chip: Callable[..., EspRom], capsys: pytest.CaptureFixture[str]
) -> None:
    rom = chip(0, unplug_after=30_000)
    file = write(bench.folder, images.esp(images.program(GENERIC, size=200_000)))
    assert cli.main(["flash", file, "--board", rom.port]) == 3
    said = capsys.readouterr().err
    assert f"{rom.port} vanished or is in use: plug the board in again" in said
    assert said.count("\n") == 1


def test_a_silent_port(
    bench: Bench, unix_board: UnixBoard, capsys: pytest.CaptureFixture[str]
) -> None:
    """No chip of the family: here MicroPython, which does not speak the ROM's language."""
    file = write(bench.folder, images.esp(images.program(GENERIC)))
    assert cli.main(["flash", file, "--board", unix_board.path]) == 3
    said = capsys.readouterr().err
    assert f"no chip of the ESP32 family answers on {unix_board.path}: hold BOOT" in said


def test_an_adapter_may_be_on_any_board(bench: Bench, capsys: pytest.CaptureFixture[str]) -> None:
    """Also on those of the family that are not in the table; esptool asks the chip."""
    port = bench.port((0x303A, 0x1001))
    file = write(bench.folder, images.esp(images.program("y with ESP32-C6"), 13, 0))
    assert cli.main(["flash", file, "--dry-run"]) == 0
    assert f"--chip esp32c6 --port {port}" in " ".join(capsys.readouterr().out.split())


def test_a_board_that_is_no_esp32_is_refused(
    bench: Bench, capsys: pytest.CaptureFixture[str]
) -> None:
    bench.port((0x2E8A, 0x0005))
    file = write(bench.folder, images.esp(images.program(GENERIC)))
    assert cli.main(["flash", file]) == 2
    assert "esptool: Raspberry Pi Pico is no ESP32" in capsys.readouterr().err


def test_the_board_type_must_fit_the_image(
    bench: Bench, capsys: pytest.CaptureFixture[str]
) -> None:
    port = bench.port(CP210X)
    file = write(bench.folder, images.esp(images.program(GENERIC_S3), 9, 0))
    assert cli.main(["flash", file, "--board", port, "--type", "esp32"]) == 2
    assert f"esp.bin is for ESP32S3, the board on {port} is a ESP32" in capsys.readouterr().err


def test_a_dry_run_shows_the_command(bench: Bench, capsys: pytest.CaptureFixture[str]) -> None:
    port = bench.port((0x303A, 0x1001))
    file = write(bench.folder, images.esp(images.program("x with ESP32-C3"), 5, 0))
    assert cli.main(["flash", file, "--dry-run"]) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert f"run esptool --chip esp32c3 --port {port} --baud 460800 write-flash 0x0 {file}" in said


def test_a_port_in_use(
    bench: Bench, unix_board: UnixBoard, capsys: pytest.CaptureFixture[str]
) -> None:
    file = write(bench.folder, images.esp(images.program(GENERIC)))
    with open_port(unix_board.path):
        assert cli.main(["flash", file, "--board", unix_board.path]) == 3
    assert f"{unix_board.path} is in use: close the other program" in capsys.readouterr().err
