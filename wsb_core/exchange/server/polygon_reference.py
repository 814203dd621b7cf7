"""What does not move by the second, in Polygon's format: hours, contracts, actions, yields, earnings."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import datetime, time, timedelta
from fractions import Fraction

from aiohttp import web

from wsb_core.domain.calendar import NEW_YORK
from wsb_core.domain.contracts import ExerciseStyle, Right
from wsb_core.domain.events import EarningsDate, ReportTime, Yields
from wsb_core.domain.ids import Underlying
from wsb_core.domain.quotes import FeedClass
from wsb_core.exchange import hours
from wsb_core.exchange.model import CorporateAction, Listed, Reject
from wsb_core.exchange.rules import wire_symbol

from . import parse, wire
from .almanac import ALMANAC
from .polygon_market import contract_filter
from .polygon_wire import Item, Json, NotServed, answer, backwards, days, inside, option_ticker, paged
from .stocks import ANNOUNCED_AHEAD
from .venue import VENUE, Venue

routes = web.RouteTableDef()
_TRADING_DAY = (time(4), time(20))
"""Between these hours in New York the vendor calls a session day extended."""
_YIELDS_OUT = time(18)
"""When the day's yields are published, New York."""
_A_YEAR = 366
_MODELLED = FeedClass.MODELLED
_HOUR_OF = {
    ReportTime.BEFORE_OPEN: "07:00:00",
    ReportTime.DURING: "14:45:00",
    ReportTime.AFTER_CLOSE: "21:05:00",
    ReportTime.UNKNOWN: None,
}
"""Hours that mean the same in New York and in UTC: whose they are the vendor does not say."""


@routes.get("/v1/marketstatus/now")
async def status(request: web.Request) -> web.Response:
    venue = request.app[VENUE]
    local, session = venue.now.astimezone(NEW_YORK), hours.session_of(venue.today)
    extended = session is not None and _TRADING_DAY[0] <= local.time() < _TRADING_DAY[1]
    word = "open" if venue.is_open() else "extended-hours" if extended else "closed"
    outside = extended and not venue.is_open()
    return web.json_response(
        {
            "market": word,
            "earlyHours": bool(outside and session is not None and venue.now < session.opens),
            "afterHours": bool(outside and session is not None and venue.now >= session.closes),
            "serverTime": wire.local_stamp(venue.now),
            "exchanges": dict.fromkeys(("nyse", "nasdaq", "otc"), word),
            "currencies": {"fx": "open", "crypto": "open"},
        }
    )


@routes.get("/v1/marketstatus/upcoming")
async def upcoming(request: web.Request) -> web.Response:
    """Weekdays of the coming year without a session, or with a short one, as far as the calendar goes."""
    venue = request.app[VENUE]
    found: list[Json] = []
    for ahead in range(_A_YEAR):
        day = venue.today + timedelta(days=ahead)
        try:
            session = hours.session_of(day)
        except ValueError:
            break
        row: Json = {"date": day.isoformat(), "name": "Market holiday", "status": "closed"}
        if session is not None and session.half_day:
            times = {"open": wire.stamp(session.opens), "close": wire.stamp(session.closes)}
            row |= {"name": "Early close", "status": "early-close", **times}
        elif session is not None or day.weekday() > 4:
            continue
        found += [row | {"exchange": name} for name in ("NYSE", "NASDAQ")]
    return web.json_response(found)


@routes.get("/v3/reference/options/contracts")
async def contracts(request: web.Request) -> web.Response:
    """Listed contracts by ticker; those that have expired are not kept."""
    venue, query = request.app[VENUE], request.query
    only = contract_filter(query)
    asked = query.get("underlying_ticker")
    names = (Underlying(asked.upper()),) if asked else venue.exchange.feed.symbols()
    wanted = query.get("ticker")
    rows = (
        listed
        for listed in _listed(venue, names)
        if only.admits(listed.contract) and wanted in (None, option_ticker(listed.contract))
    )
    return paged(request, rows, lambda row: wire_symbol(row.contract), _each(_row), _MODELLED)


@routes.get("/v3/reference/options/contracts/{ticker}")
async def contract(request: web.Request) -> web.Response:
    venue, wanted = request.app[VENUE], request.match_info["ticker"].upper()
    try:
        found = venue.instrument(wanted.removeprefix("O:"))
    except Reject as error:
        raise web.HTTPNotFound from error
    for listed in _listed(venue, (found.underlying,)):
        if listed.contract == found:
            return answer(_row(listed), _MODELLED)
    raise web.HTTPNotFound


def _listed(venue: Venue, names: Sequence[Underlying]) -> Iterator[Listed]:
    for name in sorted(names):
        rows = venue.exchange.feed.listed(name, venue.today)
        yield from sorted(rows, key=lambda row: wire_symbol(row.contract))


def _row(listed: Listed) -> Json:
    held = listed.contract
    call, european = held.right is Right.CALL, held.style is ExerciseStyle.EUROPEAN
    return {
        "cfi": f"O{'C' if call else 'P'}{'E' if european else 'A'}SPS",
        "contract_type": "call" if call else "put",
        "exercise_style": held.style.value,
        "expiration_date": held.expiry.isoformat(),
        "primary_exchange": "BATO",
        "shares_per_contract": held.multiplier,
        "strike_price": float(held.strike),
        "ticker": option_ticker(held),
        "underlying_ticker": held.underlying,
    }


