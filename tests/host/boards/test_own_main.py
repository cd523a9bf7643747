"""examples/own_main on the emulated board, as it is: it learns, and goes on after power cuts."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

pytestmark = pytest.mark.needs("unix")

_ROOT = Path(__file__).parents[3]
_CUTS = 12

# What is printed before the port is open is lost, so that it has to wait. And an hour goes by in
# 200 ms.
_BOOT = """\
import sys, time

class Fast:
    ticks_diff = time.ticks_diff

    @staticmethod
    def ticks_ms(now=time.ticks_us):
        return now() * 18

sys.modules["time"] = Fast
sys.stdin.buffer.read(1)
"""


def lines_until_cut(flash: Path, count: int, more: int) -> list[str]:
    """What the board prints from its start on: so many lines and so many bytes, then it has no
    power any more.
    """
    board = subprocess.Popen(
        [sys.executable, "-m", "madem_emulator.boards.unix", "--dir", str(flash)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert board.stdout
        with open(board.stdout.readline().strip(), "r+b", buffering=0) as port:
            port.write(b"!")
            lines = [port.readline().decode() for _ in range(count)]
            for _ in range(more):
                port.read(1)
            board.kill()
    finally:
        board.kill()
        board.communicate()
    return [line.strip() for line in lines]


def steps(line: str) -> int:
    found = re.match(r"(?:saved|loaded) (\d+) steps", line)
    assert found, line
    return int(found[1])


def test_it_goes_on_after_each_power_cut(tmp_path: Path) -> None:
    shutil.copytree(_ROOT / "firmware/madem", tmp_path / "lib/madem")
    shutil.copy(_ROOT / "examples/own_main/main.py", tmp_path)
    (tmp_path / "boot.py").write_text(_BOOT)
    random = np.random.default_rng(1)

    first, *saved = lines_until_cut(tmp_path, 6, 0)
    assert first == "fresh: there is no file gestures.madem"
    for _ in range(_CUTS):
        told = steps(saved[-1])
        loaded, *saved = lines_until_cut(
            tmp_path, 2 + int(random.integers(4)), int(random.integers(60))
        )
        assert steps(loaded) >= told, "what was told to be saved is there"
    right, windows = map(int, re.findall(r"(\d+) of (\d+)", saved[-1])[0])
    assert right > 0.8 * windows, "it has learned"
