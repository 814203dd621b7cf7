"""The Yahoo adapter against the practice exchange, faults included, and against bodies made up for it."""

from __future__ import annotations

import json
import math
import socket
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime
from http.server import BaseHTTPRequestHandler
from typing import Any

import pandas as pd
import pytest

from tests.brokers.scripted import Reply, Scripted, Sent
from tests.exchange.server.market import DIVIDEND_DAY, ny
from tests.exchange.server.yahoo_market import AAPL, DAY, MSFT, SPY, VIX, announced, served
from wsb_core.domain.contracts import Right
from wsb_core.domain.errors import BadResponse, ConfigError, ProviderRefused, ProviderUnavailable, WsbError
from wsb_core.domain.events import ReportTime
from wsb_core.domain.ids import Underlying
from wsb_core.domain.ports import DataKind, Missing
from wsb_core.domain.quotes import FeedClass, Quote
from wsb_core.domain.strategy import ChainWindow
from wsb_core.exchange.client import PracticeControl
from wsb_core.exchange.server.almanac import Almanac
from wsb_core.providers.yahoo import YahooData

NOPE = Underlying("NOPE")
FIRST = date(2026, 2, 20)
CHART, QUOTE, CHAIN, SUMMARY = "/v8/finance/chart", "/v7/finance/quote", "/v7/finance/options", "/v10/"


@pytest.fixture
def url() -> Iterator[str]:
    with served() as base:
        yield base


@pytest.fixture
def control(url: str) -> PracticeControl:
    return PracticeControl(url, deadline_seconds=20)


@pytest.fixture
def yahoo(url: str) -> YahooData:
    return YahooData(practice_url=url, deadline_seconds=20)


@pytest.fixture
def script() -> Iterator[Scripted]:
    """A host that has a cookie and a crumb, and what a test scripts besides."""
    server = Scripted()
    cookie = {"Set-Cookie": "A3=abc; Domain=.yahoo.com; Path=/; Max-Age=9999"}
    server.on("GET", "/", Reply(b"", 404, headers=cookie))
    server.on("GET", "/v1/test/getcrumb", Reply(b"crumb"))
    yield server
    server.close()


def at(server: Scripted, deadline_seconds: float = 20.0) -> YahooData:
    return YahooData(practice_url=server.url, deadline_seconds=deadline_seconds)


def epoch(when: datetime) -> int:
    return int(when.timestamp())


def chart(stamps: list[int], meta: dict[str, Any] | None = None, **columns: list[Any]) -> Any:
    """A chart of 100 on every day but for what ``columns`` say."""
    known = {
        "symbol": "AAPL",
        "currency": "USD",
        "dataGranularity": "1d",
        "exchangeTimezoneName": "America/New_York",
        "regularMarketTime": epoch(ny("2026-03-02 10:00")),
    }
    filled = {name: [100.0] * len(stamps) for name in ("open", "high", "low", "close", "volume", "adjclose")}
    filled |= columns
    adjusted = {"adjclose": filled.pop("adjclose")}
    result = {
        "meta": {**known, **(meta or {})},
        "timestamp": stamps,
        "indicators": {"quote": [filled], "adjclose": [adjusted]},
    }
    return {"chart": {"result": [result], "error": None}}


DAYS = [epoch(ny(f"2026-02-{day} 09:30")) for day in (25, 26, 27)]


def test_bars_are_completed_sessions_alone(yahoo: YahooData) -> None:
    bars = yahoo.bars([AAPL, MSFT], FIRST, DAY)

    assert bars.frame["session"].max() == pd.Timestamp("2026-02-27")
    assert bars.frame.groupby("symbol").size().to_dict() == {"AAPL": 6, "MSFT": 6}
    assert bars.frame["close"].unique().tolist() == [103.9]
    assert (bars.adjusted, bars.missing) == (True, ())
    assert bars.provenance.feed is FeedClass.REPLAYED


