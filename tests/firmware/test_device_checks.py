"""Runs the test functions of device/*_checks.py inside real MicroPython, each in a process.

The files can't be imported here: they import the firmware, which is MicroPython's alone.
"""

import ast
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from madem_emulator.boards.unix_interpreter import find_micropython

_ROOT = Path(__file__).parents[2]
_DEVICE = Path(__file__).parent / "device"


def _checks() -> Iterator[object]:
    for path in sorted(_DEVICE.glob("*_checks.py")):
        for node in ast.parse(path.read_text()).body:
            if isinstance(node, ast.FunctionDef) and node.name.startswith("test_"):
                name = f"{path.stem.removesuffix('_checks')}: {node.name.removeprefix('test_')}"
                yield pytest.param(path.stem, node.name, id=name)


def _run(code: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [find_micropython(), "-X", "heapsize=8M", "-c", code],
        cwd=_DEVICE,
        env=os.environ | {"MICROPYPATH": f".frozen:{_ROOT / 'firmware'}:{_DEVICE}"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=300,
    )


@pytest.mark.parametrize(("module", "function"), list(_checks()))
def test_inside_micropython(module: str, function: str) -> None:
    done = _run(f"import {module}\n{module}.{function}()\nprint('passed', end='')")
    if (done.returncode, done.stdout) != (0, "passed"):
        pytest.fail(done.stdout, pytrace=False)


def test_a_failing_check_is_noticed() -> None:
    done = _run("import plain\nplain.equal(1 + 1, 3, 'a sum')")
    assert done.returncode != 0
    assert done.stdout.rstrip().endswith("AssertionError: a sum: got 2, expected 3")
