"""Daily bars in Polygon's words, and the dividends that the vendor leaves in them taken out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, time
from math import nan
from typing import TYPE_CHECKING, Any

from wsb_core.domain.calendar import NEW_YORK
from wsb_core.domain.errors import BadResponse
from wsb_core.domain.events import CashDividend, Split
from wsb_core.domain.ids import Underlying

from .alpaca_rows import Row
from .polygon_rows import INDICES, MILLIS, positive, required_instant

if TYPE_CHECKING:
    import pandas as pd

COLUMNS = ("open", "high", "low", "close", "volume")


def daily_bar(symbol: Underlying, row: Row) -> dict[str, Any]:
    """A daily bar. Shares are stamped with midnight in New York, indices with midnight in Chicago."""
    stamp = required_instant(row, "t", MILLIS).astimezone(NEW_YORK)
    hours = (0, 1) if symbol in INDICES else (0,)
    if stamp.time() not in [time(hour) for hour in hours]:
        raise row.bad("t", "midnight in New York, so this is no daily bar")
    return {"symbol": str(symbol), "session": stamp.date(), **bar_values(symbol, row)}


def bar_values(symbol: Underlying, row: Row) -> dict[str, float]:
    prices = {name: float(positive(row, name[0])) for name in COLUMNS[:4]}
    volume = row.optional_number("v") if symbol in INDICES else row.number("v")
    return {**prices, "volume": nan if volume is None else float(volume)}


def without_dividends(
    records: Sequence[dict[str, Any]], dividends: Sequence[CashDividend], splits: Sequence[Split]
) -> list[dict[str, Any]] | str:
    """``records`` (by date, adjusted for splits) with each price before an ex-date scaled by
    1 - dividend / last close before it, the dividend in today's shares; or why that cannot be.

    Source: CRSP, price adjustment for cash distributions.
    """
    factors: dict[date, float] = {}
    for dividend in dividends:
        before = [record["close"] for record in records if record["session"] < dividend.ex_date]
        if not before:
            continue
        later = [split.ratio for split in splits if split.ex_date > dividend.ex_date]
        amount = float(dividend.amount)
        for ratio in later:
            amount /= float(ratio)
        if amount >= before[-1]:
            return (
                f"its dividend of {dividend.ex_date} ({amount:g}) is no less than the price, {before[-1]:g}"
            )
        factors[dividend.ex_date] = factors.get(dividend.ex_date, 1.0) - amount / before[-1]
    return [_scaled(record, factors) for record in records]


def _scaled(record: Mapping[str, Any], factors: Mapping[date, float]) -> dict[str, Any]:
    factor = 1.0
    for ex_date, each in factors.items():
        if record["session"] < ex_date:
            factor *= each
    return {**record, **{name: record[name] * factor for name in COLUMNS[:4]}}


def bars_frame(records: Sequence[Mapping[str, Any]]) -> pd.DataFrame:
    import pandas as pd

    frame = pd.DataFrame(list(records), columns=["symbol", "session", *COLUMNS])
    frame["session"] = pd.to_datetime(frame["session"]).astype("datetime64[ns]")
    frame = frame.astype(dict.fromkeys(COLUMNS, "float64"))
    twice = frame[frame.duplicated(["symbol", "session"])]
    if len(twice):
        symbol, session = twice.iloc[0][["symbol", "session"]]
        raise BadResponse(f"bars: {symbol} has two bars of {session:%Y-%m-%d}; nothing of it is used")
    return frame.sort_values(["symbol", "session"], ignore_index=True)