@pytest.mark.parametrize(("when", "rows"), [("16:05", 0), ("16:30", 1)])
def test_todays_bar_is_told_once_it_has_settled(
    when: str, rows: int, yahoo: YahooData, control: PracticeControl
) -> None:
    control.advance_to(ny(f"{DAY} {when}"))

    assert len(yahoo.bars([AAPL], DAY, DAY).frame) == rows


def test_bars_are_adjusted_for_what_has_happened(yahoo: YahooData, control: PracticeControl) -> None:
    control.advance_to(ny("2026-03-20 10:00"))

    frame = yahoo.bars([MSFT, SPY], DAY, date(2026, 3, 19)).frame.set_index(["symbol", "session"])["close"]

    assert frame["MSFT", pd.Timestamp("2026-03-02")] == pytest.approx(103.9 - 0.75)
    assert frame["MSFT", pd.Timestamp(DIVIDEND_DAY)] == pytest.approx(103.9)
    assert frame["SPY", pd.Timestamp("2026-03-02")] == pytest.approx(103.9 / 2)


def test_the_volatility_index_has_bars_under_its_own_name(yahoo: YahooData) -> None:
    bars = yahoo.bars([VIX], FIRST, DAY)

    assert bars.frame["symbol"].unique().tolist() == ["VIX"]
    assert len(bars.frame) == 6


def test_an_unknown_symbol_is_missing_and_the_others_are_there(yahoo: YahooData) -> None:
    bars = yahoo.bars([NOPE, AAPL], FIRST, DAY)

    assert [missing.underlying for missing in bars.missing] == [NOPE]
    assert "No data found" in bars.missing[0].reason
    assert set(bars.frame["symbol"]) == {"AAPL"}


def test_a_span_without_a_session_is_missing_not_empty(yahoo: YahooData) -> None:
    bars = yahoo.bars([AAPL], date(2026, 2, 21), date(2026, 2, 22))

    assert [missing.reason for missing in bars.missing] == ["no daily bar from 2026-02-21 to 2026-02-22"]


def test_quotes_have_two_sides_in_session_and_none_out_of_it(
    yahoo: YahooData, control: PracticeControl
) -> None:
    during = yahoo.quotes([AAPL])[AAPL]
    control.advance_to(ny(f"{DAY} 18:00"))
    after = yahoo.quotes([AAPL])[AAPL]

    assert isinstance(during, Quote)
    assert isinstance(after, Quote)
    assert (str(during.bid), str(during.ask)) == ("100.29", "100.31")
    assert (after.bid, after.ask) == (None, None)
    assert after.provenance.as_of == ny(f"{DAY} 16:00")


def test_a_hundred_quotes_take_two_requests(yahoo: YahooData, control: PracticeControl) -> None:
    names = [AAPL, *(Underlying(f"N{number}") for number in range(99))]

    told = yahoo.quotes(names)

    assert sum(isinstance(each, Missing) for each in told.values()) == 99
    assert control.state()["requests"]["GET /v7/finance/quote"] == 2


def test_a_chain_holds_the_window_and_no_greeks(yahoo: YahooData) -> None:
    chain = yahoo.chain(AAPL, ChainWindow(5, 30, (Right.PUT,)), DAY)

    assert {expiry.isoformat() for expiry in chain.expiries()} == {"2026-03-13", "2026-03-20", "2026-03-27"}
    assert len(chain) == 3 * 9
    assert all(each.quote.two_sided and each.iv == 0.3 and each.delta is None for each in chain)
    assert {each.open_interest for each in chain} == {1000}
    assert {each.quote.provenance.feed for each in chain} == {FeedClass.MODELLED}


def test_out_of_session_a_chain_has_neither_prices_nor_volatility(
    yahoo: YahooData, control: PracticeControl
) -> None:
    control.advance_to(ny(f"{DAY} 18:00"))

    chain = yahoo.chain(AAPL, ChainWindow(0, 30), DAY)

    assert {(each.bid, each.ask, each.iv) for each in chain} == {(None, None, None)}
    assert chain.provenance.as_of == ny(f"{DAY} 16:00")


