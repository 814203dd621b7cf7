"""What is particular to this vendor's rows: tickers with a letter in front, and times since 1970."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

from wsb_core.domain.contracts import OptionContract, parse_occ
from wsb_core.domain.ids import Price, Underlying
from wsb_core.domain.quotes import FeedClass

from .alpaca_rows import Row

KEY_VARIABLES = ("POLYGON_API_KEY", "MASSIVE_API_KEY")
"""Environment variables a key may be in: the vendor was renamed, and its keys go on working."""
INDICES = frozenset({"SPX", "XSP", "NDX", "XND", "RUT", "DJI", "DJX", "OEX", "VIX"})
"""Underlyings that are indices: they have a value and bars, no shares and no quote."""
TRUST = tuple(FeedClass)
"""Best first."""
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_YEAR_1990, _YEAR_2100 = 631_152_000, 4_102_444_800
MILLIS, NANOS = 1_000, 1_000_000_000


def ticker(symbol: Underlying) -> str:
    """``I:SPX`` for an index, the symbol itself for a share."""
    return f"I:{symbol}" if symbol in INDICES else symbol


def lesser(one: FeedClass, other: FeedClass) -> FeedClass:
    return max(one, other, key=TRUST.index)


def instant(row: Row, name: str, unit: int) -> datetime | None:
    """An instant counted since 1970, ``unit`` to the second, cut to microseconds; None when absent or 0.

    Raises: BadResponse for text with a date (it would have no zone), and for a count in another unit:
    that lands outside 1990 to 2100.
    """
    count = row.optional_number(name)
    if count is None or count == 0:
        return None
    if not _YEAR_1990 <= count / unit <= _YEAR_2100:
        raise row.bad(name, f"{'nanoseconds' if unit == NANOS else 'milliseconds'} since 1970")
    return _EPOCH + timedelta(microseconds=int(count * 1_000_000 / unit))


def required_instant(row: Row, name: str, unit: int) -> datetime:
    """As ``instant``; BadResponse when absent."""
    found = instant(row, name, unit)
    if found is None:
        raise row.bad(name, "an instant")
    return found


def side(row: Row, price: str, size: str) -> tuple[Price | None, int]:
    """Price and size of one side of a quote; a price of 0, or none, is no such side.

    Raises: BadResponse for a negative price, or a price without a size.
    """
    value = row.optional_number(price)
    if value is not None and value < 0:
        raise row.bad(price, "a price, or 0 for no such side")
    return (Price(value), row.whole(size)) if value else (None, 0)


def contract(row: Row, underlying: Underlying) -> OptionContract:
    """The contract a ticker such as ``O:AAPL261218C00100000`` names, held against what the row says of it.

    Not standard when the row says that it delivers anything but 100 shares of ``underlying``, or that it
    is exercised otherwise than contracts of its root are, or when its root is of another company, as
    after a merger: such a one can be tracked and not opened.

    Raises: BadResponse when the ticker names none, or the row contradicts it.
    """
    text = row.text("ticker")
    try:
        found = parse_occ(text.removeprefix("O:"))
    except ValueError:
        raise row.bad("ticker", "an option ticker") from None
    if row.day("expiration_date") != found.expiry:
        raise row.bad("expiration_date", f"the expiry that {text} names")
    if row.number("strike_price") != found.strike:
        raise row.bad("strike_price", f"the strike that {text} names")
    if row.text("contract_type") != ("call" if found.right == "C" else "put"):
        raise row.bad("contract_type", f"the right that {text} names")
    usual = (
        found.underlying == underlying
        and row.number("shares_per_contract") == found.multiplier
        and row.text("exercise_style") == found.style
        and not row.fields.get("additional_underlyings")
    )
    return found if usual else replace(found, underlying=underlying, standard=False)


def estimate(row: Row | None, name: str) -> float | None:
    """A model's number; None when the vendor gave none."""
    value = None if row is None else row.optional_number(name)
    return None if value is None else float(value)


def positive(row: Row, name: str) -> Decimal:
    """Raises: BadResponse unless it is a number above zero."""
    value = row.number(name)
    if value <= 0:
        raise row.bad(name, "a number above zero")
    return value
