"""Bodies that the vendor's own repository published: read, or refused for a reason that is named here."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest

from tests.brokers.scripted import Reply, Scripted
from wsb_core.domain.errors import BadResponse
from wsb_core.domain.events import Split
from wsb_core.domain.ids import Underlying
from wsb_core.domain.quotes import Quote
from wsb_core.domain.strategy import ChainWindow
from wsb_core.providers.polygon import PolygonData

AAPL, WIDE = Underlying("AAPL"), ChainWindow(0, 3650)
LAST = "2024-12-10T11:15:00-05:00"
CHAIN = "/v3/snapshot/options/AAPL"
CONTRACTS = "/v3/reference/options/contracts"
SNAPSHOTS = "/v2/snapshot/locale/us/markets/stocks/tickers"
EMPTY = {"status": "OK", "results": []}


class Host:
    """A scripted vendor and a source that reads it."""

    def __init__(self, server: Scripted) -> None:
        self.server = server
        self.data = PolygonData(
            server.url,
            "k3yK3yK3yK3y",
            stock_feed="realtime",
            option_feed="realtime",
            practice=True,
            deadline_seconds=20.0,
        )
        self.tell("/v1/marketstatus/now", {"market": "open", "serverTime": LAST})

    def tell(self, path: str, *bodies: Any) -> None:
        self.server.on("GET", path, *(Reply(body) for body in bodies))


@pytest.fixture
def host(server: Scripted) -> Host:
    return Host(server)


Reading = Callable[[Host, Any], Any]


def bars(symbol: str, first: date, ticker: str = "") -> Reading:
    """Sessions and closes of the bars; a second page, where one is promised, is empty."""

    def read(host: Host, body: Any) -> Any:
        asked = f"/v2/aggs/ticker/{ticker or symbol}/range/1/day"
        host.tell(f"{asked}/{first}/2024-12-10", body)
        # The page after the recorded one: nothing more.
        last = {"status": "OK", "ticker": ticker or symbol, "resultsCount": 0}
        host.tell(f"{asked}/1578114000000/2020-01-10", last)
        for name in ("dividends", "splits"):
            host.tell(f"/v3/reference/{name}", EMPTY)
        frame = host.data.bars([Underlying(symbol)], first, date(2024, 12, 9)).frame
        days = frame["session"].dt.strftime("%F")
        return list(zip(days, frame["close"].tolist(), strict=True))

    return read


def snapshots(*symbols: str) -> Reading:
    """Bid and ask of each symbol; a body about one symbol is told as a list of it."""

    def read(host: Host, body: Any) -> Any:
        rows = body.get("tickers") or [body["ticker"]]
        host.tell(SNAPSHOTS, {"status": body["status"], "tickers": rows})
        quotes = host.data.quotes([Underlying(name) for name in symbols])
        return [(str(q.bid), str(q.ask)) for q in quotes.values() if isinstance(q, Quote)]

    return read


def chain(host: Host, body: Any) -> Any:
    """Bid, ask, volatility, delta and open interest of the one contract."""
    rows = body["results"] if isinstance(body["results"], list) else [body["results"]]
    host.tell(CHAIN, {**body, "results": rows})
    host.tell(CONTRACTS, EMPTY)
    [quote] = host.data.chain(AAPL, WIDE, date(2021, 1, 1))
    return (str(quote.bid), str(quote.ask), quote.iv, quote.delta, quote.open_interest)


def contract(underlying: str) -> Reading:
    """Whether the one contract is a standard one."""

    def read(host: Host, body: Any) -> Any:
        host.tell(CONTRACTS, {**body, "results": [body["results"]]})
        host.tell(f"/v3/snapshot/options/{underlying}", EMPTY)
        [quote] = host.data.chain(Underlying(underlying), WIDE, date(2021, 1, 1))
        return quote.contract.occ_symbol, quote.contract.standard

    return read


def splits(symbol: str) -> Reading:
    """The one symbol's rows among those recorded; a second page, where one is promised, is empty."""

    def read(host: Host, body: Any) -> Any:
        rows = [row for row in body["results"] if row["ticker"] == symbol]
        host.tell("/v3/reference/splits", {**body, "results": rows})
        host.tell("/v3/splits/AAPL", EMPTY)
        host.tell("/v3/reference/dividends", EMPTY)
        name = Underlying(symbol)
        found = host.data.corporate_actions([name], date(2000, 1, 1), date(2024, 12, 10))[name]
        return [(split.ex_date.isoformat(), str(split.ratio)) for split in found if isinstance(split, Split)]

    return read


