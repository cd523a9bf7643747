"""`--frontend attached`: which board of chips the options ask for, and what it is wired to."""

from __future__ import annotations

import argparse
from dataclasses import replace

from madem.boards.open import WITH_CHIPS
from madem.errors import TaskError
from madem.learners.state import NetworkState
from madem_emulator.physical import presets
from madem_emulator.physical.device import DeviceModel
from madem_emulator.twin.config import WINDOW

DESIGNS = ("maker8x8", "lab64x64")
"""Board designs: firmware/madem/board_NAME.py drives them."""
DEFAULT = presets.TAOX_HFOX_WU2018.name

_OF_THE_BOARD = "dac_bits"
"""The only one of `--device`'s figures that is no matter of the chips and of what they lead to."""


def device_of(args: argparse.Namespace) -> DeviceModel:
    """Choose the devices behind the chips.

    Args:
        args: options; the default design and preset are filled in.

    Returns:
        The preset.

    Raises:
        TaskError: an option can't be used with this front end, or names nothing.
    """
    if args.board == "twin":
        raise TaskError("--frontend attached needs a board: the twin has no chips")
    settled = [f"--device {name}" for name in args.device if name != _OF_THE_BOARD]
    if args.bits is not None:
        settled.append("--bits")
    if settled:
        raise TaskError(f"{settled[0]} can't be used with --frontend attached: use --preset")
    args.design = args.design or DESIGNS[0]
    args.preset = args.preset or DEFAULT
    if args.preset not in presets.ALL:
        names = ", ".join(presets.ALL)
        raise TaskError(f"--preset {args.preset} is not one of --frontend attached: use {names}")
    return presets.get(args.preset)


def as_conductances(saved: NetworkState, device: DeviceModel) -> NetworkState:
    """Count the devices of a state as chips measure them: 200 a window, from 0 S on.

    The emulated front end counts from the lower end of the window, and some of its devices go
    beyond the upper end, which is where these stop.

    Args:
        saved: what was learned with the emulated front end.
        device: the preset behind the chips.

    Returns:
        The state.
    """
    lowest = round(WINDOW * device.g_min / device.window)
    table = bytes(min(min(g, WINDOW) + lowest, 255) for g in range(256))
    return replace(saved, devices=tuple(part.translate(table) for part in saved.devices))


def board_spec(args: argparse.Namespace) -> str:
    """Name the board to open: an emulated one gets the emulator's chips.

    Args:
        args: options, after `device_of`.

    Returns:
        A board, as `open_board` takes it.

    Raises:
        TaskError: the emulator has no chips for this board.
    """
    kind, _, _ = args.board.partition(":")
    if kind in WITH_CHIPS:
        return wired(args.board, args.design, args.preset, args.seed, faults_of(args))
    if faults_of(args):
        raise TaskError("--inject puts faults into emulated chips: use --board unix")
    if kind == "qemu":
        raise TaskError("the board qemu has no SPI and I2C: use unix, unix32 or rp2040")
    return args.board


def wired(spec: str, design: str, preset: str, seed: int, faults: str = "") -> str:
    """Give an emulated board the emulator's chips, unless it says which it has.

    Args:
        spec: a board, as `open_board` takes it.
        design: of the board of chips.
        preset: of the devices behind them.
        seed: of these devices.
        faults: as a wiring has them; "" for none.

    Returns:
        The board; another than an emulated one as it is.
    """
    kind, _, options = spec.partition(":")
    if kind not in WITH_CHIPS or "wiring=" in options:
        return spec
    wiring = f"wiring={design}+{preset}+{seed}" + (f"+{faults}" if faults else "")
    return f"{kind}:{options},{wiring}" if options else f"{kind}:{wiring}"


def faults_of(args: argparse.Namespace) -> str:
    """Read the faults that `--inject` asks for.

    Args:
        args: options.

    Returns:
        The faults as a wiring has them; "" for none, or for a flipped bit.

    Raises:
        TaskError: there is no such fault.
    """
    injected = getattr(args, "inject", None)
    if injected is None or injected.startswith("state:"):
        return ""
    # Imported only here, because scipy takes its time.
    from madem_emulator.designs import faults

    try:
        for each in injected.split("+"):
            faults.parse(each)
    except ValueError as error:
        raise TaskError(f"--inject: {error}") from None
    return injected
