"""Tasks by name: the built-in ones, and those made from a user's file."""

import difflib
from collections.abc import Sequence
from pathlib import Path

from madem.data import motions, word_task
from madem.data.digits import digits_task
from madem.data.tabular import SUFFIXES, read_data_file
from madem.data.task import Task, data_task
from madem.errors import TaskError

_TASKS = (*word_task.NAMES, "digits", "motions")


def load_task(
    name_or_path: str | Path,
    *,
    seed: int = 1,
    test_fraction: float = 0.2,
    target: str | int | None = None,
    words: str | Path | Sequence[str] | None = None,
    distortion: float | tuple[float, float] = word_task.TRAIN_DISTORTION,
    samples_per_pass: int = word_task.SAMPLES_PER_PASS,
    draws: int = word_task.TEST_DRAWS,
    pipeline: str | None = None,
    source: str | Path | None = None,
    labels: bool = True,
) -> Task:
    """Make a task: "braille", "braille-words", "digits", "motions", or a .csv or .npz file.

    Args:
        name_or_path: a task's name or a data file.
        seed: of everything random.
        test_fraction: of the samples of a data task that are kept for the test.
        target: a data file's label column or array; see `tabular.read_data_file`.
        words: word tasks: a file with one word a line, or the words.
        distortion: word tasks, training: probability of a dot to be flipped, or a range from
            which it is drawn for each sample.
        samples_per_pass: word tasks: samples in a pass.
        draws: word tasks: distorted copies of each word in a test set.
        pipeline: motions: what the board computes from the samples; see docs/reference/features.md.
        source: motions: a labelled recording in place of the task's own.
        labels: braille: words have labels beside their dots, see `Task.label_lines`.

    Raises:
        TaskError: anything that can't be used, in one line.
    """
    if seed < 0:
        raise TaskError(f"the seed must be 0 or more, not {seed}")
    name = str(name_or_path)
    is_file = Path(name).suffix.lower() in SUFFIXES
    if not is_file and name not in _TASKS:
        raise TaskError(_unknown(name))
    if name == "motions":
        return _motions(seed, test_fraction, target, pipeline, source)
    if pipeline is not None or source is not None:
        raise TaskError(f"a pipeline and a source are for the task motions, not for {name}")
    if target is not None and not is_file:
        raise TaskError(f"a target column can only be chosen for a data file, not for {name}")
    if words is not None and name not in word_task.NAMES:
        raise TaskError(f"other words can only be given for {' and '.join(word_task.NAMES)}")

    if name in word_task.NAMES:
        return word_task.word_task(name, seed, words, distortion, samples_per_pass, draws, labels)
    if not 0 < test_fraction < 1:
        raise TaskError(f"the test fraction must be between 0 and 1, not {test_fraction}")
    if name == "digits":
        return digits_task(seed, test_fraction)
    data = read_data_file(Path(name), target)
    return data_task(
        Path(name).name,
        data.x,
        data.y,
        data.class_names,
        data.feature_names,
        seed=seed,
        test_fraction=test_fraction,
    )


def _unknown(name: str) -> str:
    known = f"{', '.join(_TASKS)}, or a file ending in {' or '.join(SUFFIXES)}"
    if Path(name).exists():
        return f"can't learn from {name}: a task is one of {known}"
    close = difflib.get_close_matches(name, _TASKS, 1)
    hint = f"did you mean {close[0]}? " if close else ""
    return f"unknown task {name!r}: {hint}known are {known}"


def _motions(
    seed: int,
    test_fraction: float,
    target: str | int | None,
    pipeline: str | None,
    source: str | Path | None,
) -> Task:
    if source is not None:
        return motions.load_source(Path(source), pipeline, target, seed, test_fraction)
    if target is not None:
        raise TaskError("a target column can only be chosen for a --source, not for motions")
    return motions.load(seed, pipeline)
