from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wsb_core.pricing import black_scholes
from wsb_core.pricing.european import european
from wsb_core.pricing.results import Greeks

GOLDEN = Path(__file__).parent.parent / "golden"
UNITS = {
    "delta": 1.0,
    "gamma": 1.0,
    "vega": 100.0,
    "theta": 365.0,
    "rho": 100.0,
    "vanna": 100.0,
    "volga": 10_000.0,
}
"""What a Greek of ours is to be multiplied by for a year, a whole volatility, a whole rate."""
MARKET = {
    "spot": st.floats(0.5, 5000),
    "years": st.floats(1e-5, 5.0),
    "rate": st.floats(-0.05, 0.15),
    "dividend_yield": st.floats(-0.02, 0.12),
    "vol": st.floats(0.01, 3.0),
}


@pytest.fixture(scope="module")
def exact() -> pd.DataFrame:
    return pd.read_csv(GOLDEN / "european_mpmath.csv", comment="#")


@pytest.fixture(scope="module")
def priced(exact: pd.DataFrame) -> Greeks:
    columns = (exact[name].to_numpy() for name in ("S", "K", "T", "r", "q", "sigma", "is_call"))
    return european(*columns, second_order=True)


def test_prices_agree_with_fifty_digit_arithmetic(exact: pd.DataFrame, priced: Greeks) -> None:
    error = np.abs(priced.price - exact["price"]) / np.maximum(exact["S"], exact["K"])

    assert error.max() < 2e-15


@pytest.mark.parametrize("greek", UNITS)
def test_greeks_agree_with_fifty_digit_arithmetic(exact: pd.DataFrame, priced: Greeks, greek: str) -> None:
    found = getattr(priced, greek) * UNITS[greek]

    wanted = exact[greek].to_numpy()
    matters = np.abs(wanted) > 1e-3 * np.abs(wanted).max()
    assert np.abs(found / wanted - 1.0)[matters].max() < 2e-14
    assert np.abs(found - wanted).max() < 1e-14 * np.abs(wanted).max()


def test_published_examples_come_out_as_printed() -> None:
    book = pd.read_csv(GOLDEN / "european_published.csv")

    greeks = european(*(book[n] for n in ("S", "K", "T", "r", "q", "sigma")), book["type"] == "Call")

    units = {"price": 1.0, **UNITS}
    found = [getattr(greeks, q)[i] * units[q] for i, q in enumerate(book["quantity"])]
    assert (np.abs(np.array(found) - book["value"]) <= book["tolerance"]).all()


@settings(max_examples=100, deadline=None)
@given(deviations=st.floats(-6, 6), is_call=st.booleans(), **MARKET)
def test_agrees_with_the_textbook(
    spot: float,
    years: float,
    rate: float,
    dividend_yield: float,
    vol: float,
    deviations: float,
    is_call: bool,
) -> None:
    strike = spot * np.exp(np.clip(deviations * vol * np.sqrt(years), -20, 20))
    book = (spot, strike, years, rate, dividend_yield, vol, is_call)

    found, wanted = (price(*book, second_order=True) for price in (european, black_scholes.european))

    # Minutes before expiry the textbook itself is only good to the rounding of its logarithm.
    close = 1e-11 + 1e-13 / (vol * np.sqrt(years))
    assert found.price == pytest.approx(wanted.price, abs=1e-13 * max(spot, strike))
    assert found.delta == pytest.approx(wanted.delta, abs=close)
    assert found.gamma == pytest.approx(wanted.gamma, rel=100 * close, abs=1e-12 / spot)
    assert found.vega == pytest.approx(wanted.vega, rel=100 * close, abs=1e-12 * spot)
    assert found.theta == pytest.approx(wanted.theta, rel=100 * close, abs=1e-12 * max(spot, strike))
    assert found.rho == pytest.approx(wanted.rho, rel=100 * close, abs=1e-12 * max(spot, strike))
    assert found.vanna == pytest.approx(wanted.vanna, rel=100 * close, abs=1e-12)
    assert found.volga == pytest.approx(wanted.volga, rel=100 * close, abs=1e-12 * spot)


@pytest.mark.parametrize("is_call", [True, False])
@pytest.mark.parametrize("strike", [85.0, 100.0, 120.0])
def test_every_greek_is_a_slope_of_the_textbook_price(is_call: bool, strike: float) -> None:
    base = {"spot": 100.0, "years": 0.5, "rate": 0.04, "dividend_yield": 0.03, "vol": 0.25}

    def price(**moved: float) -> float:
        return float(black_scholes.european(**{**base, **moved}, strike=strike, is_call=is_call).price)

    def slope(name: str, h: float, unit: float) -> float:
        return (price(**{name: base[name] + h}) - price(**{name: base[name] - h})) / (2 * h) * unit

    found = european(**base, strike=strike, is_call=is_call, second_order=True)

    assert found.delta == pytest.approx(slope("spot", 1e-3, 1), abs=1e-8)
    curve = (price(spot=100.05) - 2 * price() + price(spot=99.95)) / 0.05**2
    assert found.gamma == pytest.approx(curve, abs=1e-7)
    assert found.vega == pytest.approx(slope("vol", 1e-5, 0.01), abs=1e-8)
    assert found.rho == pytest.approx(slope("rate", 1e-5, 0.01), abs=1e-8)
    assert found.theta == pytest.approx(slope("years", 1e-5, -1 / 365), abs=1e-8)
    more = (european(**{**base, "vol": v}, strike=strike, is_call=is_call) for v in (0.2501, 0.2499))
    up, down = more
    assert found.vanna == pytest.approx((up.delta - down.delta) / 0.0002 * 0.01, abs=1e-7)
    assert found.volga == pytest.approx((up.vega - down.vega) / 0.0002 * 0.01, abs=1e-7)


