"""Brokers, one file each; listed here."""

from __future__ import annotations

from importlib import import_module

from wsb_core.domain.errors import ConfigError
from wsb_core.domain.ids import AccountId
from wsb_core.domain.ports import Broker

BROKERS = {
    "alpaca": ("wsb_core.brokers.alpaca", "AlpacaBroker"),
}


def open_broker(
    *,
    account: AccountId,
    mode: str,
    base_url: str,
    key: str,
    secret: str,
    deadline_seconds: float = 10.0,
    name: str = "alpaca",
) -> Broker:
    """The adapter called ``name``, for one account. Sends nothing.

    Raises: ConfigError for a name that is not listed, NotArmed when mode, host and key disagree.
    """
    if name not in BROKERS:
        raise ConfigError(f"broker {name!r} is not one of {', '.join(BROKERS)}")
    module, adapter = BROKERS[name]
    opened: Broker = getattr(import_module(module), adapter)(
        account, mode, base_url, key, secret, deadline_seconds=deadline_seconds
    )
    return opened
