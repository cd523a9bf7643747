"""What the device learns: samples as DAC codes, targets, and reproducible passes over them.

`load_task` gives a `Task`. There are two sorts, with one interface:

- data tasks (`digits`, a user's file): a fixed, stratified split; a pass is the training set in
  a new order;
- word tasks (`braille`, `braille-words`): every pass draws fresh distorted words, and there is
  a test set for each distortion, from a random stream of its own.

Everything drawn depends only on the seed and on what is asked for, never on what was drawn
before: pass 7 is the same whether or not passes 0 to 6 were taken.
"""

import difflib
import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from madem.data import braille
from madem.data.tabular import MAX_CLASSES, MAX_FEATURES, SUFFIXES, read_data_file
from madem.errors import TaskError

DISTORTIONS = (0.10, 0.15, 0.20, 0.25, 0.30, 0.35, 0.40)
"""Distortions at which word tasks are tested: each dot flipped with this probability."""

TRAIN_DISTORTION = (0.25, 0.30)
"""Range of the training samples' distortion. A floating-point perceptron (60-64-60) trained at
0.30 recalls best over all tested distortions; 0.20, 0.10 to 0.40 and 0.20 to 0.40 fall short."""

LABEL_LINES = 4
"""Word lines that carry one word's label: it has to outweigh dots, many of them wrong."""
LABELLED = 0.2
"""Share of the training samples that come with their word's label."""
TEST_DRAWS = 200
SAMPLES_PER_PASS = 450
FULL_SCALE = 255
"""The largest DAC code."""

# Independent random streams of one seed.
_SPLIT, _ORDER, _TRAIN, _TEST, _LABELS = range(5)


@dataclass(frozen=True, eq=False)
class Scaling:
    """The line from a feature's value to its DAC code: low -> 0, high -> 255, clipped outside.

    Attributes:
        low, high: float64 (features,), in the units of the data.
        fitted: True if low and high are the least and greatest of the training set,
            False if they are known beforehand.
    """

    low: NDArray[np.float64]
    high: NDArray[np.float64]
    fitted: bool

    @classmethod
    def fit(cls, x_train: NDArray[np.float64]) -> "Scaling":
        """The scaling that spreads each training feature over all codes."""
        return cls(x_train.min(axis=0), x_train.max(axis=0), fitted=True)

    def codes(self, x: ArrayLike) -> NDArray[np.uint8]:
        """DAC codes of values (samples, features). A feature without range gives 0."""
        span = self.high - self.low
        share = np.clip(np.asarray(x, float) - self.low, 0, span) / np.where(span > 0, span, 1)
        return np.rint(share * FULL_SCALE).astype(np.uint8)

    def clipped(self, x: ArrayLike) -> int:
        """How many of these values lie outside and are clipped."""
        x = np.asarray(x, float)
        return int(np.count_nonzero((x < self.low) | (x > self.high)))


class Batch(NamedTuple):
    """Samples and what should come out.

    Attributes:
        x: DAC codes, uint8 (samples, features).
        target: uint8; classify: class index (samples,); reconstruct: dots 0/1 (samples, outputs).
    """

    x: NDArray[np.uint8]
    target: NDArray[np.uint8]


