"""What an account holds, whole structures first, and what it may still spend."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal

from .contracts import Instrument
from .ids import AccountId, Cash, ClientOrderId, Price, StrategyName, Underlying
from .orders import OrderState
from .structures import Structure


@dataclass(frozen=True, slots=True)
class AccountState:
    """The broker's own figures. A figure it did not give is None, never 0."""

    account: AccountId
    equity: Cash
    cash: Cash
    buying_power: Cash
    options_buying_power: Cash | None
    options_level: int | None
    blocked: bool
    as_of: datetime
    pending_fees: Cash | None = None
    """Charged and not yet booked, as positive dollars."""


@dataclass(frozen=True, slots=True)
class Holding:
    """One instrument as the broker or the ledger counts it; ``quantity`` is signed."""

    instrument: Instrument
    quantity: Decimal


@dataclass(frozen=True, slots=True)
class Lot:
    """A tax unit: what one opening fill brought in and has not been closed. ``quantity`` is signed."""

    instrument: Instrument
    quantity: Decimal
    price: Price
    opened_at: datetime
    strategy: StrategyName | None


@dataclass(frozen=True, slots=True)
class Position:
    """Units of one structure held by one strategy, derived from fills.

    ``entry`` is the signed net price per share that opening moved in the account (debit -);
    ``facts`` are the numbers of the decision that opened it, such as the dip-day low.
    """

    account: AccountId
    strategy: StrategyName
    structure: Structure
    quantity: int
    entry: Price
    opened_at: datetime
    opened_session: date
    facts: Mapping[str, str] = field(default_factory=dict)
    opened_quantity: int | None = None
    """Units that were opened in all, of which ``quantity`` are left; None when not known."""

    def __post_init__(self) -> None:
        if self.quantity < 1:
            raise ValueError(
                f"{self.structure.symbol}: a position has at least one unit, not {self.quantity}"
            )

    @property
    def underlying(self) -> Underlying:
        return self.structure.underlying

    @property
    def cost(self) -> Cash:
        """Dollars that opening the remaining units moved in the account (paid -)."""
        return Cash(self.entry * self.structure.multiplier * self.quantity)


@dataclass(frozen=True, slots=True)
class OpenOrder:
    """An order that works, or may be working: it counts as if it were filled."""

    client_order_id: ClientOrderId
    strategy: StrategyName | None
    structure: Structure
    opening: bool
    quantity: int
    state: OrderState
    max_loss: Cash


@dataclass(frozen=True, slots=True)
class Book:
    """Everything risk and strategies may know of an account at ``as_of``; ledger and broker agree on it."""

    account: AccountState
    positions: tuple[Position, ...] = ()
    open_orders: tuple[OpenOrder, ...] = ()
    equity_at_open: Cash | None = None
    """Equity at the start of the session; None when unknown, which refuses entries."""
    peak_equity: Cash | None = None
    as_of: datetime | None = None

    def held(self, strategy: StrategyName, underlying: Underlying | None = None) -> tuple[Position, ...]:
        """Positions of one strategy, of one underlying when given."""
        return tuple(
            position
            for position in self.positions
            if position.strategy == strategy and underlying in (None, position.underlying)
        )

    def pending(self, strategy: StrategyName, underlying: Underlying | None = None) -> tuple[OpenOrder, ...]:
        """Orders of one strategy that work or may work, of one underlying when given."""
        return tuple(
            order
            for order in self.open_orders
            if order.strategy == strategy and underlying in (None, order.structure.underlying)
        )

    def working_on(self, instruments: Iterable[Instrument]) -> tuple[OpenOrder, ...]:
        """Orders of any strategy that touch one of ``instruments``: a broker refuses opposite sides."""
        wanted = frozenset(instruments)
        return tuple(
            order
            for order in self.open_orders
            if any(leg.instrument in wanted for leg in order.structure.legs)
        )
