"""Units of a structure while they are held: whole, or with legs taken by an expiry or an assignment."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from functools import reduce
from math import gcd

from wsb_core.domain.contracts import Instrument, Share
from wsb_core.domain.ids import Cash, Price, StrategyName
from wsb_core.domain.structures import Structure, StructureKind, StructureLeg, single

from .types import exact

ZERO = Decimal(0)
_FINE = Decimal("1e-10")


@dataclass(frozen=True, slots=True)
class ClosedTrade:
    """Units of a structure that were opened and closed again. Prices per share, credit +, debit -.

    ``pnl`` is what the fills and activities moved, with those fees that name one of its orders.
    """

    strategy: StrategyName
    structure: Structure
    quantity: int
    entry: Price
    exit: Price
    opened_at: datetime
    closed_at: datetime
    pnl: Cash
    exit_rule: str


@dataclass(slots=True, eq=False)
class Held:
    """Units of one structure opened together, and the money they moved.

    ``size`` is what came of each leg for ``paid``, ``left`` what is still there. Shares that an exercise
    or assignment delivered are there as one leg more, until nothing else is left.
    """

    strategy: StrategyName
    structure: Structure
    units: int
    opened_at: datetime
    session: date
    facts: Mapping[str, str]
    size: dict[str, Decimal]
    left: dict[str, Decimal]
    paid: dict[str, Decimal]
    fees: Decimal = ZERO
    exit: Decimal = ZERO
    broken: bool = False
    """A leg was taken alone; the rest is shown as what it still is."""
    rule: str = ""
    awaited: int = 0
    """Exercises and assignments whose shares are still to come, or not all there."""

    @property
    def gone(self) -> bool:
        """Nothing is left of its own legs; shares it was delivered may be."""
        return not self.awaited and not any(self.left[leg.instrument.symbol] for leg in self.structure.legs)

    @property
    def is_shares(self) -> bool:
        return self.structure.kind is StructureKind.SHARES

    def split(self, units: int) -> Held:
        """Take ``units`` whole units out, with their share of the money; self when that is all of them."""
        if units == self.units:
            return self
        share = Decimal(units) / self.units
        size = {symbol: value * units / self.units for symbol, value in self.size.items()}
        paid = {symbol: (value * share).quantize(_FINE) for symbol, value in self.paid.items()}
        fees = (self.fees * share).quantize(_FINE)
        for symbol, quantity in size.items():
            self.size[symbol] -= quantity
            self.left[symbol] -= quantity
            self.paid[symbol] -= paid[symbol]
        self.units -= units
        self.fees -= fees
        return Held(
            strategy=self.strategy,
            structure=self.structure,
            units=units,
            opened_at=self.opened_at,
            session=self.session,
            facts=self.facts,
            size=size,
            left=dict(size),
            paid=paid,
            fees=fees,
        )

    def capacity(self, structure: Structure) -> int:
        """Units of ``structure`` that what is left could give."""
        return min(
            int(self.left.get(leg.instrument.symbol, ZERO) / leg.ratio)
            if self.left.get(leg.instrument.symbol, ZERO) * leg.ratio > 0
            else 0
            for leg in structure.legs
        )

    def replace_legs(self, changes: Mapping[str, tuple[Instrument, Decimal]]) -> None:
        """Legs became ``factor`` as much of another (or the same) instrument, at the same cost.

        The units follow when the whole structure multiplies; otherwise it is left broken.
        """
        mine = {symbol: change for symbol, change in changes.items() if symbol in self.size}
        if not mine:
            return
        legs = []
        for leg in self.structure.legs:
            symbol = leg.instrument.symbol
            new, factor = mine.get(symbol, (leg.instrument, Decimal(1)))
            legs.append(StructureLeg(new, leg.ratio))
            for quantities in (self.size, self.left):
                quantities[new.symbol] = (quantities.pop(symbol) * factor).quantize(_FINE)
            self.paid[new.symbol] = self.paid.pop(symbol)
        self.structure = Structure(tuple(legs))
        units = {self.size[leg.instrument.symbol] / leg.ratio for leg in legs}
        count = min(units)
        if len(units) == 1 and count == int(count) and self.size == self.left:
            self.units = int(count)
        else:
            self.broken = True

    def receive(self, share: Share, quantity: Decimal, cash: Decimal) -> None:
        """Shares delivered on exercise or assignment: they offset shares that are there, or join them."""
        symbol = share.symbol
        left = self.left.get(symbol, ZERO)
        offset = min(abs(left), abs(quantity)).copy_sign(quantity) if left * quantity < 0 else ZERO
        spent = (cash * offset / quantity).quantize(_FINE)
        self.exit += spent
        for quantities in (self.size, self.left):
            quantities.setdefault(symbol, ZERO)
        self.left[symbol] += quantity
        self.size[symbol] += quantity - offset
        self.paid[symbol] = self.paid.get(symbol, ZERO) + cash - spent

    def give_up(self, share: Share) -> tuple[Decimal, Decimal]:
        """Hand over the delivered shares that are left, with what they cost."""
        symbol = share.symbol
        quantity = self.left.pop(symbol, ZERO)
        cost = self._cost(symbol, quantity) if quantity else ZERO
        if symbol in self.paid:
            self.paid[symbol] -= cost
        return quantity, cost

    def trade(self, at: datetime) -> ClosedTrade:
        """What it came to, once nothing is left. Delivered shares that went again count in the exit."""
        own = sum((self.paid[leg.instrument.symbol] for leg in self.structure.legs), ZERO)
        exit_cash = self.exit + sum(self.paid.values(), ZERO) - own
        return ClosedTrade(
            strategy=self.strategy,
            structure=self.structure,
            quantity=self.units,
            entry=per_share(own, self.structure, self.units),
            exit=per_share(exit_cash, self.structure, self.units),
            opened_at=self.opened_at,
            closed_at=at,
            pnl=Cash(exact(own + exit_cash + self.fees)),
            exit_rule=self.rule,
        )

    def remains(self) -> Iterator[tuple[Structure, int, Decimal]]:
        """Structure, units and opening cash of everything left: one structure when the legs form one."""
        instruments: dict[str, Instrument] = {
            Share(self.structure.underlying).symbol: Share(self.structure.underlying)
        }
        instruments |= {leg.instrument.symbol: leg.instrument for leg in self.structure.legs}
        legs = [
            (instruments[symbol], int(quantity)) for symbol, quantity in self.left.items() if int(quantity)
        ]
        if not legs:
            return
        units = reduce(gcd, (abs(quantity) for _, quantity in legs))
        try:
            whole = Structure(tuple(StructureLeg(held, quantity // units) for held, quantity in legs))
        except ValueError:
            for held, quantity in legs:
                cost = self._cost(held.symbol, Decimal(quantity))
                yield single(held, 1 if quantity > 0 else -1), abs(quantity), cost
        else:
            cost = sum((self._cost(held.symbol, Decimal(quantity)) for held, quantity in legs), ZERO)
            yield whole, units, cost

    def _cost(self, symbol: str, quantity: Decimal) -> Decimal:
        return (self.paid[symbol] * quantity / self.size[symbol]).quantize(_FINE)


def per_share(cash: Decimal, structure: Structure, units: int) -> Price:
    """Signed net price per share of ``units`` that moved ``cash`` in all."""
    return Price(exact((cash / (structure.multiplier * units)).quantize(_FINE)))
