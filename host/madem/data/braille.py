"""Words as Braille dots: lower-case Grade-1 letters, six dots a cell, ten cells a word.

A word is a vector of 60 dots (1 = raised), cell after cell, in each cell dots 1 to 6:
1-2-3 down the left column, 4-5-6 down the right. Cells after the last letter are blank.
"""

from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray

from madem.errors import TaskError

CELLS = 10
DOTS_PER_CELL = 6
DOTS = CELLS * DOTS_PER_CELL

WORDS = (
    "turing",
    "lovelace",
    "hopper",
    "dijkstra",
    "knuth",
    "shannon",
    "mccarthy",
    "vonneumann",
    "hamilton",
)
"""Our nine words: a declared choice, the paper's own list is not public."""

_LETTERS = (
    "a1 b12 c14 d145 e15 f124 g1245 h125 i24 j245 k13 l123 m134 n1345 o135 p1234 q12345 r1235 "
    "s234 t2345 u136 v1236 w2456 x1346 y13456 z1356"
)
_CELL_OF = {
    entry[0]: tuple(int(str(dot) in entry[1:]) for dot in range(1, DOTS_PER_CELL + 1))
    for entry in _LETTERS.split()
}
_CELL_OF[" "] = (0,) * DOTS_PER_CELL
_LETTER_OF = {cell: letter for letter, cell in _CELL_OF.items()}

UNREADABLE = "?"
"""What `decode` gives for a cell that is no letter."""


def encode(word: str) -> NDArray[np.uint8]:
    """Write a word in dots.

    Args:
        word: of at most ten letters a-z.

    Returns:
        0 or 1, 1 = raised, uint8 (60,).
    """
    return np.array([_CELL_OF[letter] for letter in word.ljust(CELLS)], np.uint8).ravel()


def decode(dots: ArrayLike) -> str:
    """Read dots as letters.

    Args:
        dots: non-zero = raised, (60,).

    Returns:
        Ten characters; blank cells are spaces, cells that are no letter "?".
    """
    cells = np.asarray(dots).reshape(CELLS, DOTS_PER_CELL) != 0
    return "".join(_LETTER_OF.get(tuple(map(int, cell)), UNREADABLE) for cell in cells)


def read_words(path: Path) -> tuple[str, ...]:
    """Read the words of a file, one a line; blank lines are skipped.

    Args:
        path: of the file.

    Returns:
        The words.

    Raises:
        TaskError: unreadable file or unusable word, with its line.
    """
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except OSError as error:
        raise TaskError(f"can't read the words file {path}: {error.strerror or error}") from None
    except UnicodeDecodeError:
        raise TaskError(f"the words file {path} is not UTF-8 text") from None
    numbered = [(f"line {n}", line.strip()) for n, line in enumerate(lines, 1) if line.strip()]
    return _checked(numbered, f"{path}: ")


def check_words(words: Sequence[str]) -> tuple[str, ...]:
    """See that words can be used.

    Args:
        words: that are to be learned.

    Returns:
        The words.

    Raises:
        TaskError: an unusable word, with its place.
    """
    return _checked([(f"word {n}", word) for n, word in enumerate(words, 1)], "")


def _checked(placed_words: Iterable[tuple[str, str]], source: str) -> tuple[str, ...]:
    place_of: dict[str, str] = {}
    for place, word in placed_words:
        if not all("a" <= letter <= "z" for letter in word):
            raise TaskError(f"{source}{place}: {word!r} may only have the letters a-z (lower case)")
        if not 1 <= len(word) <= CELLS:
            raise TaskError(
                f"{source}{place}: {word!r} has {len(word)} letters; 1 to {CELLS} fit in the cells"
            )
        if word in place_of:
            raise TaskError(f"{source}{place}: {word!r} was already given on {place_of[word]}")
        place_of[word] = place
    if len(place_of) < 2:
        raise TaskError(f"{source}at least two different words are needed, not {len(place_of)}")
    return tuple(place_of)
