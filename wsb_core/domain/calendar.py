"""Trading sessions of the New York exchanges, with half days, and year fractions."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from functools import lru_cache
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

if TYPE_CHECKING:
    from exchange_calendars import ExchangeCalendar

NEW_YORK = ZoneInfo("America/New_York")
FULL_DAY = timedelta(hours=6, minutes=30)
SECONDS_A_YEAR = 365 * 24 * 3600
_FIRST_DAY = "1995-01-03"


@dataclass(frozen=True, slots=True)
class Session:
    """One trading day; ``opens`` and ``closes`` are aware instants."""

    day: date
    opens: datetime
    closes: datetime

    @property
    def half_day(self) -> bool:
        return self.closes - self.opens < FULL_DAY

    def is_open(self, at: datetime) -> bool:
        return self.opens <= at < self.closes

    def before_close(self, minutes: int) -> datetime:
        return self.closes - timedelta(minutes=minutes)

    def after_open(self, minutes: int) -> datetime:
        return self.opens + timedelta(minutes=minutes)


@lru_cache(maxsize=1)
def _calendar() -> ExchangeCalendar:
    # Imported late: it pulls pandas, and most commands never ask for a session.
    import exchange_calendars

    return exchange_calendars.get_calendar("XNYS", start=_FIRST_DAY)


def is_session(day: date) -> bool:
    """Whether the exchange trades on ``day`` at all.

    Raises: ValueError outside the calendar's span (1995 to a year from now).
    """
    return bool(_calendar().is_session(_inside(day).isoformat()))


def session_on(day: date) -> Session | None:
    """The session of ``day``; None on weekends and holidays."""
    if not is_session(day):
        return None
    calendar = _calendar()
    label = day.isoformat()
    opens = calendar.session_open(label).to_pydatetime()
    closes = calendar.session_close(label).to_pydatetime()
    return Session(day, opens.astimezone(NEW_YORK), closes.astimezone(NEW_YORK))


def sessions_between(first: date, last: date) -> tuple[date, ...]:
    """Trading days from ``first`` to ``last``, both included when they trade."""
    if last < first:
        return ()
    span = _calendar().sessions_in_range(_inside(first).isoformat(), _inside(last).isoformat())
    return tuple(stamp.date() for stamp in span)


def shift(day: date, sessions: int) -> date:
    """The trading day ``sessions`` after (before, when negative) ``day``; 0 is ``day`` or the next one."""
    calendar = _calendar()
    anchor = calendar.date_to_session(
        _inside(day).isoformat(), direction="next" if sessions <= 0 else "previous"
    )
    moved = calendar.session_offset(anchor, sessions)
    found: date = moved.date()
    return found


def last_session_on_or_before(day: date) -> date:
    """The trading day itself, or the one before a weekend or holiday."""
    found: date = _calendar().date_to_session(_inside(day).isoformat(), direction="previous").date()
    return found


def years_between(start: datetime, end: datetime) -> float:
    """Act/365 year fraction from the seconds between two instants; never negative."""
    return max(0.0, (end - start).total_seconds() / SECONDS_A_YEAR)


def _inside(day: date) -> date:
    calendar = _calendar()
    first, last = calendar.first_session.date(), calendar.last_session.date()
    if not first <= day <= last:
        raise ValueError(f"{day} is outside the exchange calendar ({first} to {last})")
    return day
