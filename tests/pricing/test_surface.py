from __future__ import annotations

import subprocess
import sys
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wsb_core.pricing.clock import Clock, VarianceClock, YearsTo
from wsb_core.pricing.european import european
from wsb_core.pricing.forward import ExpiryQuotes, Forward, ForwardStatus
from wsb_core.pricing.smile import QuotedVols, Smile, SmileStatus, Svi
from wsb_core.pricing.surface import (
    FigureStatus,
    Surface,
    calendar_breaks,
    constant_maturity_vol,
    event_move,
    implied_move,
    iv_rank,
    surface,
)

NOW = datetime(2026, 9, 15, 19, tzinfo=UTC)
NOTHING = QuotedVols(*(np.zeros(0) for _ in range(4)), np.zeros(0, dtype=np.int8))


def _years(years: float, clock: Clock = Clock.CALENDAR) -> YearsTo:
    return YearsTo(years, clock, NOW + timedelta(days=365 * years))


def _forward(years: float, price: float = 100.0) -> Forward:
    return Forward(ForwardStatus.OK, years, price, 1.0, 0.01, 0.0, 10, 0)


def _smile(years: float, level: float, slope: float = 0.0) -> Smile:
    """Total variance ``level`` at the money, falling by ``slope`` a unit of moneyness beyond the floor."""
    svi = Svi(level - slope, slope, -0.999, 0.0, 1.0) if slope else Svi(level, 0.0, 0.0, 0.0, 1.0)
    return Smile(SmileStatus.OK, _forward(years), NOTHING, svi, None, -0.3, 0.3)


def _flat(*points: tuple[float, float]) -> Surface:
    """Flat smiles at (years, annual vol)."""
    smiles = [_smile(years, vol**2 * years) for years, vol in points]
    return surface(smiles, [_years(years) for years, _ in points])


def test_between_expiries_total_variance_runs_straight_in_time() -> None:
    found = _flat((0.1, 0.2), (0.3, 0.3))

    assert found.total_variance(0.0, [0.1, 0.2, 0.3]) == pytest.approx([0.004, 0.0155, 0.027])
    assert found.vol(0.0, 0.2) == pytest.approx(np.sqrt(0.0155 / 0.2))


def test_interpolation_keeps_moneyness_and_not_the_strike() -> None:
    found = surface([_smile(0.1, 0.02, 0.01), _smile(0.3, 0.06, 0.02)], [_years(0.1), _years(0.3)])

    middle = found.total_variance(-0.2, 0.2)

    near, far = (smile.total_variance(-0.2) for smile in found.smiles)
    assert middle == pytest.approx((near + far) / 2)


def test_outside_the_expiries_volatility_stays_as_it_is_at_the_nearest() -> None:
    found = _flat((0.1, 0.2), (0.3, 0.3))

    assert found.vol(0.05, [0.001, 0.1, 0.3, 2.0]) == pytest.approx([0.2, 0.2, 0.3, 0.3])
    assert found.total_variance(0.0, 0.0) == 0.0


def test_moneyness_and_time_broadcast() -> None:
    found = _flat((0.1, 0.2), (0.3, 0.3)).total_variance(np.zeros((3, 1)), np.array([0.1, 0.2]))

    assert found.shape == (3, 2)


def test_on_a_variance_clock_the_time_between_counts_as_the_clock_says() -> None:
    calm, busy = 0.1, 0.4
    smiles = [_smile(0.1, 0.004), _smile(0.3, 0.02)]
    found = surface(smiles, [_years(calm, Clock.VARIANCE), _years(busy, Clock.VARIANCE)])

    assert found.total_variance(0.0, 0.25) == pytest.approx(0.012)
    assert found.vol(0.0, 0.2, time=0.25) == pytest.approx(np.sqrt(0.012 / 0.2))


def test_a_variance_surface_asks_for_the_time_on_its_own_clock() -> None:
    found = surface([_smile(0.1, 0.004)], [_years(0.1, Clock.VARIANCE)])

    with pytest.raises(ValueError, match="time is needed"):
        found.vol(0.0, 0.1)


