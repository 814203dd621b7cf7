"""Dates from the exchange's published calendars."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import pytest

from wsb_core.domain.calendar import (
    NEW_YORK,
    last_session_on_or_before,
    session_on,
    sessions_between,
    shift,
    years_between,
)
from wsb_core.domain.strategy import Cadence, Slot

SLOT = Slot("close-25m", -25, timedelta(minutes=15))


def test_the_day_after_thanksgiving_is_a_half_day():
    session = session_on(date(2025, 11, 28))

    assert session is not None
    assert session.half_day
    assert session.closes == datetime(2025, 11, 28, 13, 0, tzinfo=NEW_YORK)


@pytest.mark.parametrize("day", [date(2025, 11, 27), date(2025, 7, 4), date(2026, 4, 3), date(2025, 6, 14)])
def test_holidays_and_weekends_have_no_session(day):
    assert session_on(day) is None


def test_the_open_follows_new_york_through_both_changes_of_the_clock():
    spring = [session_on(date(2026, 3, d)) for d in (6, 9)]
    autumn = [session_on(date(2025, 10, 31)), session_on(date(2025, 11, 3))]

    assert [s.opens.astimezone(UTC).hour for s in spring if s] == [14, 13]
    assert [s.opens.astimezone(UTC).hour for s in autumn if s] == [13, 14]


def test_an_expiry_on_a_holiday_is_the_session_before():
    good_friday = date(2014, 4, 18)

    assert last_session_on_or_before(good_friday) == date(2014, 4, 17)


def test_sessions_are_counted_over_weekends_and_holidays():
    assert shift(date(2025, 11, 26), 1) == date(2025, 11, 28)
    assert shift(date(2025, 12, 1), -1) == date(2025, 11, 28)
    assert sessions_between(date(2025, 11, 26), date(2025, 12, 1)) == (
        date(2025, 11, 26),
        date(2025, 11, 28),
        date(2025, 12, 1),
    )


def test_a_slot_before_the_close_moves_with_the_close_of_a_half_day():
    full, half = session_on(date(2025, 11, 26)), session_on(date(2025, 11, 28))
    cadence = Cadence((SLOT,))

    assert full is not None
    assert half is not None
    assert SLOT.starts(full).time().isoformat() == "15:35:00"
    assert cadence.slot_at(half, datetime(2025, 11, 28, 12, 36, tzinfo=NEW_YORK)) is SLOT
    assert cadence.slot_at(half, datetime(2025, 11, 28, 12, 50, tzinfo=NEW_YORK)) is None
    assert cadence.slot_at(half, datetime(2025, 11, 28, 12, 34, 59, tzinfo=NEW_YORK)) is None


def test_a_day_outside_the_calendar_is_an_error_and_not_a_closed_day():
    with pytest.raises(ValueError, match="outside the exchange calendar"):
        session_on(date(1985, 1, 2))


def test_year_fractions_count_seconds():
    start = datetime(2026, 1, 5, 15, 59, tzinfo=NEW_YORK)

    assert years_between(start, start + timedelta(minutes=1)) == pytest.approx(60 / (365 * 86400))
    assert years_between(start, start - timedelta(days=1)) == 0.0
