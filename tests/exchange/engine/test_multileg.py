"""Orders of two to four legs: one net price, filled together or not at all."""

from __future__ import annotations

from decimal import Decimal

import pytest

from wsb_core.domain.orders import Action
from wsb_core.exchange.engine import Exchange
from wsb_core.exchange.model import OrderRequest, RowKind, Status, TradeEvent

from .conftest import C100, C100_JULY, C105, C110, P90, P95, P100, buy, holdings, ny, order
from .hand_feed import HandFeed

BTO, STO, BTC, STC = Action.BUY_TO_OPEN, Action.SELL_TO_OPEN, Action.BUY_TO_CLOSE, Action.SELL_TO_CLOSE


def put_spread(limit: str | None, quantity: int = 1) -> OrderRequest:
    """Sell the 100 put, buy the 95: worth -0.95 at the quotes (1.45 bid less 0.50 asked)."""
    return order((P100, STO), (P95, BTO), limit=limit, quantity=quantity)


def test_a_credit_spread_fills_at_bids_less_asks(exchange: Exchange) -> None:
    row = exchange.submit(put_spread("-0.90", 2))

    assert (row.status, row.filled, row.average) == (Status.FILLED, 2, Decimal("-0.95"))
    assert [(leg.filled, leg.average) for leg in row.legs] == [(2, Decimal("1.45")), (2, Decimal("0.50"))]
    assert holdings(exchange) == {P100: -2, P95: 2}
    assert exchange.account().cash == Decimal(100_000) + 190 - Decimal("0.12")


def test_a_debit_order_with_a_negative_limit_never_fills(exchange: Exchange) -> None:
    row = exchange.submit(order((C100, BTO), (C105, STO), limit="-1.20"))
    exchange.advance(ny(10, 15))

    after = exchange.order(row.id)
    assert after is not None
    assert after.filled == 0


def test_a_resting_package_fills_at_exactly_its_limit(feed: HandFeed, exchange: Exchange) -> None:
    feed.put(P100, ny(10, 10, 20), "1.90", "2.00")
    row = exchange.submit(put_spread("-1.13", 3))
    exchange.advance(ny(10, 11))

    after = exchange.order(row.id)
    fills = [activity for activity in exchange.activities() if activity.kind is RowKind.FILL]
    assert after is not None
    assert (after.status, after.average) == (Status.FILLED, Decimal("-1.13"))
    assert sum(fill.net_amount for fill in fills) == 339


def test_an_unequal_ratio_nets_exactly_as_well(feed: HandFeed, exchange: Exchange) -> None:
    feed.put(P90, ny(10, 10, 20), "0.05", "0.06")
    row = exchange.submit(order((P100, STO, 2), (P90, BTO, 3), limit="-2.61"))
    exchange.advance(ny(10, 11))

    after = exchange.order(row.id)
    fills = [activity for activity in exchange.activities() if activity.kind is RowKind.FILL]
    assert after is not None
    assert after.average == Decimal("-2.61")
    assert sum(fill.net_amount for fill in fills) == 261


def test_the_smallest_leg_size_limits_all_legs_in_ratio(feed: HandFeed, exchange: Exchange) -> None:
    feed.put(P90, ny(10, 10), "0.10", "0.15", 5)
    events: list[TradeEvent] = []
    exchange.subscribe(events.append)
    row = exchange.submit(order((P100, STO, 1), (P90, BTO, 2), limit="-1.00", quantity=3))
    exchange.advance(ny(10, 10, 1))

    assert (row.status, row.filled) == (Status.PARTIALLY_FILLED, 2)
    assert [leg.filled for leg in row.legs] == [2, 4]
    assert [event.event for event in events] == ["new", "partial_fill", "fill"]
    assert [execution.quantity for execution in events[-1].executions] == [-1, 2]
    assert holdings(exchange) == {P100: -3, P90: 6}


@pytest.mark.parametrize(("bid", "ask"), [(None, "0.50"), ("0.60", "0.50"), (None, None)])
def test_a_package_with_a_bad_leg_has_no_price(
    feed: HandFeed, exchange: Exchange, bid: str | None, ask: str | None
) -> None:
    feed.put(P95, ny(10, 10), bid, ask)
    row = exchange.submit(put_spread("-0.10"))

    assert (row.status, row.filled) == (Status.NEW, 0)
    assert holdings(exchange) == {}


def test_a_condor_opens_and_closes_whole(exchange: Exchange) -> None:
    opening = ((P90, BTO), (P95, STO), (C105, STO), (C110, BTO))
    closing = ((P90, STC), (P95, BTC), (C105, BTC), (C110, STC))
    exchange.submit(order(*opening, limit="-0.40"))
    opened = holdings(exchange)
    row = exchange.submit(order(*closing, limit="0.90"))

    assert opened == {P90: 1, P95: -1, C105: -1, C110: 1}
    assert (row.status, row.average) == (Status.FILLED, Decimal("0.80"))
    assert holdings(exchange) == {}


def test_a_calendar_is_covered_by_its_later_leg(exchange: Exchange) -> None:
    row = exchange.submit(order((C100, STO), (C100_JULY, BTO), limit="2.60"))

    assert (row.status, row.average) == (Status.FILLED, Decimal("2.60"))
    assert exchange.account().initial_margin == 0


def test_a_leg_that_is_already_held_closes_instead_of_opening(exchange: Exchange) -> None:
    exchange.submit(buy(C105, limit="0.50"))

    row = exchange.submit(order((C100, BTO), (C105, STC), limit="1.20"))
    assert row.status is Status.FILLED
    assert holdings(exchange) == {C100: 1}


def test_each_leg_has_its_own_execution_in_one_event(exchange: Exchange) -> None:
    events: list[TradeEvent] = []
    exchange.subscribe(events.append)
    row = exchange.submit(put_spread("-0.95", 2))

    executions = events[-1].executions
    assert [(e.leg_id, e.quantity, e.price, e.position_after) for e in executions] == [
        (row.legs[0].id, -2, Decimal("1.45"), -2),
        (row.legs[1].id, 2, Decimal("0.50"), 2),
    ]
