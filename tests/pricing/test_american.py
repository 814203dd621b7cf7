from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wsb_core.pricing import leisen_reimer
from wsb_core.pricing.american import Accuracy, american, american_slice
from wsb_core.pricing.european import european

from .quantlib_book import QdFp

GOLDEN = Path(__file__).parent.parent / "golden"
NAMES = ("spot", "strike", "years", "rate", "dividend_yield", "vol")
BOOK = {"spot": 100.0, "strike": 110.0, "years": 0.5, "rate": 0.04, "dividend_yield": 0.01, "vol": 0.3}
ERRORS = {Accuracy.FAST: 1e-6, Accuracy.FINE: 2e-8}
"""Largest error of a price on the table, as a share of the larger of spot and strike."""
MARKET = {
    "years": st.floats(1e-4, 3.0),
    "rate": st.floats(0.0, 0.1),
    "dividend_yield": st.floats(0.0, 0.1),
    "vol": st.floats(0.05, 1.5),
    "is_call": st.booleans(),
}


@pytest.fixture(scope="module")
def exact() -> pd.DataFrame:
    return pd.read_csv(GOLDEN / "american_highprec.csv", comment="#")


def _inputs(frame: pd.DataFrame) -> list[np.ndarray]:
    return [frame[name].to_numpy() for name in ("S", "K", "T", "r", "q", "sigma", "is_call")]


def _intrinsic(spot: Any, strike: Any, is_call: Any) -> np.ndarray:
    return np.maximum(np.where(is_call, np.subtract(spot, strike), np.subtract(strike, spot)), 0.0)


@pytest.mark.parametrize("accuracy", Accuracy)
def test_prices_agree_with_high_precision_values(exact: pd.DataFrame, accuracy: Accuracy) -> None:
    found = american(*_inputs(exact), accuracy=accuracy)

    error = np.abs(found.price - exact["american_price"]) - exact["unc"]
    assert (error / np.maximum(exact["S"], exact["K"])).max() < ERRORS[accuracy]


def test_greeks_agree_with_those_of_an_independent_kernel(exact: pd.DataFrame) -> None:
    found = american(*_inputs(exact))

    held = exact["american_price"] - _intrinsic(exact["S"], exact["K"], exact["is_call"]) > 1e-5
    gamma, vega, theta = exact["gamma"], exact["vega"], exact["theta"]
    assert held.sum() > 350
    assert np.abs(found.delta - exact["delta"])[held].max() < 2e-6
    assert np.abs(found.gamma / gamma - 1.0)[held & (gamma > 1e-3 * gamma.max())].max() < 1e-3
    assert np.abs(100.0 * found.vega - vega)[held].max() < 1e-5 * vega.max()
    assert np.abs(365.0 * found.theta - theta)[held].max() < 1e-5 * theta.abs().max()


def test_published_examples_come_out_as_printed() -> None:
    book = pd.read_csv(GOLDEN / "american_published.csv")

    found = american(*(book[n] for n in ("S", "K", "T", "r", "q", "sigma")), book["type"] == "Call")

    assert (np.abs(found.price - book["value"]) <= book["tolerance"]).all()


@pytest.mark.parametrize(("accuracy", "most"), [(Accuracy.FAST, 5e-5), (Accuracy.FINE, 5e-6)])
def test_a_book_of_ordinary_contracts_is_as_accurate_as_its_setting_says(
    accuracy: Accuracy, most: float
) -> None:
    rng = np.random.default_rng(8)
    n = 120
    vol, years = rng.uniform(0.12, 0.6, n), np.exp(rng.uniform(np.log(2 / 365), np.log(2.0), n))
    strike = 100.0 * np.exp(rng.uniform(-2, 2, n) * vol * np.sqrt(years))
    book = (np.full(n, 100.0), strike, years, rng.uniform(0.005, 0.06, n), rng.uniform(0, 0.05, n), vol)
    is_call = rng.random(n) < 0.5

    found = american(*book, is_call, accuracy=accuracy)

    wanted = QdFp(pytest.importorskip("QuantLib"), "highPrecisionScheme").prices(*book, is_call)
    assert np.abs(found.price - wanted).max() < most


