"""What the values of options may be: each function reads one, or says what it is not."""

from __future__ import annotations

from argparse import ArgumentTypeError

_FIGURES = {
    "cycle_to_cycle": float,
    "device_to_device": float,
    "read_noise": float,
    "stuck": float,
    "dac_bits": int,
    "adc_bits": int,
}
"""What `--device` can change of a preset, under the names that the settings have."""


def above_zero(text: str) -> float:
    """A number above 0."""
    value = float(text)
    if not value > 0:
        raise ArgumentTypeError(f"{text} is not above 0")
    return value


above_zero.__name__ = "number"  # as argparse calls it where it is none


def count(text: str) -> int:
    """A whole number above 0."""
    if not text.isdecimal() or int(text) == 0:
        raise ArgumentTypeError(f"{text} is not a whole number above 0")
    return int(text)


def scales(text: str) -> tuple[float, ...]:
    """Units per count, one for all channels or one for each, with commas between them."""
    try:
        found = tuple(float(part) for part in text.split(","))
    except ValueError:
        found = ()
    if not found or not min(found) > 0:
        raise ArgumentTypeError(f"{text!r} is not numbers above 0 such as 0.001 or 0.001,0.1")
    return found


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


def figures(text: str) -> dict[str, float]:
    """Figures of a device, such as read_noise=0.02,stuck=0.1, by their names in the settings."""
    found: dict[str, float] = {}
    for word in text.split(","):
        name, equals, value = word.partition("=")
        if name not in _FIGURES or not equals or name in found:
            known = ", ".join(_FIGURES)
            raise ArgumentTypeError(f"{word!r} is not one KEY=X, with KEY one of {known}")
        try:
            found[name] = _FIGURES[name](value)
        except ValueError:
            kind = "a whole number" if _FIGURES[name] is int else "a number"
            raise ArgumentTypeError(f"{word!r}: {value!r} is not {kind}") from None
    return found


def stuck_after_training(text: str) -> tuple[float, int | None]:
    """The share of devices that get stuck and the passes of learning on: 0.1, or 0.1,5."""
    share, comma, epochs = text.partition(",")
    try:
        return float(share), int(epochs) if comma else None
    except ValueError:
        raise ArgumentTypeError(
            f"{text!r} is neither a share of the devices such as 0.1, nor one with passes such as"
            " 0.1,5"
        ) from None


def before_and_after(text: str) -> tuple[int, int]:
    """Two numbers, such as 400,400."""
    try:
        before, after = (int(part) for part in text.split(","))
    except ValueError:
        raise ArgumentTypeError(f"{text!r} is not two numbers such as 400,400") from None
    return before, after
