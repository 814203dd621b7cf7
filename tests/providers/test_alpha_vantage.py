"""The Alpha Vantage adapter against the practice exchange, faults included, and against scripted bodies."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from datetime import date
from http.server import BaseHTTPRequestHandler
from typing import Any

import pandas as pd
import pytest

from tests.brokers.scripted import Reply, Scripted
from tests.exchange.server.market import ny
from tests.exchange.server.yahoo_market import AAPL, DAY, EMPTY, MSFT, SPY, VIX, announced, served
from wsb_core.domain.errors import (
    BadResponse,
    ConfigError,
    NotArmed,
    ProviderRefused,
    ProviderUnavailable,
    WsbError,
)
from wsb_core.domain.events import ReportTime
from wsb_core.domain.ids import Underlying
from wsb_core.domain.ports import DataKind, Missing
from wsb_core.domain.quotes import FeedClass
from wsb_core.exchange.client import PracticeControl
from wsb_core.exchange.server import PRACTICE_KEYS
from wsb_core.exchange.server.almanac import Almanac
from wsb_core.providers.alpha_vantage import AlphaVantageData

KEY = next(iter(PRACTICE_KEYS))
APRIL = date(2026, 4, 1)
HEADER = "symbol,name,reportDate,fiscalDateEnding,estimate,currency,timeOfTheDay\r\n"


def at(url: str, **options: Any) -> AlphaVantageData:
    return AlphaVantageData(KEY, base_url=url, practice=True, **{"deadline_seconds": 20.0, **options})


@pytest.fixture
def url() -> Iterator[str]:
    with served() as base:
        yield base


@pytest.fixture
def control(url: str) -> PracticeControl:
    return PracticeControl(url, deadline_seconds=20)


@pytest.fixture
def vendor(url: str) -> AlphaVantageData:
    return at(url)


@pytest.fixture
def script() -> Iterator[Scripted]:
    server = Scripted()
    yield server
    server.close()


def scripted(script: Scripted, body: Any, **options: Any) -> AlphaVantageData:
    sent = body.encode() if isinstance(body, str) else body
    script.on("GET", "/query", Reply(sent, **options))
    return at(script.url)


def test_announcements_of_all_names_take_one_request(
    vendor: AlphaVantageData, control: PracticeControl
) -> None:
    told = vendor.earnings([AAPL, MSFT, SPY], DAY, APRIL)

    assert [(each.day.day, each.time, each.confirmed) for each in told[AAPL]] == [
        (12, ReportTime.AFTER_CLOSE, None)
    ]
    assert [(each.day.day, each.time) for each in told[MSFT]] == [
        (12, ReportTime.UNKNOWN),
        (16, ReportTime.UNKNOWN),
    ]
    assert told[SPY] == Missing(SPY, "Alpha Vantage's calendar has no row of it")
    assert control.state()["requests"] == {"GET /query": 1}


def test_an_announcement_says_when_and_how_well_it_was_known(vendor: AlphaVantageData) -> None:
    [told] = vendor.earnings([AAPL], DAY, APRIL)[AAPL]

    assert told.provenance.as_of == ny("2026-03-02 10:00")
    assert told.provenance.feed is FeedClass.REPLAYED


def test_none_in_the_span_is_an_answer_only_where_the_calendar_reaches(vendor: AlphaVantageData) -> None:
    inside = vendor.earnings([AAPL], DAY, date(2026, 3, 11))[AAPL]
    beyond = vendor.earnings([AAPL], date(2026, 4, 1), date(2026, 8, 1))[AAPL]
    before = vendor.earnings([AAPL], date(2026, 2, 1), date(2026, 3, 1))[AAPL]

    assert inside == ()
    assert isinstance(beyond, Missing)
    assert isinstance(before, Missing)


def test_a_longer_horizon_reaches_farther(url: str) -> None:
    told = at(url, horizon="12month").earnings([AAPL], date(2026, 4, 1), date(2026, 8, 1))

    assert told[AAPL] == ()


def test_share_classes_are_spelled_as_the_vendor_does() -> None:
    name = Underlying("BRK.B")
    with served(Almanac(earnings={name: (announced(name, "2026-03-12"),)})) as url:
        told = at(url).earnings([name], DAY, APRIL)

    assert [each.underlying for each in told[name]] == [name]


def test_the_session_so_far_is_todays_bar(vendor: AlphaVantageData) -> None:
    bars = vendor.today([AAPL, MSFT, VIX])

    assert bars.frame["symbol"].tolist() == ["AAPL", "MSFT"]
    assert bars.frame["session"].unique().tolist() == [pd.Timestamp(DAY)]
    prices = bars.frame[["open", "high", "low", "close", "volume"]].drop_duplicates()
    assert prices.to_numpy().tolist() == [[100.0, 100.3, 100.0, 100.3, 30_000.0]]
    assert bars.missing == (Missing(VIX, "Alpha Vantage does not know the symbol"),)
    assert bars.provenance.feed is FeedClass.REPLAYED


def test_before_the_open_there_is_no_bar_of_today(vendor: AlphaVantageData, control: PracticeControl) -> None:
    control.advance_to(ny("2026-03-03 08:00"))

    bars = vendor.today([AAPL])

    assert bars.frame.empty
    assert bars.missing[0].reason == "no bar of 2026-03-03 yet; the newest is of 2026-03-02"


def test_what_it_serves_is_never_better_than_delayed_and_five_a_minute() -> None:
    services = AlphaVantageData("key").services

    assert services.keys() == {DataKind.EARNINGS, DataKind.TODAY}
    assert {(service.feed, service.requests_a_minute) for service in services.values()} == {
        (FeedClass.DELAYED, 5)
    }


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ({"key": ""}, ConfigError, "ALPHA_VANTAGE_API_KEY"),
        ({"horizon": "2month"}, ConfigError, "horizon"),
        ({"deadline_seconds": 0}, ConfigError, "deadline_seconds"),
        ({"base_url": "http://127.0.0.1:1"}, NotArmed, "practice"),
        ({"base_url": "http://localhost:1"}, NotArmed, "practice"),
    ],
)
def test_settings_that_cannot_be_meant_are_refused(
    options: dict[str, Any], error: type[WsbError], words: str
) -> None:
    with pytest.raises(error, match=words):
        AlphaVantageData(**{"key": "key", **options})


def test_a_wrong_key_is_refused_for_good(url: str) -> None:
    vendor = AlphaVantageData("wrong", base_url=url, practice=True)

    with pytest.raises(ProviderRefused, match="ALPHA_VANTAGE_API_KEY"):
        vendor.earnings([AAPL], DAY, APRIL)


def test_a_plan_without_the_calendar_is_refused_for_good() -> None:
    with served(EMPTY) as url, pytest.raises(ProviderRefused, match="plan"):
        at(url).earnings([AAPL], DAY, APRIL)


def test_asking_for_nothing_is_refused(vendor: AlphaVantageData) -> None:
    with pytest.raises(ProviderRefused, match="name at least one"):
        vendor.today([])


ASKS: dict[str, Callable[[AlphaVantageData], Any]] = {
    "earnings": lambda vendor: vendor.earnings([AAPL, MSFT], DAY, APRIL),
    "today": lambda vendor: vendor.today([AAPL]),
}
FAULTS: dict[str, tuple[dict[str, Any], type[WsbError]]] = {
    "a 500": ({"kind": "status", "status": 500}, ProviderUnavailable),
    "a page in HTML": ({"kind": "html502"}, ProviderUnavailable),
    "too many requests": ({"kind": "ratelimit"}, ProviderUnavailable),
    "a cut connection": ({"kind": "drop"}, ProviderUnavailable),
    "half a body": ({"kind": "truncate"}, BadResponse),
    "no body": ({"kind": "empty"}, BadResponse),
    "a 404": ({"kind": "status", "status": 404}, ProviderRefused),
}


@pytest.mark.parametrize("ask", ASKS)
@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_is_an_error_and_nothing_is_sent_twice(
    ask: str, fault: str, vendor: AlphaVantageData, control: PracticeControl
) -> None:
    details, error = FAULTS[fault]
    control.fault(path="^/query$", **details)

    with pytest.raises(error):
        ASKS[ask](vendor)

    assert control.state()["requests"] == {"GET /query": 1}
    ASKS[ask](vendor)


LIMIT = "We have detected your API key as SECRET and our standard API rate limit is 25 requests per day."


@pytest.mark.parametrize("ask", ASKS)
@pytest.mark.parametrize("name", ["Note", "Information"])
def test_the_limit_of_the_plan_may_be_asked_again_and_the_key_is_not_told(
    name: str, ask: str, script: Scripted
) -> None:
    script.on("GET", "/query", Reply({name: LIMIT.replace("SECRET", KEY)}))

    with pytest.raises(ProviderUnavailable, match="25 requests per day") as caught:
        ASKS[ask](at(script.url))

    assert KEY not in str(caught.value)


@pytest.mark.parametrize(
    "body",
    [
        "",
        "{}",
        "[]",
        "I,n,f,o\r\n",
        "<html>busy</html>",
        "Our service is overloaded",
        "symbol,name\r\nAAPL,Apple\r\n",
    ],
)
def test_a_body_that_is_no_calendar_is_unknown_not_empty(body: str, script: Scripted) -> None:
    with pytest.raises(BadResponse, match="unknown, not empty"):
        scripted(script, body).earnings([AAPL], DAY, APRIL)


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ("AAPL,Apple,2026-03-12,,,USD,post-mar", "breaks off"),
        ("AAPL,Apple,2026-0\r\n", "breaks off"),
        ("AAPL,Apple,soon,,,USD,\r\n", "reportDate"),
        ("AAPL,Apple,,,,USD,\r\n", "reportDate"),
        (",Apple,2026-03-12,,,USD,\r\n", "symbol"),
    ],
)
def test_a_row_that_cannot_be_read_refuses_the_whole_calendar(
    row: str, reason: str, script: Scripted
) -> None:
    with pytest.raises(BadResponse, match=reason):
        scripted(script, f"{HEADER}{row}").earnings([AAPL], DAY, APRIL)


def test_the_older_table_without_a_time_of_day_is_read(script: Scripted) -> None:
    body = (
        'symbol,name,reportDate,fiscalDateEnding,estimate,currency\r\nAAPL,"Apple, Inc",2026-03-12,,,USD\r\n'
    )

    [told] = scripted(script, body).earnings([AAPL], DAY, APRIL)[AAPL]

    assert (told.day, told.time) == (date(2026, 3, 12), ReportTime.UNKNOWN)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"05. price": "None"}, "05. price"),
        ({"05. price": "0.0000"}, "positive price"),
        ({"06. volume": ""}, "06. volume"),
        ({"07. latest trading day": "today"}, "07. latest trading day"),
        ({"01. symbol": "MSFT"}, "01. symbol"),
    ],
)
def test_a_bar_that_cannot_be_read_is_refused(
    changes: dict[str, str], reason: str, script: Scripted, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        BaseHTTPRequestHandler, "date_time_string", lambda *_: "Mon, 02 Mar 2026 15:00:00 GMT"
    )
    told = {
        "01. symbol": "AAPL",
        **{f"0{number}. {name}": "100.0" for number, name in enumerate(("open", "high", "low", "price"), 2)},
        "06. volume": "7",
        "07. latest trading day": "2026-03-02",
        **changes,
    }

    with pytest.raises(BadResponse, match=reason):
        scripted(script, {"Global Quote": told}).today([AAPL])


def test_an_answer_without_a_readable_time_is_not_used(
    script: Scripted, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(BaseHTTPRequestHandler, "date_time_string", lambda *_: "a while ago")

    with pytest.raises(BadResponse, match="Date"):
        scripted(script, HEADER).earnings([AAPL], DAY, APRIL)


def test_a_body_that_drips_in_is_given_up(script: Scripted) -> None:
    script.on("GET", "/query", Reply(HEADER.encode(), fault="drip"))

    with pytest.raises(ProviderUnavailable, match="not complete in time"):
        at(script.url, deadline_seconds=0.3).earnings([AAPL], DAY, APRIL)


def test_a_host_that_does_not_answer_in_time_is_given_up(script: Scripted) -> None:
    script.on("GET", "/query", Reply(HEADER.encode(), fault="stall"))

    with pytest.raises(ProviderUnavailable):
        at(script.url, deadline_seconds=0.3).earnings([AAPL], DAY, APRIL)


def test_a_body_shorter_than_it_says_is_not_read(script: Scripted) -> None:
    with pytest.raises(BadResponse, match="broke off"):
        scripted(script, HEADER, fault="truncate").earnings([AAPL], DAY, APRIL)


def test_a_zipped_body_is_read(script: Scripted) -> None:
    told = scripted(script, HEADER, zipped=True).earnings([AAPL], DAY, APRIL)

    assert isinstance(told[AAPL], Missing)


def test_a_redirect_is_not_followed_for_the_address_carries_the_key(script: Scripted) -> None:
    vendor = scripted(script, b"", status=302, headers={"Location": f"{script.url}/elsewhere"})

    with pytest.raises(ProviderRefused, match="302"):
        vendor.earnings([AAPL], DAY, APRIL)
    assert script.count("GET", "/elsewhere") == 0


def test_a_dead_host_is_unavailable_and_the_key_is_not_told() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        dead = f"http://127.0.0.1:{free.getsockname()[1]}"

    with pytest.raises(ProviderUnavailable) as caught:
        at(dead, deadline_seconds=2).earnings([AAPL], DAY, APRIL)

    assert KEY not in str(caught.value)
    assert KEY not in repr(at(dead))
