"""The projects in examples/ run as they are, and reach what their pages say."""

import contextlib
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[2] / "examples"


Run = Callable[[str], tuple[str, Path]]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Run]:
    """What a project says, and the folder of its pictures.

    They run side by side: most of the time they wait for what a sensor measures next.
    """
    projects = [path.parent.name for path in EXAMPLES.glob("*/run.py")]
    folders = {name: tmp_path_factory.mktemp(name) for name in projects}
    with contextlib.ExitStack() as stack:
        processes = {
            name: stack.enter_context(
                subprocess.Popen(
                    [sys.executable, EXAMPLES / name / "run.py", "--out", folder],
                    stdout=subprocess.PIPE,
                    stderr=subprocess.PIPE,
                    text=True,
                )
            )
            for name, folder in folders.items()
        }
        for process in processes.values():
            stack.callback(process.kill)

        def said(project: str) -> tuple[str, Path]:
            out, errors = processes[project].communicate(timeout=400)
            assert processes[project].returncode == 0, errors
            return out, folders[project]

        yield said


SCRIPTS = [
    *(path for path in sorted(EXAMPLES.rglob("*.py")) if path.parent.name != "own_main"),
    *sorted((EXAMPLES.parent / "bench").glob("*.py")),
]
"""All but the one that runs on a board."""


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.relative_to(EXAMPLES.parent))
def test_a_script_has_help_and_refuses_what_it_does_not_know(script: Path, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, script, "--help"], capture_output=True, text=True, cwd=tmp_path
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert "--seed" in done.stdout or script.parent.name == "bench"
    assert len(done.stdout.splitlines()) > 5
    done = subprocess.run(
        [sys.executable, script, "--no-such-option"], capture_output=True, text=True, cwd=tmp_path
    )
    assert done.returncode == 2
    assert list(tmp_path.iterdir()) == []


def numbers(text: str, pattern: str) -> list[int]:
    """The groups of a pattern that must be there, as numbers."""
    found = re.search(pattern, text)
    assert found, text
    return [int(group) for group in found.groups()]


@pytest.mark.slow
def test_the_gesture_recogniser_tells_new_recordings(run: Run) -> None:
    said, folder = run("gesture_recogniser")
    (percent,) = numbers(said, r"other recordings: (\d+)\.\d % of \d+ windows told right")
    assert percent >= 90
    assert (folder / "gestures.png").stat().st_size > 10_000


@pytest.mark.slow
def test_the_machine_novelty_detector_finds_both_faults(run: Run) -> None:
    said, folder = run("machine_novelty")
    usual, watched = numbers(said, r"usual: (\d+) of (\d+)")
    assert usual < 0.25 * watched
    for fault in ("unbalanced", "worn bearing"):
        found, there = numbers(said, rf"{fault}: (\d+) of (\d+)")
        assert found > 0.6 * there
    assert (folder / "machine.png").stat().st_size > 10_000


@pytest.mark.slow
def test_the_braille_reader_reads_a_worn_page(run: Run) -> None:
    said, folder = run("braille_reader")
    right, words = numbers(said, r"(\d+) of (\d+) words without a wrong dot")
    assert words == 36
    assert right >= 34
    assert (folder / "page.png").stat().st_size > 10_000
