from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wsb_core.pricing.black_scholes import european
from wsb_core.pricing.leisen_reimer import american

GOLDEN = Path(__file__).parent.parent / "golden"


@pytest.fixture(scope="module")
def exact() -> pd.DataFrame:
    return pd.read_csv(GOLDEN / "american_highprec.csv", comment="#")


def _inputs(frame: pd.DataFrame) -> list[pd.Series]:
    return [frame[name] for name in ("S", "K", "T", "r", "q", "sigma", "is_call")]


def test_prices_and_deltas_agree_with_high_precision_values(exact: pd.DataFrame) -> None:
    found = american(*_inputs(exact))

    error = (found.price - exact["american_price"]) / np.maximum(exact["S"], exact["K"])
    assert np.sqrt((error**2).mean()) < 1e-4
    assert np.abs(error).max() < 1e-3
    assert np.abs(found.delta - exact["delta"]).max() < 0.015


def test_more_steps_bring_the_price_closer(exact: pd.DataFrame) -> None:
    errors = [np.abs(american(*_inputs(exact), steps=n).price - exact["american_price"]) for n in (51, 401)]

    assert errors[1].mean() < errors[0].mean() / 4


def test_published_examples_come_out_as_printed() -> None:
    book = pd.read_csv(GOLDEN / "american_published.csv")

    found = american(*(book[n] for n in ("S", "K", "T", "r", "q", "sigma")), book["type"] == "Call", 501)

    assert (np.abs(found.price - book["value"]) <= book["tolerance"] + 0.003).all()


def test_theta_is_what_a_day_costs() -> None:
    book = (100.0, [95.0, 100.0, 105.0], 0.5, 0.04, 0.01, 0.25, False)

    found = american(*book, steps=501)

    later = american(100.0, [95.0, 100.0, 105.0], 0.5 - 1 / 365, 0.04, 0.01, 0.25, False, steps=501)
    assert found.theta == pytest.approx(later.price - found.price, abs=2e-4)


@settings(max_examples=60, deadline=None)
@given(
    moneyness=st.floats(0.3, 3.0),
    years=st.floats(1e-4, 3.0),
    rate=st.floats(0.0, 0.1),
    dividend_yield=st.floats(0.0, 0.08),
    vol=st.floats(0.05, 1.5),
    is_call=st.booleans(),
)
def test_is_worth_at_least_the_european_option_and_exercise_now(
    moneyness: float, years: float, rate: float, dividend_yield: float, vol: float, is_call: bool
) -> None:
    strike = 100.0 * moneyness

    found = american(100.0, strike, years, rate, dividend_yield, vol, is_call)

    plain = european(100.0, strike, years, rate, dividend_yield, vol, is_call)
    intrinsic = max(0.0, (100.0 - strike) if is_call else (strike - 100.0))
    assert found.price[0] >= intrinsic - 1e-9
    assert found.price[0] >= float(plain.price) - 0.02 * vol * np.sqrt(years) * 100.0
    assert np.isfinite([found.delta[0], found.gamma[0], found.theta[0]]).all()


def test_a_call_without_dividends_is_worth_the_european_call() -> None:
    strikes = np.array([80.0, 100.0, 120.0])

    found = american(100.0, strikes, 0.25, 0.05, 0.0, 0.3, True)

    assert found.price == pytest.approx(european(100.0, strikes, 0.25, 0.05, 0.0, 0.3, True).price, abs=2e-3)


def test_a_deep_put_is_exercised_at_once_and_time_costs_nothing() -> None:
    found = american(100.0, 300.0, 1.0, 0.08, 0.0, 0.2, False)

    assert found.price == pytest.approx([200.0])
    assert found.delta == pytest.approx([-1.0])
    assert found.theta == pytest.approx([0.0])


@pytest.mark.parametrize("steps", [100, 1])
def test_an_even_or_tiny_tree_is_refused(steps: int) -> None:
    with pytest.raises(ValueError, match="odd"):
        american(100.0, 100.0, 0.5, 0.0, 0.0, 0.2, True, steps)


def test_a_contract_that_has_expired_is_refused() -> None:
    with pytest.raises(ValueError, match="years"):
        american(100.0, 100.0, 0.0, 0.0, 0.0, 0.2, True)
