"""Tax lots: first in, first out per instrument over the whole account."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from wsb_core.domain.contracts import Instrument
from wsb_core.domain.ids import Price, StrategyName
from wsb_core.domain.positions import Lot

from .held import symbol_of
from .types import exact

_FINE = Decimal("1e-10")


@dataclass(slots=True)
class _Open:
    row: str
    instrument: Instrument
    quantity: Decimal
    price: Decimal
    at: datetime
    strategy: StrategyName | None


class TaxLots:
    """Fed with every change of a holding in time order."""

    def __init__(self) -> None:
        self._open: dict[str, list[_Open]] = defaultdict(list)

    def change(
        self,
        row: str,
        instrument: Instrument,
        quantity: Decimal,
        price: Decimal,
        at: datetime,
        strategy: StrategyName | None,
    ) -> None:
        """Close the oldest lots of the other sign; what is left over opens a lot of its own."""
        lots = self._open[symbol_of(instrument)]
        while quantity and lots and lots[0].quantity * quantity < 0:
            oldest = lots[0]
            if abs(oldest.quantity) > abs(quantity):
                oldest.quantity += quantity
                return
            quantity += oldest.quantity
            lots.pop(0)
        if quantity:
            lots.append(_Open(row, instrument, quantity, price, at, strategy))

    def belongs(self, row: str, symbol: str, strategy: StrategyName) -> None:
        """Say later whose lot it is that ``row`` opened."""
        for lot in self._open[symbol]:
            if lot.row == row:
                lot.strategy = strategy

    def replace(self, old: str, new: Instrument, factor: Decimal) -> None:
        """A split: ``factor`` times as many, of ``new``, at 1/``factor`` of the price, just as old."""
        moved = self._open.pop(old, [])
        for lot in moved:
            lot.instrument = new
            lot.quantity = (lot.quantity * factor).quantize(_FINE)
            lot.price = (lot.price / factor).quantize(_FINE)
        self._open[symbol_of(new)].extend(moved)

    def lots(self) -> tuple[Lot, ...]:
        """Open lots by symbol, oldest first."""
        return tuple(
            Lot(lot.instrument, exact(lot.quantity), Price(exact(lot.price)), lot.at, lot.strategy)
            for _, lots in sorted(self._open.items())
            for lot in lots
        )
