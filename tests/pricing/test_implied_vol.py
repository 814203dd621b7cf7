from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wsb_core.pricing import black_scholes
from wsb_core.pricing.european import european, implied_vol
from wsb_core.pricing.kernels import forget_older
from wsb_core.pricing.results import IvStatus

GOLDEN = Path(__file__).parent.parent / "golden"


@pytest.fixture(scope="module")
def hard() -> pd.DataFrame:
    return pd.read_csv(GOLDEN / "iv_mpmath.csv", comment="#")


def test_agrees_with_fifty_digit_arithmetic_down_to_the_smallest_price(hard: pd.DataFrame) -> None:
    found = implied_vol(
        hard["price_undiscounted"], hard["F"], hard["K"], hard["T"], 0.0, 0.0, hard["is_call"]
    )

    error = np.abs(found.vol / hard["iv_exact"].to_numpy() - 1)
    assert (found.status == IvStatus.OK).all()
    assert np.median(error) <= 3e-16
    assert np.quantile(error, 0.9) <= 1e-15
    assert error.max() <= 2e-15


def test_rates_and_the_unit_of_money_change_nothing(hard: pd.DataFrame) -> None:
    price, forward, strike, years = (hard[n].to_numpy() for n in ("price_undiscounted", "F", "K", "T"))
    usual = (strike > 1e-80) & (price > 1e-200)
    price, forward, strike, years = (x[usual] for x in (price, forward, strike, years))
    discount = np.exp(-0.03 * years)

    found = implied_vol(
        4 * price * discount, 4 * forward, 4 * strike, years, 0.03, 0.03, hard["is_call"].to_numpy()[usual]
    )

    assert np.abs(found.vol / hard["iv_exact"].to_numpy()[usual] - 1).max() < 1e-11


def _grid() -> dict[str, np.ndarray]:
    """Out of the money, from an hour to ten years and a deviation of 1e-4 to 12; prices above 1e-250."""
    rng = np.random.default_rng(8)
    years = 10 ** rng.uniform(-4, 1, 20_000)
    deviation = 10 ** rng.uniform(-4, 1.08, 20_000)
    moves = rng.uniform(-30, 30, 20_000) * rng.random(20_000)
    moves = np.clip(moves * deviation, -60, 60)
    rate, dividend_yield = rng.uniform(-0.02, 0.1, 20_000), rng.uniform(-0.02, 0.1, 20_000)
    strike = 100 * np.exp((rate - dividend_yield) * years + moves)
    return {
        "spot": np.full(20_000, 100.0),
        "strike": strike,
        "years": years,
        "rate": rate,
        "dividend_yield": dividend_yield,
        "vol": deviation / np.sqrt(years),
        "is_call": moves > 0,
    }


def test_the_volatility_found_prices_the_option_over_the_whole_grid() -> None:
    book = _grid()
    price = european(**book).price
    spread = {name: column for name, column in book.items() if name != "vol"}

    found = implied_vol(price, **spread)

    some = found.status == IvStatus.OK
    assert some.mean() > 0.85
    assert set(np.unique(found.status[~some])) <= {IvStatus.AT_INTRINSIC, IvStatus.ABOVE_MAX}
    assert (price[found.status == IvStatus.AT_INTRINSIC] == 0).all()
    # A volatility is as good as its price: the error that one unit in the last place of the larger leg makes.
    legs = np.maximum(100 * np.exp(-book["dividend_yield"] * book["years"]), price)
    again = european(**{**book, "vol": np.where(some, found.vol, 0.0)})
    assert (np.abs(again.price - price)[some] <= 2e-14 * legs[some]).all()
    sharp = some & (100 * again.vega * book["vol"] > 1e-3 * legs)
    assert sharp.mean() > 0.15
    assert np.abs(found.vol / book["vol"] - 1)[sharp].max() < 1e-10


@settings(max_examples=200, deadline=None)
@given(
    moneyness=st.floats(-3, 3),
    years=st.floats(1e-6, 10),
    rate=st.floats(-0.03, 0.12),
    dividend_yield=st.floats(-0.03, 0.12),
    share=st.floats(1e-6, 1 - 1e-6),
    is_call=st.booleans(),
)
def test_every_price_between_its_bounds_has_a_volatility(
    moneyness: float, years: float, rate: float, dividend_yield: float, share: float, is_call: bool
) -> None:
    asset, strike = 100.0 * np.exp(-dividend_yield * years), 100.0 * np.exp(moneyness)
    cash = strike * np.exp(-rate * years)
    most, least = (asset, cash) if is_call else (cash, asset)
    intrinsic = max(most - least, 0.0)
    price = intrinsic + share * (most - intrinsic)

    found = implied_vol(price, 100.0, strike, years, rate, dividend_yield, is_call)

    assert found.status == IvStatus.OK
    again = european(100.0, strike, years, rate, dividend_yield, found.vol, is_call).price
    assert again == pytest.approx(price, abs=1e-14 * (asset + cash))


