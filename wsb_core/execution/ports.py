"""What execution needs of the ledger, and whom it tells of trouble."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, Protocol

from wsb_core.domain.ids import BrokerOrderId, ClientOrderId, Price
from wsb_core.domain.orders import ApprovedOrder, IntentKey, Order, OrderState

from .recovery import Trouble

log = logging.getLogger("wsb.execution")


class IntentView(Protocol):
    """An order as the ledger remembers it."""

    @property
    def order(self) -> Order: ...

    @property
    def state(self) -> OrderState: ...

    @property
    def created(self) -> bool: ...

    @property
    def broker_order_id(self) -> BrokerOrderId | None: ...

    @property
    def filled(self) -> int: ...

    @property
    def average(self) -> Price | None: ...

    @property
    def created_at(self) -> datetime: ...

    @property
    def updated_at(self) -> datetime: ...


class EventView(Protocol):
    """One thing said about an order."""

    @property
    def to_state(self) -> OrderState: ...

    @property
    def evidence(self) -> Mapping[str, str]: ...


LeaseView = Any
"""The ledger's own lease object: execution only carries it."""


class IntentBook(Protocol):
    """The part of the ledger that orders go through."""

    def record_intent(
        self, run_id: Any, approved: ApprovedOrder, *, lease: Any, at: datetime
    ) -> IntentView: ...

    def mark_sending(self, client_order_id: ClientOrderId, *, lease: Any, at: datetime) -> bool:
        """Commit that it is sent again; False, and nothing changed, when another run did."""
        ...

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

    def intent(self, client_order_id: ClientOrderId) -> IntentView: ...

    def attempts(self, key: IntentKey) -> tuple[IntentView, ...]:
        """Every recorded attempt of the decision that ``key`` names, oldest first."""
        ...

    def order_events(self, client_order_id: ClientOrderId) -> Sequence[EventView]:
        """All that was said about an order, oldest first."""
        ...


Report = Callable[[Trouble, Order, str], None]
"""Told of every trouble with an order, in plain words. Must not raise: it is called between two steps."""


def log_only(trouble: Trouble, order: Order, what: str) -> None:
    """The ``Report`` of those who only read: a line in the log."""
    log.warning("%s: %s: %s", trouble, order.client_order_id, what)
