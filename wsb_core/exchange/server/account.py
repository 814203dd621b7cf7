"""/v2/account and /v2/positions: balances, configuration, activities, history, holdings."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date, datetime, time
from decimal import Decimal
from typing import Any

from aiohttp import web

from wsb_core.domain.calendar import NEW_YORK
from wsb_core.domain.ids import Cash
from wsb_core.exchange import hours
from wsb_core.exchange.model import ActivityRow, PositionRow, Reject, RowKind
from wsb_core.exchange.rules import wire_symbol

from . import parse, wire
from .orders import cancel_open, submit
from .venue import VENUE, EquityPoint, Venue

routes = web.RouteTableDef()


@routes.get("/v2/account")
async def account(request: web.Request) -> web.Response:
    venue = request.app[VENUE]
    row = venue.exchange.account()
    multiplier = venue.exchange.settings.margin_multiplier
    body = wire.account(row, multiplier, venue.suspended, venue.now)
    return web.json_response(body)


@routes.get("/v2/account/configurations")
async def configurations(request: web.Request) -> web.Response:
    return web.json_response(_configuration(request.app[VENUE]))


@routes.patch("/v2/account/configurations")
async def configure(request: web.Request) -> web.Response:
    """Takes ``suspend_trade`` alone: the rest is fixed when the exchange is made."""
    venue = request.app[VENUE]
    body = await parse.json_body(request)
    now = _configuration(venue)
    fixed = sorted(k for k, v in body.items() if k != "suspend_trade" and v is not None and v != now.get(k))
    if fixed:
        raise parse.refuse(f"{', '.join(fixed)} cannot be changed on the practice exchange")
    venue.suspended = bool(body.get("suspend_trade", venue.suspended))
    return web.json_response(_configuration(venue))


def _configuration(venue: Venue) -> dict[str, Any]:
    return {
        "disable_overnight_trading": True,
        "fractional_trading": False,
        "max_margin_multiplier": str(venue.exchange.settings.margin_multiplier),
        "max_options_trading_level": venue.exchange.settings.options_level,
        "no_shorting": False,
        "ptp_no_exception_entry": False,
        "suspend_trade": venue.suspended,
        "trade_confirm_email": "none",
    }


@routes.get("/v2/positions")
async def positions(request: web.Request) -> web.Response:
    venue = request.app[VENUE]
    return web.json_response([wire.position(venue, row) for row in venue.exchange.positions()])


@routes.get("/v2/positions/{asset}")
async def position(request: web.Request) -> web.Response:
    return web.json_response(wire.position(request.app[VENUE], _held(request)))


def _held(request: web.Request) -> PositionRow:
    venue = request.app[VENUE]
    found = venue.position(venue.instrument(request.match_info["asset"]))
    if found is None:
        raise Reject(404, 40410000, "position does not exist")
    return found


@routes.delete("/v2/positions/{asset}")
async def close(request: web.Request) -> web.Response:
    venue = request.app[VENUE]
    row = _held(request)
    quantity = parse.number(request.query, "qty")
    percentage = parse.number(request.query, "percentage")
    if percentage is not None:
        quantity = (abs(row.quantity) * percentage / 100).to_integral_value(rounding="ROUND_FLOOR")
    return web.json_response(_close(venue, row, quantity))


@routes.delete("/v2/positions")
async def close_all(request: web.Request) -> web.Response:
    """Closes each with its own market order; what was refused carries the refusal as its body."""
    venue = request.app[VENUE]
    if parse.flag(request.query, "cancel_orders"):
        cancel_open(venue)
    told = []
    for row in venue.exchange.positions():
        symbol = wire_symbol(row.instrument)
        try:
            told.append({"symbol": symbol, "status": 200, "body": _close(venue, row, None)})
        except Reject as no:
            told.append({"symbol": symbol, "status": no.status, "body": reject_body(no)})
    return web.json_response(told, status=207)


def _close(venue: Venue, row: PositionRow, quantity: Decimal | None) -> dict[str, Any]:
    long = row.quantity > 0
    body = {
        "symbol": wire_symbol(row.instrument),
        "qty": abs(row.quantity) if quantity is None else quantity,
        "side": "sell" if long else "buy",
        "position_intent": "sell_to_close" if long else "buy_to_close",
        "type": "market",
        "time_in_force": "day",
    }
    return wire.order(venue, submit(venue, body))


def reject_body(no: Reject) -> dict[str, Any]:
    extras = {key: wire.decimal_text(v) if isinstance(v, Decimal) else v for key, v in no.extras.items()}
    return {"code": no.code, "message": no.message, **extras}


@routes.post("/v2/positions/{asset}/exercise")
async def exercise(request: web.Request) -> web.Response:
    venue = request.app[VENUE]
    venue.exchange.exercise(venue.contract(request.match_info["asset"]))
    return web.Response(status=200)


@routes.post("/v2/positions/{asset}/do-not-exercise")
async def do_not_exercise(request: web.Request) -> web.Response:
    venue = request.app[VENUE]
    venue.exchange.do_not_exercise(venue.contract(request.match_info["asset"]))
    return web.Response(status=200)


@routes.get("/v2/account/activities")
async def activities(request: web.Request) -> web.Response:
    kinds = parse.words(request.query, "activity_types")
    category = request.query.get("category")
    if category == "trade_activity":
        kinds = (RowKind.FILL.value,)
    elif category == "non_trade_activity":
        kinds = tuple(kind.value for kind in RowKind if kind is not RowKind.FILL)
    return _activities(request, frozenset(kinds))


@routes.get("/v2/account/activities/{kind}")
async def activities_of_kind(request: web.Request) -> web.Response:
    return _activities(request, frozenset({request.match_info["kind"].upper()}))


def _activities(request: web.Request, kinds: frozenset[str]) -> web.Response:
    venue = request.app[VENUE]
    query = request.query
    rows = [row for row in venue.exchange.activities() if not kinds or row.kind.value in kinds]
    rows = list(_dated(rows, query))
    rows.sort(key=_told_at)
    if parse.choice(query, "direction", ("asc", "desc"), "desc") == "desc":
        rows.reverse()
    token = query.get("page_token")
    if token:
        ids = [wire.activity_id(row) for row in rows]
        if token not in ids:
            raise parse.Malformed(f"invalid page_token: {token!r} is no activity of this account")
        rows = rows[ids.index(token) + 1 :]
    page = rows[: parse.whole(query, "page_size", 100, 100)]
    return web.json_response([wire.activity(row, _order_of(venue, row)) for row in page])


def _dated(rows: Iterable[ActivityRow], query: parse.Query) -> Iterable[ActivityRow]:
    on = parse.day(query, "date")
    after, until = parse.instant(query, "after"), parse.instant(query, "until", end_of_day=True)
    for row in rows:
        at = _told_at(row)
        if (
            (on is None or row.booked_on == on)
            and (after is None or at > after)
            and (until is None or at < until)
        ):
            yield row


def _told_at(row: ActivityRow) -> datetime:
    """When the vendor dates it: a fill by its instant, a booking by its day."""
    if row.kind is RowKind.FILL:
        return row.at
    return datetime.combine(row.booked_on, time.min, NEW_YORK)


def _order_of(venue: Venue, row: ActivityRow) -> Any:
    return venue.exchange.order(row.order_id) if row.order_id else None


@routes.get("/v2/account/portfolio/history")
async def portfolio_history(request: web.Request) -> web.Response:
    """Equity at the closes the clock has passed, and now; daily only."""
    venue = request.app[VENUE]
    query = request.query
    timeframe = query.get("timeframe") or "1D"
    if timeframe != "1D":
        raise parse.Malformed(f"invalid timeframe: {timeframe!r} (the practice exchange keeps 1D)")
    start, end = parse.instant(query, "start"), parse.instant(query, "end", end_of_day=True)
    points = [
        point
        for point in _points(venue)
        if (start is None or point.at >= start) and (end is None or point.at <= end)
    ]
    by_day = parse.choice(query, "pnl_reset", ("no_reset", "per_day"), "per_day") == "per_day"
    days = [hours.trading_date(point.at) for point in points]
    cashflow = {kind: _cashflow(venue, kind, days) for kind in parse.words(query, "cashflow_types")}
    return web.json_response(_history(points, by_day) | {"cashflow": cashflow})


def _points(venue: Venue) -> list[EquityPoint]:
    now = EquityPoint(venue.now, venue.exchange.account().equity)
    return venue.equity if venue.equity[-1].at == now.at else [*venue.equity, now]


def _history(points: list[EquityPoint], by_day: bool) -> dict[str, Any]:
    base = points[0].equity if points else Cash(Decimal(0))
    before = [base, *(point.equity for point in points[:-1])] if by_day else [base] * len(points)
    gains = [point.equity - then for point, then in zip(points, before, strict=False)]
    return {
        "timestamp": [int(point.at.timestamp()) for point in points],
        "equity": [float(point.equity) for point in points],
        "profit_loss": [float(gain) for gain in gains],
        "profit_loss_pct": [
            float(gain / then) if then else None for gain, then in zip(gains, before, strict=False)
        ],
        "base_value": float(base),
        "timeframe": "1D",
    }


def _cashflow(venue: Venue, kind: str, days: list[date]) -> list[float]:
    rows = [row for row in venue.exchange.activities() if row.kind.value == kind]
    return [float(sum(row.net_amount for row in rows if row.booked_on == day)) for day in days]
