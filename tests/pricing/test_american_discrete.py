from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wsb_core.pricing.american import american
from wsb_core.pricing.american_discrete import DiscreteAmerican, Dividend, DividendModel, american_discrete
from wsb_core.pricing.black_scholes import european

GOLDEN = Path(__file__).parent.parent / "golden"
MODELS = pytest.mark.parametrize("model", DividendModel)


def _schedule(told: str) -> list[Dividend]:
    """``30:0.5 121:0.5`` are days to the ex-date and dollars."""
    pairs = (entry.split(":") for entry in told.split())
    return [Dividend(int(day) / 365, float(amount)) for day, amount in pairs]


def _price_of(row: pd.Series) -> DiscreteAmerican:
    market = (row["S"], row["K"], row["days"] / 365, row["r"])
    return american_discrete(
        *market,
        _schedule(row["dividends"]),
        row["sigma"],
        row["is_call"],
        dividend_yield=row["q"],
        model=DividendModel(row["model"]),
    )


def test_prices_and_greeks_agree_with_quantlibs_finite_differences() -> None:
    exact = pd.read_csv(GOLDEN / "american_dividends.csv", comment="#")

    found = [_price_of(row) for _, row in exact.iterrows()]

    price, delta, gamma = (np.array([float(f[i]) for f in found]) for i in range(3))
    assert len(exact) == 32
    assert (np.abs(price - exact["price"]) - exact["unc"]).max() < 2e-4
    assert np.abs(delta - exact["delta"]).max() < 3e-5
    assert np.abs(gamma - exact["gamma"]).max() < 3e-6


def test_without_dividends_it_is_the_option_of_the_boundary_method() -> None:
    strikes = np.array([85.0, 100.0, 115.0])

    for is_call in (True, False):
        found = american_discrete(100.0, strikes, 0.6, 0.04, (), 0.3, is_call, dividend_yield=0.03)

        smooth = american(100.0, strikes, 0.6, 0.04, 0.03, 0.3, is_call)
        assert found.price == pytest.approx(smooth.price, abs=5e-4)
        assert found.delta == pytest.approx(smooth.delta, abs=3e-5)
        assert found.gamma == pytest.approx(smooth.gamma, abs=5e-6)
        assert found.theta == pytest.approx(smooth.theta, abs=2e-5)
        assert found.critical_spots.shape == (3, 0)


@MODELS
@pytest.mark.parametrize("is_call", [True, False])
def test_theta_is_what_a_day_costs_while_the_spot_stands_still(model: DividendModel, is_call: bool) -> None:
    day = 1 / 365
    book = (100.0, [92.0, 100.0, 108.0], 0.5, 0.05)
    rest = {"dividend_yield": 0.01, "model": model}

    found = american_discrete(*book, [Dividend(0.2, 1.5), Dividend(0.4, 1.5)], 0.3, is_call, **rest)

    dividends = [Dividend(0.2 - day / 4, 1.5), Dividend(0.4 - day / 4, 1.5)]
    later = american_discrete(*book[:2], 0.5 - day / 4, 0.05, dividends, 0.3, is_call, **rest)
    assert found.theta == pytest.approx(4 * (later.price - found.price), abs=3e-5)


@MODELS
def test_a_deep_put_that_earns_no_interest_is_held_for_the_dividend(model: DividendModel) -> None:
    found = american_discrete(100.0, 200.0, 0.25, 0.0, [Dividend(0.2, 3.0)], 0.1, False, model=model)

    assert found.price == pytest.approx(200.0 - 100.0 + 3.0, abs=1e-6)
    assert found.delta == pytest.approx(-1.0, abs=1e-6)
    assert not found.exercise_now


@MODELS
def test_the_critical_spot_of_a_call_is_where_the_dividend_is_worth_its_time_value(
    model: DividendModel,
) -> None:
    dividend, left = Dividend(0.1, 2.0), 0.25

    found = american_discrete(100.0, 95.0, 0.1 + left, 0.05, [dividend], 0.25, True, model=model)

    [critical] = found.critical_spots
    held = european(critical - 2.0, 95.0, left, 0.05, 0.0, 0.25, True).price
    assert critical - 95.0 == pytest.approx(held, abs=5e-3)
    assert european(critical - 3.0, 95.0, left, 0.05, 0.0, 0.25, True).price > critical - 1.0 - 95.0


