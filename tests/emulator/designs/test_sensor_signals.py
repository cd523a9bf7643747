"""Signals that play on a board's sensors."""

import argparse
import json
from pathlib import Path

import pytest

from madem_emulator.boards.process import EmulatedBoardError, wired_bus
from madem_emulator.designs import sensor_signals
from madem_emulator.designs.sensor_signals import Signal
from madem_emulator.wiring.bus import Bus


def test_units_become_g_and_degrees_and_missing_channels_are_still() -> None:
    signal = Signal(
        10,
        ((981, 500, 8192, 1000), (0, 0, 0, 0)),
        (0.01, 0.001, 0.1, 0.001),
        ("m/s2", "g", "V", "rad/s"),
    )
    values = sensor_signals.motion(signal)(0.05)
    assert values == pytest.approx([9.81 / 9.80665, 0.5, 0.5, 57.29578, 0, 0])
    for unit, other in (("m/s^2", "m/s2"), ("dps", "deg/s"), ("°/s", "deg/s")):
        one, same = (
            sensor_signals.motion(Signal(10, ((5,),), (1.0,), (u,))) for u in (unit, other)
        )
        assert one(0) == same(0)


def test_it_begins_again_and_its_labels_pull_pins() -> None:
    signal = Signal(10, ((0,), (1,), (2,), (3,)), labels=("", "b", "c", "a"))
    assert signal.classes == ("a", "b", "c")
    assert [signal.index(t) for t in (0.0, 0.09, 0.1, 0.35, 0.41)] == [0, 0, 1, 3, 0]

    class Stopped(Bus):
        time = 0.0

        def now(self) -> float:
            return self.time

    bus = Stopped()
    sensor_signals.wire("adc", signal, bus)
    found = []
    for k in range(4):
        bus.time = 0.1 * k + 0.05
        found.append([bus.level(pin) for pin in sensor_signals.LABEL_PINS])
    # none, 2, 3, 1 in binary, active low
    assert found == [[1, 1, 1, 1], [1, 0, 1, 1], [0, 0, 1, 1], [0, 1, 1, 1]]


def test_a_signal_passes_through_its_file(tmp_path: Path) -> None:
    signal = Signal(12.5, ((1, -2), (3, 4)), (0.1, 0.2), ("g", "°/s"), ("", "ä"))
    sensor_signals.write(signal, tmp_path / "a.json")
    assert sensor_signals.read(tmp_path / "a.json") == signal


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", "t_us,x,label", json.dumps({"rate_hz": "x", "counts": []})]
)
def test_what_is_no_signal_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "a.json").write_text(text)
    options = argparse.Namespace(wiring=None, sensor=f"adc+{tmp_path / 'a.json'}")
    with pytest.raises(EmulatedBoardError, match="is no signal of a sensor"):
        wired_bus(options)


@pytest.mark.parametrize(
    ("sensor", "message"),
    [("adc", "needs a recording"), ("adc+", "needs a recording"), ("adc+no.json", "No such file")],
)
def test_only_what_is_there_can_be_wired(sensor: str, message: str) -> None:
    with pytest.raises(EmulatedBoardError, match=message):
        wired_bus(argparse.Namespace(wiring=None, sensor=sensor))


def test_only_known_sensors_that_have_room_can_be_wired() -> None:
    with pytest.raises(ValueError, match="there is no sensor 'nose'"):
        sensor_signals.wire("nose", Signal(1, ((0,),)), Bus())
    with pytest.raises(ValueError, match="has 5 channels, adc at most 4"):
        sensor_signals.wire("adc", Signal(1, ((0,) * 5,)), Bus())
