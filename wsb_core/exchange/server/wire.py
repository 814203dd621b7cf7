"""The engine's rows in the vendor's JSON: money as decimal strings, instants in RFC 3339."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from wsb_core.domain.calendar import NEW_YORK
from wsb_core.domain.contracts import ExerciseStyle, Instrument, OptionContract, Right, Share
from wsb_core.domain.orders import Action
from wsb_core.exchange import hours
from wsb_core.exchange.model import (
    AccountRow,
    ActivityRow,
    LegRow,
    Listed,
    OrderRow,
    PositionRow,
    RowKind,
    Status,
    TimeInForce,
    TradeEvent,
)
from wsb_core.exchange.rules import wire_symbol

from .venue import Venue, asset_id

Json = dict[str, Any]
LISTING_VENUE = "NYSE"
"""The feed does not say where a share is listed; every one is told as listed here."""
_NO_UUID = "00000000-0000-0000-0000-000000000000"


def decimal_text(value: Decimal) -> str:
    """Plain digits without trailing zeros: ``100``, ``1.28``."""
    text = format(value, "f")
    if "." in text:
        text = text.rstrip("0").rstrip(".")
    return "0" if text in ("", "-0") else text


def money(value: Decimal | None) -> str | None:
    return None if value is None else decimal_text(value)


def stamp(at: datetime) -> str:
    """UTC with nine decimals, as many as the vendor may send."""
    return f"{at.astimezone(UTC):%Y-%m-%dT%H:%M:%S}.{at.microsecond:06d}000Z"


def _stamp_or_none(at: datetime | None) -> str | None:
    return None if at is None else stamp(at)


def local_stamp(at: datetime) -> str:
    """With New York's offset, as the clock route tells it."""
    return at.astimezone(NEW_YORK).isoformat()


def asset_class(instrument: Instrument) -> str:
    return "us_option" if isinstance(instrument, OptionContract) else "us_equity"


def side(action: Action) -> str:
    return "buy" if action.is_buy else "sell"


def account(row: AccountRow, multiplier: int, suspended: bool, now: datetime) -> Json:
    """GET /v2/account. ``last_maintenance_margin`` is left out: it is not kept."""
    market_value = row.long_market_value + row.short_market_value
    return {
        "id": row.id,
        "account_number": row.number,
        "status": "ACTIVE",
        "crypto_status": "INACTIVE",
        "currency": "USD",
        "cash": money(row.cash),
        "portfolio_value": money(row.equity),
        "equity": money(row.equity),
        "last_equity": money(row.last_equity),
        "buying_power": money(row.buying_power),
        "regt_buying_power": money(row.buying_power),
        "effective_buying_power": money(row.buying_power),
        "non_marginable_buying_power": money(row.options_buying_power),
        "options_buying_power": money(row.options_buying_power),
        "long_market_value": money(row.long_market_value),
        "short_market_value": money(row.short_market_value),
        "position_market_value": money(market_value),
        "initial_margin": money(row.initial_margin),
        "maintenance_margin": money(row.maintenance_margin),
        # Paper accounts tell 0: the special memorandum account is not modelled.
        "sma": "0",
        "multiplier": str(multiplier),
        "accrued_fees": money(row.accrued_fees),
        "pending_reg_taf_fees": "0",
        "intraday_adjustments": "0",
        "balance_asof": hours.trading_date(now).isoformat(),
        "created_at": stamp(row.created_at),
        "trading_blocked": row.blocked,
        "transfers_blocked": False,
        "account_blocked": row.blocked,
        "trade_suspended_by_user": suspended,
        "shorting_enabled": True,
        "options_approved_level": row.options_level,
        "options_trading_level": row.options_level,
        "admin_configurations": {},
        "user_configurations": None,
    }


def position(venue: Venue, row: PositionRow) -> Json:
    """One row of GET /v2/positions. What needs a price is null while there is none."""
    size = row.quantity * row.instrument.multiplier
    cost = row.average * size
    value = None if row.current is None else row.current * size
    gain = None if value is None else value - cost
    moved = None if row.current is None or row.last_day is None else row.current - row.last_day
    day_gain = None if moved is None else moved * size
    before = None if row.last_day is None else abs(row.last_day * size)
    return {
        "asset_id": venue.issue_id(row.instrument),
        "symbol": wire_symbol(row.instrument),
        "exchange": "" if isinstance(row.instrument, OptionContract) else LISTING_VENUE,
        "asset_class": asset_class(row.instrument),
        "asset_marginable": isinstance(row.instrument, Share),
        "avg_entry_price": money(row.average),
        "qty": money(row.quantity),
        "qty_available": money(row.available),
        "side": "long" if row.quantity > 0 else "short",
        "market_value": money(value),
        "cost_basis": money(cost),
        "unrealized_pl": money(gain),
        "unrealized_plpc": _share_of(gain, abs(cost)),
        "unrealized_intraday_pl": money(day_gain),
        "unrealized_intraday_plpc": _share_of(day_gain, before),
        "current_price": money(row.current),
        "lastday_price": money(row.last_day),
        "change_today": _share_of(moved, row.last_day),
    }


