"""Option snapshots in Polygon's words, as the domain's quotes."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import date, datetime

from wsb_core.domain.calendar import NEW_YORK
from wsb_core.domain.contracts import OptionContract
from wsb_core.domain.quotes import FeedClass, OptionQuote, Provenance, Quote

from .alpaca_rows import Row
from .polygon_rows import NANOS, estimate, instant, lesser, side


@dataclass(frozen=True, slots=True)
class OptionSnapshot:
    """One contract's row; ``quote`` and ``at`` are None when it has never been quoted."""

    contract: OptionContract
    row: Row
    quote: Row | None
    at: datetime | None
    feed: FeedClass


def option_snapshot(contract: OptionContract, row: Row, feed: FeedClass) -> OptionSnapshot:
    quote = row.child("last_quote")
    if quote is None or not quote.fields:
        return OptionSnapshot(contract, row, None, None, feed)
    word = quote.optional_text("timeframe")
    if word not in ("REAL-TIME", "DELAYED", None):
        raise quote.bad("timeframe", "REAL-TIME or DELAYED")
    own = lesser(feed, FeedClass.DELAYED) if word == "DELAYED" else feed
    return OptionSnapshot(contract, row, quote, instant(quote, "last_updated", NANOS), own)


def option_quote(
    contract: OptionContract, snapshot: OptionSnapshot | None, whole: Provenance, on: date
) -> OptionQuote:
    if snapshot is None:
        return OptionQuote(Quote(contract, None, None, 0, 0, whole))
    row, greeks, day = snapshot.row, snapshot.row.child("greeks"), snapshot.row.child("day")
    began = None if day is None else instant(day, "last_updated", NANOS)
    traded = began is not None and began.astimezone(NEW_YORK).date() == on
    iv = estimate(row, "implied_volatility")
    return OptionQuote(
        quote=_sides(contract, snapshot, whole),
        # A volatility of 0 is no volatility.
        iv=iv if iv and iv > 0 else None,
        delta=estimate(greeks, "delta"),
        gamma=estimate(greeks, "gamma"),
        theta=estimate(greeks, "theta"),
        vega=estimate(greeks, "vega"),
        open_interest=None if row.optional_number("open_interest") is None else row.whole("open_interest"),
        volume=day.whole("volume") if day is not None and traded else None,
    )


def _sides(contract: OptionContract, snapshot: OptionSnapshot, whole: Provenance) -> Quote:
    row = snapshot.quote
    if row is None:
        return Quote(contract, None, None, 0, 0, whole)
    (bid, bid_size), (ask, ask_size) = side(row, "bid", "bid_size"), side(row, "ask", "ask_size")
    if (bid or ask) and snapshot.at is None:
        raise row.bad("last_updated", "an instant")
    own = replace(whole, feed=snapshot.feed, as_of=snapshot.at or whole.as_of)
    return Quote(contract, bid, ask, bid_size, ask_size, own)
