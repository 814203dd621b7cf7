"""Sessions as the exchange needs them: which one is on, which is next, when a contract stops trading."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache

from wsb_core.domain.calendar import NEW_YORK, Session, last_session_on_or_before, session_on, shift
from wsb_core.domain.contracts import OptionContract, Settlement

BEFORE_OPEN = timedelta(hours=1)
"""How long before the open corporate actions take effect."""
LIQUIDATION = timedelta(minutes=45)
"""How long before the close expiring positions that cannot be exercised are sold off."""
LAST_OPENING = timedelta(minutes=30)
"""How long before the close opening orders in contracts that expire today stop."""
DECLINE = timedelta(minutes=30)
"""How long after the close a do-not-exercise is still taken."""
EXPIRY = timedelta(hours=2)
"""How long after the close expiring contracts are exercised, assigned or removed."""
MINUTE = timedelta(minutes=1)
_NEXT_MORNING = time(8, 20, tzinfo=UTC)

# The calendar library takes far longer than a dictionary, and a year's advance asks every day.
session_of = lru_cache(maxsize=4096)(session_on)
last_session = lru_cache(maxsize=4096)(last_session_on_or_before)


def trading_date(at: datetime) -> date:
    """The New York date of an instant."""
    return at.astimezone(NEW_YORK).date()


def session_at(at: datetime) -> Session | None:
    """The session that is open at ``at``; None outside."""
    session = session_of(trading_date(at))
    return session if session is not None and session.is_open(at) else None


def current_or_next(at: datetime) -> Session:
    """The session in which an order sent at ``at`` works: today's until its close, then the next."""
    day = trading_date(at)
    session = session_of(day)
    while session is None or at >= session.closes:
        day += timedelta(days=1)
        session = session_of(day)
    return session


def last_closed(at: datetime) -> Session:
    """The last session that has closed by ``at``."""
    day = trading_date(at)
    session = session_of(day)
    while session is None or at < session.closes:
        day -= timedelta(days=1)
        session = session_of(day)
    return session


def expiry_session(contract: OptionContract) -> date:
    """The session on which the contract settles; the one before when the date is no session."""
    return last_session(contract.expiry)


@lru_cache(maxsize=4096)
def last_trading_session(contract: OptionContract) -> date:
    """The last session the contract trades in: the one before settlement when that is at the open."""
    settles = expiry_session(contract)
    return shift(settles, -1) if contract.settlement is Settlement.AM else settles


def next_morning(at: datetime) -> datetime:
    """When the vendor shows what was booked at ``at``: 08:20 UTC of the day after, New York dates."""
    return datetime.combine(trading_date(at) + timedelta(days=1), _NEXT_MORNING)