@settings(max_examples=100, deadline=None)
@given(moneyness=st.floats(0.2, 5.0), **MARKET)
def test_a_call_less_a_put_is_the_forward_and_both_keep_their_bounds(
    spot: float, years: float, rate: float, dividend_yield: float, vol: float, moneyness: float
) -> None:
    strike = spot * moneyness
    asset, cash = spot * np.exp(-dividend_yield * years), strike * np.exp(-rate * years)

    call, put = european(spot, strike, years, rate, dividend_yield, vol, [True, False]).price

    ulps = 1e-15 * max(spot, strike, asset, cash)
    assert call - put == pytest.approx(asset - cash, abs=4 * ulps)
    assert max(asset - cash, 0.0) - ulps <= call <= asset + ulps
    assert max(cash - asset, 0.0) - ulps <= put <= cash + ulps


@settings(max_examples=50, deadline=None)
@given(is_call=st.booleans(), **MARKET)
def test_prices_are_monotone_and_convex_in_the_strike(
    spot: float, years: float, rate: float, dividend_yield: float, vol: float, is_call: bool
) -> None:
    strikes = spot * np.linspace(0.3, 3.0, 400)

    price = european(spot, strikes, years, rate, dividend_yield, vol, is_call).price

    steps = np.diff(price) * (-1 if is_call else 1)
    rounding = 3e-15 * strikes[-1] * max(1.0, np.exp(-min(rate, dividend_yield) * years))
    assert steps.min() >= -rounding
    assert np.diff(price, 2).min() >= -2 * rounding


@pytest.mark.parametrize("vol", [0.0, 0.3])
def test_without_time_the_intrinsic_value_of_the_spot_is_left(vol: float) -> None:
    found = european(100.0, [90.0, 100.0, 110.0], 0.0, 0.05, 0.02, vol, [[True], [False]], second_order=True)

    assert found.price.tolist() == [[10.0, 0.0, 0.0], [0.0, 0.0, 10.0]]
    assert found.delta == pytest.approx(np.array([[1.0, 0.5, 0.0], [0.0, -0.5, -1.0]]), abs=2e-16)
    nothing = np.array([found.gamma, found.vega, found.rho, found.vanna, found.volga])
    assert not nothing.any()


def test_without_volatility_the_discounted_intrinsic_value_of_the_forward_is_left() -> None:
    found = european(100.0, [90.0, 100.0, 110.0], 2.0, 0.05, 0.02, 0.0, [[True], [False]])

    forward = 100.0 * np.exp(-0.04) - np.array([90.0, 100.0, 110.0]) * np.exp(-0.1)
    assert found.price == pytest.approx(np.maximum([forward, -forward], 0.0), abs=1e-13)
    assert not found.gamma.any()
    assert not found.vega.any()


@pytest.mark.parametrize("seconds", [1.0, 60.0])
def test_a_second_before_expiry_is_an_option_like_any_other(seconds: float) -> None:
    years = seconds / (365 * 86_400)
    deviation = 0.2 * np.sqrt(years)
    strike = 100.0 * np.exp([-deviation, 0.0, deviation])

    found = european(100.0, strike, years, 0.0, 0.0, 0.2, True)

    at_the_money = 100.0 * deviation * 0.3989422804
    assert found.price[1] == pytest.approx(at_the_money, rel=1e-6)
    assert found.delta == pytest.approx([0.8413447, 0.5, 0.1586553], abs=1e-4)
    assert found.gamma[1] == pytest.approx(0.3989422804 / (100.0 * deviation), rel=1e-6)


def test_numbers_beyond_the_compiled_kernel_are_priced_by_the_textbook() -> None:
    spot, strike = np.array([1e-200, 1e200, 100.0, 5e-324]), np.array([2e-200, 1e200, 1e-310, 1.0])

    found = european(spot, strike, 1.0, 0.0, 0.0, 0.2, True)

    scaled = european(1.0, [2.0, 1.0], 1.0, 0.0, 0.0, 0.2, True).price
    assert found.price / spot == pytest.approx([*scaled, 1.0, 0.0], rel=1e-12)


def test_the_order_of_rows_and_the_length_of_a_block_do_not_matter() -> None:
    rng = np.random.default_rng(3)
    n = 70_001
    book = [
        rng.uniform(low, high, n) for low, high in ((50, 150), (50, 150), (0, 2), (0, 0.1), (0, 0.1), (0, 1))
    ]
    is_call = rng.random(n) < 0.5

    whole = np.array(european(*book, is_call)[:6])

    order = rng.permutation(n)
    shuffled = np.array(european(*(column[order] for column in book), is_call[order])[:6])
    parts = [np.array(european(*(c[i::7] for c in book), is_call[i::7])[:6]) for i in range(7)]
    assert (shuffled == whole[:, order]).all()
    assert all((part == whole[:, i::7]).all() for i, part in enumerate(parts))


def test_importing_the_package_loads_neither_numba_nor_scipy() -> None:
    code = (
        "import sys, wsb_core.pricing, wsb_core.pricing.european, wsb_core.pricing.black_scholes;"
        "from wsb_core.pricing import implied_vol, Greeks;"
        "sys.exit(', '.join({'numba', 'scipy'} & set(sys.modules)) or 0)"
    )

    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)

    assert (run.returncode, run.stderr) == (0, "")
