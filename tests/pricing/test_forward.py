from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wsb_core.domain.calendar import NEW_YORK
from wsb_core.domain.contracts import OptionContract, Right, parse_occ
from wsb_core.domain.ids import Price, Underlying
from wsb_core.domain.quotes import Chain, FeedClass, OptionQuote, Provenance, Quote
from wsb_core.pricing.european import european
from wsb_core.pricing.forward import (
    ExpiryQuotes,
    ForwardStatus,
    expiry_quotes,
    implied_forward,
    implied_forward_american,
)
from wsb_core.pricing.leisen_reimer import american

SPOT, YEARS, RATE, YIELD = 100.0, 0.25, 0.04, 0.015
FORWARD = SPOT * np.exp((RATE - YIELD) * YEARS)
STRIKES = np.arange(80.0, 121.0, 2.5)


def _quotes(
    strikes: np.ndarray = STRIKES,
    years: float = YEARS,
    spread: float = 0.04,
    *,
    rate: float = RATE,
    early: bool = False,
) -> ExpiryQuotes:
    """A chain at a flat 25% whose mids are exact; American prices when ``early``."""
    strike = np.concatenate((strikes, strikes))
    is_call = np.arange(len(strike)) < len(strikes)
    book = (SPOT, strike, years, rate, YIELD, 0.25, is_call)
    price = american(*book, steps=501).price if early else european(*book).price
    return ExpiryQuotes(strike, price - spread / 2, price + spread / 2, is_call)


def test_parity_gives_the_forward_and_the_discount_factor() -> None:
    found = implied_forward(_quotes(), YEARS)

    assert found.status is ForwardStatus.OK
    assert found.forward == pytest.approx(FORWARD, abs=1e-9)
    assert found.rate == pytest.approx(RATE, abs=1e-9)
    assert found.dividend_yield(SPOT) == pytest.approx(YIELD, abs=1e-9)
    assert found.residual < 1e-9


def test_noise_within_the_spread_moves_the_forward_by_about_its_error() -> None:
    quotes = _quotes()
    noise = np.random.default_rng(7).uniform(-0.02, 0.02, len(quotes.bid))

    found = implied_forward(quotes._replace(bid=quotes.bid + noise, ask=quotes.ask + noise), YEARS)

    assert abs(found.forward - FORWARD) < 4 * found.error < 0.04


def test_a_stale_quote_counts_for_little_and_is_reported() -> None:
    quotes = _quotes()
    stale = quotes.is_call & np.isin(quotes.strike, [100.0, 102.5])
    moved = np.where(stale, 4.7, 0.0)

    found = implied_forward(quotes._replace(bid=quotes.bid + moved, ask=quotes.ask + moved), YEARS)

    assert found.forward == pytest.approx(FORWARD, abs=0.02)
    assert found.outliers == 2


def test_a_stale_pair_that_looks_like_the_money_does_not_take_the_others_place() -> None:
    strikes = np.arange(60.0, 141.0, 1.0)
    quotes = _quotes(strikes)
    stale = quotes.is_call & (quotes.strike == 88.0)
    price = quotes.bid[(quotes.strike == 88.0) & ~quotes.is_call][0]

    found = implied_forward(
        quotes._replace(
            bid=np.where(stale, price, quotes.bid), ask=np.where(stale, price + 0.04, quotes.ask)
        ),
        YEARS,
    )

    assert found.forward == pytest.approx(FORWARD, abs=0.01)
    assert found.pairs == implied_forward(quotes, YEARS).pairs


def test_a_wide_quote_counts_for_less_than_a_narrow_one() -> None:
    quotes = _quotes()
    wide = quotes.strike < 95
    shifted = ExpiryQuotes(
        quotes.strike,
        quotes.bid - np.where(wide & ~quotes.is_call, 1.5, 0.0),
        quotes.ask + np.where(wide & ~quotes.is_call, 0.5, 0.0),
        quotes.is_call,
    )

    found = implied_forward(shifted, YEARS)

    assert found.forward == pytest.approx(FORWARD, abs=0.005)


def test_a_known_rate_leaves_only_the_forward_to_be_read() -> None:
    found = implied_forward(_quotes(), YEARS, rate=RATE)

    assert found.rate == pytest.approx(RATE, abs=1e-14)
    assert found.forward == pytest.approx(FORWARD, abs=1e-9)


@pytest.mark.parametrize("seconds", [60.0, 1.0, 0.0])
def test_moments_before_settlement_noise_cannot_make_an_absurd_discount_factor(seconds: float) -> None:
    years = seconds / (365 * 86400)
    noise = np.random.default_rng(3).uniform(-0.02, 0.02, 2 * len(STRIKES))
    quotes = _quotes(years=years)
    noisy = quotes._replace(bid=np.maximum(quotes.bid, 0.01) + noise / 9, ask=quotes.ask + 0.02 + noise)

    found = implied_forward(noisy, years)

    assert found.status is ForwardStatus.OK
    assert found.discount == pytest.approx(1.0, abs=1e-6)
    assert found.forward == pytest.approx(SPOT, abs=0.05)


def test_with_fewer_than_three_pairs_there_is_no_forward() -> None:
    found = implied_forward(_quotes(np.array([95.0, 105.0])), YEARS)

    assert found.status is ForwardStatus.TOO_FEW_PAIRS
    assert np.isnan(found.forward)


