"""madem: a microcontroller that learns on a memristor crossbar, and the tools around it."""

from __future__ import annotations

from importlib import import_module
from importlib.metadata import version
from typing import Any

__version__ = version("madem")

_PLACES = {"MademClassifier": "madem.learn.estimator", "load_task": "madem.data.registry"}
"""Where the names for programs are, imported when they are asked for: they take their time.

`__init__.pyi` tells type checkers of them: an import here would be one from below to above."""


def __getattr__(name: str) -> Any:
    if name in _PLACES:
        return getattr(import_module(_PLACES[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
