"""Sources of market data, one file each; listed here with what they serve."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from importlib import import_module
from typing import Any

from wsb_core.domain.errors import ConfigError
from wsb_core.domain.ports import DataKind, Source
from wsb_core.domain.quotes import FeedClass
from wsb_core.market.router import Policy, Router, SourceBook

_MARKET = (DataKind.BARS, DataKind.TODAY, DataKind.QUOTES)


@dataclass(frozen=True, slots=True)
class Listing:
    """Where a source's adapter stands, and what it serves; said here because opening one takes a second."""

    module: str
    adapter: str
    kinds: tuple[DataKind, ...]


SOURCES: Mapping[str, Listing] = {
    "alpaca": Listing(
        "alpaca",
        "AlpacaData",
        (*_MARKET, DataKind.RAW_BARS, DataKind.CHAIN, DataKind.ACTIONS, DataKind.NEWS),
    ),
    "polygon": Listing(
        "polygon",
        "PolygonData",
        (
            *_MARKET,
            DataKind.RAW_BARS,
            DataKind.CHAIN,
            DataKind.ACTIONS,
            DataKind.YIELDS,
            DataKind.EARNINGS,
        ),
    ),
    "yahoo": Listing(
        "yahoo",
        "YahooData",
        (DataKind.BARS, DataKind.QUOTES, DataKind.CHAIN, DataKind.EARNINGS, DataKind.YIELDS),
    ),
    "alpha_vantage": Listing("alpha_vantage", "AlphaVantageData", (DataKind.TODAY, DataKind.EARNINGS)),
    "replay": Listing(
        "replay",
        "ReplayStore",
        (DataKind.BARS, DataKind.RAW_BARS, DataKind.CHAIN, DataKind.EARNINGS, DataKind.ACTIONS),
    ),
}


def open_source(name: str, access: Mapping[str, Any]) -> Source:
    """The source called ``name``, told what ``Settings.source_access`` says of it. Sends nothing.

    Raises: ConfigError for a name that is not listed, and as the adapter does.
    """
    listing = _listing(name)
    adapter = getattr(import_module(f"{__name__}.{listing.module}"), listing.adapter)
    opened: Source = adapter(**access)
    return opened


def open_router(
    sources: Mapping[str, Callable[[], Mapping[str, Any]]],
    *,
    least_feed: FeedClass | None,
    book: SourceBook,
    now: Callable[[], datetime],
) -> Router:
    """The sources behind one port, best first; each is opened, and its access asked for, when needed.

    Raises: ConfigError for a name that is not listed.
    """
    order = {kind: tuple(name for name in sources if kind in _listing(name).kinds) for kind in DataKind}
    openers = {
        name: partial(lambda name, access: open_source(name, access()), name, access)
        for name, access in sources.items()
    }
    return Router(openers, Policy(order, least_feed=least_feed), book=book, now=now)


def _listing(name: str) -> Listing:
    if name not in SOURCES:
        raise ConfigError(f"market data source {name!r} is not one of {', '.join(SOURCES)}")
    return SOURCES[name]
