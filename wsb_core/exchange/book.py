"""Every order ever sent, found by any of its ids, and what the open ones hold."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from decimal import Decimal

from wsb_core.domain.contracts import Instrument
from wsb_core.domain.orders import Action

from .margin import Reserve
from .model import LegRow, OrderRow

CLOSING = frozenset({Action.BUY_TO_CLOSE, Action.SELL_TO_CLOSE})


@dataclass(slots=True)
class Working:
    """An open order and how it stands toward the market."""

    row: OrderRow
    reserve: Reserve = field(default_factory=Reserve)
    """What the whole order would take from the account."""
    passive: bool = False
    """It was looked at and did not trade: from then on it fills at its own limit."""
    triggered: bool = False
    counted: bool = False
    """It was counted among the marketable orders of which some fill in part first."""

    @property
    def remaining(self) -> Decimal:
        return self.row.request.quantity - self.row.filled

    @property
    def open_reserve(self) -> Reserve:
        return self.reserve.part(self.remaining / self.row.request.quantity)


def snapshot(row: OrderRow) -> OrderRow:
    """A copy that later events do not change."""
    return replace(row, legs=[replace(leg) for leg in row.legs])


def change_of(leg: LegRow, units: Decimal) -> Decimal:
    """What filling ``units`` does to the position in the leg's instrument, signed."""
    return units * leg.ratio * (1 if leg.action.is_buy else -1)


class Book:
    """Orders by submission; ``working`` are those that are open."""

    def __init__(self) -> None:
        self.rows: dict[str, OrderRow] = {}
        self.working: dict[str, Working] = {}
        self._by_id: dict[str, str] = {}
        self._by_client_id: dict[str, str] = {}

    def add(self, working: Working) -> None:
        row = working.row
        self.rows[row.id] = row
        self.working[row.id] = working
        self._by_id[row.id] = self._by_client_id[row.client_order_id] = row.id
        for leg in row.legs:
            self._by_id[leg.id] = self._by_client_id[leg.client_order_id] = row.id

    def restore(self, working: Working) -> None:
        """Put an order that was set aside back among the open ones, in its old place."""
        self.working[working.row.id] = working
        self.working = {
            order_id: self.working[order_id] for order_id in self.rows if order_id in self.working
        }

    def find(self, order_id: str) -> OrderRow | None:
        """The order with this id, or with a leg of this id."""
        found = self._by_id.get(order_id)
        return self.rows[found] if found else None

    def find_client(self, client_order_id: str) -> OrderRow | None:
        found = self._by_client_id.get(client_order_id)
        return self.rows[found] if found else None

    def open_legs(self) -> Iterator[tuple[Working, LegRow]]:
        for working in self.working.values():
            for leg in working.row.legs:
                yield working, leg

    def held(self, instrument: Instrument) -> Decimal:
        """How much of a position open closing orders already speak for, as a positive quantity."""
        return sum(
            (
                working.remaining * leg.ratio
                for working, leg in self.open_legs()
                if leg.instrument == instrument and leg.action in CLOSING
            ),
            Decimal(0),
        )

    def opposite(self, instrument: Instrument, *, is_buy: bool) -> OrderRow | None:
        """An open order on the other side of ``instrument``; None when there is none."""
        for working, leg in self.open_legs():
            if leg.instrument == instrument and leg.action.is_buy is not is_buy:
                return working.row
        return None

    @property
    def reserved(self) -> Reserve:
        """What all open orders together would take."""
        return sum((working.open_reserve for working in self.working.values()), Reserve())
