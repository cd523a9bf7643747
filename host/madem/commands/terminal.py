"""Where a command prints."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from rich.console import Console, ConsoleOptions, RenderableType
from rich.live import Live
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeRemainingColumn,
)
from rich.segment import Segment
from rich.text import Text

from madem.errors import printable


class _Console(Console):
    """A console on which text is only text: what would steer a terminal is shown as its escape.

    Names, labels and what boards say come from outside, in lines, tables and titles alike.
    """

    def render(
        self, renderable: RenderableType, options: ConsoleOptions | None = None
    ) -> Iterable[Segment]:
        """As `Console.render`, with styles and the console's own controls, and nobody else's."""
        for segment in super().render(renderable, options):
            yield segment if segment.control else segment._replace(text=_safe(segment.text))

    def render_str(self, text: str, **named: Any) -> Text:
        """As `Console.render_str`; here too, for tables that measure it before it is rendered."""
        return super().render_str(_safe(text), **named)


def _safe(text: str) -> str:
    return text if text.isprintable() else "\n".join(map(printable, text.split("\n")))


class Terminal:
    """A printer for people, that prints only when they want it."""

    def __init__(self, quiet: bool) -> None:
        """Choose where to print.

        Args:
            quiet: print nothing.
        """
        self._console = _Console(quiet=quiet, highlight=False, markup=False)
        self._aside = _Console(quiet=quiet, highlight=False, markup=False, stderr=True)

    @property
    def is_live(self) -> bool:
        """Somebody looks at a terminal."""
        return self._console.is_terminal and not self._console.quiet

    def say(self, what: RenderableType, aside: bool = False) -> None:
        """Print a line or a table; lines are wrapped for terminals only.

        Args:
            what: to be printed; no text in it is read as a style.
            aside: beside what another program reads, to stderr.
        """
        console = self._aside if aside else self._console
        console.print(what, soft_wrap=isinstance(what, str) and not console.is_terminal)

    def alarm(self, what: str, more: str) -> None:
        """Print a line of which the beginning stands out.

        Args:
            what: the beginning.
            more: the rest.
        """
        line = Text.assemble((what, "bold red"), more)
        self._console.print(line, soft_wrap=not self._console.is_terminal)

    def write(self, text: str) -> None:
        """Print text as it is: nothing wrapped, nothing styled."""
        self._console.out(text, highlight=False)

    @contextlib.contextmanager
    def progress(self, what: str, total: int) -> Iterator[Callable[[int], None]]:
        """Show a bar, on a terminal only.

        Args:
            what: is done.
            total: when it is done.

        Yields:
            The function that advances the bar by a number.
        """
        with Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            console=self._console,
            disable=not self._console.is_terminal,
        ) as bar:
            task = bar.add_task(what, total=total)
            yield lambda n: bar.advance(task, n)

    @contextlib.contextmanager
    def screen(self) -> Iterator[Callable[[RenderableType], None] | None]:
        """Take the whole terminal until the end.

        Yields:
            The function that fills it; None where there is no terminal, or nothing is to be seen.
        """
        if not self.is_live:
            yield None
            return
        with Live(console=self._console, screen=True, auto_refresh=False) as live:
            yield lambda what: live.update(what, refresh=True)

    def saved(self, path: Path) -> None:
        """Say which file was written.

        Args:
            path: of the file.
        """
        self.say(f"saved {path}")
