"""What the Polygon source makes of answers that a test wrote by hand."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.brokers.scripted import Reply, Scripted
from tests.exchange.server.market import ny
from wsb_core.domain.contracts import Right
from wsb_core.domain.errors import BadResponse, ConfigError, NotArmed, ProviderRefused, ProviderUnavailable
from wsb_core.domain.events import CashDividend, ReportTime, Split
from wsb_core.domain.ids import Underlying
from wsb_core.domain.ports import DataKind, Missing
from wsb_core.domain.quotes import FeedClass, OptionQuote, Quote
from wsb_core.domain.strategy import ChainWindow
from wsb_core.providers.polygon import PolygonData

KEY, HOST = "k3yK3yK3yK3yK3y", "https://api.massive.com"
AAPL, SPX = Underlying("AAPL"), Underlying("SPX")
DAY, WINDOW = date(2024, 12, 10), ChainWindow(0, 30)
NOW = "2024-12-10T11:15:00-05:00"
STATUS, DIVIDENDS, SPLITS = "/v1/marketstatus/now", "/v3/reference/dividends", "/v3/reference/splits"
SNAPSHOTS = "/v2/snapshot/locale/us/markets/stocks/tickers"
CHAIN, CONTRACTS = "/v3/snapshot/options/AAPL", "/v3/reference/options/contracts"
EARNINGS, YIELDS = "/benzinga/v1/earnings", "/fed/v1/treasury-yields"
BARS = f"/v2/aggs/ticker/AAPL/range/1/day/2024-12-02/{DAY}"
FIRST = date(2024, 12, 2)


def millis(text: str) -> int:
    return int(ny(text).timestamp()) * 1000


def nanos(text: str) -> int:
    return millis(text) * 1_000_000


def listing(*results: Any, **more: Any) -> Reply:
    return Reply({"status": "OK", "results": list(results), **more})


def bar(day: str, close: float, **more: Any) -> dict[str, Any]:
    values = {"o": close, "h": close, "l": close, "c": close, "v": 1000.0, "t": millis(f"{day} 00:00")}
    return values | more


def bars_of(*rows: Any, **more: Any) -> Reply:
    return listing(*rows, ticker="AAPL", resultsCount=len(rows), **more)


def dividend(day: str, amount: float, **more: Any) -> dict[str, Any]:
    told = {"ticker": "AAPL", "ex_dividend_date": day, "cash_amount": amount, "currency": "USD"}
    return {**told, "dividend_type": "CD", **more}


def split(day: str, old: float, new: float) -> dict[str, Any]:
    return {"ticker": "AAPL", "execution_date": day, "split_from": old, "split_to": new}


def details(symbol: str = "O:AAPL241220C00100000", **more: Any) -> dict[str, Any]:
    right, mills = symbol[-9], int(symbol[-8:])
    return {
        "ticker": symbol,
        "contract_type": "call" if right == "C" else "put",
        "exercise_style": "american",
        "expiration_date": f"20{symbol[-15:-13]}-{symbol[-13:-11]}-{symbol[-11:-9]}",
        "shares_per_contract": 100,
        "strike_price": mills / 1000,
        **more,
    }


def listed(symbol: str = "O:AAPL241220C00100000", **more: Any) -> dict[str, Any]:
    return {**details(symbol), "underlying_ticker": "AAPL", **more}


def quoted(bid: Any = 1.1, ask: Any = 1.2, **more: Any) -> dict[str, Any]:
    sides = {"bid": bid, "bid_size": 5, "ask": ask, "ask_size": 7}
    return {**sides, "last_updated": nanos("2024-12-10 11:14"), "timeframe": "REAL-TIME", **more}


def snapshot(symbol: str = "O:AAPL241220C00100000", **more: Any) -> dict[str, Any]:
    return {
        "details": details(symbol),
        "last_quote": quoted(),
        "open_interest": 12,
        "implied_volatility": 0.31,
        "greeks": {"delta": 0.5, "gamma": 0.01, "theta": -0.02, "vega": 0.1},
        "day": {"volume": 9, "last_updated": nanos("2024-12-10 00:00")},
        "underlying_asset": {"ticker": "AAPL"},
        **more,
    }


def share(**more: Any) -> dict[str, Any]:
    told = {"p": 99.9, "s": 3, "P": 100.1, "S": 4, "t": nanos("2024-12-10 11:14")}
    day = {"o": 98, "h": 101, "l": 97, "c": 100, "v": 5000, "vw": 99}
    updated = nanos("2024-12-10 11:14")
    return {"ticker": "AAPL", "lastQuote": told, "day": day, "updated": updated, **more}


def shares(*rows: Any, **more: Any) -> Reply:
    return Reply({"status": "OK", "count": len(rows), "tickers": list(rows), **more})


class Prompt(Scripted):
    """One that does not wait for the client's acknowledgement of the headers before it sends the body."""

    def _handler(self) -> Any:
        handler: Any = super()._handler()
        handler.disable_nagle_algorithm = True
        return handler


@pytest.fixture
def server() -> Iterator[Scripted]:
    scripted = Prompt()
    yield scripted
    scripted.close()
    assert scripted.unscripted == []


@pytest.fixture
def data(server: Scripted) -> PolygonData:
    """Practice data at the scripted server, on Tuesday 10 December 2024 at 11:15 in New York."""
    server.on("GET", STATUS, Reply({"market": "open", "serverTime": NOW}))
    for path in (DIVIDENDS, SPLITS, CONTRACTS):
        server.on("GET", path, listing())
    return data_at(server)


