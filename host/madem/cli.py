"""The command line: parse, run, report. Every command exits 0 (did it), 1 (ran, and the answer
is no) or 2 (bad usage or input, said in one line)."""

from __future__ import annotations

import argparse
import io
import sys
from types import ModuleType
from typing import NoReturn

from madem import __version__
from madem.errors import MademError
from madem_emulator.presets import PRESETS

_EPILOG = """\
three steps:
  madem demo                      learn Braille on an emulated board, verify it, see pictures
  madem learn digits              learn on a board, test, compare with the desktop
  madem verify digits             the same in lock step with the desktop twin, bit by bit

learning rules against each other: madem compare

tasks: braille, braille-words, digits, or your own DATA.csv / DATA.npz
boards: unix (emulated, the default), unix:heap=64K, a port such as /dev/ttyACM0 or COM3,
        auto (the one attached), and for learn: twin (the desktop model alone)
exit codes: 0 did it, 1 ran and the answer is no, 2 bad usage or input
"""


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: {message}; see `{self.prog} --help`\n")


def main(argv: list[str] | None = None) -> int:
    """Run one command; returns the exit code."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # `?` where a terminal has no `█`
            stream.reconfigure(errors="replace")
    try:
        # Takes long enough to be met by a Ctrl-C.
        from madem import commands, output

        args = _parser(commands).parse_args(argv)
        quiet = args.quiet or args.json == "-"  # the JSON alone, for a program to read
        if args.json not in (None, "-"):
            output.check_file(args.json, make_folder=True)
        return args.run(args, commands.Terminal(quiet))
    except MademError as error:
        print(f"madem: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("madem: stopped", file=sys.stderr)
        return 130
    except BrokenPipeError:
        sys.stderr.close()  # the reader of our output has left; nothing to tell it
        return 1


def _parser(commands: ModuleType) -> _Parser:
    parser = _Parser(
        prog="madem",
        description="Learn on a microcontroller with a memristor crossbar, and check every bit.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"madem {__version__}")
    add = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)

    demo = _command(add, "demo", commands.demo, "learn Braille on an emulated board and show it")
    _board(demo)
    demo.add_argument("--out", default="madem-out", metavar="DIR", help="folder of the pictures")
    demo.add_argument("--seed", type=int, default=1, help="seed of everything drawn (1)")

    boards = _command(add, "boards", commands.boards, "what is attached, and what is emulated")
    boards.add_argument(
        "--start",
        metavar="BOARD",
        help="keep an emulated board running until Ctrl-C and print its port,"
        " to use it as `--board PORT` from elsewhere",
    )

    deploy = _command(add, "deploy", commands.deploy, "put the firmware on a board")
    _board(deploy, default="auto")
    deploy.add_argument("--force", action="store_true", help="write unchanged files too")

    learn = _command(add, "learn", commands.learn, "stream samples, learn on the device, evaluate")
    _board(learn)
    _task(learn)
    learn.add_argument("--plot", metavar="DIR", help="save pictures into this folder")
    learn.add_argument("--save", metavar="FILE", help="save what was learned")
    learn.add_argument("--load", metavar="FILE", help="go on from a saved state")
    learn.add_argument("--no-baselines", action="store_true", help="leave the comparison out")

    verify = _command(add, "verify", commands.verify, "the same in lock step with the twin")
    _board(verify)
    _task(verify)
    verify.add_argument(
        "--samples",
        type=int,
        default=2000,
        help="training samples to compare (2000); predictions on the test set are compared too",
    )
    verify.add_argument(
        "--inject",
        metavar="WHAT:STEP",
        help="weight:STEP or state:STEP flips one bit on the device at that step,"
        " to see that the check can fail",
    )

    compare = _command(
        add, "compare", commands.compare, "learning rules against each other on emulated devices"
    )
    compare.add_argument("--task", default="digits", help="digits, braille-words, a file (digits)")
    compare.add_argument(
        "--rules",
        type=lambda text: text.split(","),
        metavar="A,B…",
        help=f"of {', '.join(commands.comparison.RULES)} (all)",
    )
    compare.add_argument(
        "--over",
        default="all",
        choices=(*commands.comparison.LIMITS, "all"),
        help="what is varied (all)",
    )
    compare.add_argument("--seeds", type=int, metavar="N", help="devices of each rule (5)")
    compare.add_argument("--epochs", type=int, help="passes (4 for digits, 10 for Braille)")
    compare.add_argument(
        "--quick", action="store_true", help="fewer values, 2 seeds, 1 pass: a first look"
    )
    compare.add_argument(
        "--tune", action="store_true", help="choose the learning rates anew, on validation samples"
    )
    compare.add_argument(
        "--out", default="madem-out", metavar="DIR", help="folder of the picture and the CSV file"
    )

    bench = _command(add, "bench", commands.bench, "figures of the device and the link")
    bench.add_argument("what", choices=("device", "memory", "link"), help="what to measure")
    _board(bench)
    bench.add_argument(
        "--task", default="digits", help="memory: the task that has to complete (digits)"
    )

    _command(add, "doctor", commands.doctor, "what is missing, and the command that mends it")
    return parser


def _command(add, name: str, run, text: str) -> argparse.ArgumentParser:
    parser = add.add_parser(name, help=text, description=text[0].upper() + text[1:] + ".")
    parser.set_defaults(run=run)
    parser.add_argument("--json", metavar="FILE", help="write the result as JSON (- for stdout)")
    parser.add_argument("--quiet", action="store_true", help="print errors only")
    return parser


def _board(parser: argparse.ArgumentParser, default: str = "unix") -> None:
    parser.add_argument(
        "--board",
        default=default,
        help=f"unix, unix:heap=64K, a port, auto; for learn also twin ({default})",
    )


def _task(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("task", help="braille, braille-words, digits, or DATA.csv / DATA.npz")
    parser.add_argument(
        "--layers",
        type=_hidden,
        metavar="N,N…",
        help="units of the hidden layers, or none for a single weight layer (64 for Braille, 32)",
    )
    parser.add_argument("--epochs", type=int, help="passes (20; Braille 80; small files more)")
    parser.add_argument("--bits", type=int, help="bits of a device, 2 to 8 (4)")
    parser.add_argument("--beta", type=float, help="strength of the nudge (1)")
    parser.add_argument("--rule", choices=("centred", "one-sided", "clamped"), help="(centred)")
    parser.add_argument("--rate", type=float, help="learning rate (4; Braille words 1, recall 2)")
    parser.add_argument(
        "--decay",
        type=float,
        help="factor on the rate after each pass",
    )
    parser.add_argument("--preset", choices=PRESETS, default="default", help="device imperfections")
    for flag, what in (
        ("--cycle-to-cycle", "σ of a step, as a fraction of it"),
        ("--device-to-device", "σ over devices of step and window"),
        ("--read-noise", "σ of a reading, as a fraction of full scale"),
        ("--stuck", "fraction of the devices that are stuck"),
    ):
        parser.add_argument(flag, type=float, metavar="X", help=f"{what} (from the preset)")
    parser.add_argument("--dac-bits", type=int, metavar="N", help="1 to 8 (8)")
    parser.add_argument("--adc-bits", type=int, metavar="N", help="2 to 10 (8)")
    parser.add_argument("--seed", type=int, default=1, help="seed of everything drawn (1)")
    parser.add_argument(
        "--split", type=float, default=0.2, metavar="X", help="share of the test set (0.2)"
    )
    parser.add_argument("--target", help="label column of a CSV file, or array of an NPZ file")
    parser.add_argument("--words", metavar="FILE", help="other words for the Braille tasks")
    parser.add_argument(
        "--frontend", choices=("emulated",), default="emulated", help="what holds the weights"
    )


def _hidden(text: str) -> tuple[int, ...]:
    if text == "none":
        return ()
    try:
        return tuple(int(part) for part in text.split(","))
    except ValueError:
        raise argparse.ArgumentTypeError(
            f"{text!r} is neither `none` nor numbers such as 64 or 64,32"
        ) from None
