"""The tables. Lots, positions, holdings and cash are derived (positions.py) and are not stored."""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import (
    Date,
    ForeignKey,
    Index,
    LargeBinary,
    MetaData,
    String,
    Text,
    UniqueConstraint,
    text,
    true,
)
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from .types import Document, Exact, Instant


class Base(DeclarativeBase):
    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(column_0_label)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "fk": "fk_%(table_name)s_%(column_0_name)s",
            "pk": "pk_%(table_name)s",
        }
    )
    type_annotation_map = {  # noqa: RUF012 - SQLAlchemy reads this class attribute
        Decimal: Exact,
        datetime: Instant,
        date: Date,
        str: String,
    }


class AccountRow(Base):
    __tablename__ = "accounts"
    account: Mapped[str] = mapped_column(primary_key=True)
    mode: Mapped[str]
    opening_cash: Mapped[Decimal]
    opened_at: Mapped[datetime]


class StrategyRow(Base):
    __tablename__ = "strategies"
    name: Mapped[str] = mapped_column(primary_key=True)
    first_seen_at: Mapped[datetime]


class RunRow(Base):
    __tablename__ = "runs"
    run_id: Mapped[str] = mapped_column(primary_key=True)
    flow: Mapped[str] = mapped_column(index=True)
    strategy: Mapped[str | None] = mapped_column(ForeignKey("strategies.name"))
    session: Mapped[date | None] = mapped_column(index=True)
    slot: Mapped[str | None]
    account: Mapped[str]
    """Not a key of ``accounts``: a run may be turned away before the account's books are begun."""
    config_hash: Mapped[str]
    code_version: Mapped[str]
    started_at: Mapped[datetime]
    state: Mapped[str]
    reason: Mapped[str] = mapped_column(Text)
    finished_at: Mapped[datetime | None]


class CheckRow(Base):
    __tablename__ = "check_results"
    id: Mapped[int] = mapped_column(primary_key=True)
    run_id: Mapped[str] = mapped_column(ForeignKey("runs.run_id"))
    suite: Mapped[str]
    digest: Mapped[str]
    checked_at: Mapped[datetime]
    rows: Mapped[int]
    passed: Mapped[bool]
    findings: Mapped[Any] = mapped_column(Document, nullable=False)
    quarantined: Mapped[Any] = mapped_column(Document, nullable=False)
    __table_args__ = (UniqueConstraint("run_id", "suite", "digest", "checked_at"),)


class DecisionRow(Base):
    __tablename__ = "decisions"
    id: Mapped[int] = mapped_column(primary_key=True)
    run_id: Mapped[str] = mapped_column(ForeignKey("runs.run_id"), index=True)
    session: Mapped[date] = mapped_column(index=True)
    strategy: Mapped[str]
    slot: Mapped[str]
    underlying: Mapped[str]
    outcome: Mapped[str]
    stage: Mapped[str]
    rule: Mapped[str]
    value: Mapped[str] = mapped_column(Text)
    bound: Mapped[str] = mapped_column(Text)
    detail: Mapped[str] = mapped_column(Text)
    facts: Mapped[Any] = mapped_column(Document, nullable=False)
    client_order_id: Mapped[str | None]
    at: Mapped[datetime]


class OrderRow(Base):
    """What is known of an order's life: ours (with an intent) or one found at the broker (``adopted``)."""

    __tablename__ = "orders"
    client_order_id: Mapped[str] = mapped_column(primary_key=True)
    account: Mapped[str] = mapped_column(ForeignKey("accounts.account"), index=True)
    strategy: Mapped[str | None] = mapped_column(ForeignKey("strategies.name"))
    structure_symbol: Mapped[str | None]
    """None when the legs of an adopted order are no structure, or open and close at once."""
    effect: Mapped[str | None]
    legs: Mapped[Any] = mapped_column(Document, nullable=False)
    quantity: Mapped[int]
    state: Mapped[str] = mapped_column(index=True)
    broker_order_id: Mapped[str | None]
    filled: Mapped[int]
    average: Mapped[Decimal | None]
    adopted: Mapped[bool]
    created_at: Mapped[datetime]
    updated_at: Mapped[datetime]
    __table_args__ = (UniqueConstraint("account", "broker_order_id"),)


