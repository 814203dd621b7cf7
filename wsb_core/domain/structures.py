"""A structure is one object from proposal to close: legs are never traded, marked or closed apart."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from itertools import pairwise
from math import gcd

from .contracts import Instrument, OptionContract, Right, Share
from .ids import Cash, Price, Underlying


class StructureKind(StrEnum):
    SHARES = "shares"
    SINGLE = "single"
    VERTICAL = "vertical"
    CALENDAR = "calendar"
    STRANGLE = "strangle"
    CONDOR = "condor"
    COVERED_CALL = "covered_call"
    COLLAR = "collar"


@dataclass(frozen=True, slots=True)
class StructureLeg:
    """``ratio`` is signed: +1 is one long contract per unit, -1 one short; shares count shares."""

    instrument: Instrument
    ratio: int

    def __post_init__(self) -> None:
        if self.ratio == 0:
            raise ValueError(f"leg {self.instrument.symbol}: ratio must not be 0")


@dataclass(frozen=True, slots=True)
class Structure:
    """Legs of one underlying whose shape is one we know; anything else refuses to exist.

    Raises: ValueError for no legs, a repeated instrument, mixed underlyings, ratios with a
    common divisor, or a shape that is none of ``StructureKind``.
    """

    legs: tuple[StructureLeg, ...]

    def __post_init__(self) -> None:
        if not self.legs:
            raise ValueError("a structure needs at least one leg")
        if len({leg.instrument for leg in self.legs}) != len(self.legs):
            raise ValueError("a structure names each instrument once")
        if len({leg.instrument.underlying for leg in self.legs}) != 1:
            raise ValueError("a structure has one underlying")
        _kind(self.legs)

    @property
    def kind(self) -> StructureKind:
        return _kind(self.legs)

    @property
    def underlying(self) -> Underlying:
        return self.legs[0].instrument.underlying

    @property
    def contracts(self) -> tuple[OptionContract, ...]:
        return tuple(leg.instrument for leg in self.legs if isinstance(leg.instrument, OptionContract))

    @property
    def multiplier(self) -> int:
        """Shares per unit that the net price is quoted for: 100 for options, 1 for plain shares."""
        return max(leg.instrument.multiplier for leg in self.legs)

    @property
    def symbol(self) -> str:
        """A key that names the structure whole, the same however its legs were listed."""
        legs = sorted(self.legs, key=lambda leg: leg.instrument.symbol)
        return "|".join(f"{leg.ratio:+d} {leg.instrument.symbol}" for leg in legs)

    def net(self, prices: Mapping[Instrument, Price]) -> Price:
        """Value per share of one unit to its holder: positive when it would cost money to buy.

        Raises: KeyError when a leg has no price; a package with a missing leg has no price.
        """
        total = Decimal(0)
        for leg in self.legs:
            weight = Decimal(leg.ratio * leg.instrument.multiplier) / self.multiplier
            total += prices[leg.instrument] * weight
        return Price(total)

    def max_loss(self, limit: Price) -> Cash | None:
        """Largest loss of one unit opened at signed net ``limit`` (debit -), as positive dollars.

        None when the loss at expiry is not bounded by the structure itself (a naked short call).
        A short put loses down to a spot of zero. Calendars lose at most their debit.
        """
        if self.kind is StructureKind.CALENDAR:
            worst = Decimal(0)
        else:
            if self._call_slope() < 0:
                return None
            worst = min(self._payoff(spot) for spot in self._kinks())
        return Cash(max(Decimal(0), -(worst + limit * self.multiplier)))

    def _call_slope(self) -> int:
        """Change of value per dollar of spot far above every strike, in shares."""
        return sum(
            leg.ratio * leg.instrument.multiplier
            for leg in self.legs
            if isinstance(leg.instrument, Share) or leg.instrument.right is Right.CALL
        )

    def _kinks(self) -> tuple[Decimal, ...]:
        return (Decimal(0), *(contract.strike for contract in self.contracts))

    def _payoff(self, spot: Decimal) -> Decimal:
        total = Decimal(0)
        for leg in self.legs:
            held = leg.instrument
            if isinstance(held, Share):
                value = spot
            elif held.right is Right.CALL:
                value = max(Decimal(0), spot - held.strike)
            else:
                value = max(Decimal(0), held.strike - spot)
            total += value * leg.ratio * held.multiplier
        return total


def _kind(legs: tuple[StructureLeg, ...]) -> StructureKind:
    shares = [leg for leg in legs if isinstance(leg.instrument, Share)]
    options = [leg for leg in legs if isinstance(leg.instrument, OptionContract)]
    ratios = [abs(leg.ratio) for leg in options]
    if options and gcd(*ratios) != 1:
        raise ValueError(f"option ratios must have no common divisor, not {ratios}")
    kind = _share_kind(shares, options) if shares else _option_kind(options)
    if kind is None:
        text = ", ".join(f"{leg.ratio:+d} {leg.instrument.symbol}" for leg in legs)
        raise ValueError(f"legs are no structure we know: {text}")
    return kind


def _share_kind(shares: list[StructureLeg], options: list[StructureLeg]) -> StructureKind | None:
    if not options:
        return StructureKind.SHARES if abs(shares[0].ratio) == 1 else None
    contracts = [(leg.ratio, leg.instrument) for leg in options if isinstance(leg.instrument, OptionContract)]
    if shares[0].ratio != contracts[0][1].multiplier:
        return None
    rights = sorted((ratio, contract.right) for ratio, contract in contracts)
    if rights == [(-1, Right.CALL)]:
        return StructureKind.COVERED_CALL
    if rights == [(-1, Right.CALL), (1, Right.PUT)]:
        return StructureKind.COLLAR
    return None


def _option_kind(options: list[StructureLeg]) -> StructureKind | None:
    held = sorted(
        ((leg.instrument, leg.ratio) for leg in options if isinstance(leg.instrument, OptionContract)),
        key=lambda pair: (pair[0].expiry, pair[0].strike, pair[0].right),
    )
    contracts = [contract for contract, _ in held]
    ratios = [ratio for _, ratio in held]
    rights = [contract.right for contract in contracts]
    one_expiry = len({(c.expiry, c.root) for c in contracts}) == 1
    if any(abs(ratio) != 1 for ratio in ratios):
        return None
    if len(held) == 1:
        return StructureKind.SINGLE
    if len(held) == 2:
        same_right, opposite = rights[0] is rights[1], ratios[0] == -ratios[1]
        if same_right and opposite and one_expiry:
            return StructureKind.VERTICAL
        later_is_long = contracts[0].expiry < contracts[1].expiry and ratios == [-1, 1]
        if same_right and later_is_long and contracts[0].strike == contracts[1].strike:
            return StructureKind.CALENDAR
        if not same_right and not opposite and one_expiry:
            return StructureKind.STRANGLE
    if len(held) == 4 and one_expiry and rights == [Right.PUT, Right.PUT, Right.CALL, Right.CALL]:
        rising = all(a.strike <= b.strike for a, b in pairwise(contracts))
        if rising and ratios in ([1, -1, -1, 1], [-1, 1, 1, -1]):
            return StructureKind.CONDOR
    return None


def single(contract: Instrument, ratio: int = 1) -> Structure:
    """One option (or one share) held alone, long by default."""
    return Structure((StructureLeg(contract, ratio),))
