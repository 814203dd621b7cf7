"""The server over the product's own feed: real-shaped bars, modelled options, an index beside the shares."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, datetime

import numpy as np
import pandas as pd
import pytest
from alpaca.common.exceptions import APIError
from alpaca.data.historical import OptionHistoricalDataClient, StockHistoricalDataClient
from alpaca.data.requests import OptionChainRequest, StockBarsRequest, StockSnapshotRequest
from alpaca.data.timeframe import TimeFrame
from alpaca.trading.client import TradingClient
from alpaca.trading.requests import GetOptionContractsRequest, LimitOrderRequest, MarketOrderRequest

from tests.exchange.server.conftest import KEY, SECRET
from tests.exchange.server.market import ny
from wsb_core.domain.calendar import sessions_between
from wsb_core.domain.ids import Underlying
from wsb_core.exchange.engine import Exchange
from wsb_core.exchange.feed import DailyBarFeed, MarketHistory
from wsb_core.exchange.server import ServerThread

ACME, INDEX = Underlying("ACME"), Underlying("SPX")


def a_history() -> MarketHistory:
    """Half a year of seeded random walks: one share near 100 and the index near 1100."""
    days = sessions_between(date(2025, 10, 1), date(2026, 4, 30))
    rng = np.random.default_rng(3)
    blocks = []
    for symbol, start in ((ACME, 100.0), (INDEX, 1100.0)):
        close = start * np.exp(np.cumsum(rng.normal(0, 0.01, len(days))))
        opened = np.concatenate([[start], close[:-1]])
        columns = {"open": opened, "close": close}
        columns |= {"high": np.maximum(opened, close) * 1.004, "low": np.minimum(opened, close) * 0.996}
        frame = pd.DataFrame(columns).round(2)
        frame.insert(0, "symbol", symbol)
        frame.insert(1, "session", pd.to_datetime(list(days)))
        blocks.append(frame.assign(volume=20_000_000))
    bars = pd.concat(blocks, ignore_index=True)
    return MarketHistory("made for tests 1", bars, (), {}, INDEX, {date(2025, 1, 1): 0.04})


@pytest.fixture(scope="module")
def replay() -> Iterator[str]:
    with ServerThread(Exchange(DailyBarFeed(a_history()), ny("2026-03-02 10:00"))) as base:
        yield base


def test_a_listed_contract_can_be_found_quoted_and_bought(replay):
    trading = TradingClient(KEY, SECRET, url_override=replay)
    data = OptionHistoricalDataClient(KEY, SECRET, url_override=replay)
    listed = trading.get_option_contracts(
        GetOptionContractsRequest(
            underlying_symbols=["ACME"], expiration_date_lte=date(2030, 1, 1), limit=10_000
        )
    ).option_contracts
    chain = data.get_option_chain(OptionChainRequest(underlying_symbol="ACME"))
    best = min((s for s in chain.values() if s.greeks), key=lambda s: abs(s.greeks.delta - 0.5))

    order = trading.submit_order(
        LimitOrderRequest(
            symbol=best.symbol,
            qty=1,
            side="buy",
            limit_price=best.latest_quote.ask_price,
            time_in_force="day",
        )
    )

    assert {row.symbol for row in listed} == set(chain)
    assert trading.get_order_by_id(order.id).filled_qty == "1"


def test_snapshots_and_bars_agree_on_the_session_so_far(replay):
    data = StockHistoricalDataClient(KEY, SECRET, url_override=replay)

    bars = data.get_stock_bars(
        StockBarsRequest(symbol_or_symbols="ACME", timeframe=TimeFrame.Day, start=datetime(2026, 2, 27))
    )["ACME"]
    told = data.get_stock_snapshot(StockSnapshotRequest(symbol_or_symbols="ACME"))["ACME"]

    assert [bar.timestamp.day for bar in bars] == [27, 2]
    assert (bars[1].close, bars[0].close) == (told.daily_bar.close, told.previous_daily_bar.close)
    assert told.latest_quote.bid_price <= told.daily_bar.close <= told.latest_quote.ask_price


def test_minutes_add_up_to_the_day_so_far(replay):
    data = StockHistoricalDataClient(KEY, SECRET, url_override=replay)
    asked = StockBarsRequest(
        symbol_or_symbols="ACME", timeframe=TimeFrame.Minute, start=ny("2026-03-02 09:30"), limit=None
    )

    minutes = data.get_stock_bars(asked)["ACME"]
    day = data.get_stock_snapshot(StockSnapshotRequest(symbol_or_symbols="ACME"))["ACME"].daily_bar

    assert len(minutes) == 30
    assert (max(bar.high for bar in minutes), min(bar.low for bar in minutes)) == (day.high, day.low)
    assert minutes[-1].close == day.close


def test_the_index_has_bars_and_options_and_no_shares(replay):
    trading = TradingClient(KEY, SECRET, url_override=replay)
    stocks = StockHistoricalDataClient(KEY, SECRET, url_override=replay)
    options = OptionHistoricalDataClient(KEY, SECRET, url_override=replay)

    bars = stocks.get_stock_bars(
        StockBarsRequest(symbol_or_symbols="SPX", timeframe=TimeFrame.Day, start=datetime(2026, 2, 26))
    )
    chain = options.get_option_chain(OptionChainRequest(underlying_symbol="SPX"))
    with pytest.raises(APIError) as refused:
        trading.submit_order(MarketOrderRequest(symbol="SPX", qty=1, side="buy", time_in_force="day"))

    assert len(bars["SPX"]) == 3
    assert len(chain) > 0
    assert refused.value.status_code == 422
    assert [asset.symbol for asset in trading.get_all_assets()] == ["ACME"]
