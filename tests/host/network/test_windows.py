"""Windows of a stream are those that a board cuts, whatever the gaps, and know their labels."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from madem.network.windows import Windows
from madem_emulator.twin.features import TwinFeatures
from madem_emulator.twin.pipeline import Pipeline


@given(
    st.lists(st.integers(1, 60), min_size=1, max_size=6),
    st.integers(8, 20),
    st.integers(1, 20),
    st.integers(0, 2**31),
)
def test_windows_are_those_of_each_run_by_itself(
    lengths: list[int], window: int, hop: int, seed: int
) -> None:
    pipeline = Pipeline(2, window, min(hop, window), mean=True, energy=True)
    counts = np.random.default_rng(seed).integers(-999, 999, (sum(lengths), 2)).astype(np.int16)
    begins = np.cumsum([0, *lengths[:-1]])
    joins = np.ones(len(counts), bool)
    joins[begins] = False
    windows = Windows(pipeline, counts, joins)

    expected, ends = [], []
    for begin, length in zip(begins.tolist(), lengths, strict=True):
        found = TwinFeatures(pipeline).windows(counts[begin : begin + length])
        expected += found.tolist()
        ends += [begin + window - 1 + k * pipeline.hop for k in range(len(found))]

    twin, features = TwinFeatures(pipeline), []
    for chunk in windows:
        if chunk.restart:
            twin.restart()
        (one,) = twin.windows(chunk.samples)
        features.append(one.tolist())
    assert features == expected
    assert windows.ends.tolist() == ends
    assert len(windows) == len(expected)


def test_a_window_has_a_label_where_all_its_rows_have_that_one() -> None:
    pipeline = Pipeline(1, 8, 4, mean=True)
    windows = Windows(pipeline, np.zeros((20, 1), np.int16), np.arange(20) > 0)
    y = np.array([0] * 10 + [1] * 8 + [-1] * 2)
    assert windows.ends.tolist() == [7, 11, 15, 19]
    assert windows.labels(y).tolist() == [0, -1, -1, -1]
    assert windows.labels(np.ones(20, int)).tolist() == [1, 1, 1, 1]


def test_a_stream_that_is_too_short_has_no_window() -> None:
    windows = Windows(Pipeline(1, 8, 8, mean=True), np.zeros((7, 1), np.int16), np.arange(7) > 0)
    assert len(windows) == 0
    assert windows.labels(np.zeros(7, int)).tolist() == []
