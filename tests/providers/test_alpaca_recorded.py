"""Bodies that the vendor's own repositories published: read, or refused for a reason that is named here."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest

from tests.brokers.conftest import clock_row
from tests.brokers.scripted import Reply, Scripted
from wsb_core.domain.errors import BadResponse
from wsb_core.domain.ids import Underlying
from wsb_core.domain.quotes import Quote
from wsb_core.domain.strategy import ChainWindow
from wsb_core.providers.alpaca import AlpacaData

WIDE = ChainWindow(0, 3000)


def body_of(shared: Path, name: str) -> Any:
    return json.loads((shared / "wire/alpaca-data" / f"{name}.json").read_text())["body"]


@pytest.mark.parametrize(
    ("name", "rows"),
    [
        ("go.rest.GetBars_Asof.1", {"META": 2}),
        ("go.rest.GetBars_Asof.2", {"META": 2}),
        ("py.historical_stock_data.get_bars.1", {"AAPL": 2}),
        ("py.historical_stock_data.multisymbol_get_bars.1", {"AAPL": 1, "TSLA": 1}),
    ],
)
def test_recorded_daily_bars_are_read(
    name: str, rows: dict[str, int], shared: Path, server: Scripted, data: AlpacaData
) -> None:
    body = body_of(shared, name)
    server.on("GET", "/v2/stocks/bars", Reply(body), Reply({"bars": {}, "next_page_token": None}))

    bars = data.bars([Underlying(symbol) for symbol in rows], date(2021, 1, 1), date(2024, 12, 9))

    assert bars.frame.groupby("symbol").size().to_dict() == rows
    first = next(iter(body["bars"].values()))[0]
    assert bars.frame.iloc[0]["close"] == first["c"]
    assert bars.frame.iloc[0]["session"].isoformat()[:10] == first["t"][:10]


@pytest.mark.parametrize(
    ("name", "symbol"), [("go.rest.GetBars.1", "AMZN"), ("specexample.get_v2_stocks_bars.200.bars", "AAPL")]
)
def test_recorded_bars_of_minutes_are_refused_as_no_daily_bars(
    name: str, symbol: str, shared: Path, server: Scripted, data: AlpacaData
) -> None:
    server.on("GET", "/v2/stocks/bars", Reply({**body_of(shared, name), "next_page_token": None}))

    with pytest.raises(BadResponse, match="no daily bar"):
        data.bars([Underlying(symbol)], date(2021, 1, 1), date(2024, 12, 9))


@pytest.mark.parametrize(
    "name", ["go.rest.LatestQuotes.1", "specexample.get_v2_stocks_quotes_latest.200.quotes"]
)
def test_recorded_latest_quotes_are_read(name: str, shared: Path, server: Scripted, data: AlpacaData) -> None:
    body = body_of(shared, name)
    server.on("GET", "/v2/stocks/quotes/latest", Reply(body))

    told = data.quotes([Underlying(symbol) for symbol in body["quotes"]])

    assert all(isinstance(quote, Quote) and quote.two_sided for quote in told.values())
    assert {name: str(quote.bid) for name, quote in told.items() if isinstance(quote, Quote)} == {
        name: str(row["bp"]) for name, row in body["quotes"].items()
    }


@pytest.mark.parametrize(
    ("name", "now", "close"),
    [
        ("py.historical_stock_data.get_snapshot.1", "2022-03-18T10:34:00-04:00", 161.365),
        ("go.rest.Snapshot.1", "2021-05-03T10:46:00-04:00", 133.445),
    ],
)
def test_a_recorded_snapshot_is_the_session_so_far(
    name: str, now: str, close: float, shared: Path, server: Scripted, data: AlpacaData
) -> None:
    server.on("GET", "/v2/clock", Reply(clock_row(now)))
    server.on("GET", "/v2/stocks/snapshots", Reply(body_of(shared, name)))

    today = data.today([Underlying("AAPL")])

    assert today.frame["close"].tolist() == [close]


CHAINS = {
    "go.options.GetOptionChain.1": "NIO",
    "go.options.GetOptionChainWithFilters.1": "AAPL",
    "go.options.GetOptionChainWithFilters.2": "AAPL",
    "py.historical_option_data.get_option_chain.1": "AAPL",
    "py.historical_option_data.get_snapshot.1": "AAPL",
    "specexample.get_v1beta1_options_snapshots.200.snapshots": "AAPL",
}


@pytest.mark.parametrize("name", CHAINS)
def test_recorded_chains_are_read_whole(name: str, shared: Path, server: Scripted, data: AlpacaData) -> None:
    body, underlying = body_of(shared, name), CHAINS[name]
    path = f"/v1beta1/options/snapshots/{underlying}"
    server.on("GET", path, Reply(body), Reply({"snapshots": {}, "next_page_token": None}))
    server.on("GET", "/v2/options/contracts", Reply({"option_contracts": [], "next_page_token": None}))

    chain = data.chain(Underlying(underlying), WIDE, date(2024, 1, 1))

    recorded = body["snapshots"]
    told = {quote.contract.occ_symbol.replace(" ", ""): quote for quote in chain}
    assert told.keys() == recorded.keys()
    assert {name: quote.delta for name, quote in told.items()} == {
        name: row.get("greeks", {}).get("delta") for name, row in recorded.items()
    }
    assert {name: str(quote.ask) for name, quote in told.items()} == {
        name: str(row["latestQuote"]["ap"]) for name, row in recorded.items()
    }


def test_a_recorded_contract_gives_its_open_interest(
    shared: Path, server: Scripted, data: AlpacaData
) -> None:
    name = "py.option_routes.get_option_contracts_with_multiple_symbols.1.json"
    body = json.loads((shared / "wire/alpaca-trading" / name).read_text())["body"]
    server.on(
        "GET", "/v2/options/contracts", Reply(body), Reply({"option_contracts": [], "next_page_token": None})
    )
    server.on("GET", "/v1beta1/options/snapshots/AAPL", Reply({"snapshots": {}, "next_page_token": None}))

    [quote] = data.chain(Underlying("AAPL"), WIDE, date(2023, 10, 20))

    assert (quote.open_interest, quote.bid, quote.contract.strike) == (0, None, 170)


@pytest.mark.parametrize(
    ("name", "rows"),
    [
        ("py.corporate_actions.get_corporate_actions.2", {"ZMTBY": ["CashDividend"]}),
        (
            "go.rest.GetCorporateActions.1",
            {"FBL": ["Split"], "INPX": ["Renamed"], "FAZE": ["Reorganised"], "ZSANQ": ["Reorganised"]},
        ),
    ],
)
def test_recorded_corporate_actions_are_read(
    name: str, rows: dict[str, list[str]], shared: Path, server: Scripted, data: AlpacaData
) -> None:
    server.on("GET", "/v2/clock", Reply(clock_row("2024-12-10T10:34:00-05:00")))
    server.on("GET", "/v1/corporate-actions", Reply(body_of(shared, name)))

    found = data.corporate_actions([Underlying(name) for name in rows], date(2024, 3, 1), date(2024, 8, 31))

    assert {name: [type(each).__name__ for each in found[Underlying(name)]] for name in rows} == rows


@pytest.mark.parametrize(
    "name",
    [
        "go.rest.GetNews.1",
        "go.rest.GetNews.2",
        "py.historical_news_data.get_news.2",
        "specexample.get_v1beta1_news.200.news-response-example",
    ],
)
def test_recorded_news_are_read(name: str, shared: Path, server: Scripted, data: AlpacaData) -> None:
    body = body_of(shared, name)
    server.on("GET", "/v1beta1/news", Reply({**body, "next_page_token": None}))

    items = data.news([Underlying("AAPL")], datetime(2020, 1, 1, tzinfo=UTC))

    assert sorted(item.id for item in items) == sorted(str(row["id"]) for row in body["news"])
