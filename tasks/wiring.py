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
from wsb_core.ledger import Ledger, open_ledger


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
            from wsb_core.exchange.client import PracticeClock

            return PracticeClock(self.settings.practice_url)
        return WallClock()

    @cached_property
    def broker(self) -> Broker:
        from wsb_core.brokers import open_broker

        key, secret = self.settings.keys()
        return open_broker(
            account=self.account,
            mode=self.settings.mode,
            base_url=self.settings.broker_url,
            key=key,
            secret=secret,
            deadline_seconds=self.settings.deadline_seconds,
        )

    @cached_property
    def data(self) -> MarketData:
        from wsb_core.providers import open_data

        key, secret = self.settings.keys()
        return open_data(
            mode=self.settings.mode,
            base_url=self.settings.data_url,
            trading_url=self.settings.broker_url,
            key=key,
            secret=secret,
            stock_feed=self.settings.stock_feed,
            option_feed=self.settings.option_feed,
            deadline_seconds=self.settings.deadline_seconds,
        )

    @cached_property
    def channels(self) -> tuple[AlertChannel, ...]:
        """Slack when it is configured; the log always."""
        from wsb_core.alerts import open_channels

        return open_channels(
            token=self.settings.slack_token and self.settings.slack_token.get_secret_value(),
            channel=self.settings.slack_channel,
            webhook=self.settings.slack_webhook and self.settings.slack_webhook.get_secret_value(),
            base_url=self.settings.slack_base_url,
        )


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
