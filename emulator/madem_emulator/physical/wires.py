"""Resistances of the wires of an array, and how they are laid out.

Word line i runs from its terminal past the bit lines 0, 1, … columns − 1; bit line j runs past the
word lines 0, 1, … rows − 1 to its terminal. Between two crossings, and between a terminal and the
crossing next to it, lies one segment. A driver or a sense amplifier adds its own resistance at the
terminal. The far ends are open. `wire_solver` has what follows from it for reads.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np

from madem_emulator.physical import checks
from madem_emulator.physical.checks import Floats


@dataclass(frozen=True)
class Wires:
    """Resistances of the lines and of what they are connected to, in ohms.

    >>> Wires(word_segment=1.0, driver=50.0).word_line(3, transposed=False)
    array([[51., 51., 51.],
           [51., 52., 52.],
           [51., 52., 53.]])
    """

    word_segment: float = 0.0
    """Of a word line from one crossing to the next."""
    bit_segment: float = 0.0
    """Of a bit line from one crossing to the next."""
    driver: float = 0.0
    """Output resistance of what drives a line."""
    sense: float = 0.0
    """Input resistance of what senses a line."""

    def __post_init__(self) -> None:
        for each in fields(self):
            checks.number(each.name, getattr(self, each.name))

    def word_line(self, columns: int, transposed: bool) -> Floats:
        """Resistances that the ways along a word line share (Rw of `wire_solver`).

        Args:
            columns: crossings of the line.
            transposed: the word line is sensed, else driven.

        Returns:
            Ohms, (columns, columns): of the ways to crossings j and k from the terminal.
        """
        terminal = self.sense if transposed else self.driver
        way = np.arange(1, columns + 1)
        return terminal + self.word_segment * np.minimum(way[:, None], way)

    def bit_line(self, rows: int, transposed: bool) -> Floats:
        """Resistances that the ways along a bit line share (Rb of `wire_solver`).

        Args:
            rows: crossings of the line.
            transposed: the bit line is driven, else sensed.

        Returns:
            Ohms, (rows, rows): of the ways to crossings i and k from the terminal.
        """
        terminal = self.driver if transposed else self.sense
        way = np.arange(rows, 0, -1)
        return terminal + self.bit_segment * np.minimum(way[:, None], way)