def test_a_weekend_adds_less_on_the_variance_clock_than_on_the_calendar_clock() -> None:
    friday, monday = datetime(2026, 9, 18, 20, tzinfo=UTC), datetime(2026, 9, 21, 13, 30, tzinfo=UTC)
    clock = VarianceClock()
    start, end = friday - timedelta(days=7), monday + timedelta(days=7)
    whole = clock.years(start, end)
    smiles = [_smile(7 / 365, 0.001), _smile((end - start).days / 365, 0.002)]
    found = surface(
        smiles,
        [_years(clock.years(start, friday), Clock.VARIANCE), _years(whole, Clock.VARIANCE)],
    )

    gained = found.total_variance(0.0, clock.years(start, monday)) - 0.001

    assert gained / 0.001 < 0.5 * (monday - friday) / (end - friday)


def test_smiles_that_are_not_ok_are_left_out() -> None:
    broken = Smile(SmileStatus.TOO_FEW_QUOTES, _forward(0.2), NOTHING)

    found = surface([_smile(0.3, 0.02), broken, _smile(0.1, 0.004)], [_years(t) for t in (0.3, 0.2, 0.1)])

    assert found.times.tolist() == [0.1, 0.3]
    assert found.atm_vols() == pytest.approx([0.2, np.sqrt(0.02 / 0.3)])


def test_a_surface_of_nothing_of_two_clocks_or_of_one_instant_twice_is_refused() -> None:
    smile = _smile(0.1, 0.004)

    with pytest.raises(ValueError, match="at least one"):
        surface([], [])
    with pytest.raises(ValueError, match="one clock"):
        surface([smile, _smile(0.2, 0.01)], [_years(0.1), _years(0.2, Clock.VARIANCE)])
    with pytest.raises(ValueError, match="different instants"):
        surface([smile, smile], [_years(0.1), _years(0.1)])


@pytest.mark.parametrize("time", [-0.1, float("nan")])
def test_a_time_that_cannot_be_is_refused(time: float) -> None:
    with pytest.raises(ValueError, match="time"):
        _flat((0.1, 0.2)).total_variance(0.0, time)


def test_falling_total_variance_is_a_calendar_break_where_it_is_worst() -> None:
    found = surface([_smile(0.10, 0.0100, 0.02), _smile(0.12, 0.0105)], [_years(0.10), _years(0.12)])

    breaks = calendar_breaks(found)

    assert [(b.near, b.far) for b in breaks] == [(0.10, 0.12)]
    assert breaks[0].moneyness == pytest.approx(-0.3)
    assert breaks[0].vol_points > 1.0
    assert calendar_breaks(found, tolerance=50.0) == ()


def test_rising_total_variance_is_no_calendar_break() -> None:
    assert calendar_breaks(_flat((0.1, 0.3), (0.2, 0.25), (0.5, 0.2))) == ()


@settings(max_examples=50, deadline=None)
@given(
    vols=st.lists(st.floats(0.05, 1.0), min_size=2, max_size=5),
    moneyness=st.floats(-0.3, 0.3),
    times=st.lists(st.floats(0.0, 1.0), min_size=2, max_size=2),
)
def test_without_breaks_variance_never_falls_with_time(
    vols: list[float], moneyness: float, times: list[float]
) -> None:
    years = 0.1 * np.arange(1, len(vols) + 1)
    variance = np.cumsum(np.square(vols) * 0.1)
    found = surface(
        [_smile(float(t), float(w)) for t, w in zip(years, variance, strict=True)],
        [_years(float(t)) for t in years],
    )

    early, late = found.total_variance(moneyness, sorted(times))

    assert calendar_breaks(found) == ()
    assert late >= early - 1e-15


def test_constant_maturity_lies_between_the_expiries_around_it() -> None:
    near, far, target = 23 / 365, 37 / 365, 30 / 365

    found = constant_maturity_vol([far, near], [0.22, 0.20])

    assert found.status is FigureStatus.OK
    assert found.vol == pytest.approx(np.sqrt((0.04 * near + 0.0484 * far) / 2 / target))


