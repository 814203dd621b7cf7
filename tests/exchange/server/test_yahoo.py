"""Yahoo's side of the exchange, asked by the unmodified yfinance and by bare requests."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pandas as pd
import pytest
import requests
from curl_cffi.requests import Session

from tests.exchange.server.market import DIVIDEND_DAY, SPLIT_DAY, SmallMarket, ny
from tests.exchange.server.yahoo_market import DAY, EMPTY, MSFT, WithAnIndex, served
from wsb_core.domain.calendar import NEW_YORK
from wsb_core.domain.ids import Price, Underlying
from wsb_core.exchange.client import PracticeControl
from wsb_core.exchange.engine import Exchange
from wsb_core.exchange.model import CorporateAction, Settings
from wsb_core.exchange.server import ServerThread
from wsb_core.exchange.server.faults import FaultKind

QUERY = "query2.finance.yahoo.com"


class ThroughTheExchange(Session):
    """Every host of Yahoo's, asked of the exchange."""

    def __init__(self, url: str) -> None:
        super().__init__(impersonate="chrome", proxies={"all": url}, trust_env=False)

    def request(self, method: Any, url: str, *args: Any, **options: Any) -> Any:
        return super().request(method, url.replace("https://", "http://", 1), *args, **options)


@pytest.fixture
def url() -> Iterator[str]:
    with served() as base:
        yield base


@pytest.fixture
def control(url: str) -> PracticeControl:
    return PracticeControl(url, deadline_seconds=20)


@pytest.fixture
def ticker(url: str, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Any]:
    """yfinance's own ``Ticker``, with nothing left of earlier tests."""
    import yfinance
    from yfinance import cache, data

    monkeypatch.setattr(data.SingletonMeta, "_instances", {})
    monkeypatch.setattr(cache._CookieCacheManager, "_Cookie_cache", cache._CookieCacheDummy())
    monkeypatch.setattr(cache._TzCacheManager, "_tz_cache", cache._TzCacheDummy())
    data.YfData.cache_get.cache_clear()
    session = ThroughTheExchange(url)
    return lambda name: yfinance.Ticker(name, session=session)


class Asked:
    """Bare requests of one of Yahoo's hosts, with the cookie and crumb that it wants."""

    def __init__(self, url: str) -> None:
        self._url = url
        cookie = self.get("/", host="fc.yahoo.com").headers["Set-Cookie"].split(";")[0]
        self.shown = {"Cookie": cookie}
        self.crumb = self.get("/v1/test/getcrumb", headers=self.shown).text

    def get(self, path: str, *, host: str = QUERY, headers: Any = None, **params: Any) -> requests.Response:
        sent = {"Host": host, **(headers or {})}
        return requests.get(self._url + path, params=params, headers=sent, timeout=20)

    def told(self, path: str, **params: Any) -> Any:
        return self.get(path, headers=self.shown, crumb=self.crumb, **params).json()


@pytest.fixture
def ask(url: str) -> Asked:
    return Asked(url)


def epoch(at: datetime) -> int:
    return int(at.timestamp())


def test_yfinance_reads_the_history(ticker: Callable[[str], Any]) -> None:
    frame = ticker("AAPL").history(start="2026-02-20", end="2026-03-01")

    days = [stamp.date() for stamp in frame.index]
    assert days == [date(2026, 2, day) for day in (20, 23, 24, 25, 26, 27)]
    assert str(frame.index.tz) == "America/New_York"
    assert frame["Close"].tolist() == [103.9] * 6


