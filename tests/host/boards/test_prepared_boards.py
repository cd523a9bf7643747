"""The bits are the same on a Cortex-M3 and on a 32-bit build: verify runs on both."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from madem_emulator.boards.prepared import find_unix32


def verify(task: str, samples: int, *options: str, micropython: Path | None = None) -> str:
    environment = {"MADEM_MICROPYTHON": str(micropython)} if micropython else {}
    done = subprocess.run(
        [
            *(sys.executable, "-m", "madem", "verify", task, f"--samples={samples}"),
            *("--preset", "harsh", *options),
        ],
        capture_output=True,
        text=True,
        timeout=400,
        env=os.environ | environment,
    )
    return f"{done.returncode} {done.stdout}{done.stderr}"


TASKS = ("digits", "braille", "braille-words", "motions")


@pytest.mark.slow
@pytest.mark.parametrize("task", TASKS)
@pytest.mark.needs("unix32")
def test_a_32_bit_build_agrees_with_the_twin(task: str) -> None:
    said = verify(task, 2000, micropython=find_unix32())
    assert said.startswith("0 ")
    assert "2,000 steps" in said
    assert " 0 mismatches" in said


@pytest.mark.slow
@pytest.mark.parametrize("task", TASKS)
@pytest.mark.needs("qemu")
def test_a_cortex_m3_agrees_with_the_twin(task: str, tmp_path: Path) -> None:
    options = ["--board", "qemu"]
    if task.startswith("braille"):
        # Every word is tested 1,400 times, milliseconds each.
        words = tmp_path / "words.txt"
        words.write_text("turing\nhopper\n")
        options += ["--words", str(words)]
    # Half a second a step and more; the 32-bit build, with the same integers, does many.
    said = verify(task, 20, *options)
    assert said.startswith("0 ")
    assert "20 steps" in said
    assert " 0 mismatches" in said


@pytest.mark.slow
@pytest.mark.needs("qemu")
def test_a_fault_on_a_cortex_m3_is_found() -> None:
    said = verify("digits", 20, "--board", "qemu", "--inject", "weight:7")
    assert said.startswith("1 ")
    assert "step 7" in said.replace("\n", " ")


@pytest.mark.slow
@pytest.mark.needs("qemu")
def test_instructions_on_a_cortex_m3(tmp_path: Path) -> None:
    report = tmp_path / "found.json"
    board = "qemu:heap=140K,icount"
    command = [sys.executable, "-m", "madem", "bench", "device", f"--board={board}"]
    subprocess.run([*command, "--json", report], check=True, capture_output=True, timeout=400)
    found = json.loads(report.read_text())
    # Counted, so the same on every computer: 9.9, 16.7 and 28.8, and a ratio of 24.
    assert found["instructions_each"]["forward_read"] < 12
    assert found["instructions_each"]["update"] < 30
    assert found["instructions_each"]["full_update"] < 40
    assert found["backprop_vs_train_sample"] > 15
