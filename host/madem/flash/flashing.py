"""From a board and an image to a board that runs it, and says so."""

from __future__ import annotations

import time
from dataclasses import dataclass

from madem import board_types
from madem.board_types import BY_NAME, BoardType
from madem.errors import MademError
from madem.flash import board, daplink, dfu, esptool, pyocd, uf2
from madem.flash.image import Image
from madem.flash.job import Job, Method
from madem.flash.targets import Target

# In this order they are tried.
METHODS: dict[str, Method] = {
    uf2.NAME: uf2,
    esptool.NAME: esptool,
    dfu.NAME: dfu,
    daplink.NAME: daplink,
    pyocd.NAME: pyocd,
}


@dataclass(frozen=True)
class Build:
    """An official build to be downloaded: its name on the site, and its file's suffix."""

    name: str
    suffix: str


@dataclass(frozen=True)
class Outcome:
    """How it ended.

    Attributes:
        port: where the board runs; None when it did not come back to a port.
        about: what it says of itself; None when it was not asked or did not answer.
        as_expected: it reports the version that the image holds; None when one is not known.
        seconds: duration of writing and restarting.
    """

    port: str | None
    about: board.About | None
    as_expected: bool | None
    seconds: float


def types_of(target: Target, name: str | None) -> tuple[BoardType, ...]:
    """What a board may be.

    Args:
        name: what the user says it is; None if nothing.

    Raises:
        MademError: there is no type of that name, or the board is certainly another.
    """
    if name is None:
        return target.types
    if name not in BY_NAME:
        raise MademError(f"there is no board type {name!r}: choose {', '.join(BY_NAME)}")
    chips = {kind.chip for kind in target.types}
    # Adapters sit on all sorts of boards: only a volume or a boot loader tells for certain.
    if target.in_bootloader and chips and BY_NAME[name].chip not in chips:
        raise MademError(f"{target.describe()} is no {name}: its chip is {'/'.join(sorted(chips))}")
    return (BY_NAME[name],)


def choose_build(target: Target, types: tuple[BoardType, ...]) -> Build:
    """The official build for a board, which is asked when it could be several.

    Raises:
        MademError: it can't be told, or there is none.
    """
    if len(types) != 1 and target.port and not target.in_bootloader:
        about = board.ask_if_it_runs(target.port)
        if about:
            types = board_types.by_machine(about.machine)
            if about.build and types:
                return Build(about.build, types[0].suffix)
    if len(types) != 1:
        names = ", ".join(kind.name for kind in types or BY_NAME.values())
        raise MademError(
            f"which MicroPython does {target.describe()} need? Give its file, or --type: {names}"
        )
    (kind,) = types
    if not kind.download:
        raise MademError(
            f"micropython.org has no build for {kind.title}: give a file"
            " (docs/boards.md says where it comes from)"
        )
    return Build(kind.download, kind.suffix)


def narrow(types: tuple[BoardType, ...], image: Image, where: str) -> tuple[BoardType, ...]:
    """Of what a board may be, that for which an image is.

    Raises:
        MademError: it is for none of them.
    """
    if not image.chips:
        return types
    if not types:
        return tuple(kind for kind in board_types.BOARD_TYPES if _runs(image, kind))
    fitting = tuple(kind for kind in types if _runs(image, kind))
    if not fitting:
        expected = " or ".join(dict.fromkeys(kind.chip for kind in types))
        raise MademError(
            f"{image.path.name} is for {'/'.join(sorted(image.chips))},"
            f" the board on {where} is a {expected}"
        )
    return fitting


def choose_method(job: Job, name: str | None) -> Method:
    """The way to write, the named one or the first that can.

    Raises:
        MademError: it can't be written so, or in no way; every reason is given.
    """
    reasons = {each: METHODS[each].supports(job) for each in ([name] if name else METHODS)}
    for each, reason in reasons.items():
        if reason is None:
            return METHODS[each]
    listed = "; ".join(f"{each}: {reason}" for each, reason in reasons.items())
    raise MademError(f"can't write {job.file.name} to {job.target.describe()}. {listed}")


def write(job: Job, method: Method) -> Outcome:
    """Write the image, then ask the board what it runs.

    Raises:
        MademError: it can't be written, or does not answer afterwards.
    """
    begin = time.monotonic()
    port = method.write(job)
    about = board.ask_when_started(port) if port else None
    expected = job.image.version
    return Outcome(
        port,
        about,
        f" {expected} " in about.version if about and expected else None,
        time.monotonic() - begin,
    )


def _runs(image: Image, kind: BoardType) -> bool:
    """Whether an image may run on a kind of board; an STM32 image names only its family."""
    if image.families and kind.uf2_family and not image.families & set(kind.uf2_family):
        return False
    return kind.chip in image.chips or ("STM32" in image.chips and kind.chip.startswith("STM32"))
