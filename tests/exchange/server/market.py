"""A small market whose every price can be worked out by hand: the feed behind the server's tests."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime, timedelta
from decimal import Decimal

import pandas as pd

from wsb_core.domain.calendar import NEW_YORK, sessions_between
from wsb_core.domain.contracts import OptionContract, Right, Share
from wsb_core.domain.ids import Price, Underlying
from wsb_core.domain.quotes import FeedClass, OptionQuote, Provenance, Quote
from wsb_core.domain.strategy import ChainWindow
from wsb_core.exchange.hours import session_of
from wsb_core.exchange.model import CorporateAction, DayBar, Listed

AAPL, MSFT, SPY = Underlying("AAPL"), Underlying("MSFT"), Underlying("SPY")
FIRST, LAST = date(2026, 2, 2), date(2026, 4, 30)
MINUTE = timedelta(minutes=1)
VOLUME_A_MINUTE = 1000
SPLIT_DAY = date(2026, 3, 17)
DIVIDEND_DAY = date(2026, 3, 10)
_BASE = {AAPL: Decimal(100), MSFT: Decimal(100), SPY: Decimal(100)}
_STRIKES = tuple(Decimal(strike) for strike in range(80, 125, 5))


def ny(text: str) -> datetime:
    """``2026-03-02 10:00`` in New York."""
    return datetime.fromisoformat(text).replace(tzinfo=NEW_YORK)


class SmallMarket:
    """Each session opens at a symbol's base and rises by a cent a minute; options cost value plus time.

    SPY splits two for one on ``SPLIT_DAY`` (its base halves), MSFT pays 0.75 on ``DIVIDEND_DAY``.
    """

    def __init__(self) -> None:
        self._sessions = sessions_between(FIRST, LAST)

    @property
    def source(self) -> str:
        return "small market, made by hand"

    def symbols(self) -> tuple[Underlying, ...]:
        return (AAPL, MSFT, SPY)

    def sessions(self) -> tuple[date, ...]:
        return self._sessions

    def price(self, underlying: Underlying, at: datetime) -> Decimal | None:
        """The path at ``at``; None before the day's open, the last price after its close."""
        day = at.astimezone(NEW_YORK).date()
        session = session_of(day) if day in self._sessions else None
        if session is None or at < session.opens or underlying not in _BASE:
            return None
        minutes = int((min(at, session.closes) - session.opens) / MINUTE)
        return self._base(underlying, day) + Decimal(minutes) / 100

    def _base(self, underlying: Underlying, day: date) -> Decimal:
        halved = underlying == SPY and day >= SPLIT_DAY
        return _BASE[underlying] / 2 if halved else _BASE[underlying]

    def _open(self, at: datetime) -> bool:
        session = session_of(at.astimezone(NEW_YORK).date())
        return session is not None and session.is_open(at)

    def quote(self, underlying: Underlying, at: datetime) -> Quote | None:
        price = self.price(underlying, at)
        if price is None or not self._open(at):
            return None
        told = Provenance(self.source, FeedClass.REPLAYED, at)
        cent = Decimal("0.01")
        return Quote(Share(underlying), Price(price - cent), Price(price + cent), 1000, 1000, told)

    def day_so_far(self, underlying: Underlying, at: datetime) -> DayBar | None:
        price = self.price(underlying, at)
        if price is None:
            return None
        day = at.astimezone(NEW_YORK).date()
        opened = self._base(underlying, day)
        minutes = int((price - opened) * 100)
        return DayBar(
            day, Price(opened), Price(price), Price(opened), Price(price), minutes * VOLUME_A_MINUTE
        )

    def day_bar(self, underlying: Underlying, session: date) -> DayBar | None:
        if session not in self._sessions:
            return None
        found = session_of(session)
        return None if found is None else self.day_so_far(underlying, found.closes)

    def daily_bars(
        self, symbols: Sequence[Underlying], first: date, last: date, *, adjusted: bool
    ) -> pd.DataFrame:
        rows = []
        for symbol in symbols:
            for day in self._sessions:
                bar = self.day_bar(symbol, day) if first <= day <= last else None
                if bar is not None:
                    factor = self._factor(symbol, day, last) if adjusted else 1.0
                    prices = [float(p) * factor for p in (bar.open, bar.high, bar.low, bar.close)]
                    shares = 2 if adjusted and symbol == SPY and day < SPLIT_DAY <= last else 1
                    rows.append((symbol, pd.Timestamp(day), *prices, bar.volume * shares))
        columns = ["symbol", "session", "open", "high", "low", "close", "volume"]
        return pd.DataFrame(rows, columns=columns)

    def _factor(self, symbol: Underlying, day: date, last: date) -> float:
        if symbol == SPY and day < SPLIT_DAY <= last:
            return 0.5
        if symbol == MSFT and day < DIVIDEND_DAY <= last:
            return 1 - 0.75 / 103.9
        return 1.0

    def expiries(self, on: date) -> tuple[date, ...]:
        """The next four Fridays, today's included; Good Friday's is the Thursday before."""
        friday = on + timedelta(days=(4 - on.weekday()) % 7)
        fridays = (friday + timedelta(weeks=week) for week in range(4))
        return tuple(day if session_of(day) else day - timedelta(days=1) for day in fridays)

    def listed(self, underlying: Underlying, on: date) -> tuple[Listed, ...]:
        if underlying not in _BASE:
            return ()
        return tuple(
            Listed(OptionContract(underlying, expiry, right, strike, underlying), 1000)
            for expiry in self.expiries(on)
            for strike in _STRIKES
            for right in Right
        )

    def chain(self, underlying: Underlying, at: datetime, window: ChainWindow) -> tuple[OptionQuote, ...]:
        today = at.astimezone(NEW_YORK).date()
        quotes = (
            self.option_quote(row.contract, at)
            for row in self.listed(underlying, today)
            if window.min_dte <= row.contract.dte(today) <= window.max_dte
            and row.contract.right in window.rights
        )
        return tuple(quote for quote in quotes if quote is not None)

    def option_quote(self, contract: OptionContract, at: datetime) -> OptionQuote | None:
        today = at.astimezone(NEW_YORK).date()
        spot = self.price(contract.underlying, at)
        listed = contract.expiry in self.expiries(today) and contract.strike in _STRIKES
        if spot is None or not listed or not self._open(at):
            return None
        call = contract.right is Right.CALL
        value = max(Decimal(0), spot - contract.strike if call else contract.strike - spot)
        mid = value + Decimal("0.50") + Decimal("0.02") * contract.dte(today)
        told = Provenance(self.source, FeedClass.MODELLED, at)
        nickel = Decimal("0.05")
        quote = Quote(contract, Price(mid - nickel), Price(mid + nickel), 50, 50, told)
        return OptionQuote(quote, 0.3, 0.5 if call else -0.5, 0.02, -0.05, 0.1, 1000, 10)

    def corporate_actions(
        self, underlying: Underlying, first: date, last: date
    ) -> tuple[CorporateAction, ...]:
        known = (
            CorporateAction(MSFT, DIVIDEND_DAY, dividend=Price(Decimal("0.75"))),
            CorporateAction(SPY, SPLIT_DAY, ratio=Decimal(2)),
        )
        return tuple(a for a in known if a.underlying == underlying and first <= a.ex_date <= last)
