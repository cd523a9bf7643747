"""Every check of input, in one place: bad input raises one `ValueError` that names the field."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]


def need(ok: bool, name: str, value: object, must: str) -> None:
    """Raise a ValueError saying what `name` is and what it must be, unless `ok`."""
    if not ok:
        raise ValueError(f"{name} is {value}, but must be {must}")


def number(name: str, value: float, low: float = 0.0, high: float = math.inf) -> None:
    """A finite number from low to high, both included."""
    ok = isinstance(value, int | float | np.number) and low <= value <= high
    bounds = f"{low:g} or more" if high == math.inf else f"from {low:g} to {high:g}"
    need(ok and math.isfinite(value), name, value, f"a number {bounds}")


def fraction(name: str, value: float) -> None:
    """A number from 0 to 1."""
    number(name, value, 0.0, 1.0)


def count(name: str, value: int, low: int = 1) -> None:
    """A whole number, `low` or more."""
    ok = isinstance(value, int | np.integer) and not isinstance(value, bool) and value >= low
    need(ok, name, value, f"a whole number of {low} or more")


def array(name: str, value: ArrayLike, shape: tuple[int, ...]) -> Floats:
    """A finite float array that broadcasts to `shape`."""
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
    """Numbers from −1 to 1, broadcast to `shape`."""
    result = np.asarray(value, dtype=np.float64)
    if result.shape != shape:
        result = np.broadcast_to(array(name, result, shape), shape)
    # One comparison finds both what is too large and what is not a number.
    largest = np.abs(result).max()
    need(bool(largest <= 1), name, f"up to {largest:g} in size", "from -1 to 1")
    return result


def conductances(name: str, value: ArrayLike, shape: tuple[int, ...]) -> Floats:
    """Finite conductances of 0 S or more that broadcast to `shape`."""
    result = array(name, value, shape)
    need(bool((result >= 0).all()), name, f"negative ({result.min():g} S)", "0 S or more")
    return result


def whole(name: str, value: ArrayLike, shape: tuple[int, ...]) -> NDArray[np.int64]:
    """Whole numbers that broadcast to `shape`."""
    numbers = array(name, value, shape)
    result = numbers.astype(np.int64)
    need(bool((result == numbers).all()), name, "fractional", "whole numbers")
    return result


def positions(name: str, index: tuple[ArrayLike, ...], shape: tuple[int, ...]) -> NDArray[np.intp]:
    """Positions in a flattened array of that shape, (n,), of an index with an entry per axis."""
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
    """Line voltages: finite, within ±limit, of shape (*batch, lines), (*batch, vectors, lines) or
    (lines,), the last for all arrays of the batch.

    Returns:
        float (*batch, lines) or (*batch, vectors, lines).
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
    """Voltages of terminals within ±limit or NaN, of shape (lines,); at least one is a voltage."""
    v = np.asarray(value, dtype=np.float64)
    need(v.shape == (lines,), f"the shape of {name}", v.shape, f"({lines},)")
    held = np.abs(v[~np.isnan(v)])
    need(held.size > 0, name, "floating everywhere", "driven at one terminal or more")
    worst = held.max()
    need(bool(worst <= limit), name, f"up to {worst:g} V", f"within {limit:g} V")
    return v
