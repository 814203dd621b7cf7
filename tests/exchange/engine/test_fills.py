"""How orders trade against the quotes."""

from __future__ import annotations

from decimal import Decimal

import pytest

from wsb_core.exchange.engine import Exchange
from wsb_core.exchange.model import RowKind, Status, TradeEvent

from .conftest import (
    C100,
    C105,
    CALM,
    P95,
    SHARE,
    a_feed,
    an_exchange,
    booked,
    buy,
    cover,
    holdings,
    ny,
    sell,
    write,
)
from .hand_feed import HandFeed


def test_a_marketable_buy_fills_at_the_ask_and_not_at_its_better_limit(exchange: Exchange) -> None:
    row = exchange.submit(buy(C100, 2, "1.90"))

    assert (row.status, row.filled, row.average) == (Status.FILLED, 2, Decimal("1.60"))
    assert holdings(exchange) == {C100: 2}


def test_a_marketable_sell_fills_at_the_bid(exchange: Exchange) -> None:
    exchange.submit(buy(C100, 2, "1.60"))

    row = exchange.submit(sell(C100, 2, "1.20"))
    assert (row.status, row.average) == (Status.FILLED, Decimal("1.50"))
    assert holdings(exchange) == {}


def test_a_market_order_fills_at_the_quote(exchange: Exchange) -> None:
    assert exchange.submit(buy(C100)).average == Decimal("1.60")


def test_a_resting_limit_fills_at_its_limit_when_the_quote_reaches_it(
    feed: HandFeed, exchange: Exchange
) -> None:
    feed.put(C100, ny(10, 10, 30), "1.20", "1.30")
    row = exchange.submit(buy(C100, limit="1.40"))

    exchange.advance(ny(10, 10, 29))
    before = exchange.order(row.id)
    exchange.advance(ny(10, 11))
    after = exchange.order(row.id)
    assert before is not None
    assert before.status is Status.NEW
    assert after is not None
    assert (after.status, after.average) == (Status.FILLED, Decimal("1.40"))
    assert after.filled_at == ny(10, 10, 30)


def test_a_resting_sell_fills_at_its_limit_too(feed: HandFeed, exchange: Exchange) -> None:
    feed.put(C100, ny(10, 10, 30), "2.20", "2.30")
    exchange.submit(buy(C100, limit="1.60"))
    row = exchange.submit(sell(C100, limit="2.00"))

    exchange.advance(ny(10, 11))
    after = exchange.order(row.id)
    assert after is not None
    assert after.average == Decimal("2.00")


