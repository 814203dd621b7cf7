"""Market data of shares: bars, quotes, trades, snapshots, corporate actions, news."""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from functools import lru_cache
from typing import Any

from aiohttp import web

from wsb_core.domain.calendar import NEW_YORK
from wsb_core.domain.contracts import Share
from wsb_core.domain.ids import Underlying
from wsb_core.domain.quotes import FeedClass
from wsb_core.exchange import hours
from wsb_core.exchange.model import CorporateAction, DayBar

from . import parse, wire
from .pages import last_told, page
from .venue import VENUE, Venue, asset_id

routes = web.RouteTableDef()
Json = dict[str, Any]
FEED_HEADER = "X-WSB-Feed"
_MINUTE = timedelta(minutes=1)
_BATCH = 50
_FEEDS = ("sip", "iex", "delayed_sip", "otc", "boats", "overnight")
ANNOUNCED_AHEAD = timedelta(days=14)
"""How long before its ex-date a dividend or a split is told."""
_TAPE = "A"
_EXCHANGE = "N"


def data_response(body: Mapping[str, Any], feed: FeedClass) -> web.Response:
    """A market-data answer that says in a header what its numbers are worth."""
    return web.json_response(body, headers={FEED_HEADER: feed.value})


def symbols_asked(request: web.Request) -> tuple[Underlying, ...]:
    """The known ones among those asked for, sorted; an unknown one is absent from the answer.

    Raises: Malformed when none is asked for.
    """
    venue = request.app[VENUE]
    parse.choice(request.query, "feed", _FEEDS, "sip")
    asked = parse.words(request.query, "symbols")
    if not asked:
        raise parse.Malformed("symbols is required")
    return tuple(
        sorted(name for name in {Underlying(word.upper()) for word in asked} if venue.has_data(name))
    )


def quote(venue: Venue, symbol: Underlying) -> Json:
    """The latest quote; a side without one, and every side outside the session, is 0."""
    found = venue.exchange.feed.quote(symbol, venue.now)
    at = found.provenance.as_of if found is not None else hours.last_closed(venue.now).closes
    bid, ask = (found.bid, found.ask) if found is not None else (None, None)
    return {
        "t": wire.stamp(at),
        "bx": _EXCHANGE,
        "bp": float(bid or 0),
        "bs": found.bid_size if found is not None and bid is not None else 0,
        "ax": _EXCHANGE,
        "ap": float(ask or 0),
        "as": found.ask_size if found is not None and ask is not None else 0,
        "c": ["R"],
        "z": _TAPE,
    }


def trade(venue: Venue, symbol: Underlying) -> Json | None:
    """The last price of the path as a round lot; None before there is any."""
    bar = day_bar(venue, symbol)
    if bar is None:
        return None
    session = hours.session_of(bar.session)
    at = venue.now if session is None else min(venue.now, session.closes)
    return {
        "t": wire.stamp(at),
        "x": _EXCHANGE,
        "p": float(bar.close),
        "s": 100,
        "c": ["@"],
        "i": int(at.timestamp()),
        "z": _TAPE,
    }


def day_bar(venue: Venue, symbol: Underlying) -> DayBar | None:
    """Today's bar so far, or the one of the session before; None when the feed has neither."""
    feed = venue.exchange.feed
    today = venue.today
    return feed.day_so_far(symbol, venue.now) or feed.day_bar(symbol, _session_before(today))


def _session_before(day: date) -> date:
    return hours.last_session(day - timedelta(days=1))


