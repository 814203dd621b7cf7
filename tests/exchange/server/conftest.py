from __future__ import annotations

import time
from collections.abc import Callable, Iterator

import pytest

from tests.exchange.server.market import SmallMarket, ny
from wsb_core.exchange.client import PracticeControl
from wsb_core.exchange.engine import Exchange
from wsb_core.exchange.model import Settings
from wsb_core.exchange.server import PRACTICE_KEYS, ServerThread

KEY, SECRET = next(iter(PRACTICE_KEYS.items()))
PATIENCE = 10


def eventually(holds: Callable[[], bool]) -> None:
    """Wait until ``holds``, at most ``PATIENCE`` seconds."""
    deadline = time.monotonic() + PATIENCE
    while not holds():
        if time.monotonic() > deadline:
            raise AssertionError("it never came to hold")
        time.sleep(0.01)


@pytest.fixture
def url() -> Iterator[str]:
    """A server over the small market, on Monday 2 March 2026 at 10:00 in New York."""
    exchange = Exchange(SmallMarket(), ny("2026-03-02 10:00"), Settings(partial_fill_every=0))
    with ServerThread(exchange) as base:
        yield base


@pytest.fixture
def control(url: str) -> PracticeControl:
    return PracticeControl(url, deadline_seconds=20)


@pytest.fixture
def trading(url: str):
    """The vendor's own trading client, told to wait for nothing between its re-sends."""
    from alpaca.trading.client import TradingClient

    client = TradingClient(KEY, SECRET, url_override=url)
    client._retry_wait = 0
    return client


@pytest.fixture
def raw(url: str):
    """The same client, with answers as the server sent them."""
    from alpaca.trading.client import TradingClient

    client = TradingClient(KEY, SECRET, url_override=url, raw_data=True)
    client._retry_wait = 0
    return client
