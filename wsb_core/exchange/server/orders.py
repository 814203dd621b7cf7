"""/v2/orders: place, list, look up, replace and cancel."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from aiohttp import web

from wsb_core.exchange.model import OrderRow, Reject, Status
from wsb_core.exchange.rules import wire_symbol

from . import parse, wire
from .venue import VENUE, Venue

routes = web.RouteTableDef()


@routes.post("/v2/orders")
async def place(request: web.Request) -> web.Response:
    venue = request.app[VENUE]
    row = submit(venue, await parse.json_body(request))
    return web.json_response(wire.order(venue, row))


def submit(venue: Venue, body: dict[str, Any]) -> OrderRow:
    """Hand an order body to the engine.

    Raises: Reject as the engine or the configuration of the account says.
    """
    if venue.suspended:
        raise Reject(403, 40310000, "trading is suspended by the user (suspend_trade)")
    row = venue.exchange.submit(parse.order_request(venue, body))
    venue.counts.orders_accepted += 1
    return row


@routes.get("/v2/orders")
async def listing(request: web.Request) -> web.Response:
    venue = request.app[VENUE]
    query = request.query
    limit = parse.whole(query, "limit", 50, 500)
    found = list(_filtered(venue, query))
    if parse.choice(query, "direction", ("asc", "desc"), "desc") == "desc":
        found.reverse()
    if parse.flag(query, "nested"):
        return web.json_response([wire.order(venue, row) for row in found[:limit]])
    flat = [body for row in found[:limit] for body in wire.flat(venue, row)]
    return web.json_response(flat[:limit])


def _filtered(venue: Venue, query: parse.Query) -> Iterable[OrderRow]:
    """Orders by submission that the query's filters let through; bounds are exclusive."""
    status = parse.choice(query, "status", ("open", "closed", "all"), "open")
    after, until = parse.instant(query, "after"), parse.instant(query, "until")
    symbols = frozenset(word.upper() for word in parse.words(query, "symbols"))
    side = query.get("side") or None
    classes = frozenset(parse.words(query, "asset_class"))
    rows = _between_ids(venue.exchange.orders(), query.get("after_order_id"), query.get("before_order_id"))
    for row in rows:
        legs = row.legs
        if (
            (status == "all" or row.status.open == (status == "open"))
            and (after is None or row.submitted_at > after)
            and (until is None or row.submitted_at < until)
            and (not symbols or any(wire_symbol(leg.instrument) in symbols for leg in legs))
            and (side is None or any(wire.side(leg.action) == side for leg in legs))
            and (not classes or any(wire.asset_class(leg.instrument) in classes for leg in legs))
        ):
            yield row


def _between_ids(rows: tuple[OrderRow, ...], after: str | None, before: str | None) -> tuple[OrderRow, ...]:
    ids = [row.id for row in rows]
    for given in (after, before):
        if given and given not in ids:
            raise Reject(404, 40410000, f"order not found for {given}")
    first = ids.index(after) + 1 if after else 0
    return rows[first : ids.index(before) if before else None]


@routes.get("/v2/orders:by_client_order_id")
async def by_client_id(request: web.Request) -> web.Response:
    venue = request.app[VENUE]
    wanted = request.query.get("client_order_id", "")
    row = venue.exchange.order_by_client_id(wanted)
    if row is None:
        raise Reject(404, 40410000, f"order not found for {wanted}")
    leg = next((leg for leg in row.legs if leg.client_order_id == wanted), None)
    if leg is not None and row.client_order_id != wanted:
        return web.json_response(wire.leg_order(venue, row, leg))
    return web.json_response(wire.order(venue, row))


@routes.get("/v2/orders/{order_id}")
async def one(request: web.Request) -> web.Response:
    venue = request.app[VENUE]
    row, wanted = _row(request)
    leg = next((leg for leg in row.legs if leg.id == wanted), None)
    if leg is not None and row.id != wanted:
        return web.json_response(wire.leg_order(venue, row, leg))
    return web.json_response(wire.order(venue, row, nested=parse.flag(request.query, "nested")))


def _row(request: web.Request) -> tuple[OrderRow, str]:
    """The order a path names by its own id or a leg's, and that id."""
    wanted = request.match_info["order_id"]
    row = request.app[VENUE].exchange.order(wanted)
    if row is None:
        raise Reject(404, 40410000, f"order not found for {wanted}")
    return row, wanted


@routes.patch("/v2/orders/{order_id}")
async def replace(request: web.Request) -> web.Response:
    venue = request.app[VENUE]
    row, _ = _row(request)
    body = await parse.json_body(request)
    if body.get("time_in_force") not in (None, row.request.time_in_force.value) or body.get("trail"):
        raise parse.refuse("time_in_force and trail cannot be replaced here")
    made = venue.exchange.replace(
        row.id,
        quantity=parse.optional_decimal(body, "qty"),
        limit=parse.optional_price(body, "limit_price"),
        stop=parse.optional_price(body, "stop_price"),
        client_order_id=parse.client_order_id(body),
    )
    return web.json_response(wire.order(venue, made))


@routes.delete("/v2/orders/{order_id}")
async def cancel(request: web.Request) -> web.Response:
    row, _ = _row(request)
    request.app[VENUE].exchange.cancel(row.id)
    return web.Response(status=204)


@routes.delete("/v2/orders")
async def cancel_all(request: web.Request) -> web.Response:
    return web.json_response(cancel_open(request.app[VENUE]), status=207)


def cancel_open(venue: Venue) -> list[dict[str, Any]]:
    """Ask for the cancel of every open order; what became of each request."""
    told = []
    for row in venue.exchange.orders():
        if not row.status.open or row.status is Status.PENDING_CANCEL:
            continue
        try:
            venue.exchange.cancel(row.id)
            told.append({"id": row.id, "status": 200})
        except Reject as no:
            told.append({"id": row.id, "status": no.status})
    return told
