"""Two views of one account in, breaks out: positions, cash, orders and buying power, in both directions.

A break is *explained* when the broker's own word or the calendar accounts for it to the contract and
to the cent; whatever is left stops entries. Nothing here corrects anything: a synthetic correction is
how a second, opposite position is made.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import date
from decimal import Decimal
from enum import StrEnum

from wsb_core.domain.contracts import Instrument, OptionContract
from wsb_core.domain.events import CorporateAction
from wsb_core.domain.ids import CENT, Cash, ClientOrderId, StrategyName
from wsb_core.domain.orders import BrokerOrder, Fill
from wsb_core.domain.positions import AccountState, Holding, OpenOrder, Position

from .explain import Told, explain

SHARE_TOLERANCE = Decimal("1e-9")
EVERYTHING = "*"
_NONE = Decimal(0)


class BreakKind(StrEnum):
    POSITION = "position"
    CASH = "cash"
    ORDER = "order"
    BUYING_POWER = "buying_power"
    """Reported, and never a reason to halt: only the broker knows all of its own margin rules."""


@dataclass(frozen=True, slots=True)
class Break:
    """One difference. ``explained_by`` is the evidence that accounts for it, None when nothing does."""

    kind: BreakKind
    key: str
    ours: str
    theirs: str
    explained_by: str | None = None
    difference: str = field(default="", compare=False)
    """Theirs less ours, where that is a number."""
    looked_at: str = field(default="", compare=False)
    """What was asked for an explanation, and what it said."""
    scope: str = EVERYTHING
    """The one strategy it concerns, or ``*``."""

    @property
    def halts(self) -> bool:
        """Whether entries have to stop for it."""
        return self.explained_by is None and self.kind is not BreakKind.BUYING_POWER

    def row(self) -> dict[str, str]:
        """It as plain text, for the record and for a person; ``explained_by`` is empty when nothing does."""
        return {
            "kind": str(self.kind),
            "key": self.key,
            "ours": self.ours,
            "theirs": self.theirs,
            "difference": self.difference,
            "explained_by": self.explained_by or "",
            "looked_at": self.looked_at,
            "scope": self.scope,
            "halts": "yes" if self.halts else "no",
        }


@dataclass(frozen=True, slots=True)
class View:
    """One side's picture of the account. ``pending_cash`` is charged but not yet booked."""

    holdings: tuple[Holding, ...]
    cash: Cash
    open_orders: frozenset[ClientOrderId]
    pending_cash: Cash = Cash(Decimal(0))
    buying_power: tuple[Cash, Cash] | None = None
    """For options: between these two by our own books, or twice the broker's figure; None when not told."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a comparison found."""

    breaks: tuple[Break, ...]

    @property
    def unexplained(self) -> tuple[Break, ...]:
        """Differences that stop entries."""
        return tuple(b for b in self.breaks if b.halts)

    @property
    def clean(self) -> bool:
        """Whether trading may go on: every difference, if any, is accounted for."""
        return not self.unexplained

    def blocks(self, strategy: StrategyName) -> bool:
        """Whether entries of ``strategy`` have to wait."""
        return bool(stops(self.unexplained_rows, strategy))

    @property
    def unexplained_rows(self) -> tuple[dict[str, str], ...]:
        return tuple(b.row() for b in self.unexplained)


def stops(rows: Iterable[Mapping[str, str]], strategy: StrategyName | None) -> tuple[str, ...]:
    """Keys of the recorded differences that stop entries of ``strategy``; of any when it is None."""
    return tuple(
        row["key"]
        for row in rows
        if row.get("halts", "yes") == "yes"
        and (strategy is None or row.get("scope", EVERYTHING) in (EVERYTHING, strategy))
    )


def compare(
    ours: View,
    theirs: View,
    *,
    today: date,
    after_close: bool,
    actions: Collection[CorporateAction] = (),
    unbooked: Collection[Told] = (),
    traded: Collection[Fill] = (),
) -> Verdict:
    """Every difference between the ledger and the broker, each with what explains it.

    Contracts and whole shares are exact and signed; cash within a cent plus what is pending.
    ``after_close`` says that today's expiries have been settled by the broker, whose rows for it come
    only the next morning. ``actions`` are splits, dividends and new tickers that took effect lately;
    ``unbooked`` are fills that the broker told by an order and not yet by its executions; ``traded`` are
    those in our own books.
    """
    here, there = _quantities(ours.holdings), _quantities(theirs.holdings)
    differing = _differences(here, there)
    missing = theirs.cash - ours.cash
    found = explain(
        here,
        there,
        differing,
        missing if abs(missing) > CENT else Decimal(0),
        pending=theirs.pending_cash,
        today=today,
        after_close=after_close,
        actions=actions,
        unbooked=unbooked,
        traded=traded,
    )
    breaks = [
        *(
            Break(
                BreakKind.POSITION,
                instrument.symbol,
                str(here.get(instrument, Decimal(0))),
                str(there.get(instrument, Decimal(0))),
                found.positions.get(instrument),
                str(by),
                found.looked_at,
            )
            for instrument, by in differing.items()
        ),
        *_cash(ours, theirs, found.cash, found.looked_at),
        *_orders(ours.open_orders, theirs.open_orders),
        *_buying_power(ours.buying_power, theirs.buying_power),
    ]
    return Verdict(tuple(breaks))