def test_something_without_options_is_refused(yahoo: YahooData) -> None:
    with pytest.raises(ProviderRefused, match="does not know"):
        yahoo.chain(NOPE, ChainWindow(0, 30), DAY)


def test_announcements_are_told_with_what_is_known_of_them(yahoo: YahooData) -> None:
    told = yahoo.earnings([AAPL, MSFT, SPY], DAY, date(2026, 4, 1))

    assert [(each.day.day, each.time, each.confirmed) for each in told[AAPL]] == [
        (12, ReportTime.AFTER_CLOSE, None)
    ]
    # 14 and 15 March are a weekend.
    assert [(each.day.day, each.time, each.confirmed) for each in told[MSFT]] == [
        (day, ReportTime.UNKNOWN, False) for day in (12, 13, 16)
    ]
    assert told[SPY] == Missing(SPY, "Yahoo gives no announcement date")


def test_no_announcement_before_the_known_one_is_an_answer_and_after_it_is_none(yahoo: YahooData) -> None:
    before = yahoo.earnings([AAPL], DAY, date(2026, 3, 11))[AAPL]
    after = yahoo.earnings([AAPL], date(2026, 3, 13), date(2026, 5, 1))[AAPL]
    past = yahoo.earnings([AAPL], date(2026, 1, 1), date(2026, 2, 1))[AAPL]

    assert before == ()
    assert isinstance(after, Missing)
    assert isinstance(past, Missing)


@pytest.mark.parametrize("time", ReportTime)
def test_the_part_of_the_day_survives_the_wire(time: ReportTime) -> None:
    almanac = Almanac(earnings={AAPL: (announced(AAPL, "2026-03-12", time, True),)})
    with served(almanac) as url:
        [told] = YahooData(practice_url=url).earnings([AAPL], DAY, date(2026, 4, 1))[AAPL]

    assert (told.day, told.time) == (date(2026, 3, 12), time)


def test_yields_are_percent_and_bills_told_as_bonds(yahoo: YahooData) -> None:
    told = yahoo.yields(FIRST, DAY)

    assert [each.day for each in told] == [date(2026, 2, 26), date(2026, 2, 27)]
    assert told[0].percent == pytest.approx({0.25: 4.0, 10.0: 4.25}, abs=1e-5)
    assert told[0].provenance.as_of == ny("2026-02-26 16:00")


def test_without_a_table_of_yields_they_are_refused() -> None:
    with served(Almanac()) as url, pytest.raises(ProviderRefused, match="none of"):
        YahooData(practice_url=url).yields(FIRST, DAY)


def test_yahoo_is_never_better_than_delayed_and_lists_what_it_serves() -> None:
    services = YahooData().services

    assert {service.feed for service in services.values()} == {FeedClass.DELAYED}
    assert {service.requests_a_minute for service in services.values()} == {30}
    assert services.keys() == {kind for kind in DataKind if callable(getattr(YahooData, kind.value, None))}


def test_a_deadline_that_is_none_is_refused() -> None:
    with pytest.raises(ConfigError, match="deadline_seconds"):
        YahooData(deadline_seconds=0)


