"""What the values of options may be: each function reads one, or says what it is not."""

from __future__ import annotations

from argparse import ArgumentTypeError


def above_zero(text: str) -> float:
    """A number above 0."""
    value = float(text)
    if not value > 0:
        raise ArgumentTypeError(f"{text} is not above 0")
    return value


above_zero.__name__ = "number"  # as argparse calls it where it is none


def names(text: str) -> tuple[str, ...]:
    """Names with commas between them."""
    return tuple(name.strip() for name in text.split(",") if name.strip())


def sizes(text: str) -> tuple[int, ...]:
    """Numbers of units, layer by layer, such as 32,4."""
    try:
        found = tuple(int(part) for part in text.split(","))
    except ValueError:
        found = ()
    if not found or min(found) < 1:
        raise ArgumentTypeError(f"{text!r} is not numbers of units such as 32,4")
    return found


def hidden(text: str) -> tuple[int, ...]:
    """Units of the hidden layers, such as 64,32, or `none` of them."""
    if text == "none":
        return ()
    try:
        return tuple(int(part) for part in text.split(","))
    except ValueError:
        raise ArgumentTypeError(
            f"{text!r} is neither `none` nor numbers such as 64 or 64,32"
        ) from None
