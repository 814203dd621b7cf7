"""Small tables for the history tests, and the instants at which they became known."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

import pandas as pd

from wsb_core.domain.calendar import sessions_between

MONDAY, TUESDAY, WEDNESDAY = date(2024, 5, 13), date(2024, 5, 14), date(2024, 5, 15)
FIRST, LAST = date(2024, 1, 1), date(2024, 12, 31)
LATER = datetime(2024, 6, 3, 12, tzinfo=UTC)
MUCH_LATER = datetime(2024, 9, 3, 12, tzinfo=UTC)


def after_close(day: date) -> datetime:
    """An instant soon after the close of ``day``, summer or winter."""
    return datetime.combine(day, time(21, 30), UTC)


def some_bars(
    closes: dict[str, Sequence[float]] | None = None, first: date = MONDAY, **more: Any
) -> pd.DataFrame:
    """Daily bars of consecutive sessions from ``first``; one symbol, three sessions unless told."""
    rows = []
    for symbol, prices in (closes or {"AAPL": (100.0, 101.0, 102.0)}).items():
        sessions = sessions_between(first, first + timedelta(days=2 * len(prices) + 10))
        for session, close in zip(sessions, prices, strict=False):
            rows.append((symbol, session, close, close + 1, close * 0.99, close, 1000.0, "test"))
    names = ["symbol", "session", "open", "high", "low", "close", "volume", "source"]
    frame = pd.DataFrame(rows, columns=names)
    return frame.assign(session=pd.to_datetime(frame["session"]), **more)


def some_rows(columns: Sequence[str], *rows: Sequence[Any]) -> pd.DataFrame:
    """A frame of the source ``test``; columns of dates are made such."""
    frame = pd.DataFrame(list(rows), columns=list(columns)).assign(source="test")
    for name in set(columns) & {"session", "day", "ex_date", "pay_date", "first", "last"}:
        frame[name] = pd.to_datetime(frame[name])
    return frame


def a_snapshot(at: datetime, *contracts: tuple[str, float, float], **more: Any) -> pd.DataFrame:
    """A chain of AAPL: OCC symbol, bid, ask; NaN where not quoted."""
    frame = pd.DataFrame(list(contracts), columns=["occ_symbol", "bid", "ask"])
    day = pd.Timestamp(at.date())
    return frame.assign(symbol="AAPL", session=day, at=at, source="test", **more)
