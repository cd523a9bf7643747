"""STM32 by USB DFU: the chip's own boot loader, driven by dfu-util."""

from __future__ import annotations

import shutil

from madem.boards import catalogue
from madem.errors import BoardError, MademError
from madem.flash import board, dfu_util
from madem.flash.dfu_util import DfuDevice
from madem.flash.job import Job, Percent
from madem.flash.volumes import wait_for

NAME = "dfu"
# dfu-util may miss the answer of a chip that has started its new program already.
_WRITTEN = "File downloaded successfully"


def supports(job: Job) -> str | None:
    """See `Method.supports`."""
    if job.image.kind not in ("dfu", "bin"):
        return "it takes .dfu files, and .bin files of STM32"
    if unlike := job.unlike(NAME):
        return f"{unlike.title} has no DFU boot loader"
    if job.erase:
        return "it erases only what it writes; `dfu-util -s :mass-erase:force` erases all"
    if not (job.target.dfu or job.target.port):
        return "there is neither a port nor a board in DFU mode"
    if not shutil.which(dfu_util.NAME):
        return dfu_util.MISSING
    return _unfit(job.target.dfu, job) if job.target.dfu else None


def steps(job: Job) -> list[str]:
    """See `Method.steps`."""
    device = job.target.dfu
    first = [] if device else [f"restart the board on {job.target.port} into its boot loader"]
    shown = device or DfuDevice(catalogue.STM32_DFU, "PATH", "", range(0))
    command = " ".join(dfu_util.command(shown, job.file, _address(job)))
    return [*first, f"run {command}", "wait for the board to restart"]


def write(job: Job) -> str | None:
    """See `Method.write`."""
    device = job.target.dfu or _enter(job)
    unfit = _unfit(device, job)
    if unfit:
        raise MademError(f"{unfit}; nothing was written, press RESET to start the board again")
    away = board.usb_ports() - {job.target.port}
    percent = Percent(job.progress)
    done = dfu_util.download(device, job.file, _address(job), percent.reach)
    if done.code and _WRITTEN not in done.output:
        raise BoardError(
            f"dfu-util could not write to {device.name}: {done.last_line()};"
            " its boot loader is unharmed, run this again"
        )
    percent.reach(100)
    return board.await_port(away, job.target.port)


def _address(job: Job) -> int | None:
    return None if job.image.kind == "dfu" else job.image.segments[0][0]


def _chip(machine: str | None) -> str:
    """The STM32 at the end of `sys.implementation._machine`; "" if there is none."""
    chip = (machine or "").rpartition(" with ")[2]
    return chip if chip.startswith("STM32") else ""


def _unfit(device: DfuDevice, job: Job) -> str | None:
    """Why the image does not fit into the memory of a device."""
    memory = device.memory
    for start, size in job.image.segments:
        if memory and not (memory.start <= start and start + size <= memory.stop):
            return (
                f"{job.file.name} goes to 0x{start:08x}-0x{start + size:08x}, the board's flash"
                f" is 0x{memory.start:08x}-0x{memory.stop:08x}: it is for another chip"
            )
    return None


def _enter(job: Job) -> DfuDevice:
    """Send the board into DFU mode, or have it sent."""
    address = job.target.port
    assert address is not None
    before = dfu_util.devices()
    about = board.ask_if_it_runs(address)
    chips = [_chip(machine) for machine in (about.machine if about else "", job.image.machine)]
    if about and all(chips) and chips[0] != chips[1]:
        raise MademError(
            f"{job.file.name} is for {job.image.machine}, the board on {address} is a"
            f" {about.machine}; nothing was written"
        )
    found: list[DfuDevice] = []

    def appeared() -> bool:
        found[:] = [device for device in dfu_util.devices() if device not in before]
        return bool(found)

    board.enter_bootloader(address, runs_micropython=about is not None)
    if not wait_for(appeared, board.RESTART_SECONDS):
        job.say(f"now {job.button}")
        wait_for(appeared, board.BUTTON_SECONDS)
    if len(found) != 1:
        count = "no board" if not found else "several boards"
        raise BoardError(f"{count} appeared in DFU mode: {job.button}, then run this again")
    return found[0]
