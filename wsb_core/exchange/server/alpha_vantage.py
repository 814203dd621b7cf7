"""The practice exchange in Alpha Vantage's words: one path, its functions, and errors with status 200."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Mapping
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

from aiohttp import web

from wsb_core.domain.events import EarningsDate, ReportTime
from wsb_core.domain.ids import Underlying
from wsb_core.domain.quotes import FeedClass
from wsb_core.exchange import hours

from . import parse, stocks
from .almanac import ALMANAC
from .dated import dated
from .faults import Handler
from .parse import Malformed
from .polygon_wire import is_key
from .venue import VENUE, Venue

routes = web.RouteTableDef()
PATH = "/query"
_HORIZONS = {"3month": 92, "6month": 183, "12month": 366}
_COLUMNS = ("symbol", "name", "reportDate", "fiscalDateEnding", "estimate", "currency", "timeOfTheDay")
_TIMES = {ReportTime.BEFORE_OPEN: "pre-market", ReportTime.AFTER_CLOSE: "post-market"}
_BAD_KEY = "the parameter apikey is invalid or missing. Please claim your free API key."
_BAD_CALL = "Invalid API call. Please retry or visit the documentation"


def mount(app: web.Application) -> None:
    """Add this vendor's one route to the exchange's own."""
    app.add_routes(routes)


@web.middleware
async def speaks(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Answers on this vendor's path in its manner; the rest goes on. The key is one of the exchange's ids."""
    if request.path != PATH:
        return await handler(request)
    if not is_key(request.app[VENUE], request.query.get("apikey", "")):
        return _refusal(_BAD_KEY)
    try:
        return await request.match_info.handler(request)
    except Malformed as error:
        return _refusal(f"{_BAD_CALL} ({error})")


def _refusal(words: str) -> web.Response:
    return web.json_response({"Error Message": words})


@routes.get(PATH)
async def query(request: web.Request) -> web.Response:
    function = parse.choice(request.query, "function", ("EARNINGS_CALENDAR", "GLOBAL_QUOTE"), "")
    return _calendar(request) if function == "EARNINGS_CALENDAR" else _global_quote(request)


def _calendar(request: web.Request) -> web.Response:
    """Announcements from today on, of one name or of all, by name."""
    venue, table = request.app[VENUE], request.app[ALMANAC].earnings
    if table is None:
        return web.json_response(
            {"Information": "Thank you for using Alpha Vantage! This is a premium endpoint."}
        )
    horizon = parse.choice(request.query, "horizon", tuple(_HORIZONS), "3month")
    last = venue.today + timedelta(days=_HORIZONS[horizon])
    only = request.query.get("symbol")
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\r\n")
    writer.writerow(_COLUMNS)
    writer.writerows(_rows(table, None if only is None else _name(only), venue.today, last))
    headers = dated(venue, FeedClass.REPLAYED)
    return web.Response(text=text.getvalue(), content_type="application/x-download", headers=headers)


def _rows(
    table: Mapping[Underlying, tuple[EarningsDate, ...]], only: Underlying | None, first: date, last: date
) -> Iterator[tuple[str, ...]]:
    for name in sorted(table):
        for row in sorted(table[name], key=lambda each: each.day):
            if only in (None, name) and first <= row.day <= last:
                at = _TIMES.get(row.time, "")
                yield name.replace(".", "-"), name, row.day.isoformat(), "", "", "USD", at


def _name(ticker: str) -> Underlying:
    return Underlying(ticker.upper().replace("-", "."))


def _global_quote(request: web.Request) -> web.Response:
    """The newest session's bar as text; an unknown name has an empty one."""
    venue = request.app[VENUE]
    told = request.query.get("symbol")
    if not told:
        raise Malformed("symbol")
    body = {"Global Quote": _quote(venue, told.upper())}
    return web.json_response(body, headers=dated(venue, FeedClass.REPLAYED))


def _quote(venue: Venue, ticker: str) -> dict[str, Any]:
    name = _name(ticker)
    bar = stocks.day_bar(venue, name) if name in venue.exchange.feed.symbols() else None
    if bar is None:
        return {}
    evening = hours.last_session(bar.session - timedelta(days=1))
    before = venue.exchange.feed.day_bar(name, evening)
    close = bar.close if before is None else before.close
    change = Decimal(bar.close) - Decimal(close)
    return {
        "01. symbol": ticker,
        "02. open": f"{bar.open:.4f}",
        "03. high": f"{bar.high:.4f}",
        "04. low": f"{bar.low:.4f}",
        "05. price": f"{bar.close:.4f}",
        "06. volume": str(bar.volume),
        "07. latest trading day": bar.session.isoformat(),
        "08. previous close": f"{close:.4f}",
        "09. change": f"{change:.4f}",
        "10. change percent": f"{100 * change / Decimal(close):.4f}%",
    }
