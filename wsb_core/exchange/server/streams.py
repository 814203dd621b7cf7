"""WebSocket streams: trade_updates, and quotes, trades and bars of shares and option contracts."""

from __future__ import annotations

import asyncio
import contextlib
import hmac
import json
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import msgpack
from aiohttp import WSMsgType, web

from wsb_core.domain.contracts import OptionContract, parse_occ
from wsb_core.domain.ids import Underlying
from wsb_core.exchange.model import TradeEvent

from . import options, stocks, wire
from .faults import STREAM_METHOD, Fault, FaultKind, FaultPlan, alter
from .venue import VENUE, Venue

routes = web.RouteTableDef()
Json = dict[str, Any]
TRADING_PATH = "/stream"
STOCK_PATHS = ("/v2/iex", "/v2/sip")
OPTION_PATHS = ("/v1beta1/indicative", "/v1beta1/opra")
_CHANNELS = ("trades", "quotes", "bars")
_AUTH_FAILED = {"T": "error", "code": 402, "msg": "auth failed"}
_TOO_MANY = {"T": "error", "code": 406, "msg": "connection limit exceeded"}


@dataclass(eq=False)
class Line:
    """One client's connection: what is to be sent waits in ``outbox`` in order."""

    path: str
    socket: web.WebSocketResponse
    encode: Callable[[Any], bytes | str]
    outbox: asyncio.Queue[Any] = field(default_factory=asyncio.Queue)
    channels: dict[str, set[str]] = field(default_factory=lambda: {name: set() for name in _CHANNELS})
    listening: bool = False
    held_back: list[Any] = field(default_factory=list)

    async def say(self, message: Any) -> None:
        """Send a reply of the protocol itself, which no fault touches."""
        encoded = self.encode(message)
        if isinstance(encoded, bytes):
            await self.socket.send_bytes(encoded)
        else:
            await self.socket.send_str(encoded)

    def publish(self, message: Any, plan: FaultPlan) -> None:
        """Queue an event as the plan's stream faults let it through."""
        for one in self._through(plan.take(STREAM_METHOD, self.path), message):
            self.outbox.put_nowait(one)

    def _through(self, faults: Iterable[Fault], message: Any) -> list[Any]:
        released, self.held_back = self.held_back, []
        told = [message]
        for fault in faults:
            if fault.kind in (FaultKind.STREAM_LOSE, FaultKind.STREAM_MUTE):
                told = []
            elif fault.kind is FaultKind.STREAM_DUPLICATE:
                told = told * 2
            elif fault.kind is FaultKind.STREAM_REORDER:
                self.held_back, told = [*self.held_back, *told], []
            else:
                told = [alter(fault, one) for one in told]
        return [*told, *released]

    async def drain(self) -> None:
        """Send what is queued, for as long as the connection lives."""
        while True:
            message = await self.outbox.get()
            try:
                await self.say(message)
            except ConnectionError:
                return


class Streams:
    """Every open line. Events of the engine and moves of the clock become messages here."""

    def __init__(self, venue: Venue) -> None:
        self._venue = venue
        self._lines: list[Line] = []
        self._unsubscribe = venue.exchange.subscribe(self._on_trade)
        venue.on_advance.append(self._on_advance)

    def close(self) -> None:
        self._unsubscribe()

    def count(self, path: str) -> int:
        return sum(line.path == path for line in self._lines)

    def attending(self) -> dict[str, int]:
        """How many lines of each path get events."""
        return dict(
            Counter(line.path for line in self._lines if line.listening or any(line.channels.values()))
        )

    def add(self, line: Line) -> None:
        if line not in self._lines:
            self._lines.append(line)

    def remove(self, line: Line) -> None:
        if line in self._lines:
            self._lines.remove(line)

    async def hang_up(self) -> None:
        for line in list(self._lines):
            await line.socket.close()

    def _on_trade(self, event: TradeEvent) -> None:
        message = {"stream": "trade_updates", "data": wire.trade_update(self._venue, event)}
        for line in self._lines:
            if line.listening:
                line.publish(message, self._venue.faults)

    def _on_advance(self) -> None:
        for line in self._lines:
            for message in _market_messages(self._venue, line):
                line.publish([message], self._venue.faults)


STREAMS: web.AppKey[Streams] = web.AppKey("streams", Streams)


def _market_messages(venue: Venue, line: Line) -> Iterable[Json]:
    """What the line is subscribed to, as it stands now; nothing outside the session."""
    if not venue.is_open():
        return
    of_options = line.path in OPTION_PATHS
    for symbol in _wanted(venue, line, "quotes"):
        body = _option_quote(venue, symbol) if of_options else stocks.quote(venue, Underlying(symbol))
        yield _message("q", symbol, body)
    if of_options:
        return
    for kind, channel, told in (("t", "trades", stocks.trade), ("b", "bars", stocks.minute_bar)):
        for symbol in _wanted(venue, line, channel):
            found = told(venue, Underlying(symbol))
            if found is not None:
                yield _message(kind, symbol, found)


def _wanted(venue: Venue, line: Line, channel: str) -> list[str]:
    """Subscribed symbols that exist; ``*`` is every share."""
    asked = line.channels[channel]
    if line.path in OPTION_PATHS:
        contracts = {symbol: parse_occ(symbol) for symbol in asked}
        listed = options.listed_contracts(venue, {c.underlying for c in contracts.values()})
        return sorted(symbol for symbol, contract in contracts.items() if contract in listed)
    names = venue.exchange.feed.symbols() if "*" in asked else asked
    return sorted(name for name in names if venue.has_data(Underlying(name)))


