"""The projects in examples/ run as they are, and reach what their pages say."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[2] / "examples"


def run(project: str, folder: Path) -> str:
    """What a project says; its pictures are in the folder."""
    done = subprocess.run(
        [sys.executable, EXAMPLES / project / "run.py", folder],
        capture_output=True,
        text=True,
        timeout=400,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def numbers(text: str, pattern: str) -> list[int]:
    """The groups of a pattern that must be there, as numbers."""
    found = re.search(pattern, text)
    assert found, text
    return [int(group) for group in found.groups()]


@pytest.mark.slow
def test_the_gesture_recogniser_tells_new_recordings(tmp_path: Path) -> None:
    said = run("gesture_recogniser", tmp_path)
    (percent,) = numbers(said, r"other recordings: (\d+)\.\d % of \d+ windows told right")
    assert percent >= 90
    assert (tmp_path / "gestures.png").stat().st_size > 10_000


@pytest.mark.slow
def test_the_machine_novelty_detector_finds_both_faults(tmp_path: Path) -> None:
    said = run("machine_novelty", tmp_path)
    usual, watched = numbers(said, r"usual: (\d+) of (\d+)")
    assert usual < 0.25 * watched
    for fault in ("unbalanced", "worn bearing"):
        found, there = numbers(said, rf"{fault}: (\d+) of (\d+)")
        assert found > 0.6 * there
    assert (tmp_path / "machine.png").stat().st_size > 10_000


@pytest.mark.slow
def test_the_braille_reader_reads_a_worn_page(tmp_path: Path) -> None:
    said = run("braille_reader", tmp_path)
    right, words = numbers(said, r"(\d+) of (\d+) words without a wrong dot")
    assert words == 36
    assert right >= 34
    assert (tmp_path / "page.png").stat().st_size > 10_000
