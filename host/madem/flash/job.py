"""One board, one image, and what every way of writing has to offer."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from madem.boards.catalogue import BoardType
from madem.flash.image import Image
from madem.flash.targets import Target


@dataclass(frozen=True)
class Job:
    """A board and an image that is to be written to it.

    Attributes:
        target: the board as it was found.
        image: what goes onto it.
        known: what the board is for certain, by its boot loader or the user; may be empty.
        types: what it may be, by all that is known, the image included; empty: no board of the
            table.
        erase: erase all of its flash first, the files on it too.
        say: tells people what to do or what happens.
        progress: called with how much more of 100 is done.
    """

    target: Target
    image: Image
    known: tuple[BoardType, ...]
    types: tuple[BoardType, ...]
    erase: bool
    say: Callable[[str], None]
    progress: Callable[[int], None]

    @property
    def file(self) -> Path:
        """The image's file."""
        return self.image.path

    def unlike(self, method: str) -> BoardType | None:
        """Find a board that this one is, or seems to be, to which a method does not apply.

        Args:
            method: a key of `flashing.METHODS`.

        Returns:
            The type; None if the method applies.
        """
        kinds = self.known or self.target.hints
        return None if any(method in kind.methods for kind in kinds) else next(iter(kinds), None)

    @property
    def button(self) -> str:
        """How to enter the boot loader by hand."""
        ways = dict.fromkeys(kind.button for kind in self.types)
        return " or ".join(ways) or "enter its boot loader as its manual says"


class Method(Protocol):
    """A way of writing: a module of this package."""

    @property
    def NAME(self) -> str:
        """Key of `flashing.METHODS`."""
        ...

    def supports(self, job: Job) -> str | None:
        """See whether it can write an image to a board.

        Args:
            job: what is to be done.

        Returns:
            Why it can't; None when it can.
        """
        ...

    def steps(self, job: Job) -> list[str]:
        """Tell people what `write` will do.

        Args:
            job: that it supports.

        Returns:
            A line for each step.
        """
        ...

    def write(self, job: Job) -> str | None:
        """Write the image and start it.

        Args:
            job: that it supports.

        Returns:
            The port behind which it runs then; None when it does not come back.

        Raises:
            MademError: it can't; the message says what to do.
        """
        ...


class Percent:
    """Turns bytes, or a percentage so far, into what `Job.progress` takes."""

    def __init__(self, progress: Callable[[int], None], total: int = 100) -> None:
        """Begin at nothing done.

        Args:
            progress: called with how much more of 100 is done.
            total: that is to be done.
        """
        self._progress, self._total, self._done, self._told = progress, total, 0, 0

    def add(self, amount: int) -> None:
        """Tell that more is done.

        Args:
            amount: of the total.
        """
        self.reach(self._done + amount)

    def reach(self, done: int) -> None:
        """Tell how much is done by now.

        Args:
            done: of the total.
        """
        self._done = done
        percent = min(100, 100 * done // self._total)
        if percent > self._told:
            self._progress(percent - self._told)
            self._told = percent