def data_at(server: Scripted, **more: Any) -> PolygonData:
    options = {
        "stock_feed": "realtime",
        "option_feed": "realtime",
        "practice": True,
        "deadline_seconds": 20.0,
    }
    return PolygonData(server.url, KEY, **(options | more))


def off_this_machine(server: Scripted, **more: Any) -> PolygonData:
    """A paid plan at the vendor's own host, whose name leads here."""
    data = PolygonData(HOST, KEY, stock_feed="realtime", option_feed="realtime", practice=False, **more)
    data._http._client.BASE = server.url
    return data


# What can be opened.


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:80", "http://localhost:80", "http://[::1]:80", "http://0.0.0.0:80"]
)
def test_a_host_on_this_machine_is_refused_outside_practice(url: str) -> None:
    with pytest.raises(NotArmed, match="on this machine"):
        PolygonData(url, KEY, stock_feed="realtime", option_feed="realtime", practice=False)


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"stock_feed": "sip"}, "stock_feed must be one of realtime, delayed, not 'sip'"),
        ({"option_feed": "replayed"}, "option_feed must be one of"),
        ({"key": ""}, "POLYGON_API_KEY or MASSIVE_API_KEY"),
        ({"base_url": "api.polygon.io"}, "base_url must be an address"),
        ({"deadline_seconds": 0}, "deadline_seconds must be positive"),
    ],
)
def test_what_cannot_work_is_refused_before_anything_is_sent(wrong: dict[str, Any], words: str) -> None:
    right = {
        "base_url": HOST,
        "key": KEY,
        "stock_feed": "realtime",
        "option_feed": "delayed",
        "practice": False,
    }

    with pytest.raises(ConfigError, match=words):
        PolygonData(**(right | wrong))


def test_services_say_what_the_plan_is() -> None:
    data = PolygonData(HOST, KEY, stock_feed="realtime", option_feed="delayed", practice=False)

    feeds = {kind: service.feed for kind, service in data.services.items()}
    assert feeds[DataKind.QUOTES] is FeedClass.REALTIME
    assert feeds[DataKind.CHAIN] is FeedClass.DELAYED
    assert {service.requests_a_minute for service in data.services.values()} == {5}
    assert KEY not in repr(data) + repr(data._http)


# One request, and what may come back.


@pytest.mark.parametrize("status", [408, 413, 425, 429, 499, 500, 502, 503, 504])
def test_fm_59_a_busy_vendor_is_unavailable_and_is_asked_once(
    status: int, server: Scripted, data: PolygonData
) -> None:
    server.on("GET", STATUS, Reply({"error": "later"}, status, headers={"Retry-After": "3"}))

    with pytest.raises(ProviderUnavailable, match=f"{status}: later"):
        data.status()
    assert server.count("GET", STATUS) == 1


@pytest.mark.parametrize(
    ("status", "words"), [(400, "check the request"), (401, "POLYGON_API_KEY"), (404, "no such page")]
)
def test_a_refusal_is_for_good_and_does_not_tell_the_key(
    status: int, words: str, server: Scripted, data: PolygonData
) -> None:
    server.on("GET", STATUS, Reply({"status": "ERROR", "error": f"no such page for {KEY}"}, status))

    with pytest.raises(ProviderRefused, match=words) as refusal:
        data.status()
    assert KEY not in str(refusal.value)


def test_a_redirect_is_not_followed_with_the_key(server: Scripted, data: PolygonData) -> None:
    server.on("GET", STATUS, Reply({}, 302, headers={"Location": f"{server.url}/elsewhere"}))

    with pytest.raises(ProviderRefused, match="another host"):
        data.status()
    assert [sent.path for sent in server.sent] == [STATUS]


@pytest.mark.parametrize(
    "reply",
    [
        Reply([]),
        Reply(b"<html>all is well</html>"),
        Reply(b""),
        Reply(b'{"market": "open", "serverT'),
        Reply({"market": "open", "serverTime": NOW}, fault="truncate"),
        Reply({"status": "ERROR", "error": "internal", "market": "open", "serverTime": NOW}),
        Reply({"market": "open"}),
        Reply({"market": "open", "serverTime": "2024-12-10T11:15:00"}),
        Reply({"market": "ajar", "serverTime": NOW}),
    ],
    ids=["list", "html", "empty", "cut", "cut body", "error as 200", "no time", "naive time", "odd word"],
)
def test_fm_41_an_answer_that_cannot_be_read_whole_is_no_answer(
    reply: Reply, server: Scripted, data: PolygonData
) -> None:
    server.on("GET", STATUS, reply)

    with pytest.raises(BadResponse):
        data.status()


@pytest.mark.parametrize("fault", ["stall", "drip", "drop"])
def test_fm_63_no_answer_in_time_is_unavailable(fault: str, server: Scripted, data: PolygonData) -> None:
    server.on("GET", STATUS, Reply({"market": "open", "serverTime": NOW}, fault=fault))

    with pytest.raises(ProviderUnavailable, match="no answer"):
        data_at(server, deadline_seconds=0.3).status()


def test_a_zipped_answer_is_read(server: Scripted, data: PolygonData) -> None:
    server.on("GET", STATUS, Reply({"market": "closed", "serverTime": NOW}, zipped=True))

    status = data.status()

    assert (status.at, status.is_open) == (ny("2024-12-10 11:15"), False)


