"""Tasks of users' streams: where segments end, and what is kept for the test."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from madem.data.files.read import read
from madem.data.labelled import runs
from madem.data.registry import load_task
from madem.data.stream_task import LabelledRun, StreamTask, StreamWindows
from madem.errors import TaskError
from madem_emulator.twin.features import TwinFeatures
from madem_emulator.twin.pipeline import Pipeline

LINE = "window=8 hop=4 | mean energy | norm:4"
G = np.random.default_rng(1)


def rows(n: int, swing: float, label: str | None = None) -> list[str]:
    tail = "" if label is None else f",{label}"
    return [f"{a:.3f},{b:.3f}{tail}" for a, b in swing * G.normal(size=(n, 2))]


def task_of(path: Path, **options) -> StreamTask:
    task = load_task(path, pipeline=LINE, **options)
    assert isinstance(task, StreamTask)
    return task


def lengths(task: StreamTask) -> tuple[list[int], list[int]]:
    found = [len(segment.samples) for segment in task.segments]
    return found[: task.training], found[task.training :]


def test_no_segment_spans_a_gap_a_change_of_label_or_a_recording(tmp_path: Path) -> None:
    parts = [rows(40, 1, "a"), ["nan,1,a"], rows(40, 1, "a"), rows(80, 3, "b"), ["torn"],
             rows(40, 3, "b"), [""], rows(40, 1, "a")]  # fmt: skip
    path = tmp_path / "own.csv"
    path.write_text("\n".join(["x,y,label", *(row for part in parts for row in part)]))
    assert lengths(task_of(path)) == ([32, 32, 64, 32, 32], [8, 8, 16, 8, 8])


def test_time_cuts_segments_where_samples_are_missing(tmp_path: Path) -> None:
    times = [*range(0, 800, 10), *range(900, 1700, 10)]
    lines = [f"{t},{row}" for t, row in zip(times, rows(160, 1, "a"), strict=True)]
    lines += [f"{t},{row}" for t, row in zip(range(1700, 2500, 10), rows(80, 3, "b"), strict=True)]
    path = tmp_path / "own.csv"
    path.write_text("\n".join(["ms,x,y,label", *lines]))
    path.write_text(path.read_text().replace("ms,", "time (ms),", 1))
    task = load_task(path, pipeline=LINE)
    assert isinstance(task, StreamTask)
    assert lengths(task) == ([64, 64, 64], [16, 16, 16])
    assert task.rate_hz == pytest.approx(100)
    assert task.channel_names == ("x", "y")


def test_whole_recordings_are_held_out_where_classes_have_several(tmp_path: Path) -> None:
    for name, swing in (("punch", 3.0), ("flex", 1.0)):
        blocks = "\n\n".join("\n".join(rows(20, swing)) for _ in range(10))
        (tmp_path / f"{name}.csv").write_text(f"x,y\n{blocks}\n")
    task = task_of(tmp_path)
    assert task.class_names == ("flex", "punch")
    assert lengths(task) == ([20] * 16, [20] * 4)
    assert [s.label for s in task.segments[16:]] == [0, 0, 1, 1]
    assert task.reading is not None
    assert task.reading.test == "4 whole recordings, drawn"
    # Without a pipeline it is judged to be a stream, for which these recordings are too short.
    with pytest.raises(TaskError, match="class flex has no training window of 40 samples"):
        load_task(tmp_path)


def test_windows_of_an_array_are_recordings(tmp_path: Path) -> None:
    path = tmp_path / "windows.npz"
    np.savez(path, X=G.normal(size=(20, 40, 3)), y=np.arange(20) % 2, groups=np.arange(20) // 4)
    task = load_task(path)
    assert isinstance(task, StreamTask)
    assert lengths(task) == ([40] * 16, [40] * 4)
    assert task.reading is not None
    assert task.reading.test == "1 whole groups, drawn"


def test_a_stream_that_says_nothing_is_a_table_until_it_gets_a_pipeline(tmp_path: Path) -> None:
    path = tmp_path / "own.csv"
    path.write_text("\n".join(["x,y,label", *rows(80, 1, "a"), *rows(80, 3, "b")]))
    assert load_task(path).n_features == 2
    assert lengths(task_of(path)) == ([64, 64], [16, 16])


def test_a_window_has_a_label_where_all_its_rows_have_that_one() -> None:
    pipeline = Pipeline(1, 8, 4, mean=True)
    y = np.array([0] * 10 + [1] * 8 + [-1] * 2)
    run = LabelledRun(np.zeros((20, 1), np.int16), y, begin=100)
    assert run.window_ends(pipeline).tolist() == [107, 111, 115, 119]
    assert run.window_labels(pipeline).tolist() == [0, -1, -1, -1]
    of_one = run._replace(labels=np.ones(20, np.int64))
    assert of_one.window_labels(pipeline).tolist() == [1, 1, 1, 1]


def test_a_run_that_is_too_short_has_no_window() -> None:
    run = LabelledRun(np.zeros((7, 1), np.int16), np.zeros(7, np.int64), begin=3)
    pipeline = Pipeline(1, 8, 8, mean=True)
    assert run.window_ends(pipeline).tolist() == []
    assert run.window_labels(pipeline).tolist() == []


@given(
    st.lists(st.integers(1, 60), min_size=1, max_size=6),
    st.integers(8, 20),
    st.integers(1, 20),
    st.integers(0, 2**31),
)
def test_windows_of_runs_are_those_of_each_run_by_itself(
    parts: list[int], window: int, hop: int, seed: int
) -> None:
    pipeline = Pipeline(2, window, min(hop, window), mean=True, energy=True)
    counts = np.random.default_rng(seed).integers(-999, 999, (sum(parts), 2)).astype(np.int16)
    begins = np.cumsum([0, *parts[:-1]]).tolist()
    own = [
        LabelledRun(counts[begin : begin + n], np.zeros(n, np.int64), begin)
        for begin, n in zip(begins, parts, strict=True)
    ]
    expected = [TwinFeatures(pipeline).windows(run.samples).tolist() for run in own]
    twin, found = TwinFeatures(pipeline), []
    for chunk in StreamWindows(pipeline, [run.samples for run in own]):
        if chunk.restart:
            twin.restart()
        (one,) = twin.windows(chunk.samples)
        found.append(one.tolist())
    assert found == [features for run in expected for features in run]
    ends = [run.window_ends(pipeline).tolist() for run in own]
    assert ends == [
        [begin + window - 1 + k * pipeline.hop for k in range(len(run))]
        for begin, run in zip(begins, expected, strict=True)
    ]


def test_runs_end_where_a_row_is_missing_or_left_out_and_go_on_where_a_label_changes(
    tmp_path: Path,
) -> None:
    path = tmp_path / "own.csv"
    lines = [*rows(10, 1, "a"), *rows(10, 3, "b"), "nan,1,b", *rows(12, 3, "b")]
    path.write_text("\n".join(["x,y,label", *lines]))
    samples = read(path, learn=True, series=True)
    taken = np.arange(33) != 28
    found = runs(samples, taken, np.array([0.001, 0.001]))
    assert [(run.begin, len(run.samples)) for run in found] == [(0, 20), (21, 7), (29, 4)]
    assert found[0].labels.tolist() == [0] * 10 + [1] * 10
    cells = np.array([[float(c) for c in line.split(",")[:2]] for line in lines[21:28]])
    assert np.array_equal(found[1].samples, np.rint(cells * 1000))


def test_a_group_is_on_one_side_of_the_split(tmp_path: Path) -> None:
    """Each recording's level is its own, so that its rows are told by their values."""
    path = tmp_path / "own.npz"
    group = np.repeat(np.arange(8), 40)
    x = np.column_stack([100.0 * group, G.normal(size=320)]) + G.uniform(0, 1, (320, 1))
    np.savez(path, X=x, y=np.arange(320) % 2, groups=group)
    task = load_task(path)
    assert task.values is not None
    sides = [set((part[:, 0] // 100).astype(int).tolist()) for part in task.values]
    assert sides[0] | sides[1] == set(range(8))
    assert not sides[0] & sides[1]
    assert len(sides[1]) == 2
