"""Put MicroPython on a board, from a file or from the official download.

For example:
    madem flash --dry-run
    madem flash firmware.uf2 --board /dev/ttyACM0

Exits with 1 when the board does not report afterwards that it runs it.
"""

from __future__ import annotations

import argparse
import shlex
from pathlib import Path
from typing import Any

from madem import output
from madem.boards.catalogue import BY_NAME
from madem.commands.terminal import Terminal
from madem.flash import download, flashing
from madem.flash.image import Image, read_image
from madem.flash.job import Job, Percent
from madem.flash.targets import Target, choose


def add_options(parser: argparse.ArgumentParser) -> None:
    """The options of `madem flash`."""
    parser.add_argument(
        "image",
        nargs="?",
        metavar="IMAGE",
        help="a .uf2, .bin, .dfu or .hex file; without it the official build is downloaded",
    )
    parser.add_argument(
        "--board",
        default="auto",
        help="a port, the folder of a boot loader's volume, dfu, or auto, the one that is attached"
        " (default: auto)",
    )
    parser.add_argument(
        "--type",
        choices=BY_NAME,
        metavar="NAME",
        help=f"what the board is: {', '.join(BY_NAME)} (default: as it says itself)",
    )
    parser.add_argument(
        "--method", choices=flashing.METHODS, help="how to write (default: the first that can)"
    )
    parser.add_argument(
        "--sha256", metavar="HEX", help="what the file's SHA-256 must be (default: any)"
    )
    parser.add_argument(
        "--erase",
        action="store_true",
        help="erase all of the flash first, the board's files too (default: keep them)",
    )
    parser.add_argument(
        "--dry-run",
        action="store_true",
        help="say what would be done, and do nothing (default: do it)",
    )


def run(args: argparse.Namespace, terminal: Terminal) -> int:
    """Write MicroPython to a board; 1 when it does not report afterwards that it runs it."""
    image = read_image(Path(args.image), args.sha256) if args.image else None
    target = choose(args.board)
    known = flashing.known_types(target, args.type)
    if image is None:
        build = flashing.choose_build(target, known)
        if args.dry_run:
            return _announce_download(build, target, args.json, terminal)
        image = _download(build, args.sha256, terminal)
    types = flashing.possible_types(target, known, image)
    with terminal.progress(f"writing to {target.where}", 100) as advance:
        job = Job(target, image, known, types, args.erase, terminal.say, advance)
        method = flashing.choose_method(job, args.method)
        result: dict[str, Any] = {
            "dry_run": args.dry_run,
            "board": target.where,
            "types": [kind.name for kind in types],
            "method": method.NAME,
            "image": str(image.path),
            "image_version": image.version,
            "image_machine": image.machine,
            "bytes": len(image.content),
            "sha256": image.sha256,
            "steps": method.steps(job),
        }
        outcome = None if args.dry_run else flashing.write(job, method)
    if outcome is None:
        terminal.say(f"would write {image.describe()} to {target.describe()} by {method.NAME}:")
        for step in result["steps"]:
            terminal.say(f"  {step}")
        terminal.say(f"SHA-256 {image.sha256}")
    else:
        about = outcome.about
        result |= {
            "port": outcome.port,
            "version": about.version if about else None,
            "machine": about.machine if about else None,
            "as_expected": outcome.as_expected,
            "seconds": round(outcome.seconds, 2),
        }
        terminal.say(_sentence(outcome, image))
    output.write_json(args.json, result)
    return 1 if outcome and (outcome.about is None or outcome.as_expected is False) else 0


def _announce_download(
    build: flashing.Build, target: Target, json: str | None, terminal: Terminal
) -> int:
    page = download.page_of(build.name)
    terminal.say(f"would download the newest release of {build.name} from {page}")
    terminal.say(f"would write it to {target.describe()}")
    result = {"dry_run": True, "board": target.where, "build": build.name, "page": page}
    output.write_json(json, result)
    return 0


def _download(build: flashing.Build, sha256: str | None, terminal: Terminal) -> Image:
    with terminal.progress(f"downloading {build.name}", 100) as advance:
        percent = Percent(advance)
        file = download.fetch(
            build.name,
            build.suffix,
            lambda done, total: percent.reach(100 * done // total if total else 0),
        )
    return read_image(file, sha256)


def _sentence(outcome: flashing.Outcome, image: Image) -> str:
    if outcome.about is None:
        return (
            f"written in {outcome.seconds:.1f} s, but no port came back to ask for the version:"
            " plug the board in again; `madem boards` shows it"
        )
    runs = (
        f"{outcome.port} runs {outcome.about.version.partition('; ')[2] or outcome.about.version}"
    )
    if outcome.about.machine:
        runs += f" on {outcome.about.machine}"
    if outcome.as_expected is False:
        return f"{runs}, but {image.version} was written: reset the board and look again"
    port = shlex.quote(outcome.port or "PORT")
    return f"{runs} ({outcome.seconds:.1f} s); next: madem deploy --board {port}"
