"""The vendor's client without a network: the server's own routes answer, and the plan says what goes wrong.

``AlpacaBroker`` and ``AlpacaHttp`` are the real ones: only the client below them is replaced. What a
fault looks like to the caller is what alpaca-py makes of it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Coroutine, Mapping
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

import requests
from aiohttp import web
from alpaca.common.exceptions import APIError

from wsb_core.brokers.alpaca import AlpacaBroker
from wsb_core.exchange.model import Reject
from wsb_core.exchange.server import account, orders, reference
from wsb_core.exchange.server.account import reject_body
from wsb_core.exchange.server.parse import INVALID, Malformed
from wsb_core.exchange.server.venue import VENUE, Venue

DEADLINE = 10.0
"""Seconds of simulated time after which a call that is not answered is given up."""


class WireFault(StrEnum):
    """What may happen to one request."""

    LOST = "lost"
    """The connection breaks and nothing arrives."""
    REFUSED_502 = "502 page"
    """A gateway's page; nothing arrives."""
    BUSY_429 = "429"
    STALL_LOST = "stall, then lost"
    """No answer until the deadline; nothing ever arrives."""
    DONE_504 = "done, then 504"
    DONE_DROP = "done, no answer"
    DONE_STALL = "done, stall"
    """It is done, and the answer does not come before the deadline."""
    DONE_TRUNCATED = "done, half a body"
    DONE_EMPTY = "done, empty body"
    LATE = "arrives late"
    """The caller gives up at the deadline; the request arrives after that."""
    TWICE = "arrives twice"
    """A proxy repeats it; the first answer comes back."""
    TWICE_SECOND = "arrives twice, second answer"
    STALE = "an older answer"
    """What the same question was answered with before: answers overtake each other."""
    SLOW = "slow"
    """The answer comes, after seconds in which the market goes on."""


READ_FAULTS = (
    WireFault.LOST,
    WireFault.REFUSED_502,
    WireFault.BUSY_429,
    WireFault.STALL_LOST,
    WireFault.DONE_504,
    WireFault.DONE_TRUNCATED,
    WireFault.DONE_EMPTY,
    WireFault.SLOW,
)
LOOK_UP_FAULTS = (*READ_FAULTS, WireFault.STALE)
WRITE_FAULTS = tuple(fault for fault in WireFault if fault is not WireFault.STALE)
Handler = Callable[[Any], Coroutine[Any, Any, web.Response]]


class _Request:
    """As much of a web request as the routes read."""

    def __init__(self, venue: Venue, query: Mapping[str, str], found: Mapping[str, str], body: str) -> None:
        self.app = {VENUE: venue}
        self.query, self.match_info = query, found
        self._body = body

    async def text(self) -> str:
        return self._body


def _routes() -> list[tuple[str, re.Pattern[str], Handler]]:
    found = []
    for module in (orders, account, reference):
        for route in module.routes:
            pattern = re.sub(r"\{(\w+)\}", r"(?P<\1>[^/]+)", route.path)
            found.append((route.method, re.compile(pattern), route.handler))
    return found


_ROUTES = _routes()


class Answer:
    """A status and a body, as they come over the wire."""

    def __init__(self, status: int, text: str) -> None:
        self.status, self.text = status, text

    def read(self) -> Any:
        """What alpaca-py hands back, or raises, for this answer."""
        if self.status >= 400:
            reply = requests.Response()
            reply.status_code = self.status
            raise APIError(self.text, requests.HTTPError(response=reply))
        return json.loads(self.text) if self.text else None


def answer(venue: Venue, method: str, path: str, query: Mapping[str, str], body: str = "") -> Answer:
    """What the practice exchange's server answers, without a server."""
    for verb, pattern, handler in _ROUTES:
        found = pattern.fullmatch(path)
        if verb != method or found is None:
            continue
        try:
            reply = _run(handler(_Request(venue, query, found.groupdict(), body)))
        except Reject as no:
            return Answer(no.status, json.dumps(reject_body(no)))
        except Malformed as error:
            return Answer(422, json.dumps({"code": INVALID, "message": str(error)}))
        return Answer(reply.status, reply.text or "")
    return Answer(404, json.dumps({"message": "endpoint not found."}))


