"""What things are worth to the account: the feed's quotes, marks in and out of session, settlement."""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import Decimal

from wsb_core.domain.calendar import Session
from wsb_core.domain.contracts import Instrument, Settlement, Share
from wsb_core.domain.ids import Price, Underlying
from wsb_core.domain.quotes import Quote

from . import hours
from .model import Feed

_LOOK_BACK = 10


class Prices:
    """Every price the exchange uses, all of them of the one ``feed``."""

    def __init__(self, feed: Feed) -> None:
        self._feed = feed

    def quote(self, instrument: Instrument, at: datetime) -> Quote | None:
        """The quote at an instant; None out of session or where nothing was quoted."""
        if isinstance(instrument, Share):
            return self._feed.quote(instrument.underlying, at)
        found = self._feed.option_quote(instrument, at)
        return found.quote if found is not None else None

    def mark(self, instrument: Instrument, at: datetime) -> Price | None:
        """The price that values a position at ``at``; None when now and the last close have none."""
        if hours.session_at(at):
            now = _mark_of(self.quote(instrument, at))
            if now is not None:
                return now
        return self.closing_mark(instrument, hours.last_closed(at))

    def closing_mark(self, instrument: Instrument, session: Session) -> Price | None:
        """The official close of a share, a contract's mark a minute before the close."""
        if isinstance(instrument, Share):
            bar = self._feed.day_bar(instrument.underlying, session.day)
            return bar.close if bar is not None else None
        return _mark_of(self.quote(instrument, session.closes - hours.MINUTE))

    def settlement(self, underlying: Underlying, session: Session, when: Settlement) -> Decimal:
        """The official open (AM) or close (PM); without data that day, the last close before.

        Raises: ValueError when the feed has had no bar for long: a guess would move real shares.
        """
        if when is Settlement.AM:
            today = self._feed.day_so_far(underlying, session.opens)
            if today is not None:
                return today.open
        # In the morning today's bar is not whole yet: only the sessions before count.
        day = session.day if when is Settlement.PM else session.day - timedelta(days=1)
        for _ in range(_LOOK_BACK):
            day = hours.last_session(day)
            bar = self._feed.day_bar(underlying, day)
            if bar is not None:
                return bar.close
            day -= timedelta(days=1)
        raise ValueError(f"{underlying} has no bar in the {_LOOK_BACK} sessions up to {session.day}")


def _mark_of(quote: Quote | None) -> Price | None:
    if quote is None:
        return None
    if quote.bid is None and quote.ask is not None:
        # Nobody bids: the middle between nothing and the ask, as for a contract about to expire.
        return Price(quote.ask / 2)
    return quote.mid
