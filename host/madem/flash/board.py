"""A board that runs MicroPython: asked what it is, sent to its boot loader, awaited again."""

from __future__ import annotations

import ast
import contextlib
import os
import time
from dataclasses import dataclass

import serial
from serial.tools import list_ports

from madem.boards.repl import Repl, open_port
from madem.errors import BoardError
from madem.flash.volumes import wait_for

# How long a board takes to restart, with USB enumeration and mounting on a slow computer.
RESTART_SECONDS = 20.0
# How long a person may take to find a button.
BUTTON_SECONDS = 60.0

# A fresh MicroPython first formats its file system, and says nothing meanwhile.
_FIRST_START_SECONDS = 20.0

_ABOUT = """\
import sys
i=sys.implementation
print((sys.version,getattr(i,'_machine',''),getattr(i,'_build','')))
"""
# The agreed way to ask for the boot loader of a board without a REPL, as Arduino's tools do.
_TOUCH_BAUD = 1200


@dataclass(frozen=True)
class About:
    """MicroPython's description of itself.

    Attributes:
        version: `sys.version`, such as `3.4.0; MicroPython v1.26.1 on 2025-09-11`.
        machine: `sys.implementation._machine`; "" before MicroPython 1.20.
        build: name of the build, such as `RPI_PICO_W`; "" before MicroPython 1.25.
    """

    version: str
    machine: str
    build: str


def ask(address: str) -> About:
    """Ask the board behind a port.

    Args:
        address: of the port.

    Returns:
        What it says of itself.

    Raises:
        BoardError: the port can't be opened, or MicroPython does not answer.
    """
    with Repl(address) as repl:
        return About(*ast.literal_eval(repl.exec(_ABOUT).decode()))


def ask_if_it_runs(address: str) -> About | None:
    """Ask the board behind a port, whatever it runs.

    Args:
        address: of the port.

    Returns:
        What it says of itself; None when no MicroPython answers.

    Raises:
        BoardError: the port can't be opened.
    """
    open_port(address).close()
    try:
        return ask(address)
    except BoardError:
        return None


def ask_when_started(address: str) -> About:
    """Ask a board that is just starting for the first time.

    Args:
        address: of the port.

    Returns:
        What it says of itself.

    Raises:
        BoardError: no MicroPython answered in time.
    """
    end = time.monotonic() + _FIRST_START_SECONDS
    while True:
        try:
            return ask(address)
        except BoardError:
            if time.monotonic() > end:
                raise
            time.sleep(0.2)


def enter_bootloader(address: str, runs_micropython: bool) -> None:
    """Ask a board to enter its boot loader: through the REPL, or by the 1200-baud touch.

    Nothing tells whether that worked but the boot loader that appears, or does not.

    Args:
        address: of the port.
        runs_micropython: and so has a REPL.

    Raises:
        BoardError: the port can't be opened.
    """
    port = open_port(address)
    # The port vanishes under our hands when it works.
    with contextlib.closing(port), contextlib.suppress(BoardError, serial.SerialException, OSError):
        if runs_micropython:
            with Repl(port, address) as repl:
                repl.start("import machine\nmachine.bootloader()")
        else:
            port.baudrate = _TOUCH_BAUD
            port.dtr = False


def usb_ports() -> set[str]:
    """The USB ports that are there now."""
    return {port.device for port in list_ports.comports() if port.vid is not None}


def await_port(before: set[str], address: str | None) -> str | None:
    """Wait for a board's port to come back.

    Args:
        before: the ports that were there while it was away.
        address: its port before that; None if not known.

    Returns:
        The port; None when none comes, or several do.
    """
    found: list[str] = []

    def appeared() -> bool:
        found[:] = usb_ports() - before
        if address and address not in before and (address in found or os.path.exists(address)):
            found[:] = [address]
        return bool(found)

    wait_for(appeared, RESTART_SECONDS)
    return found[0] if len(found) == 1 else None
