"""Exits for every strategy, in a flow of their own: no entry gate and no halt can stop them."""

from __future__ import annotations

from typing import Any

from prefect import State, flow
from prefect.states import Completed

from tasks.book import load_book_for_exits
from tasks.checks import check_held
from tasks.decide import confirm_exits, manage_book, review_exits
from tasks.desk import Closed, open_exit_desk
from tasks.halts import watch_account
from tasks.market import fetch_held
from tasks.notify import alert_failure
from tasks.orders import place_orders
from tasks.record import record_exits


@flow(name="manage-positions", timeout_seconds=900, on_failure=[alert_failure], on_crashed=[alert_failure])
def manage_positions() -> State[Any]:
    """Ask every position's strategy whether to keep it, and close what its exit rules want closed.

    The account is looked at first: a loss may halt entries, or want everything closed.
    """
    desk = open_exit_desk("manage-positions")
    if isinstance(desk, Closed):
        return Completed(name="Skipped", message=desk.reason)
    book = load_book_for_exits(desk)
    watch_account(desk, book.account)
    if not book.positions:
        return Completed(message=record_exits(desk, book, None, (), ()))
    quoted = fetch_held(desk, book)
    checked = check_held(desk, book, quoted)
    managed = confirm_exits(desk, book, manage_book(book, checked.markets))
    orders = review_exits(desk, managed, book)
    placed = place_orders(desk, orders, checked.markets)
    return Completed(message=record_exits(desk, book, managed, placed, checked.refused))
