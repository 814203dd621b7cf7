from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wsb_core.domain.calendar import NEW_YORK
from wsb_core.domain.contracts import Settlement, settlement_of
from wsb_core.pricing.clock import (
    Clock,
    EventDay,
    VarianceClock,
    last_trading_day,
    settles_at,
    years_to,
)

YEAR = 365 * 24 * 3600
THIRD_FRIDAY = date(2026, 9, 18)
HALF_DAY = date(2025, 11, 28)


def _at(day: date, hour: int, minute: int = 0, second: int = 0) -> datetime:
    return datetime(day.year, day.month, day.day, hour, minute, second, tzinfo=NEW_YORK)


@pytest.mark.parametrize("root", ["SPX", "NDX", "RUT", "VIX", "VIXW", "DJX"])
def test_am_settled_roots_settle_at_the_open_and_last_trade_the_session_before(root: str) -> None:
    assert settlement_of(root) is Settlement.AM
    assert settles_at(root, THIRD_FRIDAY) == _at(THIRD_FRIDAY, 9, 30)
    assert last_trading_day(root, THIRD_FRIDAY) == date(2026, 9, 17)


@pytest.mark.parametrize("root", ["SPXW", "XSP", "NDXP", "RUTW", "SPY", "AAPL"])
def test_all_other_roots_settle_at_the_close_and_trade_until_then(root: str) -> None:
    assert settlement_of(root) is Settlement.PM
    assert settles_at(root, THIRD_FRIDAY) == _at(THIRD_FRIDAY, 16)
    assert last_trading_day(root, THIRD_FRIDAY) == THIRD_FRIDAY


def test_two_roots_of_one_underlying_on_one_friday_have_six_and_a_half_hours_between_them() -> None:
    at = _at(date(2026, 9, 17), 15)

    morning, evening = (years_to(at, root, THIRD_FRIDAY) for root in ("SPX", "SPXW"))

    assert (evening.years - morning.years) * YEAR == pytest.approx(6.5 * 3600)
    assert morning.years * YEAR == pytest.approx(18.5 * 3600)


def test_on_expiry_morning_the_am_root_is_settled_and_the_pm_root_is_not() -> None:
    at = _at(THIRD_FRIDAY, 10)

    assert years_to(at, "SPX", THIRD_FRIDAY).years == 0.0
    assert years_to(at, "SPXW", THIRD_FRIDAY).years * YEAR == pytest.approx(6 * 3600)


@pytest.mark.parametrize(("before", "seconds"), [(60, 60.0), (1, 1.0), (0, 0.0), (-1, 0.0), (-86400, 0.0)])
def test_the_last_seconds_count_and_nothing_after_settlement(before: int, seconds: float) -> None:
    at = settles_at("SPXW", THIRD_FRIDAY) - timedelta(seconds=before)

    left = years_to(at, "SPXW", THIRD_FRIDAY)

    assert left.years * YEAR == pytest.approx(seconds, abs=1e-6)
    assert left.clock is Clock.CALENDAR


def test_a_half_day_settles_at_one_oclock() -> None:
    assert settles_at("SPXW", HALF_DAY) == _at(HALF_DAY, 13)
    assert settles_at("SPX", HALF_DAY) == _at(HALF_DAY, 9, 30)


def test_an_expiry_without_a_session_settles_in_the_one_before() -> None:
    saturday, good_friday = date(2014, 6, 21), date(2026, 4, 3)

    assert settles_at("AAPL", saturday) == _at(date(2014, 6, 20), 16)
    assert settles_at("SPX", saturday) == _at(date(2014, 6, 20), 9, 30)
    assert last_trading_day("SPX", saturday) == date(2014, 6, 19)
    assert settles_at("SPY", good_friday) == _at(date(2026, 4, 2), 16)


def test_beyond_the_exchange_calendar_a_weekday_is_a_full_session() -> None:
    assert settles_at("AAPL", date(2090, 1, 20)) == _at(date(2090, 1, 20), 16)
    assert settles_at("SPX", date(2090, 1, 22)) == _at(date(2090, 1, 20), 9, 30)
    assert last_trading_day("SPX", date(2090, 1, 20)) == date(2090, 1, 19)


def test_a_change_of_the_clock_on_the_way_is_counted() -> None:
    friday, monday = date(2026, 3, 6), date(2026, 3, 9)

    left = years_to(_at(friday, 16), "SPXW", monday)

    assert left.years * YEAR == pytest.approx(71 * 3600)