@routes.get("/v3/reference/tickers/{ticker}")
async def known_ticker(request: web.Request) -> web.Response:
    """Only that it is listed: the feed knows no more of a company than its ticker."""
    venue, told = request.app[VENUE], request.match_info["ticker"].upper()
    symbol = Underlying(told.removeprefix("I:"))
    if not venue.has_data(symbol):
        raise web.HTTPNotFound
    index = symbol not in venue.exchange.feed.symbols()
    body = {"ticker": told, "name": symbol, "market": "indices" if index else "stocks", "locale": "us"}
    return answer({**body, "active": True, "currency_name": "usd"}, FeedClass.REPLAYED)


@routes.get("/v3/reference/dividends")
async def dividends(request: web.Request) -> web.Response:
    rows = [row for row in _actions(request, "ex_dividend_date") if row.dividend is not None]
    return paged(request, rows, _key, _each(_dividend), FeedClass.REPLAYED)


@routes.get("/v3/reference/splits")
async def splits(request: web.Request) -> web.Response:
    rows = [row for row in _actions(request, "execution_date") if row.ratio is not None]
    return paged(request, rows, _key, _each(_split), FeedClass.REPLAYED)


def _each(tell: Callable[[Item], Json]) -> Callable[[Sequence[Item]], list[Json]]:
    return lambda told: [tell(item) for item in told]


def _actions(request: web.Request, name: str) -> list[CorporateAction]:
    """Newest first unless asked otherwise; told a fortnight ahead."""
    venue, query = request.app[VENUE], request.query
    feed = venue.exchange.feed
    first, last = days(query, name)
    first, latest = first or feed.sessions()[0], venue.today + ANNOUNCED_AHEAD
    last = latest if last is None else min(last, latest)
    asked = query.get("ticker")
    names = (Underlying(asked.upper()),) if asked else feed.symbols()
    found = [action for symbol in names for action in feed.corporate_actions(symbol, first, last)]
    order = backwards(query, "desc")
    return sorted(found, key=lambda action: (action.ex_date, action.underlying), reverse=order)


def _key(action: CorporateAction) -> str:
    return f"{action.underlying}|{action.ex_date}|{action.dividend}|{action.ratio}"


def _dividend(action: CorporateAction) -> Json:
    """The feed knows ex-date and amount; what it does not know is left out."""
    return {
        "id": _key(action),
        "ticker": action.underlying,
        "cash_amount": float(action.dividend or 0),
        "currency": "USD",
        "dividend_type": "CD",
        "ex_dividend_date": action.ex_date.isoformat(),
        "frequency": 4,
    }


def _split(action: CorporateAction) -> Json:
    ratio = Fraction(action.ratio or 1).limit_denominator(1000)
    sides = {"split_from": ratio.denominator, "split_to": ratio.numerator}
    return {
        "id": _key(action),
        "ticker": action.underlying,
        "execution_date": action.ex_date.isoformat(),
        **sides,
    }


@routes.get("/fed/v1/treasury-yields")
async def treasury_yields(request: web.Request) -> web.Response:
    """Days published by now, newest first unless asked otherwise; 404 without a table."""
    venue, table = request.app[VENUE], request.app[ALMANAC].yields
    if table is None:
        raise web.HTTPNotFound
    bounds = days(request.query, "date")
    known = [row for row in table if inside(row.day, bounds) and _out(venue.now, row)]
    oldest_first = (request.query.get("sort") or "date.desc") == "date.asc"
    ordered = sorted(known, key=lambda row: row.day, reverse=not oldest_first)
    return paged(
        request,
        ordered,
        lambda row: str(row.day),
        _each(_yields),
        FeedClass.REPLAYED,
        default=100,
        most=50_000,
    )


def _out(now: datetime, row: Yields) -> bool:
    return datetime.combine(row.day, _YIELDS_OUT, NEW_YORK) <= now


def _yields(row: Yields) -> Json:
    return {"date": row.day.isoformat(), **{_tenor(years): rate for years, rate in row.percent.items()}}


def _tenor(years: float) -> str:
    """``yield_3_month``, ``yield_10_year``."""
    if years < 1:
        return f"yield_{round(years * 12)}_month"
    return f"yield_{round(years)}_year"


@routes.get("/benzinga/v1/earnings")
async def earnings(request: web.Request) -> web.Response:
    """The caller's table as it is, later dates included; without one the key has no such subscription."""
    table, query = request.app[ALMANAC].earnings, request.query
    if table is None:
        raise NotServed("Benzinga earnings")
    bounds = days(query, "date")
    asked = {*parse.words(query, "ticker.any_of"), *parse.words(query, "ticker")}
    rows = [
        row
        for name, dates in table.items()
        if not asked or name in asked
        for row in dates
        if inside(row.day, bounds)
    ]
    ordered = sorted(rows, key=lambda row: (row.day, row.underlying))
    return paged(
        request, ordered, _announced, _each(_announcement), FeedClass.REPLAYED, default=100, most=50_000
    )


def _announced(row: EarningsDate) -> str:
    return f"{row.underlying}|{row.day}"


def _announcement(row: EarningsDate) -> Json:
    """A time that is not known is left out, and so is a status."""
    at = _HOUR_OF[row.time]
    return {
        "benzinga_id": _announced(row),
        "ticker": row.underlying,
        "date": row.day.isoformat(),
        "last_updated": wire.stamp(row.provenance.as_of),
        **({} if at is None else {"time": at}),
        **({} if row.confirmed is None else {"date_status": "confirmed" if row.confirmed else "projected"}),
    }
