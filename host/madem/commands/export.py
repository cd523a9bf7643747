"""Write a saved network as integers for other programs, or as the file that a board loads.

For example:
    madem export gestures.madem --out gestures.npz      # weights and settings as arrays
    madem export gestures.madem --board board.madem     # without what only a desktop reads
    madem export gestures.madem --board board.madem --sensor mpu6050:rate=50,labels=10+11

docs/reference/arithmetic.md says what is computed with the integers.
"""

from __future__ import annotations

import argparse
import io
import json
from dataclasses import asdict, replace
from itertools import pairwise
from pathlib import Path

import numpy as np

from madem import output
from madem.commands import paths
from madem.commands.show import described
from madem.commands.terminal import Terminal
from madem.errors import MademError
from madem.network import file
from madem.network.network import Network, StreamInputs, TableInputs
from madem.stream import sensors


def add_options(parser: argparse.ArgumentParser) -> None:
    """The network, and the files that it is written to."""
    parser.add_argument(
        "network", type=paths.Read, metavar="NET", help="a network saved by madem (.madem)"
    )
    parser.add_argument(
        "--out",
        type=paths.Written,
        metavar="FILE.npz",
        help="its integers as NumPy arrays (default: not written)",
    )
    parser.add_argument(
        "--board",
        type=paths.Written,
        metavar="FILE",
        help="the file that a board loads (default: not written)",
    )
    parser.add_argument(
        "--sensor",
        metavar="SPEC",
        help="with --board: the sensor that its samples come from there, which a program opens"
        f" with net.open_source(): {sensors.SPECS} (default: the one that it was taught with, if"
        " a board of its own taught it)",
    )


def run(args: argparse.Namespace, terminal: Terminal) -> int:
    """Write what is asked for."""
    if args.out is None and args.board is None:
        raise MademError("say what to write: --out FILE.npz (arrays) or --board FILE (for a board)")
    if args.sensor is not None and args.board is None:
        raise MademError("--sensor goes into the file for a board: give --board FILE too")
    network = file.load(args.network)
    if args.sensor is not None:
        network = with_sensor(network, sensors.parse(args.sensor))
    if args.out is not None:
        output.write_whole(args.out, integers(network))
        terminal.saved(Path(args.out))
    if args.board is not None:
        output.write_whole(args.board, file.pack(network, board=True))
        terminal.saved(Path(args.board))
    output.write_json(args.json, described(network))
    return 0


def with_sensor(network: Network, sensor: sensors.Sensor) -> Network:
    """Say which sensor a network's samples come from on a board.

    Args:
        network: any whose inputs are those of a stream.
        sensor: that a board shall have.

    Returns:
        The network, with the sensor.

    Raises:
        MademError: the sensor has not the network's channels.
    """
    if not isinstance(network.inputs, StreamInputs):
        raise MademError("the network's inputs are no channels of a stream: leave --sensor out")
    names = network.inputs.names
    if len(sensor.channels) != len(names):
        raise MademError(
            f"the network has {len(names)} channels ({', '.join(names)}), the sensor"
            f" {len(sensor.channels)} ({', '.join(sensor.channels)}): choose another sensor"
        )
    return replace(network, on_board={**network.on_board, b"SRCE": sensor.packed()})


def integers(network: Network) -> bytes:
    """Pack a network's integers into an .npz file.

    Args:
        network: whose they are.

    Returns:
        Its bytes. `P1`, `N1`, `C1` … are the devices and accumulators of weight layer 1 …, uint8
        (bit lines, word lines + 1), the bias line last; `config` all integers of
        docs/reference/arithmetic.md as JSON; `classes` the names; of a table `column_names`,
        `low`, `high`, `decimals` and `origin`.
    """
    state = network.state
    arrays: dict[str, np.ndarray] = {
        "config": np.array(json.dumps(asdict(state.config))),
        "classes": np.array(network.classes, np.str_),
    }
    for k, (m, n) in enumerate(pairwise(state.config.sizes)):
        pairs = np.frombuffer(state.devices[k], np.uint8).reshape(n, 2, m + 1)
        arrays[f"P{k + 1}"], arrays[f"N{k + 1}"] = pairs[:, 0], pairs[:, 1]
        arrays[f"C{k + 1}"] = np.frombuffer(state.accumulators[k], np.uint8).reshape(n, m + 1)
    if isinstance(network.inputs, TableInputs):
        scaling = network.inputs.scaling
        arrays["column_names"] = np.array(network.inputs.names, np.str_)
        for name in ("low", "high", "decimals", "origin"):
            arrays[name] = getattr(scaling, name)
    data = io.BytesIO()
    np.savez(data, allow_pickle=False, **arrays)
    return data.getvalue()
