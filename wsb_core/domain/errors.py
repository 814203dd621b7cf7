"""Every broken promise is one of these; a refusal is a value and never raised.

The class answers one question: may the same call be made again?
"""

from __future__ import annotations


class WsbError(Exception):
    """Root of every error this library raises on purpose."""


class Transient(WsbError):
    """The same call may succeed later, and repeating it changes nothing."""


class Terminal(WsbError):
    """Repeating the call cannot help; a person or a different input must."""


class ProviderUnavailable(Transient):
    """A data source or broker did not answer a read in time, or answered 429 or 5xx."""


class BadResponse(Transient):
    """A read was answered with something that cannot be read whole: it is not empty, it is unknown."""


class ProviderRefused(Terminal):
    """A source refused the request for good: credentials, entitlement, unknown symbol."""


class OutcomeUnknown(Terminal):
    """The order may or may not be working. Only the broker's answer to a look-up may decide."""


class OrderRejected(Terminal):
    """The broker refused the order; ``code`` and ``text`` are its own words."""

    def __init__(self, text: str, *, code: int | None = None, status: int | None = None) -> None:
        super().__init__(text)
        self.text = text
        self.code = code
        self.status = status


class InsufficientBuyingPower(OrderRejected):
    """The broker refused the order for want of cash or options buying power."""


class DataQualityError(Terminal):
    """A data check failed: nothing downstream of it may run."""


class ReconciliationBreak(Terminal):
    """Two views of one account differ and nothing explains it."""


class NotArmed(Terminal):
    """Mode, host, key, account and arming record do not agree: nothing may be sent."""


class LeaseLost(Terminal):
    """Another worker holds the trader lease for this account."""


class Halted(Terminal):
    """A halt forbids this order."""


class LedgerError(Terminal):
    """The ledger is at the wrong migration, or a stored fact contradicts another."""


class ConfigError(Terminal):
    """A setting is missing or wrong; the message names the field, the value and the remedy."""