def test_the_critical_spot_of_a_put_is_its_exercise_boundary_after_the_dividend() -> None:
    found = american_discrete(100.0, 105.0, 0.6, 0.05, [Dividend(0.1, 2.0)], 0.25, False)

    [critical] = found.critical_spots
    inside, outside = (american(critical * x, 105.0, 0.5, 0.05, 0.0, 0.25, False) for x in (0.99, 1.01))
    assert inside.price == pytest.approx(105.0 - 0.99 * critical, abs=2e-3)
    assert outside.price > 105.0 - 1.01 * critical + 2e-3


@MODELS
def test_a_call_deep_in_the_money_is_exercised_for_its_dividend_and_not_before(model: DividendModel) -> None:
    dividends = [Dividend(0.05, 0.01), Dividend(0.15, 3.0)]

    found = american_discrete(100.0, [60.0, 100.0], 0.2, 0.04, dividends, 0.2, True, model=model)

    assert found.exercise_years[0] == 0.15
    assert not found.exercise_now.any()
    assert found.critical_spots[0, 1] < 100.0
    waits = 100.0 - 60.0 * np.exp(-0.04 * 0.15) - 0.01 * np.exp(-0.04 * 0.05)
    assert found.price[0] == pytest.approx(waits, abs=5e-3)


def test_a_put_waits_for_the_dividend_even_where_it_would_be_exercised_without() -> None:
    book = (100.0, 130.0, 0.5, 0.05)

    plain = american_discrete(*book, (), 0.2, False)
    waits = american_discrete(*book, [Dividend(0.02, 3.0)], 0.2, False)

    assert plain.exercise_now
    assert plain.exercise_years == 0.0
    assert (float(plain.price), float(plain.delta), float(plain.theta)) == (30.0, -1.0, 0.0)
    assert not waits.exercise_now
    assert waits.exercise_years == 0.02
    assert waits.price == pytest.approx(30.0 + 3.0 - 130.0 * 0.05 * 0.02, abs=5e-3)


@MODELS
def test_dividends_gone_or_beyond_expiry_do_not_touch_the_contract(model: DividendModel) -> None:
    told = [Dividend(-0.1, 2.0), Dividend(0.0, 2.0), Dividend(0.5, 2.0)]

    found = american_discrete(100.0, 95.0, [0.3, 0.6], 0.04, told, 0.25, True, model=model)

    alone = american_discrete(100.0, 95.0, 0.3, 0.04, (), 0.25, True)
    assert found.price[0] == alone.price
    assert found.price[1] < american_discrete(100.0, 95.0, 0.6, 0.04, (), 0.25, True).price
    assert np.isnan(found.critical_spots[:, 0]).tolist() == [True, False]


@MODELS
def test_the_order_of_the_schedule_does_not_matter(model: DividendModel) -> None:
    told = [Dividend(0.1, 0.5), Dividend(0.3, 1.0), Dividend(0.2, 0.7)]

    found, sorted_first = (
        american_discrete(100.0, 95.0, 0.5, 0.04, order, 0.25, True, model=model)
        for order in (told, sorted(told))
    )

    assert found.price == sorted_first.price


def test_the_escrowed_model_needs_a_higher_volatility_for_the_same_price() -> None:
    dividends = [Dividend(0.25, 4.0)]

    spot = american_discrete(100.0, 100.0, 0.5, 0.03, dividends, 0.3, False)
    escrowed = [
        american_discrete(100.0, 100.0, 0.5, 0.03, dividends, vol, False, model=DividendModel.ESCROWED).price
        for vol in (0.3, 0.3 * 100.0 / 96.0)
    ]

    assert escrowed[0] < spot.price < escrowed[1]


