"""What a request asks for: query parameters and order bodies, refused in the vendor's words."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, date, datetime, time
from decimal import Decimal, InvalidOperation
from typing import Any

from aiohttp import web

from wsb_core.domain.calendar import NEW_YORK
from wsb_core.domain.contracts import OptionContract
from wsb_core.domain.ids import Price
from wsb_core.domain.orders import Action
from wsb_core.exchange.model import OrderRequest, OrderType, Reject, RequestLeg, TimeInForce

from .venue import Venue

INVALID = 42210000
Query = Mapping[str, str]


class Malformed(Exception):
    """A parameter that cannot be read: HTTP 400 on data routes, 422 on trading routes."""


def words(query: Query, name: str) -> tuple[str, ...]:
    """A comma-joined list; empty when absent."""
    return tuple(word.strip() for word in query.get(name, "").split(",") if word.strip())


def choice(query: Query, name: str, allowed: tuple[str, ...], default: str) -> str:
    value = query.get(name) or default
    if value not in allowed:
        raise Malformed(f"invalid {name}: {value!r} (one of {', '.join(allowed)})")
    return value


def flag(query: Query, name: str, default: bool = False) -> bool:
    """A boolean; clients send ``true``, ``True`` or ``1``."""
    text = query.get(name, "").lower()
    if text not in ("", "true", "false", "1", "0"):
        raise Malformed(f"invalid {name}: {text!r} (true or false)")
    return default if not text else text in ("true", "1")


def whole(query: Query, name: str, default: int, most: int) -> int:
    text = query.get(name) or str(default)
    if not text.isdigit() or not 1 <= int(text) <= most:
        raise Malformed(f"invalid {name}: {text!r} (1 to {most})")
    return int(text)


def number(query: Query, name: str) -> Decimal | None:
    text = query.get(name)
    return None if not text else _decimal(text, name)


def day(query: Query, name: str) -> date | None:
    """A date, or the date an instant has in New York; None when absent."""
    text = query.get(name)
    if not text:
        return None
    try:
        if len(text) == len("2026-01-02"):
            return date.fromisoformat(text)
        return _instant(text).astimezone(NEW_YORK).date()
    except ValueError as error:
        raise Malformed(f"invalid {name}: {text!r} (YYYY-MM-DD)") from error


def instant(query: Query, name: str, *, end_of_day: bool = False) -> datetime | None:
    """An instant; a bare date is its beginning (its end for ``end_of_day``) in New York."""
    text = query.get(name)
    if not text:
        return None
    try:
        if len(text) == len("2026-01-02"):
            at = time.max if end_of_day else time.min
            return datetime.combine(date.fromisoformat(text), at, NEW_YORK)
        return _instant(text)
    except ValueError as error:
        raise Malformed(f"invalid {name}: {text!r} (RFC 3339 or YYYY-MM-DD)") from error


def _instant(text: str) -> datetime:
    # A plus sign that was not escaped arrives as a blank.
    at = datetime.fromisoformat(text.replace(" ", "+"))
    return at if at.tzinfo else at.replace(tzinfo=UTC)


def _decimal(value: Any, name: str) -> Decimal:
    try:
        number = Decimal(str(value))
    except InvalidOperation as error:
        raise Malformed(f"invalid {name}: {value!r} is not a number") from error
    if isinstance(value, bool) or not number.is_finite():
        raise Malformed(f"invalid {name}: {value!r} is not a number")
    return number


async def json_body(request: web.Request) -> dict[str, Any]:
    """The body's object, its numbers exact; an absent body is an empty object."""
    text = await request.text()
    try:
        body = json.loads(text, parse_float=Decimal, parse_constant=_no_constant) if text.strip() else {}
    except ValueError as error:
        raise Reject(400, 40010000, "request body format is invalid") from error
    if not isinstance(body, dict):
        raise Reject(400, 40010000, "request body format is invalid")
    return body


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


def refuse(message: str, **extras: Any) -> Reject:
    return Reject(422, INVALID, message, **extras)


