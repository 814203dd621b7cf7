"""What every route shares: the engine, the keys, the ids handed out, the counts, and the streams."""

from __future__ import annotations

import uuid
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import TYPE_CHECKING

from aiohttp import web

from wsb_core.domain.calendar import sessions_between
from wsb_core.domain.contracts import Instrument, OptionContract, Share, parse_instrument
from wsb_core.domain.ids import Cash, Underlying
from wsb_core.exchange import hours
from wsb_core.exchange.model import PositionRow, Reject
from wsb_core.exchange.rules import wire_symbol

from .faults import FaultPlan

if TYPE_CHECKING:
    from wsb_core.exchange.engine import Exchange

PRACTICE_KEYS: Mapping[str, str] = {"practice-key": "practice-secret"}
_NAMESPACE = uuid.UUID("6f0c1f9e-4a0f-4d4e-9a52-6d1c9d3f6b70")


def asset_id(instrument: Instrument) -> str:
    """The same UUID for the same instrument in every process."""
    return str(uuid.uuid5(_NAMESPACE, wire_symbol(instrument)))


@dataclass
class Counts:
    """What arrived, for the tests that ask how often something was sent."""

    requests: Counter[str] = field(default_factory=Counter)
    """By method and path, faults included."""
    orders_received: int = 0
    orders_accepted: int = 0
    sends: Counter[str] = field(default_factory=Counter)
    """POSTs of an order by its client_order_id; one without is counted under the empty name."""


@dataclass(frozen=True, slots=True)
class EquityPoint:
    """Equity at one instant: the account's beginning, or a session's close."""

    at: datetime
    equity: Cash


class Venue:
    """One exchange behind the routes. Only the server's own thread may touch it."""

    def __init__(self, exchange: Exchange, keys: Mapping[str, str]) -> None:
        self.exchange = exchange
        self.keys = keys
        self.faults = FaultPlan()
        self.counts = Counts()
        self.suspended = False
        self.on_advance: list[Callable[[], None]] = []
        self.equity: list[EquityPoint] = [EquityPoint(exchange.now, exchange.account().equity)]
        self._with_options: set[Underlying] = set()
        self._symbols = frozenset(exchange.feed.symbols())
        self._by_id: dict[str, Instrument] = {asset_id(Share(s)): Share(s) for s in self._symbols}

    @property
    def now(self) -> datetime:
        return self.exchange.now

    @property
    def today(self) -> date:
        """The date in New York."""
        return hours.trading_date(self.now)

    def is_open(self) -> bool:
        return hours.session_at(self.now) is not None

    def advance(self, to: datetime) -> None:
        """Move the clock, noting equity at every close on the way.

        Raises: ValueError when ``to`` is before now.
        """
        for day in sessions_between(self.today, hours.trading_date(to)):
            session = hours.session_of(day)
            if session is not None and self.now < session.closes <= to:
                self.exchange.advance(session.closes)
                self.equity.append(EquityPoint(session.closes, self.exchange.account().equity))
        self.exchange.advance(to)
        for told in self.on_advance:
            told()

    def trades(self, instrument: Instrument) -> bool:
        """Whether it is listed here: a share of the feed, or an option on something with options."""
        if instrument.underlying in self._symbols:
            return True
        # An index has options and no shares.
        of_option = isinstance(instrument, OptionContract)
        return of_option and self.has_options(instrument.underlying)

    def has_options(self, underlying: Underlying) -> bool:
        """Whether contracts are listed on it today; remembered once they are."""
        if underlying not in self._with_options and self.exchange.feed.listed(underlying, self.today):
            self._with_options.add(underlying)
        return underlying in self._with_options

    def has_data(self, symbol: Underlying) -> bool:
        """Whether the feed has prices of it: every share, and an index it carries."""
        last = hours.last_closed(self.now).day
        return symbol in self._symbols or self.exchange.feed.day_bar(symbol, last) is not None

    def issue_id(self, instrument: Instrument) -> str:
        """The instrument's id, remembered so that a request may name it by that."""
        issued = asset_id(instrument)
        self._by_id[issued] = instrument
        return issued

    def instrument(self, text: str) -> Instrument:
        """What a symbol or an issued asset id names.

        Raises: Reject (404) when this exchange lists no such underlying.
        """
        found = self._by_id.get(text.lower()) or parse_instrument(text.strip().upper() or "?")
        if not self.trades(found):
            raise Reject(404, 40410000, f'asset "{text}" not found')
        # A symbol does not tell what an adjusted contract delivers; the one that is held does.
        adjusted = isinstance(found, OptionContract) and not found.standard
        held = self.position(found) if adjusted else None
        return found if held is None else held.instrument

    def position(self, instrument: Instrument) -> PositionRow | None:
        """The holding with this instrument's symbol; None when there is none."""
        rows = self.exchange.positions()
        return next((row for row in rows if row.instrument.symbol == instrument.symbol), None)

    def contract(self, text: str) -> OptionContract:
        """The option contract a symbol or an id names.

        Raises: Reject (404) when it names something else.
        """
        found = self.instrument(text)
        if not isinstance(found, OptionContract):
            raise Reject(404, 40410000, f'option contract "{text}" not found')
        return found


VENUE: web.AppKey[Venue] = web.AppKey("venue", Venue)
