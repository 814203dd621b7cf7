"""Changing and withdrawing orders, and losing the race against a fill."""

from __future__ import annotations

from decimal import Decimal

import pytest

from wsb_core.domain.ids import Price
from wsb_core.domain.orders import Action
from wsb_core.exchange.engine import Exchange
from wsb_core.exchange.model import Status, TradeEvent

from .conftest import C100, C105, CALM, P95, P100, a_feed, an_exchange, buy, ny, order, refusal, sell
from .hand_feed import HandFeed


def dollars(text: str) -> Price:
    return Price(Decimal(text))


def test_a_replacement_is_a_new_order_and_the_old_one_points_to_it(exchange: Exchange) -> None:
    events: list[TradeEvent] = []
    old = exchange.submit(buy(C100, 2, "1.00", cid="first"))
    exchange.subscribe(events.append)
    new = exchange.replace(old.id, limit=dollars("1.20"), client_order_id="second")
    ended = exchange.order(old.id)

    assert ended is not None
    assert (ended.status, ended.replaced_by, ended.replaced_at) == (Status.REPLACED, new.id, exchange.now)
    assert (new.status, new.replaces, new.client_order_id) == (Status.NEW, old.id, "second")
    assert new.request.limit == Decimal("1.20")
    assert [event.event for event in events] == ["replaced", "new"]


def test_a_replacement_that_is_marketable_fills(exchange: Exchange) -> None:
    old = exchange.submit(buy(C100, 2, "1.00"))

    assert exchange.replace(old.id, limit=dollars("1.60")).status is Status.FILLED


def test_a_replacement_takes_over_what_is_left(feed: HandFeed, exchange: Exchange) -> None:
    feed.put(C100, ny(10, 10), "1.50", "1.60", 4)
    old = exchange.submit(buy(C100, 10, "1.60"))
    new = exchange.replace(old.id, quantity=Decimal(7), limit=dollars("1.10"))

    assert (old.filled, new.request.quantity, new.filled) == (4, 3, 0)


def test_a_close_can_be_replaced_with_its_whole_position_held(exchange: Exchange) -> None:
    exchange.submit(buy(C100, 3, "1.60"))
    old = exchange.submit(sell(C100, 3, "2.00"))

    new = exchange.replace(old.id, limit=dollars("1.50"))
    assert (new.status, new.legs[0].action) == (Status.FILLED, Action.SELL_TO_CLOSE)


def test_replacing_loses_to_a_fill(feed: HandFeed, exchange: Exchange) -> None:
    feed.put(C100, ny(10, 10, 5), "0.80", "0.90")
    old = exchange.submit(buy(C100, limit="1.00"))
    exchange.advance(ny(10, 10, 6))

    no = refusal(lambda: exchange.replace(old.id, limit=dollars("1.20")))
    assert (no.status, no.code, no.message) == (422, 42210000, "cannot replace order in filled status")


def test_cancelling_loses_to_a_fill(exchange: Exchange) -> None:
    row = exchange.submit(buy(C100, limit="1.60"))

    no = refusal(lambda: exchange.cancel(row.id))
    assert (no.status, no.code, no.message) == (422, 42210000, 'order is already in "filled" state')


def test_an_order_that_is_not_routed_yet_cannot_be_replaced_but_cancelled(feed: HandFeed) -> None:
    exchange = Exchange(feed, ny(10, 8), CALM)
    row = exchange.submit(buy(C100, limit="1.00"))
    message = refusal(lambda: exchange.replace(row.id, limit=dollars("1.20"))).message
    exchange.cancel(row.id)

    after = exchange.order(row.id)
    assert message == "cannot replace order in accepted status"
    assert after is not None
    assert (after.status, after.canceled_at) == (Status.CANCELED, exchange.now)


def test_a_refused_replacement_leaves_the_old_order_working_in_its_place(
    feed: HandFeed, exchange: Exchange
) -> None:
    feed.put(C100, ny(10, 10, 5), "0.80", "0.90", 1)
    first = exchange.submit(buy(C100, limit="1.00", cid="first"))
    second = exchange.submit(buy(C100, limit="1.00"))
    no = refusal(lambda: exchange.replace(first.id, limit=dollars("1.10"), client_order_id="first"))
    exchange.advance(ny(10, 10, 5))

    filled, waiting = exchange.order(first.id), exchange.order(second.id)
    assert no.message == "client_order_id must be unique"
    assert filled is not None
    assert waiting is not None
    assert (filled.status, waiting.status) == (Status.FILLED, Status.NEW)


@pytest.mark.parametrize(
    ("quantity", "limit", "words"),
    [
        (None, None, "order parameters are not changed"),
        (Decimal(10), dollars("1.60"), "order parameters are not changed"),
        (Decimal(4), None, "qty must be > filled_qty"),
        (Decimal("5.5"), None, "qty must be integer"),
    ],
)
def test_replacement_terms_are_checked(
    feed: HandFeed, exchange: Exchange, quantity: Decimal | None, limit: Price | None, words: str
) -> None:
    feed.put(C100, ny(10, 10), "1.50", "1.60", 4)
    old = exchange.submit(buy(C100, 10, "1.60"))

    no = refusal(lambda: exchange.replace(old.id, quantity=quantity, limit=limit))
    assert (no.status, no.message) == (422, words)


def test_a_replacement_must_be_affordable(exchange: Exchange) -> None:
    old = exchange.submit(buy(C105, 10, "0.10"))

    no = refusal(lambda: exchange.replace(old.id, quantity=Decimal(10_001)))
    still = exchange.order(old.id)
    assert no.message == "insufficient options buying power"
    assert still is not None
    assert still.status is Status.NEW


def test_multi_leg_orders_are_replaced_only_when_the_setting_allows_it() -> None:
    spread = order((P100, Action.SELL_TO_OPEN), (P95, Action.BUY_TO_OPEN), limit="-2.00")
    closed, opened = an_exchange(a_feed()), an_exchange(a_feed(), multileg_replace=True)
    refused, allowed = closed.submit(spread), opened.submit(spread)

    no = refusal(lambda: closed.replace(refused.id, limit=dollars("-0.90")))
    assert (no.status, no.code, no.message) == (403, 40310000, "replace mleg order is disabled")
    assert opened.replace(allowed.id, limit=dollars("-0.90")).status is Status.FILLED


def test_an_unknown_order_is_not_found(exchange: Exchange) -> None:
    no = refusal(lambda: exchange.cancel("nothing"))

    assert (no.status, no.code, no.message) == (404, 40410000, "order not found")
    assert exchange.order("nothing") is None
    assert exchange.order_by_client_id("nothing") is None
