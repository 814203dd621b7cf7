"""Cash and holdings of the one account, changed by booked rows and by nothing else."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from wsb_core.domain.contracts import Instrument
from wsb_core.domain.ids import Cash, Price

from .model import ActivityRow

FLAT = Decimal(0)


@dataclass(frozen=True, slots=True)
class Holding:
    """Signed quantity and the average price it was opened at, in dollars per share."""

    quantity: Decimal
    average: Price


class Account:
    """Opening cash plus the sum of ``rows``: whatever is not booked did not happen."""

    def __init__(self, opening_cash: Cash) -> None:
        self.cash: Decimal = opening_cash
        self.holdings: dict[Instrument, Holding] = {}
        self.rows: list[ActivityRow] = []

    def book(self, row: ActivityRow) -> None:
        """Append ``row`` and apply its cash and its quantity."""
        self.rows.append(row)
        self.cash += row.net_amount
        if row.instrument is not None and row.quantity:
            self._move(row.instrument, row.quantity, row.price)

    def quantity(self, instrument: Instrument) -> Decimal:
        """Signed quantity held; 0 when flat."""
        held = self.holdings.get(instrument)
        return held.quantity if held else FLAT

    def quantities(self) -> dict[Instrument, Decimal]:
        """Every holding that is not flat, as a copy that may be changed."""
        return {instrument: held.quantity for instrument, held in self.holdings.items()}

    def _move(self, instrument: Instrument, change: Decimal, price: Price | None) -> None:
        # A row without a price (shares that a split adds) brings quantity and no cost.
        paid = price if price is not None else FLAT
        held = self.holdings.get(instrument)
        before = held.quantity if held else FLAT
        after = before + change
        if after == 0:
            self.holdings.pop(instrument, None)
            return
        if held is None or before * after < 0:
            average = paid
        elif abs(after) > abs(before):
            average = (held.average * before + paid * change) / after
        else:
            average = held.average
        self.holdings[instrument] = Holding(after, Price(average))
