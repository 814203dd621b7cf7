"""The server: one asyncio process, one listener for REST and streams, on loopback by default."""

from __future__ import annotations

import asyncio
import contextlib
import json
import signal
import threading
from collections.abc import AsyncIterator, Callable, Mapping
from types import TracebackType
from typing import TYPE_CHECKING, Any

from aiohttp import web

from wsb_core.exchange.model import Reject

from . import account, alpha_vantage, control, options, orders, polygon, reference, stocks, streams, yahoo
from .account import reject_body
from .almanac import ALMANAC, EMPTY, Almanac
from .faults import Handler, with_faults
from .parse import INVALID, Malformed
from .streams import STREAMS, Streams, is_key
from .venue import PRACTICE_KEYS, VENUE, Venue

if TYPE_CHECKING:
    from wsb_core.exchange.engine import Exchange

CONTROL = "/control/"
_STREAM_PATHS = frozenset(
    (streams.TRADING_PATH, *streams.STOCK_PATHS, *streams.OPTION_PATHS, *polygon.STREAM_PATHS)
)
_DATA_PREFIXES = ("/v2/stocks/", "/v1beta1/", "/v1/")
OTHER_VENDORS = (polygon, yahoo, alpha_vantage)
"""Vendors besides the broker: each answers on its own paths, in its own manner."""


@web.middleware
async def counted(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Notes what arrived before anything, a fault included, can happen to it."""
    if not request.path.startswith(CONTROL):
        counts = request.app[VENUE].counts
        counts.requests[f"{request.method} {request.path}"] += 1
        if request.method == "POST" and request.path == "/v2/orders":
            counts.orders_received += 1
            counts.sends[_client_order_id(await request.text())] += 1
    return await handler(request)


def _client_order_id(text: str) -> str:
    try:
        body = json.loads(text)
    except ValueError:
        return ""
    return str(body.get("client_order_id") or "") if isinstance(body, dict) else ""


@web.middleware
async def faulty(request: web.Request, handler: Handler) -> web.StreamResponse:
    if request.path.startswith(CONTROL) or request.path in _STREAM_PATHS:
        return await handler(request)
    due = request.app[VENUE].faults.take(request.method, request.path)
    return await with_faults(due, handler)(request)


@web.middleware
async def refused(request: web.Request, handler: Handler) -> web.StreamResponse:
    """A refusal in the vendor's shape: code and message on trading routes, message alone on data routes."""
    data = request.path.startswith(_DATA_PREFIXES)
    try:
        return await handler(request)
    except Reject as no:
        return web.json_response(reject_body(no), status=no.status)
    except Malformed as error:
        if data:
            return web.json_response({"message": str(error)}, status=400)
        return web.json_response({"code": INVALID, "message": str(error)}, status=422)
    except web.HTTPNotFound:
        return web.json_response({"message": "endpoint not found."}, status=404)


@web.middleware
async def authorized(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Streams authenticate in their own protocol; control routes are the operator's."""
    if request.path.startswith(CONTROL) or request.path in _STREAM_PATHS:
        return await handler(request)
    key, secret = (request.headers.get(f"APCA-API-{name}") for name in ("KEY-ID", "SECRET-KEY"))
    if not is_key(request.app[VENUE], key, secret):
        return web.json_response({"message": "unauthorized."}, status=401)
    return await handler(request)


def build_app(
    exchange: Exchange, keys: Mapping[str, str] = PRACTICE_KEYS, almanac: Almanac = EMPTY
) -> web.Application:
    """The application over ``exchange``, which nothing else may touch while it runs."""
    app = web.Application(
        middlewares=[counted, faulty, *(one.speaks for one in OTHER_VENDORS), refused, authorized]
    )
    venue = Venue(exchange, keys)
    app[VENUE] = venue
    app[ALMANAC] = almanac
    app[STREAMS] = Streams(venue)
    for module in (orders, account, reference, stocks, options, streams, control):
        app.add_routes(module.routes)
    for vendor in OTHER_VENDORS:
        vendor.mount(app)
    app.on_shutdown.append(_hang_up)
    return app


async def _hang_up(app: web.Application) -> None:
    app[STREAMS].close()
    await app[STREAMS].hang_up()


@contextlib.asynccontextmanager
async def serve(
    exchange: Exchange,
    *,
    host: str = "127.0.0.1",
    port: int = 0,
    keys: Mapping[str, str] = PRACTICE_KEYS,
    almanac: Almanac = EMPTY,
) -> AsyncIterator[str]:
    """Serve ``exchange`` while the context is open; gives the base URL. Port 0 is any free one."""
    runner = web.AppRunner(build_app(exchange, keys, almanac), access_log=None, shutdown_timeout=0.5)
    await runner.setup()
    try:
        site = web.TCPSite(runner, host, port)
        await site.start()
        bound = runner.addresses[0][1]
        yield f"http://{host}:{bound}"
    finally:
        await runner.cleanup()


def run_forever(
    exchange: Exchange,
    *,
    host: str = "127.0.0.1",
    port: int = 0,
    keys: Mapping[str, str] = PRACTICE_KEYS,
    almanac: Almanac = EMPTY,
    ready: Callable[[str], None],
) -> None:
    """Serve until SIGINT or SIGTERM; ``ready`` is told the base URL once connections are taken."""

    async def run() -> None:
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        for name in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(name, stop.set)
        async with serve(exchange, host=host, port=port, keys=keys, almanac=almanac) as url:
            ready(url)
            await stop.wait()

    asyncio.run(run())


class ServerThread:
    """The server on a thread of its own, for tests and the demo. The exchange is that thread's alone."""

    def __init__(
        self,
        exchange: Exchange,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        keys: Mapping[str, str] = PRACTICE_KEYS,
        almanac: Almanac = EMPTY,
    ) -> None:
        self._exchange, self._almanac = exchange, almanac
        self._where: dict[str, Any] = {"host": host, "port": port, "keys": keys}
        self._started = threading.Event()
        self._failure: BaseException | None = None
        self._url = ""
        self._thread = threading.Thread(target=self._run, name="practice-exchange", daemon=True)

    def start(self) -> str:
        """The base URL, once connections are taken.

        Raises: OSError when the port cannot be bound.
        """
        self._thread.start()
        self._started.wait()
        if self._failure is not None:
            raise self._failure
        return self._url

    def stop(self) -> None:
        """Close every connection and end the thread; harmless when it has ended."""
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._stop.set)
            self._thread.join()

    def __enter__(self) -> str:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _run(self) -> None:
        try:
            asyncio.run(self._serve())
        except BaseException as error:
            self._failure = error
        finally:
            self._started.set()

    async def _serve(self) -> None:
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        async with serve(self._exchange, almanac=self._almanac, **self._where) as url:
            self._url = url
            self._started.set()
            await self._stop.wait()
