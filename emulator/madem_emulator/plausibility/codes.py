"""Are the codes of a board of chips plausible? A test of the board against the emulator.

Every device is followed by `PARTICLES` copies of it that the emulator's own model of the preset
pulses as the board pulses the real one. They start where a *probe* finds the device: each line
driven alone, in both directions. From then on three things are tested.

- A code of a read is compared with the sum of the copies' means over the driven lines. Its variance
  is that of a code, plus the copies' and the read noise's, each times its level squared.
- A probe must find each device where its copies are, and the same in both directions. For a line
  the squares of forward less transposed codes, over their variance, are χ².
- A device that is pulsed must move. p of a probe is the share of copies that moved no further than
  it did; −2 Σ ln p over the probes is χ² (Fisher).

The false-alarm rate of a whole run is at most ALARM: half of it is shared out among all codes of
the run, half among the tests of the probes, evenly (Bonferroni), each p computed from Student's
distribution, the normal or χ². tests/host/verify/test_attached.py measures it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from madem_emulator.physical.checks import Floats
from madem_emulator.physical.device import DeviceModel
from madem_emulator.physical.device_array import DeviceArray
from madem_emulator.twin.cards import CardPulse, CardRead, Geometry

ALARM = 1e-3
"""Probability that the codes of a board in order are called implausible in a run."""
PARTICLES = 256
READS = 16
"""Readings that a probe averages."""

_SILENT = 0.1
"""A line whose codes are all below this share of the others' median gives no current."""
_BEYOND = 0.25
"""A device this share of the window above its top is shorted; one below half its bottom is open."""


class ImplausibleError(Exception):
    """The codes are not plausible for a board in order; the message names the fault."""


@dataclass(frozen=True)
class AlarmBudget:
    """Tests that a run makes at most, for the thresholds.

    Attributes:
        codes: codes of reads.
        probes: probes of all cards.
    """

    codes: int
    probes: int


