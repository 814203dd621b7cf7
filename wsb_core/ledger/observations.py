"""What was seen: providers' health, implied volatilities, account marks, reconciliations."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from decimal import Decimal
from statistics import median
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from wsb_core.domain.activities import ActivityKind
from wsb_core.domain.calendar import NEW_YORK
from wsb_core.domain.ids import AccountId, Cash

from .books import require_account
from .records import MarkKind, ProviderHealth, Reconciliation
from .store import Tx
from .tables import ActivityRow, MarkRow, ProviderRow, ReconciliationRow, SourceRequestRow

_WINDOW = 50


def record_provider(tx: Tx, source: str, ok: bool, latency_ms: float | None, error: str) -> None:
    tx.session.add(ProviderRow(source=source, at=tx.at, ok=ok, latency_ms=latency_ms, error=error))
    tx.audit("provider", {"source": source, "ok": ok, "latency_ms": latency_ms, "error": error})


def take_request(tx: Tx, source: str, most: int) -> bool:
    minute = tx.at.replace(second=0, microsecond=0)
    row = tx.session.get(SourceRequestRow, source)
    if row is None:
        tx.session.add(row := SourceRequestRow(source=source, minute=minute, used=0))
    elif row.minute < minute:
        row.minute, row.used = minute, 0
    if row.used >= most:
        return False
    row.used += 1
    return True


def provider_health(session: Session, source: str) -> ProviderHealth | None:
    rows = session.scalars(
        select(ProviderRow)
        .where(ProviderRow.source == source)
        .order_by(ProviderRow.at.desc(), ProviderRow.id.desc())
        .limit(_WINDOW)
    ).all()
    if not rows:
        return None
    latest_ok = session.scalar(
        select(ProviderRow.at)
        .where(ProviderRow.source == source, ProviderRow.ok.is_(True))
        .order_by(ProviderRow.at.desc())
        .limit(1)
    )
    first_ok = next((n for n, row in enumerate(rows) if row.ok), len(rows))
    latencies = [row.latency_ms for row in rows if row.ok and row.latency_ms is not None]
    return ProviderHealth(
        source=source,
        calls=len(rows),
        last_at=rows[0].at,
        last_ok_at=latest_ok,
        consecutive_failures=first_ok,
        error_rate=sum(not row.ok for row in rows) / len(rows),
        median_latency_ms=median(latencies) if latencies else None,
        last_error=next((row.error for row in rows if not row.ok), ""),
    )


def record_mark(tx: Tx, account: AccountId, equity: Cash, cash: Cash, kind: MarkKind) -> None:
    require_account(tx.session, account)
    day = tx.at.astimezone(NEW_YORK).date()
    tx.session.add(MarkRow(account=account, at=tx.at, session=day, kind=kind.value, equity=equity, cash=cash))
    tx.audit("mark", {"account": account, "kind": kind, "equity": equity, "cash": cash})


def equity_at_open(session: Session, account: AccountId, day: date) -> Cash | None:
    found = session.scalar(
        select(MarkRow.equity)
        .where(MarkRow.account == account, MarkRow.session == day, MarkRow.kind == MarkKind.OPEN.value)
        .order_by(MarkRow.at, MarkRow.id)
        .limit(1)
    )
    return None if found is None else Cash(found)


def equity_at_close(session: Session, account: AccountId) -> Mapping[date, Cash]:
    rows = session.execute(
        select(MarkRow.session, MarkRow.equity)
        .where(MarkRow.account == account, MarkRow.kind == MarkKind.CLOSE.value)
        .order_by(MarkRow.at, MarkRow.id)
    )
    return {day: Cash(equity) for day, equity in rows}


def peak_equity(session: Session, account: AccountId) -> Cash | None:
    # Compared here, not in SQL: SQLite would compare the text.
    highest: dict[date, Decimal] = {}
    for day, equity in session.execute(
        select(MarkRow.session, MarkRow.equity).where(MarkRow.account == account)
    ):
        highest[day] = max(equity, highest.get(day, equity))
    if not highest:
        return None
    moved = session.execute(
        select(ActivityRow.booked_on, ActivityRow.cash).where(
            ActivityRow.account == account, ActivityRow.kind == ActivityKind.CASH.value
        )
    ).all()
    return Cash(max(equity + _paid_since(day, moved) for day, equity in highest.items()))


def _paid_since(day: date, moved: Iterable[Any]) -> Decimal:
    """Net deposits after ``day``. Those of the day itself count where that makes the peak lower."""
    return sum(
        (cash for booked, cash in moved if booked > day or (booked == day and cash < 0)), start=Decimal(0)
    )


def record_reconciliation(
    tx: Tx, account: AccountId, clean: bool, breaks: Sequence[Mapping[str, str]]
) -> None:
    require_account(tx.session, account)
    unexplained = [one["key"] for one in breaks if one.get("halts", "yes") == "yes"]
    if clean is bool(unexplained):
        told = "clean" if clean else "not clean"
        raise ValueError(f"account {account}: {told}, with {len(unexplained)} breaks that nothing explains")
    listed = [dict(each) for each in breaks]
    tx.session.add(ReconciliationRow(account=account, at=tx.at, clean=clean, breaks=listed))
    tx.audit("reconciliation", {"account": account, "clean": clean, "breaks": listed})


def last_reconciliation(session: Session, account: AccountId, clean: bool | None) -> Reconciliation | None:
    query = select(ReconciliationRow).where(ReconciliationRow.account == account)
    if clean is not None:
        query = query.where(ReconciliationRow.clean.is_(clean))
    row = session.scalar(query.order_by(ReconciliationRow.at.desc(), ReconciliationRow.id.desc()).limit(1))
    return None if row is None else Reconciliation(account, row.at, row.clean, tuple(row.breaks))
