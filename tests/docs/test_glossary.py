"""The glossary's places exist, and each word is there once."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
ROWS = re.findall(
    r"^\| ([^|]+) \| ([^|]+) \| `([^`]+)` \|$",
    (ROOT / "docs/reference/glossary.md").read_text(),
    re.MULTILINE,
)


def test_there_are_words() -> None:
    assert len(ROWS) >= 30


@pytest.mark.parametrize(("word", "place"), [(word, place) for word, _, place in ROWS])
def test_a_place_exists(word: str, place: str) -> None:
    assert (ROOT / place).is_file(), f"{word}: {place}"


def test_each_word_is_there_once() -> None:
    words = [word for cell, *_ in ROWS for word in cell.replace("`", "").split(", ")]
    assert len(words) == len(set(words))