# Pages.


def test_the_next_page_is_asked_of_the_same_host_whatever_its_address_says(
    server: Scripted, data: PolygonData
) -> None:
    following = f"https://elsewhere.example{CHAIN}?cursor=abc"
    server.on(
        "GET",
        CHAIN,
        listing(snapshot(), next_url=following),
        listing(snapshot("O:AAPL241220P00100000")),
    )

    chain = data.chain(AAPL, WINDOW, DAY)

    first, second = server.to("GET", CHAIN)
    assert len(chain) == 2
    assert (first.query["limit"], second.query) == ("250", {"cursor": "abc"})
    assert first.headers["Authorization"] == second.headers["Authorization"] == f"Bearer {KEY}"


@pytest.mark.parametrize(
    "second",
    [
        Reply(b'{"results": [{"det'),
        Reply([]),
        Reply({"status": "OK"}),
        Reply({"status": "OK", "results": None}),
        Reply({"status": "OK", "results": {}}),
        listing(snapshot("O:AAPL241220P00100000"), next_url=f"https://api.polygon.io{CHAIN}?cursor=abc"),
        listing(snapshot()),
    ],
    ids=["cut", "list", "no results", "null results", "an object", "the same page", "a row again"],
)
def test_fm_41_a_second_page_that_is_not_whole_spoils_the_chain(
    second: Reply, server: Scripted, data: PolygonData
) -> None:
    server.on("GET", CHAIN, listing(snapshot(), next_url=f"https://api.polygon.io{CHAIN}?cursor=abc"), second)

    with pytest.raises(BadResponse):
        data.chain(AAPL, WINDOW, DAY)


def test_pages_that_lead_back_to_themselves_are_no_end(server: Scripted, data: PolygonData) -> None:
    server.on("GET", CHAIN, listing(next_url=f"https://api.polygon.io{CHAIN}?cursor=abc"))

    with pytest.raises(BadResponse, match="never end"):
        data.chain(AAPL, WINDOW, DAY)
    assert server.count("GET", CHAIN) == 2


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(share=st.floats(0, 1, exclude_max=True))
def test_wherever_a_chain_is_cut_off_it_is_never_a_shorter_chain(
    share: float, server: Scripted, data: PolygonData
) -> None:
    whole = listing(snapshot(), snapshot("O:AAPL241220P00100000")).payload
    server.on("GET", CHAIN, Reply(whole[: int(share * len(whole))]))

    with pytest.raises(BadResponse):
        data.chain(AAPL, WINDOW, DAY)


def test_all_pages_share_one_deadline(
    server: Scripted, data: PolygonData, monkeypatch: pytest.MonkeyPatch
) -> None:
    times = [0.0]
    monkeypatch.setattr("wsb_core.vendors.polygon_http.monotonic", lambda: times[-1])
    server.on("GET", CHAIN, listing(snapshot(), next_url=f"https://api.polygon.io{CHAIN}?cursor=abc"))
    pages = data._http.pages(CHAIN, {})
    next(pages)

    times.append(20.1)

    with pytest.raises(ProviderUnavailable, match="used up by its earlier pages"):
        next(pages)
    assert server.count("GET", CHAIN) == 1


# Bars.


def test_bars_are_adjusted_for_dividends_in_shares_of_today(server: Scripted, data: PolygonData) -> None:
    server.on("GET", BARS, bars_of(bar("2024-12-03", 10.0), bar("2024-12-04", 9.0), bar("2024-12-09", 9.5)))
    server.on("GET", DIVIDENDS, listing(dividend("2024-12-04", 2.0), dividend("2024-12-10", 0.95)))
    server.on("GET", SPLITS, listing(split("2024-12-06", 1, 2)))

    frame = data.bars([AAPL], FIRST, DAY).frame

    # The first was paid on shares that have become two; the second comes off with today's open.
    last = 1 - 0.95 / 9.5
    assert frame["close"].tolist() == pytest.approx([10 * (1 - 1.0 / 10) * last, 9 * last, 9.5 * last])
    assert frame["volume"].tolist() == [1000, 1000, 1000]
    [sent] = server.to("GET", BARS)
    assert (sent.query["adjusted"], sent.query["limit"]) == ("true", "50000")


@given(
    closes=st.lists(st.floats(1, 1000), min_size=2, max_size=5),
    part=st.floats(0.001, 0.5),
    after=st.integers(1, 4),
)
@settings(max_examples=30, deadline=None)
def test_the_return_over_an_ex_date_is_the_one_of_the_price_without_the_dividend(
    closes: list[float], part: float, after: int
) -> None:
    from wsb_core.domain.quotes import Provenance
    from wsb_core.vendors.polygon_bars import COLUMNS, without_dividends

    at = min(after, len(closes) - 1)
    days = [date(2024, 12, 2 + index) for index in range(len(closes))]
    records = [
        {"session": day, **dict.fromkeys(COLUMNS, close)} for day, close in zip(days, closes, strict=True)
    ]
    amount = Decimal(str(part)) * Decimal(str(closes[at - 1]))
    paid = CashDividend(AAPL, days[at], amount, None, None, Provenance("x", FeedClass.DELAYED, ny(f"{DAY}")))

    told = without_dividends(records, [paid], [])

    assert not isinstance(told, str)
    adjusted = [row["close"] for row in told]
    assert adjusted[at] / adjusted[at - 1] == pytest.approx(closes[at] / (closes[at - 1] - float(amount)))
    assert adjusted[at:] == closes[at:]