ASKS: dict[str, tuple[str, Callable[[YahooData], Any]]] = {
    "bars": (CHART, lambda yahoo: yahoo.bars([AAPL], FIRST, DAY)),
    "quotes": (QUOTE, lambda yahoo: yahoo.quotes([AAPL])),
    "chain": (CHAIN, lambda yahoo: yahoo.chain(AAPL, ChainWindow(5, 30), DAY)),
    "earnings": (SUMMARY, lambda yahoo: yahoo.earnings([AAPL], DAY, date(2026, 4, 1))),
    "yields": (CHART, lambda yahoo: yahoo.yields(FIRST, DAY)),
}
FAULTS: dict[str, tuple[dict[str, Any], type[WsbError]]] = {
    "a 500": ({"kind": "status", "status": 500}, ProviderUnavailable),
    "a 503": ({"kind": "status", "status": 503}, ProviderUnavailable),
    "a page in HTML": ({"kind": "html502"}, ProviderUnavailable),
    "too many requests": ({"kind": "ratelimit"}, ProviderUnavailable),
    "a cut connection": ({"kind": "drop"}, ProviderUnavailable),
    "half a body": ({"kind": "truncate"}, BadResponse),
    "no body": ({"kind": "empty"}, BadResponse),
}


@pytest.mark.parametrize("ask", ASKS)
@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_is_an_error_that_may_be_asked_again_and_nothing_is_sent_twice(
    ask: str, fault: str, url: str, yahoo: YahooData, control: PracticeControl
) -> None:
    path, call = ASKS[ask]
    details, error = FAULTS[fault]
    control.fault(path=path, **details)

    with pytest.raises(error):
        call(yahoo)

    data = {name: n for name, n in control.state()["requests"].items() if "/finance/" in name}
    assert set(data.values()) == {1}
    call(yahoo)


def test_a_host_that_does_not_answer_in_time_is_given_up(url: str, control: PracticeControl) -> None:
    control.fault("stall", path=CHART, seconds=3)

    with pytest.raises(ProviderUnavailable, match="chart"):
        YahooData(practice_url=url, deadline_seconds=0.3).bars([AAPL], FIRST, DAY)


def test_a_body_that_drips_in_is_given_up(script: Scripted) -> None:
    script.on("GET", "/v8/finance/chart/AAPL", Reply(chart(DAYS), fault="drip"))

    with pytest.raises(ProviderUnavailable):
        at(script, 0.5).bars([AAPL], FIRST, DAY)


def test_a_body_shorter_than_it_says_is_not_read(script: Scripted) -> None:
    script.on("GET", "/v8/finance/chart/AAPL", Reply(chart(DAYS), fault="truncate"))

    with pytest.raises(BadResponse):
        at(script).bars([AAPL], FIRST, DAY)


def test_a_dead_host_is_unavailable_and_no_attribute_error() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        dead = f"http://127.0.0.1:{free.getsockname()[1]}"

    with pytest.raises(ProviderUnavailable):
        YahooData(practice_url=dead, deadline_seconds=2).bars([AAPL], FIRST, DAY)


@pytest.mark.parametrize("kind", ["status", "ratelimit", "html502", "drop", "empty"])
@pytest.mark.parametrize("path", ["^/$", "/v1/test/getcrumb"])
def test_charts_need_neither_cookie_nor_crumb(
    path: str, kind: str, yahoo: YahooData, control: PracticeControl
) -> None:
    control.fault(kind, path=path, times=None)

    assert len(yahoo.bars([AAPL], FIRST, DAY).frame) == 6


def test_a_crumb_that_could_not_be_had_is_asked_for_again_on_the_next_call(
    yahoo: YahooData, control: PracticeControl
) -> None:
    control.fault("status", path="/v1/test/getcrumb", status=500, times=2)

    with pytest.raises(ProviderUnavailable):
        yahoo.quotes([AAPL])

    assert isinstance(yahoo.quotes([AAPL])[AAPL], Quote)


def test_a_crumb_that_is_no_longer_taken_is_renewed_within_the_call(script: Scripted) -> None:
    unauthorized = {"finance": {"result": None, "error": {"code": "Unauthorized", "description": "Invalid"}}}
    row = {"symbol": "AAPL", "bid": 1, "ask": 2, "regularMarketTime": DAYS[0]}
    script.on("GET", "/v1/test/getcrumb", Reply(b"old"), Reply(b"new"))
    script.on(
        "GET",
        "/v7/finance/quote",
        Reply(unauthorized, 401),
        Reply({"quoteResponse": {"result": [row], "error": None}}),
    )

    told = at(script).quotes([AAPL])[AAPL]

    assert isinstance(told, Quote)
    assert [sent.query["crumb"] for sent in script.to("GET", "/v7/finance/quote")] == ["old", "new"]


