"""What the outside has to be able to do. Every adapter and every fake implements these."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Protocol

from .activities import Activity
from .calendar import Session
from .events import CorporateAction, EarningsDate, Headline, Yields
from .ids import AccountId, BrokerOrderId, ClientOrderId, Underlying
from .orders import BrokerOrder, Fill, Order
from .positions import AccountState, Holding
from .quotes import Chain, FeedClass, Provenance, Quote
from .strategy import ChainWindow

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, slots=True)
class BrokerClock:
    """The broker's own time and whether it trades."""

    now: datetime
    is_open: bool
    next_open: datetime
    next_close: datetime


class Broker(Protocol):
    """One account. Reads raise ``Transient`` or ``Terminal``; they never answer a failure with "empty"."""

    @property
    def account_id(self) -> AccountId: ...

    @property
    def mode(self) -> str:
        """``practice``, ``paper`` or ``live``."""
        ...

    def clock(self) -> BrokerClock: ...

    def session(self, day: date) -> Session | None:
        """The broker's calendar for one day; None when it does not trade."""
        ...

    def account(self) -> AccountState: ...

    def holdings(self) -> tuple[Holding, ...]:
        """Every position, option or share, as signed quantities."""
        ...

    def open_orders(self) -> tuple[BrokerOrder, ...]: ...

    def orders_since(self, since: datetime) -> tuple[BrokerOrder, ...]:
        """Every order submitted at or after ``since``, open or not, oldest first."""
        ...

    def order_by_client_id(self, client_order_id: ClientOrderId) -> BrokerOrder | None:
        """The order with this id; None only when the broker says it has none."""
        ...

    def submit(self, order: Order) -> BrokerOrder:
        """Send one order, once.

        Raises: OrderRejected when the broker says no, OutcomeUnknown when it cannot be told.
        """
        ...

    def cancel(self, broker_order_id: BrokerOrderId) -> None:
        """Ask for a cancel. It is not a cancel until a look-up says so, and a fill may win."""
        ...

    def fills(self, since: datetime) -> tuple[Fill, ...]:
        """Executions at or after ``since``, oldest first."""
        ...

    def activities(self, since: date) -> tuple[Activity, ...]:
        """Every booked row with a date on or after ``since``, fills included, oldest first."""
        ...


@dataclass(frozen=True, slots=True)
class Missing:
    """An answer that was asked for and not given, with the reason."""

    underlying: Underlying
    reason: str


@dataclass(frozen=True, slots=True)
class Bars:
    """Daily bars as a long frame: symbol, session (datetime64, no zone), open, high, low, close, volume.

    Prices adjusted for splits and dividends when ``adjusted``. ``missing`` names the symbols that
    were asked for and did not come; ``others`` says of the symbols that came from elsewhere than
    ``provenance`` where that was.
    """

    frame: pd.DataFrame
    adjusted: bool
    provenance: Provenance
    missing: tuple[Missing, ...] = ()
    others: Mapping[Underlying, Provenance] = field(default_factory=dict)


class DataKind(StrEnum):
    """What a source may be asked for; the method of that name answers."""

    BARS = "bars"
    RAW_BARS = "raw_bars"
    TODAY = "today"
    QUOTES = "quotes"
    CHAIN = "chain"
    EARNINGS = "earnings"
    ACTIONS = "corporate_actions"
    YIELDS = "yields"
    NEWS = "news"


@dataclass(frozen=True, slots=True)
class Service:
    """How a source serves one kind of data: how good it is, how often and how long it may be asked.

    ``requests_a_minute`` is None where nobody counts.
    """

    feed: FeedClass
    requests_a_minute: int | None
    deadline_seconds: float


class Source(Protocol):
    """Somewhere data comes from. It has the methods of exactly the kinds that ``services`` lists."""

    @property
    def name(self) -> str: ...

    @property
    def services(self) -> Mapping[DataKind, Service]: ...


class RawBarsSource(Source, Protocol):
    def raw_bars(self, symbols: Sequence[Underlying], first: date, last: date) -> Bars:
        """As ``MarketData.bars``, in prices and shares as they were traded."""
        ...


class EarningsSource(Source, Protocol):
    def earnings(
        self, symbols: Sequence[Underlying], first: date, last: date
    ) -> Mapping[Underlying, tuple[EarningsDate, ...] | Missing]:
        """Announcements from ``first`` to ``last`` by day. ``Missing`` when a name is not covered, which is
        not the same as an empty tuple: covered, and nothing announced."""
        ...


class ActionsSource(Source, Protocol):
    def corporate_actions(
        self, symbols: Sequence[Underlying], first: date, last: date
    ) -> Mapping[Underlying, tuple[CorporateAction, ...] | Missing]:
        """Dividends, splits, renamings and reorganisations that take effect in the span, by date."""
        ...


class YieldsSource(Source, Protocol):
    def yields(self, first: date, last: date) -> tuple[Yields, ...]:
        """Treasury yields of every day that was published in the span, by day."""
        ...


class NewsSource(Source, Protocol):
    def news(self, symbols: Sequence[Underlying], since: datetime) -> tuple[Headline, ...]:
        """Items at or after ``since``, oldest first."""
        ...


class MarketData(Protocol):
    """A source of quotes, bars and chains, or several of them behind one."""

    @property
    def name(self) -> str: ...

    def bars(self, symbols: Sequence[Underlying], first: date, last: date) -> Bars:
        """Adjusted daily bars of completed sessions from ``first`` to ``last``, both included."""
        ...

    def today(self, symbols: Sequence[Underlying]) -> Bars:
        """The session so far, one row a symbol, in the same columns; ``close`` is the last price."""
        ...

    def quotes(self, symbols: Sequence[Underlying]) -> Mapping[Underlying, Quote | Missing]: ...

    def chain(self, underlying: Underlying, window: ChainWindow, on: date) -> Chain:
        """Contracts expiring inside the window counted from ``on``, with open interest joined.

        Raises: Transient or Terminal; a chain that could not be read whole is not returned.
        """
        ...


class Clock(Protocol):
    """Time for the flows: the wall's, or the practice exchange's simulated one."""

    def now(self) -> datetime: ...

    def sleep(self, seconds: float) -> None: ...


class AlertChannel(Protocol):
    """Somewhere a message can be posted."""

    @property
    def name(self) -> str: ...

    def send(self, title: str, body: str) -> None:
        """Post once. Raises ``Transient`` or ``Terminal`` when it was not accepted."""
        ...