def test_only_two_sided_quotes_make_pairs() -> None:
    quotes = _quotes()
    bid, ask = quotes.bid.copy(), quotes.ask.copy()
    bid[:5], ask[5:9] = 0.0, np.nan
    bid[9:12], ask[9:12] = ask[9:12].copy(), bid[9:12].copy()

    found = implied_forward(quotes._replace(bid=bid, ask=ask), YEARS)

    assert found.pairs == len(STRIKES) - 12
    assert found.forward == pytest.approx(FORWARD, abs=1e-9)


def test_an_empty_chain_has_no_forward() -> None:
    nothing = np.zeros(0)

    found = implied_forward(ExpiryQuotes(nothing, nothing, nothing, nothing.astype(bool)), YEARS)

    assert found.status is ForwardStatus.TOO_FEW_PAIRS


def test_quotes_that_obey_no_line_are_inconsistent() -> None:
    quotes = _quotes()
    torn = np.where(quotes.is_call, np.where(quotes.strike % 5 == 0, 3.0, -3.0), 0.0) * (quotes.strike / 100)

    found = implied_forward(quotes._replace(bid=quotes.bid + 3 + torn, ask=quotes.ask + 3 + torn), YEARS)

    assert found.status is ForwardStatus.INCONSISTENT
    assert np.isnan(found.forward)


def test_a_slope_no_rate_explains_is_refused() -> None:
    found = implied_forward(_quotes(rate=0.6), YEARS)

    assert found.status is ForwardStatus.BAD_DISCOUNT
    assert np.isnan(found.discount)


@pytest.mark.parametrize("years", [-0.1, float("nan"), float("inf")])
def test_impossible_years_are_refused(years: float) -> None:
    with pytest.raises(ValueError, match="years"):
        implied_forward(_quotes(), years)


def test_american_quotes_give_the_forward_once_the_exercise_premium_is_off() -> None:
    quotes = _quotes(early=True, rate=0.06)
    forward = SPOT * np.exp((0.06 - YIELD) * YEARS)

    found = implied_forward_american(quotes, SPOT, YEARS, rate=0.06)

    assert found.forward == pytest.approx(forward, abs=0.01)
    assert implied_forward(quotes, YEARS, rate=0.06).status is ForwardStatus.INCONSISTENT


def test_american_quotes_tell_even_the_rate_when_it_is_not_known() -> None:
    found = implied_forward_american(_quotes(early=True, rate=0.06), SPOT, YEARS, rounds=8)

    assert found.status is ForwardStatus.OK
    assert found.rate == pytest.approx(0.06, abs=0.01)
    assert found.forward == pytest.approx(SPOT * np.exp((0.06 - YIELD) * YEARS), abs=0.02)


def test_the_columns_of_a_chain_are_one_root_and_keep_what_was_not_quoted_apart() -> None:
    seen = Provenance("test", FeedClass.REPLAYED, datetime(2026, 9, 15, 15, tzinfo=NEW_YORK))

    def quote(symbol: str, bid: str | None, ask: str | None) -> OptionQuote:
        sides = [None if side is None else Price(Decimal(side)) for side in (bid, ask)]
        return OptionQuote(Quote(parse_occ(symbol), sides[0], sides[1], 1, 1, seen))

    chain = Chain(
        Underlying("SPX"),
        (
            quote("SPXW260918P06500000", None, "0.05"),
            quote("SPXW260918C06500000", "12.1", "12.4"),
            quote("SPXW260918C06400000", None, None),
            quote("SPX260918C06500000", "11.0", "11.4"),
        ),
        seen,
    )

    found = expiry_quotes(chain, "SPXW", date(2026, 9, 18))

    assert found.strike.tolist() == [6400.0, 6500.0, 6500.0]
    assert found.is_call.tolist() == [True, True, False]
    assert found.bid[1:].tolist() == [12.1, 0.0]
    assert np.isnan([found.bid[0], found.ask[0]]).all()


def test_adjusted_contracts_stay_out_of_the_columns() -> None:
    seen = Provenance("test", FeedClass.REPLAYED, datetime(2026, 9, 15, 15, tzinfo=NEW_YORK))
    odd = OptionContract(
        "XOM", date(2026, 9, 18), Right.CALL, Decimal(100), Underlying("XOM"), standard=False
    )
    chain = Chain(
        Underlying("XOM"), (OptionQuote(Quote(odd, Price(Decimal(1)), Price(Decimal(2)), 1, 1, seen)),), seen
    )

    assert expiry_quotes(chain, "XOM", date(2026, 9, 18)).strike.size == 0


@settings(max_examples=40, deadline=None)
@given(
    forward=st.floats(5.0, 5000.0),
    rate=st.floats(-0.02, 0.15),
    years=st.floats(1e-4, 3.0),
    vol=st.floats(0.08, 1.2),
    spread=st.floats(0.0, 0.01),
)
def test_exact_mids_give_the_exact_forward(
    forward: float, rate: float, years: float, vol: float, spread: float
) -> None:
    deviation = vol * np.sqrt(years)
    strikes = forward * np.exp(deviation * np.linspace(-1.4, 1.4, 12))
    strike, is_call = np.concatenate((strikes, strikes)), np.arange(24) < 12
    price = european(forward, strike, years, rate, rate, vol, is_call).price
    half = spread * price

    found = implied_forward(ExpiryQuotes(strike, price - half, price + half, is_call), years)

    assert found.status is ForwardStatus.OK
    assert found.forward == pytest.approx(forward, rel=1e-9)
