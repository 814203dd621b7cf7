"""The vendor's own market-data clients against the server."""

from __future__ import annotations

from datetime import UTC, date, datetime

import pytest
import requests
from alpaca.common.exceptions import APIError
from alpaca.data.enums import Adjustment, CorporateActionsType
from alpaca.data.historical import NewsClient, OptionHistoricalDataClient, StockHistoricalDataClient
from alpaca.data.historical.corporate_actions import CorporateActionsClient
from alpaca.data.requests import (
    CorporateActionsRequest,
    NewsRequest,
    OptionChainRequest,
    OptionLatestQuoteRequest,
    OptionSnapshotRequest,
    StockBarsRequest,
    StockLatestBarRequest,
    StockLatestQuoteRequest,
    StockLatestTradeRequest,
    StockSnapshotRequest,
)
from alpaca.data.timeframe import TimeFrame

from tests.exchange.server.conftest import KEY, SECRET
from tests.exchange.server.market import SPY, ny

CALL = "AAPL260313C00100000"
HEADERS = {"APCA-API-KEY-ID": KEY, "APCA-API-SECRET-KEY": SECRET}


@pytest.fixture
def stocks(url):
    return StockHistoricalDataClient(KEY, SECRET, url_override=url)


@pytest.fixture
def options(url):
    return OptionHistoricalDataClient(KEY, SECRET, url_override=url)


def daily(symbols, start: date, adjustment=Adjustment.RAW, **more) -> StockBarsRequest:
    return StockBarsRequest(
        symbol_or_symbols=symbols,
        timeframe=TimeFrame.Day,
        start=datetime(start.year, start.month, start.day),
        adjustment=adjustment,
        **more,
    )


def test_daily_bars_end_with_the_session_so_far(stocks):
    bars = stocks.get_stock_bars(daily("AAPL", date(2026, 2, 26)))["AAPL"]

    assert [bar.timestamp.day for bar in bars] == [26, 27, 2]
    assert [bar.close for bar in bars] == [103.9, 103.9, 100.3]
    assert [bar.volume for bar in bars] == [390_000, 390_000, 30_000]


def test_bars_that_end_before_today_do_not_hold_today(stocks):
    bars = stocks.get_stock_bars(daily("AAPL", date(2026, 2, 26), end=datetime(2026, 2, 28)))["AAPL"]

    assert [bar.timestamp.day for bar in bars] == [26, 27]


def test_daily_bars_before_the_open_show_nothing_of_today(stocks, control):
    control.advance_to(ny("2026-03-03 08:00"))

    bars = stocks.get_stock_bars(daily("AAPL", date(2026, 3, 2)))["AAPL"]

    assert [bar.timestamp.day for bar in bars] == [2]


def test_bars_come_in_pages_sorted_by_symbol(url):
    asked = {"symbols": "MSFT,AAPL,NOPE", "timeframe": "1Day", "start": "2026-02-24", "limit": 3}
    first = requests.get(f"{url}/v2/stocks/bars", asked, headers=HEADERS, timeout=60).json()

    asked["page_token"] = first["next_page_token"]
    second = requests.get(f"{url}/v2/stocks/bars", asked, headers=HEADERS, timeout=60).json()

    assert {symbol: len(bars) for symbol, bars in first["bars"].items()} == {"AAPL": 3}
    assert {symbol: len(bars) for symbol, bars in second["bars"].items()} == {"AAPL": 2, "MSFT": 1}


def test_the_client_follows_every_page(stocks):
    bars = stocks.get_stock_bars(daily(["MSFT", "AAPL"], date(2026, 2, 2)))

    assert len(bars["AAPL"]) == len(bars["MSFT"]) == 20


def test_bars_can_be_asked_newest_first(stocks):
    bars = stocks.get_stock_bars(daily("AAPL", date(2026, 2, 26), sort="desc"))["AAPL"]

    assert [bar.timestamp.day for bar in bars] == [2, 27, 26]


@pytest.mark.parametrize(
    ("adjustment", "split_close", "dividend_close", "volume"),
    [
        (Adjustment.RAW, 103.9, 103.9, 390_000),
        (Adjustment.SPLIT, 51.95, 103.9, 780_000),
        (Adjustment.DIVIDEND, 103.9, 103.15, 390_000),
        (Adjustment.ALL, 51.95, 103.15, 780_000),
    ],
)
def test_each_adjustment_takes_out_what_it_names(
    stocks, control, adjustment, split_close, dividend_close, volume
):
    control.advance_to(ny("2026-03-18 10:00"))

    bars = stocks.get_stock_bars(daily(["SPY", "MSFT"], date(2026, 3, 9), adjustment))

    assert (bars["SPY"][0].close, bars["MSFT"][0].close) == (split_close, pytest.approx(dividend_close))
    assert bars["SPY"][0].volume == volume


