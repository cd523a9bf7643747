"""Learning with chosen is the same bits on the device and in the twin: docs/guide/online.md,
twice.
"""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from madem.learners.board import pack_config
from madem_emulator.boards.prepared import find_unix32
from madem_emulator.boards.unix_interpreter import find_micropython
from madem_emulator.twin.config import Settings
from madem_emulator.twin.gated import GateSettings, UpdateGate
from madem_emulator.twin.twin import Twin

_ROOT = Path(__file__).parents[2]
_DEVICE = Path(__file__).parent / "device"
_MORE_STUCK = 9000


@pytest.fixture(
    scope="module",
    params=[
        pytest.param(find_micropython, marks=pytest.mark.needs("unix"), id="64 bits"),
        pytest.param(find_unix32, marks=pytest.mark.needs("unix32"), id="32 bits"),
    ],
)
def device(request: pytest.FixtureRequest) -> Iterator["subprocess.Popen[str]"]:
    process = subprocess.Popen(
        [request.param(), "-X", "heapsize=8M", str(_DEVICE / "stream_gate_server.py")],
        env=os.environ | {"MICROPYPATH": f"{_ROOT / 'firmware'}:.frozen"},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with process:
        yield process
        assert process.stdin is not None
        process.stdin.close()
        assert process.wait(120) == 0


@st.composite
def gate_settings(draw: st.DrawFn) -> GateSettings:
    return GateSettings(
        gate=draw(st.one_of(st.just(256), st.integers(0, 120))),
        at_most=draw(st.one_of(st.just(100), st.integers(0, 100))),
        fade=draw(st.integers(1, 6)),
        drop=draw(st.one_of(st.just(0), st.integers(1, 20000))),
        every=draw(st.integers(1, 30)),
    )


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    chosen=gate_settings(),
    seed=st.integers(1, 2**32 - 1),
    pulses=st.integers(1, 3),
    stuck_at=st.integers(0, 90),
    wrong=st.integers(0, 60),
)
def test_device_and_twin_agree(
    device: "subprocess.Popen[str]",
    chosen: GateSettings,
    seed: int,
    pulses: int,
    stuck_at: int,
    wrong: int,
) -> None:
    """Three blobs of windows, whose labels are all wrong for a while."""
    config = Settings(sizes=(6, 5, 3), one_hot=True, seed=seed).integers()
    random = np.random.default_rng(seed)
    labels = random.integers(0, 3, 80)
    x = np.where(np.arange(6) // 2 == labels[:, None], 200, 20) + random.integers(0, 50, (80, 6))
    labels[wrong : wrong + 15] = (labels[wrong : wrong + 15] + 1) % 3
    windows = np.column_stack([x, labels]).astype(np.uint8)

    twin = Twin(config)
    gate = UpdateGate(twin, chosen)
    expected: list[int] = []
    for number, window in enumerate(windows):
        if number == stuck_at:
            twin.add_stuck(_MORE_STUCK)
        found = gate.learn(6000, window[:-1], int(window[-1]), pulses)
        flags = (
            int(found.answer[0] == window[-1])
            + 2 * found.learned
            + 4 * found.checkpointed
            + 8 * found.rolled_back
        )
        expected += [int(found.answer[0]), int(found.margin[0]), int(flags[0])]
    counts = (
        gate.learned,
        gate.checkpoint_at,
        gate.accuracy,
        gate.checkpoint_accuracy,
        gate.rollbacks,
    )
    expected += [twin.steps, *(int(count[0]) for count in counts)]
    weights = b"".join(part[0].tobytes() for part in (*twin.devices, *twin.accumulators))

    c = chosen
    settings = (c.gate, c.at_most, c.fade, c.drop, c.every, 6000, pulses, stuck_at)
    line = " ".join([pack_config(config).hex(), *map(str, settings), windows.tobytes().hex()])
    assert device.stdin is not None
    assert device.stdout is not None
    device.stdin.write(line + "\n")
    device.stdin.flush()
    *numbers, memory = device.stdout.readline().split()
    assert list(map(int, numbers)) == expected
    assert memory == weights.hex()
