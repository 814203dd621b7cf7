"""From wish to execution: proposal, order, fill, and the legal moves between order states."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from decimal import Decimal
from enum import StrEnum

from .contracts import Instrument
from .ids import AccountId, BrokerOrderId, Cash, ClientOrderId, Price, StrategyName, Underlying
from .structures import Structure


class Effect(StrEnum):
    OPEN = "open"
    CLOSE = "close"


class Action(StrEnum):
    """Side and position intent in one word: a closing order can never open a short."""

    BUY_TO_OPEN = "buy_to_open"
    SELL_TO_OPEN = "sell_to_open"
    BUY_TO_CLOSE = "buy_to_close"
    SELL_TO_CLOSE = "sell_to_close"

    @property
    def is_buy(self) -> bool:
        return self in (Action.BUY_TO_OPEN, Action.BUY_TO_CLOSE)


@dataclass(frozen=True, slots=True)
class OrderLeg:
    """``ratio`` is positive; ``action`` has the direction."""

    instrument: Instrument
    action: Action
    ratio: int


def order_legs(structure: Structure, effect: Effect) -> tuple[OrderLeg, ...]:
    """The legs that open or close one unit of ``structure``, in its own order."""
    legs = []
    for leg in structure.legs:
        long = leg.ratio > 0
        if effect is Effect.OPEN:
            action = Action.BUY_TO_OPEN if long else Action.SELL_TO_OPEN
        else:
            action = Action.SELL_TO_CLOSE if long else Action.BUY_TO_CLOSE
        legs.append(OrderLeg(leg.instrument, action, abs(leg.ratio)))
    return tuple(legs)


class OrderState(StrEnum):
    SENDING = "sending"
    """Committed to the ledger just before the request: a crash here leaves a question, not an answer."""
    UNKNOWN = "unknown"
    """Sent, and no readable answer. Only a look-up by client order id moves it on."""
    WORKING = "working"
    PARTIALLY_FILLED = "partially_filled"
    PENDING_CANCEL = "pending_cancel"
    FILLED = "filled"
    CANCELED = "canceled"
    EXPIRED = "expired"
    REJECTED = "rejected"
    REPLACED = "replaced"
    ABANDONED = "abandoned"
    """The broker says it never had it and the decision is no longer fresh."""

    @property
    def terminal(self) -> bool:
        return self in _TERMINAL

    @property
    def may_work(self) -> bool:
        """It works, or may be working: it counts against limits and blocks a second order."""
        return self in _MAY_WORK


_TERMINAL = frozenset(
    {
        OrderState.FILLED,
        OrderState.CANCELED,
        OrderState.EXPIRED,
        OrderState.REJECTED,
        OrderState.REPLACED,
        OrderState.ABANDONED,
    }
)
_MAY_WORK = frozenset(
    {
        OrderState.SENDING,
        OrderState.UNKNOWN,
        OrderState.WORKING,
        OrderState.PARTIALLY_FILLED,
        OrderState.PENDING_CANCEL,
    }
)
_AT_BROKER = frozenset(
    {
        OrderState.WORKING,
        OrderState.PARTIALLY_FILLED,
        OrderState.PENDING_CANCEL,
        OrderState.FILLED,
        OrderState.CANCELED,
        OrderState.EXPIRED,
        OrderState.REJECTED,
        OrderState.REPLACED,
    }
)

LEGAL_MOVES: Mapping[OrderState, frozenset[OrderState]] = {
    OrderState.SENDING: _AT_BROKER | {OrderState.UNKNOWN, OrderState.ABANDONED},
    OrderState.UNKNOWN: _AT_BROKER | {OrderState.SENDING, OrderState.ABANDONED},
    OrderState.WORKING: _AT_BROKER - {OrderState.WORKING},
    OrderState.PARTIALLY_FILLED: _AT_BROKER - {OrderState.WORKING, OrderState.REJECTED},
    OrderState.PENDING_CANCEL: _AT_BROKER - {OrderState.PENDING_CANCEL, OrderState.REJECTED},
    # A request that was given up can still turn up at the broker: its evidence wins.
    OrderState.ABANDONED: _AT_BROKER,
    OrderState.FILLED: frozenset(),
    OrderState.CANCELED: frozenset(),
    OrderState.EXPIRED: frozenset(),
    OrderState.REJECTED: frozenset(),
    OrderState.REPLACED: frozenset(),
}


def require_legal(now: OrderState, then: OrderState) -> None:
    """ValueError unless an order may go from ``now`` to ``then``."""
    if then not in LEGAL_MOVES[now]:
        raise ValueError(f"an order cannot go from {now} to {then}")


@dataclass(frozen=True, slots=True)
class Proposal:
    """A strategy's wish: what to open or close, at which signed net price (credit +, debit -).

    ``facts`` are the numbers the decision was made on, for the record.
    """

    structure: Structure
    effect: Effect
    limit: Price
    reason: str
    facts: Mapping[str, str] = field(default_factory=dict)
    quantity: int | None = None
    """Units to close; None on an opening proposal, which risk sizes."""
    urgent: bool = False
    """A hard-risk exit, which may cross the spread."""

    @property
    def underlying(self) -> Underlying:
        return self.structure.underlying


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a candidate was not traded: the first rule that said no, its value and its bound."""

    underlying: Underlying
    stage: str
    """screen, check, propose, review, gate or submit."""
    rule: str
    value: str
    bound: str
    detail: str = ""


