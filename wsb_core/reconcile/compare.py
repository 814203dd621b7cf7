"""Two views of one account in, breaks out: positions, cash and orders, in both directions.

A break is *explained* when the broker's own bookings or the calendar account for it; whatever is
left stops entries. Nothing here corrects anything: a synthetic correction is how a second, opposite
position is made.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from enum import StrEnum

from wsb_core.domain.contracts import Instrument, OptionContract
from wsb_core.domain.ids import CENT, Cash, ClientOrderId
from wsb_core.domain.orders import BrokerOrder
from wsb_core.domain.positions import Holding

SHARE_TOLERANCE = Decimal("1e-9")


class BreakKind(StrEnum):
    POSITION = "position"
    CASH = "cash"
    ORDER = "order"


@dataclass(frozen=True, slots=True)
class Break:
    """One difference. ``explained_by`` is the evidence that accounts for it, None when nothing does."""

    kind: BreakKind
    key: str
    ours: str
    theirs: str
    explained_by: str | None = None


@dataclass(frozen=True, slots=True)
class View:
    """One side's picture of the account. ``pending_cash`` is charged but not yet booked."""

    holdings: tuple[Holding, ...]
    cash: Cash
    open_orders: frozenset[ClientOrderId]
    pending_cash: Cash = Cash(Decimal(0))


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a comparison found."""

    breaks: tuple[Break, ...]

    @property
    def unexplained(self) -> tuple[Break, ...]:
        return tuple(b for b in self.breaks if b.explained_by is None)

    @property
    def clean(self) -> bool:
        """Whether trading may go on: every difference, if any, is accounted for."""
        return not self.unexplained


def compare(ours: View, theirs: View, *, today: date, after_close: bool) -> Verdict:
    """Every difference between the ledger and the broker, each with what explains it.

    Contracts and whole shares are exact and signed; cash within a cent plus what is pending.
    ``after_close`` says that today's expiries have been settled by the broker, whose rows for it
    come only the next morning.
    """
    expired = _expired(ours.holdings, theirs.holdings, today, after_close)
    breaks = [
        *_positions(ours.holdings, theirs.holdings, expired),
        *_cash(ours, theirs, expired),
        *_orders(ours.open_orders, theirs.open_orders),
    ]
    return Verdict(tuple(breaks))


def persistent(first: Verdict, second: Verdict) -> Verdict:
    """The breaks that two reads in a row agree on: a difference seen once is a race, not a break."""
    seen = {(b.kind, b.key, b.theirs) for b in first.breaks}
    return Verdict(tuple(b for b in second.breaks if (b.kind, b.key, b.theirs) in seen))


def unknown_orders(ours: Iterable[ClientOrderId], theirs: Iterable[BrokerOrder]) -> tuple[BrokerOrder, ...]:
    """Orders at the broker that the ledger has no intent for."""
    known = frozenset(ours)
    return tuple(order for order in theirs if order.client_order_id not in known)


def _quantities(holdings: Iterable[Holding]) -> dict[Instrument, Decimal]:
    total: dict[Instrument, Decimal] = {}
    for holding in holdings:
        total[holding.instrument] = total.get(holding.instrument, Decimal(0)) + holding.quantity
    return total


def _expired(
    ours: Iterable[Holding], theirs: Iterable[Holding], today: date, after_close: bool
) -> frozenset[Instrument]:
    """Contracts that we still count and the broker has settled, with its rows not yet booked."""
    there = _quantities(theirs)
    return frozenset(
        instrument
        for instrument in _quantities(ours)
        if isinstance(instrument, OptionContract)
        and instrument not in there
        and (instrument.expiry < today or (after_close and instrument.expiry == today))
    )


def _positions(
    ours: Iterable[Holding], theirs: Iterable[Holding], expired: frozenset[Instrument]
) -> list[Break]:
    here, there = _quantities(ours), _quantities(theirs)
    delivered = {instrument.underlying for instrument in expired}
    found = []
    for instrument in sorted({*here, *there}, key=lambda i: i.symbol):
        own, broker = here.get(instrument, Decimal(0)), there.get(instrument, Decimal(0))
        if abs(own - broker) <= (0 if isinstance(instrument, OptionContract) else SHARE_TOLERANCE):
            continue
        why = None
        if instrument in expired:
            why = f"expired; the broker books {instrument.symbol.strip()} the next morning"
        elif not isinstance(instrument, OptionContract) and instrument.underlying in delivered:
            why = f"delivery of an expired {instrument.underlying} contract, booked the next morning"
        found.append(Break(BreakKind.POSITION, instrument.symbol, str(own), str(broker), why))
    return found


def _cash(ours: View, theirs: View, expired: frozenset[Instrument]) -> list[Break]:
    difference = theirs.cash - ours.cash
    if abs(difference) <= CENT:
        return []
    why = None
    if abs(difference + theirs.pending_cash) <= CENT:
        why = f"fees of {theirs.pending_cash} charged and not yet booked"
    elif expired:
        why = "settlement of expired contracts, booked the next morning"
    return [Break(BreakKind.CASH, "cash", str(ours.cash), str(theirs.cash), why)]


def _orders(ours: frozenset[ClientOrderId], theirs: frozenset[ClientOrderId]) -> list[Break]:
    return [
        *(Break(BreakKind.ORDER, key, "open", "not open") for key in sorted(ours - theirs)),
        *(Break(BreakKind.ORDER, key, "not open", "open") for key in sorted(theirs - ours)),
    ]