def _share_of(part: Decimal | None, whole: Decimal | None) -> str | None:
    if part is None or not whole:
        return None
    return decimal_text((part / whole).quantize(Decimal("0.0000000001")))


def order(venue: Venue, row: OrderRow, *, nested: bool = True) -> Json:
    """An order. A parent of several legs has empty strings where one instrument's facts would be."""
    several = len(row.legs) > 1
    request = row.request
    body = _order_common(row)
    if several:
        own = {"asset_id": "", "symbol": "", "asset_class": "", "side": ""}
        legs = [leg_order(venue, row, leg) for leg in row.legs] if nested else None
    else:
        leg = row.legs[0]
        own = {**_instrument(venue, leg), "position_intent": leg.action.value}
        legs = None
    return {
        **body,
        "id": row.id,
        "client_order_id": row.client_order_id,
        **own,
        "qty": money(request.quantity),
        "filled_qty": money(row.filled),
        "filled_avg_price": money(row.average),
        "order_class": "mleg" if several else "",
        "order_type": request.type.value,
        "type": request.type.value,
        "limit_price": money(request.limit),
        "stop_price": money(request.stop),
        "replaced_by": row.replaced_by,
        "replaces": row.replaces,
        "legs": legs,
    }


def leg_order(venue: Venue, row: OrderRow, leg: LegRow) -> Json:
    """One leg of a several-legged order as an order of its own; its price is its own premium."""
    return {
        **_order_common(row),
        "id": leg.id,
        "client_order_id": leg.client_order_id,
        **_instrument(venue, leg),
        "position_intent": leg.action.value,
        "qty": money(row.request.quantity * leg.ratio),
        "ratio_qty": str(leg.ratio),
        "filled_qty": money(leg.filled),
        "filled_avg_price": money(leg.average),
        "order_class": "mleg",
        "order_type": "",
        "type": "",
        "limit_price": None,
        "stop_price": None,
        "replaced_by": None,
        "replaces": None,
        "legs": None,
    }


def flat(venue: Venue, row: OrderRow) -> list[Json]:
    """The order and its legs side by side, which is what a list that was not asked nested holds."""
    legs = [leg_order(venue, row, leg) for leg in row.legs] if len(row.legs) > 1 else []
    return [order(venue, row, nested=False), *legs]


def _instrument(venue: Venue, leg: LegRow) -> Json:
    return {
        "asset_id": venue.issue_id(leg.instrument),
        "symbol": wire_symbol(leg.instrument),
        "asset_class": asset_class(leg.instrument),
        "side": side(leg.action),
    }


def _order_common(row: OrderRow) -> Json:
    body: Json = {
        "created_at": stamp(row.created_at),
        "updated_at": stamp(row.updated_at),
        "submitted_at": stamp(row.submitted_at),
        "filled_at": _stamp_or_none(row.filled_at),
        "expired_at": _stamp_or_none(row.expired_at),
        "canceled_at": _stamp_or_none(row.canceled_at),
        "failed_at": stamp(row.updated_at) if row.status is Status.REJECTED else None,
        "replaced_at": _stamp_or_none(row.replaced_at),
        "status": row.status.value,
        "time_in_force": row.request.time_in_force.value,
        "notional": None,
        "extended_hours": False,
        "trail_percent": None,
        "trail_price": None,
        "hwm": None,
        "subtag": None,
        "source": None,
    }
    if row.request.time_in_force is TimeInForce.DAY:
        body["expires_at"] = stamp(hours.current_or_next(row.submitted_at).closes)
    return body


def activity(row: ActivityRow, order: OrderRow | None) -> Json:
    """One row of GET /v2/account/activities; ``order`` is the one a fill belongs to."""
    return _fill(row, order) if row.kind is RowKind.FILL else _booking(row)


def activity_id(row: ActivityRow) -> str:
    """``YYYYMMDDhhmmssfff::uuid``, which sorts by time."""
    at = row.at.astimezone(UTC)
    return f"{at:%Y%m%d%H%M%S}{at.microsecond // 1000:03d}::{row.id}"


