"""No test is skipped in silence: each says what it needs, and in .ci/run it fails without it."""

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest

_TESTS = Path(__file__).parent
_WAYS = {"skip", "skipif", "importorskip", "xfail", "SkipTest", "skipTest", "skipUnless", "skipIf"}


def _ways_to_skip(path: Path) -> set[str]:
    """The words with which a file can have a test not count."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Attribute):
            found.add(node.attr)
        elif isinstance(node, ast.alias):
            found.add(node.name)
    return found & _WAYS


def test_tests_are_skipped_in_one_place() -> None:
    skipping = {path.relative_to(_TESTS) for path in _TESTS.rglob("*.py") if _ways_to_skip(path)}
    assert skipping == {Path("conftest.py")}


@pytest.mark.parametrize(
    ("environment", "code", "counted"), [({}, 0, "1 skipped"), ({"MADEM_NO_SKIP": "1"}, 1, "error")]
)
def test_what_is_missing_is_said_with_the_command_that_mends_it(
    environment: dict[str, str], code: int, counted: str
) -> None:
    kept = {name: value for name, value in os.environ.items() if name != "MADEM_NO_SKIP"}
    only_ours = {"PATH": str(Path(sys.executable).parent)}
    done = subprocess.run(
        [
            *(sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"),
            "tests/host/commands/test_completion.py::test_fish_completes",
        ],
        cwd=_TESTS.parent,
        env=kept | only_ours | environment,
        capture_output=True,
        text=True,
    )
    assert done.returncode == code, done.stdout + done.stderr
    assert "fish is missing: sudo apt-get install fish\n" in done.stdout
    assert counted in done.stdout.splitlines()[-1]
