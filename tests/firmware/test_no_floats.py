"""Nothing that runs on the device makes a float: docs/reference/arithmetic.md is integers
throughout.
"""

import ast
from pathlib import Path

import pytest

_FIRMWARE = Path(__file__).parents[2] / "firmware"
_MODULES = sorted(_FIRMWARE.glob("madem/*.py"))


def floats(source: str) -> list[str]:
    """Places where a float may come from: literals, true division, `float`, `math`."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if (
            (isinstance(node, ast.Constant) and isinstance(node.value, float | complex))
            or (isinstance(node, ast.BinOp | ast.AugAssign) and isinstance(node.op, ast.Div))
            or (isinstance(node, ast.Name) and node.id == "float")
            or (isinstance(node, ast.Attribute) and node.attr == "time")  # time.time()
            or (isinstance(node, ast.Import) and "math" in [a.name for a in node.names])
            or (isinstance(node, ast.ImportFrom) and node.module in ("math", "cmath"))
        ):
            found.append(f"line {node.lineno}: {ast.unparse(node)}")
    return found


@pytest.mark.parametrize("path", _MODULES, ids=lambda path: path.name)
def test_no_float_on_the_device(path: Path) -> None:
    assert floats(path.read_text()) == []


@pytest.mark.parametrize(
    "source",
    ["x = 0.5", "x = a / b", "x /= 2", "x = float(y)", "x = 1j", "import math", "x = time.time()"],
)
def test_the_search_finds_them(source: str) -> None:
    assert len(floats(source)) == 1


def test_there_is_something_to_search() -> None:
    assert {"kernels.py", "learn_rule.py", "link_server.py"} <= {path.name for path in _MODULES}
