"""Recordings that play on a board's sensors."""

from pathlib import Path

import pytest

from madem_emulator.designs import sensor_signals
from madem_emulator.wiring.bus import Bus

HEAD = "# madem recording 1\n# rate_hz: 10\n"


def recording(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "a.csv"
    path.write_text(text)
    return path


def test_units_become_g_and_degrees_and_missing_channels_are_still(tmp_path: Path) -> None:
    head = HEAD + "# units: m/s2,g,V,rad/s\n# units_per_count: 0.01,0.001,0.1,0.001\n"
    path = recording(tmp_path, head + "t_us,a,b,c,d,label\n0,981,500,8192,1000,\n1,0,0,0,0,\n")
    values = sensor_signals.motion(sensor_signals.read(path))(0.05)
    assert values == pytest.approx([9.81 / 9.80665, 0.5, 0.5, 57.29578, 0, 0])


def test_it_begins_again_and_its_labels_pull_pins(tmp_path: Path) -> None:
    rows = "".join(f"{k * 100000},{k},{label}\n" for k, label in enumerate(["", "b", "c", "a"]))
    path = recording(tmp_path, HEAD + "t_us,x,label\n" + rows)
    signal = sensor_signals.read(path)
    assert signal.classes == ("a", "b", "c")
    assert [signal.index(t) for t in (0.0, 0.09, 0.1, 0.35, 0.41)] == [0, 0, 1, 3, 0]

    class Stopped(Bus):
        time = 0.0

        def now(self) -> float:
            return self.time

    bus = Stopped()
    sensor_signals.wire(f"adc+{path}", bus)
    found = []
    for k in range(4):
        bus.time = 0.1 * k + 0.05
        found.append([bus.level(pin) for pin in sensor_signals.LABEL_PINS])
    # none, 2, 3, 1 in binary, active low
    assert found == [[1, 1, 1, 1], [1, 0, 1, 1], [0, 0, 1, 1], [0, 1, 1, 1]]


def test_the_rate_is_that_of_the_times_where_none_is_said(tmp_path: Path) -> None:
    path = recording(tmp_path, "t_us,x,label\n0,1,\n20000,2,\n40000,3,\n")
    assert sensor_signals.read(path).rate_hz == 50


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("x,y\n1,2\n", "its columns are not t_us"),
        (HEAD + "t_us,x,label\n0,1,\n", "has not two samples"),
        (HEAD + "t_us,x,label\n0,1\n1,2,\n", "line 4: not 3 columns"),
        (HEAD + "t_us,x,label\n0,1.5,\n1,2,\n", "line 4: not whole numbers"),
        ("# rate_hz: 0\nt_us,x,label\n0,1,\n1,2,\n", "rate_hz is 0"),
        ("# rate_hz: much\nt_us,x,label\n0,1,\n1,2,\n", "no rate_hz"),
        ("t_us,x,label\n5,1,\n5,2,\n", "no rate_hz"),
        (HEAD + "t_us,a,b,c,d,e,label\n0,1,1,1,1,1,\n1,1,1,1,1,1,\n", "5 channels, adc at most 4"),
    ],
)
def test_what_is_no_recording_is_refused(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        sensor_signals.wire(f"adc+{recording(tmp_path, text)}", Bus())


@pytest.mark.parametrize("sensor", ["nose+a.csv", "adc", "adc+"])
def test_only_known_sensors_can_be_wired(sensor: str) -> None:
    with pytest.raises(ValueError, match="there is no sensor"):
        sensor_signals.wire(sensor, Bus())
