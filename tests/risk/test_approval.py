"""The size of an order as a person is asked about it."""

from __future__ import annotations

from decimal import Decimal

import pytest

from tests.ledger.build import CONDOR, COVERED_CALL, LONG_CALL, SHARES, VERTICAL, approved
from wsb_core.domain.structures import Structure
from wsb_core.risk.approval import notional


@pytest.mark.parametrize(
    ("structure", "limit", "dollars"),
    [
        (LONG_CALL, "-1.00", 2 * 100 * 100),
        (VERTICAL, "-1.00", 2 * 105 * 100),
        (CONDOR, "1.00", 2 * 110 * 100),
        (COVERED_CALL, "-98.00", 2 * 110 * 100),
        (SHARES, "-50.00", 2 * 50),
    ],
)
def test_the_notional_is_that_of_the_largest_leg(structure: Structure, limit: str, dollars: int):
    order = approved(structure, quantity=2, limit=limit).order

    assert notional(order) == Decimal(dollars)
