"""Options that several verbs have, in the groups that their help shows."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import replace

from madem.commands import paths, reading, values
from madem.data.registry import TEST_FRACTION
from madem.errors import MademError, TaskError
from madem.frontends import attached, physical
from madem_emulator.twin.gated import EVERYTHING, FULL, GateSettings
from madem_emulator.twin.presets import PRESETS

FRONTENDS = {
    "emulated": "integers on the board",
    "attached": "an array behind the board's converter chips",
    "physical": "devices in physical units, with --board twin alone",
}


def board(parser: argparse.ArgumentParser, default: str = "unix", twin: bool = False) -> None:
    """The board that a verb works on.

    Args:
        parser: of the verb.
        default: the board where none is named.
        twin: the desktop model can stand in for a board.
    """
    also = ", or twin, the desktop model alone; --patience: madem deploy --help" if twin else ""
    parser.add_argument(
        "--board",
        default=default,
        help=f"unix, unix:heap=64K, unix32, qemu, rp2040, a port, auto{also} (default: {default})",
    )
    patience(parser, hidden=twin)


def patience(parser: argparse.ArgumentParser, hidden: bool = False) -> None:
    """How long the board may take; `open_board` takes it.

    Args:
        parser: of the verb.
        hidden: it is taken, but not shown: `madem deploy --help` shows it.
    """
    told = "how long the board may take for an answer, for a slow one (default: 10; rp2040 200)"
    parser.add_argument(
        "--patience",
        type=values.above_zero,
        metavar="SECONDS",
        help=argparse.SUPPRESS if hidden else told,
    )


def seed(parser: argparse.ArgumentParser) -> None:
    """The seed; None: 1, or that of a saved network."""
    parser.add_argument("--seed", type=int, help="of everything that is drawn (default: 1)")


def task(parser: argparse.ArgumentParser) -> None:
    """The task that is learned, any of them; `training.load` reads it."""
    parser.add_argument(
        "task",
        type=paths.Read,
        metavar="TASK",
        nargs="+",
        help="braille, braille-words, digits, motions, or files or a folder of your own",
    )
    group = parser.add_argument_group("what is learned")
    _split(group, "digits, your own: ")
    reading.add_label(group, "your own: ")
    group.add_argument(
        "--words",
        type=paths.Read,
        metavar="FILE",
        help="braille, braille-words: others, one a line (default: nine)",
    )
    _stream(group, "streams: ")
    reading.add_options(group, hidden=True)


def stream_task(parser: argparse.ArgumentParser) -> None:
    """The stream that is learned; `training.load` reads it."""
    parser.add_argument(
        "task",
        type=paths.Read,
        metavar="TASK",
        nargs="+",
        help="motions, or a labelled stream of your own: files or a folder",
    )
    group = parser.add_argument_group("what is learned")
    _split(group, "your own: ")
    reading.add_label(group, "your own: ")
    _stream(group, "")
    reading.add_options(group, hidden=True)
    parser.set_defaults(words=None)


def _split(group: argparse._ArgumentGroup, where: str) -> None:
    group.add_argument(
        "--split",
        type=float,
        metavar="X",
        help=f"{where}share of the test set (default: {TEST_FRACTION})",
    )
    group.add_argument(
        "--test",
        type=paths.Read,
        metavar="FILE",
        help="your own: a file or folder for the test (default: a part of what is given is kept)",
    )


def _stream(group: argparse._ArgumentGroup, where: str) -> None:
    group.add_argument(
        "--source",
        type=paths.Read,
        metavar="FILE",
        help=argparse.SUPPRESS,  # the same as FILE in place of motions, with its pipeline
    )
    group.add_argument(
        "--pipeline",
        metavar="LINE",
        help=f"{where}features that the board computes, such as 'window=40 hop=20 | mean energy'"
        " (default: mean energy zero minmax bands:4 of 40 samples, where it is a stream)",
    )


def network(parser: argparse.ArgumentParser, endless: bool = False) -> None:
    """The network and how it learns.

    Args:
        parser: of the verb.
        endless: there is one learning rate all the time, and no end.
    """
    group = parser.add_argument_group("network and rule")
    group.add_argument(
        "--layers",
        type=values.hidden,
        metavar="N,N…",
        help="units of the hidden layers, or none of them for a single weight layer (default: "
        + ("32)" if endless else "none for braille, 64 for braille-words, else 32)"),
    )
    group.add_argument(
        "--epochs",
        type=int,
        metavar="N",
        help="passes of the fresh network that it is compared with (default: 20)"
        if endless
        else "passes over the training samples (default: 20; braille, braille-words 80; small files"
        " more)",
    )
    group.add_argument("--beta", type=float, metavar="X", help="strength of the nudge (default: 1)")
    group.add_argument(
        "--rule",
        choices=("centred", "one-sided", "clamped"),
        help="which two activities are compared: nudged toward the target and away from it; free"
        " and nudged; free and with the outputs held at the target (default: centred)",
    )
    group.add_argument(
        "--rate",
        type=float,
        metavar="X",
        help="learning rate, the same all the time (default: 6)"
        if endless
        else "learning rate (default: 4; with hidden units braille-words 1, braille 2)",
    )
    if endless:
        parser.set_defaults(decay=None, update_size=None)
        return
    group.add_argument(
        "--decay",
        type=float,
        metavar="X",
        help="factor on the rate after each pass (default: so that it ends at a thirtieth of the"
        " rate after all passes; braille-words an eighth, braille a sixtieth)",
    )
    group.add_argument(
        "--update-size",
        type=float,
        metavar="X",
        help="how far an update moves a device at first, as a fraction of its window, in pulses; 0:"
        " always one pulse (default: 0.19, then less; braille, braille-words 0.067)",
    )


def devices(parser: argparse.ArgumentParser, frontends: Sequence[str]) -> argparse._ArgumentGroup:
    """The devices that hold the weights.

    Args:
        parser: of the verb.
        frontends: of `FRONTENDS`; the first is the default, and alone it needs no option.

    Returns:
        The group, for more options.
    """
    group = parser.add_argument_group("devices")
    published = {"attached": attached.DEFAULT, "physical": physical.DEFAULT}
    published = {name: published[name] for name in frontends if name in published}
    names, told, usual = [*PRESETS], "", ""
    if published:
        names += physical.presets.ALL
        told = f"; {' or '.join(published)}: {', '.join(physical.presets.ALL)}"
        usual = "".join(f", {name} {preset}" for name, preset in published.items())
        kinds = "; ".join(f"{name}: {FRONTENDS[name]}" for name in frontends)
        group.add_argument(
            "--frontend",
            choices=frontends,
            default=frontends[0],
            help=f"what holds the weights: {kinds} (default: {frontends[0]})",
        )
        group.add_argument(
            "--design",
            choices=attached.DESIGNS,
            help=f"board of chips, needs --frontend attached (default: {attached.DESIGNS[0]})",
        )
    else:
        parser.set_defaults(frontend="emulated", design=None)
    group.add_argument(
        "--preset",
        choices=names,
        metavar="NAME",
        help=f"imperfections: {', '.join(PRESETS)}{told} (default: default{usual})",
    )
    group.add_argument("--bits", type=int, metavar="N", help="of a device, 2 to 8 (default: 4)")
    group.add_argument(
        "--device",
        type=values.figures,
        default={},
        metavar="KEY=X,…",
        help="in place of what the preset says: cycle_to_cycle (σ of a step, as a fraction of it),"
        " device_to_device (σ over devices of step and window), read_noise (σ of a reading, as a"
        " fraction of full scale), stuck (fraction of devices), dac_bits (1 to 8), adc_bits (2 to"
        " 10) (default: the preset's, 8 and 8 bits)",
    )
    return group


def windows(parser: argparse.ArgumentParser) -> None:
    """The work of a board on the windows of a stream."""
    group = parser.add_argument_group("what the board computes")
    group.add_argument(
        "--pipeline", metavar="LINE", help="features of each window (needed unless --load)"
    )
    group.add_argument(
        "--load",
        type=paths.Read,
        metavar="FILE",
        help="classify with a saved network, which brings its pipeline (default: none)",
    )
    group.add_argument(
        "--novelty",
        action="store_true",
        help="learn without labels what is usual, and say what is new (default: do not)",
    )
    group.add_argument("--seed", type=int, help="of a network that begins here (default: 1)")


def seed_of_new(args: argparse.Namespace, begins: bool) -> int:
    """Choose the seed of a network that begins here.

    Args:
        args: with those of `windows`.
        begins: one does.

    Returns:
        The seed.

    Raises:
        MademError: a seed was given, and none does.
    """
    if args.seed is not None and not begins:
        raise MademError("--seed is of a network that begins here: nothing is drawn without one")
    return 1 if args.seed is None else args.seed


def chips(parser: argparse.ArgumentParser) -> None:
    """The board of chips, and what it leads to; `choose_chips` fills in the defaults."""
    parser.add_argument(
        "--design",
        choices=attached.DESIGNS,
        help=f"board of chips (default: {attached.DESIGNS[0]})",
    )
    parser.add_argument(
        "--preset",
        choices=physical.presets.ALL,
        metavar="NAME",
        help=f"devices behind the chips: {', '.join(physical.presets.ALL)} (default:"
        f" {attached.DEFAULT})",
    )
    parser.add_argument(
        "--inject",
        metavar="FAULT",
        help="into the emulated chips, such as dead:c4+cells:0.05 (default: none)",
    )


def choose_chips(args: argparse.Namespace) -> None:
    """Fill in the defaults of `chips`."""
    args.design = args.design or attached.DESIGNS[0]
    args.preset = args.preset or attached.DEFAULT


def stuck_after_training(group: argparse._ArgumentGroup) -> None:
    """Faults that come when a network has been trained; `training` reads them."""
    group.add_argument(
        "--stuck-after-training",
        type=values.stuck_after_training,
        metavar="X[,N]",
        help="after the test let this share of the devices get stuck; test, learn on for N passes,"
        " test again (default: none get stuck; N: 5)",
    )


def gate(parser: argparse.ArgumentParser | argparse._ArgumentGroup) -> None:
    """The gate before learning, and when learning is taken back; `gate_of` reads them."""
    parser.add_argument(
        "--gate",
        type=int,
        metavar="M",
        help="learn only what is answered wrongly, or with a margin below M of 255 (default: all)",
    )
    parser.add_argument(
        "--at-most",
        type=int,
        metavar="N",
        help="learn at most N of a hundred windows (default: 100)",
    )
    parser.add_argument(
        "--rollback",
        type=float,
        metavar="X",
        help="go back to a copy on the board when the accuracy is X points below the copy's"
        " (default: never)",
    )


def gate_of(args: argparse.Namespace) -> GateSettings | None:
    """Read the gate that the options ask for; None: none of them was given.

    Raises:
        TaskError: one is out of range.
    """
    if args.gate is args.at_most is args.rollback is None:
        return None
    if args.gate is not None and not 0 <= args.gate < EVERYTHING:
        raise TaskError(f"--gate is {args.gate}, but must be from 0 to 255")
    if args.at_most is not None and not 0 <= args.at_most <= 100:
        raise TaskError(f"--at-most is {args.at_most}, but must be from 0 to 100")
    if args.rollback is not None and not 0 < args.rollback <= 100:
        raise TaskError(f"--rollback is {args.rollback:g}, but must be above 0 and at most 100")
    found = GateSettings()
    if args.gate is not None:
        found = replace(found, gate=args.gate)
    if args.at_most is not None:
        found = replace(found, at_most=args.at_most)
    if args.rollback is not None:
        found = replace(found, drop=max(1, round(FULL * args.rollback / 100)))
    return found
