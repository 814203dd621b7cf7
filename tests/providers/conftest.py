"""A scripted market-data host and a client of it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.brokers.conftest import clock_row
from tests.brokers.scripted import Reply, Scripted
from wsb_core.providers.alpaca import AlpacaData

KEY, SECRET = "PKTESTKEY1234567", "s3cr3tS3cr3tS3cr3t"


@pytest.fixture
def server() -> Iterator[Scripted]:
    scripted = Scripted()
    scripted.on("GET", "/v2/clock", Reply(clock_row()))
    yield scripted
    scripted.close()
    assert scripted.unscripted == []


@pytest.fixture
def data(server: Scripted) -> AlpacaData:
    """Practice data at the scripted server, on Tuesday 10 December 2024 at 11:15 in New York."""
    return data_at(server, deadline_seconds=20.0)


def data_at(server: Scripted, deadline_seconds: float) -> AlpacaData:
    return AlpacaData(
        server.url,
        KEY,
        SECRET,
        trading_url=server.url,
        stock_feed="iex",
        option_feed="indicative",
        practice=True,
        deadline_seconds=deadline_seconds,
    )