def _fill(row: ActivityRow, order: OrderRow | None) -> Json:
    if row.instrument is None or row.leaves is None or row.cumulative is None:
        raise ValueError(f"fill {row.id} lacks its instrument, leaves or cumulative quantity")
    return {
        "id": activity_id(row),
        "activity_type": "FILL",
        "transaction_time": stamp(row.at),
        "type": row.fill_type,
        "price": money(row.price),
        "qty": money(abs(row.quantity)),
        "side": _fill_side(row, order),
        "symbol": wire_symbol(row.instrument),
        "leaves_qty": money(row.leaves),
        "order_id": row.leg_order_id or row.order_id,
        "cum_qty": money(row.cumulative),
        "order_status": "partially_filled" if row.leaves else "filled",
    }


def _fill_side(row: ActivityRow, order: OrderRow | None) -> str:
    if row.quantity > 0:
        return "buy"
    legs = order.legs if order else []
    short = any(leg.instrument == row.instrument and leg.action is Action.SELL_TO_OPEN for leg in legs)
    return "sell_short" if short and isinstance(row.instrument, Share) else "sell"


def _booking(row: ActivityRow) -> Json:
    body: Json = {
        "id": activity_id(row),
        "activity_type": row.kind.value,
        "date": row.booked_on.isoformat(),
        "created_at": stamp(row.visible_at),
        "net_amount": money(row.net_amount),
        "description": row.description,
        "status": "executed",
        "currency": "USD",
    }
    if row.instrument is not None:
        body |= {"symbol": wire_symbol(row.instrument), "cusip": "", "qty": money(row.quantity)}
    if row.price is not None:
        name = "per_share_amount" if row.kind is RowKind.DIV else "price"
        body[name] = money(row.price)
    if row.group is not None:
        body["group_id"] = row.group
    return body


def contract(venue: Venue, listed: Listed, interest_on: str, *, deliverables: bool) -> Json:
    """One row of GET /v2/options/contracts. Closing prices of contracts are not kept: null."""
    held = listed.contract
    unknown = listed.open_interest is None
    body = {
        "id": venue.issue_id(held),
        "symbol": wire_symbol(held),
        "name": contract_name(held),
        "status": "active",
        "tradable": True,
        "expiration_date": held.expiry.isoformat(),
        "root_symbol": held.root,
        "underlying_symbol": held.underlying,
        "underlying_asset_id": asset_id(Share(held.underlying)),
        "type": "call" if held.right is Right.CALL else "put",
        "style": "european" if held.style is ExerciseStyle.EUROPEAN else "american",
        "strike_price": money(held.strike),
        "multiplier": str(held.multiplier),
        "size": str(held.multiplier),
        "open_interest": None if unknown else str(listed.open_interest),
        "open_interest_date": None if unknown else interest_on,
        "close_price": None,
        "close_price_date": None,
    }
    if deliverables:
        body["deliverables"] = [_deliverable(held)]
    return body


def contract_name(held: OptionContract) -> str:
    """``AAPL Dec 18 2026 100 Call``."""
    word = "Call" if held.right is Right.CALL else "Put"
    return f"{held.underlying} {held.expiry:%b %d %Y} {decimal_text(held.strike)} {word}"


def _deliverable(held: OptionContract) -> Json:
    return {
        "type": "equity",
        "symbol": held.underlying,
        "asset_id": asset_id(Share(held.underlying)),
        "amount": str(held.multiplier),
        "allocation_percentage": "100",
        "settlement_type": "T+1",
        "settlement_method": "CCC",
        "delayed_settlement": False,
    }


def trade_update(venue: Venue, event: TradeEvent) -> Json:
    """The ``data`` of a trade_updates message; a several-legged one has its own envelope."""
    body: Json = {
        "event": event.event,
        "timestamp": stamp(event.at),
        "order": order(venue, event.order),
    }
    if len(event.order.legs) > 1:
        body["order"]["asset_id"] = _NO_UUID
        return body | _many_legs(event)
    if event.executions:
        done = event.executions[0]
        body |= {
            "execution_id": done.execution_id,
            "price": money(done.price),
            "qty": money(abs(done.quantity)),
            "position_qty": money(done.position_after),
        }
    return body


def _many_legs(event: TradeEvent) -> Json:
    positions = {wire_symbol(done.instrument): money(done.position_after) for done in event.executions}
    legs = [
        {
            "execution_id": done.execution_id,
            "order_id": done.leg_id,
            "symbol": wire_symbol(done.instrument),
            "qty": money(abs(done.quantity)),
            "price": money(done.price),
            "timestamp": stamp(event.at),
        }
        for done in event.executions
    ]
    return {
        "at": stamp(event.at),
        "event_id": event.event_id,
        "position_qtys": positions,
        "legs": legs,
    }
