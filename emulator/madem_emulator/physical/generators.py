"""Random numbers for many networks at once, each from generators of its own.

What a network draws does not depend on which others learn beside it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from madem_emulator.physical.checks import Floats

_POOL = 4096
"""Numbers of each network that are drawn ahead."""

Numbers = NDArray[np.intp]


class Generators:
    """Generators of B networks, drawn from like one `numpy.random.Generator`.

    Arrays have the networks as their first axis.
    """

    def __init__(self, seeds: Sequence[int]) -> None:
        """Make two generators for each network, one for each kind of number.

        Args:
            seeds: one for each network.
        """
        pairs = [np.random.SeedSequence(int(seed)).spawn(2) for seed in seeds]
        normal, uniform = (
            [np.random.Generator(np.random.SFC64(source)) for source in sources]
            for sources in zip(*pairs, strict=True)
        )
        self._normal = _Pool(normal, [generator.standard_normal for generator in normal])
        self._uniform = _Pool(uniform, [generator.random for generator in uniform])

    def state(self) -> NDArray[np.uint64]:
        """State of both generators of a single network, to go on from there later.

        Returns:
            Words, (2, 6).

        Raises:
            ValueError: there are several networks.
        """
        return np.stack([pool.state() for pool in (self._normal, self._uniform)])

    def set_state(self, state: NDArray[np.uint64]) -> None:
        """Go on from a state.

        Args:
            state: from `state`, (2, 6).
        """
        for pool, words in zip((self._normal, self._uniform), state, strict=True):
            pool.set_state(words)

    def standard_normal(self, shape: tuple[int, ...]) -> Floats:
        """Draw normal numbers.

        Args:
            shape: (B, …).

        Returns:
            Numbers of that shape.
        """
        return self._normal.block(shape)

    def random(self, shape: tuple[int, ...]) -> Floats:
        """Draw uniform numbers from 0 to 1.

        Args:
            shape: (B, …).

        Returns:
            Numbers of that shape.
        """
        return self._uniform.block(shape)

    def standard_normal_of(self, networks: Numbers) -> Floats:
        """Draw normal numbers for some networks.

        Args:
            networks: for each number the network that draws it, (n,), rising.

        Returns:
            (n,).
        """
        return self._normal.some(networks)

    def random_of(self, networks: Numbers) -> Floats:
        """Draw uniform numbers for some networks: as `standard_normal_of`."""
        return self._uniform.some(networks)


RandomSource = Generators | np.random.Generator


def normals_at(rng: RandomSource, at: Numbers, shape: tuple[int, ...]) -> Floats:
    """Draw a normal number for some items of an array.

    Args:
        rng: one generator, or those of the networks that the array's first axis counts.
        at: positions in the flattened array, (n,), those of one network before those of the next.
        shape: of the array.

    Returns:
        (n,).
    """
    if isinstance(rng, Generators):
        return rng.standard_normal_of(at // math.prod(shape[1:]))
    return rng.standard_normal(len(at))


def uniforms_at(rng: RandomSource, at: Numbers, shape: tuple[int, ...]) -> Floats:
    """Draw a uniform number from 0 to 1 for some items of an array: as `normals_at`."""
    if isinstance(rng, Generators):
        return rng.random_of(at // math.prod(shape[1:]))
    return rng.random(len(at))


class _Pool:
    """Numbers of one kind, drawn ahead for every network."""

    def __init__(
        self,
        generators: Sequence[np.random.Generator],
        draw: Sequence[Callable[[int], Floats]],
    ) -> None:
        self._generators = generators
        self._draw = draw
        self._pool = np.empty((len(draw), _POOL))
        self._next = np.full(len(draw), _POOL)
        self._first = np.arange(len(draw))[:, None]

    def state(self) -> NDArray[np.uint64]:
        if len(self._generators) != 1:
            raise ValueError("a state is that of a single network")
        found: Any = self._generators[0].bit_generator.state
        rest = found["has_uint32"], found["uinteger"]
        return np.array([*found["state"]["state"], *rest], np.uint64)

    def set_state(self, words: NDArray[np.uint64]) -> None:
        bits = self._generators[0].bit_generator
        bits.state = {
            "bit_generator": type(bits).__name__,
            "state": {"state": np.array(words[:4], np.uint64)},
            "has_uint32": int(words[4]),
            "uinteger": int(words[5]),
        }

    def block(self, shape: tuple[int, ...]) -> Floats:
        each = math.prod(shape[1:])
        if len(self._draw) == 1:
            # Needs no pool: a generator gives the same numbers however they are asked for.
            return self._draw[0](each).reshape(shape)
        if each > _POOL // 2:
            rows = [self._long(network, each) for network in range(len(self._draw))]
            return np.stack(rows).reshape(shape)
        self._refill(np.full(len(self._draw), each))
        taken = self._pool[self._first, self._next[:, None] + np.arange(each)]
        self._next += each
        return taken.reshape(shape)

    def some(self, networks: Numbers) -> Floats:
        if len(self._draw) == 1:
            return self._draw[0](len(networks))
        counts = np.bincount(networks, minlength=len(self._draw))
        if counts.max() > _POOL // 2:
            rows = [self._long(network, count) for network, count in enumerate(counts)]
            return np.concatenate(rows)
        self._refill(counts)
        rank = np.arange(len(networks)) - (np.cumsum(counts) - counts)[networks]
        taken = self._pool[networks, self._next[networks] + rank]
        self._next += counts
        return taken

    def _refill(self, counts: Numbers) -> None:
        """Draw for the networks whose pool does not hold that many; what is left goes first."""
        for network in np.flatnonzero(self._next + counts > _POOL).tolist():
            left = self._pool[network, self._next[network] :].copy()
            self._pool[network, : len(left)] = left
            self._pool[network, len(left) :] = self._draw[network](_POOL - len(left))
            self._next[network] = 0

    def _long(self, network: int, count: int) -> Floats:
        """Past the pool, after what is left in it."""
        begin = self._next[network]
        left = self._pool[network, begin : begin + count]
        self._next[network] = begin + len(left)
        return np.concatenate([left, self._draw[network](count - len(left))])
