"""The firmware's features and the twin's are the same bits: docs/reference/features.md, twice."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from madem_emulator.boards.prepared import find_unix32
from madem_emulator.boards.unix_interpreter import find_micropython
from madem_emulator.twin.features import TwinFeatures
from madem_emulator.twin.pipeline import Pipeline

_ROOT = Path(__file__).parents[2]
_DEVICE = Path(__file__).parent / "device"


@pytest.fixture(
    scope="module",
    params=[
        pytest.param(find_micropython, marks=pytest.mark.needs("unix"), id="64 bits"),
        pytest.param(find_unix32, marks=pytest.mark.needs("unix32"), id="32 bits"),
    ],
)
def device(request: pytest.FixtureRequest) -> Iterator["subprocess.Popen[str]"]:
    process = subprocess.Popen(
        [request.param(), "-X", "heapsize=8M", str(_DEVICE / "stream_features_server.py")],
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
def pipelines(draw: st.DrawFn) -> Pipeline:
    window = draw(st.one_of(st.sampled_from([8, 16, 32, 64, 128, 256]), st.integers(8, 256)))
    longest = min(64, 1 << (window.bit_length() - 1))
    bands = draw(st.integers(0, longest // 2)) if window >= 16 else 0
    flags = draw(st.lists(st.booleans(), min_size=4, max_size=4))
    mean, energy, zero, minmax = flags if any(flags) or bands else (True, *flags[1:])
    return Pipeline(
        channels=draw(st.integers(1, 3)),
        window=window,
        hop=draw(st.integers(max(1, window // 4), window)),
        mean=mean,
        energy=energy,
        zero=zero,
        minmax=minmax,
        bands=bands,
        norm=draw(st.integers(0, 12)),
    )


def signal(pipeline: Pipeline, kind: str, seed: int) -> np.ndarray:
    """A few windows of samples, int64 (n, channels)."""
    random = np.random.default_rng(seed)
    shape = (pipeline.window + 4 * pipeline.hop + 1, pipeline.channels)
    if kind == "constant":
        return np.full(shape, random.integers(-32768, 32768))
    if kind == "rails":
        return random.choice([-32768, 32767], shape)
    if kind == "one spike":
        x = np.full(shape, -32768)
        x[random.integers(len(x))] = 32767
        return x
    if kind == "tone":
        t = np.arange(shape[0])[:, None]
        return np.rint(
            random.integers(1, 32767) * np.sin(t * random.uniform(0, np.pi, shape[1]))
        ).astype(int)
    amplitude = 2 ** int(random.integers(0, 16))
    return np.clip(random.integers(-amplitude, amplitude + 1, shape), -32768, 32767)


def run(
    device: "subprocess.Popen[str]", pipeline: Pipeline, follow: bool, samples: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Inputs of each window and the state, as the firmware has them."""
    p = pipeline
    flags = p.mean + 2 * p.energy + 4 * p.zero + 8 * p.minmax
    head = [p.channels, p.window, p.hop, flags, p.bands, p.norm, int(follow)]
    assert device.stdin is not None
    assert device.stdout is not None
    data = samples.astype("<i2").tobytes().hex()
    print(*head, data, file=device.stdin, flush=True)
    windows, _, state = device.stdout.readline().strip().rpartition(" ")
    rows = [np.frombuffer(bytes.fromhex(row), np.uint8) for row in windows.split(",")]
    return np.array(rows), np.frombuffer(bytes.fromhex(state), "<u4").astype(np.int64)


@settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    pipeline=pipelines(),
    kind=st.sampled_from(["noise", "tone", "rails", "one spike", "constant"]),
    follow=st.booleans(),
    seed=st.integers(0, 2**20),
)
def test_features_are_those_of_the_twin(
    device: "subprocess.Popen[str]", pipeline: Pipeline, kind: str, follow: bool, seed: int
) -> None:
    samples = signal(pipeline, kind, seed)
    twin = TwinFeatures(pipeline)
    expected = twin.codes(twin.windows(samples), follow)

    codes, state = run(device, pipeline, follow, samples)

    assert len(expected) == 5
    assert np.array_equal(codes, expected)
    assert state[0] == twin.seen == (5 if follow else 0)
    assert np.array_equal(state[1::2] - (1 << 22), twin.centre)
    assert np.array_equal(state[2::2], twin.spread)
