"""Small orders, fills and activities for ledger tests, and a desk that trades them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from itertools import count

from wsb_core.domain.activities import Activity, ActivityKind
from wsb_core.domain.contracts import Instrument, OptionContract, Right, Share
from wsb_core.domain.ids import (
    AccountId,
    BrokerOrderId,
    ClientOrderId,
    RunId,
    StrategyName,
    Underlying,
    cash,
    price,
)
from wsb_core.domain.orders import (
    ApprovedOrder,
    Effect,
    Fill,
    IntentKey,
    Order,
    OrderState,
    Review,
    Ruling,
)
from wsb_core.domain.structures import Structure, StructureLeg, single
from wsb_core.ledger import Intent, Lease, Ledger

ACCOUNT = AccountId("PA1")
WHEEL = StrategyName("wheel")
DIP = StrategyName("wsb_dip_bot")
RUN = RunId("run-1")
DAY = date(2026, 1, 14)
NOON = datetime(2026, 1, 14, 17, 0, tzinfo=UTC)
ACME = Underlying("ACME")
EXPIRY = date(2026, 2, 20)
_executions = count(1)


def option(right: Right, strike: int | str, expiry: date = EXPIRY) -> OptionContract:
    return OptionContract("ACME", expiry, right, Decimal(strike), ACME)


def call(strike: int | str, expiry: date = EXPIRY) -> OptionContract:
    return option(Right.CALL, strike, expiry)


def put(strike: int | str, expiry: date = EXPIRY) -> OptionContract:
    return option(Right.PUT, strike, expiry)


SHARES = single(Share(ACME))
LONG_CALL = single(call(100))
SHORT_PUT = single(put(95), -1)
SHORT_CALL = single(call(110), -1)
VERTICAL = Structure((StructureLeg(call(100), 1), StructureLeg(call(105), -1)))
CONDOR = Structure(
    (
        StructureLeg(put(90), 1),
        StructureLeg(put(95), -1),
        StructureLeg(call(105), -1),
        StructureLeg(call(110), 1),
    )
)
COVERED_CALL = Structure((StructureLeg(Share(ACME), 100), StructureLeg(call(110), -1)))


def approved(
    structure: Structure,
    effect: Effect = Effect.OPEN,
    quantity: int = 1,
    *,
    limit: str = "-1.00",
    strategy: StrategyName = DIP,
    slot: str = "close-25m",
    session: date = DAY,
    attempt: int = 1,
    reason: str = "because",
    max_loss: str = "100",
    account: AccountId = ACCOUNT,
) -> ApprovedOrder:
    action = "open" if effect is Effect.OPEN else f"close {structure.symbol}"
    key = IntentKey(account, strategy, session, slot, structure.underlying, action, attempt)
    order = Order(key, structure, effect, quantity, price(limit))
    review = Review(order, NOON, (Ruling("size", True, "1", "4"),), cash(max_loss))
    return review.approve(reason, {"low": "97.25"})


def executions(
    order: Order,
    prices: Sequence[str],
    units: int | None = None,
    *,
    at: datetime = NOON,
    broker_order_id: str | None = None,
) -> tuple[Fill, ...]:
    """One execution per leg for ``units`` (all when None) at ``prices`` in leg order."""
    size = order.quantity if units is None else units
    return tuple(
        Fill(
            execution_id=f"x{next(_executions)}",
            client_order_id=order.client_order_id if broker_order_id is None else None,
            broker_order_id=BrokerOrderId(broker_order_id or f"b-{order.client_order_id}"),
            instrument=leg.instrument,
            quantity=Decimal(leg.ratio * size * (1 if leg.action.is_buy else -1)),
            price=price(each),
            at=at,
        )
        for leg, each in zip(order.legs, prices, strict=True)
    )


def booked(
    kind: ActivityKind,
    instrument: Instrument | None = None,
    quantity: int | str = 0,
    *,
    price_: str | None = None,
    cash_: str = "0",
    at: datetime = NOON,
    group: str | None = None,
    order: str | None = None,
) -> Activity:
    number = next(_executions)
    return Activity(
        activity_id=f"a{number:06d}",
        kind=kind,
        raw_kind=kind.value.upper(),
        at=at,
        booked_on=at.date(),
        instrument=instrument,
        quantity=Decimal(quantity),
        price=None if price_ is None else price(price_),
        cash=cash(cash_),
        group=group,
        broker_order_id=None if order is None else BrokerOrderId(order),
    )


@dataclass
class Desk:
    """Trades on a ledger as the flows do: intent, sending, evidence, fills."""

    ledger: Ledger
    lease: Lease
    now: datetime = NOON
    slots: count[int] = field(default_factory=lambda: count(1))

    def tick(self, seconds: int = 1) -> datetime:
        self.now += timedelta(seconds=seconds)
        return self.now

    def intend(self, wish: ApprovedOrder) -> Intent:
        return self.ledger.record_intent(RUN, wish, lease=self.lease, at=self.tick())

    def lose(self, client_order_id: ClientOrderId) -> None:
        """Nobody knows what became of the request."""
        self.told(client_order_id, OrderState.UNKNOWN)

    def send_again(self, client_order_id: ClientOrderId) -> bool:
        return self.ledger.mark_sending(client_order_id, lease=self.lease, at=self.tick())

    def told(self, client_order_id: ClientOrderId, state: OrderState, filled: int | None = None) -> bool:
        return self.ledger.move_order(
            client_order_id,
            state,
            at=self.tick(),
            evidence={"raw_status": state.value},
            broker_order_id=BrokerOrderId(f"b-{client_order_id}"),
            filled=filled,
        )

    def trade(
        self,
        structure: Structure,
        effect: Effect,
        quantity: int,
        prices: Sequence[str],
        *,
        strategy: StrategyName = DIP,
        reason: str = "because",
    ) -> Order:
        """A whole order, from intent to filled with its executions recorded."""
        wish = approved(
            structure, effect, quantity, strategy=strategy, slot=f"slot-{next(self.slots)}", reason=reason
        )
        order = self.intend(wish).order
        self.told(order.client_order_id, OrderState.FILLED)
        fills = executions(order, prices, at=self.tick())
        self.ledger.record_fills(ACCOUNT, fills, self.tick())
        return order

    def book(self, *rows: Activity) -> None:
        self.ledger.record_activities(ACCOUNT, rows, self.tick())
