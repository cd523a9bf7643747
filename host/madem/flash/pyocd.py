"""A debug probe by pyOCD (pyocd.io), where it is installed: any chip that it knows."""

from __future__ import annotations

import json
import re
import shutil

from madem.errors import BoardError
from madem.flash.job import Job, Percent
from madem.flash.program import run

NAME = "pyocd"
_MISSING = "pyOCD is not installed: `pip install pyocd`"
_NO_PROBE = "pyOCD finds no debug probe: plug one in"


def supports(job: Job) -> str | None:
    """See `Method.supports`."""
    if job.image.kind not in ("hex", "bin"):
        return "it takes .hex and .bin files"
    targets = _targets(job)
    if len(targets) != 1:
        return "it can't tell the chip: name the board with --type"
    if not shutil.which(NAME):
        return _MISSING
    return None


def steps(job: Job) -> list[str]:
    """See `Method.steps`."""
    return ["run " + " ".join(_command(job, "PROBE"))]


def write(job: Job) -> str | None:
    """See `Method.write`."""
    percent = Percent(job.progress)
    done = run(_command(job, _probe()), percent.reach)
    if done.code:
        reason = re.sub(r"^\d+ [CEW] | \[\w+\]$", "", done.last_line())
        raise BoardError(f"pyOCD could not write: {reason}")
    percent.reach(100)
    return job.target.port


def _targets(job: Job) -> set[str]:
    # Only what is certain: a program for one chip would be written to any other, too.
    return {kind.pyocd_target for kind in job.known if NAME in kind.methods}


def _command(job: Job, probe: str) -> list[str]:
    (target,) = _targets(job)
    erase = ("--erase", "chip") if job.erase else ()
    start = () if job.image.kind == "hex" else ("--base-address", f"0x{job.image.segments[0][0]:x}")
    return [NAME, "load", "--uid", probe, "--target", target, *erase, *start, str(job.file)]


def _probe() -> str:
    """The unique number of the one probe."""
    done = run([NAME, "json", "--probes"])
    try:
        probes = json.loads(done.output[done.output.index("{") :])["boards"]
    except (ValueError, KeyError):
        raise BoardError(f"pyOCD can't list its probes: {done.last_line()}") from None
    if not probes:
        raise BoardError(_NO_PROBE)
    if len(probes) > 1:
        listed = ", ".join(f"{one['unique_id']} ({one['info']})" for one in probes)
        raise BoardError(f"several debug probes are attached, unplug all but one: {listed}")
    return probes[0]["unique_id"]
