"""Polygon's own unmodified clients against the practice exchange: real HTTP and WebSocket, no script."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime
from typing import Any

import pytest
from polygon import RESTClient, WebSocketClient
from polygon.exceptions import AuthError, BadResponse

from tests.exchange.server.conftest import KEY, eventually
from tests.exchange.server.market import AAPL, DIVIDEND_DAY, MSFT, SPLIT_DAY, SmallMarket, ny
from wsb_core.domain.events import EarningsDate, ReportTime, Yields
from wsb_core.domain.quotes import FeedClass, Provenance
from wsb_core.exchange.client import PracticeControl
from wsb_core.exchange.engine import Exchange
from wsb_core.exchange.model import Settings
from wsb_core.exchange.server import ServerThread
from wsb_core.exchange.server.almanac import Almanac

TOLD = Provenance("made by hand", FeedClass.REPLAYED, datetime(2026, 2, 27, tzinfo=UTC))
CALL = "O:AAPL260320C00100000"


@pytest.fixture
def url() -> Iterator[str]:
    """A server over the small market with two tables, on Monday 2 March 2026 at 10:00 in New York."""
    almanac = Almanac(
        earnings={AAPL: (EarningsDate(AAPL, date(2026, 3, 5), ReportTime.AFTER_CLOSE, True, TOLD),)},
        yields=tuple(Yields(date(2026, 2, day), {0.25: 3.6, 10.0: 4.1}, TOLD) for day in (25, 26, 27)),
    )
    exchange = Exchange(SmallMarket(), ny("2026-03-02 10:00"), Settings(partial_fill_every=0))
    with ServerThread(exchange, almanac=almanac) as base:
        yield base


@pytest.fixture
def client(url: str) -> RESTClient:
    return RESTClient(KEY, base=url, retries=0)


def test_daily_bars_come_on_several_pages_and_the_last_is_the_session_so_far(client: RESTClient) -> None:
    bars = list(client.list_aggs("AAPL", 1, "day", "2026-02-20", "2026-03-02", limit=3))

    assert len(bars) == 7
    assert [bar.close for bar in bars] == [103.9] * 6 + [100.3]
    assert datetime.fromtimestamp(bars[0].timestamp / 1000, UTC) == ny("2026-02-20 00:00")


def test_bars_backwards_are_the_same_bars(client: RESTClient) -> None:
    span = ("AAPL", 1, "day", "2026-02-20", "2026-03-02")

    assert list(client.list_aggs(*span, sort="desc", limit=3)) == list(client.list_aggs(*span))[::-1]


def test_minute_bars_are_those_that_are_over(client: RESTClient) -> None:
    bars = client.get_aggs("AAPL", 1, "minute", "2026-03-02", "2026-03-02")

    assert len(bars) == 30
    assert (bars[0].open, bars[-1].close) == (100.0, 100.3)


def test_prices_are_adjusted_for_splits_and_not_for_dividends(
    client: RESTClient, control: PracticeControl
) -> None:
    control.advance_to(ny("2026-03-18 10:00"))
    before = ("2026-03-06", "2026-03-06")

    def close(symbol: str, adjusted: bool) -> float:
        return client.get_aggs(symbol, 1, "day", *before, adjusted=adjusted)[0].close

    assert (close("SPY", True), close("SPY", False)) == (51.95, 103.9)
    assert close("MSFT", True) == 103.9


def test_a_symbol_nobody_knows_has_no_bars_and_no_quote(client: RESTClient) -> None:
    assert client.get_aggs("NOPE", 1, "day", "2026-02-20", "2026-03-02") == []
    with pytest.raises(BadResponse, match="NOT_FOUND"):
        client.get_last_quote("NOPE")


def test_the_last_quote_has_no_sides_out_of_session(client: RESTClient, control: PracticeControl) -> None:
    during = client.get_last_quote("AAPL")
    control.advance_to(ny("2026-03-02 18:00"))
    after = client.get_last_quote("AAPL")

    assert (during.bid_price, during.ask_price, during.bid_size) == (100.29, 100.31, 1000)
    assert datetime.fromtimestamp(during.sip_timestamp / 1e9, UTC) == ny("2026-03-02 10:00")
    assert (after.bid_price, after.ask_price) == (0, 0)


def test_a_snapshot_is_the_session_so_far(client: RESTClient) -> None:
    [told] = client.get_snapshot_all("stocks", tickers=["AAPL"])
    single = client.get_snapshot_ticker("stocks", "AAPL")

    assert told == single
    assert (told.day.open, told.day.close, told.day.volume) == (100.0, 100.3, 30000)
    assert (told.prev_day.close, told.last_quote.ask_price, told.last_trade.price) == (103.9, 100.31, 100.3)


def test_a_chain_is_walked_to_its_end_over_pages(client: RESTClient) -> None:
    params = {"expiration_date.gte": "2026-03-13", "expiration_date.lte": "2026-03-20", "limit": 7}

    chain = list(client.list_snapshot_options_chain("AAPL", params=params))

    assert len(chain) == len({row.details.ticker for row in chain}) == 2 * 9 * 2
    assert {row.details.expiration_date for row in chain} == {"2026-03-13", "2026-03-20"}
    found = next(row for row in chain if row.details.ticker == CALL)
    assert (found.open_interest, found.greeks.delta, found.implied_volatility) == (1000, 0.5, 0.3)
    assert (found.last_quote.bid, found.last_quote.ask) == (1.11, 1.21)
    assert found.underlying_asset.price == 100.3


@pytest.mark.parametrize(
    ("params", "rows"),
    [
        ({"contract_type": "put"}, 36),
        ({"strike_price": 100}, 8),
        ({"strike_price.gte": 100, "strike_price.lt": 110}, 16),
        ({"expiration_date": "2026-03-13"}, 18),
    ],
)
def test_a_chain_is_filtered_as_asked(params: dict[str, Any], rows: int, client: RESTClient) -> None:
    chain = list(client.list_snapshot_options_chain("AAPL", params={**params, "limit": 250}))

    assert len(chain) == rows


def test_the_vendors_default_page_of_ten_is_served(url: str) -> None:
    page = RESTClient(KEY, base=url, pagination=False)

    assert len(list(page.list_snapshot_options_chain("AAPL"))) == 10


def test_one_contracts_snapshot_is_the_chains_row(client: RESTClient) -> None:
    one = client.get_snapshot_option("AAPL", CALL)

    assert one.details.strike_price == 100
    with pytest.raises(BadResponse, match="NOT_FOUND"):
        client.get_snapshot_option("AAPL", "O:AAPL260320C00101000")


def test_contracts_are_listed_and_found_singly(client: RESTClient) -> None:
    listed = list(client.list_options_contracts("AAPL", expiration_date="2026-03-20", limit=5))

    assert len(listed) == 18
    assert CALL in {row.ticker for row in listed}
    assert client.get_options_contract(CALL).underlying_ticker == "AAPL"


def test_dividends_and_splits_are_told_a_fortnight_ahead(
    client: RESTClient, control: PracticeControl
) -> None:
    early = (list(client.list_dividends("MSFT")), list(client.list_splits("SPY")))
    control.advance_to(ny("2026-03-05 10:00"))

    [dividend], [split] = client.list_dividends("MSFT"), client.list_splits("SPY")

    assert [len(rows) for rows in early] == [1, 0]
    assert (dividend.cash_amount, dividend.ex_dividend_date) == (0.75, DIVIDEND_DAY.isoformat())
    assert (split.split_from, split.split_to, split.execution_date) == (1, 2, SPLIT_DAY.isoformat())


def test_yields_are_the_callers_table_filtered_by_day(client: RESTClient) -> None:
    [row] = client.list_treasury_yields(date_gte="2026-02-26", date_lt="2026-02-27")

    assert (row.date, row.yield_3_month, row.yield_10_year, row.yield_2_year) == (
        "2026-02-26",
        3.6,
        4.1,
        None,
    )


def test_earnings_are_the_callers_table(client: RESTClient) -> None:
    [row] = client.list_benzinga_earnings(ticker_any_of=["AAPL", "MSFT"])

    assert (row.ticker, row.date, row.date_status) == ("AAPL", "2026-03-05", "confirmed")


def test_market_hours_follow_the_exchanges_clock(client: RESTClient, control: PracticeControl) -> None:
    words = [client.get_market_status().market]
    for at in ("2026-03-02 18:00", "2026-03-02 21:00", "2026-03-03 07:00"):
        control.advance_to(ny(at))
        words.append(client.get_market_status().market)

    assert words == ["open", "extended-hours", "closed", "extended-hours"]
    assert client.get_market_status().early_hours
    holidays = {row.date: row.status for row in client.get_market_holidays()}
    assert (holidays["2026-04-03"], holidays["2026-11-27"]) == ("closed", "early-close")


def test_a_ticker_is_known_or_it_is_not(client: RESTClient) -> None:
    assert client.get_ticker_details("AAPL").active
    with pytest.raises(BadResponse, match="NOT_FOUND"):
        client.get_ticker_details("NOPE")


def test_a_key_that_is_none_of_the_exchanges_is_refused(url: str) -> None:
    with pytest.raises(BadResponse, match="Unknown API Key"):
        RESTClient("another", base=url).get_market_status()


def test_what_the_caller_gave_no_table_of_is_refused_as_the_vendor_does() -> None:
    exchange = Exchange(SmallMarket(), ny("2026-03-02 10:00"), Settings(partial_fill_every=0))
    with ServerThread(exchange) as url:
        client = RESTClient(KEY, base=url)
        with pytest.raises(BadResponse, match="NOT_AUTHORIZED"):
            list(client.list_benzinga_earnings())
        with pytest.raises(BadResponse, match="NOT_FOUND"):
            list(client.list_treasury_yields())


@pytest.mark.parametrize("wrong", [{"limit": 251}, {"contract_type": "both"}, {"expiration_date": "Friday"}])
def test_what_cannot_be_read_is_refused(wrong: dict[str, Any], client: RESTClient) -> None:
    with pytest.raises(BadResponse, match="invalid"):
        list(client.list_snapshot_options_chain("AAPL", params=wrong))


def test_fm_41_the_vendors_client_takes_a_cut_off_page_for_the_end(
    client: RESTClient, control: PracticeControl
) -> None:
    control.fault("truncate", path="/v3/snapshot/options/AAPL", nth=2)

    chain = list(client.list_snapshot_options_chain("AAPL", params={"limit": 20}))

    assert len(chain) == 20


class Stream:
    """The vendor's stream client in a thread of its own, and what it has received."""

    def __init__(self, url: str, market: str, *topics: str, key: str = KEY) -> None:
        feed = url.removeprefix("http://")
        self.told: list[Any] = []
        self.error: BaseException | None = None
        self._client = WebSocketClient(
            key,
            feed=feed,
            market=market,
            secure=False,
            subscriptions=list(topics),
            raw=True,
            max_reconnects=0,
        )
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Stream:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        if not self._loop.is_closed():
            asyncio.run_coroutine_threadsafe(self._client.close(), self._loop)
        self._thread.join(10)
        assert not self._thread.is_alive()

    def _run(self) -> None:
        try:
            self._loop.run_until_complete(self._client.connect(self._hear))
        except AuthError as error:
            self.error = error
        finally:
            self._loop.run_until_complete(self._loop.shutdown_asyncgens())
            self._loop.close()

    async def _hear(self, frame: str | bytes) -> None:
        self.told += self._client.json.loads(frame)

    def messages(self, kind: str) -> list[Any]:
        return [one for one in self.told if one["ev"] == kind]

    def subscribed(self, topics: int = 1) -> Callable[[], bool]:
        return lambda: len(self.messages("status")) == topics


