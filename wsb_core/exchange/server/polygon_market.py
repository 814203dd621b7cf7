"""Prices in Polygon's format: aggregates, last NBBO, share snapshots, option chains."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

from aiohttp import web

from wsb_core.domain.calendar import NEW_YORK
from wsb_core.domain.contracts import OptionContract, Right
from wsb_core.domain.ids import Underlying
from wsb_core.domain.quotes import FeedClass, OptionQuote
from wsb_core.domain.strategy import ChainWindow
from wsb_core.exchange import hours
from wsb_core.exchange.model import DayBar, Listed
from wsb_core.exchange.rules import wire_symbol

from . import parse, stocks
from .polygon_wire import Json, answer, days, millis, nanos, numbers, option_ticker, paged, since_1970
from .reference import ContractFilter
from .stocks import data_response
from .venue import VENUE, Venue

routes = web.RouteTableDef()
_SPANS = ("minute", "day")
_NYSE, _OPRA = 10, 302
"""The vendor's numbers for where a quote is from; the feed knows one venue."""
_TAPE = 1
_REAL_TIME = "REAL-TIME"


@routes.get("/v2/aggs/ticker/{ticker}/range/{multiplier}/{timespan}/{from}/{to}")
async def aggregates(request: web.Request) -> web.Response:
    """Daily or minute bars, adjusted for splits unless told otherwise, never for dividends.

    The feed keeps no bars of contracts, so a contract has none.
    """
    venue, info, query = request.app[VENUE], request.match_info, request.query
    span = parse.choice(info, "timespan", _SPANS, "")
    parse.whole(info, "multiplier", 1, 1)
    start, end = _instant(info["from"]), min(_instant(info["to"], end_of_day=True), venue.now)
    adjusted = parse.flag(query, "adjusted", True)
    limit = parse.whole(query, "limit", 5000, 50_000)
    symbol = Underlying(info["ticker"].upper().removeprefix("I:"))
    told = list(_bars(venue, symbol, span, start, end, adjusted=adjusted))
    if parse.choice(query, "sort", ("asc", "desc"), "asc") == "desc":
        told.reverse()
    more = {"ticker": info["ticker"], "adjusted": adjusted, "queryCount": len(told)}
    # As the vendor does: a later page is asked for from the first instant that was not told.
    found, rest = told[:limit], told[limit:]
    if rest:
        name = "from" if rest[0]["t"] > found[-1]["t"] else "to"
        more["next_url"] = str(request.url.with_path(_path(info, name, rest[0]["t"]), keep_query=True))
    count = {"resultsCount": len(found), "count": len(found)}
    return answer(found, FeedClass.REPLAYED, **more, **count) if found else _none(more | count)


def _none(more: Json) -> web.Response:
    """No bar: the vendor leaves ``results`` out."""
    return data_response({"status": "OK", "request_id": "none", **more}, FeedClass.REPLAYED)


def _path(info: Any, name: str, at: int) -> str:
    parts = {**info, name: str(at)}
    return "/v2/aggs/ticker/{ticker}/range/{multiplier}/{timespan}/{from}/{to}".format(**parts)


def _instant(text: str, *, end_of_day: bool = False) -> datetime:
    if text.isdigit():
        return datetime.fromtimestamp(int(text) / 1000, UTC)
    at = parse.instant({"day": text}, "day", end_of_day=end_of_day)
    if at is None:
        raise parse.Malformed("from and to are days or milliseconds")
    return at


def _bars(
    venue: Venue, symbol: Underlying, span: str, start: datetime, end: datetime, *, adjusted: bool
) -> Iterator[Json]:
    if not venue.has_data(symbol):
        return
    if span == "minute":
        rows = stocks.minutes(venue, symbol, start, end)
    else:
        [(_, rows)] = stocks.daily(venue, [symbol], start, end, "split" if adjusted else "raw")
    for row in rows:
        yield {**row, "t": since_1970(row, millis)}


@routes.get("/v2/last/nbbo/{ticker}")
async def last_nbbo(request: web.Request) -> web.Response:
    venue, symbol = request.app[VENUE], Underlying(request.match_info["ticker"].upper())
    if symbol not in venue.exchange.feed.symbols():
        raise web.HTTPNotFound
    return answer(_nbbo(venue, symbol), FeedClass.REPLAYED)