def test_a_call_and_a_put_of_one_strike_have_one_volatility() -> None:
    strikes = np.linspace(60, 160, 51)
    vols = 0.2 + 0.001 * np.abs(strikes - 100)
    price = european(100.0, strikes, 0.5, 0.04, 0.01, vols, [[True], [False]]).price

    found = implied_vol(price, 100.0, strikes, 0.5, 0.04, 0.01, [[True], [False]])

    assert found.vol[0] == pytest.approx(vols, rel=1e-10)
    assert found.vol[1] == pytest.approx(vols, rel=1e-10)


def test_agrees_with_the_readable_solver() -> None:
    rng = np.random.default_rng(4)
    n = 200
    book = [
        rng.uniform(low, high, n) for low, high in ((50, 150), (50, 150), (0.02, 2), (0, 0.08), (0, 0.05))
    ]
    is_call = rng.random(n) < 0.5
    price = european(*book, rng.uniform(0.1, 1.0, n), is_call).price

    found, wanted = (solve(price, *book, is_call) for solve in (implied_vol, black_scholes.implied_vol))

    assert (found.status == wanted.status).all()
    assert found.vol == pytest.approx(wanted.vol, rel=1e-7, nan_ok=True)


CASES = [
    # price, spot, strike, years, is_call, status
    (20.0, 100.0, 80.0, 0.5, True, IvStatus.AT_INTRINSIC),
    (np.nextafter(20.0, 21.0), 100.0, 80.0, 0.5, True, IvStatus.AT_INTRINSIC),
    (np.nextafter(20.0, 19.0), 100.0, 80.0, 0.5, True, IvStatus.AT_INTRINSIC),
    (0.0, 100.0, 120.0, 0.5, True, IvStatus.AT_INTRINSIC),
    (0.0, 100.0, 100.0, 0.5, False, IvStatus.AT_INTRINSIC),
    (19.99, 100.0, 80.0, 0.5, True, IvStatus.BELOW_INTRINSIC),
    (0.0, 100.0, 120.0, 0.5, False, IvStatus.BELOW_INTRINSIC),
    (100.0, 100.0, 80.0, 0.5, True, IvStatus.ABOVE_MAX),
    (80.0, 100.0, 80.0, 0.5, False, IvStatus.ABOVE_MAX),
    (1e300, 100.0, 80.0, 0.5, False, IvStatus.ABOVE_MAX),
    (5.0, 100.0, 100.0, 0.0, True, IvStatus.EXPIRED),
    (0.0, 100.0, 100.0, 0.0, True, IvStatus.EXPIRED),
    (-0.01, 100.0, 100.0, 0.5, True, IvStatus.BAD_INPUT),
    (np.nan, 100.0, 100.0, 0.5, True, IvStatus.BAD_INPUT),
    (np.inf, 100.0, 100.0, 0.5, True, IvStatus.BAD_INPUT),
    (5.0, 0.0, 100.0, 0.5, True, IvStatus.BAD_INPUT),
    (5.0, 100.0, -1.0, 0.5, True, IvStatus.BAD_INPUT),
    (5.0, 100.0, np.inf, 0.5, True, IvStatus.BAD_INPUT),
    (5.0, 100.0, 100.0, -0.5, True, IvStatus.BAD_INPUT),
    (5.0, 100.0, 100.0, np.nan, True, IvStatus.BAD_INPUT),
    (5.0, 100.0, 100.0, 0.5, np.nan, IvStatus.BAD_INPUT),
]


@pytest.mark.parametrize("solve", [implied_vol, black_scholes.implied_vol])
@pytest.mark.parametrize(("price", "spot", "strike", "years", "is_call", "status"), CASES)
def test_a_price_without_a_volatility_says_why(
    solve: object, price: float, spot: float, strike: float, years: float, is_call: float, status: IvStatus
) -> None:
    found = solve(price, spot, strike, years, 0.0, 0.0, is_call)

    assert found.status == status
    assert np.isnan(found.vol)


@pytest.mark.parametrize("name", ["rate", "dividend_yield"])
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_rate_that_is_no_number_is_bad_input(name: str, value: float) -> None:
    rates = {"rate": 0.0, "dividend_yield": 0.0, name: value}

    found = implied_vol(5.0, 100.0, 100.0, 0.5, **rates, is_call=True)

    assert found.status == IvStatus.BAD_INPUT