def parsed(stream: Stream, kind: str) -> list[Any]:
    """What the vendor's own parser makes of the messages of one kind."""
    from polygon.logging import get_logger
    from polygon.websocket.models import parse

    return parse(stream.messages(kind), get_logger("test"), stream._client.market)


def test_shares_stream_quotes_trades_minutes_and_seconds(url: str, control: PracticeControl) -> None:
    with Stream(url, "stocks", "Q.AAPL", "T.AAPL", "AM.AAPL", "A.MSFT") as stream:
        eventually(stream.subscribed(4))
        control.advance(60)
        eventually(lambda: len(stream.told) == 8)

    [quote], [trade], [minute] = parsed(stream, "Q"), parsed(stream, "T"), parsed(stream, "AM")
    assert (quote.symbol, quote.bid_price, quote.ask_price) == ("AAPL", 100.3, 100.32)
    assert (trade.symbol, trade.price) == ("AAPL", 100.31)
    assert (minute.open, minute.close, minute.volume, minute.official_open_price) == (
        100.3,
        100.31,
        1000,
        100,
    )
    assert minute.end_timestamp - minute.start_timestamp == 60_000
    [second] = parsed(stream, "A")
    assert (second.symbol, second.end_timestamp - second.start_timestamp) == (MSFT, 1000)