@pytest.mark.parametrize(
    ("paid", "words"),
    [
        (dividend("2024-12-04", 0.5, currency="EUR"), "not said to be in dollars"),
        (dividend("2024-12-04", 0.5, currency=None), "not said to be in dollars"),
        (dividend("2024-12-04", 250.0), "no less than the price"),
    ],
)
def test_bars_whose_dividends_cannot_be_taken_out_are_missing(
    paid: Any, words: str, server: Scripted, data: PolygonData
) -> None:
    server.on("GET", BARS, bars_of(bar("2024-12-03", 100), bar("2024-12-04", 100)))
    server.on("GET", DIVIDENDS, listing(paid))

    bars = data.bars([AAPL], FIRST, DAY)

    assert bars.frame.empty
    [missing] = bars.missing
    assert words in missing.reason


@pytest.mark.parametrize(
    "row",
    [
        bar("2024-12-09", 100, t=millis("2024-12-09 09:30")),
        bar("2024-12-09", 100, t=nanos("2024-12-09 00:00")),
        bar("2024-12-09", 100, t=millis("2024-12-09 00:00") // 1000),
        bar("2024-12-09", 100, t="2024-12-09T00:00:00"),
        bar("2024-12-09", 100, t=10**40),
        bar("2024-12-09", 100, t=None),
        bar("2024-12-09", 100, c=float("nan")),
        bar("2024-12-09", 100, o=0),
        bar("2024-12-09", 100, l=-1),
        bar("2024-12-09", 100, v=None),
        bar("2024-12-09", 100, h="high"),
        bar("2024-12-09", 100, c=True),
        "a bar",
    ],
    ids=[
        "minute",
        "ns",
        "s",
        "text",
        "huge",
        "no time",
        "nan",
        "zero",
        "negative",
        "no volume",
        "word",
        "flag",
        "row",
    ],
)
def test_a_bar_that_cannot_be_read_spoils_the_answer(row: Any, server: Scripted, data: PolygonData) -> None:
    server.on("GET", BARS, bars_of(row))

    with pytest.raises(BadResponse):
        data.bars([AAPL], FIRST, DAY)


@pytest.mark.parametrize(
    "reply",
    [
        bars_of(bar("2024-12-09", 100), bar("2024-12-09", 101)),
        bars_of(bar("2024-12-09", 100)),
        listing(bar("2024-12-06", 100), ticker="MSFT", resultsCount=1),
        listing(bar("2024-12-06", 100), ticker="AAPL", resultsCount=2),
        bars_of(bar("2024-12-06", 100), adjusted=False),
        Reply({"status": "OK", "ticker": "AAPL"}),
        Reply({"status": "OK", "ticker": "AAPL", "resultsCount": 3}),
    ],
    ids=[
        "a day twice",
        "a page again",
        "another ticker",
        "a row short",
        "not adjusted",
        "no rows",
        "rows that did not come",
    ],
)
def test_bars_that_are_not_those_asked_for_are_refused(
    reply: Reply, server: Scripted, data: PolygonData
) -> None:
    following = bars_of(bar("2024-12-09", 100), next_url=f"https://api.polygon.io{BARS}?cursor=x")
    server.on("GET", BARS, following, reply)

    with pytest.raises(BadResponse):
        data.bars([AAPL], FIRST, DAY)


def test_no_bars_are_missing_and_numbers_may_be_text(server: Scripted, data: PolygonData) -> None:
    server.on("GET", BARS, Reply({"status": "OK", "ticker": "AAPL", "resultsCount": 0}))
    other = BARS.replace("AAPL", "MSFT")
    text = {name: str(value) for name, value in bar("2024-12-09", 100.5).items()}
    server.on("GET", other, listing(text, ticker="MSFT", resultsCount=1))

    bars = data.bars([AAPL, Underlying("MSFT")], FIRST, DAY)

    assert bars.frame["close"].tolist() == [100.5]
    assert bars.missing == (Missing(AAPL, f"no daily bar from {FIRST} to {DAY}"),)


def test_an_index_has_bars_of_its_own_stamp_without_volume_and_dividends(
    server: Scripted, data: PolygonData
) -> None:
    path = BARS.replace("AAPL", "I:SPX")
    stamp = millis("2024-12-09 01:00")
    server.on("GET", path, listing({"o": 1, "h": 1, "l": 1, "c": 1, "t": stamp}, ticker="I:SPX"))

    bars = data.bars([SPX], FIRST, DAY)

    assert bars.frame["session"].dt.strftime("%F").tolist() == ["2024-12-09"]
    assert bars.frame["volume"].isna().all()
    assert server.count("GET", DIVIDENDS) == 0


def test_a_span_without_a_completed_session_asks_for_no_bars(server: Scripted, data: PolygonData) -> None:
    bars = data.bars([AAPL], DAY, DAY)

    assert bars.missing == (Missing(AAPL, f"no daily bar from {DAY} to {DAY}"),)
    assert [sent.path for sent in server.sent] == [STATUS]


def test_a_plan_that_is_delayed_says_so_in_its_answers(server: Scripted, data: PolygonData) -> None:
    server.on("GET", BARS, bars_of(bar("2024-12-09", 100), status="DELAYED"))
    server.on("GET", SNAPSHOTS, shares(share(), status="DELAYED"))
    vendor = off_this_machine(server)

    bars, quote = vendor.bars([AAPL], FIRST, DAY), vendor.quotes([AAPL])[AAPL]

    assert (bars.provenance.feed, bars.provenance.source) == (FeedClass.DELAYED, "polygon realtime")
    assert isinstance(quote, Quote)
    assert quote.provenance.feed is FeedClass.DELAYED


@pytest.mark.parametrize(
    ("said", "feed"), [("modelled", "modelled"), ("splendid", "modelled"), ("realtime", "replayed")]
)
def test_an_exchange_is_believed_when_it_says_less_of_its_prices(
    said: str, feed: str, server: Scripted, data: PolygonData
) -> None:
    told = shares(share())
    server.on("GET", SNAPSHOTS, Reply(told.body, headers={"X-WSB-Feed": said}))

    quote = data.quotes([AAPL])[AAPL]

    assert isinstance(quote, Quote)
    assert quote.provenance.feed.value == feed


# Quotes and the session so far.


def test_a_quote_has_its_own_time_and_a_zero_side_is_none(server: Scripted, data: PolygonData) -> None:
    at = 1733847240123456789
    server.on("GET", SNAPSHOTS, shares(share(lastQuote={"p": 99.9, "s": 3, "P": 0, "S": 0, "t": at})))

    quote = off_this_machine(server).quotes([AAPL])[AAPL]

    assert isinstance(quote, Quote)
    assert (quote.bid, quote.bid_size, quote.ask, quote.ask_size) == (Decimal("99.9"), 3, None, 0)
    assert quote.provenance.as_of == datetime(2024, 12, 10, 16, 14, 0, 123456, UTC)
    assert (quote.provenance.source, quote.provenance.feed) == ("polygon realtime", FeedClass.REALTIME)


@pytest.mark.parametrize(
    "wrong",
    [
        {"t": millis("2024-12-10 11:14")},
        {"t": "2024-12-10T11:14:00"},
        {"t": 0},
        {"t": None},
        {"p": -1},
        {"p": float("inf")},
        {"P": "much"},
        {"s": None},
        {"s": 1.5},
    ],
    ids=str,
)
def test_a_quote_that_cannot_be_read_spoils_the_answer(
    wrong: dict[str, Any], server: Scripted, data: PolygonData
) -> None:
    server.on("GET", SNAPSHOTS, shares(share(lastQuote=share()["lastQuote"] | wrong)))

    with pytest.raises(BadResponse):
        data.quotes([AAPL])


def test_a_share_without_a_quote_in_its_snapshot_is_asked_for_singly(
    server: Scripted, data: PolygonData
) -> None:
    server.on("GET", SNAPSHOTS, shares(share(lastQuote={})))
    server.on(
        "GET", "/v2/last/nbbo/AAPL", Reply({"status": "OK", "results": {"T": "AAPL", **share()["lastQuote"]}})
    )

    quote = data.quotes([AAPL])[AAPL]

    assert isinstance(quote, Quote)
    assert quote.mid == 100


def test_the_last_quote_of_another_share_is_refused(server: Scripted, data: PolygonData) -> None:
    server.on("GET", SNAPSHOTS, shares())
    server.on("GET", "/v2/last/nbbo/AAPL", Reply({"results": {"T": "MSFT", **share()["lastQuote"]}}))

    with pytest.raises(BadResponse, match="T is 'MSFT'"):
        data.quotes([AAPL])


def test_a_plan_without_quotes_says_so_of_each_share_and_is_asked_once(
    server: Scripted, data: PolygonData
) -> None:
    names = [AAPL, Underlying("MSFT"), SPX]
    refusal = Reply({"status": "NOT_AUTHORIZED", "message": "You are not entitled to this data."}, 403)
    server.on("GET", SNAPSHOTS, shares(share(lastQuote=None)))
    server.on("GET", "/v2/last/nbbo/AAPL", refusal)

    found = data.quotes(names)

    assert list(found) == names
    reasons = [each.reason for each in found.values() if isinstance(each, Missing)]
    assert "not entitled" in reasons[0]
    assert reasons[0] == reasons[1]
    assert "index" in reasons[2]


@pytest.mark.parametrize(
    ("told", "reason"),
    [
        (share(day={"o": 0, "h": 0, "l": 0, "c": 0, "v": 0}), "no bar of 2024-12-10 yet"),
        (share(day=None), "no bar of 2024-12-10 yet"),
        (share(updated=nanos("2024-12-09 15:59")), "the newest is of 2024-12-09"),
    ],
)
def test_a_bar_that_is_not_todays_is_missing(
    told: Any, reason: str, server: Scripted, data: PolygonData
) -> None:
    server.on("GET", SNAPSHOTS, shares(told))

    today = data.today([AAPL])

    assert today.frame.empty
    assert reason in today.missing[0].reason


def test_an_index_has_no_session_so_far_though_a_share_may_bear_its_name(
    server: Scripted, data: PolygonData
) -> None:
    today = data.today([SPX])

    assert [missing.underlying for missing in today.missing] == [SPX]
    assert server.count("GET", SNAPSHOTS) == 0


def test_the_session_so_far_is_as_old_as_its_oldest_symbol(server: Scripted, data: PolygonData) -> None:
    server.on("GET", SNAPSHOTS, shares(share(), share(ticker="MSFT", updated=nanos("2024-12-10 10:00"))))

    today = data.today([AAPL, Underlying("MSFT")])

    assert today.frame["close"].tolist() == [100, 100]
    assert today.provenance.as_of == ny("2024-12-10 10:00")


# Chains.


def only(data: PolygonData, server: Scripted, row: Any) -> OptionQuote:
    server.on("GET", CHAIN, listing(row))
    [quote] = data.chain(AAPL, WINDOW, DAY)
    return quote


def test_what_the_vendor_left_out_of_a_contract_is_none(server: Scripted, data: PolygonData) -> None:
    bare = {name: snapshot()[name] for name in ("details", "last_quote")}

    quote = only(data, server, {**bare, "greeks": {}, "day": {}, "implied_volatility": 0})

    unknown = (quote.iv, quote.delta, quote.gamma, quote.theta, quote.vega, quote.open_interest, quote.volume)
    assert set(unknown) == {None}
    assert (quote.bid, quote.ask) == (Decimal("1.1"), Decimal("1.2"))


def test_what_the_vendor_says_of_a_contract_is_kept(server: Scripted, data: PolygonData) -> None:
    quote = only(data, server, snapshot())

    assert (quote.iv, quote.delta, quote.vega, quote.open_interest, quote.volume) == (0.31, 0.5, 0.1, 12, 9)
    assert quote.quote.provenance.as_of == ny("2024-12-10 11:14")
    assert quote.contract.standard


def test_volume_of_an_earlier_day_is_not_todays(server: Scripted, data: PolygonData) -> None:
    day = {"volume": 9, "last_updated": nanos("2024-12-09 00:00")}

    assert only(data, server, snapshot(day=day)).volume is None


def test_fm_50_zero_sides_are_no_sides_and_need_no_time(server: Scripted, data: PolygonData) -> None:
    server.on(
        "GET",
        CHAIN,
        listing(snapshot(last_quote=quoted(0, 0, last_updated=0)), snapshot("O:AAPL241220P00100000")),
    )

    call, put = data.chain(AAPL, WINDOW, DAY)

    assert (call.bid, call.ask, put.bid) == (None, None, Decimal("1.1"))
    assert call.quote.provenance.as_of == put.quote.provenance.as_of


@pytest.mark.parametrize(
    "wrong",
    [
        {"last_quote": quoted(last_updated=0)},
        {"last_quote": quoted(last_updated=millis("2024-12-10 11:14"))},
        {"last_quote": quoted(bid=-0.05)},
        {"last_quote": quoted(bid=float("nan"))},
        {"last_quote": quoted(timeframe="SOON")},
        {"last_quote": []},
        {"details": None},
        {"details": details("O:AAPL241220C00100000", strike_price=101)},
        {"details": details("O:AAPL241220C00100000", expiration_date="2024-12-27")},
        {"details": details("O:AAPL241220C00100000", contract_type="put")},
        {"details": details("O:AAPL241220C00100000", ticker="AAPL")},
        {"details": details("O:AAPL250620C00100000")},
        {"underlying_asset": {"ticker": "MSFT"}},
        {"open_interest": 1.5},
        {"implied_volatility": "high"},
    ],
    ids=lambda wrong: str(wrong)[:60],
)
def test_a_contract_that_cannot_be_read_spoils_the_chain(
    wrong: dict[str, Any], server: Scripted, data: PolygonData
) -> None:
    server.on("GET", CHAIN, listing(snapshot(**wrong)))

    with pytest.raises(BadResponse):
        data.chain(AAPL, WINDOW, DAY)


@pytest.mark.parametrize(
    "odd",
    [
        listed(shares_per_contract=150),
        listed(additional_underlyings=[{"type": "currency", "underlying": "USD", "amount": 6.5}]),
        listed(exercise_style="european"),
        listed("O:AAPL1241220C00100000"),
        listed("O:VMW241220C00100000"),
    ],
    ids=["size", "more is delivered", "style", "adjusted root", "root of a company that was taken over"],
)
def test_fm_39_a_contract_that_is_not_the_usual_one_is_told_and_not_standard(
    odd: Any, server: Scripted, data: PolygonData
) -> None:
    server.on("GET", CONTRACTS, listing(odd))
    server.on("GET", CHAIN, listing())

    [quote] = data.chain(AAPL, WINDOW, DAY)

    assert quote.contract.underlying == AAPL
    assert not quote.contract.standard


def test_a_listed_contract_that_is_not_quoted_is_in_the_chain_without_a_price(
    server: Scripted, data: PolygonData
) -> None:
    server.on("GET", CONTRACTS, listing(listed(), listed("O:AAPL241220P00100000")))
    server.on("GET", CHAIN, listing(snapshot()))

    call, put = data.chain(AAPL, WINDOW, DAY)

    assert (call.open_interest, put.open_interest) == (12, None)
    assert (put.bid, put.ask, put.iv) == (None, None, None)


def test_a_contract_listed_on_another_underlying_spoils_the_chain(
    server: Scripted, data: PolygonData
) -> None:
    server.on("GET", CONTRACTS, listing(listed(underlying_ticker="MSFT")))
    server.on("GET", CHAIN, listing(snapshot()))

    with pytest.raises(BadResponse, match="underlying_ticker"):
        data.chain(AAPL, WINDOW, DAY)


def test_a_plan_without_option_quotes_is_refused_and_no_chain_of_nothing(
    server: Scripted, data: PolygonData
) -> None:
    rows = [snapshot(last_quote=None), snapshot("O:AAPL241220P00100000", last_quote={})]
    server.on("GET", CHAIN, listing(*rows))

    with pytest.raises(ProviderRefused, match="2 contracts came and none with a quote"):
        data.chain(AAPL, WINDOW, DAY)


def test_a_chain_is_of_the_least_class_of_its_quotes(server: Scripted, data: PolygonData) -> None:
    late = snapshot("O:AAPL241220P00100000", last_quote=quoted(timeframe="DELAYED"))
    server.on("GET", CHAIN, listing(snapshot(), late))

    chain = off_this_machine(server).chain(AAPL, WINDOW, DAY)

    assert [quote.quote.provenance.feed.value for quote in chain] == ["realtime", "delayed"]
    assert chain.provenance.feed is FeedClass.DELAYED


def test_one_side_and_the_window_are_asked_for(server: Scripted, data: PolygonData) -> None:
    server.on("GET", CHAIN, listing())

    chain = data.chain(AAPL, ChainWindow(7, 30, (Right.PUT,)), DAY)

    asked = {"expiration_date.gte": "2024-12-17", "expiration_date.lte": "2025-01-09", "contract_type": "put"}
    [snapshots], [contracts] = server.to("GET", CHAIN), server.to("GET", CONTRACTS)
    assert snapshots.query == asked | {"limit": "250"}
    assert contracts.query == asked | {"limit": "1000", "underlying_ticker": "AAPL"}
    assert (len(chain), chain.provenance.as_of) == (0, ny("2024-12-10 11:15"))


def test_an_index_chain_is_asked_for_by_its_own_ticker(server: Scripted, data: PolygonData) -> None:
    style = {"exercise_style": "european"}
    row = snapshot(
        details=details("O:SPXW241220C06000000", **style), underlying_asset={"ticker": "I:SPX", "value": 6050}
    )
    server.on("GET", "/v3/snapshot/options/I:SPX", listing(row))
    server.on("GET", CONTRACTS, listing(listed("O:SPX241220C06000000", underlying_ticker="SPX", **style)))

    chain = data.chain(SPX, WINDOW, DAY)

    assert [(quote.contract.root, quote.contract.standard) for quote in chain] == [
        ("SPX", True),
        ("SPXW", True),
    ]


# Dated facts.


def test_dividends_and_splits_come_by_date_with_what_is_known(server: Scripted, data: PolygonData) -> None:
    rows = [
        dividend("2024-12-09", 0.25, pay_date="2024-12-20"),
        dividend("2024-12-04", 5, dividend_type="SC"),
        dividend("2024-12-05", 0.1, dividend_type="LT"),
    ]
    server.on("GET", DIVIDENDS, listing(*rows))
    server.on("GET", SPLITS, listing(split("2024-12-06", 10, 1)))

    found = data.corporate_actions([AAPL], FIRST, DAY)[AAPL]

    assert not isinstance(found, Missing)
    special, gain, reverse, usual = found
    assert isinstance(reverse, Split)
    assert reverse.ratio == Decimal("0.1")
    paid = [each for each in (special, gain, usual) if isinstance(each, CashDividend)]
    assert [each.special for each in paid] == [True, None, False]
    assert [each.pay_date for each in paid] == [None, None, date(2024, 12, 20)]


@pytest.mark.parametrize(
    ("path", "row"),
    [
        (DIVIDENDS, dividend("2024-12-04", 0)),
        (DIVIDENDS, dividend("2024-12-04", 1, ticker="MSFT")),
        (DIVIDENDS, dividend("2023-12-04", 1)),
        (DIVIDENDS, dividend("soon", 1)),
        (SPLITS, split("2024-12-04", 2, 2)),
        (SPLITS, split("2024-12-04", 0, 2)),
        (SPLITS, split("2024-12-04", 1, -2)),
    ],
    ids=["nothing", "another's", "outside", "no day", "one for one", "from none", "negative"],
)
def test_an_action_that_cannot_be_read_spoils_the_answer(
    path: str, row: Any, server: Scripted, data: PolygonData
) -> None:
    server.on("GET", path, listing(row))

    with pytest.raises(BadResponse):
        data.corporate_actions([AAPL], FIRST, DAY)


def test_a_dividend_in_another_currency_leaves_the_name_missing(server: Scripted, data: PolygonData) -> None:
    server.on("GET", DIVIDENDS, listing(dividend("2024-12-04", 1, currency="CAD")))

    found = data.corporate_actions([AAPL], FIRST, DAY)[AAPL]

    assert isinstance(found, Missing)


def test_a_name_without_actions_is_empty_only_when_the_vendor_knows_it(
    server: Scripted, data: PolygonData
) -> None:
    server.on("GET", "/v3/reference/tickers/AAPL", Reply({"status": "OK", "results": {"ticker": "AAPL"}}))
    server.on(
        "GET",
        "/v3/reference/tickers/APPL",
        Reply({"status": "NOT_FOUND", "message": "Ticker not found."}, 404),
    )

    found = data.corporate_actions([AAPL, Underlying("APPL")], FIRST, DAY)

    assert found[AAPL] == ()
    assert isinstance(found[Underlying("APPL")], Missing)


def test_a_gateways_404_is_not_the_vendors_word_that_there_is_no_such_name(
    server: Scripted, data: PolygonData
) -> None:
    server.on("GET", "/v3/reference/tickers/AAPL", Reply(b"<html>404</html>", 404))

    with pytest.raises(ProviderRefused, match="404"):
        data.corporate_actions([AAPL], FIRST, DAY)


def test_yields_have_the_tenors_that_came(server: Scripted, data: PolygonData) -> None:
    row = {"date": "2024-12-09", "yield_3_month": 4.41, "yield_10_year": "4.19", "yield_30_year": None}
    server.on("GET", YIELDS, listing(row))

    [told] = data.yields(FIRST, DAY)

    assert (told.day, dict(told.percent)) == (date(2024, 12, 9), {0.25: 4.41, 10.0: 4.19})


@pytest.mark.parametrize(
    "rows",
    [
        [{"date": "2024-12-09", "yield_1_year": 441}],
        [{"date": "2024-12-09", "yield_1_year": "n/a"}],
        [{"yield_1_year": 4}],
        [{"date": "2024-12-09", "yield_1_year": 4}] * 2,
    ],
    ids=["basis points", "a word", "no day", "a day twice"],
)
def test_yields_that_cannot_be_read_spoil_the_answer(
    rows: list[Any], server: Scripted, data: PolygonData
) -> None:
    server.on("GET", YIELDS, listing(*rows))

    with pytest.raises(BadResponse):
        data.yields(FIRST, DAY)


def report(day: str, **more: Any) -> dict[str, Any]:
    return {"ticker": "AAPL", "date": day, "last_updated": "2024-12-01T10:00:00Z", **more}


@pytest.mark.parametrize(
    ("hour", "time"),
    [
        ("07:00:00", ReportTime.BEFORE_OPEN),
        ("21:05:00", ReportTime.AFTER_CLOSE),
        ("15:30:00", ReportTime.DURING),
        ("16:05:00", ReportTime.UNKNOWN),
        ("12:00:00", ReportTime.UNKNOWN),
        ("16:05:00-05:00", ReportTime.AFTER_CLOSE),
        ("00:00:00", ReportTime.UNKNOWN),
        (None, ReportTime.UNKNOWN),
        ("", ReportTime.UNKNOWN),
    ],
)
def test_fm_54_an_hour_of_unknown_zone_is_used_only_where_the_zone_does_not_matter(
    hour: str | None, time: ReportTime, server: Scripted, data: PolygonData
) -> None:
    server.on("GET", EARNINGS, listing(report("2024-12-12", time=hour)))

    [told] = data.earnings([AAPL], DAY, date(2024, 12, 31))[AAPL]  # type: ignore[misc]

    assert (told.day, told.time) == (date(2024, 12, 12), time)


@pytest.mark.parametrize(
    ("word", "confirmed"), [("confirmed", True), ("projected", False), (None, None), ("?", None)]
)
def test_a_date_is_confirmed_only_when_the_vendor_says_so(
    word: str | None, confirmed: bool | None, server: Scripted, data: PolygonData
) -> None:
    server.on("GET", EARNINGS, listing(report("2024-12-12", date_status=word)))

    [told] = data.earnings([AAPL], DAY, date(2024, 12, 31))[AAPL]  # type: ignore[misc]

    assert told.confirmed is confirmed


def test_no_announcement_is_known_to_be_none_only_when_a_later_one_is_known(
    server: Scripted, data: PolygonData
) -> None:
    server.on("GET", EARNINGS, listing(report("2025-01-30")))

    found = data.earnings([AAPL, Underlying("MSFT")], DAY, date(2024, 12, 31))

    assert found[AAPL] == ()
    assert isinstance(found[Underlying("MSFT")], Missing)
    assert isinstance(data.earnings([AAPL], date(2025, 2, 1), date(2025, 2, 9))[AAPL], Missing)
    sent = server.to("GET", EARNINGS)[0]
    assert (sent.query["ticker.any_of"], sent.query["date.gte"]) == ("AAPL,MSFT", "2024-12-10")
    assert sent.query["date.lte"] > "2025-06"


@pytest.mark.parametrize(
    "row",
    [
        report("2024-12-12", ticker="NVDA"),
        report("2024-12-12", time="after close"),
        report("2024-12-12", last_updated="2024-12-01T10:00:00"),
        report("next week"),
    ],
    ids=["not asked for", "a word for an hour", "naive time", "no day"],
)
def test_an_announcement_that_cannot_be_read_spoils_the_answer(
    row: Any, server: Scripted, data: PolygonData
) -> None:
    server.on("GET", EARNINGS, listing(row))

    with pytest.raises(BadResponse):
        data.earnings([AAPL], DAY, date(2024, 12, 31))


READS: dict[str, Callable[[PolygonData], Any]] = {
    BARS: lambda data: data.bars([AAPL], FIRST, DAY),
    SNAPSHOTS: lambda data: data.today([AAPL]),
    CHAIN: lambda data: data.chain(AAPL, WINDOW, DAY),
    EARNINGS: lambda data: data.earnings([AAPL], FIRST, DAY),
    YIELDS: lambda data: data.yields(FIRST, DAY),
}


@pytest.mark.parametrize("path", READS)
@pytest.mark.parametrize(
    "body", [[], {}, {"status": "OK"}, {"results": [[]]}, {"results": "", "tickers": 1}], ids=json.dumps
)
def test_nothing_where_something_was_asked_for_is_never_empty(
    path: str, body: Any, server: Scripted, data: PolygonData
) -> None:
    server.on("GET", path, Reply(body))

    with pytest.raises(BadResponse):
        READS[path](data)
