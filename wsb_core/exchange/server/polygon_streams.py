"""Polygon's streams: JSON text frames of quotes, trades and bars, pushed when the clock moves."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

from aiohttp import web

from wsb_core.domain.contracts import OptionContract, parse_occ
from wsb_core.domain.ids import Underlying

from . import options, stocks
from .polygon_wire import Json, is_key, millis, since_1970
from .streams import Line
from .venue import VENUE, Venue

PATHS = ("/stocks", "/options")
_STOCKS, _OPTIONS = PATHS
_TOPICS = ("Q", "T", "A", "AM")
_EXCHANGE = 10


class Lines:
    """Every open line of this vendor's streams."""

    def __init__(self, venue: Venue) -> None:
        self._venue = venue
        self.open: list[Line] = []
        venue.on_advance.append(self._on_advance)

    def _on_advance(self) -> None:
        for line in self.open:
            for message in _messages(self._venue, line):
                line.publish([message], self._venue.faults)

    async def hang_up(self, app: web.Application) -> None:
        for line in list(self.open):
            await line.socket.close()


LINES: web.AppKey[Lines] = web.AppKey("polygon_lines", Lines)


def mount(app: web.Application) -> None:
    app[LINES] = Lines(app[VENUE])
    app.on_shutdown.append(app[LINES].hang_up)
    for path in PATHS:
        app.router.add_get(path, stream)


async def stream(request: web.Request) -> web.StreamResponse:
    """Greets, takes ``auth``, then ``subscribe`` and ``unsubscribe`` of topics such as ``Q.AAPL``."""
    venue, lines = request.app[VENUE], request.app[LINES]
    socket = web.WebSocketResponse()
    await socket.prepare(request)
    line = Line(request.path, socket, json.dumps, channels={topic: set() for topic in _TOPICS})
    sender = asyncio.create_task(line.drain())
    try:
        await line.say(_status("connected", "Connected Successfully"))
        async for frame in socket:
            body = _read(frame.data)
            known = line in lines.open
            if body.get("action") == "auth":
                known = is_key(venue, str(body.get("params")))
                await line.say(_authenticated(known))
                if not known:
                    break
                lines.open.append(line)
            elif known and body.get("action") in ("subscribe", "unsubscribe"):
                for topic in _subscribe(line, body):
                    await line.say(_status("success", f"{body['action']}d to: {topic}"))
            else:
                await line.say(_status("error", "not authenticated" if not known else "unknown action"))
    finally:
        if line in lines.open:
            lines.open.remove(line)
        sender.cancel()
        await socket.close()
    return socket


def _read(data: Any) -> Json:
    try:
        body = json.loads(data)
    except (TypeError, ValueError):
        return {}
    return body if isinstance(body, dict) else {}


def _status(word: str, message: str) -> list[Json]:
    return [{"ev": "status", "status": word, "message": message}]


def _authenticated(known: bool) -> list[Json]:
    if known:
        return _status("auth_success", "authenticated")
    return _status("auth_failed", "authentication failed")


def _subscribe(line: Line, body: Json) -> list[str]:
    """The topics that were understood, now in force or no longer."""
    understood = []
    for topic in str(body.get("params", "")).split(","):
        channel, _, symbol = topic.strip().partition(".")
        if channel in line.channels and symbol:
            held = line.channels[channel]
            (held.add if body["action"] == "subscribe" else held.discard)(symbol.upper())
            understood.append(topic.strip())
    return understood


def _messages(venue: Venue, line: Line) -> Iterator[Json]:
    """What the line is subscribed to, as it stands now; nothing outside the session."""
    if not venue.is_open():
        return
    tell = _of_option if line.path == _OPTIONS else _of_share
    for channel, asked in line.channels.items():
        for symbol in _wanted(venue, line.path, asked):
            body = tell(venue, channel, symbol)
            if body is not None:
                yield {"ev": channel, "sym": symbol, **body}


def _wanted(venue: Venue, path: str, asked: set[str]) -> list[str]:
    """Subscribed symbols that exist; ``*`` is every share, and no option."""
    if path == _OPTIONS:
        contracts = {symbol: _contract(symbol) for symbol in asked}
        known = {symbol: held for symbol, held in contracts.items() if held is not None}
        listed = options.listed_contracts(venue, {held.underlying for held in known.values()})
        return sorted(symbol for symbol, held in known.items() if held in listed)
    shares = venue.exchange.feed.symbols()
    return sorted(shares if "*" in asked else asked & set(shares))


def _contract(symbol: str) -> OptionContract | None:
    try:
        return parse_occ(symbol.removeprefix("O:"))
    except ValueError:
        return None


def _of_option(venue: Venue, channel: str, symbol: str) -> Json | None:
    """Quotes alone: no path of an option's trades is modelled."""
    held = _contract(symbol)
    if channel != "Q" or held is None:
        return None
    return _quote(options.quote(venue, options.found_quote(venue, held)))


def _of_share(venue: Venue, channel: str, symbol: str) -> Json | None:
    name = Underlying(symbol)
    if channel == "Q":
        return {**_quote(stocks.quote(venue, name)), "c": 1, "z": 1}
    if channel == "T":
        trade = stocks.trade(venue, name)
        return None if trade is None else _trade(trade)
    bar = stocks.minute_bar(venue, name)
    return None if bar is None else _aggregate(venue, name, bar, seconds=60 if channel == "AM" else 1)


def _quote(told: Json) -> Json:
    at = since_1970(told, millis)
    sides = {"bp": told["bp"], "bs": told["bs"], "ap": told["ap"], "as": told["as"]}
    return {**sides, "bx": _EXCHANGE, "ax": _EXCHANGE, "t": at, "q": at // 1000}


def _trade(told: Json) -> Json:
    at = since_1970(told, millis)
    price = {"p": told["p"], "s": told["s"], "x": _EXCHANGE, "c": [], "z": 1}
    return {**price, "i": str(told["i"]), "t": at, "q": at // 1000}


def _aggregate(venue: Venue, name: Underlying, minute: Json, seconds: int) -> Json | None:
    """The last whole minute, or the second that has just ended, which stands at the minute's close."""
    today = venue.exchange.feed.day_so_far(name, venue.now)
    if today is None:
        return None
    ends = venue.now if seconds == 1 else venue.now.replace(second=0, microsecond=0)
    prices = minute if seconds == 60 else dict.fromkeys("ohlc", minute["c"]) | {"vw": minute["c"]}
    return {
        **{key: prices[key] for key in ("o", "h", "l", "c", "vw")},
        "v": minute["v"] * seconds // 60,
        "av": today.volume,
        "op": float(today.open),
        "a": minute["vw"],
        "z": 100,
        "s": millis(ends - timedelta(seconds=seconds)),
        "e": millis(ends),
    }
