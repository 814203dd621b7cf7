"""Bring the ledger up to the broker's last word: orders, fills, booked rows. Reads only; sends nothing."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, Protocol

from wsb_core.domain.activities import Activity, ActivityKind
from wsb_core.domain.contracts import OptionContract
from wsb_core.domain.errors import Transient
from wsb_core.domain.ids import AccountId, BrokerOrderId, Cash, ClientOrderId, Price
from wsb_core.domain.orders import BrokerOrder, OrderState
from wsb_core.domain.ports import Broker
from wsb_core.domain.positions import OpenOrder

from .compare import View, expected_buying_power, unknown_orders

OVERLAP = timedelta(days=4)
"""How far before the last look rows are asked for again: a long weekend of late bookings."""
FIRST_LOOK = datetime(2000, 1, 1, tzinfo=UTC)
"""From here an account that is new to the ledger is read: before any account that could be connected."""


class Books(Protocol):
    """The part of the ledger that keeps up with the broker."""

    def open_intents(self, account: AccountId) -> tuple[Any, ...]: ...

    def open_orders(self, account: AccountId) -> tuple[OpenOrder, ...]: ...

    def working(self, account: AccountId) -> frozenset[ClientOrderId]:
        """Orders that the broker was last known to have open, ours or not."""
        ...

    def known_states(
        self, account: AccountId, ids: Sequence[ClientOrderId]
    ) -> Mapping[ClientOrderId, tuple[OrderState, bool]]:
        """State of each of ``ids`` that is known here, and whether it was adopted."""
        ...

    def intent(self, client_order_id: ClientOrderId) -> Any: ...

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

    def balance(self, account: AccountId) -> Any:
        """Holdings and cash of one instant."""
        ...


@dataclass(frozen=True, slots=True)
class Synced:
    """What was new: fills and booked rows, orders nobody here had sent, orders still in doubt.

    Of the booked rows, ``strange`` are of a kind nobody here knows, and ``assigned`` took contracts before
    their expiry: both count, and a person should look.
    """

    fills: int
    activities: int
    adopted: tuple[BrokerOrder, ...]
    in_doubt: tuple[str, ...]
    strange: tuple[Activity, ...] = ()
    assigned: tuple[Activity, ...] = ()


def sync(
    broker: Broker,
    books: Books,
    *,
    account: AccountId,
    since: datetime,
    at: datetime,
    settle: Callable[[Any], Any],
    stranger: Callable[[BrokerOrder], object] = lambda _: None,
) -> Synced:
    """Refresh every order that may work, then take over fills and activities since ``since``.

    ``settle`` asks the broker about one intent and returns it as it then stands; ``stranger`` is told
    of each order at the broker that is new here and not ours, once it is certain and before it is booked.

    Raises: Transient or Terminal when the broker could not be read whole; nothing is inferred from
    a part.
    """
    in_doubt = []
    for intent in books.open_intents(account):
        settled = settle(intent)
        if settled.state in (OrderState.SENDING, OrderState.UNKNOWN):
            in_doubt.append(str(intent.order.client_order_id))
    there = broker.orders_since(since - OVERLAP)
    named = [order.client_order_id for order in there]
    ours = books.known_states(account, named)
    adopted = unknown_orders(ours, there)
    for order in there:
        state, strange = ours.get(order.client_order_id, (None, True))
        if state is None:
            # Before it is known here: a crash in between tells of it again.
            stranger(order)
        if strange:
            books.adopt_order(order, account=account, at=at)
        elif state is OrderState.ABANDONED:
            # Given up because the broker had denied it; its late arrival is the better evidence.
            settle(books.intent(order.client_order_id))
    _refresh_old_strangers(broker, books, account, named, at)
    fills = books.record_fills(account, broker.fills(since - OVERLAP), at)
    rows = broker.activities((since - OVERLAP).date())
    activities = books.record_activities(account, rows, at)
    unknown = tuple(row for row in rows if row.kind is ActivityKind.OTHER)
    return Synced(fills, activities, adopted, tuple(in_doubt), unknown, tuple(filter(_early, rows)))


def _refresh_old_strangers(
    broker: Broker, books: Books, account: AccountId, seen: Collection[ClientOrderId], at: datetime
) -> None:
    """Adopted orders that rest for longer than the look back: each is asked for by its id."""
    resting = sorted(books.working(account).difference(seen))
    for name, (_, strange) in books.known_states(account, resting).items():
        found = broker.order_by_client_id(name) if strange else None
        if found is not None:
            books.adopt_order(found, account=account, at=at)


def _early(row: Activity) -> bool:
    contract = row.instrument
    early = isinstance(contract, OptionContract) and row.booked_on < contract.expiry
    return row.kind is ActivityKind.ASSIGNMENT and early


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
    mine = books.working(account)
    theirs = frozenset(order.client_order_id for order in broker.open_orders())
    own, state = books.balance(account), broker.account()
    power = state.options_buying_power
    expected = expected_buying_power(own.holdings, own.cash, books.open_orders(account), state)
    return (
        View(own.holdings, own.cash, mine, buying_power=expected),
        View(
            broker.holdings(),
            state.cash,
            theirs,
            pending_cash=Cash(Decimal(0)) if state.pending_fees is None else state.pending_fees,
            buying_power=None if power is None else (power, power),
        ),
    )
