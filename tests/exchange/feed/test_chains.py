from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta
from itertools import pairwise

import numpy as np
import pytest

from wsb_core.domain.calendar import sessions_between, shift
from wsb_core.domain.contracts import ExerciseStyle, OptionContract, Right
from wsb_core.domain.ids import Underlying
from wsb_core.domain.quotes import FeedClass, OptionQuote
from wsb_core.domain.strategy import ChainWindow
from wsb_core.exchange import listing
from wsb_core.exchange.backdrop import Backdrop, atm_vol, smile
from wsb_core.exchange.feed import DailyBarFeed, MarketHistory
from wsb_core.pricing.black_scholes import european

from .conftest import BIG, INDEX, SMALL, SPLIT_DAY, at

DAY = date(2011, 6, 15)
ALL = ChainWindow(0, 2000)


def _backdrop(feed: DailyBarFeed, name: Underlying, day: date = DAY) -> Backdrop:
    found = feed._backdrop(name, day)
    assert found is not None
    return found


def _by_expiry(quotes: tuple[OptionQuote, ...], right: Right) -> dict[date, list[OptionQuote]]:
    found: dict[date, list[OptionQuote]] = {}
    for quote in quotes:
        if quote.contract.right is right:
            found.setdefault(quote.contract.expiry, []).append(quote)
    return found


# --- what is listed


@pytest.mark.parametrize(
    ("year", "month", "friday"), [(2010, 5, 21), (2010, 10, 15), (2011, 7, 15), (2012, 6, 15)]
)
def test_the_monthly_series_is_the_third_friday(year: int, month: int, friday: int) -> None:
    assert listing.third_friday(year, month) == date(year, month, friday)


def test_a_series_on_a_holiday_expires_the_session_before() -> None:
    good_friday = date(2008, 3, 21)

    found = listing._expiries(date(2008, 2, 1), False)

    assert good_friday not in found
    assert good_friday - timedelta(days=1) in found


def test_monthlies_of_half_a_year_quarters_of_a_year_and_januaries_are_listed(feed: DailyBarFeed) -> None:
    found = listing.expiries(_backdrop(feed, BIG))

    months = [(day.year, day.month) for day in found]
    assert months[:7] == [(2011, m) for m in range(6, 13)]
    assert months[7:] == [(2012, 1), (2012, 3), (2012, 6), (2013, 1)]


def test_weeklies_add_the_next_fridays(history: MarketHistory) -> None:
    weekly = DailyBarFeed(history, weeklies=True)

    found = {quote.contract.expiry for quote in weekly.chain(BIG, at(DAY, "11:00"), ChainWindow(0, 40))}

    assert {date(2011, 6, 17) + timedelta(days=7 * n) for n in range(5)} <= found


@pytest.mark.parametrize("name", [BIG, SMALL, INDEX])
def test_a_contract_once_listed_stays_listed_until_it_expires(feed: DailyBarFeed, name: Underlying) -> None:
    days = [day for day in sessions_between(date(2011, 3, 1), date(2011, 12, 29)) if day != SPLIT_DAY]
    spans = [day for day in days if name is not BIG or day > SPLIT_DAY]

    for day, following in pairwise(spans[::5]):
        known = {row.contract for row in feed.listed(name, following)}

        assert {r.contract for r in feed.listed(name, day) if r.contract.expiry >= following} <= known


def test_contracts_go_on_at_the_divided_strike_after_a_split(feed: DailyBarFeed) -> None:
    eve = shift(SPLIT_DAY, -1)
    expiry = date(2011, 9, 16)
    before = {row.contract.strike for row in feed.listed(BIG, eve) if row.contract.expiry == expiry}

    after = {row.contract.strike for row in feed.listed(BIG, SPLIT_DAY) if row.contract.expiry == expiry}

    assert {strike / 2 for strike in before} <= after


def test_strikes_reach_well_beyond_where_the_spot_is(feed: DailyBarFeed) -> None:
    spot = _backdrop(feed, BIG).previous_close

    for rows in _by_expiry(feed.chain(BIG, at(DAY, "11:00"), ALL), Right.CALL).values():
        strikes = [float(row.contract.strike) for row in rows]

        assert strikes[0] < 0.75 * spot
        assert strikes[-1] > 1.3 * spot


def test_nothing_is_listed_before_there_is_a_history(feed: DailyBarFeed) -> None:
    first_weeks = feed.sessions()[10]

    assert feed.listed(BIG, first_weeks) == ()
    assert feed.chain(BIG, at(first_weeks, "11:00"), ALL) == ()
    assert feed.listed(BIG, feed.sessions()[21]) != ()


