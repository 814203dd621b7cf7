from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.execution.desk import START, Desk, seat
from tests.flows.stage import CASH, a_feed, sqlite_url
from wsb_core.exchange.client import PracticeControl
from wsb_core.exchange.engine import Exchange
from wsb_core.exchange.feed import DailyBarFeed
from wsb_core.exchange.model import Settings
from wsb_core.exchange.server import ServerThread
from wsb_core.ledger import open_ledger


@pytest.fixture(scope="session")
def feed() -> DailyBarFeed:
    return a_feed()


@pytest.fixture
def exchange_settings() -> Settings:
    """How the exchange behaves; a test class may override it."""
    return Settings(starting_cash=CASH, partial_fill_every=0)


@pytest.fixture
def desk(feed: DailyBarFeed, exchange_settings: Settings, tmp_path: Path) -> Iterator[Desk]:
    with (
        ServerThread(Exchange(feed, START, exchange_settings)) as url,
        open_ledger(sqlite_url(tmp_path)) as ledger,
    ):
        ledger.init()
        yield Desk(url, ledger, PracticeControl(url, deadline_seconds=20), seat(url, ledger))
