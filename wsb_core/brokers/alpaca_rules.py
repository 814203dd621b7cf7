"""What Alpaca takes and how it refuses: its row of the capability matrix.

Source: the vendor's OpenAPI document and option pages of 2026-09. Codes alone do not tell refusals
apart, and messages change: each row looks for a few words, in any case.
"""

from __future__ import annotations

from wsb_core.execution.recovery import Trouble
from wsb_core.execution.rules import BrokerRules, KnownRefusal

_FORBIDDEN, _INVALID, _NOT_FOUND = 40310000, 42210000, 40410000

REFUSALS = (
    KnownRefusal(_FORBIDDEN, "insufficient options buying power", Trouble.BUYING_POWER),
    KnownRefusal(_FORBIDDEN, "insufficient buying power", Trouble.BUYING_POWER),
    KnownRefusal(_FORBIDDEN, "insufficient day trading buying power", Trouble.BUYING_POWER),
    KnownRefusal(_FORBIDDEN, "insufficient cash", Trouble.BUYING_POWER),
    # An opposite order works, or the broker's books lag our fills: it passes.
    KnownRefusal(None, "potential wash trade", Trouble.REFUSED_FOR_NOW),
    KnownRefusal(None, "opposite side", Trouble.REFUSED_FOR_NOW),
    KnownRefusal(_FORBIDDEN, "cannot open a long buy while a short sell", Trouble.REFUSED_FOR_NOW),
    KnownRefusal(_FORBIDDEN, "cannot open a short sell while a long buy", Trouble.REFUSED_FOR_NOW),
    KnownRefusal(_FORBIDDEN, "insufficient qty available", Trouble.REFUSED_FOR_NOW),
    KnownRefusal(_FORBIDDEN, "insufficient underlying qty", Trouble.REFUSED_FOR_NOW),
    KnownRefusal(_FORBIDDEN, "not eligible to trade uncovered", Trouble.REFUSED_FOR_NOW),
    KnownRefusal(_FORBIDDEN, "active assignment", Trouble.REFUSED_FOR_NOW),
    KnownRefusal(_FORBIDDEN, "exceeded account limit for contracts expiring", Trouble.REFUSED_FOR_NOW),
    KnownRefusal(_FORBIDDEN, "mleg order is disabled", Trouble.REFUSED_FOR_NOW),
    KnownRefusal(_INVALID, "position intent mismatch", Trouble.REFUSED_FOR_NOW),
    KnownRefusal(_INVALID, "only allowed during market hours", Trouble.REFUSED_FOR_NOW),
    KnownRefusal(None, "market is closed", Trouble.REFUSED_FOR_NOW),
    KnownRefusal(_INVALID, "expires soon", Trouble.REFUSED_FOR_NOW),
    KnownRefusal(_INVALID, "is expired", Trouble.REFUSED_FOR_NOW),
    KnownRefusal(_INVALID, "not active", Trouble.REFUSED_FOR_NOW),
    KnownRefusal(_INVALID, "not tradable", Trouble.REFUSED_FOR_NOW),
    KnownRefusal(_INVALID, "not found", Trouble.REFUSED_FOR_NOW),
    KnownRefusal(_NOT_FOUND, "not found", Trouble.REFUSED_FOR_NOW),
    KnownRefusal(_FORBIDDEN, "not eligible to trade long option", Trouble.REFUSED_PERMISSION),
    KnownRefusal(_FORBIDDEN, "not eligible to trade spreads", Trouble.REFUSED_PERMISSION),
    KnownRefusal(_FORBIDDEN, "not authorized to trade options", Trouble.REFUSED_PERMISSION),
    KnownRefusal(_FORBIDDEN, "not allowed to short", Trouble.REFUSED_PERMISSION),
    KnownRefusal(_INVALID, "relatively prime", Trouble.REFUSED_TERMS),
    KnownRefusal(_INVALID, "underlying asset mismatch", Trouble.REFUSED_TERMS),
    KnownRefusal(_INVALID, "position intent is required", Trouble.REFUSED_TERMS),
    KnownRefusal(_INVALID, "qty must be", Trouble.REFUSED_TERMS),
    KnownRefusal(_INVALID, "notional", Trouble.REFUSED_TERMS),
    KnownRefusal(_INVALID, "extended hours", Trouble.REFUSED_TERMS),
    KnownRefusal(_INVALID, "time_in_force", Trouble.REFUSED_TERMS),
    KnownRefusal(_INVALID, "limit price is required", Trouble.REFUSED_TERMS),
    KnownRefusal(_INVALID, "increment", Trouble.REFUSED_TERMS),
    KnownRefusal(_INVALID, "invalid order type", Trouble.REFUSED_TERMS),
    KnownRefusal(_INVALID, "complex orders not supported", Trouble.REFUSED_TERMS),
    KnownRefusal(_INVALID, "between 2 and 4 legs", Trouble.REFUSED_TERMS),
    KnownRefusal(None, "nothing was sent", Trouble.REFUSED_TERMS),
    KnownRefusal(None, "unauthorized", Trouble.REFUSED_ACCOUNT),
    KnownRefusal(None, "forbidden.", Trouble.REFUSED_ACCOUNT),
    KnownRefusal(_FORBIDDEN, "account is restricted", Trouble.REFUSED_ACCOUNT),
    KnownRefusal(_FORBIDDEN, "trading is blocked", Trouble.REFUSED_ACCOUNT),
    KnownRefusal(_FORBIDDEN, "account is blocked", Trouble.REFUSED_ACCOUNT),
    KnownRefusal(_FORBIDDEN, "account is not active", Trouble.REFUSED_ACCOUNT),
)

ALPACA = BrokerRules(name="alpaca", refusals=REFUSALS)