def test_the_tree_comes_closer_to_the_boundary_method_the_more_steps_it_has() -> None:
    rng = np.random.default_rng(4)
    n = 60
    vol, years = rng.uniform(0.1, 0.8, n), rng.uniform(0.01, 2.0, n)
    strike = 100.0 * np.exp(rng.uniform(-1.5, 1.5, n) * vol * np.sqrt(years))
    book = (100.0, strike, years, rng.uniform(0, 0.08, n), rng.uniform(0, 0.08, n), vol, rng.random(n) < 0.5)

    found = american(*book)

    trees = [leisen_reimer.american(*book, steps=steps) for steps in (51, 201, 801)]
    away = [np.abs(tree.price - found.price).mean() for tree in trees]
    assert away[1] < away[0] / 3
    assert away[2] < away[1] / 3
    assert (np.abs(trees[2].price - found.price) / np.maximum(100.0, strike)).max() < 1e-4
    assert np.abs(trees[2].delta - found.delta).max() < 5e-3


@pytest.mark.parametrize("is_call", [True, False])
@pytest.mark.parametrize("strike", [85.0, 100.0, 115.0])
@pytest.mark.parametrize("carry", [(0.06, 0.02), (0.02, 0.06)])
def test_every_greek_is_a_slope_of_the_price(
    is_call: bool, strike: float, carry: tuple[float, float]
) -> None:
    base = {"spot": 100.0, "years": 0.7, "rate": carry[0], "dividend_yield": carry[1], "vol": 0.25}

    def price(**moved: float) -> float:
        return float(american(**{**base, **moved}, strike=strike, is_call=is_call).price)

    def slope(name: str, h: float, unit: float) -> float:
        return (price(**{name: base[name] + h}) - price(**{name: base[name] - h})) / (2 * h) * unit

    found = american(**base, strike=strike, is_call=is_call)

    assert found.delta == pytest.approx(slope("spot", 0.01, 1), abs=1e-6)
    assert found.gamma == pytest.approx((price(spot=100.5) - 2 * price() + price(spot=99.5)) / 0.25, abs=2e-5)
    assert found.vega == pytest.approx(slope("vol", 1e-4, 0.01), abs=1e-6)
    assert found.rho == pytest.approx(slope("rate", 1e-4, 0.01), abs=1e-5)
    assert found.theta == pytest.approx(slope("years", 1e-4, -1 / 365), abs=1e-6)


@settings(max_examples=100, deadline=None)
@given(moneyness=st.floats(0.3, 3.0), **MARKET)
def test_is_worth_at_least_the_european_option_and_exercise_and_at_most_what_it_is_written_on(
    moneyness: float, years: float, rate: float, dividend_yield: float, vol: float, is_call: bool
) -> None:
    strike = 100.0 * moneyness
    book = (100.0, strike, years, rate, dividend_yield, vol, is_call)

    for accuracy in Accuracy:
        found = american(*book, accuracy=accuracy)

        assert found.price >= european(*book).price - 1e-9
        assert found.price >= _intrinsic(100.0, strike, is_call) - 1e-9
        assert found.price <= (100.0 if is_call else strike)
        assert -1e-12 <= (found.delta if is_call else -found.delta) <= 1.0 + 1e-4
        assert found.gamma >= -1e-12
        assert found.vega >= -1e-6


@settings(max_examples=40, deadline=None)
@given(**MARKET)
def test_prices_are_monotone_and_convex_in_the_strike(
    years: float, rate: float, dividend_yield: float, vol: float, is_call: bool
) -> None:
    strikes = np.linspace(60.0, 160.0, 81)

    found = american(100.0, strikes, years, rate, dividend_yield, vol, is_call).price

    steps = np.diff(found) * (-1.0 if is_call else 1.0)
    assert (steps >= -1e-5).all()
    assert (steps <= 1.25 + 1e-5).all()
    assert (np.diff(found, 2) >= -2e-5).all()


