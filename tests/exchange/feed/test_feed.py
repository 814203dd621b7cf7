from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import date, datetime, timedelta
from decimal import Decimal

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from wsb_core.domain.contracts import Share
from wsb_core.domain.ids import Underlying
from wsb_core.domain.quotes import FeedClass
from wsb_core.domain.strategy import ChainWindow
from wsb_core.exchange.feed import COLUMNS, DailyBarFeed, MarketHistory
from wsb_core.exchange.model import Feed

from .conftest import BIG, DIVIDEND_DAY, FIRST, HALF_DAY, HOLE, INDEX, LAST, SMALL, SPLIT_DAY, at

DAY = date(2011, 6, 15)
WINDOW = ChainWindow(0, 200)


def test_is_the_feed_the_exchange_asks_for(feed: DailyBarFeed) -> None:
    market: Feed = feed

    assert market.symbols() == (BIG, SMALL)
    assert market.sessions()[0] == FIRST
    assert market.sessions()[-1] == LAST
    assert "made bars" in market.source


def test_a_quote_stands_around_the_price_and_says_where_it_is_from(feed: DailyBarFeed) -> None:
    instant = at(DAY, "11:00:30")

    quote = feed.quote(BIG, instant)

    bar = feed.day_so_far(BIG, instant)
    assert quote is not None
    assert bar is not None
    assert quote.instrument == Share(BIG)
    assert quote.two_sided
    assert abs(quote.mid - bar.close) <= Decimal("0.02")
    assert quote.bid_size >= 100
    assert quote.provenance.feed is FeedClass.REPLAYED
    assert quote.provenance.as_of == instant


def test_a_widely_traded_share_is_quoted_tighter(feed: DailyBarFeed) -> None:
    big, small = feed.quote(BIG, at(DAY, "11:00")), feed.quote(SMALL, at(DAY, "11:00"))

    assert big is not None
    assert small is not None
    assert big.spread / big.mid < small.spread / small.mid


@pytest.mark.parametrize("clock", ["09:29:59", "16:00", "20:00"])
def test_there_is_no_quote_out_of_session(feed: DailyBarFeed, clock: str) -> None:
    instant = at(DAY, clock)

    assert feed.quote(BIG, instant) is None
    assert feed.chain(BIG, instant, WINDOW) == ()


@pytest.mark.parametrize("day", [date(2011, 6, 18), date(2011, 7, 4), date(2012, 1, 3), date(2010, 12, 31)])
def test_there_is_no_quote_on_a_day_without_data(feed: DailyBarFeed, day: date) -> None:
    assert feed.quote(BIG, at(day, "11:00")) is None
    assert feed.day_bar(BIG, day) is None


def test_a_half_day_ends_at_one(feed: DailyBarFeed) -> None:
    assert feed.quote(BIG, at(HALF_DAY, "12:59:59")) is not None
    assert feed.quote(BIG, at(HALF_DAY, "13:00")) is None
    assert feed.day_so_far(BIG, at(HALF_DAY, "13:00")) == feed.day_bar(BIG, HALF_DAY)


def test_an_unknown_symbol_is_not_quoted(feed: DailyBarFeed) -> None:
    stranger = Underlying("NOPE")

    assert feed.quote(stranger, at(DAY, "11:00")) is None
    assert feed.listed(stranger, DAY) == ()
    assert feed.daily_bars([stranger], FIRST, LAST, adjusted=True).empty


def test_a_missing_bar_leaves_the_day_without_a_quote(feed: DailyBarFeed) -> None:
    instant = at(HOLE, "11:00")

    assert feed.quote(BIG, instant) is not None
    assert feed.quote(SMALL, instant) is None
    assert feed.day_so_far(SMALL, instant) is None
    assert feed.chain(SMALL, instant, WINDOW) == ()
    assert feed.option_quote(feed.listed(SMALL, HOLE)[0].contract, instant) is None


@pytest.mark.parametrize("broken", [float("nan"), 0.0])
def test_a_bar_without_a_price_leaves_the_day_without_a_quote(
    history: MarketHistory, changed: Callable[..., DailyBarFeed], broken: float
) -> None:
    bars = history.bars.copy()
    bars.loc[(bars["symbol"] == BIG) & (bars["session"] == pd.Timestamp(DAY)), "low"] = broken

    assert changed(bars=bars).quote(BIG, at(DAY, "11:00")) is None


def test_the_bar_so_far_grows_into_the_real_bar(feed: DailyBarFeed) -> None:
    whole = feed.day_bar(BIG, DAY)
    so_far = [feed.day_so_far(BIG, at(DAY, f"{hour}:00")) for hour in range(10, 17)]

    assert feed.day_so_far(BIG, at(DAY, "09:29")) is None
    assert [bar.volume for bar in so_far] == sorted(bar.volume for bar in so_far)
    assert [bar.high for bar in so_far] == sorted(bar.high for bar in so_far)
    assert all(bar.open == whole.open for bar in so_far)
    assert so_far[-1] == whole


def test_the_extremes_so_far_are_those_of_the_prices_so_far(feed: DailyBarFeed) -> None:
    morning = [feed.day_so_far(BIG, at(DAY, "09:30") + timedelta(minutes=m)) for m in range(61)]

    assert morning[-1].high == max(bar.close for bar in morning)
    assert morning[-1].low == min(bar.close for bar in morning)


def test_an_instant_without_a_zone_is_refused(feed: DailyBarFeed) -> None:
    with pytest.raises(ValueError, match="timezone"):
        feed.quote(BIG, datetime(2011, 6, 15, 11))


