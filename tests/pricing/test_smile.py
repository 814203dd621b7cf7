from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wsb_core.pricing.american import american
from wsb_core.pricing.european import european
from wsb_core.pricing.forward import ExpiryQuotes, Forward, ForwardStatus, implied_forward
from wsb_core.pricing.smile import QuoteStatus, Smile, SmileStatus, fit_smile, quoted_vols

YEARS, FORWARD, RATE = 0.1, 2750.0, 0.025
KNOWN = Forward(ForwardStatus.OK, YEARS, FORWARD, float(np.exp(-RATE * YEARS)), 0.01, 0.0, 10, 0)
STRIKES = np.arange(2300.0, 2951.0, 10.0)


def _skew(k: np.ndarray) -> np.ndarray:
    """Total variance like that of an index a month ahead."""
    return 0.0008 + 0.02 * (-0.6 * (k - 0.02) + np.sqrt((k - 0.02) ** 2 + 0.05**2))


def _at(years: float) -> Forward:
    return Forward(ForwardStatus.OK, years, FORWARD, float(np.exp(-RATE * years)), 0.01, 0.0, 10, 0)


def _chain(
    variance: Callable[[np.ndarray], np.ndarray] = _skew,
    strikes: np.ndarray = STRIKES,
    forward: Forward = KNOWN,
    spread: float = 0.4,
) -> ExpiryQuotes:
    """Calls and puts of every strike whose mids lie on ``variance``."""
    strike = np.concatenate((strikes, strikes))
    is_call = np.arange(len(strike)) < len(strikes)
    vol = np.sqrt(variance(np.log(strike / forward.forward)) / forward.years)
    price = european(forward.forward, strike, forward.years, forward.rate, forward.rate, vol, is_call).price
    return ExpiryQuotes(strike, np.maximum(price - spread / 2, 0.0), price + spread / 2, is_call)


def _change(quotes: ExpiryQuotes, strike: float, is_call: bool, bid: float, ask: float) -> ExpiryQuotes:
    here = (quotes.strike == strike) & (quotes.is_call == is_call)
    return quotes._replace(bid=np.where(here, bid, quotes.bid), ask=np.where(here, ask, quotes.ask))


def _status(smile: Smile, quotes: ExpiryQuotes, strike: float, is_call: bool) -> QuoteStatus:
    return QuoteStatus(smile.quoted.status[(quotes.strike == strike) & (quotes.is_call == is_call)][0])


def test_the_curve_that_made_the_quotes_comes_back() -> None:
    smile = fit_smile(_chain(), KNOWN)

    k = np.log(STRIKES / FORWARD)
    assert smile.status is SmileStatus.OK
    assert smile.vol(STRIKES) == pytest.approx(np.sqrt(_skew(k) / YEARS), abs=2e-4)
    assert smile.inside == 1.0
    assert smile.error < 0.02


def test_the_w_shape_before_an_event_is_followed() -> None:
    """Two outcomes 3% up or down, and a tail: volatility has a hump at the money and rises far out."""
    strikes = np.arange(2400.0, 3101.0, 5.0)
    strike, is_call = np.concatenate((strikes, strikes)), np.arange(2 * len(strikes)) < len(strikes)
    price = sum(
        share * european(FORWARD * (1 + move), strike, YEARS, 0.0, 0.0, sd / np.sqrt(YEARS), is_call).price
        for share, move, sd in ((0.45, 0.03, 0.02), (0.45, -0.03, 0.02), (0.1, 0.0, 0.1))
    )
    quotes = ExpiryQuotes(strike, price - 0.2, price + 0.2, is_call)
    forward = Forward(ForwardStatus.OK, YEARS, FORWARD, 1.0, 0.01, 0.0, 10, 0)

    smile = fit_smile(quotes, forward)

    model = european(FORWARD, strike, YEARS, 0.0, 0.0, smile.vol(strike), is_call).price
    middle, shoulder, wing = smile.vol(FORWARD * np.array([1.0, 1.03, 1.1]))
    assert np.abs(model - price).max() < 0.05
    assert middle > shoulder
    assert wing > shoulder
    assert smile.density(np.linspace(-0.4, 0.4, 2001)).min() >= -1e-3


def test_fit_on_quotes_with_their_own_forward() -> None:
    quotes = _chain()

    smile = fit_smile(quotes, implied_forward(quotes, YEARS))

    assert float(smile.vol(FORWARD)) == pytest.approx(np.sqrt(_skew(np.zeros(1))[0] / YEARS), abs=2e-4)


