"""Show what a saved network is: layers, inputs and their scale, classes, training and test.

For example:
    madem show gestures.madem

Nothing is run and no board is needed. --json gives the same for programs.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from typing import Any

from rich import box
from rich.table import Table

from madem import output
from madem.commands import paths
from madem.commands.terminal import Terminal
from madem.network import file
from madem.network.network import Network, StreamInputs, TableInputs, WordInputs
from madem.stream import sensors

_MOST = 20
"""Inputs that a person is shown."""


def add_options(parser: argparse.ArgumentParser) -> None:
    """The network that is shown."""
    parser.add_argument(
        "network", type=paths.Read, metavar="NET", help="a network saved by madem (.madem)"
    )


def run(args: argparse.Namespace, terminal: Terminal) -> int:
    """Describe it."""
    network = file.load(args.network)
    facts = described(network)
    output.write_json(args.json, facts)
    for line in _lines(facts):
        terminal.write(line)
    if isinstance(network.inputs, TableInputs):
        terminal.say(_columns(network.inputs))
    return 0


def described(network: Network) -> dict[str, Any]:
    """Tell all that is known of a network, ready for JSON.

    Args:
        network: any.

    Returns:
        What is known, by name.
    """
    config, inputs = network.state.config, network.inputs
    facts: dict[str, Any] = {
        "kind": "recalls words" if network.recalls else "tells classes apart",
        "layers": list(config.sizes),
        "couplings": config.couplings,
        "weight_bits": config.weight_bits,
        "rule": config.rule.name.lower().replace("_", "-"),
        "seed": config.seed,
        "samples_learned": network.state.steps,
        "classes": list(network.classes),
        "physical_devices": network.state.physical is not None,
    }
    if isinstance(inputs, TableInputs):
        low, high = inputs.scaling.range()
        facts["columns"] = [
            {"name": c.name, "unit": c.unit, "low": float(a), "high": float(b)}
            for c, a, b in zip(inputs.columns, low, high, strict=True)
        ]
    elif isinstance(inputs, StreamInputs):
        facts["channels"] = [
            {"name": c.name, "unit": c.unit, "units_per_count": c.scale} for c in inputs.channels
        ]
        facts |= {"pipeline": inputs.pipeline, "rate_hz": inputs.rate_hz}
    elif isinstance(inputs, WordInputs):
        facts["label_lines"] = inputs.label_lines
    if network.on_board:
        facts["on_board"] = _on_board(network.on_board)
    return facts | {"notes": network.notes}


def _on_board(sections: Mapping[bytes, bytes]) -> dict[str, Any]:
    """What a board goes on from."""
    facts: dict[str, Any] = {}
    if b"RATE" in sections:
        rate, pulses = file.RATE.unpack(sections[b"RATE"])
        facts |= {"rate": rate, "pulses": pulses}
    if b"GATE" in sections:
        facts["gate"] = file.gate_facts(sections[b"GATE"])
    if b"SRCE" in sections:
        facts["sensor"] = sensors.name_of(sections[b"SRCE"])
    if b"SAVE" in sections:
        (facts["saves"],) = file.SAVES.unpack(sections[b"SAVE"])
    return facts


def _lines(facts: dict[str, Any]) -> list[str]:
    sizes = "-".join(map(str, facts["layers"]))
    lines = [
        f"{sizes}, {facts['kind']}: {facts['couplings']:,} couplings of {facts['weight_bits']}-bit"
        f" devices, rule {facts['rule']}, seed {facts['seed']}",
        f"has learned {facts['samples_learned']:,} samples",
        f"classes: {', '.join(facts['classes']) or 'without names'}",
    ]
    if "channels" in facts:
        rate = f" at {facts['rate_hz']:g} Hz" if facts["rate_hz"] else ""
        named = [
            f"{c['name']} ({c['units_per_count']:g} {c['unit'] or 'units'} a count)"
            for c in facts["channels"]
        ]
        lines += [f"channels{rate}: {', '.join(named)}", f"pipeline: {facts['pipeline']}"]
    if "on_board" in facts:
        told = [f"{key} {_short(value)}" for key, value in facts["on_board"].items()]
        lines.append(f"on a board: {', '.join(told)}")
    for name in ("training", "test"):
        what = facts["notes"].get(name)
        if isinstance(what, dict):
            told = [f"{key.replace('_', ' ')} {_short(value)}" for key, value in what.items()]
            lines.append(f"{name}: {', '.join(told)}")
    return lines


def _short(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{k}: {_short(v)}" for k, v in value.items()) + "}"
    return str(value)


def _columns(inputs: TableInputs) -> Table:
    table = Table(box=box.SIMPLE_HEAD, title="Inputs", title_justify="left", title_style="bold")
    for heading in ("column", "unit"):
        table.add_column(heading)
    for heading in ("code 0", "code 255"):
        table.add_column(heading, justify="right")
    low, high = inputs.scaling.range()
    for column, a, b in list(zip(inputs.columns, low, high, strict=True))[:_MOST]:
        table.add_row(column.name, column.unit, f"{a:.6g}", f"{b:.6g}")
    if len(inputs.columns) > _MOST:
        table.add_row(f"and {len(inputs.columns) - _MOST} more", "", "", "")
    return table
