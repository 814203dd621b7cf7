"""Sources of market data, one file each; listed here."""

from __future__ import annotations

from importlib import import_module

from wsb_core.domain.errors import ConfigError
from wsb_core.domain.ports import MarketData

PROVIDERS = {
    "alpaca": ("wsb_core.providers.alpaca", "AlpacaData"),
}


def open_data(
    *,
    mode: str,
    base_url: str,
    trading_url: str,
    key: str,
    secret: str,
    stock_feed: str,
    option_feed: str,
    deadline_seconds: float = 10.0,
    name: str = "alpaca",
) -> MarketData:
    """The source called ``name``; in mode ``practice`` its prices are called replayed or modelled.

    Sends nothing.

    Raises: ConfigError for a name that is not listed, or a feed the source does not have.
    """
    if name not in PROVIDERS:
        raise ConfigError(f"market data source {name!r} is not one of {', '.join(PROVIDERS)}")
    module, adapter = PROVIDERS[name]
    opened: MarketData = getattr(import_module(module), adapter)(
        base_url,
        key,
        secret,
        trading_url=trading_url,
        stock_feed=stock_feed,
        option_feed=option_feed,
        practice=mode == "practice",
        deadline_seconds=deadline_seconds,
    )
    return opened
