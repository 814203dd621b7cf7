"""What the ledger gives back: plain frozen values, no rows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from enum import StrEnum

from wsb_core.domain.checks import CheckReport
from wsb_core.domain.errors import LedgerError, Terminal
from wsb_core.domain.halts import HaltKind
from wsb_core.domain.ids import (
    AccountId,
    BrokerOrderId,
    Cash,
    ClientOrderId,
    Price,
    RunId,
    StrategyName,
    Underlying,
)
from wsb_core.domain.orders import Effect, Order, OrderLeg, OrderState
from wsb_core.domain.positions import Holding, Position
from wsb_core.domain.structures import Structure


class DuplicateOrder(LedgerError):
    """Another order for the same structure, strategy and effect works or may be working."""


class ReduceOnlyViolation(Terminal, ValueError):
    """A closing order for more units than are held and not already being closed."""


class HardHalt(Terminal):
    """A hard halt is lifted by a person who says why, and by nobody else."""


class MarkKind(StrEnum):
    OPEN = "open"
    INTRADAY = "intraday"
    CLOSE = "close"


class Outcome(StrEnum):
    """What became of a candidate."""

    SELECTED = "selected"
    REFUSED = "refused"
    ORDERED = "ordered"
    HELD = "held"
    CLOSED = "closed"


@dataclass(frozen=True, slots=True)
class Run:
    """One flow run. ``state`` is ``running`` until it was finished."""

    run_id: RunId
    flow: str
    strategy: StrategyName | None
    session: date | None
    slot: str | None
    account: AccountId
    config_hash: str
    code_version: str
    started_at: datetime
    state: str
    reason: str
    finished_at: datetime | None


@dataclass(frozen=True, slots=True)
class CheckRecord:
    """A data check's verdict and the run it was made in."""

    run_id: RunId
    report: CheckReport


@dataclass(frozen=True, slots=True)
class Decided:
    """What a run decided on one candidate: why it was traded, or the first rule that refused it.

    ``run_id``, ``session``, ``strategy``, ``slot`` and ``at`` are filled in when it is read back.
    """

    underlying: Underlying
    outcome: Outcome
    stage: str
    rule: str = ""
    value: str = ""
    bound: str = ""
    detail: str = ""
    facts: Mapping[str, str] = field(default_factory=dict)
    client_order_id: ClientOrderId | None = None
    run_id: RunId | None = None
    session: date | None = None
    strategy: StrategyName | None = None
    slot: str | None = None
    at: datetime | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "outcome", Outcome(self.outcome))


@dataclass(frozen=True, slots=True)
class Intent:
    """An order as the ledger holds it. ``created`` is True only in the answer that recorded it.

    ``filled`` counts units and ``average`` is the signed net price, as the broker last told them.
    """

    order: Order
    state: OrderState
    created: bool
    broker_order_id: BrokerOrderId | None
    filled: int
    average: Price | None
    created_at: datetime
    updated_at: datetime
    max_loss: Cash
    run_id: RunId
    reason: str
    facts: Mapping[str, str]

    @property
    def client_order_id(self) -> ClientOrderId:
        return self.order.client_order_id


@dataclass(frozen=True, slots=True)
class KnownOrder:
    """Any order of the account, ours or ``adopted``: found at the broker without an intent of ours.

    ``structure`` and ``effect`` are None when an adopted order's legs are no structure we know, or
    open and close at once.
    """

    client_order_id: ClientOrderId
    account: AccountId
    strategy: StrategyName | None
    structure: Structure | None
    effect: Effect | None
    legs: tuple[OrderLeg, ...]
    quantity: int
    state: OrderState
    broker_order_id: BrokerOrderId | None
    filled: int
    average: Price | None
    adopted: bool
    created_at: datetime
    updated_at: datetime


@dataclass(frozen=True, slots=True)
class OrderEvent:
    """One thing said about an order. ``ignored`` says why it changed nothing; None when it did."""

    client_order_id: ClientOrderId
    at: datetime
    from_state: OrderState | None
    to_state: OrderState
    evidence: Mapping[str, str]
    filled: int | None
    average: Price | None
    ignored: str | None


@dataclass(frozen=True, slots=True)
class Lease:
    """The right to trade an account until ``expires_at``; a later holder has a larger ``token``.

    ``holder`` is one installation, whose processes share the lease.
    """

    account: AccountId
    holder: str
    token: int
    acquired_at: datetime
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class Halt:
    """A stop of entries. ``scope`` is a strategy's name or ``*``; a ``hard`` one asks for a person."""

    id: int
    scope: str
    kind: HaltKind
    reason: str
    by: str
    at: datetime
    hard: bool


@dataclass(frozen=True, slots=True)
class StoredLook:
    """What the halt rules measured at ``at``: plain documents, one for each reading."""

    at: datetime
    readings: tuple[Mapping[str, str], ...]


@dataclass(frozen=True, slots=True)
class ProviderHealth:
    """A source's last calls, newest first in time: at most the last 50."""

    source: str
    calls: int
    last_at: datetime
    last_ok_at: datetime | None
    consecutive_failures: int
    error_rate: float
    """Failed share of ``calls``, 0 to 1."""
    median_latency_ms: float | None
    last_error: str


@dataclass(frozen=True, slots=True)
class Alert:
    """A message this process has claimed to send."""

    id: int
    dedupe_key: str
    severity: str
    title: str
    body: str
    created_at: datetime
    attempts: int


@dataclass(frozen=True, slots=True)
class Reconciliation:
    account: AccountId
    at: datetime
    clean: bool
    breaks: tuple[Mapping[str, str], ...]


@dataclass(frozen=True, slots=True)
class Verification:
    """What a check of the whole ledger found; ``problems`` is empty when ``ok``."""

    ok: bool
    problems: tuple[str, ...]
    rows_checked: int
    positions: tuple[Position, ...]
    holdings: tuple[Holding, ...]
    cash: Mapping[AccountId, Cash]
    head_seq: int
    head_hash: str
    """Keep it elsewhere: a log cut off together with its head shows only against an older head."""
