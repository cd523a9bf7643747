"""Pipelines: what the line says, what is refused, and how many windows there are."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from madem_emulator.twin.pipeline import Pipeline, PipelineError, parse


def test_the_line_of_the_page() -> None:
    found = parse("window=40 hop=20 | mean energy zero minmax bands:4 | norm:6", 6)

    assert found == Pipeline(6, 40, 20, True, True, True, True, 4, 6)
    assert (found.transform, found.per_channel, found.features, found.inputs) == (32, 9, 54, 108)
    assert found.names(["x"] * 6)[:6] == (
        *("x mean above", "x mean below", "x energy above", "x energy below"),
        *("x zero above", "x zero below"),
    )
    assert len(found.names(list("abcdef"))) == found.inputs


def test_what_may_be_left_out() -> None:
    assert parse("window=32 | energy", 1) == Pipeline(1, 32, 32, energy=True, norm=6)


@given(
    window=st.integers(16, 256),
    hop=st.integers(1, 16),
    bands=st.integers(0, 8),
    flags=st.tuples(*[st.booleans()] * 4),
    norm=st.integers(0, 12),
)
def test_what_is_written_is_read_again(
    window: int, hop: int, bands: int, flags: tuple[bool, bool, bool, bool], norm: int
) -> None:
    if not (any(flags) or bands):
        flags = (True, False, False, False)
    written = Pipeline(3, window, hop, *flags, bands, norm)
    assert parse(str(written), 3) == written


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("mean", "a pipeline is written window=W hop=H | FEATURES | norm:K, not 'mean'"),
        ("window=40 | meen", "'meen' in the pipeline: expected mean, energy, zero, minmax"),
        ("window=x | mean", "'window=x' in the pipeline: expected window=W or hop=H"),
        ("hop=20 | mean", "has no window=W"),
        ("window=40 | mean mean", "mean is there twice"),
        ("window=40 hop=41 | mean", "hop is 41, but must be from 1 to 40"),
        ("window=7 | mean", "window is 7, but must be from 8 to 256"),
        ("window=40 | bands:17", "bands is 17, but must be from 0 to 16"),
        ("window=8 | bands:2", "bands need a window of 16 samples or more, not 8"),
        ("window=40 | ", "a pipeline needs a feature"),
        ("window=40 | mean | norm:13", "norm is 13, but must be from 0 to 12"),
        ("window=40 | mean | 6", "'6' in the pipeline: expected norm:K"),
    ],
)
def test_what_is_refused(text: str, message: str) -> None:
    with pytest.raises(PipelineError) as error:
        parse(text, 6)
    assert message in str(error.value)
    assert "\n" not in str(error.value)


def test_channels_and_features_have_limits() -> None:
    with pytest.raises(PipelineError, match="channels is 17"):
        parse("window=40 | mean", 17)
    with pytest.raises(PipelineError, match="592 features; at most 512"):
        parse("window=64 | mean energy zero minmax bands:32", 16)


@given(st.integers(8, 64), st.integers(1, 64), st.integers(0, 500))
def test_windows_are_counted(window: int, hop: int, samples: int) -> None:
    hop = min(hop, window)
    ends = [n for n in range(1, samples + 1) if n >= window and (n - window) % hop == 0]
    assert Pipeline(1, window, hop, mean=True).windows(samples) == len(ends)
