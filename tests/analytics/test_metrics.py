"""Every expected figure is worked out in the test, or printed in the source named there."""

from __future__ import annotations

import math
from datetime import date

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wsb_core.analytics import metrics as m

ROOT = math.sqrt(252)
SEESAW = (0.02, -0.01) * 30
LADDER = tuple(step / 10_000 for step in range(-30, 31))
FLAT = (0.0,) * 60
RISING = (0.001, 0.003) * 30
returns_lists = st.lists(st.floats(-0.5, 1.0), min_size=1, max_size=80)


def test_total_return_compounds():
    assert m.total_return((0.10, -0.10)) == pytest.approx(-0.01, abs=1e-12)
    assert m.total_return(()) == 0


def test_returns_start_from_the_initial_capital():
    returns = m.daily_returns(100_000, (50_000, 55_000))

    assert returns == pytest.approx((-0.5, 0.1), abs=1e-12)


def test_money_paid_in_is_not_a_gain():
    returns = m.daily_returns(1_000, (1_100, 1_600), (0, 500))

    assert returns == pytest.approx((0.1, 0.0), abs=1e-12)


def test_equity_that_is_gone_has_no_next_return():
    with pytest.raises(ValueError, match=r"equity\[1\]"):
        m.daily_returns(1_000, (0, 10))


def test_cagr_counts_calendar_days():
    start, end = date(2019, 1, 1), date(2023, 1, 1)  # 1461 days: exactly four times 365.25

    assert m.cagr((0.21, 0.21), start, end) == pytest.approx(1.21**0.5 - 1, abs=1e-12)


def test_a_short_span_is_not_annualised():
    assert m.cagr((0.05,), date(2024, 1, 1), date(2024, 12, 30)) == m.NotEnough(364, 365, "calendar days")


def test_cagr_of_a_total_loss_is_minus_one():
    assert m.cagr((-1.0,), date(2020, 1, 1), date(2022, 1, 1)) == -1.0


def test_volatility_is_the_sample_deviation_over_a_year():
    # 60 deviations of 0.015 around a mean of 0.005
    assert m.volatility(SEESAW) == pytest.approx(0.015 * math.sqrt(60 / 59) * ROOT, abs=1e-9)


def test_sharpe_is_mean_over_deviation():
    assert m.sharpe(SEESAW) == pytest.approx(0.005 / (0.015 * math.sqrt(60 / 59)) * ROOT, abs=1e-9)


def test_sharpe_takes_the_risk_free_rate_off_each_day():
    yearly = 1.0001**252 - 1

    assert m.sharpe(SEESAW, yearly) == pytest.approx(0.0049 / (0.015 * math.sqrt(60 / 59)) * ROOT, abs=1e-9)


def test_sortino_divides_by_all_days():
    downside = math.sqrt(30 * 0.01**2 / 60)

    assert m.sortino(SEESAW) == pytest.approx(0.005 / downside * ROOT, abs=1e-9)


def test_flat_equity_has_no_ratio_and_says_why():
    assert m.sharpe(FLAT) == m.Undefined("returns do not vary")
    assert m.sortino(FLAT) == m.Undefined("no day below the risk-free rate")
    assert m.volatility(FLAT) == 0


def test_returns_that_never_fall_have_a_sharpe_and_no_sortino():
    assert m.sharpe(RISING) == pytest.approx(0.002 / (0.001 * math.sqrt(60 / 59)) * ROOT, abs=1e-9)
    assert m.sortino(RISING) == m.Undefined("no day below the risk-free rate")
    assert m.max_drawdown(RISING).depth == 0


@pytest.mark.parametrize(
    "figure",
    [m.sharpe, m.sortino, m.volatility, m.value_at_risk, m.expected_shortfall, lambda r: m.against(r, r)],
)
def test_fifty_nine_returns_are_not_enough(figure):
    assert figure(SEESAW[:59]) == m.NotEnough(59, 60)
    assert not isinstance(figure(SEESAW), m.NotEnough)


def test_value_at_risk_is_the_fourth_lowest_of_sixty_one():
    # place (61 - 1) x 5% = 3, counted from 0: -30, -29, -28, -27 basis points
    assert m.value_at_risk(LADDER) == pytest.approx(-0.0027, abs=1e-12)
    assert m.expected_shortfall(LADDER) == pytest.approx(-0.00285, abs=1e-12)


def test_value_at_risk_lies_between_two_days_when_the_place_does():
    # 101 values -50..50 with one more at the top: place 101 x 5% = 5.05 between -45 and -44
    values = tuple(step / 100_000 for step in (*range(-50, 51), 60))

    assert m.value_at_risk(values) == pytest.approx(-44.95e-5, abs=1e-12)
    assert m.expected_shortfall(values) == pytest.approx(-47.5e-5, abs=1e-12)


def test_a_loss_on_the_first_day_is_a_drawdown():
    assert m.max_drawdown((-0.5, 0.0)) == m.Drawdown(-0.5, peak=0, trough=1, recovered=None, length=2)