def _run(handling: Coroutine[Any, Any, web.Response]) -> web.Response:
    try:
        handling.send(None)
    except StopIteration as done:
        reply: web.Response = done.value
        return reply
    raise RuntimeError("a route waited for something: it cannot be answered in process")


class Line:
    """What a worker's process has instead of a network; the world behind it decides what goes wrong."""

    _base_url = "http://127.0.0.1:1"

    def __init__(self, world: Any) -> None:
        self._world = world
        self._seen: dict[str, tuple[datetime, Answer]] = {}

    def get(self, path: str, params: Mapping[str, Any] | None = None) -> Any:
        query = {name: str(value) for name, value in (params or {}).items()}
        look_up = path.startswith("/orders:by_client_order_id")
        choice = LOOK_UP_FAULTS if look_up else READ_FAULTS
        return self._call("GET", path, query, "", choice)

    def post(self, path: str, body: Mapping[str, Any]) -> Any:
        return self._call("POST", path, {}, json.dumps(dict(body), default=str), WRITE_FAULTS)

    def delete(self, path: str) -> Any:
        return self._call("DELETE", path, {}, "", WRITE_FAULTS)

    def _call(
        self, method: str, path: str, query: Mapping[str, str], body: str, choice: tuple[WireFault, ...]
    ) -> Any:
        world = self._world
        step = f"{method} {_named(path)}"
        world.step(f"{step} before")
        world.pass_time(world.latency())
        fault = world.wire_fault(step, choice)

        def do() -> Answer:
            told: Answer = world.arrive(method, f"/v2{path}", query, body)
            return told

        try:
            told = self._faulty(fault, do, f"{path}?{sorted(query.items())}")
        finally:
            world.pass_time(world.latency())
        world.step(f"{step} after")
        return told.read()

    def _faulty(self, fault: WireFault | None, do: Callable[[], Answer], question: str) -> Answer:
        world = self._world
        if fault is None or fault is WireFault.SLOW:
            told = do()
            if fault is WireFault.SLOW:
                world.pass_time(world.draw.uniform(1, 9))
            self._seen[question] = (world.now, told)
            return told
        if fault is WireFault.STALE:
            at, old = self._seen.get(question, (world.now, None))
            fresh = old is not None and world.now - at <= timedelta(seconds=5)
            return old if fresh and old is not None else do()
        if fault is WireFault.REFUSED_502:
            return Answer(502, "<html><body>502 Bad Gateway</body></html>")
        if fault is WireFault.BUSY_429:
            return Answer(429, json.dumps({"message": "too many requests."}))
        if fault is WireFault.LATE:
            world.later(DEADLINE + world.draw.uniform(0.1, world.late_seconds), do)
        elif fault in (WireFault.TWICE, WireFault.TWICE_SECOND):
            told = do()
            second = do()
            return told if fault is WireFault.TWICE else second
        elif fault not in (WireFault.LOST, WireFault.STALL_LOST):
            told = do()
            if fault is WireFault.DONE_504:
                return Answer(504, json.dumps({"message": "gateway timeout"}))
            if fault is WireFault.DONE_EMPTY:
                return Answer(200, "")
            if fault is WireFault.DONE_TRUNCATED:
                return Answer(told.status, told.text[: len(told.text) // 2])
        if fault in (WireFault.STALL_LOST, WireFault.DONE_STALL, WireFault.LATE):
            world.pass_time(DEADLINE)
            raise requests.ReadTimeout("read timeout")
        raise requests.ConnectionError("connection broken")


def _named(path: str) -> str:
    return re.sub(r"(/orders)/.+", r"\1/{id}", path)


def broker_over(world: Any, account_id: Any) -> AlpacaBroker:
    """The real adapter on a line of ``world``."""
    broker = AlpacaBroker(account_id, "practice", "http://127.0.0.1:1", "practice-key", "practice-secret")
    broker._http._client = Line(world)
    return broker
