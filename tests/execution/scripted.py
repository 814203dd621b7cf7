"""A broker in memory that does with each order what its script says, and a clock that only a sleep moves."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from decimal import Decimal
from itertools import count

from tests.builders import ACCOUNT, AS_OF, an_account
from wsb_core.domain.activities import Activity
from wsb_core.domain.calendar import Session, session_on
from wsb_core.domain.contracts import Instrument
from wsb_core.domain.errors import OrderRejected, OutcomeUnknown, ProviderUnavailable
from wsb_core.domain.ids import AccountId, BrokerOrderId, Cash, ClientOrderId, Price
from wsb_core.domain.orders import BrokerOrder, Fill, Order, OrderState
from wsb_core.domain.ports import BrokerClock
from wsb_core.domain.positions import AccountState, Holding


class ManualClock:
    """Starts at ``AS_OF``."""

    def __init__(self) -> None:
        self._now = AS_OF

    def now(self) -> datetime:
        return self._now

    def sleep(self, seconds: float) -> None:
        self._now += timedelta(seconds=seconds)


@dataclass(frozen=True)
class Fate:
    """What becomes of one order: units filled on arrival, and those that beat its cancel."""

    at_once: int = 0
    on_cancel: int = 0
    rejected: str | None = None
    """The words in which it is refused."""
    status: tuple[str, OrderState] | None = None
    """What a look-up tells of it instead of its true status."""
    silent: bool = False
    """Taken, and neither the request nor a look-up is answered."""
    stubborn: bool = False
    """A cancel is taken and never comes to anything."""


class ScriptedBroker:
    """``Broker`` whose orders meet their ``fates`` in the order in which they come; later ones rest."""

    def __init__(self, clock: ManualClock, fates: Sequence[Fate]) -> None:
        self._clock, self._fates = clock, list(fates)
        self._ids = count(1)
        self.sent: list[Order] = []
        self._orders: dict[ClientOrderId, BrokerOrder] = {}
        self._by_id: dict[BrokerOrderId, tuple[Order, Fate]] = {}
        self._executions: list[Fill] = []
        self.power = "100000"
        self.blind_looks = 0
        """How many reads of the holdings still come before the broker's books know any fill."""
        self.deaf = False
        """Whether no look-up and no cancel is answered."""

    @property
    def account_id(self) -> AccountId:
        return ACCOUNT

    @property
    def mode(self) -> str:
        return "practice"

    def clock(self) -> BrokerClock:
        now = self._clock.now()
        return BrokerClock(now, True, now + timedelta(days=1), now + timedelta(minutes=20))

    def session(self, day: date) -> Session | None:
        return session_on(day)

    def account(self) -> AccountState:
        return an_account(options_buying_power=Cash(Decimal(self.power)))

    def holdings(self) -> tuple[Holding, ...]:
        if self.blind_looks:
            self.blind_looks -= 1
            return ()
        held: dict[Instrument, Decimal] = {}
        for fill in self._executions:
            held[fill.instrument] = held.get(fill.instrument, Decimal(0)) + fill.quantity
        return tuple(Holding(instrument, quantity) for instrument, quantity in held.items() if quantity)

    def open_orders(self) -> tuple[BrokerOrder, ...]:
        return tuple(order for order in self._orders.values() if not order.state.terminal)

    def orders_since(self, since: datetime) -> tuple[BrokerOrder, ...]:
        return tuple(order for order in self._orders.values() if order.submitted_at >= since)

    def order_by_client_id(self, client_order_id: ClientOrderId) -> BrokerOrder | None:
        found = self._orders.get(client_order_id)
        fate = None if found is None else self._by_id[found.broker_order_id][1]
        if self.deaf or (fate is not None and fate.silent):
            raise ProviderUnavailable(f"{client_order_id}: no answer")
        if found is not None and fate is not None and fate.status is not None:
            return replace(found, raw_status=fate.status[0], state=fate.status[1])
        return found

    def submit(self, order: Order) -> BrokerOrder:
        self.sent.append(order)
        fate = self._fates.pop(0) if self._fates else Fate()
        if fate.rejected is not None:
            raise OrderRejected(fate.rejected, code=40310000, status=403)
        now, name = self._clock.now(), BrokerOrderId(f"b{next(self._ids)}")
        self._by_id[name] = (order, fate)
        self._orders[order.client_order_id] = BrokerOrder(
            name,
            order.client_order_id,
            OrderState.WORKING,
            "new",
            order.quantity,
            0,
            None,
            order.legs,
            now,
            now,
        )
        if fate.at_once:
            self._fill(name, fate.at_once)
        if fate.silent:
            raise OutcomeUnknown(f"{order.client_order_id}: no answer")
        return self._orders[order.client_order_id]

    def cancel(self, broker_order_id: BrokerOrderId) -> None:
        if self.deaf:
            raise ProviderUnavailable("no answer")
        order, fate = self._by_id[broker_order_id]
        if fate.on_cancel:
            self._fill(broker_order_id, fate.on_cancel)
        told = self._orders[order.client_order_id]
        if not told.state.terminal and not fate.stubborn:
            self._tell(order, state=OrderState.CANCELED, raw_status="canceled")

    def fills(self, since: datetime) -> tuple[Fill, ...]:
        return tuple(fill for fill in self._executions if fill.at >= since)

    def activities(self, since: date) -> tuple[Activity, ...]:
        return ()

    def _fill(self, name: BrokerOrderId, units: int) -> None:
        order, _ = self._by_id[name]
        filled = self._orders[order.client_order_id].filled + units
        done = filled == order.quantity
        state = OrderState.FILLED if done else OrderState.PARTIALLY_FILLED
        self._tell(order, state=state, raw_status=state.value, filled=filled, average=order.limit)
        for leg in order.legs:
            quantity = Decimal(leg.ratio * units * (1 if leg.action.is_buy else -1))
            self._executions.append(
                Fill(
                    f"x{next(self._ids)}",
                    order.client_order_id,
                    name,
                    leg.instrument,
                    quantity,
                    Price(abs(order.limit)),
                    self._clock.now(),
                )
            )

    def _tell(self, order: Order, **changes: object) -> None:
        told = self._orders[order.client_order_id]
        self._orders[order.client_order_id] = replace(told, updated_at=self._clock.now(), **changes)
