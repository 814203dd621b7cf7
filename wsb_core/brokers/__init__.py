"""Brokers, one file each; listed here."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any

from wsb_core.domain.errors import ConfigError
from wsb_core.domain.ids import AccountId
from wsb_core.domain.ports import Broker
from wsb_core.execution.rules import BrokerRules

from .alpaca_rules import ALPACA

BROKERS = {
    "alpaca": ("wsb_core.brokers.alpaca", "AlpacaBroker"),
}
RULES = {"alpaca": ALPACA}
"""What each broker takes, and what its refusals mean."""


def rules_of(name: str = "alpaca") -> BrokerRules:
    """The capability row of the broker called ``name``.

    Raises: ConfigError for a name that is not listed.
    """
    if name not in RULES:
        raise ConfigError(f"broker {name!r} is not one of {', '.join(RULES)}")
    return RULES[name]


def open_broker(
    *,
    account: AccountId,
    mode: str,
    base_url: str,
    key: str,
    secret: str,
    deadline_seconds: float = 10.0,
    name: str = "alpaca",
    tap: Callable[[Mapping[str, Any]], None] | None = None,
) -> Broker:
    """The adapter called ``name``, for one account; ``tap`` is told of every request. Sends nothing.

    Raises: ConfigError for a name that is not listed, NotArmed when mode, host and key disagree.
    """
    if name not in BROKERS:
        raise ConfigError(f"broker {name!r} is not one of {', '.join(BROKERS)}")
    module, adapter = BROKERS[name]
    opened: Broker = getattr(import_module(module), adapter)(
        account, mode, base_url, key, secret, deadline_seconds=deadline_seconds, tap=tap
    )
    return opened
