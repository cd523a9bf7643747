"""Docstrings of the emulator: their examples run, and public functions say what they take."""

from __future__ import annotations

import ast
import doctest
import re
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest

PACKAGE = Path(__file__).parents[2] / "emulator" / "madem_emulator"
FILES = sorted(PACKAGE.rglob("*.py"))
WITH_EXAMPLES = [
    path for path in FILES if re.search(r"^ *>>> ", path.read_text(encoding="utf-8"), re.MULTILINE)
]
REFERS = re.compile(r"(As|See|.*[;:] (as|see)) `")
"""First lines that name where the arguments are told."""
TO_DO = ("sensor_signals.py",)
GONE_THROUGH = [path for path in FILES if not set(path.parts) & set(TO_DO)]


@pytest.mark.parametrize("path", WITH_EXAMPLES, ids=lambda path: path.stem)
def test_examples_give_what_they_show(path: Path) -> None:
    parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
    with np.printoptions(precision=8, legacy=False):
        result = doctest.testmod(import_module(".".join(parts)), extraglobs={"np": np})
    assert result.attempted > 0
    assert result.failed == 0


def public(tree: ast.AST) -> list[ast.FunctionDef]:
    """Public functions and methods of public classes, `__init__` included."""
    found: list[ast.FunctionDef] = []
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
            found += public(node)
        elif isinstance(node, ast.FunctionDef) and (
            node.name == "__init__" or not node.name.startswith("_")
        ):
            found.append(node)
    return found


def missing(function: ast.FunctionDef) -> list[str]:
    """Parameters without a word in the docstring, unless it refers to where they have one."""
    words = ast.get_docstring(function) or ""
    if REFERS.match(words):
        return []
    arguments = [*function.args.posonlyargs, *function.args.args, *function.args.kwonlyargs]
    names = {argument.arg for argument in arguments} - {"self", "cls"}
    setter = any(isinstance(each, ast.Attribute) for each in function.decorator_list)
    return [] if setter else sorted(name for name in names if f"    {name}: " not in words)


@pytest.mark.parametrize("path", GONE_THROUGH, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_public_functions_say_what_they_take(path: Path) -> None:
    found = public(ast.parse(path.read_text(encoding="utf-8")))
    assert {f.name: missing(f) for f in found if missing(f)} == {}
