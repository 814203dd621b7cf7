"""What is booked at expiry, exercise and assignment, on dividends and on splits: pure arithmetic."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from decimal import ROUND_HALF_EVEN, Decimal

from wsb_core.domain.contracts import ExerciseStyle, Instrument, OptionContract, Right, Share
from wsb_core.domain.ids import CENT, Price

from .margin import intrinsic
from .model import RowKind

_ZERO = Decimal(0)


@dataclass(frozen=True, slots=True)
class Booking:
    """A row to be booked. ``quantity`` as it changes the position, ``cash`` as it changes cash."""

    kind: RowKind
    instrument: Instrument | None
    quantity: Decimal
    price: Price | None
    cash: Decimal
    description: str = ""


def deliver(contract: OptionContract, change: Decimal) -> tuple[Booking, Booking]:
    """Exercise (``change`` negative, of a long) or assignment (positive, of a short), with its shares."""
    kind = RowKind.OPEXC if change < 0 else RowKind.OPASN
    toward_shares = -change if contract.right is Right.CALL else change
    shares = toward_shares * contract.multiplier
    option = Booking(kind, contract, change, None, _ZERO)
    trade = Booking(
        RowKind.OPTRD, Share(contract.underlying), shares, Price(contract.strike), -shares * contract.strike
    )
    return option, trade


def settle_in_cash(contract: OptionContract, quantity: Decimal, value: Decimal) -> Booking:
    """The end of a cash-settled position of signed ``quantity`` at settlement ``value``."""
    worth = intrinsic(contract, value)
    if worth == 0:
        return expire(contract, quantity)
    cash = quantity * contract.multiplier * worth
    return Booking(RowKind.OPCSH, contract, -quantity, Price(worth), cash, f"settled at {value}")


def expire(contract: OptionContract, quantity: Decimal) -> Booking:
    return Booking(RowKind.OPEXP, contract, -quantity, None, _ZERO)


@dataclass(frozen=True, slots=True)
class Expiring:
    """The positions of one underlying that end together, and what there is to deliver against them."""

    quantities: Mapping[OptionContract, Decimal]
    shares: Decimal
    cash: Decimal
    declined: frozenset[OptionContract]
    threshold: Decimal


def settle(expiring: Expiring, spot: Decimal) -> tuple[tuple[Booking, ...], ...]:
    """Groups of rows that belong together, for every expiring contract at the official ``spot``.

    Shorts in the money are assigned whatever it costs. Longs in the money by the threshold are
    exercised as far as shares (puts) or cash (calls) reach, unless declined; the rest expires.
    Puts go before calls because they bring the cash calls need.
    """
    groups: list[tuple[Booking, ...]] = []
    shares, cash = expiring.shares, expiring.cash
    for contract in sorted(expiring.quantities, key=lambda c: _turn(c, expiring.quantities[c])):
        quantity = expiring.quantities[contract]
        if contract.style is ExerciseStyle.EUROPEAN:
            group: tuple[Booking, ...] = (settle_in_cash(contract, quantity, spot),)
            groups.append(group)
            cash += group[0].cash
            continue
        count = _exercised(contract, quantity, spot, shares, cash, expiring)
        if count:
            group = deliver(contract, count.copy_sign(-quantity))
            groups.append(group)
            shares += group[1].quantity
            cash += group[1].cash
        left = quantity - count.copy_sign(quantity)
        if left:
            groups.append((expire(contract, left),))
    return tuple(groups)


def unaffordable(expiring: Expiring, spot: Decimal) -> dict[OptionContract, Decimal]:
    """Long contracts that would be exercised at ``spot`` if only cash or shares were there."""
    lost: dict[OptionContract, Decimal] = {}
    for group in settle(expiring, spot):
        row = group[0]
        contract = row.instrument
        if row.kind is not RowKind.OPEXP or not isinstance(contract, OptionContract):
            continue
        wanted = intrinsic(contract, spot) >= expiring.threshold and contract not in expiring.declined
        if wanted and row.quantity < 0:
            lost[contract] = -row.quantity
    return lost


def _turn(contract: OptionContract, quantity: Decimal) -> tuple[bool, bool, Decimal, str]:
    return quantity > 0, contract.right is Right.CALL, contract.strike, contract.symbol


def _exercised(
    contract: OptionContract,
    quantity: Decimal,
    spot: Decimal,
    shares: Decimal,
    cash: Decimal,
    expiring: Expiring,
) -> Decimal:
    if intrinsic(contract, spot) < expiring.threshold or contract in expiring.declined:
        return _ZERO
    if quantity < 0:
        return -quantity
    if contract.right is Right.PUT:
        reach = shares // contract.multiplier
    else:
        reach = cash // (contract.strike * contract.multiplier)
    return max(_ZERO, min(quantity, reach))


def dividend(share: Share, quantity: Decimal, per_share: Price) -> Booking:
    """Cash on shares held over the close before the ex-date: received long, owed short, to the cent."""
    cash = (quantity * per_share).quantize(CENT, ROUND_HALF_EVEN)
    return Booking(RowKind.DIV, share, _ZERO, per_share, cash, f"{per_share} a share")


def split_share(share: Share, quantity: Decimal, ratio: Decimal) -> Booking:
    return Booking(RowKind.SPLIT, share, quantity * (ratio - 1), None, _ZERO, f"{ratio} for 1")


def split_option(
    contract: OptionContract, quantity: Decimal, average: Price, ratio: Decimal
) -> tuple[Booking, Booking]:
    """The old contract out and the adjusted one in."""
    adjusted, factor = adjust(contract, ratio)
    text = f"{ratio} for 1"
    before = Booking(RowKind.SPLIT, contract, -quantity, average, _ZERO, text)
    value = Price(average * contract.multiplier / (adjusted.multiplier * factor))
    return before, Booking(RowKind.SPLIT, adjusted, quantity * factor, value, _ZERO, text)


def adjust(contract: OptionContract, ratio: Decimal) -> tuple[OptionContract, Decimal]:
    """The contract after a split, and how many of it replace one.

    A whole ratio divides the strike and multiplies the contracts. Any other keeps the number of
    contracts and changes what one delivers: a non-standard contract whose root ends in a digit.
    """
    strike = (contract.strike / ratio).quantize(CENT, ROUND_HALF_EVEN)
    if ratio == ratio.to_integral_value():
        return replace(contract, strike=strike), ratio
    root = f"{contract.root[:5]}1"
    multiplier = max(1, int(contract.multiplier * ratio))
    return replace(contract, root=root, strike=strike, multiplier=multiplier, standard=False), Decimal(1)