def optional_price(body: Mapping[str, Any], name: str) -> Price | None:
    value = body.get(name)
    return None if value in (None, "") else Price(_decimal(value, name))


def optional_decimal(body: Mapping[str, Any], name: str) -> Decimal | None:
    value = body.get(name)
    return None if value in (None, "") else _decimal(value, name)


def client_order_id(body: Mapping[str, Any]) -> str | None:
    """The caller's own id; None when it gave none.

    Raises: Reject when it is no string; the engine refuses what is too long or used.
    """
    value = body.get("client_order_id")
    if value in (None, ""):
        return None
    if not isinstance(value, str):
        raise Reject(422, 40010001, "client_order_id must be a string")
    return value


def order_request(venue: Venue, body: Mapping[str, Any]) -> OrderRequest:
    """The order a POST /v2/orders asks for, numbers given as numbers or as strings.

    Raises: Reject for what this exchange does not take, Malformed for what cannot be read.
    """
    order_class = body.get("order_class") or "simple"
    if order_class not in ("simple", "mleg"):
        raise refuse(f"order_class {order_class} is not supported by the practice exchange")
    if body.get("notional") not in (None, ""):
        raise refuse("notional is not supported")
    if body.get("extended_hours") is True:
        raise refuse("extended hours not supported")
    legs = _legs(venue, body) if order_class == "mleg" else (_single(venue, body),)
    quantity = optional_decimal(body, "qty")
    if quantity is None:
        raise refuse("qty is required")
    return OrderRequest(
        legs=legs,
        quantity=quantity,
        type=_order_type(body),
        time_in_force=_time_in_force(body, legs),
        limit=optional_price(body, "limit_price"),
        stop=optional_price(body, "stop_price"),
        client_order_id=client_order_id(body),
    )


def _order_type(body: Mapping[str, Any]) -> OrderType:
    try:
        return OrderType(body.get("type") or "")
    except ValueError:
        raise refuse(f"invalid order type {body.get('type')!r}") from None


def _time_in_force(body: Mapping[str, Any], legs: tuple[RequestLeg, ...]) -> TimeInForce:
    value = body.get("time_in_force") or ""
    try:
        return TimeInForce(value)
    except ValueError:
        option = any(isinstance(leg.instrument, OptionContract) for leg in legs)
        raise refuse(f"invalid {'option ' if option else ''}time_in_force {value!r}") from None


def _legs(venue: Venue, body: Mapping[str, Any]) -> tuple[RequestLeg, ...]:
    given = body.get("legs")
    if not isinstance(given, list) or not given or not all(isinstance(leg, dict) for leg in given):
        raise refuse("legs are required for a multi-leg order")
    return tuple(_leg(venue, leg, f"leg.{index} ") for index, leg in enumerate(given))


def _leg(venue: Venue, leg: Mapping[str, Any], where: str) -> RequestLeg:
    ratio = optional_decimal(leg, "ratio_qty")
    if ratio is None or ratio <= 0 or ratio != ratio.to_integral_value():
        raise refuse(f"{where}ratio_qty must be a positive integer")
    one = _single(venue, leg, where)
    return RequestLeg(one.instrument, one.is_buy, int(ratio), one.intent)


def _single(venue: Venue, body: Mapping[str, Any], where: str = "") -> RequestLeg:
    symbol = body.get("symbol") or ""
    try:
        instrument = venue.instrument(str(symbol))
    except Reject:
        raise refuse(f'{where}asset "{symbol}" not found') from None
    intent = _intent(body, where)
    side = body.get("side") or (("buy" if intent.is_buy else "sell") if intent else None)
    if side not in ("buy", "sell"):
        raise refuse(f"{where}side must be buy or sell, not {side!r}")
    return RequestLeg(instrument, side == "buy", 1, intent)


def _intent(body: Mapping[str, Any], where: str) -> Action | None:
    value = body.get("position_intent")
    if value in (None, ""):
        return None
    try:
        return Action(value)
    except ValueError:
        raise refuse(f"{where}invalid position_intent {value!r}") from None
