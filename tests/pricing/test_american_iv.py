from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wsb_core.pricing.american import Accuracy, american, american_slice, implied_vol_american
from wsb_core.pricing.european import european, implied_vol
from wsb_core.pricing.results import IvStatus

from .quantlib_book import QdFp

QUOTE = {"price": 12.0, "spot": 100.0, "strike": 110.0, "years": 0.5, "rate": 0.04, "dividend_yield": 0.01}


def _intrinsic(spot: float, strike: np.ndarray, is_call: np.ndarray) -> np.ndarray:
    return np.maximum(np.where(is_call, spot - strike, strike - spot), 0.0)


@pytest.mark.parametrize("accuracy", Accuracy)
@pytest.mark.parametrize("carry", [(0.045, 0.015), (0.02, 0.05), (0.05, 0.0), (0.0, 0.03)])
@pytest.mark.parametrize("years", [2 / 365, 0.4, 1.5])
def test_the_volatility_of_every_strike_of_an_expiry_comes_back(
    accuracy: Accuracy, carry: tuple[float, float], years: float
) -> None:
    deviation = 0.3 * np.sqrt(years)
    strikes = np.tile(100.0 * np.exp(np.linspace(-2.5, 2.5, 60) * deviation), 2)
    vols = 0.3 - 0.1 * np.log(strikes / 100.0) + 0.2 * np.log(strikes / 100.0) ** 2
    is_call = np.arange(120) < 60
    market = (strikes, years, *carry)
    priced = american_slice(100.0, *market, vols, is_call, accuracy=accuracy)

    found = implied_vol_american(priced.price, 100.0, *market, is_call, accuracy=accuracy)

    valued = priced.price - _intrinsic(100.0, strikes, is_call) > 1e-5
    again = american_slice(100.0, *market, np.where(valued, found.vol, 0.3), is_call, accuracy=accuracy)
    # What two interpolations between volatilities differ by, over a vega that may be next to nothing.
    close = 2e-8 * np.maximum(100.0, strikes) / np.maximum(100 * priced.vega, 1e-9) + 1e-9
    assert valued.sum() > 75
    assert (found.status[valued] == IvStatus.OK).all()
    assert (np.abs(found.vol - vols) < close)[valued].all()
    assert again.price[valued] == pytest.approx(priced.price[valued], abs=5e-6)


def test_contracts_of_many_expiries_get_the_volatility_they_would_get_alone() -> None:
    rng = np.random.default_rng(6)
    n = 80
    vol, years = rng.uniform(0.1, 1.0, n), rng.uniform(0.02, 2.0, n)
    strike = 100.0 * np.exp(rng.uniform(-1.5, 1.5, n) * vol * np.sqrt(years))
    market = (100.0, strike, years, rng.uniform(0, 0.06, n), rng.uniform(0, 0.06, n))
    is_call = rng.random(n) < 0.5
    priced = american(*market, vol, is_call, accuracy=Accuracy.FAST)

    found = implied_vol_american(priced.price, *market, is_call)

    valued = priced.price - _intrinsic(100.0, strike, is_call) > 1e-4
    assert valued.sum() > 65
    assert found.vol[valued] == pytest.approx(vol[valued], rel=1e-7)


def test_prices_of_quantlib_have_the_volatility_they_were_made_with() -> None:
    strikes = np.linspace(80.0, 125.0, 30)
    vols, is_call = 0.22 + 0.3 * np.log(strikes / 100.0) ** 2, strikes < 100.0
    market = (strikes, 0.4, 0.045, 0.015)
    prices = QdFp(pytest.importorskip("QuantLib"), "highPrecisionScheme").prices(
        100.0, *market, vols, is_call
    )

    found = implied_vol_american(prices, 100.0, *market, is_call, accuracy=Accuracy.FINE)

    assert found.vol == pytest.approx(vols, abs=2e-7)