def test_yfinance_reads_dividends_and_splits_after_they_happened(
    ticker: Callable[[str], Any], control: PracticeControl
) -> None:
    control.advance_to(ny("2026-03-20 10:00"))

    paid = ticker("MSFT").history(start="2026-03-02", end="2026-03-19", auto_adjust=False)
    split = ticker("SPY").history(start="2026-03-02", end="2026-03-19", auto_adjust=False)

    assert paid["Dividends"][paid["Dividends"] > 0].to_dict() == {
        pd.Timestamp(DIVIDEND_DAY, tz=NEW_YORK): 0.75
    }
    assert paid["Adj Close"].iloc[0] == pytest.approx(103.9 * (1 - 0.75 / 103.9))
    assert paid["Close"].iloc[0] == 103.9
    assert split["Stock Splits"][split["Stock Splits"] > 0].to_dict() == {
        pd.Timestamp(SPLIT_DAY, tz=NEW_YORK): 2.0
    }
    assert split["Close"].iloc[0] == pytest.approx(103.9 / 2)


def test_yfinance_reads_expiries_and_a_chain(ticker: Callable[[str], Any]) -> None:
    asked = ticker("AAPL")

    expiries = asked.options
    calls, puts, underlying = asked.option_chain("2026-03-13")

    assert expiries == ("2026-03-06", "2026-03-13", "2026-03-20", "2026-03-27")
    assert calls["strike"].tolist() == [float(strike) for strike in range(80, 125, 5)]
    assert puts["contractSymbol"].iloc[0] == "AAPL260313P00080000"
    assert (calls["bid"] < calls["ask"]).all()
    assert calls["inTheMoney"].tolist() == [strike < 100.30 for strike in range(80, 125, 5)]
    assert underlying["regularMarketPrice"] == 100.3


def test_yfinance_reads_the_calendar(ticker: Callable[[str], Any]) -> None:
    known, ranged = ticker("AAPL").calendar, ticker("MSFT").calendar

    assert known["Earnings Date"] == [date(2026, 3, 12)]
    assert ranged["Earnings Date"] == [date(2026, 3, 12), date(2026, 3, 16)]
    assert ranged["Ex-Dividend Date"] == DIVIDEND_DAY


def test_yfinance_sees_an_unknown_symbol_as_it_sees_yahoos(ticker: Callable[[str], Any]) -> None:
    asked = ticker("NOPE")

    assert asked.history(start="2026-02-20", end="2026-03-01").empty
    assert asked.options == ()
    assert asked.calendar == {}


def test_yfinance_raises_its_own_error_when_it_is_told_to_slow_down(
    ticker: Callable[[str], Any], control: PracticeControl
) -> None:
    from yfinance.exceptions import YFRateLimitError

    control.fault("ratelimit", path="/v8/finance/chart", times=None)

    with pytest.raises(YFRateLimitError):
        ticker("AAPL").history(start="2026-02-20", end="2026-03-01")


def test_only_charts_are_told_without_cookie_and_crumb(ask: Asked) -> None:
    chart = ask.get("/v8/finance/chart/AAPL")
    no_crumb = ask.get("/v7/finance/options/AAPL", headers=ask.shown)
    no_cookie = ask.get("/v7/finance/quote", symbols="AAPL", crumb=ask.crumb)
    no_cookie_for_crumb = ask.get("/v1/test/getcrumb")

    assert chart.status_code == 200
    assert {no_crumb.status_code, no_cookie.status_code, no_cookie_for_crumb.status_code} == {401}
    assert no_crumb.json()["finance"]["error"]["description"] == "Invalid Crumb"


def test_yahoos_paths_are_there_on_yahoos_hosts_alone(ask: Asked, url: str) -> None:
    elsewhere = requests.get(f"{url}/v8/finance/chart/AAPL", timeout=20)
    other = ask.get("/consent", host="guce.yahoo.com")

    assert (elsewhere.status_code, other.status_code) == (404, 404)


def test_answers_carry_the_exchanges_time_and_class(ask: Asked) -> None:
    chart = ask.get("/v8/finance/chart/AAPL")
    chain = ask.get("/v7/finance/options/AAPL", headers=ask.shown, crumb=ask.crumb)

    assert chart.headers["Date"] == "Mon, 02 Mar 2026 15:00:00 GMT"
    assert (chart.headers["X-WSB-Feed"], chain.headers["X-WSB-Feed"]) == ("replayed", "modelled")


