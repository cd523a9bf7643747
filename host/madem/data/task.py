"""What the device learns: samples as DAC codes, targets, and reproducible passes over them.

There are two sorts, with one interface (registry.py makes them by name):

- data tasks (`digits`, a user's file): a fixed, stratified split; a pass is the training set in
  a new order;
- word tasks (`braille`, `braille-words`): every pass draws fresh distorted words, and there is
  a test set for each distortion, from a random stream of its own.

Everything drawn depends only on the seed and on what is asked for, never on what was drawn
before: pass 7 is the same whether or not passes 0 to 6 were taken.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from madem.data.files.judge import Judgement
from madem.data.scaling import FULL_SCALE, Scaling
from madem.data.split import Parts, split
from madem.errors import TaskError

DISTORTIONS = (0.10, 0.15, 0.20, 0.25, 0.30, 0.35, 0.40)
"""Distortions at which word tasks are tested: each dot flipped with this probability."""

LABELLED = 0.2
"""Share of the training samples that come with their word's label."""

# Independent random streams of one seed.
_ORDER, _TRAIN, _TEST, _LABELS = range(1, 5)  # 0 is that of split.py


class Batch(NamedTuple):
    """Samples and what should come out.

    Attributes:
        x: DAC codes, uint8 (samples, features).
        target: uint8; classify: class index (samples,); reconstruct: dots 0/1 (samples, outputs).
    """

    x: NDArray[np.uint8]
    target: NDArray[np.uint8]


Samples = NDArray[np.uint8] | Sequence[Any]
"""DAC codes (samples, features), or the windows of a stream: `stream_task.WindowSamples`."""


class Feed(Protocol):
    """The part of a task that a learner takes."""

    @property
    def x_test(self) -> Samples:
        """Test samples."""
        ...

    def train_pass(self, k: int, /) -> tuple[Samples, NDArray[np.uint8]]:
        """Draw a pass over the training samples.

        Args:
            k: number of the pass, from 0.

        Returns:
            The samples in their order, and their targets as in a `Batch`.
        """
        ...


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
        clipped: values of the test set that the scaling clipped, or the counts of a stream.
        samples_per_pass: length of `train_pass`.
        test_fraction: of a data task, else None.
        patterns: word tasks: the clean dots, uint8 0/1 (words, 60), else None.
        distortion: word tasks: a sample's flip probability in training is drawn evenly from this
            range, else None.
        draws: word tasks: distorted copies of each word in a test set, else None.
        label_lines: inputs that carry one word's label, behind the dots; then every word has an
            output of its own behind the dots, too. 0: words have no labels.
        image_shape: (rows, columns) if a sample is a picture, else None.
        reading: how the user's file was understood, else None.
        values: the same samples as x_train and x_test before they became codes: the user's own
            values, or the features of a stream before their normalisation, float64; else None.
        counted: which of `feed.x_test` are x_test, bool; None: all. The others come between them
            in use, too, but have no single class.
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
    reading: Judgement | None = field(default=None, repr=False)
    values: tuple[NDArray[np.float64], NDArray[np.float64]] | None = field(default=None, repr=False)
    counted: NDArray[np.bool_] | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        for array in (self.x_train, self.y_train, self.x_test, self.y_test, self.patterns):
            if array is not None:
                array.setflags(write=False)

    @property
    def feed(self) -> Feed:
        """What a learner takes of the task: itself, unless its samples are streams."""
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
        """Tell what should come out for classes or words.

        Args:
            y: class or word of each sample, (samples,).

        Returns:
            The targets: see `Batch.target`.
        """
        if self.kind == "classify":
            return y.astype(np.uint8)
        assert self.patterns is not None
        if not self.label_lines:
            return self.patterns[y]
        return np.hstack([self.patterns, np.eye(len(self.patterns), dtype=np.uint8)])[y]

    def shown(self, dots: NDArray[np.uint8], word: ArrayLike = -1) -> NDArray[np.uint8]:
        """Tell what the network gets to see of words.

        Args:
            dots: 0/1 (…, 60).
            word: whose label is shown with them, (…) or one for all; -1: none.

        Returns:
            DAC codes, uint8 (…, features).
        """
        assert self.patterns is not None
        labels = np.asarray(word)[..., None] == np.arange(len(self.patterns))
        lines = np.repeat(labels, self.label_lines, axis=-1)
        lines = np.broadcast_to(lines, (*dots.shape[:-1], lines.shape[-1]))
        return np.concatenate([dots, lines], axis=-1).astype(np.uint8) * np.uint8(FULL_SCALE)

    def train_pass(self, k: int) -> Batch:
        """Draw a pass over the training samples, in a seeded order.

        Args:
            k: number of the pass, from 0.

        Returns:
            The samples and their targets.
        """
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
        """Distort every word, as often as is asked for.

        Sample i shows word i % words. A smaller number of draws gives the first samples of a
        larger one.

        Args:
            p: probability of each dot to be flipped, 0 to 0.5.
            draws: copies of each word; default: the task's.

        Returns:
            The samples and their targets.

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
        """Tell the word of each sample of `test_set`.

        Args:
            draws: as for `test_set`.

        Returns:
            Indices of words, int64 (samples,).

        Raises:
            TaskError: a data task, or no draws.
        """
        if self.patterns is None:
            raise TaskError(f"the task {self.name} has no distortions to test at")
        draws = self.draws if draws is None else draws
        if draws is None or draws < 1:
            raise TaskError(f"a test needs at least 1 draw of each word, not {draws}")
        return np.tile(np.arange(len(self.patterns)), draws)

    @property
    def test_values(self) -> int:
        """How many values the test set has, of which `clipped` were clipped."""
        return self.x_test.size

    def describe(self) -> dict[str, object]:
        """Tell what belongs into a report, ready for JSON."""
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
            low, high = self.scaling.range()
            facts["scaling"] = {
                "fitted_on": "training set" if self.scaling.fitted else "known range",
                "low": low.tolist(),
                "high": high.tolist(),
                "test_values_clipped": self.clipped,
            }
        else:
            facts["train_distortion"] = self.distortion
            facts["test_distortions"] = list(self.test_distortions)
            facts["draws"] = self.draws
            facts["label_lines"] = self.label_lines
        if self.reading is not None:
            facts["file"] = self.reading.to_json()
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
    """Write a distortion as a JSON key.

    Args:
        p: probability of each dot to be flipped.

    Returns:
        Such as "0.10".
    """
    return f"{p:.2f}"


def data_task(
    name: str,
    x: NDArray[np.float64],
    y: NDArray[np.int64],
    class_names: tuple[str, ...],
    feature_names: tuple[str, ...],
    *,
    seed: int,
    test_fraction: float,
    parts: Parts | None = None,
    scaling: Scaling | None = None,
    image_shape: tuple[int, int] | None = None,
    reading: Judgement | None = None,
) -> Task:
    """Make a task of samples that are split into a training and a test set.

    Args:
        name: of the task.
        x: values, (samples, features).
        y: class of each sample, (samples,).
        class_names: in the order of the classes.
        feature_names: in the order of the columns.
        seed: of the split and of the order.
        test_fraction: share of the test set, between 0 and 1.
        parts: the training and the test samples; default: drawn, stratified.
        scaling: from values to DAC codes; default: fitted to the training set.
        image_shape: (rows, columns) if a sample is a picture.
        reading: how the file was understood, if it is one's own.

    Returns:
        The task.
    """
    train, test = parts or split(y, test_fraction, seed)
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
        reading=reading,
        values=None if reading is None else (x[train], x[test]),
    )
