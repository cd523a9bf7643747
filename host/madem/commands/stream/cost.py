"""Tell what a pipeline and a network cost a board, and whether a Cortex-M3 at 48 MHz keeps up.

For example:
    madem stream cost 'window=40 hop=20 | energy bands:4' --channels 6 --rate 100
    madem stream cost 'window=40 hop=20 | mean energy' --layers 32,4 --learn --rate 100

Exits with 1 where the board does not keep up.
"""

from __future__ import annotations

import argparse
from typing import Any

from madem import output
from madem.boards import capacity, timing
from madem.commands import values
from madem.commands.terminal import Terminal
from madem.errors import MademError
from madem_emulator.twin.pipeline import Pipeline, PipelineError, parse


def add_options(parser: argparse.ArgumentParser) -> None:
    """The options of `madem stream cost`."""
    parser.add_argument(
        "pipeline", metavar="LINE", help="features, such as 'window=40 hop=20 | mean energy'"
    )
    parser.add_argument(
        "--channels", type=int, default=6, metavar="N", help="of a sample (default: 6)"
    )
    parser.add_argument(
        "--rate", type=values.above_zero, metavar="HZ",
        help="samples a second, to be told whether a board keeps up (default: not told)",
    )  # fmt: skip
    parser.add_argument(
        "--layers", type=values.sizes, metavar="N,N…",
        help="units of the layers above the inputs, such as 32,4 (default: no network)",
    )  # fmt: skip
    parser.add_argument(
        "--learn", action="store_true", help="every window is learned (default: predicted)"
    )


def run(args: argparse.Namespace, terminal: Terminal) -> int:
    """Say what it costs; 1 when a board does not keep up."""
    pipeline = _parse(args.pipeline, args.channels)
    heap, counts = capacity.pipeline_bytes(pipeline), timing.pipeline_instructions(pipeline)
    sizes = (pipeline.inputs, *args.layers) if args.layers else ()
    if args.learn and not sizes:
        raise MademError("--learn costs what the network takes: say --layers 32,4")
    result: dict[str, Any] = {
        "pipeline": str(pipeline),
        "channels": args.channels,
        "inputs": pipeline.inputs,
        "heap_bytes": heap,
        "instructions_per_sample": counts.per_sample,
        "instructions_per_window": counts.per_window,
    }
    terminal.say(
        f"{pipeline} of {args.channels} channels: {pipeline.inputs} inputs,"
        f" {heap:,} bytes, {counts.per_sample:,} instructions a sample,"
        f" {counts.per_window:,} a window"
    )
    if sizes:
        result["layers"] = list(sizes)
        result["instructions_of_the_network"] = timing.network_instructions(sizes, args.learn)
        terminal.say(
            f"{'-'.join(map(str, sizes))}: {result['instructions_of_the_network']:,} instructions"
            f" to {'learn' if args.learn else 'predict'} a window"
        )
    if args.rate:
        total = timing.stream_load(pipeline, args.rate, sizes, learns=args.learn)
        result |= {"load": total.share, "keeps_up": total.keeps_up}
        terminal.say(total.verdict())
    output.write_json(args.json, result)
    return 0 if result.get("keeps_up", True) else 1


def _parse(text: str, channels: int) -> Pipeline:
    try:
        return parse(text, channels)
    except PipelineError as error:
        raise MademError(str(error)) from None