@dataclass(frozen=True, slots=True)
class IntentKey:
    """What makes two orders the same order. Nothing about a run, a clock or a quote is in it."""

    account: AccountId
    strategy: StrategyName
    session: date
    slot: str
    """The decision slot of the session, such as ``close-25m``."""
    underlying: Underlying
    action: str
    """``open`` or ``close`` and, for a close, the structure it closes."""
    attempt: int = 1

    def __post_init__(self) -> None:
        if self.attempt < 1:
            raise ValueError(f"attempt starts at 1, not {self.attempt}")

    @property
    def client_order_id(self) -> ClientOrderId:
        """At most 48 characters of ``[a-z0-9-]``, the same for the same key in every process."""
        text = "\x1f".join(
            (self.account, self.strategy, self.session.isoformat(), self.slot, self.underlying, self.action)
        )
        digest = hashlib.sha256(f"{text}\x1f{self.attempt}".encode()).hexdigest()[:24]
        return ClientOrderId(f"wsb-{self.session:%Y%m%d}-{digest}-{self.attempt}")


@dataclass(frozen=True, slots=True)
class Order:
    """An instruction to the broker for ``quantity`` whole units at a signed net limit."""

    key: IntentKey
    structure: Structure
    effect: Effect
    quantity: int
    limit: Price
    may_cross: bool = False
    """A hard-risk exit: the limit may be walked through the touch."""

    def __post_init__(self) -> None:
        if self.quantity < 1:
            raise ValueError(f"{self.structure.symbol}: quantity must be at least 1, not {self.quantity}")

    @property
    def client_order_id(self) -> ClientOrderId:
        return self.key.client_order_id

    @property
    def legs(self) -> tuple[OrderLeg, ...]:
        return order_legs(self.structure, self.effect)

    @property
    def cash(self) -> Cash:
        """What a full fill at the limit moves in the account, before fees."""
        return Cash(self.limit * self.structure.multiplier * self.quantity)


_REVIEW_SEAL = object()


@dataclass(frozen=True, slots=True)
class Ruling:
    """What one risk rule said of one order: the value it measured against its bound."""

    rule: str
    passed: bool
    value: str
    bound: str


@dataclass(frozen=True, slots=True)
class ApprovedOrder:
    """An order that a risk review let through. Only this can be recorded and submitted."""

    order: Order
    review: Review
    reason: str
    facts: Mapping[str, str]
    _seal: object = field(repr=False, compare=False)

    def __post_init__(self) -> None:
        if self._seal is not _REVIEW_SEAL:
            raise TypeError("ApprovedOrder is made by Review.approve() alone")

    def at(self, limit: Price, attempt: int, quantity: int | None = None) -> ApprovedOrder:
        """The same approval, sent at another price: for an entry ``order.limit`` is the worst approved.

        A close is approved at any price, because an exit is never gated.

        Raises: ValueError for an entry's worse limit, or a larger quantity than was approved.
        """
        size = self.order.quantity if quantity is None else quantity
        if self.order.effect is Effect.OPEN and limit < self.order.limit:
            raise ValueError(f"limit {limit} is worse than the approved {self.order.limit}")
        if size > self.order.quantity:
            raise ValueError(f"quantity {size} is more than the approved {self.order.quantity}")
        key = replace(self.order.key, attempt=attempt)
        order = replace(self.order, key=key, limit=limit, quantity=size)
        return replace(self, order=order)


@dataclass(frozen=True, slots=True)
class Review:
    """The rulings on one order, in the order the rules ran; ``max_loss`` in positive dollars."""

    order: Order
    reviewed_at: datetime
    rulings: tuple[Ruling, ...]
    max_loss: Cash

    @property
    def refusal(self) -> Refusal | None:
        """The first rule that said no; None when all passed."""
        for ruling in self.rulings:
            if not ruling.passed:
                underlying = self.order.structure.underlying
                return Refusal(underlying, "review", ruling.rule, ruling.value, ruling.bound)
        return None

    def approve(self, reason: str, facts: Mapping[str, str]) -> ApprovedOrder:
        """The approved order.

        Raises: ValueError when a rule refused it, or when no rule looked at it.
        """
        if not self.rulings:
            raise ValueError(f"{self.order.client_order_id}: no risk rule was evaluated")
        if self.refusal is not None:
            raise ValueError(f"{self.order.client_order_id}: refused by {self.refusal.rule}")
        return ApprovedOrder(self.order, self, reason, dict(facts), _REVIEW_SEAL)


@dataclass(frozen=True, slots=True)
class Fill:
    """One execution of one leg. ``price`` is per share and positive; ``quantity`` is signed (sold -)."""

    execution_id: str
    client_order_id: ClientOrderId | None
    broker_order_id: BrokerOrderId
    instrument: Instrument
    quantity: Decimal
    price: Price
    at: datetime


@dataclass(frozen=True, slots=True)
class BrokerOrder:
    """An order as the broker tells it. ``filled`` counts units; ``average`` is the signed net price."""

    broker_order_id: BrokerOrderId
    client_order_id: ClientOrderId
    state: OrderState
    raw_status: str
    quantity: int
    filled: int
    average: Price | None
    legs: tuple[OrderLeg, ...]
    submitted_at: datetime
    updated_at: datetime
