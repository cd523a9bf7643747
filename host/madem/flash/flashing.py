"""From a board and an image to a board that runs it, and says so."""

from __future__ import annotations

import time
from dataclasses import dataclass

from madem.boards import catalogue
from madem.boards.catalogue import BY_NAME, BoardType
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
    """An official build to be downloaded.

    Attributes:
        name: on the site.
        suffix: of its file's name.
    """

    name: str
    suffix: str


@dataclass(frozen=True)
class Outcome:
    """The end of a flashing.

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


def known_types(target: Target, name: str | None) -> tuple[BoardType, ...]:
    """Tell what a board is for certain.

    Args:
        target: the board.
        name: what the user says it is; None if nothing.

    Returns:
        The type; several where their boot loaders are the same, none where nothing is certain.

    Raises:
        MademError: its boot loader says that it is something else.
    """
    if name is None:
        return target.types
    kind = BY_NAME[name]
    chips = {one.chip for one in target.types}
    if chips and kind.chip not in chips:
        raise MademError(f"{target.describe()} is no {name}: its chip is {'/'.join(sorted(chips))}")
    return (kind,)


def choose_build(target: Target, known: tuple[BoardType, ...]) -> Build:
    """Choose the official build for a board: of its type, or the newest of what it runs.

    Args:
        target: the board.
        known: what it is for certain.

    Returns:
        The build.

    Raises:
        MademError: it can't be told, or there is none.
    """
    if len(known) == 1:
        (kind,) = known
        if not kind.download:
            raise MademError(
                f"micropython.org has no build for {kind.title}: give a file"
                " (docs/hardware/boards.md says where it comes from)"
            )
        return Build(kind.download, kind.suffix)
    about = board.ask_if_it_runs(target.port) if target.port and not target.in_bootloader else None
    kinds = catalogue.by_machine(about.machine) if about else known or target.hints
    if about and about.build and kinds:
        return Build(about.build, kinds[0].suffix)
    names = ", ".join(kind.name for kind in kinds or BY_NAME.values())
    which = f"{target.where} ({about.machine})" if about else target.describe()
    raise MademError(f"which MicroPython does {which} need? Give its file, or --type: {names}")


def possible_types(
    target: Target, known: tuple[BoardType, ...], image: Image
) -> tuple[BoardType, ...]:
    """Tell what a board may be, given what is to run on it.

    Args:
        target: the board.
        known: what it is for certain.
        image: what is to run on it.

    Returns:
        The types; none if no board of the table runs that image.

    Raises:
        MademError: the image is certainly for another board.
    """
    if not image.chips:
        return known
    if not known:
        running = tuple(kind for kind in catalogue.BOARD_TYPES if _runs(image, kind))
        return tuple(kind for kind in running if kind in target.hints) or running
    fitting = tuple(kind for kind in known if _runs(image, kind))
    if not fitting:
        expected = " or ".join(dict.fromkeys(kind.chip for kind in known))
        raise MademError(
            f"{image.path.name} is for {'/'.join(sorted(image.chips))},"
            f" the board on {target.where} is a {expected}"
        )
    return fitting


def choose_method(job: Job, name: str | None) -> Method:
    """Choose the way to write, the named one or the first that can.

    Args:
        job: what is to be done.
        name: a key of `METHODS`; None: whichever can.

    Returns:
        The way.

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

    Args:
        job: what is to be done.
        method: that can do it.

    Returns:
        How it ended.

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
