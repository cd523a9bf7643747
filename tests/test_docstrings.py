"""Docstrings: their examples run, and public functions and classes say what there is to say."""

from __future__ import annotations

import ast
import doctest
import re
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).parents[1]
HOST, EMULATOR = ROOT / "host" / "madem", ROOT / "emulator" / "madem_emulator"
FILES = sorted([*HOST.rglob("*.py"), *EMULATOR.rglob("*.py")])
WITH_EXAMPLES = [
    path for path in FILES if re.search(r"^ *>>> ", path.read_text(encoding="utf-8"), re.MULTILINE)
]
REFERS = re.compile(r"(As|See|.*[;:] (arguments as|as|see))( for)? `")
"""First lines that name where the arguments are told."""

SHARED = {"args", "parser", "group", "terminal", "text"}
"""Parameters that mean the same in all commands: words that were parsed, the parser or group that
gets options, where is printed, and an option's value. They need no entry there, nor do the exit
code and the errors that end a command: commands/parser.py and cli.py tell of them."""

Function = ast.FunctionDef | ast.AsyncFunctionDef


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT))


@pytest.mark.parametrize("path", WITH_EXAMPLES, ids=name_of)
def test_examples_give_what_they_show(path: Path) -> None:
    package = HOST if HOST in path.parents else EMULATOR
    parts = path.relative_to(package.parent).with_suffix("").parts
    with np.printoptions(precision=8, legacy=False):
        result = doctest.testmod(import_module(".".join(parts)), extraglobs={"np": np})
    assert result.attempted > 0
    assert result.failed == 0


def public(tree: ast.AST) -> Iterator[ast.ClassDef | Function]:
    """Public classes and functions, and public methods, `__init__` included."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
            yield node
            yield from public(node)
        elif isinstance(node, Function) and (
            node.name == "__init__" or not node.name.startswith("_")
        ):
            yield node


def told(words: str, section: str) -> set[str]:
    """Names that have an entry in a section; in `Attributes` a few may share their words."""
    _, _, after = words.partition(f"\n{section}:\n")
    lines = re.match(r"(?: {4}.*\n?|\n)*", after)
    assert lines
    entries = re.findall(r"^    ([\w*, ]+): ", lines[0], re.MULTILINE)
    return {name.strip(" *") for entry in entries for name in entry.split(",")}


def raises(function: ast.AST) -> bool:
    """Whether a function raises a public exception itself, not in a function within it."""
    for node in ast.iter_child_nodes(function):
        if isinstance(node, Function | ast.Lambda):
            continue
        exception = node.exc if isinstance(node, ast.Raise) else None
        if isinstance(exception, ast.Call) and not ast.unparse(exception).startswith("_"):
            return True
        if raises(node):
            return True
    return False


def fields(node: ast.ClassDef) -> set[str]:
    """Public fields of a class that have no docstring of their own."""
    own = zip(node.body, [*node.body[1:], ast.Pass()], strict=True)
    return {
        each.target.id
        for each, following in own
        if isinstance(each, ast.AnnAssign)
        and isinstance(each.target, ast.Name)
        and not each.target.id.startswith("_")
        and not isinstance(following, ast.Expr)
        and not (isinstance(each.value, ast.Call) and ast.unparse(each.value.func) == "constant")
    }


def untold(node: ast.ClassDef | Function, command: bool) -> list[str]:
    """What the docstring lacks, unless it refers to where that is told."""
    words = ast.get_docstring(node) or ""
    if isinstance(node, ast.ClassDef):
        return sorted(fields(node) - told(words, "Attributes"))
    if REFERS.match(words) or any(isinstance(each, ast.Attribute) for each in node.decorator_list):
        return []
    every = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]
    every += [each for each in (node.args.vararg, node.args.kwarg) if each]
    names = {each.arg for each in every if each.arg[0] != "_"} - {"self", "cls"}
    names -= SHARED if command else set()
    lacking = sorted(names - told(words, "Args"))
    given = node.returns is not None and ast.unparse(node.returns) not in ("None", "NoReturn")
    if names and given and not re.search(r"^(Returns|Yields):$", words, re.MULTILINE):
        lacking.append("Returns")
    if raises(node) and not command and not re.search(r"^Raises:$", words, re.MULTILINE):
        lacking.append("Raises")
    return lacking


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_public_names_say_what_there_is_to_say(path: Path) -> None:
    found = public(ast.parse(path.read_text(encoding="utf-8")))
    lacking = [(node.name, untold(node, "commands" in path.parts)) for node in found]
    assert [(name, what) for name, what in lacking if what] == []
