"""One Prefect server for all flow tests of a run, and a fresh stage for each."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.flows.slack import Slack
from tests.flows.stage import CASH, DIP, Stage, a_feed, ny, settings_for, sqlite_url
from wsb_core.domain.calendar import shift
from wsb_core.exchange.client import PracticeControl
from wsb_core.exchange.engine import Exchange
from wsb_core.exchange.feed import DailyBarFeed
from wsb_core.exchange.model import Settings as ExchangeSettings
from wsb_core.exchange.server import ServerThread
from wsb_core.exchange.server.almanac import EMPTY, Almanac
from wsb_core.ledger import open_ledger


@pytest.fixture(scope="session")
def prefect_server() -> Iterator[None]:
    from prefect.settings import PREFECT_FLOWS_HEARTBEAT_FREQUENCY, temporary_settings
    from prefect.testing.utilities import prefect_test_harness

    quick = temporary_settings(updates={PREFECT_FLOWS_HEARTBEAT_FREQUENCY: None})
    with prefect_test_harness(server_startup_timeout=180), quick:
        yield


@pytest.fixture
def exchange_settings() -> ExchangeSettings:
    """How the exchange behaves; a test module may override it."""
    return ExchangeSettings(starting_cash=CASH, partial_fill_every=0)


@pytest.fixture
def feed() -> DailyBarFeed:
    """The market behind the exchange; a test class may override it."""
    return a_feed()


@pytest.fixture
def ledger_url(tmp_path) -> str:
    return sqlite_url(tmp_path)


@pytest.fixture
def almanac() -> Almanac:
    """Announcements and yields that the vendors know; a test module may override it."""
    return EMPTY


@pytest.fixture
def data_sources() -> tuple[str, ...]:
    return ("alpaca",)


@pytest.fixture
def stage(
    prefect_server,
    ledger_url: str,
    tmp_path: Path,
    feed: DailyBarFeed,
    exchange_settings: ExchangeSettings,
    almanac: Almanac,
    data_sources: tuple[str, ...],
) -> Iterator[Stage]:
    from tasks.wiring import wired

    exchange = Exchange(feed, ny(shift(DIP, -1), "09:00"), exchange_settings)
    with ServerThread(exchange, almanac=almanac) as url, Slack() as slack:
        more = {"data_sources": data_sources, "history_dir": tmp_path / "history"}
        settings = settings_for(url, ledger_url, slack, **more)
        with open_ledger(ledger_url) as ledger:
            ledger.init()
            with wired(settings):
                yield Stage(PracticeControl(url, deadline_seconds=20), ledger, settings, slack, url)
