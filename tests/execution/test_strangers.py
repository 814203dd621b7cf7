"""Orders that somebody else placed in the account: known from the first look to their end."""

from __future__ import annotations

from datetime import timedelta

import requests

from tests.execution.desk import Desk
from tests.flows.stage import ACCOUNT
from wsb_core.config import PRACTICE_KEY
from wsb_core.domain.orders import OrderState
from wsb_core.reconcile.compare import compare
from wsb_core.reconcile.sync import OVERLAP, views

HEADERS = dict(zip(("APCA-API-KEY-ID", "APCA-API-SECRET-KEY"), PRACTICE_KEY, strict=True))
RESTING = {
    "symbol": "AAPL",
    "qty": "1",
    "side": "buy",
    "type": "limit",
    "limit_price": "1.00",
    "time_in_force": "gtc",
}


def by_hand(desk: Desk) -> str:
    answer = requests.post(f"{desk.url}/v2/orders", json=RESTING, headers=HEADERS, timeout=5)
    answer.raise_for_status()
    return str(answer.json()["id"])


def breaks(desk: Desk) -> tuple[str, ...]:
    ours, theirs = views(desk.sender.broker, desk.ledger, ACCOUNT)
    day = desk.control.now().date()
    return tuple(b.key for b in compare(ours, theirs, today=day, after_close=False).unexplained)


def test_a_resting_order_that_was_told_of_is_no_difference_any_more(desk: Desk) -> None:
    by_hand(desk)
    before = breaks(desk)

    synced = desk.sync()

    assert len(before) == 1
    assert [order.state for order in synced.adopted] == [OrderState.WORKING]
    assert breaks(desk) == ()


def test_one_that_rests_longer_than_the_look_back_is_followed_to_its_end(desk: Desk) -> None:
    name = by_hand(desk)
    desk.sync()
    desk.control.advance((OVERLAP + timedelta(days=3)).total_seconds())
    now = desk.control.now()
    desk.sync(since=now)
    while_it_rests = breaks(desk)
    requests.delete(f"{desk.url}/v2/orders/{name}", headers=HEADERS, timeout=5).raise_for_status()

    desk.sync(since=now)

    assert while_it_rests == ()
    assert breaks(desk) == ()
    assert [order.state for order in desk.ledger.orders(ACCOUNT, adopted=True)] == [OrderState.CANCELED]