def test_constant_maturity_at_an_expiry_is_that_expirys_volatility() -> None:
    assert constant_maturity_vol([30 / 365], [0.31]).vol == pytest.approx(0.31)


@pytest.mark.parametrize(
    ("years", "vols"),
    [([], []), ([0.02, 0.05], [0.2, 0.2]), ([0.1, 0.2], [0.2, 0.2]), ([0.05, 0.1], [0.2, np.nan])],
)
def test_constant_maturity_is_never_extrapolated(years: list[float], vols: list[float]) -> None:
    found = constant_maturity_vol(years, vols)

    assert found.status is FigureStatus.NO_BRACKET
    assert found.vol is None


def _with_event(years: float, base: float, sigma: float, event: float) -> float:
    """Volatility of an expiry that holds the event in place of one trading day."""
    held = sigma**2 - base**2 / 252 if years > event else 0.0
    return float(np.sqrt((base**2 * years + held) / years))


@pytest.mark.parametrize("expiries", [(4, 11, 18), (11, 18, 46), (11, 46, 200)])
def test_the_event_that_was_put_in_comes_out(expiries: tuple[int, ...]) -> None:
    event, base, sigma = 6 / 365, 0.32, 0.065
    years = [days / 365 for days in expiries]

    found = event_move(years, [_with_event(t, base, sigma, event) for t in years], event)

    assert found.status is FigureStatus.OK
    assert found.base_vol == pytest.approx(base)
    assert found.sigma == pytest.approx(sigma)
    assert found.expected == pytest.approx(np.sqrt(2 / np.pi) * sigma)
    assert found.share is not None
    assert 0.5 < found.share < 1.0


def test_without_an_event_in_the_prices_the_move_is_a_days_and_never_negative() -> None:
    flat = event_move([4 / 365, 11 / 365], [0.3, 0.3], 6 / 365)
    falling = event_move([4 / 365, 11 / 365], [0.6, 0.2], 6 / 365)

    assert flat.sigma == pytest.approx(0.3 / np.sqrt(252))
    assert falling.sigma == 0.0


def test_an_event_move_needs_an_expiry_after_it_and_a_base() -> None:
    assert event_move([4 / 365], [0.3], 6 / 365).status is FigureStatus.NO_EXPIRY_AFTER
    assert event_move([11 / 365], [0.3], 6 / 365).status is FigureStatus.NO_BASE
    assert event_move([11 / 365], [0.3], 6 / 365).sigma is None


def test_an_expiry_at_the_moment_of_the_event_does_not_hold_it() -> None:
    found = event_move([6 / 365, 11 / 365], [0.3, 0.5], 6 / 365)

    assert found.base_vol == pytest.approx(0.3)


def _straddles(vol: float, years: float, strikes: np.ndarray, spread: float = 0.02) -> ExpiryQuotes:
    strike = np.concatenate((strikes, strikes))
    is_call = np.arange(len(strike)) < len(strikes)
    price = european(100.0, strike, years, 0.0, 0.0, vol, is_call).price
    return ExpiryQuotes(strike, np.maximum(price - spread / 2, 0.0), price + spread / 2, is_call)


def test_the_straddle_costs_the_expected_absolute_move() -> None:
    quotes = _straddles(0.9, 7 / 365, np.arange(90.0, 111.0, 1.0))

    found = implied_move(quotes, _forward(7 / 365))

    assert found.strikes == (100.0,)
    assert found.move == pytest.approx(0.797 * 0.9 * np.sqrt(7 / 365), rel=2e-3)


def test_between_two_strikes_the_straddle_is_interpolated() -> None:
    quotes = _straddles(0.3, 0.1, np.array([98.0, 99.0, 101.0, 102.0]))

    found = implied_move(quotes, _forward(0.1))

    assert found.strikes == (99.0, 101.0)
    assert found.price == pytest.approx(7.57, abs=0.05)


