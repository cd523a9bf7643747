"""A matrix larger than an array, cut into tiles."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from madem_emulator.physical import checks
from madem_emulator.physical.checks import Floats
from madem_emulator.physical.crossbar import Crossbar


class TiledCrossbar:
    """A matrix of rows × columns devices on as many arrays as it needs.

    Tiles of the same word lines are driven together; currents of the same bit lines are read one
    tile at a time and added after conversion, that is, without loss here. The last tiles are
    smaller.

    >>> [[tile.shape for tile in row] for row in TiledCrossbar(5, 3, tile=(4, 2)).tiles]
    [[(4, 2), (4, 1)], [(1, 2), (1, 1)]]

    Attributes:
        tiles: the arrays, a list of tile rows.
        rows, columns: of the whole matrix.
        batch: shape of the batch, () for one matrix.
    """

    def __init__(
        self,
        rows: int,
        columns: int,
        *args: Any,
        tile: tuple[int, int] = (64, 64),
        seed: int = 1,
        **options: Any,
    ) -> None:
        """Make the arrays, with all devices at their g_min.

        Args:
            rows: of the whole matrix.
            columns: of the whole matrix.
            *args: of `Crossbar`, from `device` on.
            tile: rows and columns of one array.
            seed: the arrays get seeds of their own from it.
            **options: of `Crossbar`.

        Raises:
            ValueError: an argument is out of range; the message names it.
        """
        for name, size in (("rows", rows), ("columns", columns)):
            checks.count(name, size)
        for size in tile:
            checks.count("tile", size)
        checks.count("seed", seed, 0)
        self.rows, self.columns = rows, columns
        self._cuts = [_cuts(size, part) for size, part in zip((rows, columns), tile, strict=True)]
        across = len(self._cuts[1])
        seeds = np.random.SeedSequence(seed).generate_state(len(self._cuts[0]) * across)
        self.tiles = [
            [
                Crossbar(
                    r.stop - r.start, c.stop - c.start, *args,
                    seed=int(seeds[i * across + j]), **options,
                )
                for j, c in enumerate(self._cuts[1])
            ]
            for i, r in enumerate(self._cuts[0])
        ]  # fmt: skip
        self.batch = self.tiles[0][0].batch

    @property
    def shape(self) -> tuple[int, ...]:
        """(*batch, rows, columns)."""
        return (*self.batch, self.rows, self.columns)

    @property
    def conductances(self) -> Floats:
        """As `Crossbar.conductances`, and likewise to be assigned."""
        result = np.empty(self.shape)
        for tile, r, c in self._each():
            result[..., r, c] = tile.conductances
        return result

    @conductances.setter
    def conductances(self, value: ArrayLike) -> None:
        g = np.broadcast_to(checks.conductances("conductances", value, self.shape), self.shape)
        for tile, r, c in self._each():
            tile.conductances = g[..., r, c]

    def program(self, targets: ArrayLike) -> None:
        """As `Crossbar.program`."""
        g = np.broadcast_to(checks.conductances("targets", targets, self.shape), self.shape)
        for tile, r, c in self._each():
            tile.program(g[..., r, c])

    def pulse(self, counts: ArrayLike) -> None:
        """As `Crossbar.pulse`."""
        numbers = np.broadcast_to(checks.whole("counts", counts, self.shape), self.shape)
        for tile, r, c in self._each():
            tile.pulse(numbers[..., r, c])

    def update(self, rows: ArrayLike, columns: ArrayLike, pulses: int = 31) -> None:
        """As `Crossbar.update`; every tile has trains of its own."""
        x = checks.array("rows", rows, (*self.batch, self.rows))
        d = checks.array("columns", columns, (*self.batch, self.columns))
        x = np.broadcast_to(x, (*self.batch, self.rows))
        d = np.broadcast_to(d, (*self.batch, self.columns))
        for tile, r, c in self._each():
            tile.update(x[..., r], d[..., c], pulses)

    def read(self, voltages: ArrayLike) -> Floats:
        """As `Crossbar.read`."""
        v = self._lines("voltages", voltages, self.rows)
        parts = [
            [tile.read(v[..., r]) for tile in row]
            for r, row in zip(self._cuts[0], self.tiles, strict=True)
        ]
        return np.concatenate([sum(column) for column in zip(*parts, strict=True)], axis=-1)

    def read_transposed(self, voltages: ArrayLike) -> Floats:
        """As `Crossbar.read_transposed`."""
        v = self._lines("voltages", voltages, self.columns)
        parts = [
            [tile.read_transposed(v[..., c]) for tile, c in zip(row, self._cuts[1], strict=True)]
            for row in self.tiles
        ]
        return np.concatenate([sum(row) for row in parts], axis=-1)

    def wait(self, seconds: float) -> None:
        """As `Crossbar.wait`."""
        for tile, _, _ in self._each():
            tile.wait(seconds)

    def _each(self) -> Iterator[tuple[Crossbar, slice, slice]]:
        for row, r in zip(self.tiles, self._cuts[0], strict=True):
            for tile, c in zip(row, self._cuts[1], strict=True):
                yield tile, r, c

    def _lines(self, name: str, value: ArrayLike, lines: int) -> Floats:
        limit = self.tiles[0][0].device.max_read_voltage
        return checks.voltages(name, value, self.batch, lines, limit)


def _cuts(size: int, part: int) -> list[slice]:
    return [slice(begin, min(begin + part, size)) for begin in range(0, size, part)]
