"""Zero rates out of Treasury yields: by hand, by property, and on sixty years of real yields."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, date, datetime, timedelta
from math import exp, log
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wsb_core.domain.errors import BadResponse, ProviderUnavailable
from wsb_core.domain.events import Yields
from wsb_core.domain.quotes import FeedClass, Provenance
from wsb_core.market.rates import ZeroCurve, bill_rate, bootstrap, zero_curve

DAY = date(2024, 5, 2)
TENORS = (1 / 12, 0.25, 0.5, 1.0, 2.0, 3.0, 5.0, 7.0, 10.0, 20.0, 30.0)
CMT = dict(zip(("m1", "m3", "m6", "y1", "y2", "y3", "y5", "y7", "y10", "y20", "y30"), TENORS, strict=True))


def yields_of(percent: Mapping[float, float], day: date = DAY, known: datetime | None = None) -> Yields:
    seen = known or datetime(day.year, day.month, day.day, 22, tzinfo=UTC)
    return Yields(day, percent, Provenance("treasury", FeedClass.DELAYED, seen))


def par_price(curve: ZeroCurve, tenor: float, percent: float) -> float:
    """What the par bond of a tenor is worth on the curve: 1 when it is priced right."""
    if tenor <= 0.5:
        return (1 + percent / 200) ** (2 * tenor) * curve.discount(tenor)
    coupons = np.arange(1, round(2 * tenor) + 1) / 2
    return float(percent / 200 * curve.discount(coupons).sum()) + curve.discount(tenor)


@pytest.mark.parametrize("tenor", [1 / 12, 0.25, 0.5])
def test_up_to_half_a_year_the_rate_is_the_bond_equivalent_yield_compounded_without_end(tenor: float) -> None:
    curve = bootstrap(yields_of({tenor: 5.0}))

    assert curve.rate(tenor) == pytest.approx(2 * log(1.025), abs=1e-15)


def test_longer_rates_are_stripped_of_their_coupons() -> None:
    """By hand: d(1) = (1 - 0.02 d(0.5)) / 1.02, and so on: each tenor's par bond is worth 100."""
    first = 1 / 1.01
    second = (1 - 0.015 * first) / 1.015
    third = (1 - 0.02 * (first + second)) / 1.02

    curve = bootstrap(yields_of({0.5: 2.0, 1.0: 3.0, 1.5: 4.0}))

    assert curve.discount(np.array([0.5, 1.0, 1.5])) == pytest.approx([first, second, third], abs=1e-14)


def test_a_flat_par_curve_is_a_flat_zero_curve() -> None:
    curve = bootstrap(yields_of(dict.fromkeys(TENORS, 4.0)))

    assert curve.rate(np.linspace(0, 40, 81)) == pytest.approx(2 * log(1.02), abs=1e-14)


def test_between_tenors_the_forward_rate_is_constant() -> None:
    curve = bootstrap(yields_of({0.25: 1.0, 0.5: 3.0}))

    near, far = 0.25 * curve.rate(0.25), 0.5 * curve.rate(0.5)
    assert 0.375 * curve.rate(0.375) == pytest.approx((near + far) / 2, abs=1e-15)


def test_outside_the_tenors_the_rate_is_flat_and_says_so() -> None:
    curve = bootstrap(yields_of({0.25: 5.0, 10.0: 4.0}))

    assert curve.rate(0.0) == curve.rate(0.01) == curve.rate(0.25)
    assert curve.rate(30.0) == curve.rate(10.0)
    assert curve.extrapolated(np.array([0.0, 0.24, 0.25, 10.0, 10.1])).tolist() == [
        True,
        True,
        False,
        False,
        True,
    ]
    assert curve.extrapolated(5.0) is False


