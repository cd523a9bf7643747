"""Random numbers of docs/reference/arithmetic.md, many generators and many draws at once.

A generator's state is an integer of 31 bits; here states are uint64 arrays of any shape. Since
the multiply-with-carry generator is the Lehmer generator `x ← A·x mod P`, the state after k draws
is `x·A^k mod P`: draws can be taken in any order, and all at once.
"""

import zlib
from enum import IntEnum

import numpy as np
from numpy.typing import ArrayLike, NDArray

A = 30903
P = (A << 16) - 1
"""Prime modulus of the Lehmer form; products of two states stay below 2^62."""

_SALT = 0x1F123BB5

States = NDArray[np.uint64]
Draws = NDArray[np.uint16]


class Stream(IntEnum):
    """Purposes of draws, each a stream of its own; its index is given in brackets."""

    DEVICE = 1
    """Traits and first conductance of a device (device number)."""
    LEARN = 2
    """Read noise of a training sample (step number)."""
    UPDATE = 3
    """Rounding of the accumulators (step number)."""
    PULSE = 4
    """Choice of device and pulse variation (step number)."""
    PREDICT = 5
    """Read noise of a prediction (`row_indices`)."""


def step(x: States) -> States:
    """Take one draw of each generator.

    Args:
        x: states, of any shape.

    Returns:
        The states after it.
    """
    return np.uint64(A) * (x & np.uint64(0xFFFF)) + (x >> np.uint64(16))


def start(seed: ArrayLike, stream: ArrayLike, index: ArrayLike) -> States:
    """Start generators.

    Args:
        seed: 0…2^32−1.
        stream: a `Stream`, or an array of them.
        index: 0…2^32−1, such as the number of a step.

    Returns:
        First states, in the shape to which the three arguments broadcast.
    """
    seed, stream, index = (np.asarray(a, dtype=np.uint64) for a in (seed, stream, index))
    x = np.full(np.broadcast_shapes(seed.shape, stream.shape, index.shape), _SALT, np.uint64)
    words = (seed & 0xFFFF, seed >> 16, stream, index & 0xFFFF, index >> 16)
    for word in (*words, 0, 0, 0):
        x ^= word ^ (x >> 13)
        x = step(x)
    return np.asarray((x & np.uint64(0x3FFFFFFF)) + np.uint64(1))


def row_indices(rows: NDArray[np.uint8]) -> NDArray[np.int64]:
    """Indices of predictions, each of which is the row's own: the low 30 bits of its CRC-32.

    >>> row_indices(np.array([[1, 2, 3], [1, 2, 3]], np.uint8)).tolist()
    [364675101, 364675101]

    Args:
        rows: inputs as DACs give them, uint8 (…, features).

    Returns:
        int64 (…).
    """
    shape = rows.shape[:-1]
    each = np.ascontiguousarray(rows).reshape(-1, rows.shape[-1])
    found = np.fromiter((zlib.crc32(row.data) for row in each), np.int64, len(each))
    return (found & 0x3FFFFFFF).reshape(shape)


def powers(n: int) -> States:
    """Factors by which states jump ahead: A^0 … A^(n−1) mod P.

    Args:
        n: how many.

    Returns:
        uint64 (n,), read-only.
    """
    global _powers
    while len(_powers) < n:
        next_power = _reduce(_powers[-1] * np.uint64(A))
        _powers = np.concatenate([_powers, _reduce(_powers * next_power)])
        _powers.setflags(write=False)
    return _powers[:n]


_powers = np.array([1, A], np.uint64)
"""As many as were needed so far."""


def _reduce(product: States) -> States:
    """The product modulo P. numpy divides by a constant several times faster than it takes `%`."""
    return product - product // np.uint64(P) * np.uint64(P)


def draw(x: States, factor: States) -> Draws:
    """Take draws after jumps.

    Args:
        x: states; they are not changed.
        factor: `powers(…)[k]` for the k-th draw, k = 1, 2, …; broadcasts with `x`.

    Returns:
        The draws, 0…65535.
    """
    return _reduce(x * factor).astype(np.uint16)


def draws(x: States, n: int) -> Draws:
    """Take the first draws of generators.

    Args:
        x: states, of any shape; they are not changed.
        n: how many draws of each.

    Returns:
        uint16 (*x.shape, n).
    """
    return draw(x[..., None], powers(n + 1)[1:])


def variates(draws: Draws) -> NDArray[np.int32]:
    """Make normal variates z of pairs of draws that follow each other on the last axis.

    Args:
        draws: uint16 (…, 2n), contiguous.

    Returns:
        int32 (…, n), −510…510: the sum of the pair's four bytes, less its mean.
    """
    pairs = draws.view(np.uint32)
    halves = (pairs & 0x00FF00FF) + ((pairs >> 8) & 0x00FF00FF)
    return ((halves & 0xFFFF) + (halves >> 16)).view(np.int32) - 510
