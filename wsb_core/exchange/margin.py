"""What positions tie up: the worst payoff at expiry for options, Reg-T for shares.

The option rule is the vendor's universal spread rule: the requirement of the options of one
underlying and expiry is the largest loss of their payoff, found at its kinks (zero and the strikes).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal

from wsb_core.domain.contracts import Instrument, OptionContract, Right, Share
from wsb_core.domain.ids import Cash, Price, Underlying

_ZERO = Decimal(0)
LONG_MAINTENANCE = Decimal("0.25")
SHORT_MAINTENANCE = Decimal("0.30")


@dataclass(frozen=True, slots=True)
class Requirement:
    """Dollars that option positions tie up, and the short calls that nothing covers (contracts)."""

    amount: Cash
    uncovered: Decimal


@dataclass(frozen=True, slots=True)
class Standing:
    """What the account may still spend; negative when it could not open what it holds.

    ``cash_free`` is for options, which are paid in full; ``excess`` is Reg-T equity above the
    initial requirement, which shares may be bought on.
    """

    cash_free: Cash
    excess: Cash
    requirement: Requirement

    def less(self, reserve: Reserve) -> Standing:
        return Standing(
            Cash(self.cash_free - reserve.cash), Cash(self.excess - reserve.excess), self.requirement
        )


@dataclass(frozen=True, slots=True)
class Reserve:
    """What an open order would take from either figure of ``Standing`` if it filled."""

    cash: Decimal = _ZERO
    excess: Decimal = _ZERO

    def __add__(self, other: Reserve) -> Reserve:
        return Reserve(self.cash + other.cash, self.excess + other.excess)

    def part(self, share: Decimal) -> Reserve:
        return Reserve(self.cash * share, self.excess * share)


def standing(
    cash: Decimal, holdings: Mapping[Instrument, Decimal], marks: Mapping[Share, Price], multiplier: int
) -> Standing:
    """The account's standing; shares are valued at ``marks``, the Reg-T rate is 1 / ``multiplier``."""
    long_value, short_value = share_values(holdings, marks)
    need = requirement(holdings)
    rate = Decimal(1) / multiplier
    # The proceeds of a short sale are in cash: they and the rate on top are not free.
    tied = short_value * (1 + rate) + need.amount
    return Standing(Cash(cash - tied), Cash(cash + long_value * (1 - rate) - tied), need)


def share_values(
    holdings: Mapping[Instrument, Decimal], marks: Mapping[Share, Price]
) -> tuple[Decimal, Decimal]:
    """Market value of shares held long and held short, both positive dollars."""
    long_value = short_value = _ZERO
    for instrument, quantity in holdings.items():
        if isinstance(instrument, Share):
            value = quantity * marks[instrument]
            long_value += max(value, _ZERO)
            short_value += max(-value, _ZERO)
    return long_value, short_value


def requirement(holdings: Mapping[Instrument, Decimal]) -> Requirement:
    """What the option positions tie up: cash-secured puts, spreads at their largest loss.

    Shares cover short calls, and so does a long option that expires no earlier than the short one.
    A call that nothing covers ties up its strike's notional and is counted in ``uncovered``.
    """
    options: dict[Underlying, dict[OptionContract, Decimal]] = defaultdict(dict)
    shares: dict[Underlying, Decimal] = {}
    for instrument, quantity in holdings.items():
        if isinstance(instrument, Share):
            shares[instrument.underlying] = quantity
        else:
            options[instrument.underlying][instrument] = quantity
    total = uncovered = _ZERO
    for underlying, held in options.items():
        amount, naked = _one_underlying(held, max(_ZERO, shares.get(underlying, _ZERO)))
        total += amount
        uncovered += naked
    return Requirement(Cash(total), uncovered)


