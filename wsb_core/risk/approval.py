"""How large an order is, for the question whether a person has to see it first."""

from __future__ import annotations

from wsb_core.domain.contracts import OptionContract
from wsb_core.domain.ids import Cash
from wsb_core.domain.orders import Order


def notional(order: Order) -> Cash:
    """Dollars that the order's largest leg stands for: strike x multiplier x contracts, or shares x limit.

    Legs of one structure offset each other, so they are not added up.
    """
    prices = [
        (leg, leg.instrument.strike if isinstance(leg.instrument, OptionContract) else abs(order.limit))
        for leg in order.structure.legs
    ]
    largest = max(price * leg.instrument.multiplier * abs(leg.ratio) for leg, price in prices)
    return Cash(largest * order.quantity)
