"""Names that must not be mixed up, and the two kinds of money."""

from __future__ import annotations

from decimal import Decimal
from typing import NewType

Underlying = NewType("Underlying", str)
OccSymbol = NewType("OccSymbol", str)
"""21 characters, root padded with blanks: the only contract key we store."""
AccountId = NewType("AccountId", str)
StrategyName = NewType("StrategyName", str)
RunId = NewType("RunId", str)
ClientOrderId = NewType("ClientOrderId", str)
BrokerOrderId = NewType("BrokerOrderId", str)

Price = NewType("Price", Decimal)
"""Dollars per share. On an order or a structure it is signed: credit +, debit -."""
Cash = NewType("Cash", Decimal)
"""Dollars, signed from the account's side."""

CENT = Decimal("0.01")


def price(value: Decimal | str | int) -> Price:
    """A per-share price from an exact value; floats are refused because they are not exact."""
    return Price(_exact(value, "price"))


def cash(value: Decimal | str | int) -> Cash:
    """A dollar amount from an exact value; floats are refused because they are not exact."""
    return Cash(_exact(value, "cash"))


def dollars(per_share: Price, multiplier: int, quantity: int) -> Cash:
    """What ``quantity`` contracts at ``per_share`` are worth: the one place the multiplier is applied."""
    return Cash(per_share * multiplier * quantity)


def _exact(value: Decimal | str | int, name: str) -> Decimal:
    if isinstance(value, float):
        raise TypeError(f"{name} must be a Decimal, str or int, not the float {value!r}")
    number = Decimal(value)
    if not number.is_finite():
        raise ValueError(f"{name} must be finite, not {value!r}")
    return number
