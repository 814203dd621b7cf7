"""Bars over HTTP, a check of a large chain, and what a process pays to start."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import date, timedelta
from decimal import Decimal
from functools import lru_cache
from pathlib import Path

import numpy as np
import pandas as pd

from data_checks import ChainBounds, check_chain
from data_checks.gate import check
from data_checks.option_chain import chain_frame, chain_suite
from tests.data_checks.frames import AT, FRESH, share_quote
from wsb_core.domain.calendar import session_on, sessions_between, shift
from wsb_core.domain.contracts import OptionContract, Right
from wsb_core.domain.ids import Price, Underlying
from wsb_core.domain.quotes import Chain, OptionQuote, Quote
from wsb_core.exchange.engine import Exchange
from wsb_core.exchange.feed import COLUMNS, DailyBarFeed, MarketHistory
from wsb_core.exchange.model import Settings
from wsb_core.exchange.server import PRACTICE_KEYS, ServerThread
from wsb_core.pricing.european import european
from wsb_core.providers.alpaca import AlpacaData

from .harness import Figure, Job, medians

ROOT = Path(__file__).resolve().parents[2]
SYMBOLS = tuple(Underlying(f"S{chr(65 + n // 26)}{chr(65 + n % 26)}") for n in range(500))
FIRST, LAST = date(2013, 1, 2), date(2013, 12, 31)
NICKEL = Decimal("0.05")
KEY, SECRET = next(iter(PRACTICE_KEYS.items()))


@lru_cache
def market() -> MarketHistory:
    """A year of 500 symbols that move by 1.5% a day."""
    days = sessions_between(FIRST, LAST)
    moves = np.random.default_rng(1).normal(0, 0.015, (len(SYMBOLS), len(days)))
    close = np.round(50 * np.exp(np.cumsum(moves, axis=1)), 2).ravel()
    prices = {
        "open": close,
        "high": np.round(close * 1.01, 2),
        "low": np.round(close * 0.99, 2),
        "close": close,
    }
    bars = pd.DataFrame(
        {
            "symbol": np.repeat([str(name) for name in SYMBOLS], len(days)),
            "session": np.tile(pd.to_datetime(list(days)), len(SYMBOLS)),
            **prices,
            "volume": 1_000_000,
        }
    )
    return MarketHistory("bench", bars.loc[:, list(COLUMNS)], (), {}, SYMBOLS[0], {FIRST: 0.01})


def bars_over_http() -> list[Figure]:
    last = session_on(LAST)
    assert last is not None
    exchange = Exchange(DailyBarFeed(market(), seed=1), last.closes, Settings())
    access = {
        "key": KEY,
        "secret": SECRET,
        "stock_feed": "iex",
        "option_feed": "indicative",
        "practice": True,
    }
    with ServerThread(exchange) as url:
        data = AlpacaData(url, trading_url=url, deadline_seconds=30, **access)
        start = time.perf_counter()
        bars = data.bars(SYMBOLS, shift(LAST, -251), LAST)
        seconds = time.perf_counter() - start
    assert len(bars.frame) > 125_000 - 500
    return [Figure(seconds, f"500 symbols x 1 year, {len(bars.frame)} bars", at_most=5.0)]


@lru_cache
def large_chain() -> tuple[Chain, Quote]:
    """35 expiries of 200 strikes, calls and puts, priced at 20% volatility and quoted in nickels."""
    spot, quotes = 5000.0, []
    strikes = np.arange(4000, 6000, 10.0)
    for week in range(1, 36):
        expiry = AT.date() + timedelta(days=7 * week - 3)
        years = (expiry - AT.date()).days / 365
        for right in Right:
            greeks = european(spot, strikes, years, 0.0, 0.0, 0.2, right is Right.CALL)
            cents = np.round(greeks.price * 20) * 5
            for strike, mid, delta in zip(strikes, cents, greeks.delta, strict=True):
                name = OptionContract("XYZ", expiry, right, Decimal(int(strike)), Underlying("XYZ"))
                bid, ask = Decimal(int(mid)) / 100 - NICKEL, Decimal(int(mid)) / 100 + NICKEL
                quote = Quote(name, Price(bid) if bid > 0 else None, Price(ask), 5, 5, FRESH)
                quotes.append(OptionQuote(quote, iv=0.2, delta=float(delta), open_interest=100))
    return Chain(Underlying("XYZ"), tuple(quotes), FRESH), share_quote("5000")


def large_chain_check() -> list[Figure]:
    chain, spot = large_chain()
    frame = chain_frame({chain.underlying: chain}, {chain.underlying: spot})
    suite = chain_suite(at=AT, max_age_seconds=60.0, required_feed=None, bounds=ChainBounds())
    seconds = medians(
        lambda: check_chain(chain, spot=spot, at=AT, max_age_seconds=60.0, required_feed=None),
        lambda: check(frame, suite, at=AT, key="underlying"),
        rounds=5,
    )
    return [
        Figure(seconds[0], f"{len(chain)} contracts, from the chain", at_most=0.5),
        Figure(seconds[1], "from the table made of it", at_most=0.5),
    ]


def start_of_a_process() -> list[Figure]:
    def taken(code: str) -> Callable[[], object]:
        command = [sys.executable, "-c", code]
        return lambda: subprocess.run(
            command, check=True, cwd=ROOT, env=dict(os.environ), capture_output=True
        )

    codes = {
        "import wsb_core": ("import wsb_core", 0.5),
        "import wsb_core.strategies": ("import wsb_core.strategies", None),
        "an empty process": ("pass", None),
    }
    seconds = medians(*(taken(code) for code, _ in codes.values()), rounds=3)
    return [
        Figure(value, name, at_most=most)
        for value, (name, (_, most)) in zip(seconds, codes.items(), strict=True)
    ]


JOBS = (
    Job("data: bars of 500 symbols over HTTP", "s", "<= 5 s", bars_over_http, market),
    Job("data: check of a 14,000-row chain", "s", "<= 0.5 s", large_chain_check, large_chain_check),
    Job("data: start of a process", "s", "import wsb_core <= 0.5 s", start_of_a_process),
)