def test_a_cookie_that_is_no_longer_taken_is_given_up_and_the_next_call_has_a_new_one(
    script: Scripted,
) -> None:
    cookies = ({"Set-Cookie": f"A3={value}; Domain=.yahoo.com; Path=/"} for value in ("old", "new"))
    script.on("GET", "/", *(Reply(b"", 404, headers=each) for each in cookies))
    row = {"symbol": "AAPL", "bid": 1, "ask": 2, "regularMarketTime": DAYS[0]}

    def answer(sent: Sent) -> Reply:
        known = "A3=new" in sent.headers.get("Cookie", "")
        return Reply({"quoteResponse": {"result": [row], "error": None}}) if known else Reply({}, 401)

    script.on("GET", "/v7/finance/quote", answer)
    yahoo = at(script)

    with pytest.raises(ProviderUnavailable, match="401"):
        yahoo.quotes([AAPL])

    assert isinstance(yahoo.quotes([AAPL])[AAPL], Quote)


class NoFile:
    """In the place of yfinance's cookie file."""

    def lookup(self, *_: Any) -> None:
        raise AssertionError("the file was read")

    def store(self, *_: Any) -> None:
        raise AssertionError("the file was written")


def test_cookie_and_crumb_are_fetched_once_and_kept_in_no_file(
    script: Scripted, monkeypatch: pytest.MonkeyPatch
) -> None:
    from yfinance import cache

    monkeypatch.setattr(cache._CookieCacheManager, "_Cookie_cache", NoFile())
    script.on("GET", "/v8/finance/chart/AAPL", Reply(chart(DAYS)))
    yahoo = at(script)

    for _ in range(3):
        yahoo.bars([AAPL], FIRST, DAY)

    assert (script.count("GET", "/"), script.count("GET", "/v1/test/getcrumb")) == (1, 1)


def test_practice_asks_nobody_but_the_exchange(
    url: str, script: Scripted, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy", "ALL_PROXY", "HTTPS_PROXY"):
        monkeypatch.setenv(name, script.url)
    monkeypatch.setenv("NO_PROXY", "*")
    monkeypatch.setenv("no_proxy", "*")

    bars = YahooData(practice_url=url, deadline_seconds=20).bars([AAPL], FIRST, DAY)

    assert len(bars.frame) == 6
    assert script.sent == []


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (chart(DAYS, {"currency": "EUR"}), "currency"),
        (chart(DAYS, {"symbol": "MSFT"}), "symbol"),
        (chart(DAYS, {"dataGranularity": "1wk"}), "dataGranularity"),
        (chart(DAYS, {"exchangeTimezoneName": None}), "exchangeTimezoneName"),
        (chart(DAYS, {"regularMarketTime": "now"}), "regularMarketTime"),
        (chart(DAYS, close=[100.0]), "differ in length"),
        (chart(DAYS, close=[100.0, -1, 100.0]), "positive price"),
        (chart(DAYS, open=[100.0, "dear", 100.0]), "a number"),
        (chart([stamp * 1000 for stamp in DAYS]), "epoch seconds"),
        (chart([]), "no daily bar"),
        ({"chart": {"result": [], "error": None}}, "0 results"),
        ({"chart": {"result": [None], "error": None}}, "not an object"),
    ],
)
def test_a_chart_that_is_not_what_was_asked_for_is_missing_with_the_reason(
    body: Any, reason: str, script: Scripted
) -> None:
    script.on("GET", "/v8/finance/chart/AAPL", Reply(body))

    bars = at(script).bars([AAPL], FIRST, DAY)

    assert bars.frame.empty
    assert reason in bars.missing[0].reason


