"""An array between any voltages at its terminals, some floating: sneak paths and half voltages.

Nodal analysis of the whole resistor network, wires as in `wires`.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array
from scipy.sparse.csgraph import connected_components
from scipy.sparse.linalg import splu

from madem_emulator.physical.checks import Floats
from madem_emulator.physical.wires import Wires

Nodes = NDArray[np.intp]


def terminal_currents(wires: Wires, g: Floats, word: Floats, bit: Floats) -> tuple[Floats, Floats]:
    """Currents into the array at the terminals of its lines.

    Word lines are driven through `wires.driver`, bit lines through `wires.sense`.

    Args:
        wires: resistances in ohms; lines without resistance are one node each.
        g: one array, (rows, columns), in siemens.
        word: voltages of the word lines' terminals, (rows,); NaN: floating.
        bit: of the bit lines' terminals, (columns,).

    Returns:
        Amperes, (rows,) and (columns,); 0 where floating.
    """
    rows, columns = g.shape
    words, word_parts = _lines(rows, columns, wires.word_segment, wires.driver, first=0)
    # A bit line's terminal is at its last crossing.
    bits, bit_parts = _lines(
        columns, rows, wires.bit_segment, wires.sense, first=int(words.max()) + 1
    )
    devices = (words[:, 1:].ravel(), bits[:, 1:].T[::-1].ravel(), g.ravel())
    ends = np.concatenate([words[:, 0], bits[:, 0]])
    size = int(bits.max()) + 1
    laplacian = _laplacian(size, [devices, *word_parts, *bit_parts])

    held = np.concatenate([word, bit])
    driven = ~np.isnan(held)
    voltage = np.zeros(size)
    voltage[ends[driven]] = held[driven]
    known = np.zeros(size, bool)
    known[ends[driven]] = True
    # What hangs together without any driven terminal carries no current at any voltage.
    _, part = connected_components(laplacian, directed=False)
    known |= ~np.isin(part, part[known])
    free = np.flatnonzero(~known)
    if len(free):
        block = laplacian[free]
        factors = splu(block[:, free].tocsc(), permc_spec="MMD_AT_PLUS_A")
        voltage[free] = factors.solve(-(block @ voltage))
    currents = (laplacian @ voltage)[ends]
    currents[~driven] = 0.0
    return currents[:rows], currents[rows:]


_Resistors = tuple[Nodes, Nodes, Floats]


def _lines(
    lines: int, crossings: int, segment: float, end: float, first: int
) -> tuple[Nodes, list[_Resistors]]:
    """Nodes of parallel lines, (lines, 1 + crossings), terminal first, and their resistors.

    Numbers begin at `first`; nodes without resistance between them are one.
    """
    ways = np.full(crossings, segment)
    ways[0] += end
    distinct = np.concatenate([[0], np.cumsum(ways > 0)])
    nodes = first + np.arange(lines)[:, None] * (distinct[-1] + 1) + distinct
    parts = [
        (nodes[:, k], nodes[:, k + 1], np.full(lines, 1 / way))
        for k, way in enumerate(ways)
        if way > 0
    ]
    return nodes, parts


def _laplacian(size: int, parts: list[_Resistors]) -> csr_array:
    a, b, g = (np.concatenate(each) for each in zip(*parts, strict=True))
    conducts = g > 0
    a, b, g = a[conducts], b[conducts], g[conducts]
    values = np.concatenate([g, g, -g, -g])
    at = (np.concatenate([a, b, a, b]), np.concatenate([a, b, b, a]))
    return csr_array((values, at), shape=(size, size))
