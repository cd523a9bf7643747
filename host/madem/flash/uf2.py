"""Copying a UF2 file to the volume of a boot loader: RP2040, RP2350, many nRF52840 boards."""

from __future__ import annotations

from madem.boards import catalogue
from madem.errors import BoardError, MademError
from madem.flash import board, volumes
from madem.flash.job import Job, Percent
from madem.flash.uf2_file import CHIPS
from madem.flash.volumes import (
    UF2,
    Volume,
    find_volumes,
    read_volume,
    unmounted_hint,
    wait_for,
)

NAME = "uf2"
_FILE = "firmware.uf2"


def supports(job: Job) -> str | None:
    """See `Method.supports`."""
    if job.image.kind != "uf2":
        return "it takes .uf2 files"
    if unlike := job.unlike(NAME):
        return f"{unlike.title} has no UF2 boot loader"
    if job.erase:
        return "a UF2 boot loader can't erase; write `flash_nuke.uf2` of Raspberry Pi first"
    if job.target.volume and job.target.volume.kind != UF2:
        return f"{job.target.volume.folder} is no UF2 boot loader"
    if not (job.target.port or job.target.in_bootloader):
        return "there is neither a port nor a UF2 volume"
    if job.target.volume:
        return _unfit(job.target.volume, job)
    return None


def steps(job: Job) -> list[str]:
    """See `Method.steps`."""
    volume = job.target.volume
    first = [] if volume else [f"restart the board on {job.target.port} into its boot loader"]
    where = volume.folder if volume else "the volume that appears"
    return [*first, f"copy {job.file} to {where}", "wait for the board to restart"]


def write(job: Job) -> str | None:
    """See `Method.write`."""
    volume = job.target.volume if job.target.in_bootloader else _enter(job)
    assert volume is not None
    unfit = _unfit(volume, job)
    if unfit:
        raise MademError(f"{unfit}; nothing was written, unplug the board to start it again")
    away = board.usb_ports() - {job.target.port}
    total = len(job.image.content)
    volumes.write(volume, _FILE, job.image.content, Percent(job.progress, total).add)
    if not wait_for(lambda: read_volume(volume.folder) != volume, board.RESTART_SECONDS):
        raise BoardError(
            f"the board on {volume.folder} did not take the file: it is for another chip;"
            " unplug the board and plug it in again"
        )
    return board.await_port(away, job.target.port)


def _unfit(volume: Volume, job: Job) -> str | None:
    """Why the image does not fit the board that shows a volume."""
    types = catalogue.by_volume(volume.identity)
    expected = {family for kind in types for family in kind.uf2_family}
    if not expected or not job.image.families or expected & job.image.families:
        return None
    chips = {CHIPS.get(family, f"family 0x{family:08x}") for family in job.image.families}
    return (
        f"{job.file.name} is for {'/'.join(sorted(chips))},"
        f" the board on {volume.folder} is a {types[0].chip}"
    )


def _enter(job: Job) -> Volume:
    """Send the board into its boot loader, or have it sent; returns the volume that appears."""
    address = job.target.port
    assert address is not None
    before = find_volumes()
    about = board.ask_if_it_runs(address)
    if about and about.machine and job.image.chips:
        chips = {kind.chip for kind in catalogue.by_machine(about.machine)}
        if chips and not chips & job.image.chips:
            raise MademError(
                f"{job.file.name} is for {'/'.join(sorted(job.image.chips))},"
                f" the board on {address} is a {about.machine}; nothing was written"
            )
    found: list[Volume] = []

    def appeared() -> bool:
        found[:] = [one for one in find_volumes() if one.kind == UF2 and one not in before]
        return bool(found)

    board.enter_bootloader(address, runs_micropython=about is not None)
    if not wait_for(appeared, board.RESTART_SECONDS):
        job.say(f"now {unmounted_hint() or job.button}")
        wait_for(appeared, board.BUTTON_SECONDS)
    if not found:
        raise BoardError(
            f"the boot loader of the board on {address} does not appear:"
            f" {unmounted_hint() or job.button}, then run this again"
        )
    if len(found) > 1:
        listed = ", ".join(str(one.folder) for one in found)
        raise BoardError(f"several boot loaders appeared, name one with --board: {listed}")
    return found[0]
