"""Tasks of users' streams: where segments end, and what is kept for the test."""

from pathlib import Path

import numpy as np
import pytest

from madem.data.registry import load_task
from madem.data.stream_task import StreamTask
from madem.errors import TaskError

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