@pytest.mark.parametrize(
    ("strike", "is_call", "bid", "ask", "status"),
    [
        (2600.0, False, 0.0, 0.5, QuoteStatus.ZERO_BID),
        (2600.0, False, 12.0, 11.0, QuoteStatus.CROSSED),
        (2600.0, False, np.nan, 11.0, QuoteStatus.MISSING),
        (2600.0, False, 9.0, np.nan, QuoteStatus.MISSING),
        (2600.0, True, 100.0, 101.0, QuoteStatus.BELOW_INTRINSIC),
        (2600.0, True, 2744.0, 2746.0, QuoteStatus.ABOVE_MAX),
        (2600.0, True, 155.0, 156.0, QuoteStatus.IN_THE_MONEY),
        (2600.0, False, 60.0, 60.4, QuoteStatus.OUTLIER),
        (2600.0, False, 9.0, np.inf, QuoteStatus.NO_VOL),
    ],
)
def test_a_quote_that_cannot_speak_for_the_smile_says_why_and_changes_nothing(
    strike: float, is_call: bool, bid: float, ask: float, status: QuoteStatus
) -> None:
    plain = _chain()
    quotes = _change(plain, strike, is_call, bid, ask)

    smile = fit_smile(quotes, KNOWN)

    assert _status(smile, quotes, strike, is_call) is status
    assert smile.vol(STRIKES) == pytest.approx(fit_smile(plain, KNOWN).vol(STRIKES), abs=2e-4)


def test_a_wing_ends_after_two_zero_bids_in_a_row() -> None:
    quotes = _chain()
    for strike in (2450.0, 2440.0, 2420.0):
        quotes = _change(quotes, strike, False, 0.0, 0.5)

    smile = fit_smile(quotes, KNOWN)

    assert _status(smile, quotes, 2460.0, False) is QuoteStatus.OK
    assert _status(smile, quotes, 2420.0, False) is QuoteStatus.ZERO_BID
    assert _status(smile, quotes, 2430.0, False) is QuoteStatus.WING_END
    assert _status(smile, quotes, 2300.0, False) is QuoteStatus.WING_END
    assert smile.low == pytest.approx(np.log(2460.0 / FORWARD))


def test_one_zero_bid_does_not_end_a_wing() -> None:
    quotes = _change(_chain(), 2450.0, False, 0.0, 0.5)

    smile = fit_smile(quotes, KNOWN)

    assert _status(smile, quotes, 2440.0, False) is QuoteStatus.OK


def test_a_zero_bid_has_no_mid_volatility_but_its_ask_has_one() -> None:
    quotes = _change(_chain(), 2600.0, False, 0.0, 9.0)

    found = quoted_vols(quotes, KNOWN)

    at = (quotes.strike == 2600.0) & ~quotes.is_call
    assert np.isnan(found.mid[at]).all()
    assert np.isnan(found.bid[at]).all()
    assert np.isfinite(found.ask[at]).all()


def test_what_the_smile_says_of_a_strike_hardly_changes_when_that_strike_is_taken_away() -> None:
    noise = np.random.default_rng(5).uniform(-0.15, 0.15, 2 * len(STRIKES))
    plain = _chain()
    quotes = plain._replace(bid=np.maximum(plain.bid + noise, 0.0), ask=plain.ask + noise)
    whole = fit_smile(quotes, KNOWN)
    strikes = STRIKES[6:-6:6]

    without = [
        float(fit_smile(ExpiryQuotes(*(c[quotes.strike != x] for c in quotes)), KNOWN).vol(x))
        for x in strikes
    ]

    assert whole.vol(strikes) == pytest.approx(without, abs=2e-3)
    assert whole.error < 0.3


def test_five_strikes_are_enough_and_four_are_not() -> None:
    five, four = (_chain(strikes=np.linspace(2600.0, 2850.0, n)) for n in (5, 4))

    assert fit_smile(five, KNOWN).status is SmileStatus.OK
    assert fit_smile(four, KNOWN).status is SmileStatus.TOO_FEW_QUOTES


def test_without_a_forward_there_is_no_smile() -> None:
    quotes = _chain()
    unknown = implied_forward(ExpiryQuotes(*(c[:4] for c in quotes)), YEARS)

    smile = fit_smile(quotes, unknown)

    assert smile.status is SmileStatus.NO_FORWARD
    assert (smile.quoted.status == QuoteStatus.NO_VOL).all()


def test_a_smile_without_a_curve_refuses_to_answer() -> None:
    smile = fit_smile(_chain(strikes=np.array([2700.0, 2750.0])), KNOWN)

    with pytest.raises(ValueError, match="too few quotes"):
        smile.vol(2700.0)


def test_a_strike_that_is_not_positive_is_refused() -> None:
    smile = fit_smile(_chain(), KNOWN)

    with pytest.raises(ValueError, match="strike"):
        smile.vol([2700.0, 0.0])


def test_one_minute_before_settlement_the_strikes_around_the_money_still_make_a_smile() -> None:
    forward = _at(60 / (365 * 86400))
    strikes = np.arange(2740.0, 2760.5, 0.25)

    def short(k: np.ndarray) -> np.ndarray:
        return np.full_like(k, 0.15**2 * forward.years)

    smile = fit_smile(_chain(short, strikes, forward, spread=0.01), forward)

    assert smile.status is SmileStatus.OK
    assert float(smile.vol(FORWARD)) == pytest.approx(0.15, abs=0.01)


