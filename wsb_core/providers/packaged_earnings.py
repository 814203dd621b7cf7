"""Past announcement dates out of the ``demo`` extra. Hindsight: for practice sessions, never for orders."""

from __future__ import annotations

from wsb_core.market.events import EventSource, NoEvents, earnings_table

SOURCE = "HistoricalEarningsData 0.3, replayed"


def packaged_earnings() -> EventSource:
    """The package's 161 names; a source that knows nothing when the extra is not installed."""
    try:
        from HistoricalEarningsData.earnings_data import load_earnings_data
    except ImportError:
        return NoEvents()
    frame = load_earnings_data()
    dates = frame[["symbol", "earnings_date"]].rename(columns={"earnings_date": "date"})
    return earnings_table(dates.assign(date=dates["date"].astype("datetime64[us]")), SOURCE)
