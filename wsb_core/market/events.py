"""Dates that move one underlying, and what is not known about them."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING, Protocol

from wsb_core.domain.ids import Underlying
from wsb_core.domain.quotes import Events

from .earnings import announcements, dates_of

if TYPE_CHECKING:
    from .history import HistoryStore

WINDOW = timedelta(days=45)
LOOK_AHEAD = timedelta(days=30)
"""How far ahead a calendar must reach before it says anything."""


class EventSource(Protocol):
    """Somewhere earnings dates come from."""

    @property
    def name(self) -> str: ...

    def events(self, underlying: Underlying, on: date) -> Events:
        """Dates near ``on``; ``earnings`` is None when this source does not cover the name."""
        ...


class StoredCalendar:
    """The calendar that its refresh keeps in the history store, as it is known now.

    A name is covered when a source answered for it within ``max_age``, to ``LOOK_AHEAD`` after the day
    that is asked about at least.
    """

    name = "stored calendar"

    def __init__(
        self, store: HistoryStore, now: Callable[[], datetime], max_age: timedelta = timedelta(hours=24)
    ) -> None:
        self._store, self._now, self._max_age = store, now, max_age

    def events(self, underlying: Underlying, on: date) -> Events:
        now = self._now()
        told = self._store.read("coverage", [underlying], date.min, date.max, now)
        told = told[(told["of"] == "earnings") & (told["recorded_at"] >= now - self._max_age)]
        if told.empty or told["last"].max().date() < on + LOOK_AHEAD:
            return Events(earnings=None)
        spans = self._store.covered("earnings", underlying, now)
        since = next((first for first, last in spans if first <= on <= last), on)
        rows = self._store.read("earnings", [underlying], on - WINDOW, on + WINDOW, now)
        return Events(announcements(dates_of(rows)), since=since)


class NoEvents:
    """No calendar is configured: every date is unknown, and unknown counts as an event."""

    name = "none"

    def events(self, underlying: Underlying, on: date) -> Events:
        return Events(earnings=None)
