"""What several suites measure alike: days, ages, feeds and finite numbers."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, datetime
from typing import TYPE_CHECKING, Any

from wsb_core.domain import calendar
from wsb_core.domain.quotes import FeedClass

if TYPE_CHECKING:
    import pandas as pd

CLOCK_SKEW = 2.0
"""Seconds by which another's clock may run ahead of ours."""
FEEDS = {feed.value: rank for rank, feed in enumerate(FeedClass)}


def finite(column: str) -> Callable[[pd.DataFrame], pd.Series[bool]]:
    """The rule that ``column`` is a finite number."""

    def holds(frame: pd.DataFrame) -> pd.Series[bool]:
        import numpy as np

        found: pd.Series[bool] = np.isfinite(frame[column])
        return found

    return holds


def numbers(frame: pd.DataFrame, columns: tuple[str, ...]) -> None:
    """Makes ``columns`` floats in place; what is no number becomes NaN."""
    import pandas as pd

    for column in columns:
        frame[column] = pd.to_numeric(frame[column], errors="coerce").astype("float64")


def days(column: pd.Series[Any]) -> pd.Series[Any]:
    """Days without a zone; NaT where there is no telling which day is meant."""
    import pandas as pd

    if pd.api.types.is_numeric_dtype(column) and column.notna().any():
        # 20240701 would be read as nanoseconds after 1970.
        return pd.Series(pd.NaT, index=column.index, dtype="datetime64[us]")
    found = pd.to_datetime(column, errors="coerce")
    if not pd.api.types.is_datetime64_dtype(found):
        return pd.Series(pd.NaT, index=column.index, dtype="datetime64[us]")
    return found.where(found == found.dt.normalize())


def trades(day: date) -> bool:
    """Whether the exchange trades on ``day``."""
    try:
        return calendar.is_session(day)
    except ValueError:
        # Holidays are published about a year ahead: of a later day only the weekday is known.
        return day.weekday() < 5


def on_session(column: pd.Series[Any]) -> pd.Series[bool]:
    """Where a day (datetime64 without zone) is one on which the exchange trades."""
    import pandas as pd

    open_days = [stamp for stamp in column.dropna().unique() if trades(stamp.date())]
    found: pd.Series[bool] = column.isin(pd.DatetimeIndex(open_days))
    return found


def age_seconds(column: pd.Series[Any], at: datetime) -> pd.Series[float]:
    """Seconds from each time stamp to ``at``; NaN where there is none."""
    import pandas as pd

    stamps = pd.to_datetime(column, utc=True, errors="coerce")
    found: pd.Series[float] = (pd.Timestamp(at) - stamps).dt.total_seconds()
    return found


def recent(age: pd.Series[float], most: float) -> pd.Series[bool]:
    """Where an age is at most ``most`` seconds and not of the future."""
    return (age >= -CLOCK_SKEW) & (age <= most)


def feed_serves(column: pd.Series[Any], required: FeedClass | None) -> pd.Series[bool]:
    """Where a feed is ``required`` or better (None: any known one)."""
    worst = len(FEEDS) - 1 if required is None else FEEDS[required.value]
    return column.map(FEEDS) <= worst


def day_of(at: datetime) -> pd.Timestamp:
    """New York's date at an instant."""
    import pandas as pd

    return pd.Timestamp(at.astimezone(calendar.NEW_YORK).date())