def test_index_options_are_european_weekly_root(feed: DailyBarFeed) -> None:
    contracts = {row.contract for row in feed.listed(INDEX, DAY)}

    assert {c.root for c in contracts} == {"SPXW"}
    assert {c.style for c in contracts} == {ExerciseStyle.EUROPEAN}
    assert {row.contract.style for row in feed.listed(BIG, DAY)} == {ExerciseStyle.AMERICAN}


def test_only_listed_contracts_are_quoted(feed: DailyBarFeed) -> None:
    real = next(row.contract for row in feed.listed(BIG, DAY) if row.contract.dte(DAY) > 20)
    off_grid = OptionContract("BIG", real.expiry, Right.CALL, real.strike + 1, BIG)
    adjusted = OptionContract("BIG", real.expiry, Right.CALL, real.strike, BIG, multiplier=150)
    expired = OptionContract("BIG", date(2011, 5, 20), Right.CALL, real.strike, BIG)

    assert feed.option_quote(real, at(DAY, "11:00")) is not None
    assert [feed.option_quote(c, at(DAY, "11:00")) for c in (off_grid, adjusted, expired)] == [None] * 3


# --- quotes


@pytest.mark.parametrize("name", [BIG, SMALL, INDEX])
def test_the_chain_and_the_single_quote_are_the_same(feed: DailyBarFeed, name: Underlying) -> None:
    instant = at(DAY, "14:10:20")

    chain = feed.chain(name, instant, ChainWindow(20, 100))

    assert len(chain) > 40
    assert [feed.option_quote(quote.contract, instant) for quote in chain] == list(chain)


def test_the_chain_keeps_to_the_window_and_says_it_is_modelled(feed: DailyBarFeed) -> None:
    instant = at(DAY, "14:10:20")

    chain = feed.chain(BIG, instant, ChainWindow(21, 45, (Right.CALL,)))

    assert chain
    assert all(21 <= quote.contract.dte(DAY) <= 45 for quote in chain)
    assert {quote.contract.right for quote in chain} == {Right.CALL}
    assert {quote.quote.provenance.feed for quote in chain} == {FeedClass.MODELLED}
    assert "modelled" in chain[0].quote.provenance.source
    assert {quote.quote.provenance.as_of for quote in chain} == {instant}


@pytest.mark.parametrize("name", [BIG, SMALL, INDEX])
def test_no_quote_is_crossed_or_below_a_tick(feed: DailyBarFeed, name: Underlying) -> None:
    chain = feed.chain(name, at(DAY, "15:59"), ALL)

    assert all(q.ask is not None and q.ask > 0 for q in chain)
    assert all(q.bid is None or 0 < q.bid < q.ask for q in chain)
    assert any(q.bid is None for q in chain)
    assert all((q.bid is None) == (q.quote.bid_size == 0) for q in chain)


@pytest.mark.parametrize("name", [BIG, SMALL, INDEX])
@pytest.mark.parametrize("clock", ["09:30", "12:34", "15:59"])
def test_no_vertical_can_be_bought_for_less_than_nothing_or_sold_for_more_than_its_width(
    feed: DailyBarFeed, name: Underlying, clock: str
) -> None:
    chain = feed.chain(name, at(DAY, clock), ALL)

    for right in Right:
        for rows in _by_expiry(chain, right).values():
            # The dearer leg of a pair is the low strike of calls and the high strike of puts.
            ordered = rows if right is Right.CALL else rows[::-1]
            for dear, cheap in pairwise(ordered):
                width = abs(dear.contract.strike - cheap.contract.strike)
                sold = (dear.bid or 0) - cheap.ask

                assert dear.ask >= (cheap.bid or 0)
                assert sold <= width


@pytest.mark.parametrize("name", [BIG, SMALL, INDEX])
@pytest.mark.parametrize("move", [-0.15, 0.0, 0.10])
def test_the_smile_admits_no_butterfly_and_no_calendar_arbitrage(
    feed: DailyBarFeed, name: Underlying, move: float
) -> None:
    market = _backdrop(feed, name)
    spot = market.previous_close * (1 + move)
    before = None
    for expiry in listing.expiries(market):
        years = max(0.5, (expiry - DAY).days) / 365
        k = np.linspace(-6, 6, 1201) * market.level * np.sqrt(years)
        forward = spot * np.exp((market.rate - market.dividend_yield) * years)
        strike = forward * np.exp(k)
        vol = smile(market, atm_vol(market, spot, years), years, k)

        calls = european(spot, strike, years, market.rate, market.dividend_yield, vol, True).price

        slope = np.diff(calls) / np.diff(strike)
        assert slope.max() <= 1e-12
        assert slope.min() >= -1.0
        assert np.diff(slope).min() > -1e-9
        grid = np.linspace(-0.5, 0.3, 401)
        variance = smile(market, atm_vol(market, spot, years), years, grid) ** 2 * years
        assert before is None or (variance > before).all()
        before = variance