def _option_quote(venue: Venue, symbol: str) -> Json:
    return options.quote(venue, options.found_quote(venue, parse_occ(symbol)))


def _message(kind: str, symbol: str, body: Json) -> Json:
    return {"T": kind, "S": symbol, **body, "t": datetime.fromisoformat(body["t"])}


def _packed(message: Any) -> bytes:
    encoded: bytes = msgpack.packb(message, datetime=True)
    return encoded


def _texted(message: Any) -> str:
    return json.dumps(message, default=wire.stamp)


def _binary_json(message: Any) -> bytes:
    return json.dumps(message).encode()


def is_key(venue: Venue, key: Any, secret: Any) -> bool:
    """Whether the pair is one of the exchange's, compared in constant time."""
    expected = venue.keys.get(str(key))
    return expected is not None and hmac.compare_digest(expected.encode(), str(secret).encode())


@contextlib.asynccontextmanager
async def _line(request: web.Request, encode: Callable[[Any], bytes | str]) -> AsyncIterator[Line]:
    socket = web.WebSocketResponse()
    await socket.prepare(request)
    line = Line(request.path, socket, encode)
    sender = asyncio.create_task(line.drain())
    try:
        yield line
    finally:
        request.app[STREAMS].remove(line)
        sender.cancel()
        await socket.close()


def _read(message: Any) -> Json | None:
    """The object a frame holds, text or binary, JSON or msgpack; None when it holds none."""
    try:
        if message.type is WSMsgType.TEXT or message.data[:1] == b"{":
            body = json.loads(message.data)
        else:
            body = msgpack.unpackb(message.data)
    except (ValueError, msgpack.UnpackException):
        return None
    return body if isinstance(body, dict) else None


@routes.get(TRADING_PATH)
async def trading(request: web.Request) -> web.StreamResponse:
    """trade_updates in JSON, in binary frames as a paper account sends them; both spellings of auth."""
    venue, streams = request.app[VENUE], request.app[STREAMS]
    authorized = False
    async with _line(request, _binary_json) as line:
        async for frame in line.socket:
            body = _read(frame)
            action = body.get("action") if body else None
            data = body.get("data") if body and isinstance(body.get("data"), dict) else {}
            if body is not None and action in ("authenticate", "auth"):
                given = data or {"key_id": body.get("key"), "secret_key": body.get("secret")}
                authorized = is_key(venue, given.get("key_id"), given.get("secret_key"))
                await line.say(_authorization(authorized))
                if authorized:
                    streams.add(line)
            elif authorized and action == "listen":
                asked = data.get("streams") or [] if data else []
                line.listening = "trade_updates" in asked
                told = ["trade_updates"] if line.listening else []
                await line.say({"stream": "listening", "data": {"streams": told}})
            else:
                text = "invalid action" if authorized else "not authenticated"
                await line.say({"action": "error", "data": {"error_message": text}})
                break
        return line.socket


def _authorization(authorized: bool) -> Json:
    status = "authorized" if authorized else "unauthorized"
    return {"stream": "authorization", "data": {"status": status, "action": "authenticate"}}


async def market(request: web.Request) -> web.StreamResponse:
    """Quotes, trades and bars, pushed when the clock moves; a second connection is refused with 406."""
    packed = request.headers.get("Content-Type") == "application/msgpack"
    async with _line(request, _packed if packed else _texted) as line:
        await line.say([{"T": "success", "msg": "connected"}])
        authorized = False
        async for frame in line.socket:
            body = _read(frame)
            if body is not None and body.get("action") == "auth":
                answer = _greet(request, line, body)
                authorized = answer["T"] == "success"
                await line.say([answer])
                if not authorized:
                    break
            elif authorized and body is not None and body.get("action") in ("subscribe", "unsubscribe"):
                await line.say([_subscribe(line, body)])
            else:
                code, text = (400, "invalid syntax") if authorized else (401, "not authenticated")
                await line.say([{"T": "error", "code": code, "msg": text}])
        return line.socket


def _greet(request: web.Request, line: Line, body: Json) -> Json:
    streams = request.app[STREAMS]
    if not is_key(request.app[VENUE], body.get("key"), body.get("secret")):
        return _AUTH_FAILED
    if streams.count(line.path) > 0:
        return _TOO_MANY
    streams.add(line)
    return {"T": "success", "msg": "authenticated"}


def _subscribe(line: Line, body: Json) -> Json:
    adding = body["action"] == "subscribe"
    for channel, held in line.channels.items():
        asked = {str(symbol).upper() for symbol in body.get(channel) or ()}
        if line.path in OPTION_PATHS:
            asked = {symbol for symbol in asked if _is_contract(symbol)}
        if adding:
            held |= asked
        else:
            held -= asked
    return {"T": "subscription", **{channel: sorted(held) for channel, held in line.channels.items()}}


def _is_contract(symbol: str) -> bool:
    try:
        return isinstance(parse_occ(symbol), OptionContract)
    except ValueError:
        return False


for path in (*STOCK_PATHS, *OPTION_PATHS):
    routes.get(path)(market)
