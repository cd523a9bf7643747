"""`madem bench emulator`: what it measures, and what of it holds on any machine."""

import json
from pathlib import Path

import pytest

from madem.cli import main


@pytest.mark.slow
def test_bench_emulator(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    report = tmp_path / "r.json"
    assert main(["bench", "emulator", "--json", str(report)]) == 0
    assert "64×64 wires: first read" in capsys.readouterr().out
    found = json.loads(report.read_text())
    seconds = found["seconds"]
    # One normal number per line is cheaper than one per device.
    assert seconds["read"] < seconds["plain_numpy_read"]
    assert seconds["read_64"] < 64 * seconds["read"]
    for lines in (64, 128):
        wires = {k: seconds[f"wires_{lines}_{k}"] for k in ("superlu", "first", "later", "updated")}
        assert wires["first"] < wires["superlu"]
        assert wires["updated"] < wires["first"]
        assert wires["later"] < wires["first"] / 50
    assert set(found["samples_per_second"]) == {"64-32-10", "784-512-10"}
    assert all(rate > 0 for rate in found["samples_per_second"].values())
