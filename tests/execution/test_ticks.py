"""Where a limit may rest: class, price, and the number of legs decide."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.builders import AAPL, a_call
from wsb_core.domain.contracts import Share
from wsb_core.domain.structures import Structure, StructureLeg, single
from wsb_core.execution.ticks import (
    CENTS,
    INDEX_PACKAGE,
    PENNY,
    PENNY_CLASSES,
    SHARES,
    STANDARD,
    Grid,
    grid_of,
)
from wsb_core.strategies import STRATEGIES

GRIDS = (CENTS, PENNY, STANDARD, SHARES, INDEX_PACKAGE)
prices = st.decimals("-500", "500", places=6)


def spread(root: str) -> Structure:
    legs = (a_call("100", underlying=root), a_call("105", underlying=root))
    return Structure((StructureLeg(legs[0], 1), StructureLeg(legs[1], -1)))


@pytest.mark.parametrize(
    ("structure", "grid"),
    [
        (single(a_call(underlying="SPY")), CENTS),
        (single(a_call(underlying="QQQ")), CENTS),
        (single(a_call(underlying="IWM")), CENTS),
        (single(a_call(underlying="AAPL")), PENNY),
        (single(a_call(underlying="OBSCURE"[:6])), STANDARD),
        (single(a_call(underlying="SPX")), STANDARD),
        (single(a_call(underlying="SPXW")), STANDARD),
        (single(a_call(underlying="VIX")), STANDARD),
        (spread("AAPL"), CENTS),
        (spread("OBSCUR"), CENTS),
        (spread("SPXW"), INDEX_PACKAGE),
        (single(Share(AAPL)), SHARES),
    ],
)
def test_the_grid_follows_from_class_and_legs(structure: Structure, grid: Grid) -> None:
    assert grid_of(structure) is grid


@pytest.mark.parametrize(
    ("grid", "price", "tick"),
    [
        (PENNY, "2.99", "0.01"),
        (PENNY, "3.00", "0.05"),
        (PENNY, "-3.00", "0.05"),
        (STANDARD, "2.95", "0.05"),
        (STANDARD, "-12", "0.10"),
        (CENTS, "40", "0.01"),
        (SHARES, "0.9999", "0.0001"),
        (SHARES, "1", "0.01"),
        (INDEX_PACKAGE, "7", "0.05"),
    ],
)
def test_ticks_grow_with_the_price(grid: Grid, price: str, tick: str) -> None:
    assert grid.tick(Decimal(price)) == Decimal(tick)


@given(st.sampled_from(GRIDS), prices, st.booleans())
def test_a_rounded_price_is_on_the_grid_on_the_asked_side_and_within_a_tick(grid, price, favour) -> None:
    rounded = grid.round(price, favour=favour)

    assert grid.holds(rounded)
    assert abs(rounded - price) < grid.high
    assert (rounded >= price) if favour else (rounded <= price)


@given(st.sampled_from(GRIDS), prices, st.booleans())
def test_rounding_twice_changes_nothing(grid, price, favour) -> None:
    once = grid.round(price, favour=favour)

    assert grid.round(once, favour=not favour) == once


@given(prices)
def test_the_coarse_grid_of_an_unlisted_class_lies_within_the_fine_ones(price) -> None:
    rounded = STANDARD.round(price, favour=True)

    assert PENNY.holds(rounded)
    assert CENTS.holds(rounded)


def test_the_shares_that_the_strategies_trade_are_known_classes() -> None:
    traded = {str(name).replace(".", "") for each in STRATEGIES.values() for name in each.universe}

    assert len(traded & PENNY_CLASSES) >= 0.9 * len(traded), sorted(traded - PENNY_CLASSES)