class IntentRow(Base):
    """The order before it was sent: its key, its terms and the review that approved it."""

    __tablename__ = "intents"
    client_order_id: Mapped[str] = mapped_column(ForeignKey("orders.client_order_id"), primary_key=True)
    account: Mapped[str] = mapped_column(ForeignKey("accounts.account"))
    strategy: Mapped[str] = mapped_column(ForeignKey("strategies.name"))
    session: Mapped[date] = mapped_column(index=True)
    slot: Mapped[str]
    underlying: Mapped[str]
    action: Mapped[str]
    attempt: Mapped[int]
    run_id: Mapped[str] = mapped_column(ForeignKey("runs.run_id"))
    structure: Mapped[Any] = mapped_column(Document, nullable=False)
    effect: Mapped[str]
    quantity: Mapped[int]
    limit: Mapped[Decimal]
    may_cross: Mapped[bool]
    max_loss: Mapped[Decimal]
    reason: Mapped[str] = mapped_column(Text)
    facts: Mapped[Any] = mapped_column(Document, nullable=False)
    rulings: Mapped[Any] = mapped_column(Document, nullable=False)
    reviewed_at: Mapped[datetime]
    created_at: Mapped[datetime]
    __table_args__ = (
        UniqueConstraint(
            "account",
            "strategy",
            "session",
            "slot",
            "underlying",
            "action",
            "attempt",
            name="uq_intents_key",
        ),
    )


class OrderLegRow(Base):
    """The broker's own id of one leg of an order: its executions may be told under that id."""

    __tablename__ = "order_legs"
    id: Mapped[int] = mapped_column(primary_key=True)
    account: Mapped[str] = mapped_column(ForeignKey("accounts.account"))
    client_order_id: Mapped[str] = mapped_column(ForeignKey("orders.client_order_id"))
    symbol: Mapped[str]
    broker_order_id: Mapped[str]
    __table_args__ = (
        UniqueConstraint("account", "broker_order_id"),
        UniqueConstraint("client_order_id", "symbol"),
    )


class OrderEventRow(Base):
    __tablename__ = "order_events"
    id: Mapped[int] = mapped_column(primary_key=True)
    client_order_id: Mapped[str] = mapped_column(ForeignKey("orders.client_order_id"), index=True)
    at: Mapped[datetime]
    from_state: Mapped[str | None]
    to_state: Mapped[str]
    evidence: Mapped[Any] = mapped_column(Document, nullable=False)
    filled: Mapped[int | None]
    average: Mapped[Decimal | None]
    ignored: Mapped[str | None] = mapped_column(Text)
    """Why the event changed nothing; None when it was applied."""


class FillRow(Base):
    """An execution exactly as the broker told it; which order it belongs to is derived from its ids."""

    __tablename__ = "fills"
    execution_id: Mapped[str] = mapped_column(primary_key=True)
    account: Mapped[str] = mapped_column(ForeignKey("accounts.account"), index=True)
    client_order_id: Mapped[str | None]
    broker_order_id: Mapped[str] = mapped_column(index=True)
    instrument: Mapped[Any] = mapped_column(Document, nullable=False)
    quantity: Mapped[Decimal]
    price: Mapped[Decimal]
    at: Mapped[datetime]
    recorded_at: Mapped[datetime]


class ActivityRow(Base):
    __tablename__ = "activities"
    account: Mapped[str] = mapped_column(ForeignKey("accounts.account"), primary_key=True)
    activity_id: Mapped[str] = mapped_column(primary_key=True)
    kind: Mapped[str]
    raw_kind: Mapped[str]
    at: Mapped[datetime]
    booked_on: Mapped[date]
    instrument: Mapped[Any] = mapped_column(Document, nullable=True)
    quantity: Mapped[Decimal]
    price: Mapped[Decimal | None]
    cash: Mapped[Decimal]
    broker_order_id: Mapped[str | None]
    group: Mapped[str | None] = mapped_column("group_id")
    description: Mapped[str] = mapped_column(Text)
    recorded_at: Mapped[datetime]


class CashEntryRow(Base):
    """One posting per opening balance, fill and activity: a second view of cash that verify compares."""

    __tablename__ = "cash_entries"
    account: Mapped[str] = mapped_column(ForeignKey("accounts.account"), primary_key=True)
    reference: Mapped[str] = mapped_column(primary_key=True)
    at: Mapped[datetime]
    amount: Mapped[Decimal]


class RiskLimitRow(Base):
    __tablename__ = "risk_limits"
    id: Mapped[int] = mapped_column(primary_key=True)
    strategy: Mapped[str | None] = mapped_column(ForeignKey("strategies.name"))
    name: Mapped[str]
    value: Mapped[Decimal]
    effective_from: Mapped[datetime]
    by: Mapped[str] = mapped_column("set_by")