def test_the_session_that_is_on_is_the_last_row_at_its_newest_price(ask: Asked) -> None:
    [told] = ask.told("/v8/finance/chart/AAPL", range="5d", interval="1d")["chart"]["result"]

    assert len(told["timestamp"]) == 5
    assert told["timestamp"][-2:] == [epoch(ny("2026-02-27 09:30")), epoch(ny("2026-03-02 10:00"))]
    assert told["indicators"]["quote"][0]["close"][-1] == 100.3
    assert told["meta"]["regularMarketTime"] == epoch(ny("2026-03-02 10:00"))


def test_minutes_are_told_up_to_the_last_whole_one(ask: Asked) -> None:
    [told] = ask.told("/v8/finance/chart/AAPL", range="1d", interval="1m")["chart"]["result"]

    assert told["timestamp"][0] == epoch(ny("2026-03-02 09:30"))
    assert told["timestamp"][-1] == epoch(ny("2026-03-02 09:59"))
    assert told["indicators"].keys() == {"quote"}


def test_an_index_is_charted_under_its_caret_alone(ask: Asked) -> None:
    [told] = ask.told("/v8/finance/chart/^VIX", range="5d")["chart"]["result"]
    without = ask.get("/v8/finance/chart/VIX")

    assert told["meta"]["instrumentType"] == "INDEX"
    assert (without.status_code, without.json()["chart"]["error"]["code"]) == (404, "Not Found")


def test_yields_are_charted_in_percent_once_their_day_is_over(ask: Asked) -> None:
    ten = ask.told("/v8/finance/chart/^TNX", range="1mo")["chart"]["result"][0]
    bills = ask.told("/v8/finance/chart/^IRX", range="1mo")["chart"]["result"][0]
    five = ask.told("/v8/finance/chart/^FVX", range="1mo")["chart"]["result"][0]

    assert ten["indicators"]["quote"][0]["close"] == [4.25, 4.5]
    # 360 * 4 / (365 + 91 * 0.04): the discount rate of a bill that yields 4%.
    assert bills["indicators"]["quote"][0]["close"][0] == 3.90625
    assert "timestamp" not in five


def test_without_a_table_there_are_no_yields_and_no_announcements() -> None:
    with served(EMPTY) as url:
        ask = Asked(url)
        chart = ask.get("/v8/finance/chart/^TNX")
        summary = ask.get(
            "/v10/finance/quoteSummary/AAPL", headers=ask.shown, crumb=ask.crumb, modules="calendarEvents"
        )

    assert (chart.status_code, summary.status_code) == (404, 404)
    assert "No fundamentals data" in summary.json()["quoteSummary"]["error"]["description"]


def test_out_of_session_every_side_is_zero(ask: Asked, control: PracticeControl) -> None:
    control.advance_to(ny("2026-03-02 18:00"))

    [share] = ask.told("/v7/finance/quote", symbols="AAPL,NOPE")["quoteResponse"]["result"]
    [chain] = ask.told("/v7/finance/options/AAPL")["optionChain"]["result"]

    rows = [row for side in ("calls", "puts") for row in chain["options"][0][side]]
    assert {row[side] for row in [share, *rows] for side in ("bid", "ask")} == {0}
    assert {row["impliedVolatility"] for row in rows} == {1e-05}
    assert share["regularMarketTime"] == epoch(ny("2026-03-02 16:00"))


def test_a_date_without_contracts_has_an_empty_series(ask: Asked) -> None:
    day = epoch(datetime(2026, 3, 10, tzinfo=UTC))

    [told] = ask.told("/v7/finance/options/AAPL", date=day)["optionChain"]["result"]

    assert told["options"] == [{"expirationDate": day, "hasMiniOptions": False, "calls": [], "puts": []}]
    assert told["strikes"] == []


