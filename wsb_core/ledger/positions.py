"""Positions, lots, holdings, closed trades and cash, derived from fills and account activities alone.

Executions become whole units of structures (packages.py); those and the activities are replayed in
time order. An event whose object is not there yet waits for it: a broker that dates an expiry or an
assignment by day gives it an instant before the fill it belongs after.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal

from wsb_core.domain.activities import Activity, ActivityKind
from wsb_core.domain.ids import AccountId, Cash, ClientOrderId
from wsb_core.domain.orders import Fill
from wsb_core.domain.positions import Holding, Lot, Position

from .fees import fees_by_order
from .held import ClosedTrade
from .packages import OrderTerms, fill_cash, pack
from .replay import Replay
from .types import exact


@dataclass(frozen=True, slots=True)
class Derived:
    """An account, rebuilt. ``unassigned`` is what it holds that no strategy's position explains."""

    positions: tuple[Position, ...]
    holdings: tuple[Holding, ...]
    lots: tuple[Lot, ...]
    cash: Cash
    trades: tuple[ClosedTrade, ...]
    unassigned: tuple[Holding, ...]
    units: Mapping[ClientOrderId, int]
    """Whole units filled of every order with a strategy that has any."""
    orphans: tuple[str, ...]
    """Execution ids of fills whose order is not known."""
    problems: tuple[str, ...]


def derive(
    account: AccountId,
    opening_cash: Cash,
    orders: Sequence[OrderTerms],
    fills: Sequence[Fill],
    activities: Sequence[Activity],
) -> Derived:
    """Rebuild the account. The order in which the rows are given does not matter.

    Fills among the activities are skipped: they are in ``fills``.
    """
    packed = pack(orders, fills)
    booked = tuple(row for row in activities if row.kind is not ActivityKind.FILL)
    replay = Replay(fees_by_order(orders, fills, booked), packed.units)
    replay.run(packed, fills, booked)
    problems = [
        *(f"fill {execution} belongs to no known order" for execution in packed.orphans),
        *(f"order {order} has executions that complete no unit" for order in packed.partial),
        *replay.problems,
    ]
    total = sum((*map(fill_cash, fills), *(row.cash for row in booked)), Decimal(opening_cash))
    return Derived(
        positions=replay.positions(account),
        holdings=replay.holdings(),
        lots=replay.lots(),
        cash=Cash(exact(total)),
        trades=tuple(replay.closed),
        unassigned=replay.unassigned(),
        units=packed.units,
        orphans=packed.orphans,
        problems=tuple(problems),
    )
