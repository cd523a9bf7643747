"""One module a command: its `NAME`, its `HELP`, `add_options(parser)` and `run(args, terminal)`,
which gives the exit code. cli.py lists them in the order below."""

from madem.commands import bench, boards, compare, demo, deploy, doctor, learn, verify
from madem.commands.terminal import Terminal

ALL = (demo, boards, deploy, learn, verify, compare, bench, doctor)

__all__ = ["ALL", "Terminal"]
