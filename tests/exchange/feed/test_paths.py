from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wsb_core.exchange.paths import cumulative_volume, session_path

PRICES = st.floats(0.5, 900.0).map(lambda x: round(x, 2))
MINUTES = st.sampled_from([210, 390])
SEEDS = st.integers(0, 10_000)


@settings(max_examples=150, deadline=None)
@given(corners=st.lists(PRICES, min_size=4, max_size=4), rising=st.booleans(), minutes=MINUTES, seed=SEEDS)
def test_a_path_opens_closes_and_touches_both_extremes_of_its_bar(
    corners: list[float], rising: bool, minutes: int, seed: int
) -> None:
    low, a, b, high = sorted(corners)
    opened, close = (a, b) if rising else (b, a)

    path = session_path(opened, high, low, close, minutes, np.random.default_rng(seed))

    assert len(path.price) == minutes + 1
    assert (path.price[0], path.price[-1]) == (opened, close)
    assert (path.price.min(), path.price.max()) == (low, high)


@settings(max_examples=100, deadline=None)
@given(bar=st.lists(PRICES, min_size=4, max_size=4), minutes=MINUTES, seed=SEEDS)
def test_a_bar_that_contradicts_itself_stays_inside_its_range(
    bar: list[float], minutes: int, seed: int
) -> None:
    opened, high, low, close = bar

    path = session_path(opened, high, low, close, minutes, np.random.default_rng(seed))

    assert path.price.min() == min(low, high)
    assert path.price.max() == max(low, high)
    assert path.price[-1] == pytest.approx(min(max(close, min(low, high)), max(low, high)))


@settings(max_examples=50, deadline=None)
@given(seed=SEEDS, minute=st.integers(0, 390))
def test_the_extremes_so_far_are_those_of_the_path_so_far(seed: int, minute: int) -> None:
    path = session_path(100.0, 104.0, 97.0, 101.0, 390, np.random.default_rng(seed))

    assert path.high[minute] == path.price[: minute + 1].max()
    assert path.low[minute] == path.price[: minute + 1].min()


def test_the_extreme_nearer_to_the_open_comes_first() -> None:
    for seed in range(20):
        path = session_path(100.0, 100.5, 95.0, 96.0, 390, np.random.default_rng(seed))

        assert np.argmax(path.price == 100.5) < np.argmax(path.price == 95.0)


def test_a_day_without_a_range_is_flat() -> None:
    path = session_path(50.0, 50.0, 50.0, 50.0, 390, np.random.default_rng(1))

    assert (path.price == 50.0).all()


@pytest.mark.parametrize("minutes", [210, 390])
def test_volume_is_u_shaped_and_adds_up_to_the_day(minutes: int) -> None:
    share = cumulative_volume(minutes)

    rate = np.diff(share)
    half_hour = 30
    noon = minutes // 2
    assert share[0] == 0.0
    assert share[-1] == pytest.approx(1.0)
    assert (rate > 0).all()
    assert rate[:half_hour].sum() > 1.5 * rate[noon : noon + half_hour].sum()
    assert rate[-half_hour:].sum() > rate[:half_hour].sum()
