"""Users' files, whatever their format, play on the sensors of emulated boards."""

from pathlib import Path

import numpy as np
import pytest

from madem.boards.sensor_signal import handed_over, signal_of
from madem.data.files.recording import Header, Recorder
from madem.errors import BoardError
from madem_emulator.designs import sensor_signals


def test_a_recording_is_played_in_its_counts(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    with Recorder(path, Header(("x", "y"), 20.0, ("g", "V"), (0.5, 0.1))) as recorder:
        for k in range(4):
            recorder.add(50_000 * k, (k, -k), "on" if k % 2 else "")
    signal = signal_of(path)
    assert (signal.rate_hz, signal.scales, signal.units) == (20.0, (0.5, 0.1), ("g", "V"))
    assert signal.counts == ((0, 0), (1, -1), (2, -2), (3, -3))
    assert signal.labels == ("", "on", "", "on")


def test_an_export_of_a_phone_is_played_in_its_units(tmp_path: Path) -> None:
    path = tmp_path / "phone.csv"
    rows = "".join(f"{k * 0.005:g};{k * 0.5:g};nan;9,81\n".replace(".", ",") for k in range(1, 9))
    rows = rows.replace("nan", "1", 7)
    path.write_text('"Time (s)";"X (m/s^2)";"Y (m/s^2)";"Z (m/s^2)"\n' + rows)
    signal = signal_of(path)
    assert signal.rate_hz == pytest.approx(200)
    assert len(signal.counts) == 7  # a value is missing in the last row
    x, y, z, *_ = sensor_signals.motion(signal)(0.011)
    assert np.array([x, y, z]) * 9.80665 == pytest.approx([1.5, 1, 9.81], abs=1e-3)


def test_counts_without_a_unit_stay_counts_and_times_say_the_rate(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("t_us,x,label\n0,1,\n20000,2,\n40000,3,\n")
    signal = signal_of(path)
    assert (signal.rate_hz, signal.scales, signal.counts) == (50, (), ((1,), (2,), (3,)))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("x,y\n1,2\n3,4\n", "says no rate: give it a column of times, or a line `# rate_hz"),
        ("# rate_hz: 10\nx,y\n1,2\n", "has not two samples"),
        ("# madem recording 1\n# rate_hz: 0\nt_us,x,label\n0,1,\n1,2,\n", "no numbers above 0"),
        ("hello", "has"),
    ],
)
def test_what_can_not_be_played(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "a.csv"
    path.write_text(text)
    with pytest.raises(BoardError, match=message):
        handed_over(f"--sensor=adc+{path}", tmp_path)


@pytest.mark.parametrize("sensor", ["nose+a.csv", "adc", "adc+", ""])
def test_sensors_that_do_not_exist(tmp_path: Path, sensor: str) -> None:
    with pytest.raises(BoardError, match="there is no sensor"):
        handed_over(f"--sensor={sensor}", tmp_path)