class PlausibilityTest:
    """A statistical test of one board's codes, which follows its devices through a run.

    Attributes:
        tests: p values computed so far.
    """

    def __init__(
        self,
        device: DeviceModel,
        geometry: Geometry,
        cards: int,
        budget: AlarmBudget,
        seed: int = 1,
    ) -> None:
        """Make copies of the devices of a board that has not been probed yet.

        Args:
            device: the preset.
            geometry: of the board design.
            cards: how many are in use, from 0 on.
            budget: tests among which the false-alarm rate is shared out.
            seed: of the copies.

        Raises:
            ValueError: the preset's I–V curve is not linear: then a code is no sum over lines.
        """
        if not device.nonlinearity.is_linear:
            raise ValueError(f"the codes of {device.name} can't be tested: its I–V curve is bent")
        self.tests = 0
        self._geometry = geometry
        self._unit = device.window / geometry.span  # siemens a code
        shape = (PARTICLES, cards, geometry.rows, geometry.columns)
        self._copies = DeviceArray(device, shape, np.random.Generator(np.random.SFC64(seed)))
        self._mean: Floats = np.zeros(shape[1:])
        self._variance: Floats = np.zeros(shape[1:])
        self._start = self._copies.g
        self._found: Floats | None = None  # where the last probe found the devices, in codes
        self._doubt = np.zeros(shape[1:])  # variance of what the last probe found
        self._pulses = np.zeros(shape[1:], np.int64)  # since the last probe
        self._evidence = np.zeros(shape[1:])  # −2 Σ ln p, of a device that does not move
        self._intervals = np.zeros(shape[1:], np.int64)
        lines = geometry.rows + geometry.columns
        tests = budget.probes * (2 * self._mean.size + cards * lines + 2)
        self._of_a_code = 0.5 * ALARM / budget.codes
        self._of_a_probe = 0.5 * ALARM / tests
        # The variance is an estimate, of so many copies.
        self._z_code = float(stats.t.isf(self._of_a_code / 2, PARTICLES - 1))
        # A line's zero is an integer of the firmware's, from a few readings.
        self._zero = 1 / 12 + geometry.noise**2 / 8
        self._probe_variance = geometry.noise**2 / READS * 1.25

    # While the board works

    def read(self, read: CardRead, levels: Floats) -> str | None:
        """Test the codes of a read.

        Args:
            read: from the device.
            levels: activities of the driven lines, −255 to 255: (lines,).

        Returns:
            In words, which line is not as it should be; None: all are.
        """
        expected, sigma = self.expected(read.card, read.rows, levels)
        z = (read.codes - expected) / sigma
        self.tests += len(z)
        worst = int(np.argmax(np.abs(z)))
        if abs(z[worst]) <= self._z_code:
            return None
        side = "row" if read.rows else "column"
        return (
            f"card {read.card}, {side} {worst} reads {read.codes[worst]} where"
            f" {expected[worst]:.0f} ± {sigma[worst]:.1f} is expected"
        )

    def expected(self, card: int, rows: bool, levels: Floats) -> tuple[Floats, Floats]:
        """Predict the codes of a read, of devices that a probe has found.

        Args:
            card: its number.
            rows: the word lines are sensed; otherwise the bit lines.
            levels: activities of the driven lines, −255 to 255: (lines,).

        Returns:
            Mean and σ of each sensed line's code, (lines,) each.
        """
        share = self._geometry.share(levels)
        mean, variance = self._mean[card], self._variance[card]
        if rows:
            mean, variance = mean.T, variance.T
        noise = self._copies.noise_variance(mean * self._unit)
        if noise is not None:
            variance = variance + noise / self._unit**2
        sigma = np.sqrt(self._geometry.noise**2 + self._zero + share**2 @ variance)
        return share @ mean, sigma

    def pulse(self, pulse: CardPulse) -> None:
        """Let the copies have pulses.

        Args:
            pulse: that the device gave.
        """
        rows = [r for r in range(self._geometry.rows) if pulse.rows >> r & 1]
        columns = [c for c in range(self._geometry.columns) if pulse.columns >> c & 1]
        cells = np.ix_([pulse.card], rows, columns)
        index = np.arange(self._mean.size).reshape(self._mean.shape)[cells].ravel()
        at = (np.arange(PARTICLES)[:, None] * self._mean.size + index).ravel()
        if self._start is self._copies.g:
            self._start = self._copies.g.copy()
        amount = np.full(len(at), float(pulse.pulses))
        self._copies.pulse_some(at, amount, np.full(len(at), pulse.up))
        self._pulses.reshape(-1)[index] += pulse.pulses
        self._sum_up(index)

    def _sum_up(self, index: NDArray[np.intp]) -> None:
        g = self._copies.g.reshape(PARTICLES, -1)[:, index] / self._unit
        self._mean.reshape(-1)[index] = g.mean(axis=0)
        # Where the window ends, few of the copies show how far a device may still come from it.
        step = self._copies.device.cycle_to_cycle.step * self._geometry.span
        free = step**2 * self._pulses.reshape(-1)[index]
        spread = np.maximum(g.var(axis=0, ddof=1), free)
        self._variance.reshape(-1)[index] = spread + self._doubt.reshape(-1)[index]

    # Probes

    def probe(self, forward: Floats, transposed: Floats) -> None:
        """Test what a probe found, and follow the devices from there.

        Args:
            forward: codes of all devices, each word line driven alone: (cards, rows, columns).
            transposed: the same, each bit line driven alone.

        Raises:
            ImplausibleError: a fault, by its name.
        """
        self._directions(forward, transposed)
        found = (forward + transposed) / 2
        self._range(found)
        if self._found is not None:
            self._drift(found)
            self._movement(found)
        self._found = found
        self._doubt = self._read_variance(found) / 2
        spread = np.sqrt(self._doubt) * self._unit
        draw = self._copies._rng.standard_normal(self._copies.shape)
        self._copies.assign(np.maximum(found * self._unit + spread * draw, 0.0))
        self._start = self._copies.g
        self._pulses[:] = 0
        self._mean[:] = found
        self._variance[:] = self._doubt

    def _read_variance(self, codes: Floats) -> Floats:
        """Of one device's code in a probe, of one direction."""
        noise = self._copies.noise_variance(np.maximum(codes, 0) * self._unit)
        # Readings that follow each other at once may share their read noise.
        extra = np.zeros_like(codes) if noise is None else noise / self._unit**2
        return self._probe_variance + extra

    def _directions(self, forward: Floats, transposed: Floats) -> None:
        """The same devices, read both ways, must say the same: it is the lines that differ."""
        self._silence(forward, transposed)
        variance = 2 * self._read_variance((forward + transposed) / 2)
        square = (forward - transposed) ** 2 / variance
        suspects = []
        for columns, axes in ((True, (0, 1)), (False, (0, 2))):
            q = square.sum(axis=axes)
            self.tests += len(q)
            p = stats.chi2.sf(q, square.size // len(q))
            suspects += [(columns, int(n)) for n in np.flatnonzero(p < self._of_a_probe)]
        if suspects:
            explained = [
                self._explain(forward, transposed, variance, columns, line)
                for columns, line in suspects
            ]
            raise ImplausibleError(max(explained)[1])

    def _silence(self, forward: Floats, transposed: Floats) -> None:
        for columns in (True, False):
            # As (line, everything else), what its amplifier saw and what it drove.
            sensed, driven = (
                np.moveaxis(each, 2 if columns else 1, 0).reshape(
                    each.shape[2 if columns else 1], -1
                )
                for each in ((forward, transposed) if columns else (transposed, forward))
            )
            usual = float(np.median(sensed))
            for line in np.flatnonzero(np.abs(sensed).max(axis=1) < _SILENT * usual):
                name = f"{'column' if columns else 'row'} {line}"
                if np.abs(driven[line]).max() < _SILENT * usual:
                    raise ImplausibleError(f"dead {name}: it neither drives nor gives current")
                raise ImplausibleError(f"dead {name}: its amplifier gives nothing")

    def _explain(
        self, forward: Floats, transposed: Floats, variance: Floats, columns: bool, line: int
    ) -> tuple[float, str]:
        """Find what may be wrong with a line whose two directions differ.

        Returns:
            How much that explains, as the drop in squared deviations over variance, and its name.
        """
        seen, true = (forward, transposed) if columns else (transposed, forward)
        seen, true, variance = (
            np.moveaxis(each, 2 if columns else 1, 0) for each in (seen, true, variance)
        )
        side = "column" if columns else "row"

        def misfit(first: int, codes: Floats) -> float:
            return float(((seen[first] - codes) ** 2 / variance[first]).sum())

        gain = float((seen[line] * true[line]).sum() / (true[line] ** 2).sum())
        gained = misfit(line, true[line]) - misfit(line, gain * true[line])
        best = gained, f"wrong gain: {side} {line} has {gain:.3f} times its gain"
        for other in range(len(seen)):
            if other != line:
                now = misfit(line, true[line]) + misfit(other, true[other])
                gained = now - misfit(line, true[other]) - misfit(other, true[line])
                first, second = sorted((line, other))
                best = max(best, (gained, f"swapped pair: {side}s {first} and {second}"))
        return best

    def _range(self, found: Floats) -> None:
        """No device may be far outside its window."""
        device = self._copies.device
        bottom, top = device.g_min / self._unit, device.g_max / self._unit
        faulty = {"shorted": found > top + _BEYOND * self._geometry.span}
        if bottom > 8 * self._geometry.noise:  # else an open device looks like one at the bottom
            faulty["open"] = found < bottom / 2
        for name, cells in faulty.items():
            for card, row, column in np.argwhere(cells)[:1]:
                raise ImplausibleError(f"{name} device: card {card}, row {row}, column {column}")

    def _drift(self, found: Floats) -> None:
        """Devices without pulses must stay where they are, in the mean."""
        assert self._found is not None
        still = self._pulses == 0
        if not still.any():
            return
        variance = self._read_variance(self._found[still])  # of a mean of two, twice
        mean = float((found - self._found)[still].mean())
        z = mean / np.sqrt(variance.mean() / still.sum())
        self.tests += 1
        if 2 * stats.norm.sf(abs(z)) < self._of_a_probe:
            share = 100 * mean / self._geometry.span
            raise ImplausibleError(
                f"slow drift: devices without pulses moved by {share:+.2f} % of their window"
            )

    def _movement(self, found: Floats) -> None:
        """Each device must be where its copies are, and must have moved if it was pulsed."""
        assert self._found is not None
        noise = self._read_variance(self._found)
        moved = np.abs(found - self._found)
        copies = np.abs(self._copies.g - self._start) / self._unit
        # A copy is measured twice too.
        rng = np.random.default_rng(int(self.tests))
        copies = np.abs(copies + np.sqrt(noise) * rng.standard_normal(copies.shape))
        p = (1 + (copies <= moved).sum(axis=0)) / (1 + PARTICLES)
        self._evidence -= np.where(self._pulses, 2 * np.log(p), 0.0)
        self._intervals += self._pulses > 0
        self.tests += 2 * found.size
        fisher = stats.chi2.sf(self._evidence, 2 * np.maximum(self._intervals, 1))
        stuck = np.where(self._intervals > 0, fisher, 1.0)
        still = moved < 4 * np.sqrt(noise)
        z = (found - self._mean) / np.sqrt(self._variance + noise / 2)
        away = 2 * stats.norm.sf(np.abs(z))
        worst = np.unravel_index(int(np.argmin(np.minimum(stuck, away))), found.shape)
        if min(stuck[worst], away[worst]) >= self._of_a_probe:
            return
        card, row, column = (int(n) for n in worst)
        where = f"card {card}, row {row}, column {column}"
        if self._pulses[worst] and still[worst]:
            raise ImplausibleError(f"stuck device: {where} does not move under pulses")
        raise ImplausibleError(
            f"device at {where}: it is at {found[worst]:.0f} codes,"
            f" {self._mean[worst]:.0f} ± {np.sqrt(self._variance[worst]):.0f} were expected"
        )