def test_the_same_seed_tells_the_same_day_and_another_one_another(history: MarketHistory) -> None:
    instants = [at(DAY, "10:00") + timedelta(minutes=m) for m in range(60)]
    first, again, other = (
        [DailyBarFeed(history, seed=seed).quote(BIG, i) for i in instants] for seed in (3, 3, 4)
    )

    assert first == again
    assert first != other


def _changed_after(history: MarketHistory, last: date, factor: float) -> MarketHistory:
    """The same history with every later session moved, and another split in it."""
    bars = history.bars.copy()
    later = bars["session"] > pd.Timestamp(last)
    bars.loc[later, ["open", "high", "low", "close"]] *= factor
    bars.loc[later, "volume"] *= 3
    split = replace(history.actions[0], ex_date=date(2011, 12, 20), ratio=Decimal(7))
    return replace(history, bars=bars, actions=(*history.actions, split))


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    step=st.integers(60, 180),
    minute=st.integers(0, 389),
    factor=st.floats(0.3, 3.0),
    symbol=st.sampled_from([BIG, SMALL, INDEX]),
)
def test_nothing_told_depends_on_a_later_session(
    history: MarketHistory, feed: DailyBarFeed, step: int, minute: int, factor: float, symbol: Underlying
) -> None:
    day = feed.sessions()[step]
    instant = at(day, "09:30") + timedelta(minutes=minute)

    other = DailyBarFeed(_changed_after(history, day, factor))

    assert other.quote(symbol, instant) == feed.quote(symbol, instant)
    assert other.day_so_far(symbol, instant) == feed.day_so_far(symbol, instant)
    assert other.listed(symbol, day) == feed.listed(symbol, day)
    assert other.chain(symbol, instant, WINDOW) == feed.chain(symbol, instant, WINDOW)
    known = feed.daily_bars([symbol], FIRST, day, adjusted=True)
    pd.testing.assert_frame_equal(other.daily_bars([symbol], FIRST, day, adjusted=True), known)


def test_option_quotes_do_not_know_the_rest_of_the_day(history: MarketHistory, feed: DailyBarFeed) -> None:
    bars = history.bars.copy()
    today = (bars["symbol"] == BIG) & (bars["session"] == pd.Timestamp(DAY))
    bars.loc[today, ["high", "close"]] *= 1.5
    opening = at(DAY, "09:30")

    other = DailyBarFeed(replace(history, bars=bars))

    assert other.chain(BIG, opening, WINDOW) == feed.chain(BIG, opening, WINDOW)


def test_bars_come_as_traded_or_adjusted_for_what_was_known_by_the_last_day(feed: DailyBarFeed) -> None:
    eve = feed.sessions()[feed.sessions().index(SPLIT_DAY) - 1]

    raw = feed.daily_bars([BIG], FIRST, SPLIT_DAY, adjusted=False)
    before = feed.daily_bars([BIG], FIRST, eve, adjusted=True)
    after = feed.daily_bars([BIG], FIRST, SPLIT_DAY, adjusted=True)

    assert list(raw.columns) == list(COLUMNS)
    assert before["close"].to_numpy() == pytest.approx(raw["close"].to_numpy()[:-1])
    assert after["close"].to_numpy()[:-1] == pytest.approx(raw["close"].to_numpy()[:-1] / 2)
    assert after["volume"].to_numpy()[:-1] == pytest.approx(raw["volume"].to_numpy()[:-1] * 2)
    assert after["close"].iloc[-1] == raw["close"].iloc[-1]


def test_dividends_are_adjusted_by_the_share_of_the_last_close_they_were(feed: DailyBarFeed) -> None:
    raw = feed.daily_bars([SMALL], FIRST, DIVIDEND_DAY, adjusted=False)
    adjusted = feed.daily_bars([SMALL], FIRST, DIVIDEND_DAY, adjusted=True)

    kept = 1 - 0.25 / raw["close"].iloc[-2]
    assert (adjusted["close"] / raw["close"]).to_numpy()[:-1] == pytest.approx(kept)
    assert adjusted["close"].iloc[-1] == raw["close"].iloc[-1]
    assert adjusted["volume"].to_numpy() == pytest.approx(raw["volume"].to_numpy())


def test_actions_are_told_for_the_span_that_is_asked(feed: DailyBarFeed) -> None:
    [split] = feed.corporate_actions(BIG, FIRST, LAST)

    assert split.ratio == 2
    assert feed.corporate_actions(BIG, SPLIT_DAY, SPLIT_DAY) == (split,)
    assert feed.corporate_actions(BIG, FIRST, SPLIT_DAY - timedelta(days=1)) == ()


def test_the_index_has_a_value_without_a_spread(feed: DailyBarFeed) -> None:
    quote = feed.quote(INDEX, at(DAY, "11:00"))

    assert quote is not None
    assert quote.bid == quote.ask


def test_a_feed_over_bars_that_cannot_be_right_is_refused(
    history: MarketHistory, changed: Callable[..., DailyBarFeed]
) -> None:
    twice = pd.concat([history.bars, history.bars.iloc[:1]])

    with pytest.raises(ValueError, match="BIG on 2011-01-03"):
        changed(bars=twice)
    with pytest.raises(ValueError, match="volume"):
        changed(bars=history.bars.drop(columns="volume"))
    with pytest.raises(ValueError, match="rates"):
        changed(rates={})


def test_bars_of_many_symbols_come_in_the_order_asked(feed: DailyBarFeed) -> None:
    frame = feed.daily_bars([SMALL, BIG, SMALL], DAY, DAY, adjusted=False)

    assert frame["symbol"].tolist() == [SMALL, BIG]
    assert frame["session"].unique().tolist() == [pd.Timestamp(DAY)]
    assert np.issubdtype(frame["session"].dtype, np.datetime64)
