"""Corporate actions that took effect lately, out of the history store: what the calendar may explain."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import date, datetime, timedelta
from decimal import Decimal
from itertools import pairwise
from typing import TYPE_CHECKING

from wsb_core.domain.events import CashDividend, CorporateAction, Renamed, Split
from wsb_core.domain.ids import Price, Underlying
from wsb_core.domain.quotes import FeedClass, Provenance

if TYPE_CHECKING:
    from .history import HistoryStore

LATELY = timedelta(days=5)
"""A long weekend and a late booking."""
_UNPAID = timedelta(days=60)


def recent_actions(
    store: HistoryStore, names: Iterable[Underlying], on: date, as_of: datetime
) -> tuple[CorporateAction, ...]:
    """Splits and new tickers of ``names`` in the days up to ``on``, and dividends that went ex or were paid.

    Nothing when the store knows of none; whether it was asked to look is the flow ``corporate-actions``'.
    """
    wanted = sorted({str(name) for name in names})
    if not wanted:
        return ()
    return (
        *_splits(store, wanted, on, as_of),
        *_dividends(store, wanted, on, as_of),
        *_renamed(store, wanted, on, as_of),
    )


def _splits(store: HistoryStore, names: list[str], on: date, as_of: datetime) -> Iterator[Split]:
    for row in store.read("splits", names, on - LATELY, on, as_of).itertuples():
        known = Provenance(str(row.source), FeedClass.REALTIME, as_of)
        yield Split(Underlying(row.symbol), row.ex_date.date(), Decimal(str(row.ratio)), known)


def _dividends(store: HistoryStore, names: list[str], on: date, as_of: datetime) -> Iterator[CashDividend]:
    for row in store.read("dividends", names, on - _UNPAID, on, as_of).itertuples():
        paid = None if str(row.pay_date) == "NaT" else row.pay_date.date()
        if not any(on - LATELY <= day <= on for day in (row.ex_date.date(), paid) if day is not None):
            continue
        amount, known = (
            Price(Decimal(str(row.amount))),
            Provenance(str(row.source), FeedClass.REALTIME, as_of),
        )
        yield CashDividend(Underlying(row.symbol), row.ex_date.date(), amount, paid, None, known)


def _renamed(store: HistoryStore, names: list[str], on: date, as_of: datetime) -> Iterator[Renamed]:
    known = Provenance("identity table", FeedClass.REALTIME, as_of)
    identities = store.names(as_of)
    for name in names:
        trail = identities.trail(name, on)
        for before, now in pairwise(trail):
            if on - LATELY <= now.first <= on:
                yield Renamed(Underlying(before.symbol), Underlying(now.symbol), now.first, known)