def bar_json(begins: str, prices: Sequence[float], volume: int) -> Json:
    """A bar. Trade count and average price are estimates: round lots, and the typical price."""
    first, high, low, last = (round(price, 4) for price in prices)
    return {
        "t": begins,
        "o": first,
        "h": high,
        "l": low,
        "c": last,
        "v": volume,
        "n": max(1, volume // 100),
        "vw": round((high + low + last) / 3, 4),
    }


def _day_json(bar: DayBar) -> Json:
    prices = [float(price) for price in (bar.open, bar.high, bar.low, bar.close)]
    return bar_json(day_begins(bar.session), prices, bar.volume)


def _midnight(day: date) -> datetime:
    return datetime.combine(day, time.min, NEW_YORK)


def _second(at: datetime) -> str:
    return f"{at.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"


@lru_cache(maxsize=8192)
def day_begins(day: date) -> str:
    return _second(_midnight(day))


@routes.get("/v2/stocks/quotes/latest")
async def latest_quotes(request: web.Request) -> web.Response:
    venue = request.app[VENUE]
    body = {symbol: quote(venue, symbol) for symbol in symbols_asked(request)}
    return data_response({"quotes": body}, FeedClass.REPLAYED)


@routes.get("/v2/stocks/trades/latest")
async def latest_trades(request: web.Request) -> web.Response:
    venue = request.app[VENUE]
    told = {symbol: trade(venue, symbol) for symbol in symbols_asked(request)}
    body = {symbol: one for symbol, one in told.items() if one is not None}
    return data_response({"trades": body}, FeedClass.REPLAYED)


@routes.get("/v2/stocks/bars/latest")
async def latest_bars(request: web.Request) -> web.Response:
    venue = request.app[VENUE]
    told = {symbol: minute_bar(venue, symbol) for symbol in symbols_asked(request)}
    body = {symbol: one for symbol, one in told.items() if one is not None}
    return data_response({"bars": body}, FeedClass.REPLAYED)


@routes.get("/v2/stocks/snapshots")
async def snapshots(request: web.Request) -> web.Response:
    venue = request.app[VENUE]
    body: dict[str, Json] = {symbol: _snapshot(venue, symbol) for symbol in symbols_asked(request)}
    return data_response(body, FeedClass.REPLAYED)


def _snapshot(venue: Venue, symbol: Underlying) -> Json:
    """As the vendor does, ``dailyBar`` is the last session's until today's begins: its ``t`` tells."""
    latest = day_bar(venue, symbol)
    feed = venue.exchange.feed
    before = None if latest is None else feed.day_bar(symbol, _session_before(latest.session))
    parts = {
        "latestTrade": trade(venue, symbol),
        "latestQuote": quote(venue, symbol),
        "minuteBar": minute_bar(venue, symbol),
        "dailyBar": None if latest is None else _day_json(latest),
        "prevDailyBar": None if before is None else _day_json(before),
    }
    return {name: part for name, part in parts.items() if part is not None}


def minute_bar(venue: Venue, symbol: Underlying) -> Json | None:
    """The last completed minute of today's session; None when there is none."""
    session = hours.session_of(venue.today)
    if session is None:
        return None
    done = min(venue.now, session.closes).replace(second=0, microsecond=0)
    return _minute(venue, symbol, done - _MINUTE) if done > session.opens else None


def _minute(venue: Venue, symbol: Underlying, start: datetime) -> Json | None:
    """One minute of the path, from what the day looked like before and after it."""
    feed = venue.exchange.feed
    before, after = feed.day_so_far(symbol, start), feed.day_so_far(symbol, start + _MINUTE)
    if after is None:
        return None
    if before is None or before.session != after.session:
        return bar_json(
            _second(start), [float(p) for p in (after.open, after.high, after.low, after.close)], after.volume
        )
    first, last = float(before.close), float(after.close)
    # A new extreme of the day was made inside the minute; otherwise its ends bound it.
    high = float(after.high) if after.high > before.high else max(first, last)
    low = float(after.low) if after.low < before.low else min(first, last)
    return bar_json(_second(start), (first, high, low, last), max(0, after.volume - before.volume))


@routes.get("/v2/stocks/bars")
async def bars(request: web.Request) -> web.Response:
    """Daily or minute bars, sorted by symbol first, so that a page may hold one symbol only."""
    venue = request.app[VENUE]
    query = request.query
    timeframe = parse.choice(query, "timeframe", ("1Day", "1D", "1Min", "1T"), "")
    start = parse.instant(query, "start") or _midnight(venue.today)
    end = min(parse.instant(query, "end", end_of_day=True) or venue.now, venue.now)
    adjustment = parse.choice(query, "adjustment", ("raw", "split", "dividend", "all"), "raw")
    backwards = parse.choice(query, "sort", ("asc", "desc"), "asc") == "desc"
    limit, token = parse.whole(query, "limit", 1000, 10_000), query.get("page_token")
    # Symbols that earlier pages have told whole need not be computed again.
    resumed = last_told(token).split("|")[0] if token else ""
    symbols = [symbol for symbol in symbols_asked(request) if symbol >= resumed]
    if timeframe in ("1Day", "1D"):
        series = daily(venue, symbols, start, end, adjustment)
    else:
        series = ((symbol, minutes(venue, symbol, start, end)) for symbol in symbols)
    rows = ((name, bar) for name, told in series for bar in (reversed(told) if backwards else told))
    found, following = page(rows, lambda row: f"{row[0]}|{row[1]['t']}", limit, token)
    body: dict[str, list[Json]] = {}
    for symbol, one in found:
        body.setdefault(symbol, []).append(one)
    return data_response({"bars": body, "next_page_token": following}, FeedClass.REPLAYED)


def minutes(venue: Venue, symbol: Underlying, start: datetime, end: datetime) -> list[Json]:
    """Completed minutes that begin between ``start`` and ``end``."""
    first, last = (at.astimezone(NEW_YORK).date() for at in (start, end))
    found: list[Json | None] = []
    for day in venue.exchange.feed.sessions():
        session = hours.session_of(day) if first <= day <= last else None
        if session is not None:
            length = (session.closes - session.opens) // _MINUTE
            begins = (session.opens + minute * _MINUTE for minute in range(length))
            found += [
                _minute(venue, symbol, at)
                for at in begins
                if start <= at <= end and at + _MINUTE <= venue.now
            ]
    return [bar for bar in found if bar is not None]


def daily(
    venue: Venue, symbols: Sequence[Underlying], start: datetime, end: datetime, adjustment: str
) -> Iterator[tuple[Underlying, list[Json]]]:
    """Completed sessions, and today's so far; a bar is dated at its midnight in New York."""
    first, last = (at.astimezone(NEW_YORK).date() for at in (start, end))
    if _midnight(first) < start:
        first += timedelta(days=1)
    # Not all at once: a page seldom reaches the last of many symbols.
    for batch in (symbols[at : at + _BATCH] for at in range(0, len(symbols), _BATCH)):
        completed = _completed(venue, batch, first, venue.today, adjustment) if first <= last else {}
        for symbol in batch:
            rows = (row for row in completed.get(symbol, ()) if row[0] <= last)
            told = [bar_json(day_begins(day), prices, volume) for day, prices, volume in rows]
            so_far = venue.exchange.feed.day_so_far(symbol, venue.now)
            if so_far is not None and first <= so_far.session <= last:
                told.append(_day_json(so_far))
            yield symbol, told


_Row = tuple[date, tuple[float, float, float, float], int]


def _completed(
    venue: Venue, symbols: Sequence[Underlying], first: date, today: date, adjustment: str
) -> dict[Underlying, list[_Row]]:
    """Bars of the sessions before today, adjusted for what has happened up to today."""
    feed = venue.exchange.feed
    adjusted = adjustment in ("dividend", "all")
    found = _rows(feed.daily_bars(symbols, first, today, adjusted=adjusted), today)
    if adjustment in ("raw", "all"):
        return found
    splits = {symbol: _splits(venue, symbol, first, today) for symbol in symbols}
    # Dividends alone are everything with the splits taken out again.
    power = -1 if adjusted else 1
    return {
        symbol: [_scaled(row, _split_factor(splits[symbol], row[0]) ** power) for row in rows]
        for symbol, rows in found.items()
    }


def _rows(frame: Any, today: date) -> dict[Underlying, list[_Row]]:
    found: dict[Underlying, list[_Row]] = {}
    columns = ["symbol", "session", "open", "high", "low", "close", "volume"]
    # JSON has no NaN: a bar that is not whole is not told.
    whole = frame[columns].dropna()
    values = (whole[name].tolist() for name in columns)
    for symbol, session, first, high, low, last, volume in zip(*values, strict=True):
        if session.date() < today:
            prices = (float(first), float(high), float(low), float(last))
            found.setdefault(symbol, []).append((session.date(), prices, int(volume)))
    return found


def _splits(venue: Venue, symbol: Underlying, first: date, today: date) -> tuple[CorporateAction, ...]:
    actions = venue.exchange.feed.corporate_actions(symbol, first, today)
    return tuple(action for action in actions if action.ratio is not None)


def _split_factor(splits: tuple[CorporateAction, ...], day: date) -> float:
    """What a price of ``day`` is multiplied by to be in today's shares."""
    factor = Decimal(1)
    for action in splits:
        if action.ratio is not None and action.ex_date > day:
            factor /= action.ratio
    return float(factor)


def _scaled(row: _Row, factor: float) -> _Row:
    day, (first, high, low, last), volume = row
    return day, (first * factor, high * factor, low * factor, last * factor), round(volume / factor)


@routes.get("/v1/corporate-actions")
async def corporate_actions(request: web.Request) -> web.Response:
    venue = request.app[VENUE]
    query = request.query
    today = venue.today
    first = parse.day(query, "start") or today
    last = min(parse.day(query, "end") or today, today + ANNOUNCED_AHEAD)
    asked = parse.words(query, "symbols") or venue.exchange.feed.symbols()
    names = sorted({Underlying(name.upper()) for name in asked})
    kinds = parse.words(query, "types")
    rows = [
        (kind, body)
        for name in names
        for action in venue.exchange.feed.corporate_actions(name, first, last)
        for kind, body in _action_rows(action)
        if not kinds or kind in {f"{word}s" for word in kinds} | set(kinds)
    ]
    rows.sort(key=lambda row: (row[1]["process_date"], row[1]["id"]))
    limit = parse.whole(query, "limit", 100, 1000)
    told, token = page(rows, lambda row: str(row[1]["id"]), limit, query.get("page_token"))
    body: dict[str, list[Json]] = {}
    for kind, one in told:
        body.setdefault(kind, []).append(one)
    return data_response({"corporate_actions": body, "next_page_token": token}, FeedClass.REPLAYED)


def _action_rows(action: CorporateAction) -> Iterator[tuple[str, Json]]:
    day = action.ex_date.isoformat()
    common = {"symbol": action.underlying, "cusip": "", "process_date": day, "ex_date": day}
    if action.dividend is not None:
        rate = float(action.dividend)
        own = {"id": _action_id(action, "dividend"), "rate": rate, "special": False, "foreign": False}
        yield "cash_dividends", common | own
    if action.ratio is not None:
        kind = "forward_splits" if action.ratio > 1 else "reverse_splits"
        new, old = (action.ratio, Decimal(1)) if action.ratio > 1 else (Decimal(1), 1 / action.ratio)
        rates = {"new_rate": float(new), "old_rate": float(old)}
        ids = {"old_cusip": "", "new_cusip": ""} if kind == "reverse_splits" else {}
        yield kind, common | rates | ids | {"id": _action_id(action, "split")}


def _action_id(action: CorporateAction, what: str) -> str:
    return str(uuid.uuid5(uuid.UUID(asset_id(Share(action.underlying))), f"{what} {action.ex_date}"))


@routes.get("/v1beta1/news")
async def news(request: web.Request) -> web.Response:
    """The feed carries no news, so there is none in any period."""
    return data_response({"news": [], "next_page_token": None}, FeedClass.REPLAYED)