def test_a_split_to_come_changes_nothing_today(stocks):
    bars = stocks.get_stock_bars(daily("SPY", date(2026, 2, 27), Adjustment.ALL))["SPY"]

    assert bars[0].close == 103.9


def test_minute_bars_are_the_completed_minutes(stocks):
    asked = StockBarsRequest(
        symbol_or_symbols="AAPL", timeframe=TimeFrame.Minute, start=datetime(2026, 3, 2, 14, 57, tzinfo=UTC)
    )

    bars = stocks.get_stock_bars(asked)["AAPL"]

    assert [bar.timestamp.minute for bar in bars] == [57, 58, 59]
    assert (bars[-1].open, bars[-1].close, bars[-1].volume) == (100.29, 100.3, 1000)


def test_a_timeframe_that_is_not_kept_is_refused(url):
    asked = {"symbols": "AAPL", "timeframe": "1Hour"}

    reply = requests.get(f"{url}/v2/stocks/bars", asked, headers=HEADERS, timeout=60)

    assert reply.status_code == 400
    assert "timeframe" in reply.json()["message"]


def test_quotes_are_live_in_session_and_zero_after_it(stocks, control):
    live = stocks.get_stock_latest_quote(StockLatestQuoteRequest(symbol_or_symbols="AAPL"))["AAPL"]
    control.advance_to(ny("2026-03-02 17:00"))

    after = stocks.get_stock_latest_quote(StockLatestQuoteRequest(symbol_or_symbols="AAPL"))["AAPL"]

    assert (live.bid_price, live.ask_price, live.bid_size) == (100.29, 100.31, 1000)
    assert live.timestamp == ny("2026-03-02 10:00")
    assert (after.bid_price, after.ask_price) == (0, 0)
    assert after.timestamp == ny("2026-03-02 16:00")


def test_an_unknown_symbol_is_absent_from_the_answer(stocks):
    found = stocks.get_stock_latest_quote(StockLatestQuoteRequest(symbol_or_symbols=["AAPL", "NOPE"]))

    assert set(found) == {"AAPL"}


def test_a_snapshot_has_the_day_so_far_and_the_day_before(stocks):
    told = stocks.get_stock_snapshot(StockSnapshotRequest(symbol_or_symbols="AAPL"))["AAPL"]

    assert (told.daily_bar.close, told.previous_daily_bar.close) == (100.3, 103.9)
    assert (told.latest_trade.price, told.minute_bar.close) == (100.3, 100.3)


def test_before_the_open_a_snapshots_daily_bar_is_the_last_sessions(stocks, control):
    control.advance_to(ny("2026-03-03 08:00"))

    told = stocks.get_stock_snapshot(StockSnapshotRequest(symbol_or_symbols="AAPL"))["AAPL"]

    assert told.daily_bar.timestamp == ny("2026-03-02 00:00")
    assert told.previous_daily_bar.timestamp == ny("2026-02-27 00:00")
    assert told.minute_bar is None


def test_latest_trade_and_bar_agree_with_the_path(stocks):
    trade = stocks.get_stock_latest_trade(StockLatestTradeRequest(symbol_or_symbols="AAPL"))["AAPL"]
    bar = stocks.get_stock_latest_bar(StockLatestBarRequest(symbol_or_symbols="AAPL"))["AAPL"]

    assert (trade.price, bar.close) == (100.3, 100.3)


def test_a_chain_of_several_pages_comes_whole(options):
    chain = options.get_option_chain(OptionChainRequest(underlying_symbol="AAPL"))
    quote = chain[CALL].latest_quote

    # Four expiries, nine strikes, two sides.
    assert len(chain) == 72
    assert (quote.bid_price, quote.ask_price) == (0.97, 1.07)
    assert chain[CALL].implied_volatility == 0.3


def test_the_pages_of_a_chain_do_not_overlap(url):
    where, asked = f"{url}/v1beta1/options/snapshots/AAPL", {"limit": 40}
    first = requests.get(where, asked, headers=HEADERS, timeout=60).json()

    asked["page_token"] = first["next_page_token"]
    second = requests.get(where, asked, headers=HEADERS, timeout=60).json()

    assert (len(first["snapshots"]), len(second["snapshots"]), second["next_page_token"]) == (40, 32, None)
    assert not set(first["snapshots"]) & set(second["snapshots"])


