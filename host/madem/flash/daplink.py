"""Copying a file to the volume of a debug probe: DAPLink (micro:bit), ST-LINK (Nucleo)."""

from __future__ import annotations

import re

from madem.errors import BoardError
from madem.flash import board, volumes
from madem.flash.job import Job, Percent
from madem.flash.volumes import DAPLINK, read_volume, wait_for

NAME = "daplink"
# The probe tells in this file what went wrong; it is not there otherwise.
_FAILURE = "FAIL.TXT"
# From the end of the copy to the volume's return: flashing is done meanwhile.
_FLASHING_SECONDS = 60.0
# A computer that mounts nothing by itself does not show the volume again.
_REMOUNT_SECONDS = 10.0


def supports(job: Job) -> str | None:
    """See `Method.supports`."""
    if job.image.kind not in ("hex", "bin"):
        return "it takes .hex and .bin files"
    volume = job.target.volume
    if volume is None or volume.kind != DAPLINK:
        return "there is no volume with DETAILS.TXT: plug the board's debug USB in"
    if unlike := job.unlike(NAME):
        return f"{unlike.title} has no drag-and-drop programmer"
    if job.erase:
        return "it can't erase; `--method pyocd` can"
    boards = job.image.boards
    # All versions of the micro:bit v2 (9903 to 9906) take the part for 9903, v1 that for 9900.
    part = {"9901": "9900", "9904": "9903", "9905": "9903", "9906": "9903"}
    if boards and part.get(volume.identity, volume.identity) not in boards:
        return (
            f"{job.file.name} is for the boards {', '.join(sorted(boards))},"
            f" {volume.folder} is board {volume.identity}"
        )
    return None


def steps(job: Job) -> list[str]:
    """See `Method.steps`."""
    assert job.target.volume is not None
    folder = job.target.volume.folder
    return [f"copy {job.file} to {folder}", f"wait for {folder} to come back without {_FAILURE}"]


def write(job: Job) -> str | None:
    """See `Method.write`."""
    volume = job.target.volume
    assert volume is not None
    failure = volume.folder / _FAILURE
    name = f"firmware.{job.image.kind}"

    def told() -> str:
        try:
            return failure.read_text("ascii", errors="replace")
        except OSError:
            return ""

    old = told()
    content = job.image.content
    volumes.write(volume, name, content, Percent(job.progress, len(content)).add)

    # The probe takes its volume away, flashes, and shows it anew, without our file.
    def taken() -> bool:
        return told() not in ("", old) or not (volume.folder / name).exists()

    if not wait_for(taken, _FLASHING_SECONDS):
        raise BoardError(
            f"{volume.folder} kept the file without flashing it: unplug the board, plug it in"
            " again, then run this again"
        )
    wait_for(lambda: read_volume(volume.folder), _REMOUNT_SECONDS)
    reason = told()
    if reason:
        said = re.search(r"error:\s*([^\r\n]+)", reason)
        what = said[1] if said else reason.split("\n")[0]
        raise BoardError(
            f"the programmer on {volume.folder} failed: {what.strip().rstrip('.')};"
            " see that the file is for this board, then run this again"
        )
    return job.target.port or board.await_port(set(), None)
