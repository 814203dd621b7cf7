"""Bring the ledger up to the broker's last word: orders, fills, booked rows. Reads only; sends nothing."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, Protocol

from wsb_core.domain.activities import ActivityKind
from wsb_core.domain.errors import Transient
from wsb_core.domain.ids import AccountId, BrokerOrderId, Cash, ClientOrderId, Price
from wsb_core.domain.orders import BrokerOrder, OrderState
from wsb_core.domain.ports import Broker
from wsb_core.domain.positions import Holding

from .compare import View, unknown_orders

OVERLAP = timedelta(days=4)
"""How far before the last look rows are asked for again: a long weekend of late bookings."""
NEVER_SENT = timedelta(minutes=2)
FIRST_LOOK = datetime(2000, 1, 1, tzinfo=UTC)
"""From here an account that is new to the ledger is read: before any account that could be connected."""


class Books(Protocol):
    """The part of the ledger that keeps up with the broker."""

    def open_intents(self, account: AccountId) -> tuple[Any, ...]: ...

    def intents(self) -> tuple[Any, ...]: ...

    def move_order(
        self,
        client_order_id: ClientOrderId,
        state: OrderState,
        *,
        at: datetime,
        evidence: Mapping[str, str],
        broker_order_id: BrokerOrderId | None = None,
        filled: int | None = None,
        average: Price | None = None,
    ) -> bool: ...

    def adopt_order(self, broker_order: BrokerOrder, *, account: AccountId, at: datetime) -> bool: ...

    def record_fills(self, account: AccountId, fills: Any, at: datetime) -> int: ...

    def record_activities(self, account: AccountId, activities: Any, at: datetime) -> int: ...

    def holdings(self, account: AccountId) -> tuple[Holding, ...]: ...

    def cash(self, account: AccountId) -> Any: ...


@dataclass(frozen=True, slots=True)
class Synced:
    """What was new: fills and booked rows, orders nobody here had sent, orders still in doubt."""

    fills: int
    activities: int
    adopted: tuple[BrokerOrder, ...]
    in_doubt: tuple[str, ...]


def sync(
    broker: Broker,
    books: Books,
    *,
    account: AccountId,
    since: datetime,
    at: datetime,
    settle: Callable[[Any], Any],
) -> Synced:
    """Refresh every order that may work, then take over fills and activities since ``since``.

    ``settle`` asks the broker about one intent and returns it as it then stands.

    Raises: Transient or Terminal when the broker could not be read whole; nothing is inferred from
    a part.
    """
    in_doubt = []
    for intent in books.open_intents(account):
        if intent.state is OrderState.INTENDED:
            if at - intent.created_at > NEVER_SENT:
                evidence = {"sync": "the run that intended it ended before it was sent"}
                books.move_order(intent.order.client_order_id, OrderState.ABANDONED, at=at, evidence=evidence)
            continue
        settled = settle(intent)
        if settled.state in (OrderState.SENDING, OrderState.UNKNOWN):
            in_doubt.append(str(intent.order.client_order_id))
    ours = {intent.order.client_order_id: intent for intent in books.intents()}
    there = broker.orders_since(since - OVERLAP)
    for order in there:
        own = ours.get(order.client_order_id)
        if own is not None and own.state is OrderState.ABANDONED:
            # Given up because the broker had denied it; its late arrival is the better evidence.
            settle(own)
    adopted = unknown_orders(ours, there)
    for order in adopted:
        books.adopt_order(order, account=account, at=at)
    fills = books.record_fills(account, broker.fills(since - OVERLAP), at)
    activities = books.record_activities(account, broker.activities((since - OVERLAP).date()), at)
    return Synced(fills, activities, adopted, tuple(in_doubt))


def opening_cash(broker: Broker) -> Cash:
    """Cash the account began with: what it has now, less everything ever booked in it.

    With it, an account that traded before it came to the ledger is rebuilt from the broker's own
    history instead of being taken on trust.

    Raises: Transient when cash moved while the history was read, or the broker could not be read whole.
    """
    cash = broker.account().cash
    traded = (-f.quantity * f.price * f.instrument.multiplier for f in broker.fills(FIRST_LOOK))
    booked = (a.cash for a in broker.activities(FIRST_LOOK.date()) if a.kind is not ActivityKind.FILL)
    began = cash - sum(traded, Decimal(0)) - sum(booked, Decimal(0))
    if broker.account().cash != cash:
        raise Transient("the account's cash moved while its history was read; read it again")
    return Cash(began)


def views(broker: Broker, books: Books, account: AccountId) -> tuple[View, View]:
    """Our picture and the broker's, read now.

    Raises: Transient or Terminal when the broker could not be read whole.
    """
    mine = frozenset(
        intent.order.client_order_id
        for intent in books.open_intents(account)
        if intent.state.may_work and intent.state not in (OrderState.SENDING, OrderState.UNKNOWN)
    )
    theirs = frozenset(order.client_order_id for order in broker.open_orders())
    return (
        View(books.holdings(account), books.cash(account), mine),
        View(broker.holdings(), broker.account().cash, theirs),
    )
