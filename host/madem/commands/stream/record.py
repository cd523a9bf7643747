"""Write the samples of a source into a recording: a CSV file that says what it is.

For example:
    madem stream record serial:/dev/ttyUSB0:115200 --rate 50 --out walk.csv
    madem stream record tone.wav --out tone.csv
"""

from __future__ import annotations

import argparse
import time

from madem import output
from madem.commands import paths
from madem.commands.stream import source
from madem.commands.terminal import Terminal
from madem.data.files.recording import Recorder

_FLUSH_S = 1.0
"""A recording is closed to a block at least so often: what a pulled plug can cost."""


def add_options(parser: argparse.ArgumentParser) -> None:
    """The options of `madem stream record`."""
    source.add_options(parser)
    parser.add_argument(
        "--out",
        type=paths.Written,
        metavar="FILE",
        required=True,
        help="the recording (needed)",
    )
    parser.add_argument(
        "--append", action="store_true", help="go on with a recording (default: a new file)"
    )


def run(args: argparse.Namespace, terminal: Terminal) -> int:
    """Record until the source ends, the time is up, or a Ctrl-C comes."""
    last = 0
    with (
        source.opened(args, terminal.say) as stream,
        Recorder(args.out, stream.header(), append=args.append) as recorder,
    ):
        if recorder.cut_bytes:
            terminal.say(f"removed {recorder.cut_bytes} bytes of an unfinished block")
        before, closed = recorder.rows, time.monotonic()
        for sample in source.until_end(stream, args.seconds):
            recorder.add(sample.t_us, sample.values, sample.label)
            last = sample.t_us
            if stream.live and time.monotonic() - closed > _FLUSH_S:
                recorder.flush()
                closed = time.monotonic()
    rows = recorder.rows - before
    terminal.say(
        f"{args.out}: {rows:,} samples of {len(stream.channels)} channels, {last / 1e6:.1f} s"
        + (f"; {stream.skipped:,} rows were none and left out" if stream.skipped else "")
        + (f"; {stream.clipped:,} clipped" if stream.clipped else "")
    )
    result = {
        "file": args.out,
        "samples": rows,
        "seconds": last / 1e6,
        "channels": list(stream.channels),
        "rate_hz": stream.rate_hz,
        "skipped_rows": stream.skipped,
        "clipped": stream.clipped,
    }
    output.write_json(args.json, result)
    return 0
