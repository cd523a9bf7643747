"""A scikit-learn classifier that learns on a board, or on its desktop twin."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, get_args

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils import check_random_state
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted, validate_data

from madem.data.scaling import Scaling, Spread
from madem.data.tabular import MAX_FEATURES
from madem.data.task import Task
from madem.errors import TaskError
from madem.learn import session, train
from madem.learners.twin import TwinLearner
from madem.network.network import Network, TableInputs
from madem_emulator.twin.presets import PRESETS

MOST_CLASSES = 255


class MademClassifier(ClassifierMixin, BaseEstimator):
    """A network on a memristor crossbar, taught by activity difference: no gradient, few bits.

    It learns the scale of each feature in `fit` and takes any finite numbers. It can be cloned,
    pickled, used in a pipeline and in cross-validation like any classifier of scikit-learn. The
    same seed gives the same bits on every board and on the twin.

    Args:
        board: where it learns and answers: "twin" (the desktop model), "unix", a port …
        layers: units of the hidden layers; () for a single weight layer.
        epochs: passes over the samples of `fit`.
        bits: of a device, 2 to 8.
        rule: "centred", "one-sided" or "clamped".
        preset: imperfections of the devices: "default", "ideal" or "harsh".
        spread: how features are scaled, see `Scaling.fit`.
        random_state: seed of the devices and of the order of samples.

    Attributes:
        classes_: the labels, in the order of the outputs.
        network_: what was learned, which `madem.network.file.save` writes.
        n_features_in_, feature_names_in_: as scikit-learn has them.
    """

    def __init__(
        self,
        board: str = session.TWIN,
        layers: Sequence[int] = (32,),
        epochs: int = 20,
        bits: int = 4,
        rule: str = "centred",
        preset: str = "default",
        spread: Spread = "robust",
        random_state: Any = 1,
    ) -> None:
        """See `MademClassifier`; nothing is checked before `fit`, as scikit-learn wants it."""
        self.board = board
        self.layers = layers
        self.epochs = epochs
        self.bits = bits
        self.rule = rule
        self.preset = preset
        self.spread: Spread = spread
        self.random_state = random_state

    def fit(self, X: Any, y: Any) -> MademClassifier:
        """Learn from nothing.

        Args:
            X: finite values, (samples, features).
            y: labels, (samples,).

        Returns:
            Itself.

        Raises:
            ValueError: samples or settings can't be used.
        """
        X, y = validate_data(self, X, y, dtype=np.float64)
        check_classification_targets(y)
        self.classes_ = np.unique(y)
        self._begin(X)
        self._learn(X, y, self.epochs)
        return self

    def partial_fit(self, X: Any, y: Any, classes: Any = None) -> MademClassifier:
        """Learn on, in one pass over these samples.

        Args:
            X: finite values, (samples, features). The first call's set the scale.
            y: labels, (samples,).
            classes: all labels that will come; needed in the first call.

        Returns:
            Itself.

        Raises:
            ValueError: samples, classes or settings can't be used.
        """
        first = not hasattr(self, "network_")
        X, y = validate_data(self, X, y, dtype=np.float64, reset=first)
        check_classification_targets(y)
        if first:
            if classes is None:
                raise ValueError("classes must be passed on the first call to partial_fit")
            self.classes_ = np.unique(np.asarray(classes))
            self._begin(X)
        elif classes is not None and not np.array_equal(
            np.unique(np.asarray(classes)), self.classes_
        ):
            raise ValueError(f"classes is not the same as in the first call: {self.classes_}")
        unknown = np.setdiff1d(y, self.classes_)
        if len(unknown):
            raise ValueError(f"y has labels that are no classes: {unknown.tolist()}")
        self._learn(X, y, 1)
        return self

    def predict(self, X: Any) -> NDArray[Any]:
        """Answer for samples.

        Args:
            X: finite values, (samples, features).

        Returns:
            The label of each, (samples,).
        """
        outputs = self._outputs(X)
        return self.classes_[outputs.argmax(axis=1)]

    def predict_proba(self, X: Any) -> NDArray[np.float64]:
        """Share out the activity of the outputs, in the order of classes that `predict` has.

        Args:
            X: finite values, (samples, features).

        Returns:
            Shares, (samples, classes), that sum to 1 in each row; no calibrated probabilities.
        """
        # Half a step each: a sample at which all outputs are silent is as likely of any class.
        outputs = self._outputs(X) + 0.5
        return outputs / outputs.sum(axis=1, keepdims=True)

    def _begin(self, X: NDArray[np.float64]) -> None:
        """A fresh network for samples like these."""
        if len(self.classes_) > MOST_CLASSES:
            raise ValueError(f"{len(self.classes_)} classes; at most {MOST_CLASSES} are possible")
        if X.shape[1] > MAX_FEATURES:
            raise ValueError(f"{X.shape[1]} features; at most {MAX_FEATURES} are possible")
        for name, choices in (("preset", PRESETS), ("spread", get_args(Spread))):
            if getattr(self, name) not in choices:
                raise ValueError(
                    f"{name} is {getattr(self, name)!r}, but must be one of {', '.join(choices)}"
                )
        if self.epochs < 1:
            raise ValueError(f"epochs is {self.epochs}, but must be 1 or more")
        scaling = Scaling.fit(X, self.spread)
        names = getattr(self, "feature_names_in_", [f"feature {k}" for k in range(X.shape[1])])
        seed = self.random_state
        if not isinstance(seed, int | np.integer):
            seed = check_random_state(seed).randint(2**31 - 1)
        try:
            plan = train.recipe(
                _task(scaling.codes(X), np.zeros(len(X), np.int64), len(self.classes_), 1),
                hidden=tuple(self.layers),
                epochs=self.epochs,
                seed=int(seed),
                weight_bits=self.bits,
                rule=self.rule,
                **PRESETS[self.preset],
            )
        except TaskError as error:
            raise ValueError(str(error)) from None
        self._plan = plan
        self.network_ = Network(
            TwinLearner(plan.settings.integers()).state(),
            tuple(map(str, self.classes_.tolist())),
            TableInputs.of(scaling, [str(name) for name in names]),
        )

    def _learn(self, X: NDArray[np.float64], y: NDArray[Any], epochs: int) -> None:
        labels = np.searchsorted(self.classes_, y).astype(np.int64)
        assert isinstance(self.network_.inputs, TableInputs)
        state = self.network_.state
        task = _task(
            self.network_.inputs.scaling.codes(X), labels, len(self.classes_), state.config.seed
        )
        done = state.steps // max(1, len(X))
        plan = replace(self._plan, epochs=epochs, earlier=min(done, self._plan.epochs // 2))
        with session.open_learner(self.board) as device:
            learner = session.engine(device, state.config)
            learner.load(state)
            train.train(learner, task, plan)
            self.network_ = replace(self.network_, state=learner.state())

    def _outputs(self, X: Any) -> NDArray[np.float64]:
        check_is_fitted(self)
        X = validate_data(self, X, reset=False, dtype=np.float64)
        assert isinstance(self.network_.inputs, TableInputs)
        codes = self.network_.inputs.scaling.codes(X)
        with session.open_learner(self.board) as device:
            learner = session.engine(device, self.network_.state.config)
            learner.load(self.network_.state)
            return learner.outputs(codes).astype(np.float64)


def _task(codes: NDArray[np.uint8], labels: NDArray[np.int64], classes: int, seed: int) -> Task:
    """Samples as a task without a test set."""
    features = codes.shape[1]
    return Task(
        name="samples",
        kind="classify",
        seed=seed,
        n_features=features,
        n_outputs=classes,
        class_names=tuple(map(str, range(classes))),
        feature_names=tuple(f"feature {k}" for k in range(features)),
        x_train=codes,
        y_train=labels,
        x_test=codes[:0],
        y_test=labels[:0],
        scaling=Scaling.between(np.zeros(features), np.full(features, 255.0)),
        clipped=0,
        samples_per_pass=len(codes),
    )
