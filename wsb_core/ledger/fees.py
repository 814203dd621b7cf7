"""Which order a fee belongs to, as far as the broker's rows say."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import date
from decimal import Decimal

from wsb_core.domain.activities import Activity, ActivityKind
from wsb_core.domain.calendar import NEW_YORK
from wsb_core.domain.ids import ClientOrderId
from wsb_core.domain.orders import Fill

from .held import symbol_of
from .packages import OrderTerms, order_of, owners

_FINE = Decimal("1e-10")
_TRADED_ON = re.compile(r"\bon (\d{4}-\d{2}-\d{2})\b")
"""The vendor books some fees a day later and names the day of the trade in the text."""


def fees_by_order(
    orders: Sequence[OrderTerms], fills: Sequence[Fill], booked: Sequence[Activity]
) -> Mapping[ClientOrderId, Decimal]:
    """Fees (negative cash) by order.

    A row that names an order is that order's. One that names an instrument is shared by the orders that
    traded it that day, by quantity. One that names neither is an order's only when nothing else was
    traded that day. Every other fee is cash of the account and of no trade.
    """
    by_id = owners(orders)
    traded: dict[tuple[date, str], dict[ClientOrderId, Decimal]] | None = None
    fees: dict[ClientOrderId, Decimal] = defaultdict(Decimal)
    for row in booked:
        if row.kind is not ActivityKind.FEE:
            continue
        named = by_id.get(row.broker_order_id or "")
        if named is not None:
            fees[named.client_order_id] += row.cash
            continue
        if traded is None:
            traded = _traded(by_id, fills)
        for order, part in _shared(row, traded):
            fees[order] += part
    return fees


def _traded(
    by_id: Mapping[str, OrderTerms], fills: Sequence[Fill]
) -> dict[tuple[date, str], dict[ClientOrderId, Decimal]]:
    """Quantity by day, instrument (and "" for any), and order."""
    found: dict[tuple[date, str], dict[ClientOrderId, Decimal]] = defaultdict(lambda: defaultdict(Decimal))
    for fill in fills:
        order = order_of(by_id, fill)
        name = order.client_order_id if order is not None else ClientOrderId("")
        day = fill.at.astimezone(NEW_YORK).date()
        for symbol in (symbol_of(fill.instrument), ""):
            found[day, symbol][name] += abs(fill.quantity)
    return found


def _shared(
    row: Activity, traded: Mapping[tuple[date, str], Mapping[ClientOrderId, Decimal]]
) -> list[tuple[ClientOrderId, Decimal]]:
    text = _TRADED_ON.search(row.description)
    day = date.fromisoformat(text[1]) if text else row.booked_on
    symbol = "" if row.instrument is None else symbol_of(row.instrument)
    orders = traded.get((day, symbol), {})
    if not orders or "" in orders or (not symbol and len(orders) > 1):
        return []
    whole, rest = sum(orders.values(), Decimal(0)), row.cash
    parts = []
    for name, quantity in list(orders.items())[:-1]:
        part = (row.cash * quantity / whole).quantize(_FINE)
        parts.append((name, part))
        rest = type(row.cash)(rest - part)
    return [*parts, (list(orders)[-1], rest)]
