"""UF2 boot loaders: the model takes blocks as the ROM does, and what it starts is MicroPython."""

import contextlib
import errno
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import serial

from madem import cli
from madem.flash import board, volumes
from madem_emulator.boards.rp2040 import find_uf2

from . import images
from .bench import RP2040_INFO, RP2350_INFO, Bench, Uf2Rom, UnixBoard, playing

PICO = "Raspberry Pi Pico with RP2040"
PICO2 = "Raspberry Pi Pico2 with RP2350"
RUNNING_USB = (0x2E8A, 0x0005)


@pytest.fixture
def version(unix_board: UnixBoard) -> str:
    """The version that the board behind the models will report."""
    return board.ask(unix_board.path).version.split()[2]


def write(folder: Path, name: str, content: bytes) -> str:
    (folder / name).write_bytes(content)
    return str(folder / name)


def flash(*words: str) -> int:
    return cli.main(["flash", *words])


def test_from_a_running_board_to_its_new_version(
    bench: Bench, unix_board: UnixBoard, version: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """machine.bootloader(), the volume, the copy, the restart, the question: all of the way."""
    port = bench.port(RUNNING_USB, unix_board.path)
    rom = Uf2Rom(
        bench.folder / "RPI-RP2",
        RP2040_INFO,
        {0xE48BFF56},
        on_start=lambda: os.symlink(unix_board.path, port),
    )
    bench.expect_volume(rom.folder)

    def step() -> None:
        if unix_board.asked_for_bootloader():
            os.unlink(port)
            rom.appear()
        rom.step()

    content = images.program(PICO, version)
    file = write(bench.folder, "pico.uf2", images.uf2(content))
    with playing(step):
        assert flash(file, "--json", str(bench.folder / "result.json")) == 0
    assert b"".join(rom.flash[at] for at in sorted(rom.flash))[: len(content)] == content
    result = json.loads((bench.folder / "result.json").read_text())
    assert result["method"] == "uf2"
    assert result["port"] == port
    assert result["as_expected"] is True
    assert version in result["version"]
    said = capsys.readouterr().out
    assert f"{port} runs MicroPython {version}" in " ".join(said.split())
    assert "madem deploy --board" in said


def test_a_board_that_waits_in_its_bootloader_needs_no_port(
    bench: Bench, unix_board: UnixBoard, version: str
) -> None:
    rom = Uf2Rom(
        bench.folder / "RP2350",
        RP2350_INFO,
        {0xE48BFF57, 0xE48BFF59},
        on_start=lambda: bench.port(RUNNING_USB, unix_board.path),
    )
    bench.expect_volume(rom.folder)
    rom.appear()
    file = write(
        bench.folder, "pico2.uf2", images.uf2(images.program(PICO2, version), 0xE48BFF59, e10=True)
    )
    with playing(rom.step):
        assert flash(file) == 0
    assert rom.started


@pytest.mark.needs("rp2040")
def test_real_micropython_starts_from_what_was_written(
    bench: Bench, capsys: pytest.CaptureFixture[str]
) -> None:
    """The chip is emulated from its instructions on, and its flash holds what the ROM wrote."""
    file = find_uf2()
    command = [sys.executable, "-m", "madem_emulator.boards.rp2040"]
    with contextlib.ExitStack() as stack:

        def start() -> None:
            flash = b"".join(rom.flash[at] for at in sorted(rom.flash))
            booted = write(bench.folder, "booted.uf2", images.uf2(flash, address=min(rom.flash)))
            process = subprocess.Popen(
                [*command, booted], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
            )
            stack.enter_context(process)
            assert process.stdin
            assert process.stdout
            stack.callback(process.stdin.close)
            bench.port(RUNNING_USB, process.stdout.readline().strip())

        rom = Uf2Rom(bench.folder / "RPI-RP2", RP2040_INFO, {0xE48BFF56}, on_start=start)
        bench.expect_volume(rom.folder)
        rom.appear()
        with playing(rom.step):
            assert flash(str(file), "--json", "-") == 0
    told = json.loads(capsys.readouterr().out)
    assert told["as_expected"] is True
    assert told["machine"] == told["image_machine"] == PICO


def test_a_button_is_asked_for_when_nothing_else_helps(
    bench: Bench,
    unix_board: UnixBoard,
    capsys: pytest.CaptureFixture[str],
    version: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A board without MicroPython that does not know the 1200-baud touch: a person presses."""
    monkeypatch.setattr(board, "ask_if_it_runs", lambda _: None)
    monkeypatch.setattr(board, "RESTART_SECONDS", 0.3)
    port = bench.port(RUNNING_USB, unix_board.path)
    rom = Uf2Rom(bench.folder / "RPI-RP2", RP2040_INFO, {0xE48BFF56}, on_start=lambda: None)
    bench.expect_volume(rom.folder)
    told = []

    def step() -> None:
        if not told and "hold BOOTSEL while plugging" in (said := capsys.readouterr().out):
            told.append(said)
            monkeypatch.setattr(board, "RESTART_SECONDS", 20.0)
            rom.appear()
        rom.step()

    file = write(bench.folder, "pico.uf2", images.uf2(images.program(PICO, version)))
    with playing(step):
        assert flash(file, "--board", port) == 0
    assert told
    assert rom.started


@pytest.mark.usefixtures("impatient")
def test_without_the_button_it_says_what_to_do(
    bench: Bench, unix_board: UnixBoard, capsys: pytest.CaptureFixture[str]
) -> None:
    port = bench.port(RUNNING_USB, unix_board.path)
    file = write(bench.folder, "pico.uf2", images.uf2(images.program(PICO)))
    assert flash(file) == 3
    said = capsys.readouterr().err
    assert f"the boot loader of the board on {port} does not appear: hold BOOTSEL" in said


def test_a_dry_run_touches_nothing(bench: Bench, capsys: pytest.CaptureFixture[str]) -> None:
    folder = bench.volume("RPI-RP2", RP2040_INFO)
    file = write(bench.folder, "pico.uf2", images.uf2(images.program(PICO)))
    assert flash(file, "--dry-run") == 0
    said = " ".join(capsys.readouterr().out.split())
    assert f"would write MicroPython v1.26.1 for {PICO}" in said
    assert f"copy {file} to {folder}" in said
    assert os.listdir(folder) == ["INFO_UF2.TXT"]
    assert flash(file, "--dry-run", "--json", "-") == 0
    result = json.loads(capsys.readouterr().out)
    assert result["dry_run"] is True
    assert result["types"] == ["rp2040"]
    assert result["image_machine"] == PICO


def test_an_image_for_another_chip_is_refused(
    bench: Bench, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = bench.volume("RPI-RP2", RP2040_INFO)
    file = write(bench.folder, "pico2.uf2", images.uf2(images.program(PICO2), 0xE48BFF59))
    assert flash(file) == 2
    said = capsys.readouterr().err
    assert f"pico2.uf2 is for RP2350, the board on {folder} is a RP2040" in said
    assert os.listdir(folder) == ["INFO_UF2.TXT"]


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--type", "rp2350"], "is no rp2350: its chip is RP2040"),
        (["--method", "esptool"], "esptool: it takes .bin files of the ESP32 family"),
        (["--erase"], "uf2: a UF2 boot loader can't erase"),
        (["--sha256", "12ab"], "not 12ab: download it again"),
    ],
)
def test_what_does_not_go_together_is_refused(
    bench: Bench, capsys: pytest.CaptureFixture[str], words: list[str], told: str
) -> None:
    folder = bench.volume("RPI-RP2", RP2040_INFO)
    file = write(bench.folder, "pico.uf2", images.uf2(images.program(PICO)))
    assert flash(file, *words) == 2
    said = capsys.readouterr().err
    assert told in said
    assert said.count("\n") == 1
    assert os.listdir(folder) == ["INFO_UF2.TXT"]


def test_the_bootloader_that_appears_is_looked_at_before_writing(
    bench: Bench, unix_board: UnixBoard, capsys: pytest.CaptureFixture[str]
) -> None:
    """RP2040 and RP2350 share their USB numbers: only the volume tells."""
    bench.port(RUNNING_USB, unix_board.path)
    rom = Uf2Rom(bench.folder / "RP2350", RP2350_INFO, {0xE48BFF59}, on_start=lambda: None)
    bench.expect_volume(rom.folder)
    file = write(bench.folder, "pico.uf2", images.uf2(images.program(PICO)))
    with playing(lambda: rom.appear() if unix_board.asked_for_bootloader() else None):
        assert flash(file) == 2
    assert "nothing was written" in capsys.readouterr().err
    assert os.listdir(rom.folder) == ["INFO_UF2.TXT"]


def test_what_the_board_says_of_itself_is_believed(
    bench: Bench,
    unix_board: UnixBoard,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    about = board.About("3.4.0; MicroPython v1.26.1 on 2025-09-11", PICO2, "RPI_PICO2")
    monkeypatch.setattr(board, "ask_if_it_runs", lambda _: about)
    bench.port(RUNNING_USB, unix_board.path)
    file = write(bench.folder, "pico.uf2", images.uf2(images.program(PICO)))
    assert flash(file) == 2
    assert f"is for RP2040, the board on {bench.folder}/ttyACM0 is a {PICO2}" in (
        capsys.readouterr().err
    )
    assert not unix_board.asked_for_bootloader()


def test_two_boards_are_listed_and_none_is_guessed(
    bench: Bench, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = bench.volume("RPI-RP2", RP2040_INFO)
    other = bench.port(RUNNING_USB, product="Board in FS mode")
    file = write(bench.folder, "pico.uf2", images.uf2(images.program(PICO)))
    assert flash(file) == 3
    said = capsys.readouterr().err
    assert "several boards are attached, name one with --board: " in said
    assert f"{folder} (Raspberry Pi RP2), {other} (Board in FS mode)" in said
    assert flash(file, "--board", str(folder), "--dry-run") == 0


@pytest.mark.usefixtures("impatient")
def test_a_board_that_does_not_come_back_is_a_no(
    bench: Bench, capsys: pytest.CaptureFixture[str]
) -> None:
    rom = Uf2Rom(bench.folder / "RPI-RP2", RP2040_INFO, {0xE48BFF56}, on_start=lambda: None)
    bench.expect_volume(rom.folder)
    rom.appear()
    file = write(bench.folder, "pico.uf2", images.uf2(images.program(PICO)))
    with playing(rom.step):
        assert flash(file) == 1
    assert "no port came back" in " ".join(capsys.readouterr().out.split())


def test_another_version_than_written_is_a_no(
    bench: Bench, unix_board: UnixBoard, capsys: pytest.CaptureFixture[str]
) -> None:
    rom = Uf2Rom(
        bench.folder / "RPI-RP2",
        RP2040_INFO,
        {0xE48BFF56},
        on_start=lambda: bench.port(RUNNING_USB, unix_board.path),
    )
    bench.expect_volume(rom.folder)
    rom.appear()
    file = write(bench.folder, "pico.uf2", images.uf2(images.program(PICO, "v1.2.3")))
    with playing(rom.step):
        assert flash(file) == 1
    assert "but v1.2.3 was written" in " ".join(capsys.readouterr().out.split())


@pytest.mark.usefixtures("impatient")
def test_a_board_that_keeps_its_volume_did_not_take_the_file(
    bench: Bench, capsys: pytest.CaptureFixture[str]
) -> None:
    """As the ROM does with blocks of a family that it does not know."""
    rom = Uf2Rom(bench.folder / "RPI-RP2", RP2040_INFO, {0xE48BFF56}, on_start=lambda: None)
    bench.expect_volume(rom.folder)
    rom.appear()
    content = images.uf2(images.program("thing with XYZ"), family=0x12345678)
    file = write(bench.folder, "thing.uf2", content)
    with playing(rom.step):
        assert flash(file, "--board", str(rom.folder)) == 2
    assert "is for family 0x12345678" in capsys.readouterr().err
    content = images.uf2(images.program("thing with XYZ"), family=None)
    file = write(bench.folder, "thing.uf2", content)
    with playing(rom.step):
        assert flash(file, "--board", str(rom.folder)) == 3
    assert "did not take the file: it is for another chip" in capsys.readouterr().err


# --- the volume fails ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("number", "told"),
    [
        (errno.EIO, r"vanished after 32,768 of 40,448 bytes \(unplugged\?\): its boot loader is"),
        (errno.ENODEV, r"vanished after 32,768 of 40,448 bytes"),
        (errno.ENOSPC, "is full after 32,768 of 40,448 bytes"),
        (errno.EROFS, "is read-only: unplug the board"),
        (errno.EACCES, "no permission to write to"),
    ],
)
def test_a_fault_in_the_middle_of_the_copy(
    bench: Bench,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    number: int,
    told: str,
) -> None:
    """The kernel tells of an unplugged board when the data is written through."""
    folder = bench.volume("RPI-RP2", RP2040_INFO)
    file = write(bench.folder, "pico.uf2", images.uf2(images.program(PICO)))
    real, calls = os.fsync, []

    def fsync(descriptor: int) -> None:
        calls.append(descriptor)
        if len(calls) == 1:
            raise OSError(number, os.strerror(number))
        real(descriptor)

    monkeypatch.setattr(volumes.os, "fsync", fsync)
    assert flash(file) == 3
    said = capsys.readouterr().err
    assert re.search(told, said), said
    assert said.count("\n") == 1
    assert folder.exists()


def test_a_full_volume(bench: Bench, capsys: pytest.CaptureFixture[str]) -> None:
    folder = bench.volume("RPI-RP2", RP2040_INFO)
    os.symlink("/dev/full", folder / "firmware.uf2")
    file = write(bench.folder, "pico.uf2", images.uf2(images.program(PICO)))
    assert flash(file) == 3
    assert f"{folder} is full after 0 of 40,448 bytes" in capsys.readouterr().err


def test_a_board_that_restarts_before_the_copy_is_closed_has_all_of_it(
    bench: Bench, unix_board: UnixBoard, version: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """RP2 chips start at the last block; what the computer still wants to write fails."""
    folder = bench.volume("RPI-RP2", RP2040_INFO)
    content = images.uf2(images.program(PICO, version))
    file = write(bench.folder, "pico.uf2", content)

    def fsync(descriptor: int) -> None:
        if os.fstat(descriptor).st_size == len(content):
            shutil.rmtree(folder)
            bench.port(RUNNING_USB, unix_board.path)
            raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(volumes.os, "fsync", fsync)
    assert flash(file) == 0


def test_no_permission_for_the_port_names_the_group(
    bench: Bench, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise serial.SerialException(errno.EACCES, "could not open port: Permission denied")

    port = bench.port(RUNNING_USB)
    monkeypatch.setattr(serial, "serial_for_url", refuse)
    file = write(bench.folder, "pico.uf2", images.uf2(images.program(PICO)))
    assert flash(file) == 3
    said = capsys.readouterr().err
    assert f"no permission to open {port}: run `sudo usermod -aG dialout $USER`" in said
