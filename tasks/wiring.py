"""Names become clients here, once a process. Tasks take names and values, never open clients."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any

from wsb_core.config import Mode, Settings, read_settings
from wsb_core.domain.ids import AccountId
from wsb_core.domain.ports import AlertChannel, Broker, Clock, DataKind
from wsb_core.domain.quotes import FeedClass
from wsb_core.ledger import Ledger, open_ledger
from wsb_core.market.events import EventSource, NoEvents, StoredCalendar

if TYPE_CHECKING:
    from wsb_core.market.history import HistoryStore
    from wsb_core.market.router import Router


class WallClock:
    """The machine's own time."""

    def now(self) -> datetime:
        return datetime.now(UTC)

    def sleep(self, seconds: float) -> None:
        time.sleep(seconds)


@dataclass(frozen=True)
class Wiring:
    """The clients of one process, opened when first asked for."""

    settings: Settings

    @property
    def account(self) -> AccountId:
        return AccountId(self.settings.account)

    @cached_property
    def ledger(self) -> Ledger:
        ledger = open_ledger(self.settings.database_url)
        ledger.require_current()
        return ledger

    @cached_property
    def clock(self) -> Clock:
        """Simulated time on the practice exchange, the wall's otherwise."""
        if self.settings.mode is Mode.PRACTICE:
            from wsb_core.exchange.client import PracticeClock, PracticeControl

            return PracticeClock(PracticeControl(self.settings.practice_url))
        return WallClock()

    @cached_property
    def broker(self) -> Broker:
        from wsb_core.brokers import open_broker

        return open_broker(**self.settings.broker_access(), tap=self._record)

    def _record(self, exchanged: Mapping[str, Any]) -> None:
        """A request to the broker and its answer, into the chain with the next thing that is written."""
        self.ledger.say("exchange", exchanged, WallClock().now())

    @cached_property
    def data(self) -> Router:
        """The configured sources behind one port; how each is doing is kept in the ledger."""
        from wsb_core.providers import open_router

        access = {name: partial(self._access, name) for name in self.settings.data_sources}
        return open_router(access, least_feed=self.required_feed, book=self.ledger, now=self.clock.now)

    def _access(self, source: str) -> dict[str, Any]:
        told = self.settings.source_access(source)
        # What is replayed is replayed as of the desk's own time, which in practice is simulated.
        return {**told, "now": self.clock.now} if source == "replay" else told

    @cached_property
    def history(self) -> HistoryStore:
        from wsb_core.market.history import HistoryStore

        return HistoryStore(self.settings.history_dir)

    @cached_property
    def events(self) -> EventSource:
        """The calendar that the refresh keeps; nothing is known where no source gives announcements."""
        from wsb_core.providers import SOURCES

        if any(DataKind.EARNINGS in SOURCES[name].kinds for name in self.settings.data_sources):
            age = timedelta(hours=self.settings.calendar_max_age_hours)
            return StoredCalendar(self.history, self.clock.now, age)
        return NoEvents()

    @property
    def required_feed(self) -> FeedClass | None:
        """Orders on paper and live accounts need real-time quotes; practice trades on any, labelled."""
        return None if self.settings.mode is Mode.PRACTICE else FeedClass.REALTIME

    @cached_property
    def channels(self) -> tuple[AlertChannel, ...]:
        """The log always, and Slack when a token or a webhook is configured."""
        from wsb_core.alerts import LogChannel, SlackChannel, SlackWebhookChannel

        found: list[AlertChannel] = [LogChannel()]
        if self.settings.slack_token is not None:
            token = self.settings.slack_token.get_secret_value()
            found.append(SlackChannel(token, self.settings.slack_channel, self.settings.slack_base_url))
        if self.settings.slack_webhook is not None:
            found.append(SlackWebhookChannel(self.settings.slack_webhook.get_secret_value()))
        return tuple(found)


_current: list[Wiring] = []


def wiring() -> Wiring:
    """This process's clients, from its settings."""
    if not _current:
        _current.append(Wiring(read_settings()))
    return _current[-1]


@contextmanager
def wired(settings: Settings) -> Iterator[Wiring]:
    """Clients of other settings for as long as the block lasts: the demo and the tests."""
    _current.append(Wiring(settings))
    try:
        yield _current[-1]
    finally:
        _current.pop()
