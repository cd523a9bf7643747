"""Tasks by name: the built-in ones, and those made from a user's file."""

import difflib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from madem.data import motions, word_task
from madem.data.digits import digits_task
from madem.data.files.judge import ReadOptions
from madem.data.files.read import KINDS, is_source, read
from madem.data.labelled import labelled_task
from madem.data.match import Taught, matched, of_samples, read_test, with_test
from madem.data.tabular import array_task, table_task
from madem.data.task import Task
from madem.errors import TaskError

TEST_FRACTION = 0.2
"""Of the samples that are kept for the test, where a task has no test set of its own."""
TASKS = (*word_task.NAMES, "digits", "motions")
"""Names of the tasks that are built in."""


def load_task(
    name_or_path: str | Path | Sequence[str | Path] | tuple[Any, Any],
    *,
    seed: int = 1,
    test_fraction: float | None = None,
    options: ReadOptions | None = None,
    words: str | Path | Sequence[str] | None = None,
    distortion: float | tuple[float, float] = word_task.TRAIN_DISTORTION,
    samples_per_pass: int = word_task.SAMPLES_PER_PASS,
    draws: int = word_task.TEST_DRAWS,
    pipeline: str | None = None,
    source: str | Path | None = None,
    labels: bool = True,
    test: str | Path | None = None,
    taught: Taught | None = None,
) -> Task:
    """Make a task: "braille", "braille-words", "digits", "motions", or one's own data.

    Args:
        name_or_path: a task's name, or a file or folder of samples, or several; see
            docs/guide/data.md. A pair is samples (samples, features), an array or a data frame, and
            their labels (samples,).
        seed: of everything random.
        test_fraction: digits and one's own data: of the samples that are kept for the test; None:
            `TEST_FRACTION`. The other tasks have test sets of their own.
        options: one's own data: what is not to be judged.
        words: word tasks: a file with one word a line, or the words.
        distortion: word tasks, training: probability of a dot to be flipped, or a range from
            which it is drawn for each sample.
        samples_per_pass: word tasks: samples in a pass.
        draws: word tasks: distorted copies of each word in a test set.
        pipeline: motions, one's own data: what the board computes from samples that follow one
            another in time; see docs/reference/features.md.
        source: motions: a labelled stream in place of the task's own.
        labels: braille: words have labels beside their dots, see `Task.label_lines`.
        test: one's own data: a file or folder of samples for the test; none of the others are then
            kept for it.
        taught: one's own data: what a network was taught with before. Columns and classes are
            matched by their names, and its scale is used; nothing is fitted.

    Returns:
        The task.

    Raises:
        TaskError: anything that can't be used, in one line.
    """
    if seed < 0:
        raise TaskError(f"the seed must be 0 or more, not {seed}")
    if isinstance(name_or_path, tuple) and len(name_or_path) == 2:
        x, y = name_or_path
        if not isinstance(x, str | Path):
            not_for_arrays = {
                "options": options not in (None, ReadOptions()),
                "words": words is not None,
                "pipeline": pipeline is not None,
                "source": source is not None,
                "test": test is not None,
                "taught": taught is not None,
            }
            for option, given in not_for_arrays.items():
                if given:
                    raise TaskError(f"{option} can't be used with arrays")
            return array_task(x, y, seed=seed, test_fraction=_checked(test_fraction))
    several = not isinstance(name_or_path, str | Path)
    name = "several files" if several else str(name_or_path)
    own = source if name == "motions" else None if name in TASKS else name_or_path
    if source is not None and name != "motions":
        raise TaskError(f"a source is for the task motions, not for {name}")
    if words is not None and name not in word_task.NAMES:
        raise TaskError(f"other words can only be given for {' and '.join(word_task.NAMES)}")
    if own is not None and not several and source is None and not is_source(name):
        raise TaskError(_unknown(name))
    if test_fraction is not None and own is None and name != "digits":
        raise TaskError(f"{name} can't be split: it has a test set of its own")
    test_fraction = _checked(test_fraction)
    if own is not None:
        if source is not None and pipeline is None:
            pipeline = motions.PIPELINE
        return _own(own, seed, test_fraction, options, pipeline, test, taught)
    if test is not None:
        raise TaskError(f"{name} has a test set of its own: leave --test out")
    if options not in (None, ReadOptions()):
        raise TaskError(f"how a file is read can only be chosen for one's own, not for {name}")
    if name == "motions":
        return motions.load(seed, pipeline)
    if pipeline is not None:
        raise TaskError(f"a pipeline is for streams, not for {name}")
    if name in word_task.NAMES:
        return word_task.word_task(name, seed, words, distortion, samples_per_pass, draws, labels)
    return digits_task(seed, test_fraction)


def _checked(test_fraction: float | None) -> float:
    if test_fraction is None:
        return TEST_FRACTION
    if not 0 < test_fraction < 1:
        raise TaskError(f"the test fraction must be between 0 and 1, not {test_fraction}")
    return test_fraction


def _unknown(name: str) -> str:
    known = f"{', '.join(TASKS)}, or {KINDS}"
    if Path(name).exists():
        return f"can't learn from {name}: a task is one of {known}"
    close = difflib.get_close_matches(name, TASKS, 1)
    hint = f"did you mean {close[0]}? " if close else ""
    return f"unknown task {name!r}: {hint}known are {known}"


def _own(
    source: str | Path | Sequence[str | Path],
    seed: int,
    test_fraction: float,
    options: ReadOptions | None,
    pipeline: str | None,
    test: str | Path | None,
    taught: Taught | None,
) -> Task:
    """A task of the user's own samples.

    It is of a stream if there is a pipeline or they are judged to be one, else of a table.
    """
    series = True if pipeline else None
    if taught is None:
        samples = read(source, options, learn=True, series=series)
    else:
        series = taught.scale is not None
        samples = read(source, options, learn=True, series=series, known=taught.known)
        samples = matched(samples, taught)
    if test is not None:
        asked = taught or of_samples(samples)
        samples = with_test(samples, read_test(test, options, asked, samples.judgement.series))
    name = Path(samples.table.name).name
    scaling, scale = (taught.scaling, taught.scale) if taught else (None, None)
    if not samples.judgement.series:
        return table_task(name, samples, seed=seed, test_fraction=test_fraction, scaling=scaling)
    line = pipeline or motions.PIPELINE
    return labelled_task(name, samples, line, seed=seed, test_fraction=test_fraction, scale=scale)
