"""A small made market: two shares and an index over a year, with a split, a dividend and a hole."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import date, datetime, time
from decimal import Decimal

import numpy as np
import pandas as pd
import pytest

from wsb_core.domain.calendar import NEW_YORK, sessions_between
from wsb_core.domain.ids import Price, Underlying
from wsb_core.exchange.feed import COLUMNS, DailyBarFeed, MarketHistory
from wsb_core.exchange.model import CorporateAction

FIRST, LAST = date(2011, 1, 3), date(2011, 12, 30)
SPLIT_DAY, DIVIDEND_DAY, HOLE = date(2011, 8, 1), date(2011, 9, 1), date(2011, 10, 3)
HALF_DAY = date(2011, 11, 25)
BIG, SMALL, INDEX = Underlying("BIG"), Underlying("SMALL"), Underlying("SPX")


def at(day: date, clock: str) -> datetime:
    """An instant of ``day`` in New York, ``clock`` as HH:MM or HH:MM:SS."""
    return datetime.combine(day, time.fromisoformat(clock), NEW_YORK)


def a_history() -> MarketHistory:
    days = sessions_between(FIRST, LAST)
    frames = []
    for number, (name, start, vol, shares) in enumerate(
        [(BIG, 200.0, 0.3, 10e6), (SMALL, 20.0, 0.5, 1e6), (INDEX, 1200.0, 0.2, 4e9)]
    ):
        rng = np.random.default_rng(number)
        close = start * np.exp(np.cumsum(rng.normal(0, vol / 16, len(days))))
        opened = np.concatenate(([start], close[:-1])) * (1 + rng.normal(0, 0.003, len(days)))
        high = np.maximum(opened, close) * (1 + np.abs(rng.normal(0, 0.006, len(days))))
        low = np.minimum(opened, close) * (1 - np.abs(rng.normal(0, 0.006, len(days))))
        prices = np.round(np.column_stack([opened, high, low, close]), 2)
        frame = pd.DataFrame(prices, columns=["open", "high", "low", "close"])
        frame = frame.assign(symbol=str(name), session=pd.to_datetime(list(days)), volume=shares)
        frames.append(frame.loc[:, list(COLUMNS)])
    bars = pd.concat(frames, ignore_index=True)
    after = (bars["symbol"] == BIG) & (bars["session"] >= pd.Timestamp(SPLIT_DAY))
    bars.loc[after, ["open", "high", "low", "close"]] /= 2
    bars.loc[after, "volume"] *= 2
    hole = (bars["symbol"] == SMALL) & (bars["session"] == pd.Timestamp(HOLE))
    return MarketHistory(
        source="made bars",
        bars=bars.loc[~hole].reset_index(drop=True),
        actions=(
            CorporateAction(BIG, SPLIT_DAY, ratio=Decimal(2)),
            CorporateAction(SMALL, DIVIDEND_DAY, dividend=Price(Decimal("0.25"))),
        ),
        sectors={BIG: "Industrials"},
        benchmark=INDEX,
        rates={date(2010, 1, 1): 0.02},
    )


@pytest.fixture(scope="session")
def history() -> MarketHistory:
    return a_history()


@pytest.fixture(scope="session")
def feed(history: MarketHistory) -> DailyBarFeed:
    return DailyBarFeed(history)


@pytest.fixture
def changed(history: MarketHistory) -> Callable[..., DailyBarFeed]:
    """A feed over the same history with some fields of it replaced."""

    def make(**fields: object) -> DailyBarFeed:
        return DailyBarFeed(replace(history, **fields))

    return make
