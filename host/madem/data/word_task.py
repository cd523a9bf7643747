"""The tasks `braille` and `braille-words`: recall or name a word whose dots are distorted."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from madem.data import braille
from madem.data.scaling import Scaling
from madem.data.tabular import MAX_CLASSES, MAX_FEATURES
from madem.data.task import DISTORTIONS, Task
from madem.errors import TaskError

NAMES = ("braille", "braille-words")
TRAIN_DISTORTION = (0.25, 0.30)
"""Range of the training samples' distortion. A floating-point perceptron (60-64-60) trained at
0.30 recalls best over all tested distortions; 0.20, 0.10 to 0.40 and 0.20 to 0.40 fall short."""

LABEL_LINES = 4
"""Word lines that carry one word's label: it has to outweigh dots, many of them wrong."""
TEST_DRAWS = 200
SAMPLES_PER_PASS = 450


def word_task(
    name: str,
    seed: int,
    words: str | Path | Sequence[str] | None,
    distortion: float | tuple[float, float],
    samples_per_pass: int,
    draws: int,
    labels: bool,
) -> Task:
    """Make the task of one of `NAMES`.

    Args:
        name: one of `NAMES`.
        seed: of everything random.
        words: as for `registry.load_task`.
        distortion: as for `registry.load_task`.
        samples_per_pass: samples in a pass.
        draws: distorted copies of each word in a test set.
        labels: words have labels beside their dots, where they are recalled.

    Returns:
        The task.

    Raises:
        TaskError: words or numbers that can't be used.
    """
    if words is None:
        words = braille.WORDS
    elif isinstance(words, str | Path):
        words = braille.read_words(Path(words))
    else:
        words = braille.check_words(words)
    classify = name == "braille-words"
    if classify and len(words) > MAX_CLASSES:
        raise TaskError(f"{len(words)} words; at most {MAX_CLASSES} can be told apart")
    label_lines = 0 if classify or not labels else LABEL_LINES
    most = (MAX_FEATURES - braille.DOTS) // LABEL_LINES
    if label_lines and len(words) > most:
        raise TaskError(f"{len(words)} words; at most {most} can be recalled")
    low, high = distortion if isinstance(distortion, tuple) else (distortion, distortion)
    if not 0 <= low <= high <= 0.5:
        raise TaskError(f"the training distortion must be from 0 to 0.5, not {distortion}")
    if samples_per_pass < 1:
        raise TaskError(f"a pass needs at least 1 sample, not {samples_per_pass}")

    patterns = np.array([braille.encode(word) for word in words])
    n_features = braille.DOTS + label_lines * len(words)
    dots_out = 0 if classify else braille.DOTS
    words_out = len(words) if classify or label_lines else 0
    # The test sets are drawn by the task itself, so the task is made in two steps.
    task = Task(
        name=name,
        kind="classify" if classify else "reconstruct",
        seed=seed,
        n_features=n_features,
        n_outputs=dots_out + words_out,
        class_names=words,
        feature_names=(
            *(
                f"cell {cell} dot {dot}"
                for cell in range(1, braille.CELLS + 1)
                for dot in range(1, braille.DOTS_PER_CELL + 1)
            ),
            *(f"label {word} line {line}" for word in words for line in range(1, label_lines + 1)),
        ),
        x_train=np.empty((0, n_features), np.uint8),
        y_train=np.arange(len(words)),
        x_test=np.empty((0, n_features), np.uint8),
        y_test=np.empty(0, np.int64),
        scaling=Scaling.between(np.zeros(n_features), np.ones(n_features)),
        clipped=0,
        samples_per_pass=samples_per_pass,
        patterns=patterns,
        distortion=(low, high),
        draws=draws,
        label_lines=label_lines,
    )
    return replace(
        task,
        x_train=task.shown(patterns),
        x_test=np.concatenate([task.test_set(p).x for p in DISTORTIONS]),
        y_test=np.tile(task.test_words(), len(DISTORTIONS)),
    )
