"""Names become clients here, once a process. Tasks take names and values, never open clients."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property

from wsb_core.config import Mode, Settings, read_settings
from wsb_core.domain.ids import AccountId
from wsb_core.domain.ports import AlertChannel, Broker, Clock, MarketData
from wsb_core.domain.quotes import FeedClass
from wsb_core.ledger import Ledger, open_ledger
from wsb_core.market.events import EventSource, NoEvents


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

        return open_broker(**self.settings.broker_access())

    @cached_property
    def data(self) -> MarketData:
        from wsb_core.providers import open_data

        return open_data(**self.settings.data_access())

    @cached_property
    def events(self) -> EventSource:
        """Earnings dates: the demo extra's table in practice, unknown elsewhere."""
        if self.settings.mode is Mode.PRACTICE:
            from wsb_core.providers.packaged_earnings import packaged_earnings

            return packaged_earnings()
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
