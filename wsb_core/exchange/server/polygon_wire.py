"""What this vendor's routes share: envelope, pages by address, filters with a dot, times since 1970."""

from __future__ import annotations

import hmac
import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any, TypeVar

from aiohttp import web

from wsb_core.domain.contracts import OptionContract
from wsb_core.domain.quotes import FeedClass
from wsb_core.exchange.rules import wire_symbol

from . import parse
from .pages import page
from .stocks import data_response
from .venue import Venue

Json = dict[str, Any]
Item = TypeVar("Item")
NOT_ENTITLED = "You are not entitled to this data. Please upgrade your plan at https://polygon.io/pricing"


class NotServed(Exception):
    """The exchange was given no table of this: told as the vendor tells a plan that lacks it."""


def is_key(venue: Venue, key: str) -> bool:
    """Whether ``key`` is the id of one of the exchange's key pairs, compared in constant time."""
    return any(hmac.compare_digest(known.encode(), key.encode()) for known in venue.keys)


def refusal(status: int, word: str, **words: str) -> web.Response:
    return web.json_response({"status": word, "request_id": uuid.uuid4().hex, **words}, status=status)


def answer(results: Any, feed: FeedClass, **more: Any) -> web.Response:
    """One page, or one object, in the vendor's envelope."""
    body = {"status": "OK", "request_id": uuid.uuid4().hex, "results": results, **more}
    return data_response(body, feed)


def paged(
    request: web.Request,
    items: Iterable[Item],
    key: Callable[[Item], str],
    tell: Callable[[Sequence[Item]], list[Json]],
    feed: FeedClass,
    *,
    default: int = 10,
    most: int = 1000,
) -> web.Response:
    """As many of ``items`` as ``limit`` says, as ``tell`` puts them; ``next_url`` only where more follow."""
    limit = parse.whole(request.query, "limit", default, most)
    told, cursor = page(items, key, limit, request.query.get("cursor"))
    # The vendor's addresses carry no key either.
    bare = request.url.without_query_params("apiKey")
    following = {} if cursor is None else {"next_url": str(bare.update_query(cursor=cursor))}
    return answer(tell(told), feed, **following)


def days(query: parse.Query, name: str) -> tuple[date | None, date | None]:
    """First and last day, inclusive, that ``name`` and its ``.gte .gt .lte .lt`` admit; None is no bound."""
    exact, day = parse.day(query, name), timedelta(days=1)
    above, below = parse.day(query, f"{name}.gt"), parse.day(query, f"{name}.lt")
    first = exact or parse.day(query, f"{name}.gte") or (above + day if above else None)
    last = exact or parse.day(query, f"{name}.lte") or (below - day if below else None)
    return first, last


def numbers(query: parse.Query, name: str) -> tuple[Decimal | None, Decimal | None]:
    """As ``days``, for strikes, which come in thousandths."""
    exact, mill = parse.number(query, name), Decimal("0.001")
    above, below = parse.number(query, f"{name}.gt"), parse.number(query, f"{name}.lt")
    first = exact or parse.number(query, f"{name}.gte") or (above + mill if above is not None else None)
    last = exact or parse.number(query, f"{name}.lte") or (below - mill if below is not None else None)
    return first, last


def inside(day: date, bounds: tuple[date | None, date | None]) -> bool:
    first, last = bounds
    return (first is None or day >= first) and (last is None or day <= last)


def backwards(query: parse.Query, default: str) -> bool:
    return parse.choice(query, "order", ("asc", "desc"), default) == "desc"


def option_ticker(contract: OptionContract) -> str:
    """``O:AAPL261218C00100000``."""
    return f"O:{wire_symbol(contract)}"


def millis(at: datetime) -> int:
    return int(at.timestamp()) * 1000 + at.microsecond // 1000


def nanos(at: datetime) -> int:
    return int(at.timestamp()) * 1_000_000_000 + at.microsecond * 1000


def since_1970(body: Mapping[str, Any], unit: Callable[[datetime], int]) -> int:
    """The RFC 3339 ``t`` of a bar, a quote or a trade as this vendor counts it."""
    return unit(datetime.fromisoformat(body["t"]))