def test_deep_in_the_money_the_price_of_no_volatility_is_at_intrinsic_not_below() -> None:
    strikes = np.linspace(1.0, 60.0, 500)
    price = european(100.0, strikes, 0.1, 0.05, 0.02, 0.05, True).price

    found = implied_vol(price, 100.0, strikes, 0.1, 0.05, 0.02, True)

    assert set(np.unique(found.status)) == {IvStatus.AT_INTRINSIC}


@pytest.mark.parametrize("seconds", [1.0, 60.0, 3600.0])
@pytest.mark.parametrize("moves", [-6.0, -1.0, 0.0, 2.0, 8.0])
def test_works_to_the_last_second_of_the_last_day(seconds: float, moves: float) -> None:
    years = seconds / (365 * 86_400)
    strike = 5000.0 * np.exp(moves * 0.15 * np.sqrt(years))
    price = european(5000.0, strike, years, 0.04, 0.01, 0.15, moves > 0).price

    found = implied_vol(price, 5000.0, strike, years, 0.04, 0.01, moves > 0)

    assert found.status == IvStatus.OK
    assert found.vol == pytest.approx(0.15, rel=1e-7)


@pytest.mark.parametrize(
    ("price", "spot", "strike", "vol"),
    [
        (1.0e-305, 100.0, None, 0.2),
        (None, 1e-200, 2e-200, 0.4),
        (None, 1e200, 1e200, 0.3),
    ],
)
def test_numbers_beyond_the_compiled_kernel_are_solved_by_the_textbook(
    price: float | None, spot: float, strike: float | None, vol: float
) -> None:
    strike = strike or 100.0 * np.exp(37.2 * vol)
    price = price or float(black_scholes.european(spot, strike, 1.0, 0.0, 0.0, vol, True).price)

    found = implied_vol(price, spot, strike, 1.0, 0.0, 0.0, True)

    assert found.status == IvStatus.OK
    assert found.vol == pytest.approx(vol, rel=1e-2)


@settings(max_examples=100, deadline=None)
@given(
    st.lists(
        st.tuples(*[st.floats(width=64)] * 6, st.sampled_from([0.0, 1.0, float("nan")])),
        min_size=1,
        max_size=8,
    )
)
def test_no_number_raises_and_a_volatility_is_there_exactly_when_it_is_said_to_be(
    rows: list[tuple[float, ...]],
) -> None:
    columns = [np.array(column) for column in zip(*rows, strict=True)]

    found = implied_vol(*columns)

    assert np.isin(found.status, list(IvStatus)).all()
    assert (np.isfinite(found.vol) == (found.status == IvStatus.OK)).all()


def test_numbers_of_every_size_come_back_with_a_status() -> None:
    rng = np.random.default_rng(0)
    price, spot, strike = 10 ** rng.uniform(-320, 308, (3, 500))
    rate, dividend_yield = rng.normal(0, 1, (2, 500)) * 10 ** rng.uniform(-3, 4, 500)

    found = implied_vol(
        price, spot, strike, 10 ** rng.uniform(-10, 5, 500), rate, dividend_yield, rng.random(500) < 0.5
    )

    assert np.isin(found.status, list(IvStatus)).all()
    assert (np.isfinite(found.vol) == (found.status == IvStatus.OK)).all()


def test_a_second_process_compiles_nothing() -> None:
    implied_vol(1.0, 9.0, 9.0, 1.0, 0.0, 0.0, True)
    european(9.0, 9.0, 1.0, 0.0, 0.0, 0.2, True)
    code = (
        "from wsb_core.pricing.kernels.european import greeks;"
        "from wsb_core.pricing.kernels.implied_vol import implied;"
        "print([sum(f.stats.cache_hits.values()) for f in (greeks, implied)],"
        "[sum(f.stats.cache_misses.values()) for f in (greeks, implied)])"
    )

    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout

    assert told == "[1, 1] [0, 0]\n"


def test_a_kernel_older_than_any_source_of_the_package_is_compiled_anew(tmp_path: Path) -> None:
    for name, written in (("old.nbi", 100), ("new.nbi", 300), ("inlined.py", 200), ("kernel.py", 50)):
        (tmp_path / name).touch()
        os.utime(tmp_path / name, (written, written))

    forget_older(tmp_path, tmp_path)

    assert sorted(file.name for file in tmp_path.iterdir()) == ["inlined.py", "kernel.py", "new.nbi"]
