"""Alpha Vantage's side of the exchange, asked by bare requests: the vendor has no client of its own."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from typing import Any

import pytest
import requests

from tests.exchange.server.market import ny
from tests.exchange.server.yahoo_market import AAPL, EMPTY, announced, served
from wsb_core.exchange.client import PracticeControl
from wsb_core.exchange.server import PRACTICE_KEYS
from wsb_core.exchange.server.almanac import Almanac

KEY = next(iter(PRACTICE_KEYS))


@pytest.fixture
def url() -> Iterator[str]:
    with served() as base:
        yield base


def ask(url: str, **params: str) -> requests.Response:
    return requests.get(f"{url}/query", params={"apikey": KEY, **params}, timeout=20)


def calendar(url: str, **params: str) -> list[dict[str, str]]:
    text = ask(url, function="EARNINGS_CALENDAR", **params).text
    return list(csv.DictReader(text.splitlines()))


def test_the_calendar_is_a_table_of_what_is_still_to_come(url: str) -> None:
    rows = calendar(url)

    assert [(row["symbol"], row["reportDate"], row["timeOfTheDay"]) for row in rows] == [
        ("AAPL", "2026-03-12", "post-market"),
        ("MSFT", "2026-03-12", ""),
        ("MSFT", "2026-03-16", ""),
    ]


def test_one_name_of_the_calendar_can_be_asked_for_and_an_unknown_one_has_no_row(url: str) -> None:
    assert {row["symbol"] for row in calendar(url, symbol="msft")} == {"MSFT"}
    assert calendar(url, symbol="NOPE") == []


def test_an_announcement_that_is_past_is_left_out(url: str) -> None:
    PracticeControl(url, deadline_seconds=20).advance_to(ny("2026-03-13 10:00"))

    assert [row["symbol"] for row in calendar(url)] == ["MSFT"]


@pytest.mark.parametrize(("horizon", "rows"), [("3month", 0), ("6month", 1), ("12month", 2)])
def test_announcements_beyond_the_horizon_are_left_out(horizon: str, rows: int) -> None:
    table = {AAPL: (announced(AAPL, "2026-07-30"), announced(AAPL, "2026-10-29"))}
    with served(Almanac(earnings=table)) as url:
        assert len(calendar(url, horizon=horizon)) == rows


def test_the_newest_bar_is_told_in_text(url: str) -> None:
    answer = ask(url, function="GLOBAL_QUOTE", symbol="AAPL")

    told = answer.json()["Global Quote"]
    assert told["05. price"] == "100.3000"
    assert told["07. latest trading day"] == "2026-03-02"
    assert told["08. previous close"] == "103.9000"
    assert told["10. change percent"] == "-3.4649%"
    assert answer.headers["Date"] == "Mon, 02 Mar 2026 15:00:00 GMT"
    assert answer.headers["X-WSB-Feed"] == "replayed"


def test_an_unknown_symbol_has_an_empty_quote(url: str) -> None:
    assert ask(url, function="GLOBAL_QUOTE", symbol="NOPE").json() == {"Global Quote": {}}


@pytest.mark.parametrize(
    "params",
    [
        {"function": "EARNINGS_CALENDAR", "apikey": "wrong"},
        {"function": "EARNINGS_CALENDAR", "apikey": ""},
        {"function": "TIME_MACHINE"},
        {"function": "EARNINGS_CALENDAR", "horizon": "forever"},
        {"function": "GLOBAL_QUOTE"},
    ],
)
def test_refusals_come_with_status_200(params: dict[str, Any], url: str) -> None:
    answer = ask(url, **params)

    assert answer.status_code == 200
    assert answer.json().keys() == {"Error Message"}


def test_without_a_table_the_calendar_is_another_plans() -> None:
    with served(EMPTY) as url:
        told = ask(url, function="EARNINGS_CALENDAR").json()

    assert "premium endpoint" in told["Information"]
