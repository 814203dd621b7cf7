"""Dates that move one underlying, and what is not known about them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from typing import TYPE_CHECKING, Protocol

from wsb_core.domain.ids import Underlying
from wsb_core.domain.quotes import Events

if TYPE_CHECKING:
    import pandas as pd

WINDOW = timedelta(days=45)


class EventSource(Protocol):
    """Somewhere earnings dates come from."""

    @property
    def name(self) -> str: ...

    def events(self, underlying: Underlying, on: date) -> Events:
        """Dates near ``on``; ``earnings`` is None when this source does not cover the name."""
        ...


class NoEvents:
    """No calendar is configured: every date is unknown, and unknown counts as an event."""

    name = "none"

    def events(self, underlying: Underlying, on: date) -> Events:
        return Events(earnings=None)


@dataclass(frozen=True)
class EarningsTable:
    """Announcement dates from a table, such as the one in the ``demo`` extra.

    A name in the table whose dates stop more than a quarter before ``on`` is not covered.
    """

    name: str
    dates: Mapping[Underlying, tuple[date, ...]]

    def events(self, underlying: Underlying, on: date) -> Events:
        known = self.dates.get(underlying)
        if not known or not known[0] <= on <= known[-1] + timedelta(days=100):
            return Events(earnings=None)
        return Events(earnings=tuple(day for day in known if abs(day - on) <= WINDOW))


def earnings_table(frame: pd.DataFrame, name: str) -> EarningsTable:
    """A table from a long frame with the columns symbol and date."""
    dates: dict[Underlying, tuple[date, ...]] = {}
    for symbol, rows in frame.groupby("symbol"):
        dates[Underlying(str(symbol))] = tuple(sorted({stamp.date() for stamp in rows["date"]}))
    return EarningsTable(name, dates)
