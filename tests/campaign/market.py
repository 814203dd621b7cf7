"""A small market in memory: two shares and a few dozen options whose prices are a function of a seed."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime, timedelta
from decimal import Decimal
from functools import lru_cache
from random import Random
from typing import Any

import pandas as pd

from wsb_core.domain import events
from wsb_core.domain.calendar import NEW_YORK, sessions_between
from wsb_core.domain.checks import CheckReport, Finding, Passed, Severity
from wsb_core.domain.contracts import Instrument, OptionContract, Right, Share
from wsb_core.domain.ids import Price, Underlying
from wsb_core.domain.quotes import Chain, Events, FeedClass, Market, OptionQuote, Provenance, Quote
from wsb_core.domain.strategy import ChainWindow
from wsb_core.domain.structures import Structure, StructureLeg, single
from wsb_core.exchange.hours import session_at, session_of
from wsb_core.exchange.model import CorporateAction, DayBar, Listed

XYZ, ABC = Underlying("XYZ"), Underlying("ABC")
SPOTS = {XYZ: 10_000, ABC: 5_000}
"""Where each begins, in cents."""
FIRST, LAST = date(2024, 6, 3), date(2024, 8, 16)
KINDS = ("long", "long", "put_credit", "put_credit", "call_debit", "condor", "csp", "calendar")
_STEP = timedelta(minutes=1)
_OPENING = Provenance("seeded market", FeedClass.REPLAYED, datetime(2024, 6, 3, 9, 30, tzinfo=NEW_YORK))


@lru_cache(maxsize=64)
def expiries(day: date) -> tuple[date, date]:
    """The coming Friday's session and the one four weeks later."""
    friday = day + timedelta(days=(4 - day.weekday()) % 7)
    found = []
    for at in (friday, friday + timedelta(days=28)):
        while session_of(at) is None:
            at -= timedelta(days=1)
        found.append(at)
    return found[0], found[1]


def strikes(underlying: Underlying) -> tuple[int, ...]:
    """Seven strikes around the first price, in dollars."""
    middle, width = SPOTS[underlying] // 100, SPOTS[underlying] // 2000
    return tuple(middle + width * n for n in range(-3, 4))


def option(underlying: Underlying, expiry: date, right: Right, strike: int) -> OptionContract:
    return OptionContract(str(underlying), expiry, right, Decimal(strike), underlying)