def test_one_second_before_settlement_nothing_breaks() -> None:
    forward = _at(1 / (365 * 86400))

    def short(k: np.ndarray) -> np.ndarray:
        return np.full_like(k, 0.15**2 * forward.years)

    smile = fit_smile(_chain(short, forward=forward, spread=0.01), forward)

    assert smile.status is SmileStatus.TOO_FEW_QUOTES


def test_at_settlement_the_smile_has_expired() -> None:
    forward = Forward(ForwardStatus.OK, 0.0, FORWARD, 1.0, 0.01, 0.0, 10, 0)

    smile = fit_smile(_chain(), forward)

    assert smile.status is SmileStatus.EXPIRED
    assert (smile.quoted.status == QuoteStatus.NO_VOL).any()


def test_american_quotes_give_the_volatility_they_were_made_with() -> None:
    spot, rate, dividends = 100.0, 0.06, 0.01
    strikes = np.arange(80.0, 121.0, 2.5)
    strike, is_call = np.concatenate((strikes, strikes)), np.arange(2 * len(strikes)) < len(strikes)
    price = american(spot, strike, YEARS, rate, dividends, 0.3, is_call).price
    quotes = ExpiryQuotes(strike, np.maximum(price - 0.01, 0.0), price + 0.01, is_call)
    growth, discount = np.exp((rate - dividends) * YEARS), np.exp(-rate * YEARS)
    forward = Forward(ForwardStatus.OK, YEARS, spot * growth, float(discount), 0.0, 0.0, 17, 0)

    smile = fit_smile(quotes, forward, spot=spot)

    assert smile.status is SmileStatus.OK
    assert smile.vol(strikes) == pytest.approx(0.3, abs=5e-4)
    assert np.abs(fit_smile(quotes, forward).vol(80.0) - 0.3) > 1e-3


def test_the_inputs_are_left_as_they_were() -> None:
    quotes = _change(_chain(), 2600.0, False, 60.0, 60.4)
    before = [column.copy() for column in quotes]

    fit_smile(quotes, KNOWN)

    assert all(np.array_equal(a, b) for a, b in zip(before, quotes, strict=True))


@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    years=st.floats(0.003, 2.0),
    noise=st.floats(0.0, 0.5),
    level=st.floats(0.08, 0.8),
    lean=st.floats(-0.9, 0.5),
)
def test_whatever_the_quotes_the_curve_has_no_butterfly_and_no_wing_steeper_than_two(
    seed: int, years: float, noise: float, level: float, lean: float
) -> None:
    forward = _at(years)
    deviation = level * np.sqrt(years)

    def variance(k: np.ndarray) -> np.ndarray:
        x = k / deviation
        return deviation**2 * (0.8 + 0.2 * (lean * x + np.sqrt(x**2 + 1)))

    strikes = FORWARD * np.exp(deviation * np.linspace(-3, 2, 23))
    quotes = _chain(variance, strikes, forward, spread=0.02 * FORWARD * deviation)
    shift = noise * (quotes.ask - quotes.bid) * np.random.default_rng(seed).standard_normal(46)
    noisy = quotes._replace(bid=np.maximum(quotes.bid + shift, 0.0), ask=np.maximum(quotes.ask + shift, 0.0))

    smile = fit_smile(noisy, forward)

    k = deviation * np.linspace(-8, 8, 801)
    assert smile.status is SmileStatus.OK
    assert smile.total_variance(k).min() > 0
    assert smile.density(k).min() >= -1e-3
    assert (
        np.abs(np.diff(smile.total_variance(deviation * np.array([-60.0, -59.0, 59.0, 60.0])))[::2]).max()
        <= 2 * deviation + 1e-9
    )


@settings(max_examples=30, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.sampled_from([0.0, 1e-320, 2700.0, 2750.0, 2800.0, 1e300, -1.0, np.nan, np.inf]),
            st.sampled_from([0.0, 0.05, 10.0, 5000.0, -1.0, np.nan, np.inf]),
            st.sampled_from([0.0, 0.05, 10.0, 5000.0, -1.0, np.nan, np.inf]),
            st.booleans(),
        ),
        max_size=30,
    )
)
def test_rubbish_comes_back_with_a_status_and_never_as_an_exception(
    rows: list[tuple[float, float, float, bool]],
) -> None:
    columns = np.array(rows, dtype=float).reshape(-1, 4)
    quotes = ExpiryQuotes(columns[:, 0], columns[:, 1], columns[:, 2], columns[:, 3] == 1)

    smiles = [fit_smile(quotes, KNOWN), fit_smile(quotes, implied_forward(quotes, YEARS))]

    assert all(smile.quoted.status.shape == quotes.strike.shape for smile in smiles)
    assert all((smile.status is SmileStatus.OK) == (smile.svi is not None) for smile in smiles)