@dataclass(frozen=True, eq=False)
class Task:
    """Samples to learn and to be tested on. All arrays are read-only.

    Attributes:
        name: as the user gave it, a file without its folder.
        kind: "reconstruct" (the clean pattern) or "classify".
        seed: of the split, the order, and everything drawn.
        n_features, n_outputs: inputs and outputs of the network.
        class_names: of a word task: the words.
        feature_names: one per input.
        x_train, x_test: DAC codes, uint8 (samples, features). Word tasks: the clean words, and
            the test sets of all distortions one after the other, both without labels.
        y_train, y_test: class or word of each sample, int64 (samples,).
        scaling: how codes came from values.
        clipped: values of the test set that the scaling clipped.
        samples_per_pass: length of `train_pass`.
        test_fraction: of a data task, else None.
        patterns: word tasks: the clean dots, uint8 0/1 (words, 60), else None.
        distortion: word tasks: a sample's flip probability in training is drawn evenly from this
            range, else None.
        draws: word tasks: distorted copies of each word in a test set, else None.
        label_lines: inputs that carry one word's label, behind the dots; then every word has an
            output of its own behind the dots, too. 0: words have no labels.
        image_shape: (rows, columns) if a sample is a picture, else None.
    """

    name: str
    kind: Literal["reconstruct", "classify"]
    seed: int
    n_features: int
    n_outputs: int
    class_names: tuple[str, ...]
    feature_names: tuple[str, ...] = field(repr=False)
    x_train: NDArray[np.uint8] = field(repr=False)
    y_train: NDArray[np.int64] = field(repr=False)
    x_test: NDArray[np.uint8] = field(repr=False)
    y_test: NDArray[np.int64] = field(repr=False)
    scaling: Scaling = field(repr=False)
    clipped: int
    samples_per_pass: int
    test_fraction: float | None = None
    patterns: NDArray[np.uint8] | None = field(default=None, repr=False)
    distortion: tuple[float, float] | None = None
    draws: int | None = None
    label_lines: int = 0
    image_shape: tuple[int, int] | None = None

    def __post_init__(self) -> None:
        for array in (self.x_train, self.y_train, self.x_test, self.y_test, self.patterns):
            if array is not None:
                array.setflags(write=False)

    @property
    def feed(self) -> "Task":
        """The task in the form that a learner takes: itself, unless its samples are streams."""
        return self

    @property
    def n_dots(self) -> int:
        """Of a word, the first inputs and, where words are recalled, outputs."""
        assert self.patterns is not None
        return self.patterns.shape[1]

    @property
    def test_distortions(self) -> tuple[float, ...]:
        """The distortions of x_test, in order; empty for a data task."""
        return () if self.patterns is None else DISTORTIONS

    def targets(self, y: NDArray[np.int64]) -> NDArray[np.uint8]:
        """What should come out for these classes or words: see `Batch.target`."""
        if self.kind == "classify":
            return y.astype(np.uint8)
        assert self.patterns is not None
        if not self.label_lines:
            return self.patterns[y]
        return np.hstack([self.patterns, np.eye(len(self.patterns), dtype=np.uint8)])[y]

    def shown(self, dots: NDArray[np.uint8], word: ArrayLike = -1) -> NDArray[np.uint8]:
        """What the network gets to see of words: DAC codes (…, features).

        Args:
            dots: 0/1 (…, 60).
            word: whose label is shown with them, (…) or one for all; -1: none.
        """
        assert self.patterns is not None
        labels = np.asarray(word)[..., None] == np.arange(len(self.patterns))
        lines = np.repeat(labels, self.label_lines, axis=-1)
        lines = np.broadcast_to(lines, (*dots.shape[:-1], lines.shape[-1]))
        return np.concatenate([dots, lines], axis=-1).astype(np.uint8) * np.uint8(FULL_SCALE)

    def train_pass(self, k: int) -> Batch:
        """Pass k = 0, 1, … over the training samples, in a seeded order."""
        if self.patterns is None:
            order = self._random(_ORDER, k).permutation(len(self.x_train))
            return Batch(self.x_train[order], self.targets(self.y_train[order]))
        assert self.distortion is not None
        random = self._random(_TRAIN, k)
        # Every word equally often, also if the words don't divide the pass or outnumber it.
        y = (k * self.samples_per_pass + np.arange(self.samples_per_pass)) % len(self.patterns)
        y = random.permutation(y)
        p = random.uniform(*self.distortion, size=(len(y), 1))
        labelled = self._random(_LABELS, k).random(len(y)) < LABELLED
        dots = self._distorted(y, p, random)
        return Batch(self.shown(dots, np.where(labelled, y, -1)), self.targets(y))

    def test_set(self, p: float, draws: int | None = None) -> Batch:
        """Every word distorted `draws` times (default: the task's) with flip probability p.

        Sample i shows word i % words. A smaller number of draws gives the first samples of a
        larger one.

        Raises:
            TaskError: a data task, or p outside 0 to 0.5, or no draws.
        """
        y = self.test_words(draws)
        if not 0 <= p <= 0.5:
            raise TaskError(f"the distortion must be from 0 to 0.5, not {p}")
        # Keyed by p itself: a test set does not depend on which others are drawn.
        return Batch(
            self.shown(self._distorted(y, p, self._random(_TEST, round(p * 1e6)))),
            self.targets(y),
        )

    def test_words(self, draws: int | None = None) -> NDArray[np.int64]:
        """The word of each sample of `test_set`, int64 (samples,).

        Raises:
            TaskError: a data task, or no draws.
        """
        if self.patterns is None:
            raise TaskError(f"the task {self.name} has no distortions to test at")
        draws = self.draws if draws is None else draws
        if draws is None or draws < 1:
            raise TaskError(f"a test needs at least 1 draw of each word, not {draws}")
        return np.tile(np.arange(len(self.patterns)), draws)

    def describe(self) -> dict[str, object]:
        """What belongs into a report, ready for JSON."""
        facts: dict[str, object] = {
            "kind": self.kind,
            "seed": self.seed,
            "features": self.n_features,
            "outputs": self.n_outputs,
            "classes": list(self.class_names),
            "samples_per_pass": self.samples_per_pass,
            "test_samples": len(self.x_test),
        }
        if self.patterns is None:
            facts["test_fraction"] = self.test_fraction
            facts["scaling"] = {
                "fitted_on": "training set" if self.scaling.fitted else "known range",
                "low": self.scaling.low.tolist(),
                "high": self.scaling.high.tolist(),
                "test_values_clipped": self.clipped,
            }
        else:
            facts["train_distortion"] = self.distortion
            facts["test_distortions"] = list(self.test_distortions)
            facts["draws"] = self.draws
            facts["label_lines"] = self.label_lines
        return facts

    def _random(self, stream: int, index: int) -> np.random.Generator:
        return np.random.default_rng([self.seed, stream, index])

    def _distorted(
        self, y: NDArray[np.int64], p: float | NDArray[np.float64], random: np.random.Generator
    ) -> NDArray[np.uint8]:
        """Dots of the words y, each flipped with probability p (one, or (samples, 1))."""
        assert self.patterns is not None
        flips = random.random((len(y), self.n_dots)) < p
        return self.patterns[y] ^ flips