class SeededFeed:
    """``Feed`` of one seed: prices step every minute, sizes are small, some sides are missing."""

    source = "seeded market"

    def __init__(self, seed: int, first_day: date, actions: Sequence[CorporateAction] = ()) -> None:
        self._seed = seed
        self._first_day = first_day
        self._actions = tuple(actions)
        self._paths: dict[tuple[Underlying, date], list[int]] = {}
        self._ends: dict[tuple[Underlying, date], int] = {}
        self._quotes: dict[tuple[Instrument, int], Quote | None] = {}

    def symbols(self) -> tuple[Underlying, ...]:
        return (XYZ, ABC)

    def sessions(self) -> tuple[date, ...]:
        return sessions_between(FIRST, LAST)

    def quote(self, underlying: Underlying, at: datetime) -> Quote | None:
        return self._quote(Share(underlying), at)

    def option_quote(self, contract: OptionContract, at: datetime) -> OptionQuote | None:
        quote = self._quote(contract, at)
        return OptionQuote(quote) if quote else None

    def chain(self, underlying: Underlying, at: datetime, window: ChainWindow) -> tuple[OptionQuote, ...]:
        day = at.astimezone(NEW_YORK).date()
        found = (self.option_quote(one.contract, at) for one in self.listed(underlying, day))
        return tuple(q for q in found if q and window.min_dte <= q.contract.dte(day) <= window.max_dte)

    def listed(self, underlying: Underlying, on: date) -> tuple[Listed, ...]:
        return _listed(underlying, on)

    def day_so_far(self, underlying: Underlying, at: datetime) -> DayBar | None:
        session = session_of(at.astimezone(NEW_YORK).date())
        if session is None or at < session.opens:
            return None
        path = self._path(underlying, session.day)
        seen = path[: max(1, 1 + int((min(at, session.closes) - session.opens) / _STEP))]
        first, high, low, last = (
            Price(Decimal(cents) / 100) for cents in (seen[0], max(seen), min(seen), seen[-1])
        )
        return DayBar(session.day, first, high, low, last, 1_000_000)

    def day_bar(self, underlying: Underlying, session: date) -> DayBar | None:
        on = session_of(session)
        return self.day_so_far(underlying, on.closes) if on else None

    def daily_bars(
        self, symbols: Sequence[Underlying], first: date, last: date, *, adjusted: bool
    ) -> pd.DataFrame:
        rows: list[dict[str, Any]] = []
        for symbol in symbols:
            for day in sessions_between(first, last):
                bar = self.day_bar(symbol, day)
                if bar is not None:
                    prices = {name: float(getattr(bar, name)) for name in ("open", "high", "low", "close")}
                    rows.append({"symbol": symbol, "session": pd.Timestamp(day), **prices, "volume": 1e6})
        return pd.DataFrame(rows)

    def corporate_actions(
        self, underlying: Underlying, first: date, last: date
    ) -> tuple[CorporateAction, ...]:
        return tuple(a for a in self._actions if a.underlying == underlying and first <= a.ex_date <= last)

    def told_of(self, on: date) -> tuple[events.CorporateAction, ...]:
        """What a calendar of corporate actions says of the days up to ``on``."""
        found: list[events.CorporateAction] = []
        for action in self._actions:
            if not on - timedelta(days=5) <= action.ex_date <= on:
                continue
            if action.dividend is not None:
                paid = action.ex_date
                found.append(
                    events.CashDividend(
                        action.underlying, action.ex_date, action.dividend, paid, None, _OPENING
                    )
                )
            if action.ratio is not None:
                found.append(events.Split(action.underlying, action.ex_date, action.ratio, _OPENING))
        return tuple(found)

    # --- prices -------------------------------------------------------------------------------

    def _path(self, underlying: Underlying, day: date) -> list[int]:
        """Cents at each step of a session, made day by day from the day before."""
        key = (underlying, day)
        if key not in self._paths:
            before = day - timedelta(days=1)
            while session_of(before) is None:
                before -= timedelta(days=1)
            cents = SPOTS[underlying] if day <= self._first_day else self._path(underlying, before)[-1]
            draw = Random(f"{self._seed} {underlying} {day}")
            cents += draw.randint(-SPOTS[underlying] // 50, SPOTS[underlying] // 50)
            width, path = SPOTS[underlying] // 1000, []
            for _ in range(391):
                cents = max(SPOTS[underlying] // 2, cents + draw.randint(-width, width))
                path.append(cents)
            self._paths[key] = path
        return self._paths[key]

    def _quote(self, instrument: Instrument, at: datetime) -> Quote | None:
        session = session_at(at)
        if session is None:
            return None
        step = int((at - session.opens) / _STEP)
        key = (instrument, session.day.toordinal() * 1000 + step)
        if key not in self._quotes:
            cents = self._path(instrument.underlying, session.day)[step]
            self._quotes[key] = self._priced(instrument, session.day, step, cents)
        return self._quotes[key]

    def _priced(self, instrument: Instrument, day: date, step: int, cents: int) -> Quote:
        if isinstance(instrument, Share):
            sides = (Price(Decimal(cents - 1) / 100), Price(Decimal(cents + 1) / 100))
            return Quote(instrument, *sides, 500, 500, _OPENING)
        # Wide apart in every argument, and the same in every process: a hash of text is not.
        draw = Random((step * 7919 + int(instrument.strike)) * 31 + (instrument.right is Right.CALL))
        strike = int(instrument.strike * 100)
        inside = max(0, cents - strike if instrument.right is Right.CALL else strike - cents)
        days = max(0.25, (instrument.expiry - day).days)
        away = abs(cents - strike) / (cents * 0.02 * days**0.5)
        worth = inside + int(cents * 0.008 * days**0.5 / (1 + away * away)) + 5
        # Volatility breathes: all premiums together, and each a little for itself.
        worth += int(worth * Random(step).uniform(-0.12, 0.12)) + draw.randint(-worth // 60, worth // 60)
        half = max(1, worth // 60) + draw.randint(0, 3)
        bid = Price(Decimal(max(1, worth - half)) / 100)
        ask = Price(Decimal(worth + half) / 100)
        missing = draw.random() < 0.025
        return Quote(
            instrument, None if missing else bid, ask, draw.randint(1, 30), draw.randint(1, 30), _OPENING
        )


@lru_cache(maxsize=256)
def _listed(underlying: Underlying, on: date) -> tuple[Listed, ...]:
    return tuple(
        Listed(option(underlying, expiry, right, strike), 1000)
        for expiry in sorted({*expiries(on), *expiries(on + timedelta(days=7))})
        for right in (Right.CALL, Right.PUT)
        for strike in strikes(underlying)
    )


@lru_cache(maxsize=1)
def _proof() -> Passed:
    finding = Finding("rows are there", True, Severity.CRITICAL, "1 row")
    return CheckReport("option_chain", "digest", _OPENING.as_of, 1, (finding,)).proof()


_NO_BARS = pd.DataFrame(columns=["open", "high", "low", "close", "volume"], dtype=float)


def market_of(feed: SeededFeed, structure: Structure, at: datetime) -> Market | None:
    """The market that a walk looks at before each attempt; None where the share is not quoted."""
    underlying = structure.underlying
    spot = feed.quote(underlying, at)
    if spot is None:
        return None
    quotes = [feed.option_quote(contract, at) for contract in structure.contracts]
    chain = Chain(underlying, tuple(q for q in quotes if q is not None), _OPENING)
    day = at.astimezone(NEW_YORK).date()
    return Market(underlying, at, day, spot, _NO_BARS, None, chain, Events(()), (_proof(),))


def a_structure(draw: Random, underlying: Underlying, day: date) -> Structure:
    """Something a strategy may want to open on ``day``: what it is, is the seed's choice."""
    near, far = expiries(day)
    if day == near:
        near = expiries(day + timedelta(days=1))[0]
    expiry = near if draw.random() < 0.6 else far
    grid = strikes(underlying)
    call = {s: option(underlying, expiry, Right.CALL, s) for s in grid}
    put = {s: option(underlying, expiry, Right.PUT, s) for s in grid}
    kind = draw.choice(
        ("long", "long", "put_credit", "put_credit", "call_debit", "condor", "csp", "calendar")
    )
    if kind == "long":
        return single(draw.choice((call, put))[draw.choice(grid[2:5])])
    if kind == "put_credit":
        return Structure((StructureLeg(put[grid[3]], -1), StructureLeg(put[grid[1]], 1)))
    if kind == "call_debit":
        return Structure((StructureLeg(call[grid[2]], 1), StructureLeg(call[grid[4]], -1)))
    if kind == "csp":
        return single(put[grid[2]], -1)
    if kind == "calendar":
        near_call, far_call = (option(underlying, e, Right.CALL, grid[4]) for e in (near, far))
        return Structure((StructureLeg(near_call, -1), StructureLeg(far_call, 1)))
    wings = (put[grid[0]], 1), (put[grid[2]], -1), (call[grid[4]], -1), (call[grid[6]], 1)
    return Structure(tuple(StructureLeg(contract, ratio) for contract, ratio in wings))
