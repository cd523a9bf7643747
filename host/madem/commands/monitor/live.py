r"""Watch boards work on what their own sensors measure; the samples stay there unless asked for.

For example:
    madem monitor live mpu6050:rate=100 --load net.madem
    madem monitor live mpu6050:labels=10+11 --pipeline 'window=40 hop=20 | mean energy' \
        --learn --classes still,moving
"""

from __future__ import annotations

import argparse

from madem.commands.monitor import watch
from madem.commands.stream import live
from madem.commands.terminal import Terminal
from madem.monitor.jobs import OnboardJob
from madem.stream import sensors
from madem.stream.onboard_run import OnboardOptions, OnboardRun


def add_options(parser: argparse.ArgumentParser) -> None:
    """The options of `madem monitor live`."""
    watch.add_options(parser, "--windows", "windows")
    live.add_work(parser)


def run(args: argparse.Namespace, terminal: Terminal) -> int:
    """Have the boards work, and show it; 1 if one of them died."""
    sensor = sensors.parse(args.sensor)
    wanted = OnboardOptions(**live.work_of(args))
    return watch.watch(
        args, terminal, lambda board: (board, OnboardJob(OnboardRun(sensor, wanted)))
    )
