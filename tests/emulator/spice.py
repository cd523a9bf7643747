"""A crossbar as a netlist for ngspice, an independent judge of the emulator's wires."""

from __future__ import annotations

import subprocess
from pathlib import Path

import numpy as np


def terminal_currents(
    folder: Path,
    g: np.ndarray,
    word: np.ndarray,
    bit: np.ndarray,
    *,
    word_segment: float,
    bit_segment: float,
    word_end: float,
    bit_end: float,
    bend: float = 0.0,
) -> tuple[np.ndarray, np.ndarray]:
    """Currents into the terminals, in amperes: (rows,), (columns,); 0 where floating.

    The device at row i, column j lies between node w<i>_<j> of word line i and node b<i>_<j> of bit
    line j. Word lines have their terminal before column 0, bit lines after the last row.

    Args:
        g: siemens, (rows, columns).
        word, bit: volts at the terminals; NaN: floating.
        word_segment, bit_segment, word_end, bit_end: ohms.
        bend: a3 / g in 1/V²: the devices' current is g (V + bend V³).
    """
    rows, columns = g.shape
    ends = (word_segment, bit_segment, word_end, bit_end)
    cards = [*_lines(rows, columns, *ends), *_devices(g, bend)]
    probes = {}
    for kind, node, volts in (("w", "t", word), ("b", "s", bit)):
        for k, v in enumerate(volts):
            if not np.isnan(v):
                cards.append(f"V{kind}{k} {node}{k} 0 {float(v)!r}")
                probes[f"i(v{kind}{k})"] = (kind, k)
    found = {"w": np.zeros(rows), "b": np.zeros(columns)}
    for name, value in _solve(folder, cards, list(probes)).items():
        kind, k = probes[name]
        # ngspice counts the current from the source's + node through the source.
        found[kind][k] = -value
    return found["w"], found["b"]


def device_voltages(
    folder: Path,
    g: np.ndarray,
    word: np.ndarray,
    bit: np.ndarray,
    *,
    word_segment: float,
    bit_segment: float,
    end: float,
) -> np.ndarray:
    """Volts across every device, word line less bit line, (rows, columns). As above, with the same
    resistance at all terminals, which are all held."""
    rows, columns = g.shape
    cards = [*_lines(rows, columns, word_segment, bit_segment, end, end), *_devices(g, 0.0)]
    cards += [f"Vw{k} t{k} 0 {float(v)!r}" for k, v in enumerate(word)]
    cards += [f"Vb{k} s{k} 0 {float(v)!r}" for k, v in enumerate(bit)]
    nodes = [f"v({kind}{i}_{j})" for kind in "wb" for i in range(rows) for j in range(columns)]
    volts = np.array(list(_solve(folder, cards, nodes).values()))
    return -np.diff(volts.reshape(2, rows, columns), axis=0)[0]


def _lines(
    rows: int,
    columns: int,
    word_segment: float,
    bit_segment: float,
    word_end: float,
    bit_end: float,
) -> list[str]:
    """The cards of all lines."""
    cards: list[str] = []

    def join(a: str, b: str, ohms: float) -> None:
        # To ngspice a resistor of 0 ohms has 1 milliohm; a source of 0 V is a true short.
        kind, value = ("R", ohms) if ohms else ("V", 0.0)
        cards.append(f"{kind}j{len(cards)} {a} {b} {value!r}")

    for i in range(rows):
        join(f"t{i}", f"e{i}", word_end)
        join(f"e{i}", f"w{i}_0", word_segment)
        for j in range(1, columns):
            join(f"w{i}_{j - 1}", f"w{i}_{j}", word_segment)
    for j in range(columns):
        join(f"s{j}", f"f{j}", bit_end)
        join(f"f{j}", f"b{rows - 1}_{j}", bit_segment)
        for i in range(1, rows):
            join(f"b{i - 1}_{j}", f"b{i}_{j}", bit_segment)
    return cards


def _devices(g: np.ndarray, bend: float) -> list[str]:
    rows, columns = g.shape
    cards = []
    for i in range(rows):
        for j in range(columns):
            a, b = f"w{i}_{j}", f"b{i}_{j}"
            if bend:
                # To ngspice, x^3 is |x|^3.
                u = f"v({a},{b})"
                cards.append(f"Bd{i}_{j} {a} {b} I={float(g[i, j])!r}*{u}*(1+{bend!r}*{u}*{u})")
            elif g[i, j]:
                cards.append(f"Rd{i}_{j} {a} {b} {float(1 / g[i, j])!r}")
    return cards


def _solve(folder: Path, cards: list[str], probes: list[str]) -> dict[str, float]:
    """What ngspice says of each probe, in their order."""
    control = [".options reltol=1e-12 abstol=1e-18 vntol=1e-15 gmin=1e-20", ".control"]
    control += ["set numdgt=15", "op", *(f"print {probe}" for probe in probes), ".endc", ".end"]
    netlist = folder / "crossbar.cir"
    netlist.write_text("\n".join(["crossbar", *cards, *control]) + "\n")
    done = subprocess.run(
        ["ngspice", "-b", str(netlist)], capture_output=True, text=True, timeout=300, check=False
    )
    lines = [line for line in done.stdout.splitlines() if line.startswith(("i(v", "v("))]
    assert len(lines) == len(probes), done.stdout[-2000:] + done.stderr[-2000:]
    pairs = (line.split("=") for line in lines)
    return {name.strip(): float(value) for name, value in pairs}
