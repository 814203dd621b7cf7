"""What there is to trade and when: clock, calendar, assets and option contracts."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

from aiohttp import web

from wsb_core.domain.calendar import (
    NEW_YORK,
    sessions_between,
    shift,
)
from wsb_core.domain.contracts import OptionContract, Right, Share
from wsb_core.domain.ids import Underlying
from wsb_core.exchange import hours
from wsb_core.exchange.model import Listed, Reject
from wsb_core.exchange.rules import wire_symbol

from . import parse, wire
from .pages import page
from .venue import VENUE, Venue

routes = web.RouteTableDef()
_SATURDAY = 5


@routes.get("/v2/clock")
async def clock(request: web.Request) -> web.Response:
    venue = request.app[VENUE]
    current = hours.current_or_next(venue.now)
    coming = hours.current_or_next(current.closes) if current.opens <= venue.now else current
    return web.json_response(
        {
            "timestamp": wire.local_stamp(venue.now),
            "is_open": venue.is_open(),
            "next_open": wire.local_stamp(coming.opens),
            "next_close": wire.local_stamp(current.closes),
        }
    )


@routes.get("/v2/calendar")
async def calendar(request: web.Request) -> web.Response:
    """Trading days from ``start`` to ``end``; without them, those the feed has data for."""
    venue = request.app[VENUE]
    known = venue.exchange.feed.sessions()
    first = parse.day(request.query, "start") or known[0]
    last = parse.day(request.query, "end") or known[-1]
    try:
        days = sessions_between(first, last)
    except ValueError as error:
        raise parse.Malformed(str(error)) from error
    return web.json_response([_calendar_day(day) for day in days])


def _calendar_day(day: date) -> dict[str, Any]:
    session = hours.session_of(day)
    if session is None:
        raise ValueError(f"{day} is no trading day")
    return {
        "date": day.isoformat(),
        "open": f"{session.opens.astimezone(NEW_YORK):%H:%M}",
        "close": f"{session.closes.astimezone(NEW_YORK):%H:%M}",
        "session_open": "0400",
        "session_close": "2000",
        "settlement_date": shift(day, _settlement_days(day)).isoformat(),
    }


def _settlement_days(day: date) -> int:
    """Sessions from trade to settlement. Source: SEC rule 15c6-1 as amended in 2017 and 2024."""
    if day >= date(2024, 5, 28):
        return 1
    return 2 if day >= date(2017, 9, 5) else 3


@routes.get("/v2/assets")
async def assets(request: web.Request) -> web.Response:
    venue = request.app[VENUE]
    query = request.query
    if query.get("status") == "inactive" or query.get("asset_class", "us_equity") != "us_equity":
        raise parse.Malformed("the practice exchange lists active us_equity assets alone")
    wanted = frozenset(parse.words(query, "attributes"))
    told = [_asset(venue, Share(symbol)) for symbol in sorted(venue.exchange.feed.symbols())]
    return web.json_response([body for body in told if wanted <= set(body["attributes"])])


@routes.get("/v2/assets/{asset}")
async def asset(request: web.Request) -> web.Response:
    venue = request.app[VENUE]
    found = venue.instrument(request.match_info["asset"])
    if isinstance(found, OptionContract):
        raise Reject(404, 40410000, f"asset not found for {request.match_info['asset']}")
    return web.json_response(_asset(venue, found))


def _asset(venue: Venue, share: Share) -> dict[str, Any]:
    return {
        "id": venue.issue_id(share),
        "class": "us_equity",
        "exchange": wire.LISTING_VENUE,
        "symbol": share.symbol,
        "name": share.symbol,
        "status": "active",
        "tradable": True,
        "marginable": True,
        "shortable": True,
        "easy_to_borrow": True,
        "borrow_status": "easy_to_borrow",
        "fractionable": False,
        "attributes": ["has_options"] if venue.has_options(share.underlying) else [],
    }


@dataclass(frozen=True, slots=True)
class ContractFilter:
    """Which contracts are asked for; bounds are inclusive and None is no bound."""

    expiry_from: date | None
    expiry_to: date | None
    right: Right | None
    root: str | None
    strike_from: Decimal | None
    strike_to: Decimal | None

    def admits(self, contract: OptionContract) -> bool:
        return (
            (self.expiry_from is None or contract.expiry >= self.expiry_from)
            and (self.expiry_to is None or contract.expiry <= self.expiry_to)
            and (self.right is None or contract.right is self.right)
            and (self.root is None or contract.root == self.root)
            and (self.strike_from is None or contract.strike >= self.strike_from)
            and (self.strike_to is None or contract.strike <= self.strike_to)
        )


def contract_filter(query: parse.Query, default_to: date | None = None) -> ContractFilter:
    """The filter of a query; ``default_to`` bounds the expiry when the query does not."""
    exact = parse.day(query, "expiration_date")
    sides = {"call": Right.CALL, "put": Right.PUT, "": None}
    return ContractFilter(
        expiry_from=exact or parse.day(query, "expiration_date_gte"),
        expiry_to=exact or parse.day(query, "expiration_date_lte") or default_to,
        right=sides[parse.choice(query, "type", ("call", "put", ""), "")],
        root=query.get("root_symbol") or None,
        strike_from=parse.number(query, "strike_price_gte"),
        strike_to=parse.number(query, "strike_price_lte"),
    )


@routes.get("/v2/options/contracts")
async def contracts(request: web.Request) -> web.Response:
    """Without an upper bound on the expiry only those up to the coming weekend, as the vendor does."""
    venue = request.app[VENUE]
    query = request.query
    if parse.choice(query, "status", ("active", "inactive"), "active") == "inactive":
        raise parse.Malformed("the practice exchange lists active contracts alone")
    today = venue.today
    weekend = today + timedelta(days=(_SATURDAY - today.weekday()) % 7 + 1)
    only = contract_filter(query, weekend)
    style = query.get("style")
    found = (
        listed
        for listed in _listed(venue, parse.words(query, "underlying_symbols"), today)
        if only.admits(listed.contract) and style in (None, "", listed.contract.style.value)
    )
    limit = parse.whole(query, "limit", 100, 10_000)
    rows, token = page(found, lambda row: wire_symbol(row.contract), limit, query.get("page_token"))
    told = _contract_rows(venue, rows, parse.flag(query, "show_deliverables"))
    return web.json_response({"option_contracts": told, "next_page_token": token})


def _listed(venue: Venue, underlyings: tuple[str, ...], today: date) -> Iterator[Listed]:
    names = underlyings or venue.exchange.feed.symbols()
    for name in sorted({Underlying(name.upper()) for name in names}):
        rows = venue.exchange.feed.listed(name, today)
        yield from sorted(rows, key=lambda row: wire_symbol(row.contract))


def _contract_rows(venue: Venue, rows: list[Listed], deliverables: bool) -> list[dict[str, Any]]:
    evening = hours.last_session(venue.today - timedelta(days=1))
    return [wire.contract(venue, row, evening.isoformat(), deliverables=deliverables) for row in rows]


@routes.get("/v2/options/contracts/{contract}")
async def contract(request: web.Request) -> web.Response:
    venue = request.app[VENUE]
    text = request.match_info["contract"]
    wanted = venue.contract(text)
    for row in venue.exchange.feed.listed(wanted.underlying, venue.today):
        if row.contract == wanted:
            return web.json_response(_contract_rows(venue, [row], True)[0])
    raise Reject(404, 40410000, f"option contract not found for {text}")