def test_contracts_stream_quotes_and_an_unknown_one_is_silent(url: str, control: PracticeControl) -> None:
    with Stream(url, "options", f"Q.{CALL}", "Q.O:AAPL260320C00101000") as stream:
        eventually(stream.subscribed(2))
        control.advance(60)
        eventually(lambda: len(stream.messages("Q")) > 0)

    [quote] = parsed(stream, "Q")
    assert (quote.symbol, quote.bid_price, quote.ask_price) == (CALL, 1.12, 1.22)
    assert quote.timestamp == int(ny("2026-03-02 10:01").timestamp()) * 1000


def test_a_stream_with_a_wrong_key_is_refused(url: str) -> None:
    with Stream(url, "stocks", "Q.AAPL", key="another") as stream:
        eventually(lambda: stream.error is not None)

    assert isinstance(stream.error, AuthError)


def test_a_stream_is_muted_doubled_and_falsified_on_order(url: str, control: PracticeControl) -> None:
    with Stream(url, "stocks", "Q.AAPL") as stream:
        eventually(stream.subscribed())
        control.fault("stream_lose", method="WS", path="/stocks")
        control.advance(60)
        control.fault("stream_duplicate", method="WS", path="/stocks")
        control.advance(60)
        control.fault("quotes_zero", method="WS", path="/stocks")
        control.advance(60)
        eventually(lambda: len(stream.messages("Q")) == 3)

    assert [(quote["bp"], quote["ap"]) for quote in stream.messages("Q")] == [
        (100.31, 100.33),
        (100.31, 100.33),
        (0, 0),
    ]