def test_an_option_that_is_never_exercised_early_has_the_european_volatility() -> None:
    strikes = np.array([80.0, 100.0, 120.0])
    price = european(100.0, strikes, 0.5, 0.05, 0.0, 0.3, True).price

    found = implied_vol_american(price, 100.0, strikes, 0.5, 0.05, 0.0, True)

    assert found.vol.tolist() == implied_vol(price, 100.0, strikes, 0.5, 0.05, 0.0, True).vol.tolist()


@settings(max_examples=60, deadline=None)
@given(
    deviations=st.floats(-3.0, 3.0),
    years=st.floats(1e-5, 3.0),
    rate=st.floats(0.0, 0.15),
    dividend_yield=st.floats(0.0, 0.15),
    vol=st.floats(0.02, 3.0),
    is_call=st.booleans(),
)
def test_whatever_is_found_has_the_price_that_was_paid(
    deviations: float, years: float, rate: float, dividend_yield: float, vol: float, is_call: bool
) -> None:
    strike = 100.0 * np.exp(deviations * vol * np.sqrt(years))
    market = (100.0, strike, years, rate, dividend_yield)
    paid = float(american(*market, vol, is_call, accuracy=Accuracy.FAST).price)

    found = implied_vol_american(paid, *market, is_call)

    none = american(*market, 0.0, is_call).price
    low, high = (american(*market, v, is_call, accuracy=Accuracy.FAST).price for v in (1e-3, 20.0))
    again = american(*market, np.nan_to_num(found.vol), is_call, accuracy=Accuracy.FAST).price
    unidentified = paid <= max(none, low) + 1e-7 * max(100.0, strike) or paid >= high
    assert found.status == IvStatus.OK or unidentified
    assert again == pytest.approx(paid, abs=1e-8 * max(100.0, strike)) or unidentified


@pytest.mark.parametrize(
    ("given", "status"),
    [
        ({}, IvStatus.OK),
        ({"price": 10.0}, IvStatus.AT_INTRINSIC),
        ({"price": 10.0 + 1e-7}, IvStatus.AT_INTRINSIC),
        ({"price": 10.0 - 1e-3}, IvStatus.BELOW_INTRINSIC),
        ({"price": 0.0}, IvStatus.BELOW_INTRINSIC),
        ({"price": 0.0, "strike": 90.0}, IvStatus.AT_INTRINSIC),
        ({"price": 1e-12, "strike": 90.0}, IvStatus.OK),
        ({"price": 110.0}, IvStatus.ABOVE_MAX),
        ({"price": 1e9}, IvStatus.ABOVE_MAX),
        ({"price": -0.01}, IvStatus.BAD_INPUT),
        ({"price": np.nan}, IvStatus.BAD_INPUT),
        ({"spot": 0.0}, IvStatus.BAD_INPUT),
        ({"strike": -1.0}, IvStatus.BAD_INPUT),
        ({"strike": np.inf}, IvStatus.BAD_INPUT),
        ({"years": -0.1}, IvStatus.BAD_INPUT),
        ({"years": 0.0}, IvStatus.EXPIRED),
        ({"rate": np.nan}, IvStatus.BAD_INPUT),
        ({"rate": np.inf}, IvStatus.BAD_INPUT),
        ({"dividend_yield": -np.inf}, IvStatus.BAD_INPUT),
        ({"years": 1e6, "price": 50.0}, IvStatus.BAD_INPUT),
        ({"strike": 1e-300, "price": 0.0}, IvStatus.AT_INTRINSIC),
    ],
)
def test_a_price_without_a_volatility_says_why(given: dict[str, float], status: IvStatus) -> None:
    found = implied_vol_american(**{**QUOTE, **given}, is_call=False)

    assert found.status == status
    assert np.isfinite(found.vol) == (status == IvStatus.OK)


def test_a_call_or_put_that_is_not_known_is_bad_input() -> None:
    found = implied_vol_american(**QUOTE, is_call=[0.0, np.nan])

    assert found.status.tolist() == [IvStatus.OK, IvStatus.BAD_INPUT]


