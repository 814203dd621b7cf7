"""Prices of the walk: from mid, on the penny, toward the touch, and how far."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from tests.builders import a_call, a_market, a_proposal, a_quote
from wsb_core.domain.ids import Price
from wsb_core.domain.orders import Effect, Refusal
from wsb_core.domain.structures import Structure, StructureLeg
from wsb_core.execution.ticket import (
    ENTRY_WALK,
    EXIT_WALK,
    HARD_EXIT_WALK,
    Package,
    limit_at,
    next_limit,
    package_quote,
    ticket,
)
from wsb_core.execution.ticks import CENTS, INDEX_PACKAGE, PENNY, STANDARD
from wsb_core.execution.working import walk_for

pennies = st.integers(-3000, 3000)
widths = st.integers(0, 400)


@st.composite
def packages(draw: st.DrawFn) -> Package:
    """Net quotes on any grid: the touch is on it, the mid may be between two prices."""
    grid = draw(st.sampled_from([CENTS, PENNY, STANDARD, INDEX_PACKAGE]))
    touch = grid.round(Decimal(draw(pennies)) / 100, favour=False)
    width = Decimal(draw(widths)) / 100
    return Package(Price(touch + width / 2), touch, grid)


def walked(package: Package, walk, *, may_cross: bool = False) -> list[Price]:
    return [limit_at(package, walk, step, may_cross=may_cross) for step in range(walk.steps)]


@given(packages())
@settings(max_examples=200, deadline=None)
def test_an_entry_never_gives_up_more_than_half_of_the_half_spread(package: Package) -> None:
    cap = package.mid - (package.mid - package.touch) / 2

    assert min(walked(package, ENTRY_WALK)) >= cap


@given(packages())
@settings(max_examples=200, deadline=None)
def test_an_entry_ends_within_a_tick_of_its_cap(package: Package) -> None:
    cap = package.mid - (package.mid - package.touch) / 2

    assert walked(package, ENTRY_WALK)[-1] < cap + package.grid.high


@given(packages(), st.sampled_from([ENTRY_WALK, EXIT_WALK, HARD_EXIT_WALK]))
@settings(max_examples=200, deadline=None)
def test_every_limit_is_on_the_grid_and_none_is_better_than_the_one_before(package: Package, walk) -> None:
    limits = walked(package, walk, may_cross=walk is HARD_EXIT_WALK)

    assert all(package.grid.holds(limit) for limit in limits)
    assert limits == sorted(limits, reverse=True)


@given(packages(), st.sampled_from([ENTRY_WALK, EXIT_WALK]))
@settings(max_examples=200, deadline=None)
def test_a_walk_starts_at_mid_and_an_exit_ends_at_the_touch(package: Package, walk) -> None:
    limits, exits = walked(package, walk), walked(package, EXIT_WALK)

    assert 0 <= limits[0] - package.mid < package.grid.high
    assert exits[-1] == package.touch


@given(packages())
@settings(max_examples=200, deadline=None)
def test_a_hard_exit_starts_at_the_touch_and_never_pays_for_what_has_a_bid(package: Package) -> None:
    limits = walked(package, HARD_EXIT_WALK, may_cross=True)

    assert limits[0] == package.touch
    assert (min(limits) > 0) == (package.touch > 0)


@pytest.mark.parametrize(
    ("effect", "may_cross", "walk"),
    [
        (Effect.OPEN, False, ENTRY_WALK),
        (Effect.CLOSE, False, EXIT_WALK),
        (Effect.CLOSE, True, HARD_EXIT_WALK),
    ],
)
def test_the_walk_follows_from_what_the_order_is_for(effect: Effect, may_cross: bool, walk) -> None:
    assert walk_for(effect, may_cross=may_cross) is walk


LEGS = (a_call("105"), a_call("110"))
VERTICAL = Structure((StructureLeg(LEGS[0], 1), StructureLeg(LEGS[1], -1)))


def test_a_package_is_priced_net_and_signed_from_our_side() -> None:
    market = a_market(a_quote(LEGS[0]), a_quote(LEGS[1], bid="1.90", ask="2.00"))

    opened, closed = (package_quote(market, VERTICAL, effect) for effect in Effect)

    assert opened == Package(Price(Decimal("-2.05")), Price(Decimal("-2.14")), CENTS)
    assert closed == Package(Price(Decimal("2.05")), Price(Decimal("1.96")), CENTS)


@given(st.tuples(pennies, widths, pennies, widths))
@settings(max_examples=100, deadline=None)
def test_the_touch_of_a_package_is_never_better_than_its_mid(sides) -> None:
    (low, wide, other, narrow) = sides
    assume(low > 0 and other > 0)
    quotes = [
        a_quote(leg, bid=str(Decimal(bid) / 100), ask=str(Decimal(bid + width) / 100))
        for leg, bid, width in zip(LEGS, (low, other), (wide, narrow), strict=True)
    ]
    market = a_market(*quotes)

    found = [package_quote(market, VERTICAL, effect) for effect in Effect]

    assert all(package is not None and package.touch <= package.mid for package in found)


@pytest.mark.parametrize(("bid", "ask"), [(None, "4.04"), ("3.96", None), ("4.10", "4.04"), (None, None)])
@pytest.mark.parametrize("leg", [0, 1])
def test_a_package_with_a_leg_that_is_not_quoted_on_both_sides_is_refused(bid, ask, leg: int) -> None:
    quotes = [a_quote(contract) for contract in LEGS]
    quotes[leg] = a_quote(LEGS[leg], bid=bid, ask=ask)

    refused = ticket(a_proposal(VERTICAL), a_market(*quotes))

    assert isinstance(refused, Refusal)
    assert (refused.rule, refused.stage) == ("two_sided_quote", "gate")


def test_a_ticket_carries_the_worst_price_of_its_walk() -> None:
    priced = ticket(a_proposal(limit="-1.00"), a_market(a_quote(bid="3.80", ask="4.20")))

    assert not isinstance(priced, Refusal)
    assert priced.limit == Decimal("-4.10")


@pytest.mark.parametrize(
    ("bid", "ask", "limit"),
    [
        ("3.80", "4.20", Decimal("-4.10")),
        ("3.90", "4.30", Decimal("-4.10")),
        ("4.00", "4.40", None),
    ],
)
def test_an_entry_follows_the_market_up_to_what_risk_approved_and_no_further(bid, ask, limit) -> None:
    from tests.execution.test_working import approved

    order = approved(limit="-4.10").order

    assert next_limit(order, a_market(a_quote(bid=bid, ask=ask)), 3) == limit


@given(
    bid=st.integers(5, 900),
    width=st.integers(1, 60),
    step=st.integers(0, 3),
    root=st.sampled_from(["AAPL", "ODD"]),
)
@settings(max_examples=200, deadline=None)
def test_an_entry_at_the_quote_it_was_approved_on_always_has_a_price(bid, width, step, root) -> None:
    from tests.execution.test_working import approved

    contract = a_call(underlying=root)
    quote = a_quote(contract, bid=f"{bid / 100:.2f}", ask=f"{(bid + width) / 100:.2f}")
    market = a_market(quote, underlying=root)
    priced = ticket(a_proposal(contract), market)
    assert not isinstance(priced, Refusal)

    limit = next_limit(approved(str(priced.limit), contract=contract).order, market, step)

    assert limit is not None
    assert priced.limit <= limit