@settings(max_examples=40, deadline=None)
@given(moneyness=st.floats(0.5, 2.0), **MARKET)
def test_a_call_is_the_put_with_spot_and_strike_and_the_rates_exchanged(
    moneyness: float, years: float, rate: float, dividend_yield: float, vol: float, is_call: bool
) -> None:
    strike = 100.0 * moneyness

    found = american(100.0, strike, years, rate, dividend_yield, vol, is_call)
    mirrored = american(strike, 100.0, years, dividend_yield, rate, vol, not is_call)

    assert found.price == pytest.approx(mirrored.price, rel=1e-12, abs=1e-10)
    assert found.vega == pytest.approx(mirrored.vega, rel=1e-9, abs=1e-10)


def test_what_is_never_exercised_early_is_the_european_option() -> None:
    strikes = np.array([80.0, 100.0, 120.0])

    for book in [
        (100.0, strikes, 0.25, 0.05, 0.0, 0.3, True),
        (100.0, strikes, 0.25, 0.0, 0.02, 0.3, False),
        (100.0, strikes, 0.25, -0.01, -0.01, 0.3, False),
    ]:
        assert np.array_equal(np.array(american(*book)[:6]), np.array(european(*book)[:6]))


def test_a_deep_put_is_exercised_at_once_and_nothing_moves_it_but_the_spot() -> None:
    found = american(100.0, 300.0, 1.0, 0.08, 0.0, 0.2, False)

    assert [float(x) for x in found[:6]] == pytest.approx([200.0, -1.0, 0.0, 0.0, 0.0, 0.0], abs=1e-12)


@pytest.mark.parametrize("accuracy", Accuracy)
@pytest.mark.parametrize("spread", [0.05, 0.6, 3.0])
def test_a_whole_expiry_costs_no_accuracy_however_far_its_volatilities_lie_apart(
    accuracy: Accuracy, spread: float
) -> None:
    strikes = np.linspace(60.0, 160.0, 75)
    vols = 0.2 * np.exp(spread * np.linspace(-0.3, 0.7, 75) ** 2)
    is_call = np.arange(75) % 2 == 0
    market = (100.0, strikes, 0.4, 0.045, 0.02, vols, is_call)

    found = american_slice(*market, accuracy=accuracy)

    alone = [american(*row, accuracy=accuracy) for row in np.broadcast(*market)]
    for together, apart, close in zip(found[:6], zip(*alone, strict=True), _CLOSE[accuracy], strict=False):
        assert np.abs(together - np.array(apart[:75], dtype=float)).max() < close


_CLOSE = {
    Accuracy.FAST: (2e-6, 1e-6, 1e-5, 2e-5, 2e-6, 2e-4),
    Accuracy.FINE: (2e-7, 2e-7, 1e-6, 1e-6, 2e-7, 1e-5),
}
"""Price, delta, gamma, vega, theta and rho of an expiry against each contract alone."""


def test_the_order_and_the_company_of_rows_do_not_matter() -> None:
    rng = np.random.default_rng(3)
    n = 300
    years = rng.choice([0.1, 0.5, 1.0, 0.77], n, p=[0.5, 0.3, 0.19, 0.01])
    book = [np.full(n, 100.0), rng.uniform(70, 140, n), years, np.full(n, 0.04), np.full(n, 0.02)]
    book += [rng.uniform(0.15, 0.5, n), rng.random(n) < 0.5]
    order = rng.permutation(n)

    found = american(*book)

    mixed = american(*(column[order] for column in book))
    assert mixed.price == pytest.approx(found.price[order], abs=1e-7)
    assert mixed.gamma == pytest.approx(found.gamma[order], abs=1e-6)


@pytest.mark.parametrize("seconds", [60.0, 1.0, 1e-3])
def test_the_last_moments_are_priced_like_any_other(seconds: float) -> None:
    years = seconds / (365 * 86400)
    deviation = 0.2 * np.sqrt(years)
    strikes = 100.0 * np.exp(np.linspace(-4, 4, 41) * deviation)

    for is_call in (True, False):
        found = american(100.0, strikes, years, 0.05, 0.03, 0.2, is_call)

        plain = european(100.0, strikes, years, 0.05, 0.03, 0.2, is_call)
        interest = 110.0 * 0.05 * years
        assert found.price == pytest.approx(plain.price, abs=interest + 1e-12)
        assert (found.price >= np.maximum(plain.price, _intrinsic(100.0, strikes, is_call)) - 1e-12).all()
        assert np.isfinite(np.array(found[:6])).all()


