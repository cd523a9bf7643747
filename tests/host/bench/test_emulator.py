"""`madem bench emulator`: what it measures."""

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
    assert {"read", "plain_numpy_read", "read_64"} <= set(seconds)
    for lines in (64, 128):
        wires = {f"wires_{lines}_{k}" for k in ("superlu", "first", "later", "updated")}
        assert wires <= set(seconds)
    assert min(seconds.values()) > 0
    assert set(found["samples_per_second"]) == {"64-32-10", "784-512-10"}
    assert all(rate > 0 for rate in found["samples_per_second"].values())
