r"""A board works on what its own sensor measures; the samples stay on it unless asked for.

For example:
    madem stream live mpu6050:rate=100 --load net.madem                # which class is it now?
    madem stream live mpu6050 --pipeline 'window=32 | energy' --novelty
    madem stream live mpu6050:labels=10+11 --pipeline 'window=40 hop=20 | mean energy' \
        --learn --classes still,moving --save net.madem

It ends with a Ctrl-C, or after --seconds. docs/guide/sensors.md has the sensors and their wiring.
"""

from __future__ import annotations

import argparse
from typing import Any

from madem import output
from madem.commands import options, paths, values
from madem.commands.terminal import Terminal
from madem.network import file
from madem.stream import sensors
from madem.stream.follow import follow
from madem.stream.lines import no_change_line
from madem.stream.onboard_run import OnboardOptions, OnboardRun


def add_options(parser: argparse.ArgumentParser) -> None:
    """The options of `madem stream live`."""
    options.board(parser)
    parser.add_argument(
        "--seconds", type=values.above_zero, metavar="S", help="end after so many (default: never)"
    )
    parser.add_argument(
        "--leave", action="store_true",
        help="let the board go on when this program ends (default: it stops)",
    )  # fmt: skip
    samples, learning = add_work(parser)
    samples.add_argument(
        "--out",
        type=paths.Written,
        metavar="FILE",
        help="a recording of them, needs --stream raw (default: none)",
    )
    learning.add_argument(
        "--label-keys", action="store_true",
        help="keys 1, 2, … label what comes, 0 ends it (default: the sensor's label pins do)",
    )  # fmt: skip
    learning.add_argument(
        "--save",
        type=paths.Written,
        metavar="FILE",
        help="what was learned (default: not saved)",
    )
    options.gate(learning)


def add_work(
    parser: argparse.ArgumentParser,
) -> tuple[argparse._ArgumentGroup, argparse._ArgumentGroup]:
    """The sensor, and what the board does with it: read by `work_of`.

    Returns:
        The groups of the samples and of learning, for more options.
    """
    parser.add_argument("sensor", metavar="SENSOR", help=sensors.SPECS)
    options.windows(parser)
    samples = parser.add_argument_group("samples")
    samples.add_argument(
        "--stream", choices=("raw",), help="have them sent (default: they stay on the board)"
    )
    learning = parser.add_argument_group("learning")
    learning.add_argument(
        "--learn", action="store_true", help="learn windows with a label (default: do not)"
    )
    learning.add_argument(
        "--classes", metavar="A,B…", type=values.names, default=(),
        help="names of the classes (default: those of --load)",
    )  # fmt: skip
    return samples, learning


def work_of(args: argparse.Namespace) -> dict[str, Any]:
    """Read what the board shall do, for `OnboardOptions`."""
    begins = args.novelty or (args.learn and not args.load)
    return {
        "pipeline": args.pipeline,
        "load": file.load(args.load) if args.load else None,
        "novelty": args.novelty,
        "learn": args.learn,
        "classes": args.classes,
        "raw": args.stream == "raw",
        "seed": options.seed_of_new(args, begins),
    }


def run(args: argparse.Namespace, terminal: Terminal) -> int:
    """Have the board work, and say what it says."""
    sensor = sensors.parse(args.sensor)
    if args.save:
        output.check_file(args.save)
    run_options = OnboardOptions(
        **work_of(args),
        save=args.save,
        label_keys=args.label_keys,
        out=args.out,
        seconds=args.seconds,
        leave=args.leave,
        gate=options.gate_of(args),
    )
    result = follow(args.board, OnboardRun(sensor, run_options), terminal.say, args.patience)
    terminal.say(
        f"{result['windows']:,} windows of {result['samples']:,} samples,"
        f" {result['lost']:,} lost, {result['learned']:,} learned"
    )
    for line in _told(result):
        terminal.say(line)
    output.write_json(args.json, result)
    return 0


def _told(result: dict[str, Any]) -> list[str]:
    """What is to know of the accuracy while a board was taught."""
    found = []
    if result["per_class"]:
        each = [
            f"{name} {100 * one['recall']:.0f} % of {one['samples']:,}"
            for name, one in result["per_class"].items()
            if one["samples"]
        ]
        found.append(f"right before it was learned: {', '.join(each)}")
    if result["no_change"] is not None:
        found.append(no_change_line(result["no_change"]))
    if result["taught_in_blocks"]:
        found.append(
            "each class came once, one after the other: the last ones push out the first; come"
            " back to each of them several times"
        )
    return found