@pytest.mark.parametrize("rates", [(0.05, 0.0), (0.0, 0.05), (0.0, 0.0)])
def test_at_expiry_the_intrinsic_value_is_left(rates: tuple[float, float]) -> None:
    strikes = np.array([90.0, 100.0, 110.0])

    call, put = (american(100.0, strikes, 0.0, *rates, 0.2, is_call) for is_call in (True, False))

    assert call.price.tolist() == [10.0, 0.0, 0.0]
    assert put.price.tolist() == [0.0, 0.0, 10.0]
    assert (call.delta[0], put.delta[2]) == (1.0, -1.0)
    assert np.array([call.gamma, call.vega, call.rho, put.gamma, put.vega, put.rho]).max() == 0.0


@pytest.mark.parametrize(
    ("rates", "is_call", "best", "delta"),
    [
        ((0.05, 0.0), False, 10.0, -1.0),  # at once: waiting only costs interest
        ((0.05, 0.0), True, 0.0, 0.0),
        ((0.0, 0.05), True, 0.0, 0.0),
        ((0.0, 0.2), False, 110.0 - 100.0 * np.exp(-0.2), -np.exp(-0.2)),  # at expiry: the spot sinks
    ],
)
def test_without_volatility_exercise_comes_when_it_pays_most(
    rates: tuple[float, float], is_call: bool, best: float, delta: float
) -> None:
    found = american(100.0, 110.0, 1.0, *rates, 0.0, is_call)

    almost = american(100.0, 110.0, 1.0, *rates, 1e-5, is_call)
    assert found.price == pytest.approx(best, abs=1e-12)
    assert found.delta == pytest.approx(delta, abs=1e-12)
    assert almost.price == pytest.approx(best, abs=1e-4)


def test_two_boundaries_of_negative_rates_agree_with_the_tree() -> None:
    strikes = np.array([80.0, 100.0, 130.0])

    for rates, is_call in (((-0.01, -0.03), False), ((-0.03, -0.01), True)):
        found = american(100.0, strikes, 2.0, *rates, 0.1, is_call)

        tree = leisen_reimer.american(100.0, strikes, 2.0, *rates, 0.1, is_call, steps=801)
        assert found.price == pytest.approx(tree.price, abs=2e-3)
        assert found.delta == pytest.approx(tree.delta, abs=1e-3)
        assert (found.price >= european(100.0, strikes, 2.0, *rates, 0.1, is_call).price - 1e-3).all()


@pytest.mark.parametrize("name", [*NAMES, "is_call"])
def test_a_row_with_nan_is_nan_throughout_and_its_neighbours_are_not(name: str) -> None:
    book = {**BOOK, "is_call": 1.0}

    found = np.array(american(**{**book, name: np.array([book[name], np.nan])})[:6])

    assert found[:, 0].tolist() == [float(x) for x in american(**book)[:6]]
    assert np.isnan(found[:, 1]).all()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("spot", 0.0),
        ("spot", np.inf),
        ("strike", -5.0),
        ("years", -1e-9),
        ("vol", -0.2),
        ("vol", np.inf),
        ("rate", -np.inf),
        ("dividend_yield", np.inf),
    ],
)
def test_a_number_no_option_can_have_is_refused_by_name_value_and_place(name: str, value: float) -> None:
    column = np.full((3, 4), BOOK[name])
    column[2, 1] = value

    with pytest.raises(ValueError, match=rf"{name} must be .*, not {value} at index \(2, 1\)"):
        american(**{**BOOK, name: column}, is_call=True)