@pytest.mark.parametrize("body", [[], {}, None, "busy", 7, {"chart": None}])
def test_a_body_of_another_shape_is_unknown_not_empty(body: Any, script: Scripted) -> None:
    script.on("GET", "/v8/finance/chart/AAPL", Reply(json.dumps(body).encode()))
    script.on("GET", "/v7/finance/quote", Reply(json.dumps(body).encode()))

    with pytest.raises(BadResponse):
        at(script).quotes([AAPL])
    assert at(script).bars([AAPL], FIRST, DAY).frame.empty


def test_a_session_of_which_a_price_is_unknown_is_left_out_and_an_unknown_volume_is_nan(
    script: Scripted,
) -> None:
    body = chart(DAYS, close=[100.0, None, 100.0], volume=[None, 5, 6])
    script.on("GET", "/v8/finance/chart/AAPL", Reply(body))

    frame = at(script).bars([AAPL], FIRST, DAY).frame

    assert [stamp.day for stamp in frame["session"]] == [25, 27]
    assert math.isnan(frame["volume"].iloc[0])


def test_of_two_rows_of_the_newest_session_the_later_one_counts(script: Scripted) -> None:
    stamps = [*DAYS, epoch(ny("2026-02-27 16:00"))]
    script.on("GET", "/v8/finance/chart/AAPL", Reply(chart(stamps, close=[1.0, 2.0, 3.0, 100.0])))

    frame = at(script).bars([AAPL], FIRST, DAY).frame

    assert [stamp.day for stamp in frame["session"]] == [25, 26, 27]
    assert frame["close"].iloc[-1] == 100.0


def test_two_rows_of_an_earlier_session_are_refused(script: Scripted) -> None:
    stamps = [DAYS[0], DAYS[0] + 60, DAYS[1]]
    script.on("GET", "/v8/finance/chart/AAPL", Reply(chart(stamps)))

    with pytest.raises(BadResponse, match="two bars of 2026-02-25"):
        at(script).bars([AAPL], FIRST, DAY)


def test_numbers_that_are_no_numbers_are_refused(script: Scripted) -> None:
    script.on("GET", "/v8/finance/chart/AAPL", Reply(chart(DAYS, close=[100.0, float("nan"), 100.0])))

    bars = at(script).bars([AAPL], FIRST, DAY)

    assert "a finite number" in bars.missing[0].reason


def option(**changes: Any) -> dict[str, Any]:
    known = {
        "contractSymbol": "AAPL260313C00100000",
        "strike": 100,
        "bid": 1.0,
        "ask": 1.2,
        "impliedVolatility": 0.3,
        "volume": 7,
        "openInterest": 9,
        "lastTradeDate": epoch(ny(f"{DAY} 09:45")),
        "contractSize": "REGULAR",
    }
    return {name: value for name, value in {**known, **changes}.items() if value != "absent"}


def scripted_chain(script: Scripted, *calls: dict[str, Any]) -> None:
    expiry = epoch(datetime(2026, 3, 13, tzinfo=UTC))
    listing = {
        "underlyingSymbol": "AAPL",
        "expirationDates": [expiry],
        "quote": {"regularMarketTime": epoch(ny(f"{DAY} 10:00"))},
        "options": [{"expirationDate": expiry, "calls": list(calls), "puts": []}],
    }
    script.on("GET", "/v7/finance/options/AAPL", Reply({"optionChain": {"result": [listing], "error": None}}))


