"""What is attached: found, told apart, and named as the user names it."""

import json
from pathlib import Path

import pytest

from madem import cli
from madem.errors import BoardError
from madem.flash import volumes
from madem.flash.targets import Target, choose, find_targets

from .bench import MICROBIT_V2, RP2040_INFO, Bench

XIAO_INFO = (
    "UF2 Bootloader 0.6.1 lib/nrfx (v2.0.0)\r\nModel: Seeed XIAO nRF52840\r\n"
    "Board-ID: Seeed_XIAO_nRF52840_Sense\r\nSoftDevice: S140 7.3.0\r\n"
)


def test_mounted_volumes_of_linux() -> None:
    table = (
        b"/dev/sda1 / ext4 rw 0 0\n"
        b"/dev/sdb1 /media/me/RPI-RP2 vfat rw,nosuid 0 0\n"
        b"/dev/sdc1 /run/media/me/NO\\040NAME\\0401 vfat rw 0 0\n"
        b"tmpfs /tmp tmpfs rw 0 0\n"
    )
    assert volumes.mounted_on_linux(table) == [
        Path("/media/me/RPI-RP2"),
        Path("/run/media/me/NO NAME 1"),
    ]


def test_volumes_of_other_systems(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(volumes.sys, "platform", "darwin")
    monkeypatch.setattr(Path, "iterdir", lambda path: iter([path / "RPI-RP2"]))
    assert volumes.mounted() == [Path("/Volumes/RPI-RP2")]
    monkeypatch.setattr(volumes.sys, "platform", "win32")
    monkeypatch.setattr(Path, "exists", lambda path: str(path) == "E:\\")
    assert volumes.mounted() == [Path("E:\\")]


def test_a_volume_that_can_not_be_read_is_none(tmp_path: Path) -> None:
    assert volumes.read_volume(tmp_path) is None
    (tmp_path / "INFO_UF2.TXT").mkdir()
    assert volumes.read_volume(tmp_path) is None
    assert volumes.read_volume(tmp_path / "gone") is None
    (tmp_path / "DETAILS.TXT").write_bytes(b"\xff\xfe no colon anywhere")
    found = volumes.read_volume(tmp_path)
    assert found
    assert (found.kind, found.identity, found.serial) == (volumes.DAPLINK, "", "")


def test_a_board_with_port_and_volume_is_one_board(bench: Bench) -> None:
    folder = bench.volume("XIAO-SENSE", XIAO_INFO)
    port = bench.port((0x2886, 0x0045))
    (target,) = find_targets()
    assert target.volume
    assert (target.port, target.volume.folder) == (port, folder)
    assert [kind.name for kind in target.types] == ["xiao-nrf52840"]
    assert target.in_bootloader


def test_a_board_in_its_bootloader_and_another_that_runs_are_two(bench: Bench) -> None:
    bench.volume("RPI-RP2", RP2040_INFO)
    bench.port((0x2E8A, 0x0005))
    assert len(find_targets()) == 2


def test_a_probe_is_no_bootloader(bench: Bench) -> None:
    bench.volume("MICROBIT", MICROBIT_V2, "DETAILS.TXT")
    (target,) = find_targets()
    assert not target.in_bootloader


def test_a_port_may_be_called_by_a_link(bench: Bench) -> None:
    """As udev's /dev/serial/by-id does."""
    port = bench.port((0xF055, 0x9800))
    (bench.folder / "by-id").symlink_to(port)
    target = choose(str(bench.folder / "by-id"))
    assert target.port == str(bench.folder / "by-id")
    assert [kind.name for kind in target.hints] == ["pyboard"]
    assert target.types == ()


@pytest.mark.parametrize("name", ["/dev/ttyACM7", "COM3", r"\\.\COM12", "rfc2217://host:4000"])
def test_ports_that_the_system_does_not_list(bench: Bench, name: str) -> None:
    assert choose(name) == Target(port=name)


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("unix", "there is no board 'unix' to flash: choose a port"),
        ("", "there is no board '' to flash"),
        ("auto", "no board is attached: plug one in"),
        ("/tmp", r"/tmp is no board's volume: INFO_UF2\.TXT or DETAILS\.TXT should be there"),
    ],
)
def test_what_is_no_board_is_explained(bench: Bench, name: str, told: str) -> None:
    with pytest.raises(BoardError, match=told):
        choose(name)


def test_a_volume_that_is_not_mounted_is_told(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.undo()
    monkeypatch.setattr(volumes, "mounted", list)
    monkeypatch.setattr("madem.flash.targets.find_targets", list)
    real = Path.exists
    there = "/dev/disk/by-label/RP2350"
    monkeypatch.setattr(Path, "exists", lambda path: str(path) == there or real(path))
    with pytest.raises(BoardError, match=f"attached: mount .*: `udisksctl mount -b {there}`"):
        choose("auto")


def test_boards_lists_what_waits_in_a_bootloader(
    bench: Bench, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = bench.volume("RPI-RP2", RP2040_INFO)
    bench.volume("MICROBIT", MICROBIT_V2, "DETAILS.TXT")
    assert cli.main(["boards", "--json", "-"]) == 0
    assert json.loads(capsys.readouterr().out)["in_bootloader"] == [str(folder)]
    assert cli.main(["boards"]) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert f"{folder} (Raspberry Pi RP2) waits for a program (madem flash)" in said
    assert "no board is attached" not in said
