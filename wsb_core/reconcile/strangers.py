"""Orders at the broker that nobody here sent: the broker's own, or somebody's by hand."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta

from wsb_core.domain.calendar import Session
from wsb_core.domain.contracts import OptionContract
from wsb_core.domain.ids import StrategyName
from wsb_core.domain.orders import BrokerOrder
from wsb_core.domain.positions import Position

BEFORE_CLOSE = timedelta(minutes=90)
"""The broker closes expiring positions that it will not carry in the last hour, earlier in a fast market."""


def liquidated(
    order: BrokerOrder, positions: Iterable[Position], session: Session
) -> tuple[StrategyName, ...]:
    """Strategies whose expiring contracts the broker closed with ``order``; none when it is not of that kind.

    It is when every leg closes a contract that we hold, on its last day, in the end of the session.
    """
    if not session.closes - BEFORE_CLOSE <= order.submitted_at <= session.closes:
        return ()
    held = {
        leg.instrument: (leg.ratio, position.strategy)
        for position in positions
        for leg in position.structure.legs
    }
    owners = set()
    for leg in order.legs:
        ratio, owner = held.get(leg.instrument, (0, None))
        last_day = isinstance(leg.instrument, OptionContract) and leg.instrument.expiry <= session.day
        if owner is None or not last_day or (ratio < 0) is not leg.action.is_buy:
            return ()
        owners.add(owner)
    return tuple(sorted(owners))
