"""A board works on what its own sensor measures; the samples stay on it unless asked for.

For example:
    madem stream live mpu6050:rate=100 --load net.madem                # which class is it now?
    madem stream live mpu6050 --pipeline 'window=32 | energy' --novelty
    madem stream live mpu6050:labels=10+11 --pipeline 'window=40 hop=20 | mean energy' \\
        --learn --classes still,moving --save net.madem

It ends with a Ctrl-C, or after --seconds. docs/guide/sensors.md has the sensors and their wiring.
"""

from __future__ import annotations

import argparse

from madem import output
from madem.commands import online, options, values
from madem.commands.terminal import Terminal
from madem.errors import MademError
from madem.stream import onboard_run, sensors


def add_options(parser: argparse.ArgumentParser) -> None:
    """The options of `madem stream live`."""
    parser.add_argument("sensor", metavar="SENSOR", help=sensors.SPECS)
    options.board(parser)
    parser.add_argument(
        "--pipeline",
        metavar="LINE",
        help="features that the board computes (needed unless --load)",
    )
    parser.add_argument(
        "--load", metavar="FILE", help="a saved network and its pipeline (default: none)"
    )
    parser.add_argument(
        "--novelty", action="store_true",
        help="learn without labels what is usual, and say what is new (default: do not)",
    )  # fmt: skip
    parser.add_argument("--seed", type=int, help="of a network that begins here (default: 1)")
    parser.add_argument(
        "--seconds", type=values.above_zero, metavar="S", help="end after so many (default: never)"
    )
    parser.add_argument(
        "--leave", action="store_true",
        help="let the board go on when this program ends (default: it stops)",
    )  # fmt: skip
    group = parser.add_argument_group("samples")
    group.add_argument(
        "--stream", choices=("raw",), help="have them sent (default: they stay on the board)"
    )
    group.add_argument(
        "--out", metavar="FILE", help="a recording of them, needs --stream raw (default: none)"
    )
    group = parser.add_argument_group("learning")
    group.add_argument(
        "--learn", action="store_true", help="learn windows with a label (default: do not)"
    )
    group.add_argument(
        "--classes", metavar="A,B…", type=values.names, default=(),
        help="names of the classes (default: those of --load)",
    )  # fmt: skip
    group.add_argument(
        "--label-keys", action="store_true",
        help="keys 1, 2, … label what comes, 0 ends it (default: the sensor's label pins do)",
    )  # fmt: skip
    group.add_argument("--save", metavar="FILE", help="what was learned (default: not saved)")
    online.add_care(group)


def run(args: argparse.Namespace, terminal: Terminal) -> int:
    """Have the board work, and say what it says."""
    sensor = sensors.parse(args.sensor)
    if args.seed is not None and (args.load or not (args.learn or args.novelty)):
        raise MademError("--seed is of a network that begins here, with --learn or --novelty")
    if args.save:
        output.check_file(args.save)
    run_options = onboard_run.RunOptions(
        pipeline=args.pipeline,
        load=args.load,
        save=args.save,
        learn=args.learn,
        classes=args.classes,
        label_keys=args.label_keys,
        novelty=args.novelty,
        raw=args.stream == "raw",
        out=args.out,
        seconds=args.seconds,
        leave=args.leave,
        seed=1 if args.seed is None else args.seed,
        care=online.wanted_care(args),
    )
    result = onboard_run.run(args.board, sensor, run_options, terminal.say)
    terminal.say(
        f"{result['windows']:,} windows of {result['samples']:,} samples,"
        f" {result['lost']:,} lost, {result['learned']:,} learned"
    )
    output.write_json(args.json, result)
    return 0
