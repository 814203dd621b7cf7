"""Alerts on their way out: each dedupe key once, each message claimed by one process at a time."""

from __future__ import annotations

from datetime import timedelta

from sqlalchemy import select

from wsb_core.domain.errors import LedgerError

from .records import Alert
from .store import Tx
from .tables import AlertRow

CLAIM = timedelta(minutes=1)
"""How long a claimed message is left alone: longer than one attempt to send it may take."""
FIRST_WAIT = timedelta(seconds=30)
LONGEST_WAIT = timedelta(hours=1)


def enqueue_alert(tx: Tx, dedupe_key: str, severity: str, title: str, body: str) -> bool:
    if tx.session.scalar(select(AlertRow.id).where(AlertRow.dedupe_key == dedupe_key)) is not None:
        return False
    tx.session.add(
        AlertRow(
            dedupe_key=dedupe_key,
            severity=severity,
            title=title,
            body=body,
            created_at=tx.at,
            attempts=0,
            next_attempt_at=tx.at,
            error="",
        )
    )
    tx.audit("alert", {"dedupe_key": dedupe_key, "severity": severity, "title": title, "body": body})
    return True


def claim_alerts(tx: Tx, limit: int) -> tuple[Alert, ...]:
    rows = tx.session.scalars(
        select(AlertRow)
        .where(AlertRow.sent_at.is_(None), AlertRow.next_attempt_at <= tx.at)
        .order_by(AlertRow.created_at, AlertRow.id)
        .limit(limit)
    ).all()
    for row in rows:
        row.next_attempt_at = tx.at + CLAIM
    if rows:
        tx.audit("alerts_claimed", {"dedupe_keys": [row.dedupe_key for row in rows]})
    return tuple(
        Alert(row.id, row.dedupe_key, row.severity, row.title, row.body, row.created_at, row.attempts)
        for row in rows
    )


def mark_alert(tx: Tx, alert_id: int, sent: bool, error: str) -> None:
    row = tx.session.get(AlertRow, alert_id)
    if row is None:
        raise LedgerError(f"alert {alert_id}: is not in the outbox")
    if row.sent_at is not None:
        return
    row.attempts += 1
    row.error = error
    if sent:
        row.sent_at = tx.at
    else:
        row.next_attempt_at = tx.at + min(LONGEST_WAIT, FIRST_WAIT * 2 ** min(row.attempts - 1, 10))
    tx.audit("alert_sent" if sent else "alert_failed", {"dedupe_key": row.dedupe_key, "error": error})
