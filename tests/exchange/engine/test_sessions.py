"""The clock: sessions, half days, orders outside them, and what falls due on the way."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal

import pytest

from wsb_core.domain.ids import Cash
from wsb_core.exchange.engine import Exchange
from wsb_core.exchange.model import OrderRow, RowKind, Status, TradeEvent

from .conftest import (
    C100,
    C100_JULY,
    C105,
    CALM,
    P100_JULY,
    SHARE,
    a_feed,
    an_exchange,
    buy,
    cover,
    ny,
    refusal,
    sell,
    write,
)
from .hand_feed import HandFeed


def now_of(exchange: Exchange, row: OrderRow) -> OrderRow:
    found = exchange.order(row.id)
    assert found is not None
    return found


def test_the_clock_only_moves_forward(exchange: Exchange) -> None:
    with pytest.raises(ValueError, match="only moves forward"):
        exchange.advance(ny(10, 9, 59))


@pytest.mark.parametrize("moment", [datetime(2024, 6, 10, 11)])
def test_a_naive_instant_is_refused(exchange: Exchange, moment: datetime) -> None:
    with pytest.raises(ValueError, match="timezone-aware"):
        exchange.advance(moment)


def test_now_is_told_in_utc(exchange: Exchange) -> None:
    exchange.advance(ny(10, 11))

    assert (exchange.now, exchange.now.tzinfo) == (ny(10, 11), UTC)


def test_an_order_sent_before_the_open_is_accepted_and_routed_at_the_open(feed: HandFeed) -> None:
    exchange = Exchange(feed, ny(10, 8), CALM)
    events: list[TradeEvent] = []
    exchange.subscribe(events.append)
    row = exchange.submit(buy(C100, limit="1.70"))
    exchange.advance(ny(10, 9, 29))
    early = now_of(exchange, row)
    exchange.advance(ny(10, 9, 30))

    assert row.status is Status.ACCEPTED
    assert early.status is Status.ACCEPTED
    assert [(event.event, event.at) for event in events] == [("new", ny(10, 9, 30)), ("fill", ny(10, 9, 30))]
    assert now_of(exchange, row).average == Decimal("1.60")


def test_a_market_order_for_shares_waits_for_the_open(feed: HandFeed) -> None:
    exchange = Exchange(feed, ny(9, 12), CALM)
    row = exchange.submit(buy(SHARE, 5))
    exchange.advance(ny(10, 9, 30))

    assert row.status is Status.ACCEPTED
    assert now_of(exchange, row).average == Decimal("100.01")


def test_a_day_order_expires_at_the_close(exchange: Exchange) -> None:
    events: list[TradeEvent] = []
    row = exchange.submit(buy(C100, limit="1.00"))
    exchange.subscribe(events.append)
    exchange.advance(ny(10, 18))

    after = now_of(exchange, row)
    assert (after.status, after.expired_at) == (Status.EXPIRED, ny(10, 16))
    assert [event.event for event in events] == ["expired"]
    assert exchange.account().options_buying_power == 100_000


def test_a_day_order_sent_after_the_close_is_for_the_next_session(exchange: Exchange) -> None:
    exchange.advance(ny(10, 17))
    row = exchange.submit(buy(C100, limit="1.00"))
    exchange.advance(ny(11, 12))
    next_day = now_of(exchange, row)
    exchange.advance(ny(11, 17))

    assert next_day.status is Status.NEW
    assert now_of(exchange, row).expired_at == ny(11, 16)


def test_a_half_day_closes_at_one(exchange: Exchange) -> None:
    exchange.advance(ny(3, 12, 59, month=7))
    row = exchange.submit(buy(C100_JULY, limit="1.00"))
    exchange.advance(ny(3, 13, 0, month=7))

    assert now_of(exchange, row).expired_at == ny(3, 13, 0, month=7)
    assert refusal(lambda: exchange.submit(buy(C100_JULY))).message.startswith("options market orders")


def test_a_good_till_cancelled_order_lasts_over_nights_and_holidays(
    feed: HandFeed, exchange: Exchange
) -> None:
    feed.put(SHARE, ny(20, 11), "89.99", "90.01", 1_000)
    row = exchange.submit(buy(SHARE, 5, "95.00", gtc=True))
    exchange.advance(ny(19, 12))
    waiting = now_of(exchange, row)
    exchange.advance(ny(20, 12))

    assert waiting.status is Status.NEW
    assert now_of(exchange, row).filled_at == ny(20, 11)


def test_a_good_till_cancelled_option_order_ends_with_its_contract() -> None:
    exchange = an_exchange(a_feed(), option_gtc=True)
    row = exchange.submit(buy(C105, limit="0.10", gtc=True))
    exchange.advance(ny(13, 17))
    before = now_of(exchange, row)
    exchange.advance(ny(14, 17))

    assert before.status is Status.NEW
    assert now_of(exchange, row).expired_at == ny(14, 16)


def test_a_close_accepted_overnight_is_rejected_when_the_position_is_gone(exchange: Exchange) -> None:
    exchange.submit(write(P100_JULY, limit="3.80"))
    exchange.advance(ny(10, 17))
    row = exchange.submit(cover(P100_JULY, limit="4.20"))
    events: list[TradeEvent] = []
    exchange.subscribe(events.append)
    exchange.assign(P100_JULY, 1)
    exchange.advance(ny(11, 9, 30))

    assert now_of(exchange, row).status is Status.REJECTED
    assert [event.event for event in events] == ["rejected"]


def test_an_order_accepted_overnight_is_rejected_when_its_money_is_gone(exchange: Exchange) -> None:
    exchange.advance(ny(10, 17))
    row = exchange.submit(buy(C100, 10, "1.60"))
    exchange.deposit(Cash(Decimal(-99_000)))
    exchange.advance(ny(11, 10))

    assert (row.status, now_of(exchange, row).status) == (Status.ACCEPTED, Status.REJECTED)
    assert exchange.account().cash == 1_000


def test_fills_and_their_fees_show_at_once_and_other_rows_the_next_morning(exchange: Exchange) -> None:
    exchange.submit(buy(C100, limit="1.60"))
    exchange.deposit(Cash(Decimal(5)))
    same_day = [row.kind for row in exchange.activities()]
    exchange.advance(datetime(2024, 6, 11, 8, 19, tzinfo=UTC))
    early = [row.kind for row in exchange.activities()]
    exchange.advance(datetime(2024, 6, 11, 8, 20, tzinfo=UTC))

    assert same_day == early == [RowKind.FILL, RowKind.FEE]
    assert [row.kind for row in exchange.activities()] == [RowKind.FILL, RowKind.FEE, RowKind.CSD]
    assert exchange.account().cash == 100_005 - 160 - Decimal("0.03")


def test_other_rows_show_at_once_when_so_set() -> None:
    exchange = an_exchange(a_feed(), activities_next_day=False)
    exchange.deposit(Cash(Decimal(5)))

    assert [row.kind for row in exchange.activities()] == [RowKind.CSD]


def test_a_row_that_shows_later_comes_after_those_already_seen(exchange: Exchange) -> None:
    exchange.submit(buy(C100, limit="1.60"))
    exchange.advance(ny(11, 3))
    seen = exchange.activities()
    exchange.advance(ny(11, 10))
    exchange.submit(sell(C100, limit="1.50"))

    later = exchange.activities()
    assert later[: len(seen)] == seen
    assert [row.id[:17] for row in later] == sorted(row.id[:17] for row in later)


def test_a_deposit_is_a_row_and_raises_cash(exchange: Exchange) -> None:
    exchange.deposit(CALM.starting_cash)

    assert exchange.account().cash == 200_000
    exchange.advance(ny(11, 10))
    assert [(row.kind, row.net_amount) for row in exchange.activities()] == [(RowKind.CSD, 100_000)]


def test_a_session_without_quotes_leaves_orders_as_they_are(feed: HandFeed, exchange: Exchange) -> None:
    feed.put(C100, ny(10, 10, 1), None, None)
    row = exchange.submit(buy(C100, limit="1.00"))
    exchange.advance(ny(10, 12))

    assert now_of(exchange, row).status is Status.NEW
