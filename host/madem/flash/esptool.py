"""ESP32 family, by Espressif's esptool, run as a program."""

from __future__ import annotations

import re
import sys

from madem.boards import catalogue
from madem.boards.repl import open_port
from madem.errors import BoardError
from madem.flash import board
from madem.flash.esp_image import OFFSETS
from madem.flash.job import Job, Percent
from madem.flash.program import Done, run

NAME = "esptool"
# What every USB adapter on ESP boards can do.
_BAUD = "460800"
# A chip whose USB is driven by MicroPython itself can't be reset by esptool.
_OWN_USB = (0x303A, 0x4001)


def supports(job: Job) -> str | None:
    """See `Method.supports`."""
    if job.image.kind != "esp":
        return "it takes .bin files of the ESP32 family"
    if unlike := job.unlike(NAME):
        return f"{unlike.title} is no ESP32"
    return None if job.target.port else "it needs a serial port"


def steps(job: Job) -> list[str]:
    """See `Method.steps`."""
    return ["run " + " ".join(["esptool", *_arguments(job, job.target.port or "")])]


def write(job: Job) -> str | None:
    """See `Method.write`; esptool reads back what it has written."""
    address = job.target.port
    assert address is not None
    open_port(address).close()  # says better than esptool why a port can't be opened
    away: set[str] = set()
    own_usb = any(_OWN_USB in kind.usb for kind in job.target.hints)
    if own_usb:
        address, away = _enter(job, address), board.usb_ports()
    percent = Percent(job.progress)
    done = run([sys.executable, "-m", "esptool", *_arguments(job, address)], percent.reach)
    if done.code:
        raise BoardError(_explain(done, job, address))
    percent.reach(100)
    return board.await_port(away - {job.target.port}, job.target.port) if own_usb else address


def _arguments(job: Job, port: str) -> list[str]:
    (chip,) = job.image.chips
    return [
        *("--chip", chip.lower(), "--port", port, "--baud", _BAUD),
        *("write-flash", *(("--erase-all",) if job.erase else ())),
        *(f"0x{OFFSETS[chip]:x}", str(job.file)),
    ]


def _enter(job: Job, address: str) -> str:
    """Send a chip with USB of its own into its boot loader; returns the port that appears."""
    about = board.ask_if_it_runs(address)
    others = board.usb_ports() - {address}
    board.enter_bootloader(address, runs_micropython=about is not None)
    found = board.await_port(others, None)
    if found is None:
        job.say(f"now {job.button}")
        found = board.await_port(others, None)
    if found is None:
        raise BoardError(f"the boot loader of the board on {address} does not appear: {job.button}")
    return found


def _explain(done: Done, job: Job, port: str) -> str:
    (chip,) = job.image.chips
    wrong = re.search(r"This chip is ([\w-]+), not", done.output)
    if wrong:
        return (
            f"{job.file.name} is for {chip}, the board on {port} is a {wrong[1]};"
            " nothing was written"
        )
    if "serial exception" in done.output:
        return f"{port} vanished or is in use: plug the board in again, then run this again"
    fatal = re.search(r"error occurred: ([^\r\n]+)", done.output)
    reason = fatal[1].rstrip(". ") if fatal else done.last_line()
    if "Failed to connect" in reason:
        button = job.button if job.types else catalogue.BY_NAME["esp32"].button
        return f"no chip of the ESP32 family answers on {port}: {button}, then run this again"
    return f"esptool could not write to the board on {port}: {reason}; run this again"
