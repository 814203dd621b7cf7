"""Orders as Alpaca spells them: ours to the wire, the wire's to ours."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from wsb_core.domain.contracts import Instrument, OptionContract, Share
from wsb_core.domain.errors import BadResponse, OrderRejected
from wsb_core.domain.ids import BrokerOrderId, ClientOrderId, Price
from wsb_core.domain.orders import Action, BrokerOrder, Order, OrderLeg, OrderState
from wsb_core.execution.rules import unsupported
from wsb_core.execution.ticks import grid_of
from wsb_core.vendors.alpaca_rows import Row, row_of, rows_of

from .alpaca_rules import ALPACA

STATES: Mapping[str, OrderState] = {
    "new": OrderState.WORKING,
    "accepted": OrderState.WORKING,
    "pending_new": OrderState.WORKING,
    "accepted_for_bidding": OrderState.WORKING,
    "pending_review": OrderState.WORKING,
    "pending_replace": OrderState.WORKING,
    "held": OrderState.WORKING,
    "stopped": OrderState.WORKING,
    "suspended": OrderState.WORKING,
    # Done for today, not for good: the broker still owes a last word.
    "done_for_day": OrderState.WORKING,
    "calculated": OrderState.WORKING,
    "partially_filled": OrderState.PARTIALLY_FILLED,
    "pending_cancel": OrderState.PENDING_CANCEL,
    "filled": OrderState.FILLED,
    "canceled": OrderState.CANCELED,
    "expired": OrderState.EXPIRED,
    "replaced": OrderState.REPLACED,
    "rejected": OrderState.REJECTED,
}
"""Every status of the vendor's specification; any other one is ``UNKNOWN`` and keeps its own word."""


def wire_symbol(instrument: Instrument) -> str:
    """The vendor's symbol: OCC without the padding."""
    return instrument.symbol.replace(" ", "")


def order_request(order: Order) -> dict[str, Any]:
    """The JSON body of ``order``: a DAY limit order under our own id.

    The limit is rounded to the tick in our favour, so the wire never carries a worse one than was
    approved. Several legs: positive pays, negative receives. One leg: a positive price and a side.
    Raises: OrderRejected, before anything is sent, for what the vendor does not take.
    """
    from alpaca.trading.enums import OrderClass, OrderSide, PositionIntent, TimeInForce
    from alpaca.trading.requests import LimitOrderRequest, OptionLegRequest

    limit = tick_limit(order)
    refusal = unsupported(replace(order, limit=limit), ALPACA)
    if refusal is not None:
        raise OrderRejected(f"{order.client_order_id}: {refusal.detail}; nothing was sent")
    common: dict[str, Any] = {
        "qty": order.quantity,
        "time_in_force": TimeInForce.DAY,
        "client_order_id": order.client_order_id,
    }
    if len(order.legs) > 1:
        legs = [
            OptionLegRequest(
                symbol=wire_symbol(leg.instrument),
                ratio_qty=leg.ratio,
                side=OrderSide.BUY if leg.action.is_buy else OrderSide.SELL,
                position_intent=PositionIntent(leg.action.value),
            )
            for leg in order.legs
        ]
        request = LimitOrderRequest(
            order_class=OrderClass.MLEG, legs=legs, limit_price=float(0 - limit), **common
        )
        return _fields(request)
    leg = order.legs[0]
    if isinstance(leg.instrument, OptionContract):
        common["position_intent"] = PositionIntent(leg.action.value)
    request = LimitOrderRequest(
        symbol=wire_symbol(leg.instrument),
        side=OrderSide.BUY if leg.action.is_buy else OrderSide.SELL,
        limit_price=float(abs(limit)),
        **common,
    )
    return _fields(request)


def _fields(request: Any) -> dict[str, Any]:
    fields: dict[str, Any] = request.to_request_fields()
    return fields


def tick_limit(order: Order) -> Price:
    """The order's signed limit on its class's tick, rounded up: a debit never dearer, a credit never less."""
    return grid_of(order.structure).round(order.limit, favour=True)


def parse_order(value: Any) -> BrokerOrder:
    """An order as the vendor tells it.

    Raises: BadResponse naming the order and the field when the row cannot be read whole; a list with
    such a row is not read at all, because an order left out is an order nobody knows of.
    """
    row = row_of("order", value, "id")
    quantity, filled = row.whole("qty"), row.whole("filled_qty")
    multi = row.optional_text("order_class") == "mleg"
    if multi and row.optional_text("symbol"):
        raise BadResponse(f"{row.what}: a leg came without its order; ask with nested=true")
    legs = _legs(row, quantity) if multi else (_leg(row, 1),)
    raw_status = row.text("status")
    submitted = row.optional_instant("submitted_at") or row.instant("created_at")
    return BrokerOrder(
        broker_order_id=BrokerOrderId(row.text("id")),
        client_order_id=ClientOrderId(row.text("client_order_id")),
        state=_state(row, raw_status, quantity, filled),
        raw_status=raw_status,
        quantity=quantity,
        filled=filled,
        average=_average(row, legs, multi),
        legs=legs,
        submitted_at=submitted,
        updated_at=row.optional_instant("updated_at") or submitted,
    )


def order_ids(value: Any) -> tuple[str, ...]:
    """The ids under which executions of this order are booked: its own and its legs'."""
    row = row_of("order", value, "id")
    legs = row.fields.get("legs") or []
    return (row.text("id"), *(leg.text("id") for leg in rows_of(f"{row.what} legs", legs)))


def _state(row: Row, raw_status: str, quantity: int, filled: int) -> OrderState:
    state = STATES.get(raw_status, OrderState.UNKNOWN)
    if filled > quantity or (state is OrderState.FILLED and filled != quantity):
        raise BadResponse(f"{row.what}: status {raw_status} with filled_qty {filled} of qty {quantity}")
    if state is OrderState.WORKING and filled:
        done = filled == quantity and raw_status in ("done_for_day", "calculated")
        return OrderState.FILLED if done else OrderState.PARTIALLY_FILLED
    return state


def _legs(row: Row, quantity: int) -> tuple[OrderLeg, ...]:
    legs = rows_of(f"{row.what} legs", row.fields.get("legs"), "id")
    if not legs:
        raise BadResponse(f"{row.what}: a multi-leg order came without its legs; ask with nested=true")
    return tuple(_leg(leg, _ratio(leg, quantity)) for leg in legs)


def _ratio(leg: Row, quantity: int) -> int:
    if leg.fields.get("ratio_qty") is not None:
        return leg.whole("ratio_qty")
    if quantity < 1 or leg.whole("qty") % quantity:
        raise leg.bad("ratio_qty", "a whole number")
    return leg.whole("qty") // quantity


def _leg(row: Row, ratio: int) -> OrderLeg:
    instrument = row.instrument()
    intent = row.optional_text("position_intent")
    if intent is None and isinstance(instrument, Share):
        # Shares are sent without an intent, and this desk never sells shares short.
        intent = {"buy": "buy_to_open", "sell": "sell_to_close"}.get(row.text("side"))
    try:
        return OrderLeg(instrument, Action(intent or ""), ratio)
    except ValueError:
        raise row.bad("position_intent", "one of buy/sell to open/close") from None


def _average(row: Row, legs: tuple[OrderLeg, ...], multi: bool) -> Price | None:
    told = row.optional_number("filled_avg_price")
    if told is None:
        return None
    return Price(0 - told if multi or legs[0].action.is_buy else told)
