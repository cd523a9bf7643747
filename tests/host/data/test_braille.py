"""Braille coding against tables that share nothing with ours: Unicode's names and a primer."""

import unicodedata
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from madem.data import braille
from madem.errors import TaskError

# Letters a-z as printed in any Braille primer; Unicode's names give the dots of each.
PRIMER = "⠁⠃⠉⠙⠑⠋⠛⠓⠊⠚⠅⠇⠍⠝⠕⠏⠟⠗⠎⠞⠥⠧⠺⠭⠽⠵"
LETTERS = "abcdefghijklmnopqrstuvwxyz"

words = st.text(LETTERS, min_size=1, max_size=braille.CELLS)


@pytest.mark.parametrize(("letter", "glyph"), list(zip(LETTERS, PRIMER, strict=True)))
def test_letter_has_the_dots_of_its_unicode_name(letter: str, glyph: str) -> None:
    dots = unicodedata.name(glyph).removeprefix("BRAILLE PATTERN DOTS-")

    cell = braille.encode(letter)[:6]

    assert [str(dot) for dot in range(1, 7) if cell[dot - 1]] == list(dots)


def test_decades_of_the_alphabet_differ_by_dots_3_and_6() -> None:
    # Louis Braille's rule: k-t are a-j with dot 3, u v x y z are a-e with dots 3 and 6.
    for lower, upper, extra in (("abcdefghij", "klmnopqrst", [2]), ("abcde", "uvxyz", [2, 5])):
        for a, b in zip(lower, upper, strict=True):
            expected = braille.encode(a)
            expected[extra] = 1
            assert np.array_equal(braille.encode(b), expected), (a, b)


def test_turing_dot_by_dot() -> None:
    cells = braille.encode("turing").reshape(10, 6)

    assert cells[:6].tolist() == [
        [0, 1, 1, 1, 1, 0],  # t 2345
        [1, 0, 1, 0, 0, 1],  # u 136
        [1, 1, 1, 0, 1, 0],  # r 1235
        [0, 1, 0, 1, 0, 0],  # i 24
        [1, 0, 1, 1, 1, 0],  # n 1345
        [1, 1, 0, 1, 1, 0],  # g 1245
    ]
    assert not cells[6:].any()


@given(words)
def test_reading_undoes_writing(word: str) -> None:
    dots = braille.encode(word)

    assert braille.decode(dots) == word.ljust(10)
    # Unicode's Braille characters have dot 1 in bit 0.
    cells = [chr(0x2800 + int(cell @ (1 << np.arange(6)))) for cell in dots.reshape(10, 6)]
    assert "".join(cells[: len(word)]) == "".join(PRIMER[LETTERS.index(c)] for c in word)


def test_what_is_no_letter_is_marked() -> None:
    dots = braille.encode("ab")
    dots[6:12] = [0, 0, 0, 0, 0, 1]

    assert braille.decode(dots) == "a?        "


def write(folder: Path, content: str | bytes) -> Path:
    path = folder / "words.txt"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def test_words_file(tmp_path: Path) -> None:
    path = write(tmp_path, "\ufeffone\r\n\n  two \nthree")

    assert braille.read_words(path) == ("one", "two", "three")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("one\nTuring\n", r"line 2: 'Turing' may only have the letters a-z"),
        ("one\n\nü\n", r"line 3: 'ü' may only"),
        ("one two\nthree\n", r"line 1: 'one two' may only"),
        ("one\nabcdefghijk\n", r"line 2: 'abcdefghijk' has 11 letters; 1 to 10 fit"),
        ("one\ntwo\none\n", r"line 3: 'one' was already given on line 1"),
        ("one\n", r"at least two different words are needed, not 1"),
        ("\n\n", r"at least two different words are needed, not 0"),
        (b"\xff\xfe\x00", r"is not UTF-8 text"),
    ],
)
def test_unusable_words_are_named(tmp_path: Path, content: str | bytes, message: str) -> None:
    with pytest.raises(TaskError, match=message):
        braille.read_words(write(tmp_path, content))


def test_missing_words_file(tmp_path: Path) -> None:
    with pytest.raises(TaskError, match=r"can't read the words file .*none.txt: No such file"):
        braille.read_words(tmp_path / "none.txt")


def test_unusable_words_given_directly_are_named() -> None:
    with pytest.raises(TaskError, match=r"^word 2: '' has 0 letters"):
        braille.check_words(["one", ""])
