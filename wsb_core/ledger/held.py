"""Units of a structure while they are held: whole, or with legs taken by an expiry or an assignment."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from functools import lru_cache, reduce
from math import gcd

from wsb_core.domain.contracts import Instrument, Share
from wsb_core.domain.ids import Cash, Price, StrategyName, Underlying
from wsb_core.domain.structures import Structure, StructureKind, StructureLeg, single

from .types import exact

ZERO = Decimal(0)
_FINE = Decimal("1e-10")


@lru_cache(maxsize=1 << 16)
def symbol_of(instrument: Instrument) -> str:
    """``instrument.symbol``, written out once: a replay asks for it a hundred times a row."""
    return instrument.symbol


@lru_cache(maxsize=1 << 14)
def ratios_of(structure: Structure) -> tuple[tuple[str, int], ...]:
    """Symbol and signed ratio of each leg."""
    return tuple((symbol_of(leg.instrument), leg.ratio) for leg in structure.legs)


@lru_cache(maxsize=1 << 14)
def name_of(structure: Structure) -> str:
    return structure.symbol


@dataclass(frozen=True, slots=True)
class ClosedTrade:
    """Units of a structure that were opened and closed again. Prices per share, credit +, debit -.

    ``pnl`` is what the fills and activities moved less ``fees``, positive: those that the broker's rows
    tie to one of its orders.
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
    fees: Cash = Cash(ZERO)


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
    key: str = ""
    """``structure.symbol``."""
    legs: dict[str, Instrument] = field(default_factory=dict)
    """Its own legs by symbol, as they are called now; the structure keeps its shape where theirs is none."""

    def __post_init__(self) -> None:
        self.key = self.key or name_of(self.structure)
        self.legs = self.legs or {symbol_of(leg.instrument): leg.instrument for leg in self.structure.legs}

    @property
    def gone(self) -> bool:
        """Nothing is left of its own legs; shares it was delivered may be."""
        return not self.awaited and not any(self.left[symbol] for symbol in self.legs)

    @property
    def underlying(self) -> Underlying:
        """Of its legs as they are called now."""
        return next(iter(self.legs.values())).underlying

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
            key=self.key,
            legs=dict(self.legs),
        )

    def capacity(self, structure: Structure) -> int:
        """Units of ``structure`` that what is left could give."""
        legs = [(self.left.get(symbol, ZERO), ratio) for symbol, ratio in ratios_of(structure)]
        return min(int(left / ratio) if left * ratio > 0 else 0 for left, ratio in legs)

    def replace_legs(self, changes: Mapping[str, tuple[Instrument, Decimal]]) -> None:
        """Legs became ``factor`` as much of another (or the same) instrument, at the same cost.

        The units follow when all of it is there and what it becomes is a structure; otherwise it is left
        broken, and shown as what it is.
        """
        mine = {symbol: change for symbol, change in changes.items() if symbol in self.size}
        if not mine:
            return
        whole = not self.broken and self.size == self.left
        names = {symbol: symbol_of(new) for symbol, (new, _) in mine.items()}
        factors = {symbol: factor for symbol, (_, factor) in mine.items()}

        def moved(quantities: Mapping[str, Decimal]) -> dict[str, Decimal]:
            return {
                names.get(symbol, symbol): (quantity * factors.get(symbol, Decimal(1))).quantize(_FINE)
                for symbol, quantity in quantities.items()
            }

        self.size, self.left = moved(self.size), moved(self.left)
        self.paid = {names.get(symbol, symbol): cash for symbol, cash in self.paid.items()}
        self.legs = {
            names.get(symbol, symbol): mine[symbol][0] if symbol in mine else instrument
            for symbol, instrument in self.legs.items()
        }
        became = self._shape() if whole else None
        if became is None:
            self.broken = True
        else:
            self.structure, self.units = became
            self.key = name_of(self.structure)

    def _shape(self) -> tuple[Structure, int] | None:
        """What its legs are together, and how many units; None when they are no structure."""
        counts = {symbol: int(self.size[symbol]) for symbol in self.legs}
        if any(count != self.size[symbol] for symbol, count in counts.items()):
            return None
        units = reduce(gcd, (abs(count) for count in counts.values()))
        try:
            legs = (StructureLeg(self.legs[symbol], count // units) for symbol, count in counts.items())
            return Structure(tuple(legs)), units
        except ValueError:
            return None

    def receive(self, share: Share, quantity: Decimal, cash: Decimal) -> None:
        """Shares delivered on exercise or assignment: they offset shares that are there, or join them."""
        symbol = share.symbol
        left = self.left.get(symbol, ZERO)
        offset = min(abs(left), abs(quantity)).copy_sign(quantity) if left * quantity < 0 else ZERO
        spent = (cash * offset / quantity).quantize(_FINE)
        for quantities in (self.size, self.left, self.paid):
            quantities.setdefault(symbol, ZERO)
        if symbol in self.legs:
            self.size[symbol] += quantity - offset
        elif offset:
            # What earlier deliveries brought and this one takes away is settled: the cost keeps none of it.
            part = (self.paid[symbol] * -offset / left).quantize(_FINE)
            self.exit += part
            self.paid[symbol] -= part
            self.size[symbol] += quantity
        else:
            self.size[symbol] += quantity
        self.left[symbol] += quantity
        self.exit += spent
        self.paid[symbol] += cash - spent

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
        own = sum((self.paid[symbol] for symbol in self.legs), ZERO)
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
            fees=Cash(exact(-self.fees)),
        )

    def remains(self) -> Iterator[tuple[Structure, int, Decimal]]:
        """Structure, units and opening cash of everything left: one structure when the legs form one."""
        if not self.broken and self.left == self.size:
            yield self.structure, self.units, sum(self.paid.values(), ZERO)
            return
        share = Share(self.underlying)
        instruments: dict[str, Instrument] = {share.symbol: share, **self.legs}
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
        size = self.size[symbol]
        return (self.paid[symbol] * quantity / size).quantize(_FINE) if size else ZERO


def per_share(cash: Decimal, structure: Structure, units: int) -> Price:
    """Signed net price per share of ``units`` that moved ``cash`` in all."""
    return Price(exact((cash / (structure.multiplier * units)).quantize(_FINE)))