def _nbbo(venue: Venue, symbol: Underlying) -> Json:
    """A side without a quote, and every side outside the session, is 0."""
    told = stocks.quote(venue, symbol)
    at = since_1970(told, nanos)
    own = {"p": told["bp"], "s": told["bs"], "x": _NYSE, "P": told["ap"], "S": told["as"], "X": _NYSE}
    return {"T": symbol, **own, "z": _TAPE, "t": at, "y": at, "q": at // 1_000_000_000}


@routes.get("/v2/snapshot/locale/us/markets/stocks/tickers")
async def share_snapshots(request: web.Request) -> web.Response:
    venue = request.app[VENUE]
    asked = {Underlying(word.upper()) for word in parse.words(request.query, "tickers")}
    listed = venue.exchange.feed.symbols()
    told = [_share(venue, symbol) for symbol in sorted(asked & set(listed) if asked else listed)]
    body = {"status": "OK", "count": len(told), "tickers": told}
    return data_response(body, FeedClass.REPLAYED)


@routes.get("/v2/snapshot/locale/us/markets/stocks/tickers/{ticker}")
async def share_snapshot(request: web.Request) -> web.Response:
    venue, symbol = request.app[VENUE], Underlying(request.match_info["ticker"].upper())
    if symbol not in venue.exchange.feed.symbols():
        raise web.HTTPNotFound
    body = {"status": "OK", "request_id": symbol, "ticker": _share(venue, symbol)}
    return data_response(body, FeedClass.REPLAYED)


def _share(venue: Venue, symbol: Underlying) -> Json:
    """The day so far, which is zeros until the open, with the last quote, trade and minute."""
    feed, nbbo = venue.exchange.feed, _nbbo(venue, symbol)
    today = feed.day_so_far(symbol, venue.now)
    before = feed.day_bar(symbol, hours.last_session(venue.today - timedelta(days=1)))
    change = float(today.close - before.close) if today is not None and before is not None else 0.0
    body = {
        "ticker": symbol,
        "day": _day(today),
        "prevDay": _day(before),
        "lastQuote": {name: nbbo[name] for name in ("p", "s", "P", "S", "t")},
        "todaysChange": round(change, 4),
        "todaysChangePerc": round(100 * change / float(before.close), 4) if before is not None else 0.0,
        "updated": nbbo["t"],
    }
    trade, minute = stocks.trade(venue, symbol), stocks.minute_bar(venue, symbol)
    if trade is not None:
        at = {"t": since_1970(trade, nanos), "i": str(trade["i"]), "c": [], "x": _NYSE}
        body["lastTrade"] = {"p": trade["p"], "s": trade["s"], **at}
    if minute is not None and today is not None:
        body["min"] = {**minute, "t": since_1970(minute, millis), "av": today.volume}
    return body


def _day(bar: DayBar | None) -> Json:
    if bar is None:
        return dict.fromkeys(("o", "h", "l", "c", "v", "vw"), 0)
    prices = [float(price) for price in (bar.open, bar.high, bar.low, bar.close)]
    told = stocks.bar_json("", prices, bar.volume)
    return {name: told[name] for name in ("o", "h", "l", "c", "v", "vw")}


@routes.get("/v3/snapshot/options/{underlying}")
async def chain(request: web.Request) -> web.Response:
    """By ticker; a contract without a quote, and every one outside the session, has sides of 0."""
    venue = request.app[VENUE]
    underlying = Underlying(request.match_info["underlying"].upper().removeprefix("I:"))
    rows = _listed(venue, underlying, contract_filter(request.query))

    def tell(told: Sequence[Listed]) -> list[Json]:
        return _snapshots(venue, underlying, told)

    return paged(request, rows, lambda row: wire_symbol(row.contract), tell, FeedClass.MODELLED, most=250)


@routes.get("/v3/snapshot/options/{underlying}/{contract}")
async def option_snapshot(request: web.Request) -> web.Response:
    venue = request.app[VENUE]
    underlying = Underlying(request.match_info["underlying"].upper().removeprefix("I:"))
    wanted = request.match_info["contract"].upper()
    found = [
        row
        for row in _listed(venue, underlying, contract_filter({}))
        if option_ticker(row.contract) == wanted
    ]
    if not found:
        raise web.HTTPNotFound
    return answer(_snapshots(venue, underlying, found)[0], FeedClass.MODELLED)


def contract_filter(query: parse.Query) -> ContractFilter:
    first, last = days(query, "expiration_date")
    low, high = numbers(query, "strike_price")
    sides = {"call": Right.CALL, "put": Right.PUT, "": None}
    side = sides[parse.choice(query, "contract_type", tuple(sides), "")]
    return ContractFilter(first, last, side, None, low, high)


def _listed(venue: Venue, underlying: Underlying, only: ContractFilter) -> list[Listed]:
    rows = venue.exchange.feed.listed(underlying, venue.today)
    return sorted(
        (row for row in rows if only.admits(row.contract)), key=lambda row: wire_symbol(row.contract)
    )


def _snapshots(venue: Venue, underlying: Underlying, rows: Sequence[Listed]) -> list[Json]:
    """A page of the chain. Only the expiries on it are priced: a chain is many pages."""
    quotes: dict[OptionContract, OptionQuote] = {}
    if rows and venue.is_open():
        days = [row.contract.dte(venue.today) for row in rows]
        window = ChainWindow(max(0, min(days)), max(0, *days))
        priced = venue.exchange.feed.chain(underlying, venue.now, window)
        quotes = {found.contract: found for found in priced}
    spot = _spot(venue, underlying)
    return [_snapshot(venue, row, quotes.get(row.contract), spot) for row in rows]


def _spot(venue: Venue, underlying: Underlying) -> Json:
    """What the chain says of its underlying; an index has a value and no price."""
    bar = stocks.day_bar(venue, underlying)
    known = {} if bar is None else {_price_name(venue, underlying): float(bar.close)}
    at = {"last_updated": nanos(venue.now), "timeframe": _REAL_TIME}
    return {"ticker": underlying, "change_to_break_even": 0, **known, **at}


def _price_name(venue: Venue, underlying: Underlying) -> str:
    return "price" if underlying in venue.exchange.feed.symbols() else "value"


def _snapshot(venue: Venue, listed: Listed, found: OptionQuote | None, spot: Json) -> Json:
    """Quote, and greeks where there are any: never on the day of expiry."""
    contract = listed.contract
    mid = found.mid if found is not None else None
    even = Decimal(0)
    if mid is not None:
        even = contract.strike + mid if contract.right is Right.CALL else contract.strike - mid
    price = spot.get("price", spot.get("value"))
    beyond = float(even) - price if even and price is not None else 0
    body: Json = {
        "details": _details(contract),
        "break_even_price": float(even),
        "day": _traded(venue.today, found),
        "last_quote": _last_quote(venue, found),
        "underlying_asset": {**spot, "change_to_break_even": round(beyond, 4)},
    }
    if listed.open_interest is not None:
        body["open_interest"] = listed.open_interest
    if found is not None and contract.expiry > venue.today:
        body |= _estimates(found)
    return body


def _details(contract: OptionContract) -> Json:
    return {
        "contract_type": "call" if contract.right is Right.CALL else "put",
        "exercise_style": contract.style.value,
        "expiration_date": contract.expiry.isoformat(),
        "shares_per_contract": contract.multiplier,
        "strike_price": float(contract.strike),
        "ticker": option_ticker(contract),
    }


def _last_quote(venue: Venue, found: OptionQuote | None) -> Json:
    at = found.quote.provenance.as_of if found is not None else hours.last_closed(venue.now).closes
    bid, ask = (found.bid, found.ask) if found is not None else (None, None)
    return {
        "bid": float(bid or 0),
        "bid_size": found.quote.bid_size if found is not None and bid is not None else 0,
        "bid_exchange": _OPRA,
        "ask": float(ask or 0),
        "ask_size": found.quote.ask_size if found is not None and ask is not None else 0,
        "ask_exchange": _OPRA,
        "midpoint": float(((bid or 0) + (ask or 0)) / 2),
        "last_updated": nanos(at),
        "timeframe": _REAL_TIME,
    }


def _traded(today: date, found: OptionQuote | None) -> Json:
    """No path of an option's trades is modelled: the day so far is its volume at the present middle."""
    if found is None or not found.volume or found.mid is None:
        return {}
    mid = float(found.mid)
    prices = dict.fromkeys(("open", "high", "low", "close", "vwap", "previous_close"), mid)
    began = nanos(datetime.combine(today, datetime.min.time(), NEW_YORK))
    return {**prices, "volume": found.volume, "change": 0, "change_percent": 0, "last_updated": began}


def _estimates(found: OptionQuote) -> Json:
    """All four greeks or none."""
    names = ("delta", "gamma", "theta", "vega")
    greeks = {name: getattr(found, name) for name in names}
    told: Json = {} if None in greeks.values() else {"greeks": {n: round(g, 6) for n, g in greeks.items()}}
    return told if found.iv is None else told | {"implied_volatility": round(found.iv, 6)}