def test_drawdown_runs_from_its_peak_until_the_peak_is_seen_again():
    returns = (0.25, -0.20, 0.10, 0.25, -0.01)  # 1 1.25 1.0 1.1 1.375 1.36125

    fall = m.max_drawdown(returns)

    assert fall.depth == pytest.approx(-0.2, abs=1e-12)
    assert (fall.peak, fall.trough, fall.recovered, fall.length) == (1, 2, 4, 3)


def test_underwater_is_zero_at_every_new_high():
    assert m.underwater((0.25, -0.20, 0.5)) == pytest.approx((0.0, -0.2, 0.0), abs=1e-12)


@pytest.mark.parametrize(
    ("wins", "n", "low", "high"),
    # Newcombe, "Two-sided confidence intervals for the single proportion", 1998, table I, method 3.
    [(81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0.0, 0.1611), (1, 29, 0.0061, 0.1718)],
)
def test_win_rate_has_the_published_wilson_interval(wins, n, low, high):
    found = m.win_rate([1.0] * wins + [-1.0] * (n - wins))

    assert found.rate == wins / n
    assert (found.low, found.high) == pytest.approx((low, high), abs=6e-5)


def test_break_even_is_not_a_win_and_no_trade_has_no_rate():
    assert m.win_rate((0.0, 5.0)).wins == 1
    assert m.win_rate(()) == m.NotEnough(0, 1, "closed trades")


def test_profit_factor_is_won_over_lost():
    assert m.profit_factor((300.0, -100.0, -50.0, 0.0)) == pytest.approx(2.0, abs=1e-12)


def test_profit_factor_without_a_loser_is_undefined_not_infinite():
    assert m.profit_factor((300.0,)) == m.Undefined("no losing trade")
    assert m.profit_factor(()) == m.NotEnough(0, 1, "closed trades")


@pytest.mark.parametrize(("gain", "loss", "needed"), [(25, 75, 0.75), (50, 200, 0.8), (50, 100, 2 / 3)])
def test_break_even_win_rate_pays_for_the_losses(gain, loss, needed):
    assert m.break_even_win_rate(gain, loss) == pytest.approx(needed, abs=1e-12)


def test_alpha_and_beta_are_found_again():
    own = tuple(0.0001 + 2 * b for b in LADDER)

    found = m.against(own, LADDER)

    assert found.beta == pytest.approx(2, abs=1e-9)
    assert found.alpha == pytest.approx(0.0252, abs=1e-9)
    # active return 1 bp + ladder: mean 1 bp, deviation of -30..30 bp over n - 1
    spread = math.sqrt(sum(step**2 for step in range(-30, 31)) / 60)
    assert found.information_ratio == pytest.approx(1 / spread * ROOT, abs=1e-9)


def test_a_benchmark_of_another_length_is_refused():
    with pytest.raises(ValueError, match="same sessions"):
        m.against(SEESAW, SEESAW[1:])


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
@pytest.mark.parametrize(
    "figure",
    [
        m.total_return,
        m.volatility,
        m.sharpe,
        m.sortino,
        m.max_drawdown,
        m.underwater,
        m.win_rate,
        m.profit_factor,
        m.value_at_risk,
        m.expected_shortfall,
        lambda values: m.daily_returns(1.0, values),
        lambda values: m.against(SEESAW, values),
        lambda values: m.cagr(values, date(2020, 1, 1), date(2023, 1, 1)),
    ],
)
def test_a_nan_is_refused_by_place(figure, bad):
    with pytest.raises(ValueError, match=r"\[(7|8)\]"):
        figure((*SEESAW[:7], bad, *SEESAW[8:]))


@settings(max_examples=60)
@given(returns_lists)
def test_drawdown_is_a_loss_no_deeper_than_all_and_matches_the_underwater_curve(returns):
    depth = m.max_drawdown(returns).depth

    assert -1 <= depth <= 0
    assert depth == pytest.approx(min(0.0, *m.underwater(returns)), abs=1e-12)


@settings(max_examples=60)
@given(st.lists(st.floats(-0.5, 1.0), min_size=60, max_size=90))
def test_the_shortfall_is_never_milder_than_the_value_at_risk(returns):
    assert m.expected_shortfall(returns) <= m.value_at_risk(returns) + 1e-12


@settings(max_examples=60)
@given(st.floats(1.0, 1e6), returns_lists)
def test_returns_rebuild_the_equity_they_came_from(initial, steps):
    equity = [initial := initial * (1 + step) for step in steps]
    first = equity[0] / (1 + steps[0])

    assert first * (1 + m.total_return(m.daily_returns(first, equity))) == pytest.approx(equity[-1], rel=1e-9)


@settings(max_examples=60)
@given(st.lists(st.floats(-1e4, 1e4), min_size=1, max_size=60))
def test_the_win_rate_lies_inside_its_interval(profits):
    found = m.win_rate(profits)

    assert 0 <= found.low <= found.rate + 1e-12
    assert found.rate - 1e-12 <= found.high <= 1