def worst_loss(legs: Mapping[OptionContract, Decimal], shares: Decimal = _ZERO) -> Decimal:
    """Largest loss of the payoff at expiry over its kinks, in positive dollars; 0 when it cannot lose.

    Only meaningful where short calls are covered: far above the last strike it must not fall.
    """
    kinks = {_ZERO, *(contract.strike for contract in legs)}
    payoffs = (
        shares * spot + sum(q * c.multiplier * intrinsic(c, spot) for c, q in legs.items()) for spot in kinks
    )
    return max(_ZERO, -min(payoffs))


def intrinsic(contract: OptionContract, spot: Decimal) -> Decimal:
    """Exercise value per share at ``spot``; never negative."""
    gain = spot - contract.strike if contract.right is Right.CALL else contract.strike - spot
    return max(_ZERO, gain)


def net_short_calls(holdings: Mapping[Instrument, Decimal], underlying: Underlying) -> Decimal:
    """Short calls beyond long ones, counted in shares: what shares have to stay for; 0 at least."""
    net = sum(
        (
            -quantity * instrument.multiplier
            for instrument, quantity in holdings.items()
            if isinstance(instrument, OptionContract)
            and instrument.underlying == underlying
            and instrument.right is Right.CALL
        ),
        _ZERO,
    )
    return max(_ZERO, net)


def _one_underlying(held: Mapping[OptionContract, Decimal], shares: Decimal) -> tuple[Decimal, Decimal]:
    by_expiry: dict[date, dict[OptionContract, Decimal]] = defaultdict(dict)
    for contract, quantity in held.items():
        by_expiry[contract.expiry][contract] = quantity
    total = uncovered = _ZERO
    spare: dict[OptionContract, Decimal] = {}
    # From the last expiry back: a long option covers what expires with it or before it.
    for expiry in sorted(by_expiry, reverse=True):
        legs = by_expiry[expiry]
        lent_shares = _ZERO
        for right in Right:
            gap = -sum((q for c, q in legs.items() if c.right is right), _ZERO)
            if gap < 0:
                _take(legs, spare, right, -gap, protective_first=False)
                continue
            if right is Right.CALL and gap:
                size = max(c.multiplier for c in legs if c.right is right)
                lots = min(gap, shares // size)
                shares -= lots * size
                lent_shares += lots * size
                gap -= lots
            gap -= _take(spare, legs, right, gap, protective_first=True)
            if right is Right.CALL and gap:
                total += _drop_naked(legs, gap)
                uncovered += gap
        total += worst_loss(legs, lent_shares)
    return total, uncovered


def _take(
    source: dict[OptionContract, Decimal],
    target: dict[OptionContract, Decimal],
    right: Right,
    wanted: Decimal,
    *,
    protective_first: bool,
) -> Decimal:
    """Move up to ``wanted`` long contracts of ``right``; returns how many were moved."""
    moved = _ZERO
    longs = [c for c, q in source.items() if c.right is right and q > 0]
    for contract in _by_protection(longs, right, protective_first):
        count = min(source[contract], wanted - moved)
        source[contract] -= count
        target[contract] = target.get(contract, _ZERO) + count
        moved += count
    return moved


def _by_protection(
    contracts: Iterable[OptionContract], right: Right, protective_first: bool
) -> list[OptionContract]:
    # A low strike protects a call seller most, a high one a put seller.
    low_first = (right is Right.CALL) == protective_first
    return sorted(contracts, key=lambda c: (c.strike, c.expiry), reverse=not low_first)


def _drop_naked(legs: dict[OptionContract, Decimal], naked: Decimal) -> Decimal:
    """Take ``naked`` short calls out of ``legs``, highest strikes first; returns their notional."""
    notional = _ZERO
    shorts = [c for c, q in legs.items() if c.right is Right.CALL and q < 0]
    for contract in sorted(shorts, key=lambda c: c.strike, reverse=True):
        count = min(-legs[contract], naked)
        legs[contract] += count
        naked -= count
        notional += count * contract.strike * contract.multiplier
    return notional
