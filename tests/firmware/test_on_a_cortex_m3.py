"""The firmware's checks on a Cortex-M3: the assembler's inner loops and viper's give the same bits.

One board serves all tests; the checks are those of device/*_checks.py.
"""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from madem.boards import deploy
from madem.boards.open import open_board
from madem.boards.repl import Repl
from madem.errors import BoardError

pytestmark = [pytest.mark.slow, pytest.mark.needs("qemu")]

_DEVICE = Path(__file__).parent / "device"
_CHECKS = ("kernels_inner_checks", "kernels_checks")


@pytest.fixture(scope="module")
def repl() -> Iterator[Repl]:
    with open_board("qemu:heap=1M") as board:
        deploy.deploy(board)
        with Repl(board.port, board.name) as repl:
            deploy.find_firmware(repl)
            for name in ("plain", *_CHECKS):
                repl.write_file(f"{name}.py", (_DEVICE / f"{name}.py").read_bytes())
            yield repl


def _functions(module: str) -> list[str]:
    body = ast.parse((_DEVICE / f"{module}.py").read_text()).body
    return [
        node.name
        for node in body
        if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")
    ]


def test_the_assembler_is_what_runs(repl: Repl) -> None:
    said = repl.exec(
        "from madem import kernels_select, kernels_thumb\n"
        "print(kernels_select.change is kernels_thumb.change)"
    )
    assert said.split() == [b"True"]


@pytest.mark.parametrize("loops", ["kernels_thumb", "kernels_viper"])
@pytest.mark.parametrize("function", _functions("kernels_inner_checks"))
def test_inner_loops(repl: Repl, function: str, loops: str) -> None:
    said = repl.exec(
        f"import kernels_inner_checks as checks\nfrom madem import {loops}\n"
        f"checks.kernels_select={loops}\nchecks.{function}()\nprint('passed')",
        timeout=300,
    )
    assert said.split() == [b"passed"]


@pytest.mark.parametrize("function", _functions("kernels_checks"))
def test_kernels(repl: Repl, function: str) -> None:
    said = repl.exec(f"import kernels_checks\nkernels_checks.{function}()\nprint('passed')", 60)
    assert said.split() == [b"passed"]


def test_a_wrong_bit_is_noticed(repl: Repl) -> None:
    with pytest.raises(BoardError, match="AssertionError"):
        repl.exec(
            "import kernels_inner_checks\nfrom madem import kernels_thumb\n"
            "class Broken:\n forward_sums=kernels_thumb.forward_sums\n"
            " transposed_sums=kernels_thumb.transposed_sums\n"
            " def convert(out,p,rng):\n  kernels_thumb.convert(out,p,rng)\n  out[0]^=1\n"
            "kernels_inner_checks.kernels_select=Broken\nkernels_inner_checks.test_transposed_read()"
        )
