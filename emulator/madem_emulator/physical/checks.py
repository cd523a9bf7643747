"""Checks of input, all in one place: bad input raises one `ValueError` that names the field."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]


def need(ok: bool, name: str, value: object, must: str) -> None:
    """Refuse a value.

    Args:
        ok: the value is fine: do nothing.
        name: of the argument or field.
        value: as the message shows it.
        must: what it must be, in words.

    Raises:
        ValueError: says what it is and what it must be.
    """
    if not ok:
        raise ValueError(f"{name} is {value}, but must be {must}")


def number(name: str, value: float, low: float = 0.0, high: float = math.inf) -> None:
    """Check that a value is a finite number.

    Args:
        name: of the argument or field.
        value: to check.
        low: the least that is allowed.
        high: the most that is allowed.

    Raises:
        ValueError: it is not.
    """
    ok = isinstance(value, int | float | np.number) and low <= value <= high
    bounds = f"{low:g} or more" if high == math.inf else f"from {low:g} to {high:g}"
    need(ok and math.isfinite(value), name, value, f"a number {bounds}")


def fraction(name: str, value: float) -> None:
    """Check that a value is a number from 0 to 1: see `number`."""
    number(name, value, 0.0, 1.0)


def count(name: str, value: int, low: int = 1) -> None:
    """Check that a value is a whole number.

    Args:
        name: of the argument or field.
        value: to check.
        low: the least that is allowed.

    Raises:
        ValueError: it is not.
    """
    ok = isinstance(value, int | np.integer) and not isinstance(value, bool) and value >= low
    need(ok, name, value, f"a whole number of {low} or more")


def array(name: str, value: ArrayLike, shape: tuple[int, ...]) -> Floats:
    """Check that a value is an array of finite numbers.

    Args:
        name: of the argument.
        value: to check.
        shape: that it must broadcast to.

    Returns:
        The value as an array, not broadcast.

    Raises:
        ValueError: it is not.
    """
    try:
        result = np.asarray(value, dtype=np.float64)
    except (TypeError, ValueError):
        raise ValueError(f"{name} must be numbers in an array of shape {shape}") from None
    try:
        fits = np.broadcast_shapes(result.shape, shape) == shape
    except ValueError:
        fits = False
    need(fits, f"the shape of {name}", result.shape, f"{shape}")
    need(bool(np.isfinite(result).all()), name, "not finite", "finite everywhere")
    return result


def signals(name: str, value: ArrayLike, shape: tuple[int, ...]) -> Floats:
    """Check that values are numbers from −1 to 1: see `array`, but broadcast to `shape`."""
    result = np.asarray(value, dtype=np.float64)
    if result.shape != shape:
        result = np.broadcast_to(array(name, result, shape), shape)
    # One comparison finds both what is too large and what is not a number.
    largest = np.abs(result).max()
    need(bool(largest <= 1), name, f"up to {largest:g} in size", "from -1 to 1")
    return result


def conductances(name: str, value: ArrayLike, shape: tuple[int, ...]) -> Floats:
    """Check that values are conductances of 0 S or more: see `array`."""
    result = array(name, value, shape)
    need(bool((result >= 0).all()), name, f"negative ({result.min():g} S)", "0 S or more")
    return result


def whole(name: str, value: ArrayLike, shape: tuple[int, ...]) -> NDArray[np.int64]:
    """Check that values are whole numbers: see `array`; returns them as integers."""
    numbers = array(name, value, shape)
    result = numbers.astype(np.int64)
    need(bool((result == numbers).all()), name, "fractional", "whole numbers")
    return result


def positions(name: str, index: tuple[ArrayLike, ...], shape: tuple[int, ...]) -> NDArray[np.intp]:
    """Check that an index names devices of an array, all different.

    Args:
        name: of the argument.
        index: an array (devices,) for each axis of the shape.
        shape: of the array.

    Returns:
        Positions in the flattened array, (devices,).

    Raises:
        ValueError: it does not.
    """
    try:
        at = np.ravel_multi_index(tuple(np.atleast_1d(np.asarray(i)) for i in index), shape)
    except (TypeError, ValueError):
        raise ValueError(f"{name} must be {len(shape)} whole numbers within {shape}") from None
    met = np.zeros(shape, bool)
    met.reshape(-1)[at] = True
    need(int(met.sum()) == at.size, name, "the same for two devices", "different for each")
    return at.ravel()


def voltages(
    name: str, value: ArrayLike, batch: tuple[int, ...], lines: int, limit: float
) -> Floats:
    """Check voltages of lines.

    Args:
        name: of the argument.
        value: volts, (*batch, lines), (*batch, vectors, lines), or (lines,) for all arrays of the
            batch.
        batch: shape of the batch.
        lines: how many lines an array has.
        limit: volts that no line may exceed, either way.

    Returns:
        Volts, (*batch, lines) or (*batch, vectors, lines).

    Raises:
        ValueError: they have another shape, are not finite, or exceed the limit.
    """
    v = np.asarray(value, dtype=np.float64)
    depth = len(batch)
    if v.ndim == 1 and depth:
        v = np.broadcast_to(v, (*batch, v.shape[0]))
    ok = v.ndim in (depth + 1, depth + 2) and v.shape[:depth] == batch and v.shape[-1] == lines
    if not (ok and v.size):
        shape = ", ".join(str(n) for n in batch) + ", " * bool(batch)
        must = f"({shape}{lines}) or ({shape}vectors, {lines})"
        raise ValueError(f"the shape of {name} is {v.shape}, but must be {must}")
    # One comparison finds both what is too large and what is not a number.
    worst: Any = np.maximum.reduce(np.abs(v), axis=None)
    if not worst <= limit * (1 + 1e-9):
        need(bool(np.isfinite(worst)), name, "not finite", "finite everywhere")
        raise ValueError(f"{name} reaches {worst:g} V, but must be within {limit:g} V")
    return v


def terminals(name: str, value: ArrayLike, lines: int, limit: float) -> Floats:
    """Check voltages of terminals.

    Args:
        name: of the argument.
        value: volts, (lines,); NaN: floating. At least one is a voltage.
        lines: how many terminals there are.
        limit: volts that no terminal may exceed, either way.

    Returns:
        The voltages as an array.

    Raises:
        ValueError: they are not like that.
    """
    v = np.asarray(value, dtype=np.float64)
    need(v.shape == (lines,), f"the shape of {name}", v.shape, f"({lines},)")
    held = np.abs(v[~np.isnan(v)])
    need(held.size > 0, name, "floating everywhere", "driven at one terminal or more")
    worst = held.max()
    need(bool(worst <= limit), name, f"up to {worst:g} V", f"within {limit:g} V")
    return v
