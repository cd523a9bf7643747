"""The desktop emulator.

For people who only want a crossbar: `from madem_emulator import Crossbar, presets`. These are
imported when they are first used, so that an emulated board starts without numpy.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from madem_emulator.physical import presets
    from madem_emulator.physical.crossbar import Crossbar
    from madem_emulator.physical.device import DeviceModel

__all__ = ["Crossbar", "DeviceModel", "presets"]

_HOMES = {
    "Crossbar": "madem_emulator.physical.crossbar",
    "DeviceModel": "madem_emulator.physical.device",
}


def __getattr__(name: str) -> Any:
    if name == "presets":
        return import_module("madem_emulator.physical.presets")
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
