"""Past announcement dates out of the ``demo`` extra. Hindsight: for practice sessions, never for orders."""

from __future__ import annotations

from datetime import UTC, datetime

from wsb_core.domain.events import EarningsDate, ReportTime
from wsb_core.domain.ids import Underlying
from wsb_core.domain.quotes import FeedClass, Provenance

SOURCE = "HistoricalEarningsData 0.3, replayed"


def packaged_dates() -> list[EarningsDate]:
    """Every announcement of its 161 names by name and day, with the time of day that its loader leaves out.

    Raises: ImportError when the extra is not installed.
    """
    from importlib.resources import files

    import pandas as pd

    path = files("HistoricalEarningsData") / "data" / "aggregated_earnings_data_webscraped.csv"
    with path.open() as lines:
        frame = pd.read_csv(lines)
    # Such as "Jul 30, 2025, 6 AMEDT".
    told = frame["earnings_date"].str.extract(r"^(\w+ \d+, \d+), (\d+ [AP]M)")
    days = pd.to_datetime(told[0], format="%b %d, %Y")
    hours = pd.to_datetime(told[1], format="%I %p").dt.hour
    provenance = Provenance(SOURCE, FeedClass.REPLAYED, datetime(2026, 1, 15, tzinfo=UTC))
    found = [
        EarningsDate(Underlying(symbol), day.date(), _time(hour), None, provenance)
        for symbol, day, hour in zip(frame["symbol"], days, hours, strict=True)
        if day == day
    ]
    return sorted(found, key=lambda one: (one.underlying, one.day))


def _time(hour: float) -> ReportTime:
    """12 AM to 4 AM stand for "not known" in this table."""
    if 5 <= hour < 10:
        return ReportTime.BEFORE_OPEN
    if 10 <= hour < 16:
        return ReportTime.DURING
    return ReportTime.AFTER_CLOSE if hour >= 16 else ReportTime.UNKNOWN
