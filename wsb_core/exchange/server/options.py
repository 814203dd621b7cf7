"""Market data of option contracts: chains, snapshots, latest quotes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import date, datetime
from typing import Any

from aiohttp import web

from wsb_core.domain.calendar import NEW_YORK, years_between
from wsb_core.domain.contracts import OptionContract, Right, parse_occ
from wsb_core.domain.ids import Underlying
from wsb_core.domain.quotes import FeedClass, OptionQuote
from wsb_core.domain.strategy import ChainWindow
from wsb_core.exchange import hours
from wsb_core.exchange.rules import wire_symbol

from . import parse, wire
from .pages import page
from .reference import ContractFilter, contract_filter
from .stocks import bar_json, data_response, day_begins
from .venue import VENUE, Venue

routes = web.RouteTableDef()
Json = dict[str, Any]
_FEEDS = ("opra", "indicative")
_EXCHANGE = "C"
_FARTHEST = 3650
MOST_SYMBOLS = 100


def quote(venue: Venue, found: OptionQuote | None) -> Json:
    """The latest quote; a side without one, and every side outside the session, is 0."""
    at = found.quote.provenance.as_of if found is not None else hours.last_closed(venue.now).closes
    bid, ask = (found.bid, found.ask) if found is not None else (None, None)
    return {
        "t": wire.stamp(at),
        "bx": _EXCHANGE,
        "bp": float(bid or 0),
        "bs": found.quote.bid_size if found is not None and bid is not None else 0,
        "ax": _EXCHANGE,
        "ap": float(ask or 0),
        "as": found.quote.ask_size if found is not None and ask is not None else 0,
        "c": " ",
    }


def snapshot(venue: Venue, contract: OptionContract, found: OptionQuote | None, spot: float | None) -> Json:
    """Quote, and greeks where there are any: never on the day of expiry, as the vendor does."""
    body: Json = {"latestQuote": quote(venue, found)}
    if found is not None and found.volume and found.mid is not None:
        # No path of an option's trades is modelled: the day so far is its volume at the present middle.
        mid = float(found.mid)
        body["dailyBar"] = bar_json(day_begins(venue.today), (mid, mid, mid, mid), found.volume)
    if found is None or contract.expiry <= venue.today:
        return body
    if found.iv is not None:
        body["impliedVolatility"] = round(found.iv, 6)
    greeks = _greeks(found, venue.now, spot)
    if greeks is not None:
        body["greeks"] = {name: round(value, 6) for name, value in greeks.items()}
    return body


def _greeks(found: OptionQuote, now: datetime, spot: float | None) -> dict[str, float] | None:
    """All five or none. Rho from the others, for it is not kept.

    Source: rho = years (delta spot - price) / 100 per point of rate; exact for a European option
    without dividends, since delta spot - price is the present value of what is paid for exercise.
    """
    given = (found.delta, found.gamma, found.theta, found.vega)
    if spot is None or found.mid is None or any(value is None for value in given):
        return None
    names = ("delta", "gamma", "theta", "vega")
    greeks = {name: value for name, value in zip(names, given, strict=True) if value is not None}
    expiry = datetime.combine(found.contract.expiry, datetime.min.time(), NEW_YORK)
    years = years_between(now, expiry)
    return greeks | {"rho": years * (greeks["delta"] * spot - float(found.mid)) / 100}


def _spot(venue: Venue, underlying: Underlying) -> float | None:
    found = venue.exchange.feed.quote(underlying, venue.now)
    return None if found is None or found.mid is None else float(found.mid)


@routes.get("/v1beta1/options/snapshots/{underlying}")
async def chain(request: web.Request) -> web.Response:
    venue = request.app[VENUE]
    query = request.query
    parse.choice(query, "feed", _FEEDS, "opra")
    underlying = Underlying(request.match_info["underlying"].upper())
    since = parse.instant(query, "updated_since")
    rows = [
        (contract, found)
        for contract, found in _chain(venue, underlying, contract_filter(query))
        if since is None or (found is not None and found.quote.provenance.as_of >= since)
    ]
    limit = parse.whole(query, "limit", 100, 1000)
    told, token = page(rows, lambda row: wire_symbol(row[0]), limit, query.get("page_token"))
    spot = _spot(venue, underlying) if told else None
    body = {wire_symbol(contract): snapshot(venue, contract, found, spot) for contract, found in told}
    return data_response({"snapshots": body, "next_page_token": token}, FeedClass.MODELLED)


def _chain(
    venue: Venue, underlying: Underlying, only: ContractFilter
) -> Iterator[tuple[OptionContract, OptionQuote | None]]:
    """Listed contracts the filter admits, by symbol, each with its quote when it has one."""
    quotes = {}
    if venue.is_open():
        window = _window(only, venue.today)
        quotes = {found.contract: found for found in venue.exchange.feed.chain(underlying, venue.now, window)}
    for contract in sorted(listed_contracts(venue, (underlying,)), key=wire_symbol):
        if only.admits(contract):
            yield contract, quotes.get(contract)


def _window(only: ContractFilter, today: date) -> ChainWindow:
    nearest = 0 if only.expiry_from is None else max(0, (only.expiry_from - today).days)
    farthest = _FARTHEST if only.expiry_to is None else max(0, (only.expiry_to - today).days)
    rights = (Right.CALL, Right.PUT) if only.right is None else (only.right,)
    return ChainWindow(nearest, farthest, rights)


def _contracts_asked(request: web.Request) -> tuple[OptionContract, ...]:
    """Sorted by symbol; a contract that is not listed today is left out.

    Raises: Malformed for a symbol that is none, for more than the vendor takes, or for none at all.
    """
    parse.choice(request.query, "feed", _FEEDS, "opra")
    asked = parse.words(request.query, "symbols")
    if not asked or len(asked) > MOST_SYMBOLS:
        raise parse.Malformed(f"symbols: between 1 and {MOST_SYMBOLS}, not {len(asked)}")
    try:
        contracts = {parse_occ(word.upper()) for word in asked}
    except ValueError as error:
        raise parse.Malformed(f"invalid symbol: {error}") from error
    listed = listed_contracts(request.app[VENUE], {contract.underlying for contract in contracts})
    return tuple(sorted(contracts & listed, key=wire_symbol))


def listed_contracts(venue: Venue, underlyings: Iterable[Underlying]) -> frozenset[OptionContract]:
    """Every contract of ``underlyings`` that is listed today; none of one that has no options."""
    rows = (row for name in underlyings for row in venue.exchange.feed.listed(name, venue.today))
    return frozenset(row.contract for row in rows)


def found_quote(venue: Venue, contract: OptionContract) -> OptionQuote | None:
    return venue.exchange.feed.option_quote(contract, venue.now) if venue.is_open() else None


@routes.get("/v1beta1/options/snapshots")
async def snapshots(request: web.Request) -> web.Response:
    venue = request.app[VENUE]
    limit = parse.whole(request.query, "limit", 100, 1000)
    told, token = page(_contracts_asked(request), wire_symbol, limit, request.query.get("page_token"))
    spots = {contract.underlying: _spot(venue, contract.underlying) for contract in told}
    body = {
        wire_symbol(contract): snapshot(
            venue, contract, found_quote(venue, contract), spots[contract.underlying]
        )
        for contract in told
    }
    return data_response({"snapshots": body, "next_page_token": token}, FeedClass.MODELLED)


@routes.get("/v1beta1/options/quotes/latest")
async def latest_quotes(request: web.Request) -> web.Response:
    venue = request.app[VENUE]
    body = {wire_symbol(c): quote(venue, found_quote(venue, c)) for c in _contracts_asked(request)}
    return data_response({"quotes": body}, FeedClass.MODELLED)
