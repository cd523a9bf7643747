"""A user's file as the signal that the sensor of an emulated board measures.

The board is a process of its own that knows no format of files: this one reads the file, and hands
over what is to be played.
"""

from __future__ import annotations

from pathlib import Path

from madem.data.files.counts import as_counts
from madem.data.files.read import read
from madem.errors import BoardSpecError, TaskError
from madem_emulator.designs import sensor_signals
from madem_emulator.designs.sensor_signals import Signal


def signal_of(path: Path) -> Signal:
    """Read the samples of a file at their rate; rows in which a value is missing are left out.

    Args:
        path: of the file.

    Returns:
        The signal, in counts.

    Raises:
        BoardSpecError: it can't be read, says no rate, or has not two samples.
    """
    try:
        samples = read(path, learn=False, series=True)
    except TaskError as error:
        raise BoardSpecError(str(error)) from None
    counts = as_counts(samples)
    rate = samples.judgement.rate_hz
    if rate is None:
        raise BoardSpecError(
            f"{path} says no rate: give it a column of times, or a line `# rate_hz: 100` at its top"
        )
    rows = [k for k, missing in enumerate(samples.missing.tolist()) if not missing]
    if len(rows) < 2:
        raise BoardSpecError(f"{path} has not two samples")
    names = (*samples.class_names, "")
    return Signal(
        rate,
        tuple(tuple(row) for row in counts.values[rows].tolist()),
        () if counts.scale is None else tuple(counts.scale.tolist()),
        samples.units,
        tuple(names[k] for k in samples.y[rows].tolist()),
    )


def handed_over(argument: str, folder: Path) -> str:
    """Replace the file in `--sensor=CHIP+FILE` by one that the board's process can read.

    Args:
        argument: with the user's file.
        folder: for the other one.

    Returns:
        The argument with the other file.

    Raises:
        BoardSpecError: there is no such sensor, or the user's file can't be played.
    """
    kind, _, file = argument.removeprefix("--sensor=").partition("+")
    if kind not in sensor_signals.KINDS or not file:
        known = "+FILE, ".join(sensor_signals.KINDS)
        raise BoardSpecError(f"there is no sensor {kind!r}: use {known}+FILE")
    target = folder / "signal.json"
    sensor_signals.write(signal_of(Path(file)), target)
    return f"--sensor={kind}+{target}"