def test_one_long_advance_trades_like_many_short_ones(feed: HandFeed) -> None:
    feed.put(C100, ny(10, 10, 30), "1.20", "1.30", 2)
    ends = []
    for minutes in ([60], list(range(1, 61))):
        exchange = Exchange(feed, ny(10, 10), CALM)
        exchange.submit(buy(C100, 7, "1.40"))
        for minute in minutes:
            exchange.advance(ny(10, 10 + minute // 60, minute % 60))
        ends.append((exchange.orders(), exchange.activities()))

    assert ends[0] == ends[1]


def test_no_more_than_the_quoted_size_trades_in_a_minute(feed: HandFeed, exchange: Exchange) -> None:
    feed.put(C100, ny(10, 10), "1.50", "1.60", 4)
    row = exchange.submit(buy(C100, 10, "1.60"))
    exchange.advance(ny(10, 10, 1))
    second = exchange.order(row.id)
    exchange.advance(ny(10, 10, 2))
    third = exchange.order(row.id)

    assert second is not None
    assert third is not None
    assert (row.status, row.filled) == (Status.PARTIALLY_FILLED, 4)
    assert (second.status, second.filled) == (Status.PARTIALLY_FILLED, 8)
    assert (third.status, third.filled) == (Status.FILLED, 10)


def test_two_orders_of_one_minute_share_the_size(feed: HandFeed, exchange: Exchange) -> None:
    feed.put(C100, ny(10, 10), "1.50", "1.60", 4)
    first = exchange.submit(buy(C100, 3, "1.60"))
    second = exchange.submit(buy(C100, 3, "1.60"))

    assert (first.filled, second.filled) == (3, 1)


def test_every_nth_order_that_can_be_split_fills_in_part_first() -> None:
    exchange = an_exchange(a_feed(), partial_fill_every=2)

    rows = [exchange.submit(buy(C100, quantity, "1.60")) for quantity in (4, 1, 5, 4)]
    exchange.advance(ny(10, 10, 1))

    assert [row.filled for row in rows] == [4, 1, 2, 4]
    assert all(row.status is Status.FILLED for row in exchange.orders())


@pytest.mark.parametrize(("bid", "ask"), [(None, "1.60"), ("1.50", None), ("1.70", "1.60"), (None, None)])
def test_nothing_trades_on_a_one_sided_crossed_or_missing_quote(
    feed: HandFeed, exchange: Exchange, bid: str | None, ask: str | None
) -> None:
    feed.put(C100, ny(10, 10), bid, ask)

    assert exchange.submit(buy(C100, limit="2.00")).filled == 0


def test_fees_are_exact_and_booked_as_rows_of_their_own(exchange: Exchange) -> None:
    exchange.submit(buy(C100, 3, "1.60"))
    exchange.submit(sell(C100, 3, "1.50"))
    cash = exchange.account().cash

    assert cash == Decimal(100_000) - 480 + 450 - Decimal("0.18")
    assert [row.net_amount for row in booked(exchange, RowKind.FEE)] == [Decimal("-0.09")] * 2


def test_the_fee_on_shares_is_for_sales_and_rounds_up_to_the_cent(exchange: Exchange) -> None:
    exchange.submit(buy(SHARE, 130, "100.01"))
    exchange.submit(sell(SHARE, 130, "99.99"))

    # 130 x 0.000166 is 0.02158.
    assert [row.net_amount for row in booked(exchange, RowKind.FEE)] == [Decimal("-0.03")]


def test_a_fill_row_and_its_event_carry_one_id(exchange: Exchange) -> None:
    events: list[TradeEvent] = []
    exchange.subscribe(events.append)
    row = exchange.submit(buy(C100, 2, "1.60"))

    fill, _fee = exchange.activities()
    [execution] = events[-1].executions
    assert fill.id.endswith(f"::{execution.execution_id}")
    assert (fill.order_id, fill.quantity, fill.price, fill.net_amount) == (row.id, 2, Decimal("1.60"), -320)
    assert (fill.fill_type, fill.cumulative, fill.leaves) == ("fill", 2, 0)
    assert execution.position_after == 2


def test_events_tell_the_life_of_an_order_with_snapshots(feed: HandFeed, exchange: Exchange) -> None:
    feed.put(C100, ny(10, 10), "1.50", "1.60", 3)
    events: list[TradeEvent] = []
    stop = exchange.subscribe(events.append)
    row = exchange.submit(buy(C100, 5, "1.60"))
    exchange.cancel(row.id)
    stop()
    exchange.submit(buy(C105, limit="0.50"))

    assert [(event.event, event.order.status) for event in events] == [
        ("new", Status.NEW),
        ("partial_fill", Status.PARTIALLY_FILLED),
        ("canceled", Status.CANCELED),
    ]
    assert [event.order.filled for event in events] == [0, 3, 3]
    assert len({event.event_id for event in events}) == 3


def test_the_average_of_fills_at_two_prices_is_weighted(feed: HandFeed, exchange: Exchange) -> None:
    feed.put(C100, ny(10, 10), "1.50", "1.60", 3)
    feed.put(C100, ny(10, 10, 1), "1.60", "1.70", 3)
    row = exchange.submit(buy(C100, 4))
    exchange.advance(ny(10, 10, 1))

    after = exchange.order(row.id)
    assert after is not None
    assert after.average == Decimal("1.625")
    assert exchange.positions()[0].average == Decimal("1.625")


def test_a_sell_stop_waits_for_the_bid_and_then_sells_at_it(feed: HandFeed, exchange: Exchange) -> None:
    feed.put(SHARE, ny(10, 10, 5), "97.00", "97.02", 1000)
    exchange.submit(buy(SHARE, 10, "100.01"))
    row = exchange.submit(sell(SHARE, 10, stop="98.00"))
    exchange.advance(ny(10, 10, 10))

    after = exchange.order(row.id)
    assert row.status is Status.NEW
    assert after is not None
    assert (after.status, after.average) == (Status.FILLED, Decimal("97.00"))


def test_a_buy_stop_limit_that_is_jumped_over_rests_at_its_limit(feed: HandFeed, exchange: Exchange) -> None:
    feed.put(SHARE, ny(10, 10, 5), "103.00", "103.02", 1000)
    feed.put(SHARE, ny(10, 10, 8), "101.00", "101.02", 1000)
    row = exchange.submit(buy(SHARE, 10, "102.00", stop="101.50"))
    exchange.advance(ny(10, 10, 6))
    jumped = exchange.order(row.id)
    exchange.advance(ny(10, 10, 10))
    after = exchange.order(row.id)

    assert jumped is not None
    assert jumped.status is Status.NEW
    assert after is not None
    assert (after.status, after.average) == (Status.FILLED, Decimal("102.00"))


def test_shares_may_trade_in_fractions_and_not_be_sold_short_in_them(exchange: Exchange) -> None:
    assert exchange.submit(buy(SHARE, "1.5", "100.01")).filled == Decimal("1.5")


def test_shares_can_be_sold_short_and_covered(feed: HandFeed, exchange: Exchange) -> None:
    feed.put(SHARE, ny(10, 11), "94.99", "95.01", 1000)
    exchange.submit(write(SHARE, 100, "99.99"))
    exchange.advance(ny(10, 11))
    exchange.submit(cover(SHARE, 100, "95.01"))

    assert holdings(exchange) == {}
    assert exchange.account().cash == Decimal(100_000) + 498 - Decimal("0.02")


def test_a_short_option_keeps_the_average_it_was_sold_at(exchange: Exchange) -> None:
    exchange.submit(write(P95, 2, "0.40"))
    exchange.submit(cover(P95, 1, "0.50"))

    [row] = exchange.positions()
    assert (row.quantity, row.average, row.available) == (-1, Decimal("0.40"), 1)
