"""Routes of the practice exchange itself, off the vendor's paths: clock, state, assignment, faults."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from aiohttp import web
from pydantic import ValidationError

from wsb_core.domain.ids import Cash

from . import parse
from .faults import Fault
from .streams import STREAMS
from .venue import VENUE, Venue

routes = web.RouteTableDef()


@routes.get("/control/clock")
async def clock(request: web.Request) -> web.Response:
    return web.json_response(_clock(request.app[VENUE]))


@routes.post("/control/clock")
async def move(request: web.Request) -> web.Response:
    """``{"to": instant}`` or ``{"advance": seconds}``; forward only."""
    venue = request.app[VENUE]
    to = _target(venue, await parse.json_body(request))
    try:
        venue.advance(to)
    except ValueError as error:
        raise parse.refuse(str(error)) from error
    return web.json_response(_clock(venue))


def _clock(venue: Venue) -> dict[str, Any]:
    return {"now": venue.now.isoformat(), "is_open": venue.is_open(), "source": venue.exchange.feed.source}


def _target(venue: Venue, body: Mapping[str, Any]) -> datetime:
    if body.keys() == {"to"} and isinstance(body["to"], str):
        to = parse.instant(body, "to")
        if to is not None:
            return to
    if body.keys() == {"advance"}:
        seconds = parse.optional_decimal(body, "advance")
        if seconds is not None and seconds >= 0:
            return venue.now + timedelta(seconds=float(seconds))
    raise parse.refuse('the clock takes {"to": instant} or {"advance": seconds >= 0}')


@routes.get("/control/state")
async def state(request: web.Request) -> web.Response:
    venue = request.app[VENUE]
    counts = venue.counts
    return web.json_response(
        {
            "now": venue.now.isoformat(),
            "orders_received": counts.orders_received,
            "orders_accepted": counts.orders_accepted,
            "orders": len(venue.exchange.orders()),
            "sends": dict(counts.sends),
            "requests": dict(counts.requests),
            "streams": request.app[STREAMS].attending(),
            "faults": venue.faults.report(),
        }
    )


@routes.post("/control/assign")
async def assign(request: web.Request) -> web.Response:
    """``{"symbol": OCC symbol, "quantity": contracts}``: short contracts are assigned now."""
    venue = request.app[VENUE]
    body = await parse.json_body(request)
    quantity = parse.optional_decimal(body, "quantity")
    if quantity is None or quantity < 1 or quantity != quantity.to_integral_value():
        raise parse.refuse(f"quantity must be a positive integer, not {body.get('quantity')!r}")
    contract = venue.contract(str(body.get("symbol", "")))
    try:
        venue.exchange.assign(contract, int(quantity))
    except ValueError as error:
        raise parse.refuse(str(error)) from error
    return web.json_response({"symbol": contract.symbol, "assigned": int(quantity)})


@routes.post("/control/deposit")
async def deposit(request: web.Request) -> web.Response:
    venue = request.app[VENUE]
    amount = parse.optional_decimal(await parse.json_body(request), "amount")
    if amount is None or amount == 0:
        raise parse.refuse("amount must be dollars, and not 0")
    venue.exchange.deposit(Cash(amount.quantize(Decimal("0.01"))))
    return web.json_response({"cash": str(venue.exchange.account().cash)})


@routes.post("/control/faults")
async def order_fault(request: web.Request) -> web.Response:
    venue = request.app[VENUE]
    try:
        fault = Fault.model_validate(await parse.json_body(request))
    except ValidationError as error:
        raise parse.refuse(f"fault refused: {error}") from error
    venue.faults.add(fault)
    return web.json_response(venue.faults.report())


@routes.get("/control/faults")
async def faults(request: web.Request) -> web.Response:
    return web.json_response(request.app[VENUE].faults.report())


@routes.delete("/control/faults")
async def clear_faults(request: web.Request) -> web.Response:
    request.app[VENUE].faults.clear()
    return web.Response(status=204)
