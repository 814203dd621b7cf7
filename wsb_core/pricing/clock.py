"""Time to settlement: when a root settles, and the years until then on two clocks."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from enum import StrEnum
from functools import lru_cache
from typing import NamedTuple

from wsb_core.domain.calendar import (
    FULL_DAY,
    NEW_YORK,
    SECONDS_A_YEAR,
    Session,
    last_session_on_or_before,
    session_on,
    shift,
    years_between,
)
from wsb_core.domain.contracts import Settlement, settlement_of
from wsb_core.domain.quotes import require_aware

_OPENS, _CLOSES = time(9, 30), time(16)
_DAY = timedelta(days=1)
_SATURDAY = 5


class Clock(StrEnum):
    """What the years of a number were counted on."""

    CALENDAR = "calendar"
    VARIANCE = "variance"


@dataclass(frozen=True, slots=True)
class YearsTo:
    """Time left to settlement: 0 at the instant itself and after it."""

    years: float
    clock: Clock
    settles_at: datetime


@dataclass(frozen=True, slots=True)
class EventDay:
    """An announcement that adds the variance of ``days`` ordinary trading days at the instant ``at``."""

    at: datetime
    days: float

    def __post_init__(self) -> None:
        require_aware(self.at, "at")
        if not 0.0 <= self.days < float("inf"):
            raise ValueError(
                f"days must be a number of at least 0, not {self.days}; 3 is three days' variance"
            )


@dataclass(frozen=True, slots=True)
class VarianceClock:
    """Where a year's variance falls. One ordinary trading day, close to close, weighs 1.

    The defaults are rounded from SPY, QQQ and IWM of 2008 to 2021 (open-to-close 0.64 to 0.70 of a
    day's variance, each further closed day 0.06 to 0.09); French and Roll (1986) found 0.05 for a closed
    day. Inside a session, and inside a night, the weight falls evenly. A half day's session counts by its
    length. Events come on top.
    """

    session: float = 0.65
    overnight: float = 0.35
    closed_day: float = 0.05
    """Each weekend day or holiday between two sessions."""
    events: tuple[EventDay, ...] = ()

    def __post_init__(self) -> None:
        for name in ("session", "overnight", "closed_day"):
            value = getattr(self, name)
            if not 0.0 <= value < float("inf"):
                raise ValueError(
                    f"{name} must be a number of at least 0, not {value}; a trading day weighs 1"
                )
        if self.session + self.overnight <= 0:
            raise ValueError("session and overnight must not both be 0; a trading day weighs their sum")

    @property
    def year(self) -> float:
        """Weight of a year without events: 252 sessions and 113 closed days."""
        return 252 * (self.session + self.overnight) + 113 * self.closed_day

    def years(self, start: datetime, end: datetime) -> float:
        """Share of a year's variance between two instants; 0 when ``end`` is not after ``start``.

        Beyond the exchange calendar, where no holiday is known, time runs at the calendar's pace.

        Raises: ValueError when an instant has no time zone.
        """
        require_aware(start, "start")
        require_aware(end, "end")
        if end <= start:
            return 0.0
        first, last = start.timestamp(), end.timestamp()
        known, horizon = self._weight(first, last)
        events = sum(event.days for event in self.events if start < event.at <= end)
        return (known + events) / self.year + (last - horizon) / SECONDS_A_YEAR

    def _weight(self, first: float, last: float) -> tuple[float, float]:
        """Weight between two instants, and how far sessions are known (``last`` when they all are)."""
        total = 0.0
        day = datetime.fromtimestamp(first, NEW_YORK).date()
        before = _hours(_session_on_or_before(day - _DAY))
        while before.closes < last:
            try:
                session = _session(day)
            except ValueError:
                return total, max(first, before.closes)
            day += _DAY
            if session is None:
                continue
            now = _hours(session)
            night = self.overnight + self.closed_day * (now.day - before.day - 1)
            total += night * _overlap(first, last, before.closes, now.opens) / (now.opens - before.closes)
            total += self.session * _overlap(first, last, now.opens, now.closes) / FULL_DAY.total_seconds()
            before = now
        return total, last


def settles_at(root: str, expiry: date) -> datetime:
    """The instant whose prices decide what contracts of ``root`` expiring on ``expiry`` pay.

    The session's open for AM-settled roots, its close (13:00 on half days) for all others. An expiry on
    a day without trading, such as the Saturdays of before 2015, counts as the session before. Beyond the
    exchange calendar (about a year ahead) a weekday is taken for a full session.
    """
    session = _session_on_or_before(expiry)
    return session.opens if settlement_of(root) is Settlement.AM else session.closes


def last_trading_day(root: str, expiry: date) -> date:
    """The last session in which contracts of ``root`` trade: the one before expiry when AM-settled."""
    day = _session_on_or_before(expiry).day
    if settlement_of(root) is Settlement.PM:
        return day
    try:
        return shift(day, -1)
    except ValueError:
        return _session_on_or_before(day - _DAY).day


def years_to(at: datetime, root: str, expiry: date, clock: VarianceClock | None = None) -> YearsTo:
    """Years from ``at`` to settlement, to the second.

    On the calendar clock (seconds over 365 days, as volatilities are quoted) unless a variance clock is
    given; 0 at settlement and after.

    Raises: ValueError when ``at`` has no time zone.
    """
    require_aware(at, "at")
    end = settles_at(root, expiry)
    if clock is None:
        # In UTC, because two New York times subtract as if no clock had been changed between them.
        return YearsTo(years_between(at.astimezone(UTC), end.astimezone(UTC)), Clock.CALENDAR, end)
    return YearsTo(clock.years(at, end), Clock.VARIANCE, end)


@lru_cache(maxsize=8192)
def _session(day: date) -> Session | None:
    return session_on(day)


@lru_cache(maxsize=8192)
def _session_on_or_before(day: date) -> Session:
    try:
        session = session_on(last_session_on_or_before(day))
    except ValueError:
        session = None
    return session or _assumed(day)


def _assumed(day: date) -> Session:
    day -= _DAY * max(0, day.weekday() - _SATURDAY + 1)
    return Session(day, datetime.combine(day, _OPENS, NEW_YORK), datetime.combine(day, _CLOSES, NEW_YORK))


class _Hours(NamedTuple):
    """A session in seconds since 1970, which unlike local times can be subtracted across a clock change."""

    day: int
    opens: float
    closes: float


def _hours(session: Session) -> _Hours:
    return _Hours(session.day.toordinal(), session.opens.timestamp(), session.closes.timestamp())


def _overlap(first: float, last: float, opens: float, closes: float) -> float:
    return max(0.0, min(last, closes) - max(first, opens))