def test_no_number_raises_and_a_volatility_is_there_exactly_when_it_is_said_to_be() -> None:
    rng = np.random.default_rng(9)
    odd = np.array([0.0, 1e-300, 1e-9, 0.01, 1.0, 99.0, 101.0, 1e4, 1e150, np.inf, np.nan, -1.0])
    rates = np.array([-0.5, -0.02, 0.0, 1e-12, 0.03, 0.2, 30.0, np.inf, np.nan])
    n = 4000
    book = (rng.choice(odd, n), rng.choice(odd, n), rng.choice(odd, n), rng.choice(odd, n))
    yields = np.maximum(0.0, rng.choice(rates, n))

    found = implied_vol_american(*book, np.maximum(0.0, rng.choice(rates, n)), yields, rng.random(n) < 0.5)

    assert ((found.status == IvStatus.OK) == np.isfinite(found.vol)).all()
    assert (found.vol[found.status == IvStatus.OK] > 0.0).all()
    assert len(np.unique(found.status)) == len(IvStatus)


@pytest.mark.parametrize("seconds", [60.0, 1.0])
def test_the_last_moments_have_a_volatility(seconds: float) -> None:
    years = seconds / (365 * 86400)
    strikes = np.tile(100.0 * np.exp(np.linspace(-3, 3, 15) * 0.2 * np.sqrt(years)), 2)
    is_call = np.arange(30) < 15
    priced = american(100.0, strikes, years, 0.05, 0.02, 0.2, is_call)

    found = implied_vol_american(priced.price, 100.0, strikes, years, 0.05, 0.02, is_call)

    valued = priced.price - _intrinsic(100.0, strikes, is_call) > 1e-6
    assert valued.sum() >= 20
    assert found.vol[valued] == pytest.approx(0.2, rel=1e-3)


def test_two_boundaries_of_negative_rates_have_a_volatility_too() -> None:
    price = american(100.0, 110.0, 1.0, -0.01, -0.03, 0.2, False).price

    found = implied_vol_american(price, 100.0, 110.0, 1.0, -0.01, -0.03, False)

    assert found.vol == pytest.approx(0.2, rel=1e-6)


@pytest.mark.parametrize("shape", [(), (0,), (2, 3)])
def test_the_shape_that_goes_in_comes_out(shape: tuple[int, ...]) -> None:
    found = implied_vol_american(**{**QUOTE, "price": np.full(shape, 12.0)}, is_call=False)

    assert (np.shape(found.vol), np.shape(found.status)) == (shape, shape)


def test_text_is_refused_by_name() -> None:
    with pytest.raises(ValueError, match="price must hold numbers"):
        implied_vol_american(**{**QUOTE, "price": "12"}, is_call=False)


def test_every_two_sided_quote_of_a_recorded_chain_has_a_volatility_or_a_reason(shared: Path) -> None:
    recorded = shared / "data" / "options" / "msft_chain_2021_11_22.csv"
    if not recorded.is_file():
        pytest.skip("needs the recorded option chains (WSB_SHARED)")
    chain = pd.read_csv(recorded, parse_dates=["expiration"])
    chain = chain[(chain["bid"] > 0) & (chain["ask"] >= chain["bid"])]
    mid = ((chain["bid"] + chain["ask"]) / 2).to_numpy()
    strike, is_call = chain["strike"].to_numpy(float), (chain["right"] == "C").to_numpy()
    years = (
        chain["expiration"] - pd.Timestamp("2021-11-22 12:00")
    ).dt.total_seconds().to_numpy() / 31_536_000
    market = (342.3, strike, years, 0.001, 0.007)

    found = implied_vol_american(mid, *market, is_call)

    solved = found.status == IvStatus.OK
    again = american(
        *(np.broadcast_to(x, mid.shape)[solved] for x in market), found.vol[solved], is_call[solved]
    )
    short = mid < _intrinsic(342.3, strike, is_call) + 1e-6
    assert solved.mean() > 0.9
    assert np.abs(again.price - mid[solved]).max() < 1e-3
    assert (short | (found.status != IvStatus.AT_INTRINSIC)).all()
    assert (short | solved | (found.status == IvStatus.BELOW_INTRINSIC)).all()