@settings(max_examples=25, deadline=None)
@given(
    moneyness=st.floats(0.7, 1.4),
    years=st.floats(0.02, 2.0),
    rate=st.floats(0.0, 0.08),
    vol=st.floats(0.05, 0.9),
    amounts=st.lists(st.floats(0.0, 3.0), max_size=3),
    is_call=st.booleans(),
    model=st.sampled_from(DividendModel),
)
def test_is_worth_at_least_exercise_and_more_dividends_help_puts_and_hurt_calls(
    moneyness: float,
    years: float,
    rate: float,
    vol: float,
    amounts: list[float],
    is_call: bool,
    model: DividendModel,
) -> None:
    strike = 100.0 * moneyness
    dividends = [Dividend(years * (i + 1) / 4, amount) for i, amount in enumerate(amounts)]

    found = american_discrete(100.0, strike, years, rate, dividends, vol, is_call, model=model)

    none = american_discrete(100.0, strike, years, rate, (), vol, is_call, model=model)
    assert found.price >= max(0.0, 100.0 - strike if is_call else strike - 100.0) - 1e-9
    assert 0.0 <= (found.delta if is_call else -found.delta) <= 1.0 + 1e-6
    # Escrow takes volatility away from a put as well.
    hurt = none.price - found.price if is_call else found.price - none.price
    assert hurt >= -2e-3 or model is DividendModel.ESCROWED
    assert found.price <= (100.0 if is_call else strike)


def test_a_large_dividend_leaves_a_price_between_its_bounds() -> None:
    for model in DividendModel:
        found = american_discrete(
            100.0, [50.0, 100.0], 0.5, 0.03, [Dividend(0.2, 60.0)], 0.3, [True, False], model=model
        )

        assert np.isfinite(found.price).all()
        assert found.price[0] == pytest.approx(100.0 - 50.0 * np.exp(-0.03 * 0.2), rel=0.01)
        assert 59.0 < found.price[1] < 100.0


@pytest.mark.parametrize("seconds", [60.0, 1.0])
def test_the_last_moments_are_priced_like_any_other(seconds: float) -> None:
    years = seconds / (365 * 86400)
    strikes = 100.0 * np.exp(np.array([-2.0, -0.5, 0.0, 0.5, 2.0]) * 0.2 * np.sqrt(years))

    found = american_discrete(100.0, strikes, years, 0.05, (), 0.2, True)

    assert found.price == pytest.approx(european(100.0, strikes, years, 0.05, 0.0, 0.2, True).price, abs=1e-6)


def test_at_expiry_the_intrinsic_value_is_left() -> None:
    found = american_discrete(100.0, [90.0, 100.0, 110.0], 0.0, 0.05, [Dividend(0.1, 1.0)], 0.2, True)

    assert found.price.tolist() == [10.0, 0.0, 0.0]
    assert found.delta.tolist() == [1.0, 0.0, 0.0]
    assert found.exercise_now.tolist() == [True, False, False]


def test_without_volatility_the_best_moment_is_known() -> None:
    found = american_discrete(100.0, 90.0, 0.5, 0.05, [Dividend(0.25, 5.0)], 0.0, True)

    assert found.price == pytest.approx(100.0 - 90.0 * np.exp(-0.05 * 0.25), abs=0.02)


def test_a_row_with_nan_is_nan_throughout_and_its_neighbours_are_not() -> None:
    found = american_discrete(100.0, [95.0, np.nan], 0.5, 0.04, [Dividend(0.2, 1.0)], 0.25, [True, True])

    alone = american_discrete(100.0, 95.0, 0.5, 0.04, [Dividend(0.2, 1.0)], 0.25, True)
    assert found.price[0] == alone.price
    assert np.isnan([x[1] for x in found[:4]]).all()
    assert np.isnan(found.critical_spots[1]).all()
    assert not found.exercise_now[1]


@pytest.mark.parametrize("shape", [(), (0,), (2, 2)])
def test_the_shape_that_goes_in_comes_out(shape: tuple[int, ...]) -> None:
    found = american_discrete(100.0, np.full(shape, 95.0), 0.5, 0.04, [Dividend(0.2, 1.0)], 0.25, True)

    assert [np.shape(x) for x in found[:5]] == [shape] * 5
    assert found.critical_spots.shape == (*shape, 1)


@pytest.mark.parametrize(
    "dividend", [Dividend(0.1, -1.0), Dividend(np.nan, 1.0), Dividend(0.1, np.inf), Dividend(np.inf, 1.0)]
)
def test_a_dividend_that_cannot_be_is_refused(dividend: Dividend) -> None:
    with pytest.raises(ValueError, match="a dividend needs finite years and an amount of at least 0"):
        american_discrete(100.0, 95.0, 0.5, 0.04, [dividend], 0.25, True)


def test_a_number_no_option_can_have_is_refused_by_name() -> None:
    with pytest.raises(ValueError, match="strike must be positive"):
        american_discrete(100.0, [95.0, -1.0], 0.5, 0.04, (), 0.25, True)