def distortion_key(p: float) -> str:
    """How a distortion is written as a JSON key: "0.10"."""
    return f"{p:.2f}"


def load_task(
    name_or_path: str | Path,
    *,
    seed: int = 1,
    test_fraction: float = 0.2,
    target: str | int | None = None,
    words: str | Path | Sequence[str] | None = None,
    distortion: float | tuple[float, float] = TRAIN_DISTORTION,
    samples_per_pass: int = SAMPLES_PER_PASS,
    draws: int = TEST_DRAWS,
    pipeline: str | None = None,
    source: str | Path | None = None,
    labels: bool = True,
) -> Task:
    """Make a task: "braille", "braille-words", "digits", "motions", or a .csv or .npz file.

    Args:
        name_or_path: a task's name or a data file.
        seed: of everything random.
        test_fraction: of the samples of a data task that are kept for the test.
        target: a data file's label column or array; see `datafile.read_data_file`.
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
    if words is not None and name not in _WORD_TASKS:
        raise TaskError(f"other words can only be given for {' and '.join(_WORD_TASKS)}")

    if name in _WORD_TASKS:
        return _word_task(name, seed, words, distortion, samples_per_pass, draws, labels)
    if not 0 < test_fraction < 1:
        raise TaskError(f"the test fraction must be between 0 and 1, not {test_fraction}")
    if name == "digits":
        return _digits(seed, test_fraction)
    data = read_data_file(Path(name), target)
    return _data_task(
        Path(name).name,
        data.x,
        data.y,
        data.class_names,
        data.feature_names,
        seed=seed,
        test_fraction=test_fraction,
    )


def split(
    y: NDArray[np.int64], test_fraction: float, seed: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Indices of the training and of the test samples, in ascending order.

    Stratified: each class gives its share to the test set, to the nearest sample that lets the
    sum come out right, and keeps at least one sample on either side.

    Args:
        y: class of each sample, (samples,), each class at least twice.
        test_fraction: between 0 and 1; the test set is rounded up.
        seed: the same seed gives the same split.
    """
    counts = np.bincount(y)
    share = counts * test_fraction
    quota = np.floor(share + 1e-9).astype(np.int64)
    missing = math.ceil(share.sum() - 1e-9) - quota.sum()
    quota[np.argsort(quota - share, kind="stable")[:missing]] += 1
    quota = np.clip(quota, 1, counts - 1)

    random = np.random.default_rng([seed, _SPLIT])
    test = np.zeros(len(y), bool)
    for label, size in enumerate(quota):
        test[random.permutation(np.flatnonzero(y == label))[:size]] = True
    return np.flatnonzero(~test), np.flatnonzero(test)


