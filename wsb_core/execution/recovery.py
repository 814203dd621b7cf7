"""What goes wrong on an order's way, and what is done about it: one table.

Execution only tells what happened, through a port; whoever implements the port writes the ledger row,
sets the halt and sends the alert that the table says.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum

from wsb_core.domain.errors import (
    BadResponse,
    DataQualityError,
    InsufficientBuyingPower,
    LeaseLost,
    NotArmed,
    OrderRejected,
    OutcomeUnknown,
    ProviderRefused,
    ProviderUnavailable,
    ReconciliationBreak,
)

HOLD_FOR = timedelta(minutes=5)
"""The shortest time for which nothing is sent after the broker could not be reached."""


class Trouble(StrEnum):
    """A class of error on the way of an order."""

    DATA_FAILING = "data_failing"
    BROKER_UNREACHABLE = "broker_unreachable"
    OUTCOME_UNKNOWN = "outcome_unknown"
    UNKNOWN_STATUS = "unknown_status"
    ILLEGAL_MOVE = "illegal_move"
    BUYING_POWER = "buying_power"
    REFUSED_FOR_NOW = "refused_for_now"
    REFUSED_PERMISSION = "refused_permission"
    REFUSED_TERMS = "refused_terms"
    REFUSED_ACCOUNT = "refused_account"
    REFUSED_UNLISTED = "refused_unlisted"
    RECONCILIATION_BREAK = "reconciliation_break"
    NOT_ALLOWED = "not_allowed"
    UNKNOWN_ERROR = "unknown_error"


class Remedy(StrEnum):
    """What is done. Every one of them leaves exits free, except ``HOLD``: nothing can be sent then."""

    NEXT_RUN = "leave this order; the next run decides anew"
    LOOK_UP = "nothing follows this order; it is looked up until the broker says what became of it"
    RESIZE_ONCE = "once more and whole, as large as the broker's own figure allows"
    HOLD = "send nothing for five minutes and until a clean reconciliation; look-ups go on"
    HALT_STRATEGY = "stop the strategy's entries until a person resumes them"
    HALT_ACCOUNT = "stop all entries until a person resumes them"

    @property
    def halt(self) -> str | None:
        """The kind of halt it sets; None for none."""
        if self is Remedy.HOLD:
            return "hold"
        return "reduce_only" if self in (Remedy.HALT_STRATEGY, Remedy.HALT_ACCOUNT) else None


@dataclass(frozen=True, slots=True)
class Recovery:
    """One row of the table. ``severity`` is the alert's; ``do`` is for the person who reads it."""

    sign: str
    remedy: Remedy
    severity: str
    do: str


RECOVERY: Mapping[Trouble, Recovery] = {
    Trouble.DATA_FAILING: Recovery(
        "no source gives quotes that can be read, pass their checks and are good enough for orders",
        Remedy.NEXT_RUN,
        "warning",
        "Run `wsb doctor`; look at the source that fails. Other sources were asked before this was told.",
    ),
    Trouble.BROKER_UNREACHABLE: Recovery(
        "the broker answers no look-up, or a read of the account fails",
        Remedy.HOLD,
        "critical",
        "Look at the broker's status page. The hold lifts itself after a clean reconciliation.",
    ),
    Trouble.OUTCOME_UNKNOWN: Recovery(
        "the broker can be asked, and still nothing says whether it has the order",
        Remedy.LOOK_UP,
        "critical",
        "Find the order at the broker by its client order id. Send nothing in its place.",
    ),
    Trouble.UNKNOWN_STATUS: Recovery(
        "the broker tells a status that no table has",
        Remedy.LOOK_UP,
        "critical",
        "Look the order up at the broker; add the status to the table of its adapter.",
    ),
    Trouble.ILLEGAL_MOVE: Recovery(
        "the broker tells a state that an order cannot go to from where the ledger has it",
        Remedy.LOOK_UP,
        "critical",
        "Compare the order at the broker with `wsb orders`, then run the reconciler.",
    ),
    Trouble.BUYING_POWER: Recovery(
        "an entry is refused for want of buying power",
        Remedy.RESIZE_ONCE,
        "warning",
        "Nothing, unless it comes often: then the account holds more than the ledger knows.",
    ),
    Trouble.REFUSED_FOR_NOW: Recovery(
        "refused for a reason that passes: an opposite order works, the position is not shown yet, ...",
        Remedy.NEXT_RUN,
        "warning",
        "Nothing. An exit is tried again in five minutes.",
    ),
    Trouble.REFUSED_PERMISSION: Recovery(
        "refused because the account may not trade this",
        Remedy.HALT_STRATEGY,
        "critical",
        "Ask the broker for the options level, or turn the strategy off; then resume it.",
    ),
    Trouble.REFUSED_TERMS: Recovery(
        "refused because the order itself is not one the broker takes",
        Remedy.HALT_STRATEGY,
        "critical",
        "A fault of this program: report it with the refusal's text. Resume when it is repaired.",
    ),
    Trouble.REFUSED_ACCOUNT: Recovery(
        "the broker blocks the account or no longer accepts its keys",
        Remedy.HALT_ACCOUNT,
        "critical",
        "Talk to the broker; check the keys with `wsb doctor`; then resume.",
    ),
    Trouble.REFUSED_UNLISTED: Recovery(
        "refused in words that no table has",
        Remedy.HALT_STRATEGY,
        "critical",
        "Read the broker's words, add them to the table of its adapter, resume the strategy.",
    ),
    Trouble.RECONCILIATION_BREAK: Recovery(
        "ledger and broker differ, twice in a row, and nothing explains it",
        Remedy.HALT_ACCOUNT,
        "critical",
        "Read the table of the reconciliation and find the booking that explains it.",
    ),
    Trouble.NOT_ALLOWED: Recovery(
        "live trading is not armed, or another worker holds the trader lease",
        Remedy.NEXT_RUN,
        "critical",
        "Arm it, or stop the other worker: `wsb status` names it.",
    ),
    Trouble.UNKNOWN_ERROR: Recovery(
        "any other error on the way of an order",
        Remedy.HALT_STRATEGY,
        "critical",
        "Open the failed run. Look at the strategy's orders (`wsb orders`) and positions before resuming it.",
    ),
}


def classify(error: BaseException) -> Trouble:
    """The class of an error that ended the work on an order.

    A refusal by the broker is told apart by ``rules.refused``, which knows the broker's words.
    """
    for kinds, trouble in _CLASSES:
        if isinstance(error, kinds):
            return trouble
    return Trouble.UNKNOWN_ERROR


_CLASSES: tuple[tuple[type[BaseException] | tuple[type[BaseException], ...], Trouble], ...] = (
    ((NotArmed, LeaseLost), Trouble.NOT_ALLOWED),
    (ReconciliationBreak, Trouble.RECONCILIATION_BREAK),
    (DataQualityError, Trouble.DATA_FAILING),
    (InsufficientBuyingPower, Trouble.BUYING_POWER),
    (OrderRejected, Trouble.REFUSED_UNLISTED),
    (OutcomeUnknown, Trouble.OUTCOME_UNKNOWN),
    ((ProviderUnavailable, BadResponse), Trouble.BROKER_UNREACHABLE),
    (ProviderRefused, Trouble.REFUSED_ACCOUNT),
)