def nbbo(host: Host, body: Any) -> Any:
    host.tell(SNAPSHOTS, {"status": "OK", "tickers": []})
    host.tell("/v2/last/nbbo/AAPL", body)
    quote = host.data.quotes([AAPL])[AAPL]
    assert isinstance(quote, Quote)
    return str(quote.bid), str(quote.ask), quote.provenance.as_of


def status(host: Host, body: Any) -> Any:
    host.tell("/v1/marketstatus/now", body)
    return host.data.status().is_open


def known(host: Host, body: Any) -> Any:
    """A company's page is only asked for to learn whether there is one."""
    for path in ("/v3/reference/dividends", "/v3/reference/splits"):
        host.tell(path, EMPTY)
    host.tell("/v3/reference/tickers/AAPL", body)
    return host.data.corporate_actions([AAPL], date(2000, 1, 1), date(2024, 12, 10))[AAPL]


def rows(host: Host, body: Any) -> Any:
    """How many rows of a list that the source never asks for: the page is read as every page is."""
    host.tell("/page", body)
    page = host.data._http.get("/page")
    return len(page.rows("tickers" if "tickers" in body else "results"))


def thing(host: Host, body: Any) -> Any:
    """The names in an object that the source never asks for."""
    host.tell("/page", body)
    page = host.data._http.get("/page")
    return len((page.row() if "results" in body else page.body).fields)


@dataclass(frozen=True)
class Case:
    """How one body is read, and what comes of it: a value, or the words of the refusal."""

    read: Reading
    told: Any = None
    refused: str = ""