@pytest.mark.parametrize(
    ("changes", "wanted"),
    [
        ({"volume": "absent"}, {"volume": None}),
        ({"lastTradeDate": DAYS[0]}, {"volume": None}),
        ({"openInterest": "absent"}, {"open_interest": None}),
        ({"bid": 0}, {"bid": None, "iv": None}),
        ({"bid": 2.0}, {"iv": None}),
        ({"impliedVolatility": 0}, {"iv": None}),
        ({"impliedVolatility": "absent"}, {"iv": None}),
    ],
)
def test_what_yahoo_does_not_say_of_a_contract_is_none(
    changes: dict[str, Any], wanted: dict[str, Any], script: Scripted
) -> None:
    scripted_chain(script, option(**changes))

    [told] = at(script).chain(AAPL, ChainWindow(0, 30), DAY)

    assert {name: getattr(told, name) for name in wanted} == wanted


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"strike": 101}, "strike"),
        ({"contractSymbol": "AAPL260313P00100000"}, "one of the calls"),
        ({"contractSymbol": "MSFT260313C00100000"}, "a contract on AAPL"),
        ({"contractSymbol": "AAPL"}, "option symbol"),
        ({"bid": -1}, "bid"),
        ({"ask": "dear"}, "ask"),
        ({"lastTradeDate": 1e12}, "lastTradeDate"),
    ],
)
def test_a_contract_that_cannot_be_read_refuses_the_whole_chain(
    changes: dict[str, Any], reason: str, script: Scripted
) -> None:
    scripted_chain(script, option(), option(**changes))

    with pytest.raises(BadResponse, match=reason):
        at(script).chain(AAPL, ChainWindow(0, 30), DAY)


def test_a_contract_of_another_size_is_not_standard(script: Scripted) -> None:
    scripted_chain(script, option(contractSize="MINI"))

    [told] = at(script).chain(AAPL, ChainWindow(0, 30), DAY)

    assert not told.contract.standard


def test_a_quote_of_another_currency_or_without_a_time_is_missing(script: Scripted) -> None:
    rows = [
        {"symbol": "AAPL", "bid": 1, "ask": 2, "currency": "EUR", "regularMarketTime": DAYS[0]},
        {"symbol": "MSFT", "bid": 1, "ask": 2},
    ]
    script.on("GET", "/v7/finance/quote", Reply({"quoteResponse": {"result": rows, "error": None}}))

    told = at(script).quotes([AAPL, MSFT])

    assert [each.reason.split(" is ")[0] for each in told.values() if isinstance(each, Missing)] == [
        "quotes: currency",
        "quotes: regularMarketTime",
    ]


def test_share_classes_are_spelled_as_yahoo_does(script: Scripted) -> None:
    row = {"symbol": "BRK-B", "bid": 1, "ask": 2, "regularMarketTime": DAYS[0]}
    script.on("GET", "/v7/finance/quote", Reply({"quoteResponse": {"result": [row], "error": None}}))

    told = at(script).quotes([Underlying("BRK.B")])

    assert isinstance(told[Underlying("BRK.B")], Quote)


def test_an_answer_without_a_readable_time_is_not_used(
    script: Scripted, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(BaseHTTPRequestHandler, "date_time_string", lambda *_: "a while ago")
    script.on("GET", "/v8/finance/chart/AAPL", Reply(chart(DAYS)))

    with pytest.raises(BadResponse, match="Date"):
        at(script).bars([AAPL], FIRST, DAY)


@pytest.mark.parametrize("symbol", ["^TNX", "^IRX"])
def test_a_yield_that_is_no_percentage_is_refused(symbol: str, script: Scripted) -> None:
    nothing = {"chart": {"result": None, "error": {"code": "Not Found", "description": "none"}}}
    for other in ("IRX", "FVX", "TNX", "TYX"):
        script.on("GET", f"/v8/finance/chart/%5E{other}", Reply(nothing, 404))
    # Ten times too large, as ^TNX once was quoted.
    script.on(
        "GET", f"/v8/finance/chart/%5E{symbol[1:]}", Reply(chart(DAYS, {"symbol": symbol}, close=[42.5] * 3))
    )

    with pytest.raises(BadResponse, match="no yield in percent"):
        at(script).yields(FIRST, DAY)
