"""Faults on order: what goes wrong, on which request, how often, and how it looks to the client."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from functools import partial
from typing import Any, NamedTuple

from aiohttp import web
from pydantic import BaseModel, ConfigDict, Field, field_validator

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
STREAM_METHOD = "WS"


class FaultKind(StrEnum):
    STATUS = "status"
    """Answer with ``status`` and ``body``; nothing is done."""
    ACCEPT_THEN_STATUS = "accept_then_status"
    """Do it, then answer with ``status`` all the same."""
    ACCEPT_THEN_DROP = "accept_then_drop"
    """Do it, then close the connection without an answer."""
    DROP = "drop"
    """Close the connection; nothing is done."""
    STALL = "stall"
    """Wait ``seconds`` ``before`` or ``after`` doing it, then answer."""
    TRUNCATE = "truncate"
    """Do it, and answer with the first half of the body."""
    EMPTY = "empty"
    """Do it, and answer 200 without a body."""
    HTML502 = "html502"
    """A gateway's error page; nothing is done."""
    RATELIMIT = "ratelimit"
    """429, with the vendor's headers unless ``headers`` is false; nothing is done."""
    QUOTES_STALE = "quotes_stale"
    """Time stamps of quotes are ``seconds`` older."""
    QUOTES_CROSSED = "quotes_crossed"
    QUOTES_ZERO = "quotes_zero"
    QUOTES_OFF = "quotes_off"
    """Both sides are ``factor`` times what they should be: a price that looks fine and is wrong."""
    GREEKS_ABSENT = "greeks_absent"
    SHORT_PAGE = "short_page"
    """Half the rows that were asked for, though more exist."""
    REPEAT_PAGE_TOKEN = "repeat_page_token"
    """The next page's token is the one of this page: a reader that only follows tokens never ends."""
    STREAM_DUPLICATE = "stream_duplicate"
    STREAM_LOSE = "stream_lose"
    STREAM_REORDER = "stream_reorder"
    """The event is held back until the next one has gone out."""
    STREAM_MUTE = "stream_mute"
    """The connection stays, and nothing comes any more until the faults are cleared."""

    @property
    def of_streams(self) -> bool:
        return self.value.startswith("stream_")