def test_strikes_without_both_sides_bid_or_crossed_or_too_wide_are_passed_over() -> None:
    quotes = _straddles(0.3, 0.1, np.arange(95.0, 106.0))
    no_bid = (quotes.strike == 100.0) & quotes.is_call
    wide = (quotes.strike == 101.0) & ~quotes.is_call
    crossed = (quotes.strike == 99.0) & quotes.is_call
    changed = quotes._replace(
        bid=np.where(no_bid, 0.0, quotes.bid - wide + 0.2 * crossed), ask=quotes.ask + 2.0 * wide
    )

    found = implied_move(changed, _forward(0.1))

    assert found.strikes == (98.0, 102.0)


def test_without_a_straddle_near_the_forward_there_is_no_move() -> None:
    quotes = _straddles(0.3, 0.1, np.array([80.0, 85.0]))
    calls = ExpiryQuotes(*(column[quotes.is_call] for column in quotes))

    assert implied_move(quotes, _forward(0.1)).status is FigureStatus.NO_STRADDLE
    assert implied_move(calls, _forward(0.1)).status is FigureStatus.NO_STRADDLE
    assert implied_move(calls, _forward(0.1)).move is None


def test_without_a_forward_there_is_no_move() -> None:
    unknown = Forward(ForwardStatus.TOO_FEW_PAIRS, 0.1, *[float("nan")] * 4, 0, 0)

    assert (
        implied_move(_straddles(0.3, 0.1, np.array([99.0, 101.0])), unknown).status is FigureStatus.NO_FORWARD
    )


def test_rank_is_a_place_in_the_range_and_percentile_a_share_of_days() -> None:
    history = np.concatenate((np.full(150, 0.20), np.full(50, 0.60)))

    found = iv_rank(history, 0.30)

    assert (found.status, found.days) == (FigureStatus.OK, 200)
    assert found.rank == pytest.approx(25.0)
    assert found.percentile == pytest.approx(75.0)


def test_only_the_last_year_is_compared_with() -> None:
    history = np.concatenate((np.full(100, 2.0), np.linspace(0.2, 0.4, 252)))

    assert iv_rank(history, 0.4).rank == pytest.approx(100.0)
    assert iv_rank(history, 0.4).days == 252


@pytest.mark.parametrize("history", [[], [0.2] * 125, [0.2] * 125 + [np.nan] * 100])
def test_too_little_history_gives_no_number(history: list[float]) -> None:
    found = iv_rank(history, 0.3)

    assert found.status is FigureStatus.INSUFFICIENT_HISTORY
    assert (found.rank, found.percentile) == (None, None)


@pytest.mark.parametrize("now", [None, float("nan")])
def test_without_todays_volatility_there_is_no_rank(now: float | None) -> None:
    found = iv_rank(np.linspace(0.2, 0.4, 200), now)

    assert found.status is FigureStatus.NO_CURRENT_VOL
    assert found.percentile is None


def test_a_flat_history_has_no_range_to_rank_in() -> None:
    found = iv_rank(np.full(200, 0.2), 0.2)

    assert found.rank is None
    assert found.percentile == 0.0


@settings(max_examples=50, deadline=None)
@given(st.lists(st.floats(0.01, 3.0), min_size=126, max_size=260), st.floats(0.001, 5.0))
def test_rank_and_percentile_lie_between_0_and_100(history: list[float], now: float) -> None:
    found = iv_rank(history, now)

    assert found.percentile is not None
    assert 0.0 <= found.percentile <= 100.0
    assert found.rank is None or 0.0 <= found.rank <= 100.0


def test_asking_for_these_modules_loads_no_heavy_library() -> None:
    code = (
        "import sys, wsb_core.pricing.clock, wsb_core.pricing.surface;"
        "print({'numba', 'scipy', 'pandas', 'exchange_calendars'} & set(sys.modules))"
    )

    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert found.stdout.strip() == "set()"
