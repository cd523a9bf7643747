"""What docs/reference/device.md says of wear is what MicroPython's own file systems erase."""

import os
import re
import subprocess
from pathlib import Path

import pytest

from madem_emulator.boards.unix_interpreter import find_micropython

pytestmark = pytest.mark.needs("unix")

_ROOT = Path(__file__).parents[2]
_DEVICE = Path(__file__).parent / "device"
_NAMES = {"Lfs": "littlefs", "Fat": "FAT"}
_ENDURANCE = 100_000  # erasures of a block
_INTERVAL = 600  # s, the default of autosave
_YEAR = 365.25 * 86400


def test_the_page_has_what_a_save_erases() -> None:
    done = subprocess.run(
        [find_micropython(), "-X", "heapsize=8M", "wear.py"],
        cwd=_DEVICE,
        env=os.environ | {"MICROPYPATH": f".frozen:{_ROOT / 'firmware'}:{_DEVICE}"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stdout
    expected = []
    for line in done.stdout.splitlines():
        system, *numbers = line.split()
        block, blocks, saves, total, most = map(int, numbers)
        years = _ENDURANCE * saves / most * _INTERVAL / _YEAR
        lasts = f"{years:.0f} years" if years > 2 else f"{12 * years:.0f} months"
        expected.append(
            f"| {_NAMES[system]} | {blocks} of {block} bytes | {total / saves:.1f} "
            f"| {most / saves:.2g} | {lasts} |"
        )
    page = (_ROOT / "docs/reference/device.md").read_text()
    assert re.findall(r"^\| (?:littlefs|FAT) \|.*$", page, re.MULTILINE) == expected
