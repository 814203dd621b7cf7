from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wsb_core.pricing.black_scholes import european, implied_vol
from wsb_core.pricing.results import IvStatus

GOLDEN = Path(__file__).parent.parent / "golden"
BOOK = {
    "spot": st.floats(1, 2000),
    "moneyness": st.floats(0.5, 2.0),
    "years": st.floats(0.01, 3.0),
    "rate": st.floats(-0.02, 0.12),
    "dividend_yield": st.floats(0.0, 0.08),
    "vol": st.floats(0.05, 1.5),
}


@pytest.fixture(scope="module")
def exact() -> pd.DataFrame:
    return pd.read_csv(GOLDEN / "european_mpmath.csv", comment="#")


def _inputs(frame: pd.DataFrame) -> list[pd.Series]:
    return [frame[name] for name in ("S", "K", "T", "r", "q", "sigma", "is_call")]


def test_prices_agree_with_fifty_digit_arithmetic(exact: pd.DataFrame) -> None:
    found = european(*_inputs(exact))

    error = np.abs(found.price - exact["price"]) / np.maximum(exact["S"], exact["K"])
    assert error.max() < 2e-15


@pytest.mark.parametrize(
    ("greek", "unit"),
    [
        ("delta", 1.0),
        ("gamma", 1.0),
        ("vega", 100.0),
        ("theta", 365.0),
        ("rho", 100.0),
        ("vanna", 100.0),
        ("volga", 10_000.0),
    ],
)
def test_greeks_agree_with_fifty_digit_arithmetic(exact: pd.DataFrame, greek: str, unit: float) -> None:
    found = getattr(european(*_inputs(exact), second_order=True), greek) * unit

    wanted = exact[greek].to_numpy()
    matters = np.abs(wanted) > 1e-3 * np.abs(wanted).max()
    assert np.abs(found / wanted - 1.0)[matters].max() < 1e-10


def test_published_examples_come_out_as_printed() -> None:
    book = pd.read_csv(GOLDEN / "european_published.csv")
    per_printed_unit = {"price": 1.0, "delta": 1.0, "gamma": 1.0, "vega": 100.0, "theta": 365.0, "rho": 100.0}

    greeks = european(*(book[n] for n in ("S", "K", "T", "r", "q", "sigma")), book["type"] == "Call")

    found = [getattr(greeks, q)[i] * per_printed_unit[q] for i, q in enumerate(book["quantity"])]
    assert (np.abs(np.array(found) - book["value"]) <= book["tolerance"]).all()


@pytest.mark.parametrize("is_call", [True, False])
def test_every_greek_is_the_slope_of_the_price(is_call: bool) -> None:
    base = {"spot": 100.0, "strike": 100.0, "years": 0.5, "rate": 0.04, "dividend_yield": 0.03, "vol": 0.25}

    def price(**moved: float) -> float:
        return float(european(**{**base, **moved}, is_call=is_call).price)

    found = european(**base, is_call=is_call)

    day = 1.0 / 365.0
    assert found.delta == pytest.approx((price(spot=100.01) - price(spot=99.99)) / 0.02, abs=1e-7)
    curve = (price(spot=100.1) - 2 * price() + price(spot=99.9)) / 0.01
    assert found.gamma == pytest.approx(curve, abs=1e-6)
    assert found.vega == pytest.approx((price(vol=0.255) - price(vol=0.245)), abs=1e-5)
    assert found.rho == pytest.approx((price(rate=0.045) - price(rate=0.035)), abs=1e-4)
    assert found.theta == pytest.approx((price(years=0.5 - day) - price(years=0.5 + day)) / 2, abs=1e-6)


def test_theta_counts_the_dividend_yield_with_the_right_sign() -> None:
    found = european(100.0, 100.0, 0.5, 0.04, 0.03, 0.25, [True, False])

    assert found.theta == pytest.approx([-0.0196, -0.0170], abs=1e-4)


@settings(max_examples=60, deadline=None)
@given(**BOOK)
def test_a_call_less_a_put_is_the_forward(
    spot: float, moneyness: float, years: float, rate: float, dividend_yield: float, vol: float
) -> None:
    strike = spot * moneyness

    found = european(spot, strike, years, rate, dividend_yield, vol, np.array([True, False]))

    forward = spot * np.exp(-dividend_yield * years) - strike * np.exp(-rate * years)
    assert found.price[0] - found.price[1] == pytest.approx(forward, abs=1e-11 * max(spot, strike))


@pytest.mark.parametrize(("years", "vol"), [(0.0, 0.3), (0.5, 0.0)])
def test_without_time_or_volatility_only_intrinsic_value_is_left(years: float, vol: float) -> None:
    found = european(100.0, [90.0, 110.0, 90.0, 110.0], years, 0.0, 0.0, vol, [True, True, False, False])

    assert found.price == pytest.approx([10.0, 0.0, 0.0, 10.0])
    assert found.delta == pytest.approx([1.0, 0.0, 0.0, -1.0])
    assert found.gamma == pytest.approx(0.0)


@pytest.mark.parametrize(
    ("name", "value"), [("spot", 0.0), ("strike", -1.0), ("years", -0.1), ("vol", float("inf"))]
)
def test_a_number_no_option_can_have_is_refused_by_name(name: str, value: float) -> None:
    book = {"spot": 100.0, "strike": 100.0, "years": 0.5, "rate": 0.0, "dividend_yield": 0.0, "vol": 0.2}

    with pytest.raises(ValueError, match=name):
        european(**{**book, name: value}, is_call=True)


def test_the_volatility_found_is_the_one_that_prices() -> None:
    strikes = np.array([60.0, 80.0, 100.0, 120.0, 160.0])
    vols = np.array([0.6, 0.4, 0.2, 0.3, 0.5])
    price = european(100.0, strikes, 0.5, 0.04, 0.01, vols, [[True], [False]]).price

    found = implied_vol(price, 100.0, strikes, 0.5, 0.04, 0.01, [[True], [False]])

    assert (found.status == IvStatus.OK).all()
    assert found.vol == pytest.approx(np.broadcast_to(vols, (2, 5)), rel=1e-11)
