"""The practice exchange in Polygon's (Massive's) wire format: who may ask, and how a refusal reads."""

from __future__ import annotations

from aiohttp import web

from . import polygon_market, polygon_reference, polygon_streams
from .faults import Handler
from .parse import Malformed
from .polygon_wire import NOT_ENTITLED, NotServed, is_key, refusal
from .venue import VENUE

STREAM_PATHS = polygon_streams.PATHS
_PATHS = ("/v2/aggs/", "/v2/last/", "/v2/snapshot/", "/v3/", "/v1/marketstatus/", "/fed/", "/benzinga/")


def mount(app: web.Application) -> None:
    """Add this vendor's routes and streams to the exchange's own."""
    for module in (polygon_market, polygon_reference):
        app.add_routes(module.routes)
    polygon_streams.mount(app)


@web.middleware
async def speaks(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Answers what is asked on this vendor's paths in this vendor's manner; the rest goes on to the next.

    The key is one of the exchange's key ids, as a bearer or as ``apiKey``. Streams authenticate themselves.
    """
    if request.path in STREAM_PATHS:
        return await request.match_info.handler(request)
    if not request.path.startswith(_PATHS):
        return await handler(request)
    if not _is_key(request):
        return refusal(401, "ERROR", error="Unknown API Key")
    try:
        return await request.match_info.handler(request)
    except Malformed as error:
        return refusal(400, "ERROR", error=str(error))
    except NotServed as error:
        return refusal(403, "NOT_AUTHORIZED", message=f"{NOT_ENTITLED} ({error})")
    except web.HTTPNotFound:
        return refusal(404, "NOT_FOUND", message="Data not found.")


def _is_key(request: web.Request) -> bool:
    bearer = request.headers.get("Authorization", "").removeprefix("Bearer ")
    return is_key(request.app[VENUE], bearer or request.query.get("apiKey", ""))
