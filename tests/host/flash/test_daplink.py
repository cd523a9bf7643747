"""Drag-and-drop programmers: the model takes its volume away, flashes, and shows it anew."""

import errno
import json
import os
from pathlib import Path

import pytest

from madem import cli
from madem.flash import board, daplink, volumes

from . import images
from .bench import MICROBIT_V2, Bench, DragAndDrop, UnixBoard, playing

USB = (0x0D28, 0x0204)
SERIAL = "9904360258824e45005680040000004b000000009796990b"
MACHINE = "micro:bit with nRF52833"
NUCLEO = "NUCLEO-F446RE with STM32F446xx"


def image(folder: Path, version: str = "v1.26.1") -> str:
    v2 = images.program(MACHINE, version)
    (folder / "both.hex").write_text(images.universal_hex(b"\1" * 600, v2))
    return str(folder / "both.hex")


def test_from_the_copy_to_the_version(bench: Bench, unix_board: UnixBoard) -> None:
    version = board.ask(unix_board.path).version.split()[2]
    folder = bench.volume("MICROBIT", MICROBIT_V2, "DETAILS.TXT")
    port = bench.port(USB, unix_board.path, SERIAL)
    probe = DragAndDrop(folder, MICROBIT_V2)
    file, result = image(bench.folder, version), bench.folder / "result.json"
    with playing(probe.step):
        assert cli.main(["flash", file, "--json", str(result)]) == 0
    assert probe.received == Path(file).read_bytes()
    told = json.loads(result.read_text())
    assert (told["method"], told["types"], told["port"]) == ("daplink", ["microbit-v2"], port)
    assert told["as_expected"] is True


def test_what_the_programmer_says_is_passed_on(
    bench: Bench, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = bench.volume("MICROBIT", MICROBIT_V2, "DETAILS.TXT")
    failure = (
        "error: The interface firmware FAILED to reset/halt the target MCU\r\ntype: target\r\n"
    )
    probe = DragAndDrop(folder, MICROBIT_V2, failure)
    for _ in range(2):  # the second time FAIL.TXT is there from the first
        with playing(probe.step):
            assert cli.main(["flash", image(bench.folder)]) == 3
        said = capsys.readouterr().err
        assert f"{folder} failed: The interface firmware FAILED to reset/halt the target" in said


def test_two_microbits_keep_their_ports_apart(
    bench: Bench, capsys: pytest.CaptureFixture[str]
) -> None:
    other = MICROBIT_V2.replace("990436025882", "990436025999")
    folders = [
        bench.volume("MICROBIT", MICROBIT_V2, "DETAILS.TXT"),
        bench.volume("MICROBIT1", other, "DETAILS.TXT"),
    ]
    second = bench.port(USB, serial=SERIAL.replace("990436025882", "990436025999"))
    first = bench.port(USB, serial=SERIAL)
    file = image(bench.folder)
    assert cli.main(["flash", file]) == 3
    said = capsys.readouterr().err
    assert "several boards are attached" in said
    assert said.count("ttyACM") == 2
    assert cli.main(["flash", file, "--dry-run", "--board", second]) == 0
    assert f"to {folders[1]}" in " ".join(capsys.readouterr().out.split())
    assert cli.main(["flash", file, "--dry-run", "--board", str(folders[0])]) == 0
    assert first in " ".join(capsys.readouterr().out.split())


def test_a_universal_hex_without_this_board_is_refused(
    bench: Bench, capsys: pytest.CaptureFixture[str]
) -> None:
    bench.volume("MICROBIT", MICROBIT_V2.replace("9904", "1102"), "DETAILS.TXT")
    assert cli.main(["flash", image(bench.folder)]) == 2
    said = capsys.readouterr().err
    assert "both.hex is for the boards 9900, 9903" in said
    assert "is board 1102" in said


def test_a_nucleo_is_known_by_the_link_of_its_st_link(
    bench: Bench, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = bench.volume("NOD_F446RE", "Version: 0221\r\nBuild:   Jan  7 2014\r\n", "DETAILS.TXT")
    (folder / "MBED.HTM").write_text(
        '<meta http-equiv="refresh" content="0; url=http://mbed.org/device/?code=07770221066CFF"/>'
    )
    program = images.vectors(images.program(NUCLEO))
    (bench.folder / "n.hex").write_text(images.hexadecimal(program, 0x0800_0000))
    assert cli.main(["flash", str(bench.folder / "n.hex"), "--dry-run", "--json", "-"]) == 0
    assert json.loads(capsys.readouterr().out)["types"] == ["nucleo-f446re"]


def test_an_image_for_another_chip_is_refused(
    bench: Bench, capsys: pytest.CaptureFixture[str]
) -> None:
    bench.volume("MICROBIT", MICROBIT_V2, "DETAILS.TXT")
    program = images.vectors(images.program(NUCLEO))
    (bench.folder / "n.hex").write_text(images.hexadecimal(program, 0x0800_0000))
    assert cli.main(["flash", str(bench.folder / "n.hex")]) == 2
    assert "n.hex is for STM32, the board on" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("number", "told"), [(errno.ENOSPC, "is full after"), (errno.EIO, "vanished after")]
)
def test_a_fault_in_the_middle_of_the_copy(
    bench: Bench,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    number: int,
    told: str,
) -> None:
    bench.volume("MICROBIT", MICROBIT_V2, "DETAILS.TXT")

    def fsync(_: int) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(volumes.os, "fsync", fsync)
    assert cli.main(["flash", image(bench.folder)]) == 3
    assert told in capsys.readouterr().err


def test_a_programmer_that_does_nothing(
    bench: Bench, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(daplink, "_FLASHING_SECONDS", 0.2)
    bench.volume("MICROBIT", MICROBIT_V2, "DETAILS.TXT")
    assert cli.main(["flash", image(bench.folder)]) == 3
    assert "kept the file without flashing it" in capsys.readouterr().err