INDICATORS = [
    *(f"mock.v1_indicators_{each}" for each in ("ema", "rsi", "sma")),
    *(f"specexample.v1_indicators_{each}" for each in ("ema", "macd", "rsi", "sma")),
]
CASES = {
    **{name: Case(thing, 2) for name in INDICATORS},
    "mock.v1_marketstatus_now": Case(status, False),
    "specexample.v1_marketstatus_now": Case(status, False),
    "mock.v1_open-close_AAPL": Case(thing, 10),
    "specexample.v1_open-close_indicesTicker_date": Case(thing, 9),
    "specexample.v1_open-close_stocksTicker_date": Case(thing, 10),
    "specexample.v1_related-companies_ticker": Case(rows, 10),
    "mock.v2_aggs_grouped": Case(rows, 1),
    "specexample.v2_aggs_grouped": Case(rows, 3),
    "mock.v2_aggs_ticker_AAPL": Case(
        bars("AAPL", date(2005, 4, 1)), [("2005-04-01", 1.4604), ("2005-04-04", 1.4675)]
    ),
    "specexample.v2_aggs_ticker_stocksTicker": Case(
        bars("AAPL", date(2020, 1, 1)), [("2020-01-02", 75.0875), ("2020-01-03", 74.3575)]
    ),
    "specexample.v2_aggs_ticker_indicesTicker_range": Case(
        bars("NDX", date(2023, 3, 1), "I:NDX"),
        [("2023-03-09", 11995.88235998666), ("2023-03-10", 11830.28178808306)],
    ),
    "specexample.v2_aggs_ticker_indicesTicker_prev": Case(
        bars("NDX", date(2023, 6, 1), "I:NDX"), refused="no daily bar"
    ),
    "specexample.v2_aggs_ticker_optionsTicker": Case(
        bars("RDFN", date(2021, 1, 1)), refused="ticker is 'O:RDFN211119C00025000'"
    ),
    "mock.v2_last_nbbo_AAPL": Case(
        nbbo, ("155.65", "155.66", datetime(2022, 5, 10, 14, 25, 54, 171838, UTC))
    ),
    "mock.v2_last_trade_AAPL": Case(thing, 12),
    "specexample.v2_last_trade_stocksTicker": Case(thing, 12),
    "specexample.v2_last_trade_optionsTicker": Case(nbbo, refused="T is 'O:TSLA210903C00700000'"),
    "specexample.v2_reference_news": Case(rows, 1),
    "mock.v2_snapshot_locale_us_markets_stocks_gainers": Case(rows, 2),
    "specexample.v2_snapshot_locale_us_markets_stocks_direction": Case(rows, 1),
    "mock.v2_snapshot_locale_us_markets_stocks_tickers_AAPL": Case(snapshots("AAPL"), [("159.98", "159.99")]),
    "specexample.v2_snapshot_locale_us_markets_stocks_tickers": Case(snapshots("BCAT"), [("20.5", "20.6")]),
    "specexample.v2_snapshot_locale_us_markets_stocks_tickers_stocksTicker": Case(
        snapshots("AAPL"), [("120.46", "120.47")]
    ),
    "specexample.v2_ticks_stocks_nbbo": Case(rows, 2),
    "mock.v3_quotes_AAPL": Case(rows, 10),
    "mock.v3_reference_exchanges": Case(rows, 24),
    "mock.v3_reference_options_contracts": Case(contract("EVRI"), ("EVRI  240119C00002500", True)),
    "specexample.v3_reference_options_contracts": Case(contract("AAPL"), ("AAPL  211119C00085000", False)),
    "mock.v3_reference_splits": Case(splits("BRW"), [("2022-05-20", "0.5")]),
    "specexample.v3_reference_splits": Case(splits("AAPL"), [("2005-02-28", "2"), ("2020-08-31", "4")]),
    "mock.v3_reference_tickers_AAPL": Case(known, ()),
    "specexample.v3_reference_tickers_ticker": Case(known, ()),
    "mock.v3_reference_tickers_cursor": Case(rows, 2),
    "mock.v3_reference_tickers_types": Case(rows, 15),
    "specexample.v3_reference_tickers": Case(rows, 1),
    "mock.v3_snapshot_options_AAPL": Case(
        chain, ("28.9", "29.25", 0.3570277203465058, 0.6436614934293701, 8133)
    ),
    "specexample.v3_snapshot_options_underlyingAsset": Case(chain, refused="not an option ticker"),
    "specexample.v3_snapshot_options_underlyingAsset_optionContract": Case(
        chain, ("20.9", "21.25", 0.3048997097864957, 0.5520187372272933, 8921)
    ),
    "specexample.v3_snapshot": Case(rows, 3),
    "specexample.v3_snapshot_indices": Case(rows, 3),
    "specexample.v3_trades_optionsTicker": Case(rows, 2),
    "mock.vX_reference_financials": Case(rows, 1),
    "specexample.vX_reference_financials": Case(rows, 1),
    "mock.vX_reference_tickers_META_events": Case(thing, 4),
    "specexample.vX_reference_tickers_id_events": Case(thing, 2),
}


def beginning_of(name: str) -> str:
    """The longest key of ``CASES`` that ``name`` begins with; empty when there is none."""
    return max((key for key in CASES if name.startswith(key)), key=len, default="")


def files_in(shared: Path) -> list[Path]:
    return sorted((shared / "wire/polygon").glob("*.json"))


def test_every_recorded_body_has_a_case_and_every_case_a_body(shared: Path) -> None:
    names = [beginning_of(file.stem) for file in files_in(shared)]

    assert "" not in names
    assert set(names) == CASES.keys()


def recorded(shared: Path, name: str) -> list[Any]:
    files = (file for file in files_in(shared) if beginning_of(file.stem) == name)
    return [json.loads(file.read_text())["body"] for file in files]


@pytest.mark.parametrize("name", [name for name, case in CASES.items() if not case.refused])
def test_a_recorded_body_is_read(name: str, shared: Path, host: Host) -> None:
    case = CASES[name]

    assert [case.read(host, body) for body in recorded(shared, name)] == [case.told] * len(
        recorded(shared, name)
    )


@pytest.mark.parametrize("name", [name for name, case in CASES.items() if case.refused])
def test_a_recorded_body_of_another_kind_is_refused(name: str, shared: Path, host: Host) -> None:
    case = CASES[name]
    [body] = recorded(shared, name)

    with pytest.raises(BadResponse, match=re.escape(case.refused)):
        case.read(host, body)
