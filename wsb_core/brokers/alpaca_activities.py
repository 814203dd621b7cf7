"""What Alpaca booked in the account: executions and every other row."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, time
from decimal import Decimal
from typing import Any

from wsb_core.domain.activities import Activity, ActivityKind
from wsb_core.domain.calendar import NEW_YORK
from wsb_core.domain.contracts import ExerciseStyle, Instrument, OptionContract
from wsb_core.domain.ids import BrokerOrderId, Cash, ClientOrderId, Price
from wsb_core.domain.orders import Fill
from wsb_core.vendors.alpaca_rows import Row, row_of

KINDS: Mapping[str, ActivityKind] = {
    "FILL": ActivityKind.FILL,
    "OPEXP": ActivityKind.EXPIRY,
    "OPEXC": ActivityKind.EXERCISE,
    "OPASN": ActivityKind.ASSIGNMENT,
    "OPTRD": ActivityKind.OPTION_TRADE,
    "OPCSH": ActivityKind.CASH,
    "DIV": ActivityKind.DIVIDEND,
    "DIVCGL": ActivityKind.DIVIDEND,
    "DIVCGS": ActivityKind.DIVIDEND,
    "DIVFT": ActivityKind.DIVIDEND,
    "DIVNRA": ActivityKind.DIVIDEND,
    "DIVROC": ActivityKind.DIVIDEND,
    "DIVTW": ActivityKind.DIVIDEND,
    "DIVTXEX": ActivityKind.DIVIDEND,
    "CGD": ActivityKind.DIVIDEND,
    "DIVFEE": ActivityKind.FEE,
    "FEE": ActivityKind.FEE,
    "CFEE": ActivityKind.FEE,
    "PTC": ActivityKind.FEE,
    "PTR": ActivityKind.FEE,
    "SPLIT": ActivityKind.SPLIT,
    "CSD": ActivityKind.CASH,
    "CSW": ActivityKind.CASH,
    "ACATC": ActivityKind.CASH,
    "INT": ActivityKind.CASH,
    "INTNRA": ActivityKind.CASH,
    "INTTW": ActivityKind.CASH,
    "JNLC": ActivityKind.CASH,
}
"""The vendor's types; any other one is ``OTHER`` and keeps its own word."""

_MOVES_CASH = frozenset(
    {ActivityKind.OPTION_TRADE, ActivityKind.DIVIDEND, ActivityKind.FEE, ActivityKind.CASH}
)
_SIDES = {"buy": 1, "sell": -1, "sell_short": -1}


def parse_activity(value: Any) -> Activity:
    """One booked row.

    The sign of an expiry's quantity is the row's own: sources differ for short positions, so the
    holding decides. Raises: BadResponse naming the row and the field when it cannot be read whole.
    """
    row = row_of("activity", value, "id")
    return _trade(row) if row.text("activity_type") == "FILL" else _booking(row)


def parse_fill(value: Any, orders: Mapping[str, ClientOrderId]) -> Fill:
    """One execution; ``orders`` maps ids of orders and legs to the client order id of the whole order."""
    row = row_of("fill", value, "id")
    booked = row.text("order_id")
    return Fill(
        execution_id=row.text("id"),
        client_order_id=orders.get(booked),
        broker_order_id=BrokerOrderId(booked),
        instrument=row.instrument(),
        quantity=signed_quantity(row),
        price=Price(row.number("price")),
        at=row.instant("transaction_time"),
    )


def signed_quantity(row: Row) -> Decimal:
    """The row's ``qty``, negative when its ``side`` sells."""
    sign = _SIDES.get(row.text("side"))
    if sign is None:
        raise row.bad("side", "buy, sell or sell_short")
    return abs(row.number("qty")) * sign


def _trade(row: Row) -> Activity:
    instrument, quantity, price = row.instrument(), signed_quantity(row), row.number("price")
    at = row.instant("transaction_time")
    return Activity(
        activity_id=row.text("id"),
        kind=ActivityKind.FILL,
        raw_kind="FILL",
        at=at,
        booked_on=at.astimezone(NEW_YORK).date(),
        instrument=instrument,
        quantity=quantity,
        price=Price(price),
        cash=Cash(0 - quantity * price * instrument.multiplier),
        broker_order_id=BrokerOrderId(row.text("order_id")),
        description=row.optional_text("type") or "",
    )


def _booking(row: Row) -> Activity:
    raw_kind = row.text("activity_type")
    instrument = row.instrument() if row.optional_text("symbol") else None
    kind = KINDS.get(raw_kind, ActivityKind.OTHER)
    if raw_kind == "OPCSH" and _cash_settled(instrument):
        kind = ActivityKind.EXPIRY
    day = row.day("date")
    cash = row.optional_number("net_amount")
    if cash is None and kind in _MOVES_CASH:
        raise row.bad("net_amount", "an amount")
    cash = cash or Decimal(0)
    quantity = _booked_quantity(row, kind, cash)
    description = row.optional_text("description") or ""
    if row.optional_text("status") == "canceled":
        # Taken back by the broker: it moves nothing, and a person should see that it happened.
        kind, cash, quantity = ActivityKind.OTHER, Decimal(0), Decimal(0)
        description = f"canceled: {description}"
    price = row.optional_number("per_share_amount" if kind is ActivityKind.DIVIDEND else "price")
    return Activity(
        activity_id=row.text("id"),
        kind=kind,
        raw_kind=raw_kind,
        at=row.optional_instant("created_at") or datetime.combine(day, time(), NEW_YORK),
        booked_on=day,
        instrument=instrument,
        quantity=quantity,
        price=None if price is None else Price(price),
        cash=Cash(cash),
        group=row.optional_text("group_id"),
        description=description,
    )


def _cash_settled(instrument: Instrument | None) -> bool:
    """An index option ends in cash; on any other contract the cash is only part of what was delivered."""
    return isinstance(instrument, OptionContract) and instrument.style is ExerciseStyle.EUROPEAN


def _booked_quantity(row: Row, kind: ActivityKind, cash: Decimal) -> Decimal:
    """``qty`` as it changes the position, from what must be so rather than from the sign that came."""
    quantity = row.optional_number("qty")
    if quantity is None:
        if kind in (ActivityKind.EXPIRY, ActivityKind.EXERCISE, ActivityKind.ASSIGNMENT):
            raise row.bad("qty", "a number")
        return Decimal(0)
    if kind is ActivityKind.EXERCISE:
        return -abs(quantity)
    if kind is ActivityKind.ASSIGNMENT:
        return abs(quantity)
    if kind is ActivityKind.OPTION_TRADE and cash:
        return -abs(quantity) if cash > 0 else abs(quantity)
    if kind in (ActivityKind.DIVIDEND, ActivityKind.FEE, ActivityKind.CASH):
        # Here it counts the shares that were paid on; the position does not change.
        return Decimal(0)
    return quantity