def test_a_chain_can_be_narrowed(options):
    chain = options.get_option_chain(
        OptionChainRequest(
            underlying_symbol="AAPL",
            type="call",
            strike_price_gte=100,
            strike_price_lte=105,
            expiration_date_gte=date(2026, 3, 13),
            expiration_date_lte=date(2026, 3, 13),
        )
    )

    assert sorted(chain) == [CALL, "AAPL260313C00105000"]


def test_greeks_are_told_until_the_day_of_expiry(options, control):
    before = options.get_option_snapshot(OptionSnapshotRequest(symbol_or_symbols=CALL))[CALL]
    control.advance_to(ny("2026-03-13 10:00"))

    last_day = options.get_option_snapshot(OptionSnapshotRequest(symbol_or_symbols=CALL))[CALL]

    assert (before.greeks.delta, before.implied_volatility) == (0.5, 0.3)
    assert (last_day.greeks, last_day.implied_volatility) == (None, None)
    assert last_day.latest_quote.ask_price > 0


def test_out_of_session_every_listed_contract_is_told_with_zero_quotes(options, control):
    control.advance_to(ny("2026-03-02 18:00"))

    chain = options.get_option_chain(OptionChainRequest(underlying_symbol="AAPL"))

    assert len(chain) == 72
    assert {(row.latest_quote.bid_price, row.latest_quote.ask_price) for row in chain.values()} == {(0, 0)}
    assert all(row.greeks is None for row in chain.values())


def test_a_contract_that_is_not_listed_has_no_quote(options):
    asked = OptionLatestQuoteRequest(symbol_or_symbols=[CALL, "AAPL260313C00101000"])

    assert set(options.get_option_latest_quote(asked)) == {CALL}


def test_too_many_option_symbols_are_refused(options):
    asked = OptionSnapshotRequest(symbol_or_symbols=[f"AAPL260313C00{n:06d}" for n in range(1000, 1101)])

    with pytest.raises(APIError) as refused:
        options.get_option_snapshot(asked)

    assert refused.value.status_code == 400


def test_corporate_actions_show_a_fortnight_ahead_and_no_more(url, control):
    client = CorporateActionsClient(KEY, SECRET, url_override=url)
    asked = CorporateActionsRequest(start=date(2026, 3, 1), end=date(2026, 3, 31))
    early = client.get_corporate_actions(asked).data
    control.advance_to(ny("2026-03-05 10:00"))

    later = client.get_corporate_actions(asked).data

    assert {kind: [row.symbol for row in rows] for kind, rows in early.items()} == {
        "cash_dividends": ["MSFT"]
    }
    assert {kind: [row.symbol for row in rows] for kind, rows in later.items()} == {
        "cash_dividends": ["MSFT"],
        "forward_splits": ["SPY"],
    }
    assert later["forward_splits"][0].new_rate == 2


def test_corporate_actions_can_be_narrowed_by_kind_and_symbol(url, control):
    control.advance_to(ny("2026-03-05 10:00"))
    client = CorporateActionsClient(KEY, SECRET, url_override=url)

    told = client.get_corporate_actions(
        CorporateActionsRequest(
            symbols=["MSFT", "SPY"],
            types=[CorporateActionsType.CASH_DIVIDEND],
            start=date(2026, 3, 1),
            end=date(2026, 3, 31),
        )
    )

    assert list(told.data) == ["cash_dividends"]


def test_there_is_no_news(url):
    client = NewsClient(KEY, SECRET, url_override=url)

    assert client.get_news(NewsRequest(symbols=SPY)).data == {"news": []}


@pytest.mark.parametrize(
    ("path", "feed"),
    [
        ("/v2/stocks/quotes/latest?symbols=AAPL", "replayed"),
        ("/v1beta1/options/snapshots/AAPL", "modelled"),
    ],
)
def test_data_answers_say_what_they_are_worth(url, path, feed):
    reply = requests.get(url + path, headers=HEADERS, timeout=60)

    assert reply.headers["X-WSB-Feed"] == feed


def test_data_routes_ask_for_the_keys(url):
    reply = requests.get(f"{url}/v2/stocks/quotes/latest?symbols=AAPL", timeout=60)

    assert (reply.status_code, reply.json()) == (401, {"message": "unauthorized."})


@pytest.mark.parametrize("query", ["", "symbols=AAPL&feed=cable", "symbols=AAPL&limit=0&timeframe=1Day"])
def test_a_data_request_that_cannot_be_read_is_refused(url, query):
    reply = requests.get(f"{url}/v2/stocks/bars?{query}", headers=HEADERS, timeout=60)

    assert reply.status_code == 400
    assert set(reply.json()) == {"message"}