def persistent(first: Verdict, second: Verdict) -> Verdict:
    """The breaks that two reads in a row agree on: a difference seen once is a race, not a break."""
    seen = {(b.kind, b.key, b.theirs) for b in first.breaks}
    return Verdict(tuple(b for b in second.breaks if (b.kind, b.key, b.theirs) in seen))


def attributed(verdict: Verdict, positions: Iterable[Position], orders: Iterable[OpenOrder]) -> Verdict:
    """Each break with the strategy it concerns, where it can only be one; the others concern all."""
    owners: dict[str, set[str]] = {}
    for position in positions:
        for leg in position.structure.legs:
            owners.setdefault(leg.instrument.symbol, set()).add(position.strategy)
    for order in orders:
        owner = order.strategy or EVERYTHING
        owners.setdefault(order.client_order_id, set()).add(owner)
        for leg in order.structure.legs:
            owners.setdefault(leg.instrument.symbol, set()).add(owner)
    return Verdict(tuple(replace(b, scope=_only(owners.get(b.key, set()))) for b in verdict.breaks))


def unknown_orders(ours: Iterable[ClientOrderId], theirs: Iterable[BrokerOrder]) -> tuple[BrokerOrder, ...]:
    """Orders at the broker that the ledger has no intent for."""
    known = frozenset(ours)
    return tuple(order for order in theirs if order.client_order_id not in known)


def expected_buying_power(
    holdings: Iterable[Holding], cash: Decimal, orders: Iterable[OpenOrder], account: AccountState
) -> tuple[Cash, Cash]:
    """The least and the most that the broker's options buying power may be, by our own books.

    At least cash less every short option secured in full (a put by its strike, a call by its strike as
    the vendor counts an uncovered one), every short share at one and a half times nothing less than its
    value is known for, and what open orders may lose; at most what equity or cash is there.
    """
    tied = Decimal(0)
    for holding in holdings:
        instrument = holding.instrument
        if isinstance(instrument, OptionContract) and holding.quantity < 0:
            tied -= holding.quantity * instrument.strike * instrument.multiplier
        elif holding.quantity < 0:
            tied += abs(cash)
    tied += sum((order.max_loss for order in orders), Decimal(0))
    return Cash(min(cash, account.equity) - tied), Cash(max(cash, account.equity, account.buying_power))


def _only(owners: Collection[str]) -> str:
    return next(iter(owners)) if len(owners) == 1 else EVERYTHING


def _quantities(holdings: Iterable[Holding]) -> dict[Instrument, Decimal]:
    total: dict[Instrument, Decimal] = {}
    for holding in holdings:
        total[holding.instrument] = total.get(holding.instrument, Decimal(0)) + holding.quantity
    return total


def _differences(
    here: Mapping[Instrument, Decimal], there: Mapping[Instrument, Decimal]
) -> dict[Instrument, Decimal]:
    """Theirs less ours of every instrument in which they are apart, by symbol."""
    apart = {}
    for instrument, own in here.items():
        by = there.get(instrument, _NONE) - own
        if by and abs(by) > (_NONE if isinstance(instrument, OptionContract) else SHARE_TOLERANCE):
            apart[instrument] = by
    apart |= {instrument: by for instrument, by in there.items() if instrument not in here and by}
    return {instrument: apart[instrument] for instrument in sorted(apart, key=lambda one: one.symbol)}


def _cash(ours: View, theirs: View, why: str | None, looked_at: str) -> list[Break]:
    by = theirs.cash - ours.cash
    if abs(by) <= CENT:
        return []
    return [Break(BreakKind.CASH, "cash", str(ours.cash), str(theirs.cash), why, str(by), looked_at)]


def _orders(ours: frozenset[ClientOrderId], theirs: frozenset[ClientOrderId]) -> list[Break]:
    return [
        *(Break(BreakKind.ORDER, key, "open", "not open") for key in sorted(ours - theirs)),
        *(Break(BreakKind.ORDER, key, "not open", "open") for key in sorted(theirs - ours)),
    ]


def _buying_power(ours: tuple[Cash, Cash] | None, theirs: tuple[Cash, Cash] | None) -> list[Break]:
    if ours is None or theirs is None or ours[0] - CENT <= theirs[0] <= ours[1] + CENT:
        return []
    by = theirs[0] - (ours[0] if theirs[0] < ours[0] else ours[1])
    told = f"between {ours[0]} and {ours[1]}"
    looked = "cash, equity, short options secured in full, open orders"
    return [Break(BreakKind.BUYING_POWER, "options", told, str(theirs[0]), None, str(by), looked)]
