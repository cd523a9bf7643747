"""Draw each second of a source in the terminal, a line a channel.

For example:
    madem stream show walk.csv
"""

from __future__ import annotations

import argparse

from madem import output
from madem.commands.stream import source
from madem.commands.terminal import Terminal
from madem.stream.lines import channel_bars
from madem.stream.sources import Sample

_SHOWN_S = 1.0


def add_options(parser: argparse.ArgumentParser) -> None:
    """The options of `madem stream show`."""
    source.add_options(parser)
    source.add_fast(parser)


def run(args: argparse.Namespace, terminal: Terminal) -> int:
    """Draw it until it ends, the time is up, or a Ctrl-C comes."""
    count, last = 0, 0
    with source.opened(args, terminal.say) as stream:
        shown: list[Sample] = []
        for sample in source.timed(stream, args):
            count, last = count + 1, sample.t_us
            shown.append(sample)
            if sample.t_us - shown[0].t_us >= _SHOWN_S * 1e6:
                terminal.say(channel_bars(stream.channels, shown))
                shown.clear()
        if shown:
            terminal.say(channel_bars(stream.channels, shown))
    result = {"samples": count, "seconds": last / 1e6, "channels": list(stream.channels)}
    output.write_json(args.json, result)
    return 0
