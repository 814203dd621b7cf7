"""The ledger: what was decided, ordered, filled and booked. SQLAlchemy stays in here."""

from wsb_core.domain.halts import EVERYTHING, HaltKind

from .chain import AuditEntry
from .held import ClosedTrade
from .ledger import Ledger, open_ledger
from .packages import OrderTerms
from .positions import Derived, derive
from .records import (
    Alert,
    CheckRecord,
    Decided,
    DuplicateOrder,
    Halt,
    HardHalt,
    Intent,
    KnownOrder,
    Lease,
    MarkKind,
    OrderEvent,
    Outcome,
    ProviderHealth,
    Reconciliation,
    ReduceOnlyViolation,
    Run,
    StoredLook,
    Verification,
)
from .store import LedgerUnavailable

__all__ = [
    "EVERYTHING",
    "Alert",
    "AuditEntry",
    "CheckRecord",
    "ClosedTrade",
    "Decided",
    "Derived",
    "DuplicateOrder",
    "Halt",
    "HaltKind",
    "HardHalt",
    "Intent",
    "KnownOrder",
    "Lease",
    "Ledger",
    "LedgerUnavailable",
    "MarkKind",
    "OrderEvent",
    "OrderTerms",
    "Outcome",
    "ProviderHealth",
    "Reconciliation",
    "ReduceOnlyViolation",
    "Run",
    "StoredLook",
    "Verification",
    "derive",
    "open_ledger",
]