class HaltRow(Base):
    __tablename__ = "halts"
    id: Mapped[int] = mapped_column(primary_key=True)
    scope: Mapped[str] = mapped_column(index=True)
    kind: Mapped[str]
    reason: Mapped[str] = mapped_column(Text)
    by: Mapped[str] = mapped_column("set_by")
    at: Mapped[datetime]
    cleared_by: Mapped[str | None]
    cleared_at: Mapped[datetime | None]
    hard: Mapped[bool] = mapped_column(server_default=true())
    cleared_why: Mapped[str] = mapped_column(Text, server_default="")
    # One active halt of a kind, scope and setter: setting it again is the same halt.
    __table_args__ = (
        Index(
            "uq_halts_active",
            "scope",
            "kind",
            "set_by",
            unique=True,
            sqlite_where=text("cleared_at IS NULL"),
            postgresql_where=text("cleared_at IS NULL"),
        ),
    )


class LeaseRow(Base):
    __tablename__ = "leases"
    account: Mapped[str] = mapped_column(ForeignKey("accounts.account"), primary_key=True)
    holder: Mapped[str]
    token: Mapped[int]
    acquired_at: Mapped[datetime]
    expires_at: Mapped[datetime]


class ProviderRow(Base):
    __tablename__ = "provider_health"
    id: Mapped[int] = mapped_column(primary_key=True)
    source: Mapped[str] = mapped_column(index=True)
    at: Mapped[datetime]
    ok: Mapped[bool]
    latency_ms: Mapped[float | None]
    error: Mapped[str] = mapped_column(Text)


class SourceRequestRow(Base):
    """Requests made to a source in its latest minute."""

    __tablename__ = "source_requests"
    source: Mapped[str] = mapped_column(primary_key=True)
    minute: Mapped[datetime]
    used: Mapped[int]


class AlertRow(Base):
    __tablename__ = "alert_outbox"
    id: Mapped[int] = mapped_column(primary_key=True)
    dedupe_key: Mapped[str] = mapped_column(unique=True)
    severity: Mapped[str]
    title: Mapped[str] = mapped_column(Text)
    body: Mapped[str] = mapped_column(Text)
    created_at: Mapped[datetime]
    attempts: Mapped[int]
    next_attempt_at: Mapped[datetime]
    sent_at: Mapped[datetime | None]
    error: Mapped[str] = mapped_column(Text)


class LookRow(Base):
    """What every automatic halt rule measured at one moment: two looks in a row decide."""

    __tablename__ = "looks"
    id: Mapped[int] = mapped_column(primary_key=True)
    account: Mapped[str] = mapped_column(ForeignKey("accounts.account"))
    at: Mapped[datetime]
    session: Mapped[date] = mapped_column(index=True)
    readings: Mapped[Any] = mapped_column(Document, nullable=False)


class BlobRow(Base):
    """Bytes under their own digest, such as the recorded inputs of a run."""

    __tablename__ = "blobs"
    digest: Mapped[str] = mapped_column(primary_key=True)
    data: Mapped[bytes] = mapped_column(LargeBinary)
    recorded_at: Mapped[datetime]


class RunInputRow(Base):
    """What a run decided on, by name."""

    __tablename__ = "run_inputs"
    run_id: Mapped[str] = mapped_column(ForeignKey("runs.run_id"), primary_key=True)
    name: Mapped[str] = mapped_column(primary_key=True)
    digest: Mapped[str] = mapped_column(ForeignKey("blobs.digest"))
    recorded_at: Mapped[datetime]


class ReconciliationRow(Base):
    __tablename__ = "reconciliations"
    id: Mapped[int] = mapped_column(primary_key=True)
    account: Mapped[str] = mapped_column(ForeignKey("accounts.account"), index=True)
    at: Mapped[datetime]
    clean: Mapped[bool]
    breaks: Mapped[Any] = mapped_column(Document, nullable=False)


class MarkRow(Base):
    __tablename__ = "marks"
    id: Mapped[int] = mapped_column(primary_key=True)
    account: Mapped[str] = mapped_column(ForeignKey("accounts.account"), index=True)
    at: Mapped[datetime]
    session: Mapped[date]
    kind: Mapped[str]
    equity: Mapped[Decimal]
    cash: Mapped[Decimal]


class ArmingRow(Base):
    __tablename__ = "armings"
    id: Mapped[int] = mapped_column(primary_key=True)
    account: Mapped[str] = mapped_column(ForeignKey("accounts.account"), index=True)
    until: Mapped[datetime]
    by: Mapped[str] = mapped_column("set_by")
    at: Mapped[datetime]


class AuditRow(Base):
    __tablename__ = "audit_log"
    seq: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    at: Mapped[datetime]
    kind: Mapped[str]
    payload: Mapped[str] = mapped_column(Text)
    prev_hash: Mapped[str]
    hash: Mapped[str]


class AuditHeadRow(Base):
    """One row: where the chain ends. Locking it makes a transaction the only writer."""

    __tablename__ = "audit_head"
    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    seq: Mapped[int]
    hash: Mapped[str]
