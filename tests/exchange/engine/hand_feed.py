"""A market written by hand: every price is a step that holds until the next one."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from datetime import date, datetime
from decimal import Decimal
from typing import Any

import pandas as pd

from wsb_core.domain.calendar import NEW_YORK, session_on, sessions_between
from wsb_core.domain.contracts import Instrument, OptionContract, Share
from wsb_core.domain.ids import Price, Underlying
from wsb_core.domain.quotes import FeedClass, OptionQuote, Provenance, Quote
from wsb_core.domain.strategy import ChainWindow
from wsb_core.exchange.hours import session_at
from wsb_core.exchange.model import CorporateAction, DayBar, Listed

Step = tuple[datetime, str | None, str | None, int]


class HandFeed:
    """``Feed`` whose quotes are set step by step with ``put``; listed is what was ever put."""

    source = "by hand"

    def __init__(self, first: date, last: date) -> None:
        self._sessions = sessions_between(first, last)
        self._steps: dict[Instrument, list[Step]] = {}
        self._actions: list[CorporateAction] = []
        self.closes: dict[tuple[Underlying, date], str] = {}
        """Official closes that differ from the last quote."""
        self.opens: dict[tuple[Underlying, date], str] = {}

    def put(
        self, instrument: Instrument, at: datetime, bid: str | None, ask: str | None, size: int = 100
    ) -> None:
        """Quote ``instrument`` so from ``at`` on."""
        steps = self._steps.setdefault(instrument, [])
        steps.append((at, bid, ask, size))
        steps.sort(key=lambda step: step[0])

    def act(self, action: CorporateAction) -> None:
        self._actions.append(action)

    def symbols(self) -> tuple[Underlying, ...]:
        return tuple(i.underlying for i in self._steps if isinstance(i, Share))

    def sessions(self) -> tuple[date, ...]:
        return self._sessions

    def quote(self, underlying: Underlying, at: datetime) -> Quote | None:
        return self._quote(Share(underlying), at)

    def option_quote(self, contract: OptionContract, at: datetime) -> OptionQuote | None:
        quote = self._quote(contract, at)
        return OptionQuote(quote) if quote else None

    def chain(self, underlying: Underlying, at: datetime, window: ChainWindow) -> tuple[OptionQuote, ...]:
        days = range(window.min_dte, window.max_dte + 1)
        found = (
            self.option_quote(listed.contract, at)
            for listed in self.listed(underlying, at.astimezone(NEW_YORK).date())
            if listed.contract.dte(at.date()) in days and listed.contract.right in window.rights
        )
        return tuple(quote for quote in found if quote)

    def listed(self, underlying: Underlying, on: date) -> tuple[Listed, ...]:
        return tuple(
            Listed(i, None)
            for i in self._steps
            if isinstance(i, OptionContract) and i.underlying == underlying and i.expiry >= on
        )

    def day_so_far(self, underlying: Underlying, at: datetime) -> DayBar | None:
        session = session_on(at.astimezone(NEW_YORK).date())
        if session is None or session.day not in self._sessions or at < session.opens:
            return None
        share, until = Share(underlying), min(at, session.closes)
        turns = [step[0] for step in self._steps.get(share, []) if session.opens < step[0] <= until]
        mids = [
            mid for mid in (self._mid(share, turn) for turn in (session.opens, *turns)) if mid is not None
        ]
        if not mids:
            return None
        opening = Price(Decimal(self.opens.get((underlying, session.day), str(mids[0]))))
        official = self.closes.get((underlying, session.day)) if at >= session.closes else None
        close = Price(Decimal(official)) if official else mids[-1]
        return DayBar(session.day, opening, max(*mids, close), min(*mids, close), close, 1000)

    def day_bar(self, underlying: Underlying, session: date) -> DayBar | None:
        on = session_on(session)
        return self.day_so_far(underlying, on.closes) if on else None

    def daily_bars(
        self, symbols: Sequence[Underlying], first: date, last: date, *, adjusted: bool
    ) -> pd.DataFrame:
        rows: list[dict[str, Any]] = []
        for symbol in symbols:
            for session in sessions_between(first, last):
                bar = self.day_bar(symbol, session)
                if bar is not None:
                    rows.append(
                        {
                            "symbol": symbol,
                            "session": pd.Timestamp(session),
                            "open": float(bar.open),
                            "high": float(bar.high),
                            "low": float(bar.low),
                            "close": float(bar.close),
                            "volume": bar.volume,
                        }
                    )
        return pd.DataFrame(rows)

    def corporate_actions(
        self, underlying: Underlying, first: date, last: date
    ) -> tuple[CorporateAction, ...]:
        return tuple(a for a in self._actions if a.underlying == underlying and first <= a.ex_date <= last)

    def _step(self, instrument: Instrument, at: datetime) -> Step | None:
        steps = self._steps.get(instrument, [])
        index = bisect_right(steps, at, key=lambda step: step[0])
        return steps[index - 1] if index else None

    def _quote(self, instrument: Instrument, at: datetime) -> Quote | None:
        step = self._step(instrument, at)
        if step is None or session_at(at) is None:
            return None
        sides = [Price(Decimal(side)) if side else None for side in step[1:3]]
        return Quote(
            instrument, sides[0], sides[1], step[3], step[3], Provenance(self.source, FeedClass.REPLAYED, at)
        )

    def _mid(self, instrument: Instrument, at: datetime) -> Price | None:
        step = self._step(instrument, at)
        if step is None or step[1] is None or step[2] is None:
            return None
        return Price((Decimal(step[1]) + Decimal(step[2])) / 2)
