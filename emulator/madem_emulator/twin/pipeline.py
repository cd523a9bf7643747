"""A pipeline from a stream of samples to the inputs of a network, declared in one line.

    window=40 hop=20 | mean energy zero minmax bands:8 | norm:6 follow

docs/reference/features.md says what each word means; `parse` reads the line, `Pipeline` holds it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

MAX_CHANNELS = 16
MAX_WINDOW = 256
MAX_FEATURES = 512
SHORTEST_TRANSFORM, LONGEST_TRANSFORM = 16, 64


class PipelineError(ValueError):
    """A pipeline that can't be; the message is one line that names the word at fault."""


@dataclass(frozen=True)
class Pipeline:
    """Windows that are cut from a stream, and features that are taken of each.

    >>> pipeline = parse("window=40 hop=20 | mean bands:2", channels=1)
    >>> pipeline.inputs, pipeline.windows(100)
    (6, 4)
    >>> pipeline.names(["x"])[:3]
    ('x mean above', 'x mean below', 'x band 0 above')

    Attributes:
        channels: values in a sample, 1…16.
        window: samples in a window, 8…256.
        hop: samples from the beginning of a window to that of the next, 1…window.
        mean, energy, zero, minmax: whether the features of these names are taken.
        bands: how many frequency bands are taken, 0…transform/2.
        norm: log2 of the windows over which the running normalisation averages, 0…12.
        follow: whether the normalisation follows the stream in use, too; otherwise it stays as it
            was when the network had learned.
    """

    channels: int
    window: int
    hop: int
    mean: bool = False
    energy: bool = False
    zero: bool = False
    minmax: bool = False
    bands: int = 0
    norm: int = 6
    follow: bool = False

    def __post_init__(self) -> None:
        _check("channels", self.channels, 1, MAX_CHANNELS)
        _check("window", self.window, 8, MAX_WINDOW)
        _check("hop", self.hop, 1, self.window)
        _check("norm", self.norm, 0, 12)
        if self.bands and self.window < SHORTEST_TRANSFORM:
            raise PipelineError(
                f"bands need a window of {SHORTEST_TRANSFORM} samples or more, not {self.window}"
            )
        _check("bands", self.bands, 0, self.transform // 2)
        if not self.per_channel:
            raise PipelineError("a pipeline needs a feature: mean, energy, zero, minmax or bands:N")
        if self.features > MAX_FEATURES:
            raise PipelineError(f"{self.features} features; at most {MAX_FEATURES} are possible")

    @property
    def transform(self) -> int:
        """Samples that the bands are computed from: the longest power of two up to 64 that fits."""
        return min(LONGEST_TRANSFORM, 1 << (self.window.bit_length() - 1))

    @property
    def per_channel(self) -> int:
        """Features of one channel."""
        return self.mean + self.energy + self.zero + 2 * self.minmax + self.bands

    @property
    def features(self) -> int:
        """Features of a window."""
        return self.channels * self.per_channel

    @property
    def inputs(self) -> int:
        """Inputs of the network: each feature has two, for what is above and below its centre."""
        return 2 * self.features

    def names(self, channels: Sequence[str]) -> tuple[str, ...]:
        """Names of the inputs in their order.

        Args:
            channels: names of the channels.

        Returns:
            A name for each input.
        """
        words = [word for word in ("mean", "energy", "zero") if getattr(self, word)]
        words += ["min", "max"] * self.minmax + [f"band {b}" for b in range(self.bands)]
        return tuple(
            f"{channel} {word} {side}"
            for channel in channels
            for word in words
            for side in ("above", "below")
        )

    def windows(self, samples: int) -> int:
        """Number of windows that samples in a row complete.

        Args:
            samples: how many there are.

        Returns:
            How many.
        """
        return max(0, (samples - self.window) // self.hop + 1)

    def __str__(self) -> str:
        words = [word for word in ("mean", "energy", "zero", "minmax") if getattr(self, word)]
        words += [f"bands:{self.bands}"] * bool(self.bands)
        last = f"norm:{self.norm}" + " follow" * self.follow
        return f"window={self.window} hop={self.hop} | {' '.join(words)} | {last}"


def parse(text: str, channels: int) -> Pipeline:
    """Read a pipeline.

    Args:
        text: `window=W hop=H | FEATURES | norm:K follow`; hop (default: the window), `follow` and
            the last part (default: norm:6) may be left out.
        channels: values in a sample.

    Returns:
        The pipeline.

    Raises:
        PipelineError: a word that does not belong there or a number out of range.
    """
    parts = [part.split() for part in text.split("|")]
    if not 2 <= len(parts) <= 3:
        raise PipelineError(
            f"a pipeline is written window=W hop=H | FEATURES | norm:K, not {text!r}"
        )
    values: dict[str, int] = {}
    for place, words in enumerate(parts):
        for word in words:
            name, value = _word(word, place)
            if name in values:
                raise PipelineError(f"{name} is there twice in the pipeline {text!r}")
            values[name] = value
    if "window" not in values:
        raise PipelineError(f"the pipeline {text!r} has no window=W")
    values.setdefault("hop", values["window"])
    flags = {
        name: bool(values.pop(name, 0)) for name in ("mean", "energy", "zero", "minmax", "follow")
    }
    return Pipeline(channels, **values, **flags)


_WORDS = (
    r"(window|hop)=(\d+)",
    r"(mean|energy|zero|minmax)|(bands):(\d+)",
    r"(follow)|(norm):(\d+)",
)
_EXPECTED = ("window=W or hop=H", "mean, energy, zero, minmax or bands:N", "norm:K or follow")


def _word(word: str, place: int) -> tuple[str, int]:
    found = re.fullmatch(_WORDS[place], word)
    if not found:
        raise PipelineError(f"{word!r} in the pipeline: expected {_EXPECTED[place]}")
    *names, value = found.groups()
    name = next(name for name in names if name)
    return name, 1 if value is None else int(value)


def _check(name: str, value: int, low: int, high: int) -> None:
    if not low <= value <= high:
        raise PipelineError(f"{name} is {value}, but must be from {low} to {high}")
