"""What `pio test` does: run the firmware's own checks on a board, through its REPL.

The checks are those of tests/firmware/device/. They need more memory than learning does: on a
small board the larger ones report that it is not enough.
"""

import ast
from pathlib import Path

import click
from platformio.test.result import TestCase, TestStatus
from platformio.test.runners.base import TestRunnerBase

from madem.boards import deploy
from madem.boards.open import open_board
from madem.boards.repl import Repl

_CHECKS = Path(__file__).parents[2] / "tests" / "firmware" / "device"
# On the board, for as long as the checks run.
_FOLDER = "madem_checks"
# The longest check, on the slowest board.
_SECONDS = 300

_START = f"import sys\nsys.path.insert(0,{_FOLDER!r})\n"
_RUN = """\
try:
 import {module}
 {module}.{function}()
except Exception as error:
 sys.print_exception(error)
"""
_CLEAN_UP = """\
import os
for name in os.listdir({folder!r}):os.remove({folder!r}+'/'+name)
os.rmdir({folder!r})
"""


class CustomTestRunner(TestRunnerBase):
    """PlatformIO finds it by this name, and drives it stage by stage."""

    def stage_testing(self) -> None:
        """Deploy the firmware and run every check; each is one test case."""
        if self.options.without_testing:
            return
        click.secho("Testing...", bold=True)
        with open_board(self.get_test_port() or "auto") as board:
            if not self.options.without_uploading:
                deploy.deploy(board)
            with Repl(board.port, board.name) as repl:
                repl.make_directory(_FOLDER)
                for path in sorted(_CHECKS.glob("*.py")):
                    repl.write_file(f"{_FOLDER}/{path.name}", path.read_bytes())
            try:
                for module, functions in _list_checks().items():
                    # Each module finds an empty heap.
                    with Repl(board.port, board.name) as repl:
                        deploy.find_firmware(repl)
                        repl.exec(_START)
                        for function in functions:
                            self._add(module, function, repl)
            finally:
                with Repl(board.port, board.name) as repl:
                    repl.exec(_CLEAN_UP.format(folder=_FOLDER))

    def _add(self, module: str, function: str, repl: Repl) -> None:
        said = repl.exec(_RUN.format(module=module, function=function), timeout=_SECONDS).decode()
        case = TestCase(
            name=f"{module.removesuffix('_checks')}: {function.removeprefix('test_')}",
            status=TestStatus.FAILED if said else TestStatus.PASSED,
            message=said.strip().rpartition("\n")[2] or None,
            stdout=said or None,
        )
        self.test_suite.add_case(case)
        click.echo(case.humanize())


def _list_checks() -> dict[str, list[str]]:
    """Test functions by module."""
    return {
        path.stem: [
            node.name
            for node in ast.parse(path.read_text()).body
            if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")
        ]
        for path in sorted(_CHECKS.glob("*_checks.py"))
    }