@pytest.mark.parametrize(
    ("days", "put25", "put10", "call25", "call10"),
    [
        (7.5, 0.14, 0.31, -0.11, -0.18),
        (15, 0.18, 0.38, -0.12, -0.19),
        (30, 0.20, 0.44, -0.14, -0.21),
        (58, 0.23, 0.50, -0.16, -0.24),
        (98, 0.24, 0.53, -0.18, -0.25),
        (160, 0.25, 0.54, -0.19, -0.25),
        (300, 0.24, 0.53, -0.20, -0.27),
    ],
)
def test_the_index_smile_is_the_one_measured_in_spxw_in_2019(
    feed: DailyBarFeed, days: float, put25: float, put10: float, call25: float, call10: float
) -> None:
    # The strike of a delta depends on the level: this is the one of that time.
    market = replace(_backdrop(feed, INDEX), level=0.14)

    found = [
        _skew_at(market, days / 365, delta, call)
        for delta, call in ((0.25, False), (0.10, False), (0.25, True), (0.10, True))
    ]

    assert found == pytest.approx([put25, put10, call25, call10], abs=0.02)


def test_the_single_name_smile_is_the_median_of_four_names_in_2026(feed: DailyBarFeed) -> None:
    market = _backdrop(feed, BIG)

    found = [_skew_at(market, 30 / 365, 0.25, call) for call in (False, True)]

    assert found == pytest.approx([0.045, -0.015], abs=0.01)


def _skew_at(market: Backdrop, years: float, delta: float, is_call: bool) -> float:
    """Volatility at the strike of this |delta| over the one at the money, less 1."""
    spot, atm = market.previous_close, atm_vol(market, market.previous_close, years)
    k = np.linspace(-8, 8, 4001) * atm * np.sqrt(years)
    vol = smile(market, atm, years, k)
    strike = spot * np.exp(k + (market.rate - market.dividend_yield) * years)
    deltas = european(spot, strike, years, market.rate, market.dividend_yield, vol, is_call).delta
    return float(vol[np.argmin(np.abs(np.abs(deltas) - delta))] / atm - 1)


@pytest.mark.parametrize("name", [BIG, INDEX])
def test_volatility_rises_when_the_spot_falls(feed: DailyBarFeed, name: Underlying) -> None:
    market = _backdrop(feed, name)
    spot = market.previous_close

    assert atm_vol(market, spot * 0.97, 0.1) > atm_vol(market, spot, 0.1) > atm_vol(market, spot * 1.03, 0.1)


def test_volatility_follows_what_was_realised(feed: DailyBarFeed) -> None:
    calm, wild = _backdrop(feed, BIG), _backdrop(feed, SMALL)

    # The shares were made with 30 % and 50 % a year.
    assert 0.22 < calm.level < 0.45
    assert 0.40 < wild.level < 0.75


def test_open_interest_is_larger_near_the_money_and_enough_to_trade_a_large_name(feed: DailyBarFeed) -> None:
    chain = feed.chain(BIG, at(DAY, "15:40"), ChainWindow(21, 45, (Right.CALL,)))
    near = min(chain, key=lambda q: abs(q.delta - 0.35))

    assert near.open_interest > 500
    assert near.volume > 0
    assert near.open_interest > 3 * chain[-1].open_interest


def test_volume_grows_over_the_day_and_open_interest_does_not(feed: DailyBarFeed) -> None:
    early, late = (feed.chain(BIG, at(DAY, c), ChainWindow(21, 45)) for c in ("10:00", "15:00"))

    assert [q.open_interest for q in early] == [q.open_interest for q in late]
    assert all(a.volume <= b.volume for a, b in zip(early, late, strict=True))


def test_greeks_have_their_signs(feed: DailyBarFeed) -> None:
    chain = feed.chain(BIG, at(DAY, "11:00"), ChainWindow(21, 45))
    near = [q for q in chain if 0.2 < abs(q.delta) < 0.8]

    assert all((q.delta > 0) == (q.contract.right is Right.CALL) for q in near)
    assert all(q.gamma > 0 and q.vega > 0 and q.theta < 0 and q.iv > 0 for q in near)


def test_an_option_in_its_last_minute_is_worth_about_its_intrinsic_value(feed: DailyBarFeed) -> None:
    expiry = date(2011, 6, 17)
    instant = at(expiry, "15:59:30")
    spot = float(feed.quote(BIG, instant).mid)

    for quote in feed.chain(BIG, instant, ChainWindow(0, 0)):
        strike = float(quote.contract.strike)
        intrinsic = max(0.0, spot - strike if quote.contract.right is Right.CALL else strike - spot)
        middle = float((quote.bid or 0) + quote.ask) / 2

        assert middle == pytest.approx(intrinsic, abs=0.02 * spot)
