"""Named sets of device imperfections of the integer crossbar, for `Settings`."""

from __future__ import annotations

from typing import Any

PRESETS: dict[str, dict[str, Any]] = {
    # A common rehearsal for analog training: every imperfection there, none extreme.
    # Declared by us, not measured on one chip.
    "default": {
        "cycle_to_cycle": 0.1,
        "device_to_device": 0.1,
        "read_noise": 0.01,
        "stuck": 0.0,
        "nonlinearity_set": 0.0,
        "nonlinearity_reset": 0.0,
    },
    "ideal": {
        "cycle_to_cycle": 0.0,
        "device_to_device": 0.0,
        "read_noise": 0.0,
        "stuck": 0.0,
        "nonlinearity_set": 0.0,
        "nonlinearity_reset": 0.0,
    },
    # All noise sources of the integer crossbar at once, for checking the arithmetic.
    "harsh": {
        "cycle_to_cycle": 0.3,
        "device_to_device": 0.2,
        "read_noise": 0.02,
        "stuck": 0.05,
        "nonlinearity_set": 0.5,
        "nonlinearity_reset": 0.8,
    },
}
"""Overrides of `Settings` by preset name."""