def test_an_announcement_that_is_past_stays_until_the_next_is_known(
    ask: Asked, control: PracticeControl
) -> None:
    control.advance_to(ny("2026-03-20 10:00"))

    told = ask.told("/v10/finance/quoteSummary/AAPL", modules="calendarEvents")["quoteSummary"]

    earnings = told["result"][0]["calendarEvents"]["earnings"]
    assert earnings["earningsDate"] == [epoch(ny("2026-03-12 16:05"))]
    assert earnings["isEarningsDateEstimate"] is False


@pytest.mark.parametrize(
    ("path", "params"),
    [
        ("/v8/finance/chart/AAPL", {"interval": "7m"}),
        ("/v8/finance/chart/AAPL", {"range": "a while"}),
        ("/v8/finance/chart/AAPL", {"period1": "today", "period2": "tomorrow"}),
        ("/v7/finance/options/AAPL", {"date": "soon"}),
        ("/v7/finance/quote", {}),
    ],
)
def test_a_parameter_that_cannot_be_read_is_refused_in_yahoos_form(
    path: str, params: dict[str, str], ask: Asked
) -> None:
    answer = ask.get(path, headers=ask.shown, crumb=ask.crumb, **params)

    [told] = answer.json().values()
    assert answer.status_code == 422
    assert told["error"]["code"] == "Unprocessable Entity"


@pytest.mark.parametrize(
    ("kind", "holds"),
    [
        (FaultKind.QUOTES_ZERO, lambda bid, ask: bid == ask == 0),
        (FaultKind.QUOTES_CROSSED, lambda bid, ask: bid > ask > 0),
    ],
)
def test_quote_faults_reach_shares_and_contracts_and_leave_the_time(
    kind: FaultKind, holds: Callable[[float, float], bool], ask: Asked, control: PracticeControl
) -> None:
    control.fault(kind, path="/finance/(quote|options)", times=2)

    [share] = ask.told("/v7/finance/quote", symbols="AAPL")["quoteResponse"]["result"]
    answer = ask.get("/v7/finance/options/AAPL", headers=ask.shown, crumb=ask.crumb)

    [chain] = answer.json()["optionChain"]["result"]
    rows = [share, *chain["options"][0]["calls"], *chain["options"][0]["puts"]]
    assert all(holds(row["bid"], row["ask"]) for row in rows)
    assert answer.headers["Date"] == "Mon, 02 Mar 2026 15:00:00 GMT"


def test_stale_quotes_are_older_by_as_many_seconds(ask: Asked, control: PracticeControl) -> None:
    control.fault("quotes_stale", path="/finance/quote", seconds=600)

    [share] = ask.told("/v7/finance/quote", symbols="AAPL")["quoteResponse"]["result"]

    assert share["regularMarketTime"] == epoch(ny("2026-03-02 09:50"))


def test_the_market_behind_it_is_the_one_the_broker_sees(ask: Asked) -> None:
    [share] = ask.told("/v7/finance/quote", symbols="MSFT")["quoteResponse"]["result"]

    quote = SmallMarket().quote(MSFT, ny(f"{DAY} 10:00"))
    assert quote is not None
    assert (share["bid"], share["ask"]) == (float(quote.bid or 0), float(quote.ask or 0))


def test_a_dividend_from_before_a_split_is_told_in_the_shares_of_now() -> None:
    class PaysThenSplits(WithAnIndex):
        def corporate_actions(self, underlying: Underlying, first: date, last: date) -> tuple[Any, ...]:
            paid = CorporateAction(underlying, DIVIDEND_DAY, dividend=Price(Decimal("0.75")))
            split = CorporateAction(underlying, SPLIT_DAY, ratio=Decimal(2))
            return tuple(each for each in (paid, split) if first <= each.ex_date <= last)

    exchange = Exchange(PaysThenSplits(), ny("2026-03-20 10:00"), Settings(partial_fill_every=0))
    with ServerThread(exchange) as url:
        told = Asked(url).told("/v8/finance/chart/MSFT", range="1mo", events="div,splits")

    [paid] = told["chart"]["result"][0]["events"]["dividends"].values()
    assert paid["amount"] == 0.375
