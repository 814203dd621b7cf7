"""Bodies that Yahoo really sent: read, or refused for a reason that is named here."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import parse_qs, quote, unquote, urlsplit

import pytest

from tests.brokers.scripted import Reply, Scripted
from wsb_core.domain.errors import WsbError
from wsb_core.domain.events import ReportTime
from wsb_core.domain.ids import Underlying
from wsb_core.domain.ports import Missing
from wsb_core.domain.strategy import ChainWindow
from wsb_core.providers.yahoo import YahooData

SPAN = date(2015, 1, 1), date(2025, 12, 31)

BARS = {
    "chart-AAPL-2020-01-01-to-2020-01-03": 1,
    "chart-AAPL-2020-08-31-to-2020-11-07": 49,
    "chart-AFRAF-2020-01-01-to-2020-01-03": 1,
    "chart-BTC-USD-2020-01-01-to-2020-01-03": 3,
    "chart-CRON-2020-01-01-to-2020-01-03": 1,
    "chart-EPAC-2020-01-01-to-2020-01-03": 1,
    "chart-GC=F-2020-01-01-to-2020-01-03": 1,
    "chart-GOOG-2020-01-01-to-2020-01-03": 1,
    "chart-SPOT-2020-01-01-to-2020-01-03": 1,
    "historical-via-chart-0P0000XTS7-2024-09-12-to-2024-09-16": 2,
    "historical-via-chart-ABBV-2020-01-01-to-2020-01-03": 1,
    "historical-via-chart-BABA-2020-01-01-to-2020-01-03": 1,
    "historical-via-chart-BTC-USD-2020-01-01-to-2020-01-03": 3,
    "historical-via-chart-CRON-2020-01-01-to-2020-01-03": 1,
    "historical-via-chart-EPAC-2020-01-01-to-2020-01-03": 1,
    "historical-via-chart-EURUSD=X-2020-01-01-to-2020-01-03": 3,
    "historical-via-chart-GC=F-2020-01-01-to-2020-01-03": 1,
    "historical-via-chart-GOOG-2020-01-01-to-2020-01-03": 1,
    "historical-via-chart-QQQ-2020-01-01-to-2020-01-03": 1,
}
NO_BARS = {
    "chart-AAPL-2025-02-01-to-2025-02-02-includePrePost-false-interval-1m": "dataGranularity is '1m'",
    "chart-notimestamp-quotes-length.fake": "columns and time stamps differ in length",
    # A dot in a ticker of ours is a share class; Yahoo's are other countries' exchanges.
    "chart-AZT.OL-2020-01-01-to-2020-01-03": "symbol is",
    "chart-OCDO.L-2020-01-01-to-2020-01-03": "symbol is",
    "chart-ORSTED.CO-2020-01-01-to-2020-01-03": "symbol is",
    "chart-WSKT.JK-2020-01-01-to-2020-01-03": "symbol is",
    "chart-WSU.DE-2023-08-04-to-2023-08-09": "symbol is",
    "historical-via-chart-AZT.OL-2020-01-01-to-2020-01-03": "symbol is",
    "historical-via-chart-OCDO.L-2020-01-01-to-2020-01-03": "symbol is",
    "historical-via-chart-ORSTED.CO-2020-01-01-to-2020-01-03": "symbol is",
    "historical-via-chart-WSKT.JK-2020-01-01-to-2020-01-03": "symbol is",
}
CHAINS = {
    "options-AAPL": (102, 1),
    "options-AAPL-expire-2022-03-01": (0, 0),
    "options-ABBV": (47, 0),
    "options-BABA": (196, 1),
    "options-BEKE": (36, 0),
    "options-CRON": (11, 1),
    "options-EBAY": (47, 0),
    "options-EPAC": (1, 0),
    "options-PYPL": (80, 1),
}
"""Contracts, and those with two sides: it was Monday morning, before the open."""
NO_CHAINS = {
    "options-ADH": "lists no options",
    "options-BTC-USD": "lists no options",
    "options-EURUSD=X": "lists no options",
    "options-GC=F": "lists no options",
    "options-^VXAPL": "lists no options",
    "options-AZT.OL": "underlyingSymbol is",
    "options-ORSTED.CO": "underlyingSymbol is",
    "options-WSKT.JK": "underlyingSymbol is",
}
QUOTES = {
    "quote-AAPL": ("244.44", "253.37"),
    "quote-AFRAF": ("8.79", "9.37"),
    "quote-AMZN": ("228.63", "235.81"),
    "quote-BABA": ("124.75", "124.97"),
    "quote-BEKE": ("20.39", "20.5"),
    "quote-GC=F": ("2910.7", "2910.8"),
    "quote-QQQ": ("538.1", "538.22"),
    "quote-SOHO": ("None", "None"),
    "quote-^VXAPL": ("None", "None"),
}
NO_QUOTES = {
    "quote-ADH": "neither bid nor ask",
    "quote-BTC-USD": "neither bid nor ask",
    "quote-TSLA-fields-symbol": "neither bid nor ask",
    "quote-TSLA-fields-symbol-shortName": "neither bid nor ask",
    "quote-ZRC-USD": "neither bid nor ask",
    "quote-BRKS": "does not know",
    "quote-SI": "does not know",
    "quote-SIMP": "does not know",
    "quote-0P000071W8.TO": "does not know",
    "quote-AZT.OL": "does not know",
    "quote-LDO.MI": "does not know",
    "quote-ORSTED.CO": "does not know",
    "quote-WSKT.JK": "does not know",
}
_EVENTS = "quoteSummary-calendarEvents-"
ANNOUNCEMENTS = {
    "AAPL": "2025-04-30 2025-05-01 2025-05-02 2025-05-05",
    "AMZN": "2025-04-28 2025-04-29 2025-04-30 2025-05-01 2025-05-02",
    "ARMK": "2025-02-04",
    "AZT.OL": "2025-05-08",
    "CMCOM.AS": "2025-02-13",
    "CRM": "2025-02-26",
    "CRON": "2025-02-26 2025-02-27 2025-02-28 2025-03-03",
    "EPAC": "2025-03-18 2025-03-19 2025-03-20 2025-03-21 2025-03-24",
    "EREGL.IS": "2025-05-07 2025-05-08 2025-05-09 2025-05-12",
    "GOOG": "2025-04-23 2025-04-24 2025-04-25 2025-04-28",
    "OCDO.L": "2025-02-27",
    "ORSTED.CO": "2025-05-07",
}
NO_ANNOUNCEMENTS = {"0P000071W8.TO": "No fundamentals data found"}


class Recorded(NamedTuple):
    """A body behind a host that also hands out cookie and crumb, and what it was asked for."""

    yahoo: YahooData
    symbol: Underlying
    body: Any


@pytest.fixture
def host() -> Iterator[Scripted]:
    server = Scripted()
    cookie = {"Set-Cookie": "A3=abc; Domain=.yahoo.com; Path=/; Max-Age=9999"}
    server.on("GET", "/", Reply(b"", 404, headers=cookie))
    server.on("GET", "/v1/test/getcrumb", Reply(b"CRUMB.EXAMPLE"))
    yield server
    server.close()


def recorded(name: str, shared: Path, host: Scripted) -> Recorded:
    told = json.loads((shared / "wire/yahoo" / f"{name}.json").read_text())
    address = urlsplit(told["meta"]["url"])
    path, asked = unquote(address.path), parse_qs(address.query)
    symbol = asked["symbols"][0] if "symbols" in asked else path.rsplit("/", 1)[1]
    # Asked for with a dash where Yahoo has a dot: what came is then told to be of another symbol.
    if "symbols" not in asked:
        path = f"{path.rsplit('/', 1)[0]}/{quote(symbol.replace('.', '-'), safe='')}"
    host.on("GET", path, Reply(told["body"], told["meta"]["status"]))
    return Recorded(YahooData(practice_url=host.url, deadline_seconds=20), Underlying(symbol), told["body"])


def test_every_recorded_body_of_a_kind_that_is_asked_for_is_listed_here(shared: Path) -> None:
    listed = {*BARS, *NO_BARS, *CHAINS, *NO_CHAINS, *QUOTES, *NO_QUOTES}
    listed |= {_EVENTS + name for name in (*ANNOUNCEMENTS, *NO_ANNOUNCEMENTS)}

    names = {file.stem for file in (shared / "wire/yahoo").glob("*.json")}

    kinds = ("chart-", "historical-", "options-", "quote-", _EVENTS)
    assert {name for name in names if name.startswith(kinds)} == listed


@pytest.mark.parametrize("name", BARS)
def test_recorded_charts_are_read(name: str, shared: Path, host: Scripted) -> None:
    yahoo, symbol, body = recorded(name, shared, host)

    bars = yahoo.bars([symbol], *SPAN)

    told = body["chart"]["result"][0]
    adjusted = told["indicators"]["adjclose"][0]["adjclose"]
    assert bars.missing == ()
    assert bars.frame["close"].tolist() == pytest.approx(adjusted)
    assert len(bars.frame) == BARS[name] == len(told["timestamp"])


@pytest.mark.parametrize("name", NO_BARS)
def test_recorded_charts_of_something_else_are_refused(name: str, shared: Path, host: Scripted) -> None:
    yahoo, symbol, _ = recorded(name, shared, host)
    asked = symbol if "fake" not in name else Underlying("AAPL")

    bars = yahoo.bars([asked], *SPAN)

    assert bars.frame.empty
    assert NO_BARS[name] in bars.missing[0].reason


def _expiry(body: Any) -> date:
    series = body["optionChain"]["result"][0]["options"]
    return datetime.fromtimestamp(series[0]["expirationDate"] if series else 0, UTC).date()


@pytest.mark.parametrize("name", CHAINS)
def test_recorded_chains_are_read_whole(name: str, shared: Path, host: Scripted) -> None:
    yahoo, symbol, body = recorded(name, shared, host)

    chain = yahoo.chain(symbol, ChainWindow(0, 0), _expiry(body))

    two_sided = [each for each in chain if each.quote.two_sided]
    rows = [row for side in ("calls", "puts") for row in body["optionChain"]["result"][0]["options"][0][side]]
    assert (len(chain), len(two_sided)) == CHAINS[name] == (len(rows), CHAINS[name][1])
    assert {each.contract.symbol.replace(" ", "") for each in chain} == {
        row["contractSymbol"] for row in rows
    }
    assert sum(each.open_interest is None for each in chain) == sum("openInterest" not in row for row in rows)
    assert {each.iv for each in chain if not each.quote.two_sided} <= {None}


@pytest.mark.parametrize("name", NO_CHAINS)
def test_recorded_chains_without_contracts_are_refused(name: str, shared: Path, host: Scripted) -> None:
    yahoo, symbol, body = recorded(name, shared, host)

    with pytest.raises(WsbError, match=NO_CHAINS[name]):
        yahoo.chain(symbol, ChainWindow(0, 0), _expiry(body))


@pytest.mark.parametrize("name", QUOTES)
def test_recorded_quotes_are_read_and_a_side_of_zero_is_none(name: str, shared: Path, host: Scripted) -> None:
    yahoo, symbol, body = recorded(name, shared, host)

    told = yahoo.quotes([symbol])[symbol]

    assert not isinstance(told, Missing)
    assert (str(told.bid), str(told.ask)) == QUOTES[name]
    assert told.provenance.as_of.timestamp() == body["quoteResponse"]["result"][0]["regularMarketTime"]


@pytest.mark.parametrize("name", NO_QUOTES)
def test_recorded_quotes_without_a_price_are_missing(name: str, shared: Path, host: Scripted) -> None:
    yahoo, symbol, _ = recorded(name, shared, host)

    told = yahoo.quotes([symbol])[symbol]

    assert isinstance(told, Missing)
    assert NO_QUOTES[name] in told.reason


@pytest.mark.parametrize("name", ANNOUNCEMENTS)
def test_recorded_announcements_are_days_and_a_range_is_not_confirmed(
    name: str, shared: Path, host: Scripted
) -> None:
    yahoo, symbol, body = recorded(_EVENTS + name, shared, host)

    told = yahoo.earnings([symbol], *SPAN)[symbol]

    assert not isinstance(told, Missing)
    earnings = body["quoteSummary"]["result"][0]["calendarEvents"]["earnings"]
    assert " ".join(str(each.day) for each in told) == ANNOUNCEMENTS[name]
    assert {each.confirmed for each in told} == {False if earnings["isEarningsDateEstimate"] else None}


def test_the_hour_of_a_recorded_announcement_is_new_yorks(shared: Path, host: Scripted) -> None:
    times = {}
    for name in ("ARMK", "CRM", "CMCOM.AS"):
        yahoo, symbol, _ = recorded(_EVENTS + name, shared, host)
        told = yahoo.earnings([symbol], *SPAN)[symbol]
        times[name] = {each.time for each in told} if isinstance(told, tuple) else set()

    assert times == {
        "ARMK": {ReportTime.BEFORE_OPEN},
        "CRM": {ReportTime.AFTER_CLOSE},
        "CMCOM.AS": {ReportTime.UNKNOWN},
    }


@pytest.mark.parametrize("name", NO_ANNOUNCEMENTS)
def test_recorded_words_for_nothing_are_the_reason(name: str, shared: Path, host: Scripted) -> None:
    yahoo, symbol, _ = recorded(_EVENTS + name, shared, host)

    told = yahoo.earnings([symbol], *SPAN)[symbol]

    assert isinstance(told, Missing)
    assert NO_ANNOUNCEMENTS[name] in told.reason
