"""Options that several commands have."""

from __future__ import annotations

import argparse

from madem.frontends import attached, physical
from madem_emulator.twin.presets import PRESETS


def board(parser: argparse.ArgumentParser, default: str = "unix") -> None:
    """Which board a command works on."""
    parser.add_argument(
        "--board",
        default=default,
        help="unix, unix:heap=64K, unix32, qemu, rp2040, a port, auto; for learn also twin"
        f" ({default})",
    )


def task(parser: argparse.ArgumentParser, more: str = "") -> None:
    """What is learned, by which network on which devices; `more`: what else a task may be."""
    parser.add_argument(
        "task", help=f"braille, braille-words, digits, motions, or DATA.csv / DATA.npz{more}"
    )
    parser.add_argument(
        "--layers",
        type=_hidden,
        metavar="N,N…",
        help="units of the hidden layers, or none for a single weight layer (none for braille,"
        " 64 for braille-words, else 32)",
    )
    parser.add_argument("--epochs", type=int, help="passes (20; Braille 80; small files more)")
    parser.add_argument("--bits", type=int, help="bits of a device, 2 to 8 (4)")
    parser.add_argument("--beta", type=float, help="strength of the nudge (1)")
    parser.add_argument(
        "--rule",
        choices=("centred", "one-sided", "clamped"),
        help="which two activities are compared: nudged toward the target and away from it; free"
        " and nudged; free and with the outputs held at the target (centred)",
    )
    parser.add_argument(
        "--rate",
        type=float,
        help="learning rate (4; with hidden units braille-words 1, braille 2)",
    )
    parser.add_argument(
        "--decay",
        type=float,
        help="factor on the rate after each pass (ends at a thirtieth of the rate after all"
        " passes; words an eighth, recall a sixtieth)",
    )
    parser.add_argument(
        "--stride",
        type=float,
        metavar="X",
        help="how far a change moves a device at first, as a fraction of its window, in pulses"
        " (0.19, then less; words 0.067); 0: always one pulse",
    )
    parser.add_argument(
        "--preset",
        choices=(*PRESETS, *physical.presets.ALL),
        metavar="NAME",
        help=f"device imperfections: {', '.join(PRESETS)} (default); with --frontend physical"
        f" ({physical.DEFAULT}) or attached ({attached.DEFAULT}) {', '.join(physical.presets.ALL)}",
    )
    for flag, what in (
        ("--cycle-to-cycle", "σ of a step, as a fraction of it"),
        ("--device-to-device", "σ over devices of step and window"),
        ("--read-noise", "σ of a reading, as a fraction of full scale"),
        ("--stuck", "fraction of the devices that are stuck"),
    ):
        parser.add_argument(flag, type=float, metavar="X", help=f"{what} (from the preset)")
    parser.add_argument("--dac-bits", type=int, metavar="N", help="1 to 8 (8)")
    parser.add_argument("--adc-bits", type=int, metavar="N", help="2 to 10 (8)")
    parser.add_argument("--seed", type=int, help="seed of everything drawn (1)")
    parser.add_argument(
        "--strike",
        type=float,
        metavar="X",
        help="after the test, let this share of the devices get stuck; test, learn on, test again",
    )
    parser.add_argument(
        "--strike-epochs", type=int, metavar="N", help="passes of learning on after --strike (5)"
    )
    parser.add_argument(
        "--split", type=float, default=0.2, metavar="X", help="share of the test set (0.2)"
    )
    parser.add_argument("--target", help="label column of a CSV file, or array of an NPZ file")
    parser.add_argument("--words", metavar="FILE", help="other words for the Braille tasks")
    parser.add_argument(
        "--source", metavar="FILE", help="motions: a labelled recording in place of its own data"
    )
    parser.add_argument(
        "--pipeline",
        metavar="LINE",
        help="motions: features that the board computes, such as 'window=40 hop=20 | mean energy'",
    )
    parser.add_argument(
        "--frontend",
        choices=("emulated", "physical", "attached"),
        default="emulated",
        help="what holds the weights: the board's integers, with --board twin devices in"
        " physical units, or an array behind converter chips (emulated)",
    )
    parser.add_argument(
        "--design",
        metavar="NAME",
        help=f"board of chips of --frontend attached: {', '.join(attached.DESIGNS)}"
        f" ({attached.DESIGNS[0]})",
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
