from __future__ import annotations

from datetime import date
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.builders import AAPL, a_call, a_put
from wsb_core.domain.contracts import Share
from wsb_core.domain.ids import Price
from wsb_core.domain.orders import Action, Effect, order_legs
from wsb_core.domain.structures import Structure, StructureKind, StructureLeg, single

LATER = date(2024, 7, 19)


def of(*legs) -> Structure:
    return Structure(tuple(StructureLeg(instrument, ratio) for instrument, ratio in legs))


SHAPES = {
    StructureKind.SHARES: of((Share(AAPL), 1)),
    StructureKind.SINGLE: of((a_call(), 1)),
    StructureKind.VERTICAL: of((a_call("100"), 1), (a_call("105"), -1)),
    StructureKind.CALENDAR: of((a_call("100"), -1), (a_call("100", LATER), 1)),
    StructureKind.STRANGLE: of((a_put("95"), 1), (a_call("105"), 1)),
    StructureKind.CONDOR: of((a_put("90"), 1), (a_put("95"), -1), (a_call("105"), -1), (a_call("110"), 1)),
    StructureKind.COVERED_CALL: of((Share(AAPL), 100), (a_call("110"), -1)),
    StructureKind.COLLAR: of((Share(AAPL), 100), (a_put("95"), 1), (a_call("110"), -1)),
}


@pytest.mark.parametrize("kind", StructureKind)
def test_every_kind_is_recognised_however_its_legs_are_listed(kind):
    structure = SHAPES[kind]

    assert structure.kind is kind
    assert Structure(tuple(reversed(structure.legs))).symbol == structure.symbol


@pytest.mark.parametrize(
    "legs",
    [
        (),
        ((a_call(), 2),),
        ((a_call(), 1), (a_call(), 1)),
        ((a_call("100"), 1), (a_call("105"), 1)),
        ((a_call("100"), 2), (a_call("105"), -2)),
        ((a_call("100"), 1), (a_call("105", underlying="MSFT"), -1)),
        ((Share(AAPL), 50), (a_call("110"), -1)),
        ((a_call("100"), 1), (a_call("105", LATER), -1)),
        ((a_put("95"), 1), (a_put("90"), -1), (a_call("105"), 1), (a_call("110"), 1)),
    ],
)
def test_a_shape_we_do_not_know_refuses_to_exist(legs):
    with pytest.raises(ValueError, match=r"structure|leg|ratio|underlying"):
        of(*legs)


@pytest.mark.parametrize(
    ("kind", "limit", "loss"),
    [
        (StructureKind.SINGLE, "-4.00", "400"),
        (StructureKind.VERTICAL, "-2.00", "200"),
        (StructureKind.CALENDAR, "-1.50", "150"),
        (StructureKind.CONDOR, "1.20", "380"),
        (StructureKind.STRANGLE, "-3.00", "300"),
        (StructureKind.COVERED_CALL, "-98.00", "9800"),
    ],
)
def test_the_largest_loss_is_that_of_the_worst_spot_at_expiry(kind, limit, loss):
    assert SHAPES[kind].max_loss(Price(Decimal(limit))) == Decimal(loss)


def test_a_condor_loses_on_one_side_only():
    even = SHAPES[StructureKind.CONDOR]

    assert even.max_loss(Price(Decimal("0"))) == 500


def test_a_naked_short_call_has_no_largest_loss_and_a_short_put_loses_to_zero():
    assert single(a_call(), -1).max_loss(Price(Decimal(1))) is None
    assert single(a_put("95"), -1).max_loss(Price(Decimal(1))) == 9400


@pytest.mark.parametrize("kind", StructureKind)
def test_closing_undoes_opening_leg_by_leg(kind):
    undo = {Action.BUY_TO_OPEN: Action.SELL_TO_CLOSE, Action.SELL_TO_OPEN: Action.BUY_TO_CLOSE}
    opened, closed = order_legs(SHAPES[kind], Effect.OPEN), order_legs(SHAPES[kind], Effect.CLOSE)

    assert [(leg.instrument, undo[leg.action], leg.ratio) for leg in opened] == [
        (leg.instrument, leg.action, leg.ratio) for leg in closed
    ]


@given(debit=st.decimals(Decimal("0.01"), Decimal("4.99"), places=2))
def test_a_debit_vertical_never_loses_more_than_it_cost_nor_a_credit_one_more_than_its_width(debit):
    vertical = SHAPES[StructureKind.VERTICAL]
    short = of((a_call("100"), -1), (a_call("105"), 1))

    assert vertical.max_loss(Price(-debit)) == debit * 100
    assert short.max_loss(Price(debit)) == (5 - debit) * 100