def test_an_instant_without_a_time_zone_is_refused() -> None:
    with pytest.raises(ValueError, match="timezone-aware"):
        years_to(datetime(2026, 9, 17, 15), "SPX", THIRD_FRIDAY)
    with pytest.raises(ValueError, match="timezone-aware"):
        VarianceClock().years(datetime(2026, 9, 17, 15), _at(THIRD_FRIDAY, 16))


def test_an_ordinary_trading_day_weighs_one_and_a_weekend_a_little_more() -> None:
    clock = VarianceClock()
    tuesday, friday, monday = date(2026, 9, 15), date(2026, 9, 18), date(2026, 9, 21)

    day = clock.years(_at(tuesday, 16), _at(date(2026, 9, 16), 16)) * clock.year
    weekend = clock.years(_at(friday, 16), _at(monday, 16)) * clock.year

    assert day == pytest.approx(1.0)
    assert weekend == pytest.approx(1.1)


def test_the_session_carries_most_of_the_day() -> None:
    clock = VarianceClock()

    session = clock.years(_at(THIRD_FRIDAY, 9, 30), _at(THIRD_FRIDAY, 16)) * clock.year
    half = clock.years(_at(HALF_DAY, 9, 30), _at(HALF_DAY, 13)) * clock.year

    assert session == pytest.approx(0.65)
    assert half == pytest.approx(0.65 * 3.5 / 6.5)


def test_the_weight_of_a_weekend_does_not_depend_on_where_in_it_one_starts() -> None:
    clock = VarianceClock()
    friday, sunday, monday = date(2026, 9, 18), date(2026, 9, 20), date(2026, 9, 21)

    parts = clock.years(_at(friday, 16), _at(sunday, 12)) + clock.years(_at(sunday, 12), _at(monday, 9, 30))

    assert parts == pytest.approx(clock.years(_at(friday, 16), _at(monday, 9, 30)))
    assert parts * clock.year == pytest.approx(0.45)


def test_a_year_is_a_year_on_both_clocks() -> None:
    start = _at(date(2024, 9, 18), 16)

    left = years_to(start, "AAPL", date(2025, 9, 18), VarianceClock())

    assert left.clock is Clock.VARIANCE
    assert left.years == pytest.approx(1.0, abs=0.015)


def test_an_event_counts_once_it_lies_on_the_way() -> None:
    event = EventDay(_at(date(2026, 9, 16), 14), days=3.0)
    plain, clock = VarianceClock(), VarianceClock(events=(event,))
    start = _at(date(2026, 9, 16), 10)

    before, after = (
        clock.years(start, end) - plain.years(start, end)
        for end in (_at(date(2026, 9, 16), 13, 59), _at(date(2026, 9, 16), 14))
    )

    assert before == 0.0
    assert after * clock.year == pytest.approx(3.0)


def test_beyond_the_exchange_calendar_variance_runs_at_the_calendars_pace() -> None:
    clock = VarianceClock()
    start = datetime(2090, 1, 2, 12, tzinfo=UTC)

    assert clock.years(start, start + timedelta(days=73)) == pytest.approx(0.2)


@pytest.mark.parametrize(
    "wrong", [{"session": -0.1}, {"overnight": float("nan")}, {"session": 0.0, "overnight": 0.0}]
)
def test_weights_that_make_no_clock_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=r"overnight|session"):
        VarianceClock(**wrong)  # type: ignore[arg-type]


def test_an_event_of_negative_variance_is_refused() -> None:
    with pytest.raises(ValueError, match="days"):
        EventDay(_at(THIRD_FRIDAY, 14), days=-1.0)


@settings(max_examples=60, deadline=None)
@given(
    minutes=st.integers(0, 2 * 365 * 24 * 60),
    first=st.integers(0, 40 * 24 * 60),
    second=st.integers(0, 40 * 24 * 60),
)
def test_variance_never_runs_backwards_and_adds_up(minutes: int, first: int, second: int) -> None:
    clock = VarianceClock(events=(EventDay(datetime(2025, 1, 29, 19, tzinfo=UTC), 2.0),))
    start = datetime(2024, 6, 1, tzinfo=UTC) + timedelta(minutes=minutes)
    middle = start + timedelta(minutes=first)
    end = middle + timedelta(minutes=second)

    parts = clock.years(start, middle), clock.years(middle, end)

    assert min(parts) >= 0.0
    assert sum(parts) == pytest.approx(clock.years(start, end), abs=1e-12)