_WORD_TASKS = ("braille", "braille-words")
_TASKS = (*_WORD_TASKS, "digits", "motions")


def _unknown(name: str) -> str:
    known = f"{', '.join(_TASKS)}, or a file ending in {' or '.join(SUFFIXES)}"
    if Path(name).exists():
        return f"can't learn from {name}: a task is one of {known}"
    close = difflib.get_close_matches(name, _TASKS, 1)
    hint = f"did you mean {close[0]}? " if close else ""
    return f"unknown task {name!r}: {hint}known are {known}"


def _word_task(
    name: str,
    seed: int,
    words: str | Path | Sequence[str] | None,
    distortion: float | tuple[float, float],
    samples_per_pass: int,
    draws: int,
    labels: bool,
) -> Task:
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
        scaling=Scaling(np.zeros(n_features), np.ones(n_features), fitted=False),
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


def _digits(seed: int, test_fraction: float) -> Task:
    # Slow to import, and only needed here.
    from sklearn.datasets import load_digits

    x, y = (np.asarray(part) for part in load_digits(return_X_y=True))
    return _data_task(
        "digits",
        x,
        y.astype(np.int64),
        tuple(str(digit) for digit in range(10)),
        tuple(f"pixel {row} {column}" for row in range(8) for column in range(8)),
        seed=seed,
        test_fraction=test_fraction,
        # All pixels share one range, and some are never lit.
        scaling=Scaling(np.zeros(64), np.full(64, 16.0), fitted=False),
        image_shape=(8, 8),
    )


def _motions(
    seed: int,
    test_fraction: float,
    target: str | int | None,
    pipeline: str | None,
    source: str | Path | None,
) -> Task:
    # It builds on this module.
    from madem.data import motions

    if source is not None:
        return motions.load_source(Path(source), pipeline, target, seed, test_fraction)
    if target is not None:
        raise TaskError("a target column can only be chosen for a --source, not for motions")
    return motions.load(seed, pipeline)


def _data_task(
    name: str,
    x: NDArray[np.float64],
    y: NDArray[np.int64],
    class_names: tuple[str, ...],
    feature_names: tuple[str, ...],
    *,
    seed: int,
    test_fraction: float,
    scaling: Scaling | None = None,
    image_shape: tuple[int, int] | None = None,
) -> Task:
    train, test = split(y, test_fraction, seed)
    scaling = scaling or Scaling.fit(x[train])
    return Task(
        name=name,
        kind="classify",
        seed=seed,
        n_features=x.shape[1],
        n_outputs=len(class_names),
        class_names=class_names,
        feature_names=feature_names,
        x_train=scaling.codes(x[train]),
        y_train=y[train],
        x_test=scaling.codes(x[test]),
        y_test=y[test],
        scaling=scaling,
        clipped=scaling.clipped(x[test]),
        samples_per_pass=len(train),
        test_fraction=test_fraction,
        image_shape=image_shape,
    )
