"""The generator: the same numbers as one step at a time, and random enough."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from madem_emulator.twin.noise import A, P, Stream, draw, draws, powers, start, step, variates

from ..scalar_reference import Generator, lehmer

words = st.integers(0, 2**32 - 1)


def scalar_draws(seed: int, stream: int, index: int, n: int) -> list[int]:
    generator = Generator(seed, stream, index)
    return [generator.draw() for _ in range(n)]


def is_prime(n: int) -> bool:
    return n % 2 == 1 and bool(np.all(n % np.arange(3, int(n**0.5) + 1, 2)))


# --- the same numbers as one step at a time ----------------------------------------------------


@given(words, st.sampled_from(Stream), words, st.integers(1, 50))
def test_draws_at_once_are_those_of_single_steps(
    seed: int, stream: Stream, index: int, n: int
) -> None:
    assert draws(start(seed, stream, index), n).tolist() == scalar_draws(seed, stream, index, n)


def test_first_draws_as_worked_out_from_the_page() -> None:
    # x = 0x1F123BB5 is mixed with seed 1, stream 2 and index 0, word by word.
    x = 0x1F123BB5
    for word in (1, 0, 2, 0, 0, 0, 0, 0):
        x = x ^ word ^ (x >> 13)
        x = 30903 * (x % 65536) + x // 65536
    x = x % 2**30 + 1
    first = 30903 * (x % 65536) + x // 65536
    second = 30903 * (first % 65536) + first // 65536

    state = start(1, Stream.LEARN, 0)

    assert state == x
    assert draws(state, 2).tolist() == [first % 65536, second % 65536]
    assert draws(state, 5).tolist() == [22268, 43520, 44804, 19461, 538]


def test_generators_are_independent_of_their_place_in_an_array() -> None:
    seeds = np.array([[0], [1], [2**32 - 1]])
    index = np.array([0, 1, 65535, 65536, 2**32 - 1])

    taken = draws(start(seeds, Stream.PULSE, index), 7)

    assert taken.shape == (3, 5, 7)
    for i, seed in enumerate(seeds[:, 0]):
        for j, k in enumerate(index):
            assert taken[i, j].tolist() == scalar_draws(int(seed), 4, int(k), 7)


@given(st.integers(1, P - 1), st.integers(0, 300))
def test_jump_is_as_many_single_steps(x: int, n: int) -> None:
    state = np.array(x, np.uint64)
    for _ in range(n):
        state = step(state)

    assert x * int(powers(n + 1)[n]) % P == state
    assert draw(np.array(x, np.uint64), powers(n + 1)[n]) == state & 0xFFFF


def test_both_forms_of_the_generator_agree() -> None:
    generator = Generator(7, 3, 9)
    other = lehmer(generator.x)
    for _ in range(1000):
        generator.draw()
        assert generator.x == next(other)


def test_powers_are_the_same_however_far_they_are_asked_for() -> None:
    few = powers(5).copy()
    many = powers(100_000)

    assert np.array_equal(many[:5], few)
    assert [int(many[k]) for k in (0, 1, 2, 99_999)] == [1, A, A * A % P, pow(A, 99_999, P)]
    assert np.array_equal(powers(5), few)
    with pytest.raises(ValueError, match="read-only"):
        powers(5)[0] = 0


def test_variate_takes_two_draws_in_order() -> None:
    generator = Generator(5, 2, 3)

    z = variates(draws(start(5, Stream.LEARN, 3), 20))

    assert z.tolist() == [generator.z() for _ in range(10)]


# --- random enough -----------------------------------------------------------------------------


def test_period_is_what_the_page_says() -> None:
    assert is_prime(P)
    assert is_prime((P - 1) // 2)
    # The order of A divides P − 1, which is twice a prime: it is this prime and not 1 or 2.
    assert pow(A, (P - 1) // 2, P) == 1
    assert pow(A, 2, P) != 1
    assert (P - 1) // 2 == A * 2**15 - 1


@pytest.fixture(scope="module")
def many_draws() -> np.ndarray:
    """Of 1000 consecutive steps of two seeds, the first 400 draws: (2, 1000, 400)."""
    return draws(start([[1], [2]], Stream.LEARN, np.arange(1000)), 400)


def test_draws_are_uniform(many_draws: np.ndarray) -> None:
    for part in (many_draws & 255, many_draws >> 8):
        counts = np.bincount(part.ravel(), minlength=256)
        expected = part.size / 256
        chi_squared = np.sum((counts - expected) ** 2 / expected)
        # 255 degrees of freedom: mean 255, sigma 22.6.
        assert 255 - 4 * 22.6 < chi_squared < 255 + 4 * 22.6


def test_variates_have_the_stated_mean_and_sigma(many_draws: np.ndarray) -> None:
    z = variates(many_draws)
    n = z.size

    assert abs(z.mean()) < 4 * 147.8 / n**0.5
    assert z.std() == pytest.approx(147.80, abs=4 * 147.8 / (2 * n) ** 0.5)
    assert (z.min() >= -510) & (z.max() <= 510)


def test_variates_are_uncorrelated_within_and_between_streams(many_draws: np.ndarray) -> None:
    z = variates(many_draws) / 147.8
    limit = 4.5 / z.size**0.5

    for lag in range(1, 9):
        assert abs(np.mean(z[..., lag:] * z[..., :-lag])) < limit * 1.03
    for lag in (1, 2, 4, 8, 256):
        assert abs(np.mean(z[:, lag:] * z[:, :-lag])) < limit * 1.2
    assert abs(np.mean(z[0] * z[1])) < limit * 1.5


def test_lowest_bit_is_a_fair_coin(many_draws: np.ndarray) -> None:
    # It picks the device of a pulse.
    coin = (many_draws & 1) * 2.0 - 1

    assert abs(coin.mean()) < 4 / coin.size**0.5
    assert abs(np.mean(coin[..., 4:] * coin[..., :-4])) < 4.1 / coin.size**0.5


def test_first_draws_of_neighbouring_streams_are_uncorrelated() -> None:
    first = draws(start(3, Stream.UPDATE, np.arange(100_000)), 1)[:, 0] / 65536 - 0.5

    for lag in (1, 2, 3, 16, 256, 65536):
        products = first[lag:] * first[:-lag] * 12
        assert abs(products.mean()) < 4 / len(products) ** 0.5
