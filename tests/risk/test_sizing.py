from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.builders import DIP_BOT, a_book, a_call, a_put
from wsb_core.domain.ids import cash, price
from wsb_core.domain.structures import Structure, StructureLeg, single
from wsb_core.risk.limits import RiskLimits
from wsb_core.risk.sizing import (
    drawdown_scale,
    kelly_at_risk,
    kelly_contracts,
    kelly_of_trades,
    kelly_position,
    size,
    trade_budget,
    trade_share,
    unit_loss,
    units,
    win_rate_floor,
)
from wsb_core.strategies import STRATEGIES

STRATEGY = STRATEGIES[DIP_BOT]
LIMITS = RiskLimits()
NONE = cash(0)


def sized(book=None, limit="-4.00", available="100000", strategy=STRATEGY, pending="0"):
    power = None if available is None else cash(available)
    return size(single(a_call()), price(limit), book or a_book(), strategy, LIMITS, cash(pending), power)


def test_counts_the_multiplier_and_the_fees():
    # 1 % of 100,000 is 1,000; a contract at 4.00 can lose 400 and ten cents of fees.
    assert sized().quantity == 2
    assert sized().unit_loss == Decimal("400.10")
    # At 5.00 two contracts would fit without fees, and do not with them.
    assert sized(limit="-5.00").quantity == 1


def test_a_budget_below_one_contract_buys_none():
    assert sized(limit="-10.00").quantity == 0


def test_buying_power_caps_the_size_and_unknown_buying_power_is_none():
    assert sized(available="799").quantity == 1
    assert sized(available="-5").quantity == 0
    assert sized(available=None).quantity == 0


def test_a_missing_equity_figure_sizes_nothing():
    assert sized(a_book(equity_at_open=None)).quantity == 0
    assert sized(a_book(peak_equity=None)).quantity == 0


def test_the_budget_uses_the_lower_of_now_and_the_open_less_what_is_pending():
    gained = a_book(equity="120000", equity_at_open=cash(100_000))
    lost = a_book(equity="98000", equity_at_open=cash(100_000), peak_equity=cash(100_000))

    assert trade_budget(gained, STRATEGY, LIMITS, NONE) == 1_000
    assert trade_budget(lost, STRATEGY, LIMITS, NONE) == 980
    assert trade_budget(gained, STRATEGY, LIMITS, cash(10_000)) == 900


def test_a_strategy_may_lower_the_share_and_never_raise_it():
    timid, bold = replace(STRATEGY, max_risk_per_trade=0.005), replace(STRATEGY, max_risk_per_trade=0.5)

    assert trade_share(timid, LIMITS) == Decimal("0.005")
    assert trade_share(bold, LIMITS) == Decimal("0.01")
    assert trade_share(bold, RiskLimits(max_loss_per_trade=Decimal("0.02"))) == Decimal("0.02")


@pytest.mark.parametrize(
    ("equity", "scale"),
    [(100, "1"), (96, "1"), (95, "0.75"), (91, "0.75"), (90, "0.5"), (86, "0.5"), (85, "0"), (1, "0")],
)
def test_size_steps_down_the_drawdown_ladder(equity, scale):
    assert drawdown_scale(cash(equity), cash(100), LIMITS) == Decimal(scale)


def test_a_naked_call_bounds_nothing_and_a_structure_that_cannot_lose_is_mispriced():
    naked = single(a_call(), -1)
    vertical = Structure((StructureLeg(a_put("95"), -1), StructureLeg(a_put("90"), 1)))

    assert unit_loss(naked, price("4.00"), LIMITS) is None
    assert unit_loss(vertical, price("6.00"), LIMITS) is None
    assert unit_loss(vertical, price("1.50"), LIMITS) == Decimal("350.20")


@given(budget=st.decimals(-10, 100_000, places=2), loss=st.decimals(-10, 10_000, places=2))
def test_units_never_cost_more_than_the_budget(budget, loss):
    found = units(cash(budget), cash(loss))

    assert found >= 0
    assert found * loss <= max(budget, 0)


@given(
    equity=st.integers(1, 10_000_000),
    limit=st.decimals("0.01", "200", places=2),
    power=st.integers(-1_000, 10_000_000),
    pending=st.integers(0, 1_000_000),
)
def test_sizing_never_exceeds_budget_or_buying_power(equity, limit, power, pending):
    found = sized(a_book(equity=str(equity)), f"-{limit}", str(power), pending=str(pending))

    spent = found.quantity * found.unit_loss

    assert spent <= max(0, power)
    assert spent <= found.budget <= Decimal(equity) / 100


def test_kelly_is_the_share_to_lose_and_the_position_is_that_over_the_loss():
    # p = 0.6, W = 1.5, L = 0.45: 0.48 of equity at risk, 1.07 of equity in the position.
    assert kelly_at_risk(0.6, 1.5, 0.45) == pytest.approx(0.48)
    assert kelly_position(0.6, 1.5, 0.45) == pytest.approx(0.6 / 0.45 - 0.4 / 1.5)
    # The textbook's other form of it, (pW - qL)/W.
    assert kelly_at_risk(0.6, 1.5, 0.45) == pytest.approx((0.6 * 1.5 - 0.4 * 0.45) / 1.5)
    # Even money at 60 %: a fifth.
    assert kelly_at_risk(0.6, 1, 1) == pytest.approx(0.2)


@pytest.mark.parametrize("bet", [(0.5, 1, 1), (0.3, 1, 1), (float("nan"), 1, 1), (0.6, 0, 1), (0.6, 1, 0)])
def test_without_an_edge_or_with_a_missing_figure_kelly_bets_nothing(bet):
    assert kelly_at_risk(*bet) == 0
    assert kelly_position(*bet) == 0


def test_kelly_over_trades_finds_the_textbook_bet():
    coin = [1.0] * 60 + [-1.0] * 40
    skewed = [1.5] * 60 + [-0.45] * 40

    assert kelly_of_trades(coin) == pytest.approx(0.2)
    assert kelly_of_trades(skewed) == pytest.approx(kelly_position(0.6, 1.5, 0.45))


@pytest.mark.parametrize(
    "returns",
    [[1.0, -0.5] * 14, [0.5, -0.5] * 20, [0.1] * 40, [float("nan")] * 40],
    ids=["too few", "no edge", "never lost", "not numbers"],
)
def test_kelly_over_trades_bets_nothing_on_a_sample_that_proves_nothing(returns):
    assert kelly_of_trades(returns) == 0


def test_a_win_rate_is_shrunk_to_its_lower_bound():
    # Wilson, one-sided 95 %, 24 of 40: (0.6 + 0.03382 - 1.645 sqrt(0.006 + 0.000423)) / 1.06765 = 0.4702.
    assert win_rate_floor(24, 40) == pytest.approx(0.4702, abs=1e-4)
    assert win_rate_floor(20, 20) == 0


def test_kelly_contracts_count_the_multiplier_and_are_not_forced_to_one():
    # A quarter of 0.2 of 100,000 is 5,000; half of a 4.00 premium is 200 a contract.
    assert kelly_contracts(cash(100_000), 0.2, 0.25, price(4), 0.5) == 25
    assert kelly_contracts(cash(1_000), 0.2, 0.25, price(4), 0.5) == 0
    assert kelly_contracts(cash(100_000), 0.0, 0.25, price(4), 0.5) == 0