@pytest.mark.parametrize(
    ("name", "value"), [("strike", 1e-300), ("years", 1e6), ("rate", 400.0), ("vol", 1e6), ("spot", 1e300)]
)
def test_finite_numbers_too_extreme_to_price_are_refused_and_not_guessed(name: str, value: float) -> None:
    with pytest.raises(ValueError, match=rf"too extreme .* contract 1 .*{name} "):
        american(**{**BOOK, name: [BOOK[name], value]}, is_call=True)


def test_wild_but_possible_numbers_keep_their_bounds() -> None:
    rng = np.random.default_rng(5)
    n = 20_000
    years = np.exp(rng.uniform(np.log(1e-12), np.log(200), n))
    rate, dividend_yield = (np.minimum(10.0, np.exp(rng.uniform(-28, 3.9, n)) / years) for _ in range(2))
    deviation = np.exp(rng.uniform(np.log(2e-8), np.log(99.0), n))
    strike = 100.0 * np.exp(rng.uniform(-1, 1, n) * np.minimum(5 * deviation, 290))
    book = (100.0, strike, years, rate, dividend_yield, deviation / np.sqrt(years), rng.random(n) < 0.5)

    for accuracy in Accuracy:
        found = american(*book, accuracy=accuracy)

        least = np.maximum(european(*book).price, _intrinsic(100.0, strike, book[-1]))
        assert np.isfinite(np.array(found[:6])).all()
        assert ((least - found.price) / np.maximum(100.0, strike)).max() < 1e-9
        assert (found.price / np.where(book[-1], 100.0, strike)).max() < 1.0 + 1e-9


@pytest.mark.parametrize("shape", [(), (0,), (3,), (2, 3), (2, 0)])
def test_the_shape_that_goes_in_comes_out(shape: tuple[int, ...]) -> None:
    strikes = np.full(shape, 110.0)

    found = american(**{**BOOK, "strike": strikes}, is_call=False)

    assert [np.shape(greek) for greek in found[:6]] == [shape] * 6
    assert found.vanna is None
    assert (strikes == 110.0).all()


@pytest.mark.parametrize(
    "strikes", [np.array([90, 110], dtype=np.float32), [90, 110], np.array([90, 0, 110, 0.0])[::2]]
)
def test_every_kind_of_number_is_the_number_it_is(strikes: object) -> None:
    found = american(**{**BOOK, "strike": strikes}, is_call=[True, False])

    assert (
        found.price.tolist() == american(**{**BOOK, "strike": [90.0, 110.0]}, is_call=[1, 0]).price.tolist()
    )


def test_shapes_that_do_not_fit_are_refused_by_name() -> None:
    with pytest.raises(ValueError, match=r"shapes do not broadcast: .*strike \(2,\)"):
        american(**{**BOOK, "strike": [1.0, 2.0], "vol": [0.1, 0.2, 0.3]}, is_call=True)


@pytest.mark.parametrize("name", ["spot", "years", "rate", "dividend_yield"])
def test_a_slice_is_one_expiry_of_one_market(name: str) -> None:
    market: dict[str, Any] = {n: BOOK[n] for n in ("spot", "years", "rate", "dividend_yield")}

    with pytest.raises(ValueError, match=f"{name} must be one number"):
        american_slice(**{**market, name: [market[name]]}, strikes=[90.0], vols=0.2, is_call=True)


def test_importing_it_loads_neither_numba_nor_scipy() -> None:
    code = "import sys, wsb_core.pricing.american; print({'numba', 'scipy'} & set(sys.modules))"

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout.strip() == "set()"


def test_a_second_process_compiles_nothing() -> None:
    american(**BOOK, is_call=True)
    american(**{**BOOK, "strike": np.linspace(90, 120, 40)}, is_call=True)
    code = (
        "from numba.core import event\n"
        "import numpy as np\n"
        "from wsb_core.pricing.american import american\n"
        "with event.install_recorder('numba:compile') as seen:\n"
        "    american(100.0, 110.0, 0.5, 0.04, 0.01, 0.3, True)\n"
        "    american(100.0, np.linspace(90, 120, 40), 0.5, 0.04, 0.01, 0.3, True)\n"
        "print(len(seen.buffer))"
    )

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout.strip() == "0"