def test_rates_and_discounts_have_the_shape_of_the_years() -> None:
    curve = bootstrap(yields_of({0.25: 5.0, 10.0: 4.0}))
    years = np.array([[0.1, 1.0, np.nan], [0.0, 5.0, 20.0]])

    rates, discounts = curve.rate(years), curve.discount(years)

    assert rates.shape == discounts.shape == years.shape
    assert np.isnan(rates[0, 2])
    assert np.isnan(discounts[0, 2])
    assert discounts[1, 0] == 1.0
    assert rates[1, 1] == curve.rate(5.0)
    assert isinstance(curve.rate(5.0), float)
    assert discounts[1, 1] == pytest.approx(exp(-5 * curve.rate(5.0)), abs=1e-15)


def test_negative_years_are_refused() -> None:
    curve = bootstrap(yields_of({0.25: 5.0}))

    with pytest.raises(ValueError, match=r"years must not be negative, not -0\.1"):
        curve.rate(-0.1)


def test_a_bill_is_priced_as_the_treasury_prices_it() -> None:
    """31 CFR 356, appendix B: at 7.930 percent and 20 days the price is 99.559444."""
    assert exp(-bill_rate(7.93, 20) * 20 / 365) == pytest.approx(0.99559444, abs=5e-9)


def test_a_discount_that_is_given_stands_in_for_the_par_yield_of_its_tenor() -> None:
    curve = bootstrap(yields_of({0.25: 1.0, 1.0: 5.0}), bills={91: 5.0})

    assert curve.years == (91 / 365, 1.0)
    assert curve.rate(91 / 365) == bill_rate(5.0, 91)
    assert par_price(curve, 1.0, 5.0) == pytest.approx(1, abs=1e-12)


@pytest.mark.parametrize("discount", [400.0, float("nan")])
def test_a_discount_that_no_price_fits_is_refused(discount: float) -> None:
    with pytest.raises(BadResponse, match="no price fits a bill of 91 days"):
        bill_rate(discount, 91)


@pytest.mark.parametrize(
    ("percent", "named"),
    [
        ({}, "2024-05-02 have no tenor"),
        ({1.0: float("nan")}, "nan percent at 1 years is no yield"),
        ({1.0: 250.0}, "250.0 percent at 1 years is no yield"),
        ({0.75: 4.0}, "0.75 years is no number of half years"),
        ({-1.0: 4.0}, "-1.0 years is no number of half years"),
        ({20.0: 0.0, 30.0: 6.0}, "no discount factor at 30 years fits 6 percent"),
        ({1.0: 0.0, 30.0: -99.0}, "no discount factor at 30 years fits -99 percent"),
    ],
    ids=["none", "no number", "impossible", "odd tenor", "negative tenor", "too high", "too low"],
)
def test_yields_that_make_no_curve_are_refused_by_tenor(percent: dict[float, float], named: str) -> None:
    with pytest.raises(BadResponse, match=named):
        bootstrap(yields_of(percent))


def some_curves() -> st.SearchStrategy[dict[float, float]]:
    tenors = st.lists(st.sampled_from(TENORS), min_size=1, max_size=11, unique=True)
    return st.floats(-0.4, 6.0).flatmap(
        lambda level: tenors.flatmap(
            lambda them: st.fixed_dictionaries({t: st.floats(level - 0.5, level + 0.5) for t in them})
        )
    )


@given(some_curves())
@settings(max_examples=150, deadline=None)
def test_every_curve_reprices_its_own_par_yields(percent: dict[float, float]) -> None:
    curve = bootstrap(yields_of(percent))

    worth = [par_price(curve, tenor, yields) for tenor, yields in percent.items()]

    assert worth == pytest.approx([1.0] * len(percent), abs=1e-10)
    assert min(curve.discount(np.linspace(0, 40, 200))) > 0