class Fault(BaseModel):
    """One order for trouble: the ``nth`` matching request and the ``times - 1`` after it.

    ``times`` None is "from then on, until cleared". ``path`` is a regular expression searched in
    the request's path. Events of a stream match the method WS and the stream's path. ``seconds``
    are an hour unless given, ``factor`` is 1.1.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: FaultKind
    vendor: str = "alpaca"
    method: str = ".*"
    path: str = ""
    nth: int = Field(1, ge=1)
    times: int | None = Field(1, ge=1)
    status: int = Field(504, ge=400, le=599)
    body: Any = None
    seconds: float = Field(3600.0, ge=0)
    factor: float = Field(1.1, gt=0)
    when: str = Field("before", pattern="^(before|after)$")
    headers: bool = True

    @field_validator("vendor")
    @classmethod
    def _known(cls, vendor: str) -> str:
        if vendor != "alpaca":
            raise ValueError(f"this server speaks for alpaca alone, not {vendor!r}")
        return vendor

    @field_validator("method", "path")
    @classmethod
    def _compiles(cls, pattern: str) -> str:
        try:
            re.compile(pattern)
        except re.error as error:
            raise ValueError(f"not a regular expression: {pattern!r} ({error})") from error
        return pattern

    def concerns(self, method: str, path: str) -> bool:
        on_stream = method == STREAM_METHOD
        if self.kind.of_streams and not on_stream:
            return False
        if on_stream and not (self.kind.of_streams or self.kind in BODY_FAULTS):
            return False
        return bool(re.fullmatch(self.method, method, re.IGNORECASE) and re.search(self.path, path))


@dataclass(slots=True)
class _Armed:
    fault: Fault
    seen: int = 0
    fired: int = 0

    def due(self) -> bool:
        """Whether the request just seen is one it was ordered for."""
        self.seen += 1
        last = None if self.fault.times is None else self.fault.nth + self.fault.times - 1
        due = self.seen >= self.fault.nth and (last is None or self.seen <= last)
        self.fired += due
        return due


@dataclass(slots=True)
class FaultPlan:
    """The faults that are ordered, in the order they were."""

    armed: list[_Armed] = field(default_factory=list)

    def add(self, fault: Fault) -> None:
        self.armed.append(_Armed(fault))

    def clear(self) -> None:
        self.armed.clear()

    def take(self, method: str, path: str) -> tuple[Fault, ...]:
        """The faults due on this request, which counts as one seen by each that it concerns."""
        concerned = [one for one in self.armed if one.fault.concerns(method, path)]
        return tuple(one.fault for one in concerned if one.due())

    def report(self) -> list[dict[str, Any]]:
        """Each fault with how many requests it concerned and how many it hit."""
        return [
            {**one.fault.model_dump(mode="json"), "seen": one.seen, "fired": one.fired} for one in self.armed
        ]


def dropped(request: web.Request) -> web.StreamResponse:
    """Cut the connection; the response that is returned can no longer be written."""
    if request.transport is not None:
        request.transport.abort()
    return web.Response(status=500)


def error_body(fault: Fault) -> web.Response:
    if isinstance(fault.body, str):
        return web.Response(status=fault.status, text=fault.body)
    body = {"message": f"injected {fault.status}"} if fault.body is None else fault.body
    return web.json_response(body, status=fault.status)


async def _status(fault: Fault, handler: Handler, request: web.Request) -> web.StreamResponse:
    return error_body(fault)


async def _accept_then_status(fault: Fault, handler: Handler, request: web.Request) -> web.StreamResponse:
    await handler(request)
    return error_body(fault)


async def _accept_then_drop(fault: Fault, handler: Handler, request: web.Request) -> web.StreamResponse:
    await handler(request)
    return dropped(request)


async def _drop(fault: Fault, handler: Handler, request: web.Request) -> web.StreamResponse:
    return dropped(request)


async def _stall(fault: Fault, handler: Handler, request: web.Request) -> web.StreamResponse:
    if fault.when == "before":
        await asyncio.sleep(fault.seconds)
        return await handler(request)
    answer = await handler(request)
    await asyncio.sleep(fault.seconds)
    return answer


async def _truncate(fault: Fault, handler: Handler, request: web.Request) -> web.StreamResponse:
    answer = await handler(request)
    whole = _bytes(answer)
    return web.Response(status=answer.status, body=whole[: len(whole) // 2], content_type=answer.content_type)


async def _empty(fault: Fault, handler: Handler, request: web.Request) -> web.StreamResponse:
    await handler(request)
    return web.Response(status=200)


async def _html502(fault: Fault, handler: Handler, request: web.Request) -> web.StreamResponse:
    page = "<html><head><title>502 Bad Gateway</title></head><body><h1>502 Bad Gateway</h1></body></html>"
    return web.Response(status=502, text=page, content_type="text/html")


async def _ratelimit(fault: Fault, handler: Handler, request: web.Request) -> web.StreamResponse:
    told = {"X-RateLimit-Limit": "200", "X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "0"}
    headers = told if fault.headers else None
    return web.json_response({"message": "too many requests."}, status=429, headers=headers)


async def _short_page(fault: Fault, handler: Handler, request: web.Request) -> web.StreamResponse:
    name = "page_size" if "/activities" in request.path else "limit"
    asked = request.query.get(name, "100")
    fewer = max(1, int(asked) // 2) if asked.isdigit() else 1
    shorter = request.clone(rel_url=request.rel_url.update_query({name: str(fewer)}))
    return await handler(shorter)


async def _altered(fault: Fault, handler: Handler, request: web.Request) -> web.StreamResponse:
    answer = await handler(request)
    if answer.status != 200:
        return answer
    changed = alter(fault, json.loads(_bytes(answer)))
    if fault.kind is FaultKind.REPEAT_PAGE_TOKEN and isinstance(changed, dict):
        token = request.query.get("page_token")
        if "cursor" in request.query:
            changed["next_url"] = str(request.url)
        elif "next_url" not in changed:
            changed["next_page_token"] = token or changed.get("next_page_token")
    kept = {k: v for k, v in answer.headers.items() if k.startswith("X-WSB") or k == "Date"}
    return web.json_response(changed, headers=kept)


def _bytes(answer: web.StreamResponse) -> bytes:
    body = answer.body if isinstance(answer, web.Response) else None
    return body if isinstance(body, bytes) else b""


_GREEKS = frozenset({"greeks", "impliedVolatility", "implied_volatility"})


class Spelling(NamedTuple):
    """What one kind of quote calls its parts."""

    bid: str
    bid_size: str
    ask: str
    ask_size: str
    at: str


SPELLINGS = (
    Spelling("bp", "bs", "ap", "as", "t"),
    Spelling("bid", "bid_size", "ask", "ask_size", "last_updated"),
    Spelling("p", "s", "P", "S", "t"),
    Spelling("bid", "bidSize", "ask", "askSize", "regularMarketTime"),
    # Contracts that come without sizes.
    Spelling("bid", "bid", "ask", "ask", "lastTradeDate"),
)


def alter(fault: Fault, body: Any) -> Any:
    """``body`` with every quote (a thing that is spelled as one) or greek in it made wrong."""
    if isinstance(body, list):
        return [alter(fault, item) for item in body]
    if not isinstance(body, dict):
        return body
    made = {key: alter(fault, value) for key, value in body.items()}
    if fault.kind is FaultKind.GREEKS_ABSENT:
        return {k: v for k, v in made.items() if k not in _GREEKS}
    for spelled in SPELLINGS:
        if {spelled.bid, spelled.ask, spelled.at} <= made.keys():
            return _wrong_quote(fault, made, spelled)
    return made


def _wrong_quote(fault: Fault, quote: dict[str, Any], spelled: Spelling) -> dict[str, Any]:
    if fault.kind is FaultKind.QUOTES_ZERO:
        return quote | dict.fromkeys(spelled[:4], 0)
    if fault.kind is FaultKind.QUOTES_OFF:
        sides = (spelled.bid, spelled.ask)
        return quote | {side: round(quote[side] * fault.factor, 4) for side in sides if quote[side]}
    if fault.kind is FaultKind.QUOTES_CROSSED:
        # A locked quote would not look crossed after a swap alone.
        return quote | {spelled.bid: round(quote[spelled.ask] + 0.01, 4), spelled.ask: quote[spelled.bid]}
    if fault.kind is FaultKind.QUOTES_STALE:
        return quote | {spelled.at: _older(quote[spelled.at], timedelta(seconds=fault.seconds))}
    return quote


def _older(stamp: str | int | datetime, by: timedelta) -> str | int | datetime:
    if isinstance(stamp, datetime):
        return stamp - by
    if isinstance(stamp, int):
        # Since 1970, in seconds, in milliseconds or in nanoseconds.
        unit = 1 if stamp < 10**11 else 1_000 if stamp < 10**15 else 1_000_000_000
        return stamp - int(by.total_seconds()) * unit
    return (datetime.fromisoformat(stamp) - by).isoformat().replace("+00:00", "Z")


_BEHAVIOURS: dict[FaultKind, Callable[[Fault, Handler, web.Request], Awaitable[web.StreamResponse]]] = {
    FaultKind.STATUS: _status,
    FaultKind.ACCEPT_THEN_STATUS: _accept_then_status,
    FaultKind.ACCEPT_THEN_DROP: _accept_then_drop,
    FaultKind.DROP: _drop,
    FaultKind.STALL: _stall,
    FaultKind.TRUNCATE: _truncate,
    FaultKind.EMPTY: _empty,
    FaultKind.HTML502: _html502,
    FaultKind.RATELIMIT: _ratelimit,
    FaultKind.QUOTES_STALE: _altered,
    FaultKind.QUOTES_CROSSED: _altered,
    FaultKind.QUOTES_ZERO: _altered,
    FaultKind.QUOTES_OFF: _altered,
    FaultKind.GREEKS_ABSENT: _altered,
    FaultKind.SHORT_PAGE: _short_page,
    FaultKind.REPEAT_PAGE_TOKEN: _altered,
}
BODY_FAULTS = frozenset(
    {FaultKind.QUOTES_STALE, FaultKind.QUOTES_CROSSED, FaultKind.QUOTES_ZERO, FaultKind.QUOTES_OFF}
)


def with_faults(faults: tuple[Fault, ...], handler: Handler) -> Handler:
    """``handler`` as it behaves under ``faults``; the first ordered is the outermost."""
    for fault in reversed(faults):
        handler = partial(_BEHAVIOURS[fault.kind], fault, handler)
    return handler
