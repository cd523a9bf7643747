"""STM32 by a double of dfu-util that prints what the real one does and checks what it is given."""

import json
import os
from pathlib import Path

import pytest

from madem import cli
from madem.flash import board, dfu_util

from . import images
from .bench import DFU_LIST, Bench, UnixBoard, install_dfu_util, playing

PYBOARD = "PYBv1.1 with STM32F405RG"
RUNNING_USB = (0xF055, 0x9800)
ONE = DFU_LIST.format(path="1-2", serial="316A34533036")
OTHER = DFU_LIST.format(path="1-3", serial="208A34533036")


@pytest.fixture
def tool(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> Path:
    return install_dfu_util(bench.folder / "bin", monkeypatch)


def image(folder: Path, name: str = "pyb.dfu", version: str = "v1.26.1", size: int = 9000) -> str:
    content = images.vectors(images.program(PYBOARD, version, size))
    (folder / name).write_bytes(images.dfuse(content) if name.endswith(".dfu") else content)
    return str(folder / name)


def test_from_a_running_board_to_its_new_version(
    bench: Bench, tool: Path, unix_board: UnixBoard
) -> None:
    version = board.ask(unix_board.path).version.split()[2]
    port = bench.port(RUNNING_USB, unix_board.path)

    def step() -> None:
        if unix_board.asked_for_bootloader():
            os.unlink(port)
            (tool / "list").write_text(ONE)
        if (tool / "started").exists() and not os.path.islink(port):
            os.symlink(unix_board.path, port)

    file = image(bench.folder, version=version)
    result = bench.folder / "result.json"
    with playing(step):
        assert cli.main(["flash", file, "--json", str(result)]) == 0
    assert json.loads(result.read_text())["as_expected"] is True
    expected = f"--device ,0483:df11 --path 1-2 --alt 0 --dfuse-address :leave --download {file}"
    assert expected in (tool / "log").read_text().splitlines()


@pytest.mark.usefixtures("impatient")
def test_a_plain_binary_goes_to_the_start_of_the_flash(bench: Bench, tool: Path) -> None:
    (tool / "list").write_text(ONE)
    file = image(bench.folder, "pyb.bin")
    assert cli.main(["flash", file]) == 1  # written, but this double starts nothing
    assert f"--dfuse-address 0x08000000:leave --download {file}" in (tool / "log").read_text()


def test_devices_and_their_memory(tool: Path) -> None:
    (tool / "list").write_text("dfu-util 0.11\n" + ONE + OTHER + "Found Runtime: [1234:0001]\n")
    found = dfu_util.devices()
    assert [device.name for device in found] == ["316A34533036", "208A34533036"]
    assert found[0].memory == range(0x0800_0000, 0x0810_0000)  # 1 MiB: STM32F405RG


def test_two_devices_are_listed(
    bench: Bench, tool: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tool / "list").write_text(ONE + OTHER)
    file = image(bench.folder)
    for words in ([], ["--board", "dfu"]):
        assert cli.main(["flash", file, *words]) == 3
        said = capsys.readouterr().err
        assert "name one with --board: dfu:316A34533036 (in DFU mode" in said
        assert "dfu:208A34533036" in said
    assert cli.main(["flash", file, "--board", "dfu:208A34533036", "--dry-run"]) == 0
    assert "--path 1-3" in " ".join(capsys.readouterr().out.split())


@pytest.mark.parametrize(
    ("says", "told"),
    [
        (
            "Cannot open DFU device 0483:df11 found on devnum 9 (LIBUSB_ERROR_ACCESS)\n",
            "no permission to use the board in DFU mode: install your system's udev rules",
        ),
        ("", "no board is attached: plug one in"),
    ],
)
def test_no_device(
    bench: Bench, tool: Path, capsys: pytest.CaptureFixture[str], says: str, told: str
) -> None:
    (tool / "list").write_text(says)
    assert cli.main(["flash", image(bench.folder)]) == 3
    assert told in capsys.readouterr().err


def test_unplugging_while_writing(
    bench: Bench, tool: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tool / "list").write_text(ONE)
    (tool / "says").write_text(
        "Download\t[=====     ]  50%  5000 bytes\r"
        'dfu-util: Error during special command "ERASE_PAGE" get_status: LIBUSB_ERROR_NO_DEVICE\n'
    )
    (tool / "code").write_text("74")
    assert cli.main(["flash", image(bench.folder)]) == 3
    said = capsys.readouterr().err
    assert "dfu-util could not write to 316A34533036: " in said
    assert "LIBUSB_ERROR_NO_DEVICE; its boot loader is unharmed, run this again" in said


@pytest.mark.usefixtures("impatient")
def test_a_chip_that_leaves_before_it_answers_has_its_program(
    bench: Bench, tool: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tool / "list").write_text(ONE)
    (tool / "says").write_text(
        "File downloaded successfully\nTransitioning to dfuMANIFEST state\n"
        "dfu-util: Error during download get_status\n"
    )
    (tool / "code").write_text("74")
    assert cli.main(["flash", image(bench.folder)]) == 1
    assert "written in" in capsys.readouterr().out


def test_an_image_that_the_flash_cannot_hold_is_refused(
    bench: Bench, tool: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    small = ONE.replace("04*016Kg,01*064Kg,07*128Kg", "04*016Kg,01*064Kg")  # 128 KiB
    (tool / "list").write_text(small)
    assert cli.main(["flash", image(bench.folder, size=150_000)]) == 2
    said = capsys.readouterr().err
    assert "goes to 0x08000000-0x080249f0, the board's flash is 0x08000000-0x08020000" in said
    assert "--download" not in (tool / "log").read_text()


def test_the_build_of_another_board_is_refused(
    bench: Bench,
    tool: Path,
    unix_board: UnixBoard,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """STM32 builds fit many chips as far as their files tell; MicroPython knows better."""
    about = board.About(
        "3.4.0; MicroPython v1.26.1 on 2025-09-11", "PYBLITEv1.0 with STM32F411RE", ""
    )
    monkeypatch.setattr(board, "ask_if_it_runs", lambda _: about)
    bench.port(RUNNING_USB, unix_board.path)
    assert cli.main(["flash", image(bench.folder)]) == 2
    said = capsys.readouterr().err
    assert f"pyb.dfu is for {PYBOARD}, the board on" in said
    assert "is a PYBLITEv1.0 with STM32F411RE; nothing was written" in said


def test_dfu_util_missing(
    bench: Bench, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(bench.folder))
    bench.port(RUNNING_USB)
    assert cli.main(["flash", image(bench.folder)]) == 2
    assert "dfu: dfu-util is not installed: `sudo apt install dfu-util`" in capsys.readouterr().err
    assert cli.main(["flash", image(bench.folder), "--board", "dfu"]) == 3
    assert "dfu-util is not installed" in capsys.readouterr().err


@pytest.mark.usefixtures("impatient")
def test_a_board_that_does_not_enter_dfu_mode(
    bench: Bench, tool: Path, unix_board: UnixBoard, capsys: pytest.CaptureFixture[str]
) -> None:
    bench.port(RUNNING_USB, unix_board.path)
    assert cli.main(["flash", image(bench.folder)]) == 3
    captured = capsys.readouterr()
    assert "now connect DFU to 3V3 and press RST" in captured.out
    assert "no board appeared in DFU mode: connect DFU to 3V3 and press RST" in captured.err