@given(st.lists(st.floats(0.0, 0.12), min_size=len(TENORS), max_size=len(TENORS)))
@settings(max_examples=80, deadline=None)
def test_a_curve_of_forward_rates_that_are_not_negative_is_found_again_and_never_rises(
    forwards: list[float],
) -> None:
    """Par yields of a known curve: the curve that is made of them is the known one."""
    edges = np.array([0.0, *TENORS])
    logs = np.concatenate(([0.0], -np.cumsum(np.array(forwards) * np.diff(edges))))
    worth = lambda at: np.exp(np.interp(at, edges, logs))  # noqa: E731
    percent = {
        t: 200 * (float(worth(t)) ** (-1 / (2 * t)) - 1)
        if t <= 0.5
        else 200 * float((1 - worth(t)) / worth(np.arange(1, round(2 * t) + 1) / 2).sum())
        for t in TENORS
    }

    curve = bootstrap(yields_of(percent))

    fine = np.linspace(0, 30, 241)
    assert curve.discount(fine) == pytest.approx(worth(fine), abs=1e-10)
    assert (np.diff(curve.discount(fine)) <= 1e-12).all()


def test_the_newest_yields_that_were_known_are_taken() -> None:
    """Those of the day itself come in the evening: at ten in the morning there are yesterday's."""
    before, today = yields_of({1.0: 4.0}, date(2024, 5, 1)), yields_of({1.0: 5.0}, DAY)
    empty = yields_of({}, DAY, datetime(2024, 5, 2, 12, tzinfo=UTC))

    morning = zero_curve([today, empty, before], datetime(2024, 5, 2, 14, tzinfo=UTC))
    night = zero_curve([today, before], datetime(2024, 5, 2, 23, tzinfo=UTC))

    assert (morning.day, night.day) == (date(2024, 5, 1), DAY)


def test_yields_are_good_for_five_days_and_then_refused_with_their_age() -> None:
    published = [yields_of({1.0: 4.0}, DAY)]

    assert zero_curve(published, datetime(2024, 5, 7, 20, tzinfo=UTC)).day == DAY
    with pytest.raises(
        ProviderUnavailable, match="of 2024-05-02 are 6 days old on 2024-05-08, over 5; fetch"
    ):
        zero_curve(published, datetime(2024, 5, 8, 20, tzinfo=UTC))
    assert zero_curve(published, datetime(2024, 5, 8, 20, tzinfo=UTC), timedelta(days=6)).day == DAY


@pytest.mark.parametrize("published", [[], [yields_of({})], [yields_of({1.0: 4.0}, date(2024, 5, 3))]])
def test_no_yields_are_no_rate(published: list[Yields]) -> None:
    with pytest.raises(ProviderUnavailable, match="no Treasury yields are known at 2024-05-02"):
        zero_curve(published, datetime(2024, 5, 2, 20, tzinfo=UTC))


@pytest.fixture(scope="module")
def history(shared: Path) -> pd.DataFrame:
    path = shared / "data" / "rates" / "treasury_cmt_daily.parquet"
    if not path.exists():
        pytest.skip("needs the Treasury yields (WSB_SHARED)")
    return pd.read_parquet(path).set_index("date").rename(columns=CMT)


def real_curves(history: pd.DataFrame, step: int) -> Iterator[tuple[dict[float, float], ZeroCurve]]:
    for day, row in history.dropna(how="all").iloc[::step].iterrows():
        percent = {float(tenor): float(value) for tenor, value in row.dropna().items()}
        yield percent, bootstrap(yields_of(percent, pd.Timestamp(day).date()))


def test_real_curves_of_sixty_years_reprice_their_yields(history: pd.DataFrame) -> None:
    curves = list(real_curves(history, step=20))

    off = [abs(par_price(curve, t, y) - 1) for percent, curve in curves for t, y in percent.items()]

    assert len(curves) > 700
    assert max(off) < 1e-10


def test_real_rates_lie_by_their_yields_and_discounts_fall(history: pd.DataFrame) -> None:
    """A zero rate is below its par yield by compounding, and off it by the slope of the curve."""
    curves = [(p, c) for p, c in real_curves(history.loc["1990":"2008"], step=10) if min(p.values()) > 0.5]

    fine = np.linspace(0, 30, 121)
    gaps = [p[10.0] / 100 - c.rate(10.0) for p, c in curves]

    assert len(curves) > 400
    assert all((np.diff(c.discount(fine)) < 0).all() for _, c in curves)
    assert all(-0.01 < gap < 0.01 for gap in gaps)
