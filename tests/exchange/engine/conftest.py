"""A small market: XYZ at 100 on 2024-06-10 (a Monday), with options expiring that Friday and in a month."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from wsb_core.domain.calendar import NEW_YORK
from wsb_core.domain.contracts import Instrument, OptionContract, Right, Share
from wsb_core.domain.ids import Price, Underlying
from wsb_core.domain.orders import Action
from wsb_core.exchange.engine import Exchange
from wsb_core.exchange.model import (
    ActivityRow,
    OrderRequest,
    OrderType,
    Reject,
    RequestLeg,
    RowKind,
    Settings,
    TimeInForce,
)

from .hand_feed import HandFeed

XYZ = Underlying("XYZ")
SHARE = Share(XYZ)
FRIDAY = date(2024, 6, 14)
JULY = date(2024, 7, 19)
MONDAY = date(2024, 6, 10)


def ny(day: int, hour: int, minute: int = 0, month: int = 6) -> datetime:
    return datetime(2024, month, day, hour, minute, tzinfo=NEW_YORK)


def call(strike: str, expiry: date = FRIDAY) -> OptionContract:
    return OptionContract("XYZ", expiry, Right.CALL, Decimal(strike), XYZ)


def put(strike: str, expiry: date = FRIDAY) -> OptionContract:
    return OptionContract("XYZ", expiry, Right.PUT, Decimal(strike), XYZ)


C90, C100, C105, C110 = call("90"), call("100"), call("105"), call("110")
P100, P95, P90 = put("100"), put("95"), put("90")
C100_JULY = call("100", JULY)
P100_JULY = put("100", JULY)
CALM = Settings(partial_fill_every=0)
"""No random partial fills: what a test is not about does not happen."""


def order(
    *legs: tuple[Instrument, Action] | tuple[Instrument, Action, int],
    quantity: str | int = 1,
    limit: str | None = None,
    stop: str | None = None,
    gtc: bool = False,
    cid: str | None = None,
) -> OrderRequest:
    kind = {
        (False, False): OrderType.MARKET,
        (True, False): OrderType.LIMIT,
        (False, True): OrderType.STOP,
        (True, True): OrderType.STOP_LIMIT,
    }[limit is not None, stop is not None]
    return OrderRequest(
        legs=tuple(RequestLeg(leg[0], leg[1].is_buy, leg[2] if len(leg) > 2 else 1, leg[1]) for leg in legs),
        quantity=Decimal(quantity),
        type=kind,
        time_in_force=TimeInForce.GTC if gtc else TimeInForce.DAY,
        limit=Price(Decimal(limit)) if limit is not None else None,
        stop=Price(Decimal(stop)) if stop is not None else None,
        client_order_id=cid,
    )


def buy(
    instrument: Instrument, quantity: str | int = 1, limit: str | None = None, **more: Any
) -> OrderRequest:
    return order((instrument, Action.BUY_TO_OPEN), quantity=quantity, limit=limit, **more)


def sell(
    instrument: Instrument, quantity: str | int = 1, limit: str | None = None, **more: Any
) -> OrderRequest:
    """Sell what is held."""
    return order((instrument, Action.SELL_TO_CLOSE), quantity=quantity, limit=limit, **more)


def write(
    instrument: Instrument, quantity: str | int = 1, limit: str | None = None, **more: Any
) -> OrderRequest:
    """Sell what is not held."""
    return order((instrument, Action.SELL_TO_OPEN), quantity=quantity, limit=limit, **more)


def cover(
    instrument: Instrument, quantity: str | int = 1, limit: str | None = None, **more: Any
) -> OrderRequest:
    return order((instrument, Action.BUY_TO_CLOSE), quantity=quantity, limit=limit, **more)


def a_feed() -> HandFeed:
    """Every contract quoted 0.10 wide around a plausible premium, all week."""
    feed = HandFeed(date(2024, 6, 3), date(2024, 7, 31))
    start = ny(3, 9, 30)
    feed.put(SHARE, start, "99.99", "100.01", 1000)
    for contract, bid, ask in (
        (C90, "1.10", "1.20"),
        (C100, "1.50", "1.60"),
        (C105, "0.40", "0.50"),
        (C110, "0.10", "0.15"),
        (P100, "1.45", "1.55"),
        (P95, "0.40", "0.50"),
        (P90, "0.10", "0.15"),
        (C100_JULY, "3.90", "4.10"),
        (P100_JULY, "3.80", "4.00"),
    ):
        feed.put(contract, start, bid, ask)
    return feed


@pytest.fixture
def feed() -> HandFeed:
    return a_feed()


@pytest.fixture
def exchange(feed: HandFeed) -> Exchange:
    """Open at Monday 10:00 with 100,000 dollars."""
    return Exchange(feed, ny(10, 10), CALM)


def an_exchange(feed: HandFeed, **settings: Any) -> Exchange:
    return Exchange(feed, ny(10, 10), replace(CALM, **settings))


def holdings(exchange: Exchange) -> dict[Instrument, Decimal]:
    return {row.instrument: row.quantity for row in exchange.positions()}


def booked(exchange: Exchange, *kinds: RowKind) -> list[ActivityRow]:
    """Rows of ``kinds``, looked at eight days later so that all of them show."""
    exchange.advance(exchange.now + timedelta(days=8))
    return [row for row in exchange.activities() if row.kind in kinds]


def refusal(action: Callable[[], object]) -> Reject:
    with pytest.raises(Reject) as caught:
        action()
    return caught.value
