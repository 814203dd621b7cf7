"""What may be done, and by whom: leases, halts, limits, arming."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from decimal import Decimal

from sqlalchemy import or_, select
from sqlalchemy.orm import Session

from wsb_core.domain.errors import Halted, LeaseLost
from wsb_core.domain.ids import AccountId, StrategyName
from wsb_core.domain.quotes import require_aware

from .books import require_account
from .journal import require_strategy
from .records import EVERYTHING, Halt, HaltKind, Lease
from .store import Tx
from .tables import ArmingRow, HaltRow, LeaseRow, RiskLimitRow


def acquire_lease(tx: Tx, account: AccountId, holder: str, ttl: timedelta) -> Lease:
    require_account(tx.session, account)
    if ttl <= timedelta(0):
        raise ValueError(f"ttl must be positive, not {ttl}")
    row = tx.session.get(LeaseRow, account)
    if row is None:
        row = LeaseRow(account=account, holder=holder, token=1, acquired_at=tx.at, expires_at=tx.at + ttl)
        tx.session.add(row)
    elif row.holder == holder:
        row.expires_at = max(row.expires_at, tx.at + ttl)
    elif row.expires_at > tx.at:
        raise LeaseLost(
            f"account {account}: {row.holder!r} holds the lease until {row.expires_at}: wait or stop it"
        )
    else:
        row.holder, row.token = holder, row.token + 1
        row.acquired_at, row.expires_at = tx.at, tx.at + ttl
    lease = Lease(account, holder, row.token, row.acquired_at, row.expires_at)
    tx.audit("lease", {"account": account, "holder": holder, "token": lease.token, "until": lease.expires_at})
    return lease


def release_lease(tx: Tx, lease: Lease) -> bool:
    row = tx.session.get(LeaseRow, lease.account)
    if row is None or (row.holder, row.token) != (lease.holder, lease.token) or row.expires_at <= tx.at:
        return False
    row.expires_at = tx.at
    # A holder of the same name is another process: it must not go on under the released token.
    row.holder = ""
    tx.audit("lease_released", {"account": lease.account, "holder": lease.holder, "token": lease.token})
    return True


def require_lease(tx: Tx, account: AccountId, lease: Lease) -> None:
    """LeaseLost unless ``lease`` is the account's, under the newest token, and not expired now."""
    if lease.account != account:
        raise LeaseLost(f"account {account}: the lease is for {lease.account}: acquire one for this account")
    row = tx.session.get(LeaseRow, account)
    if row is None or (row.holder, row.token) != (lease.holder, lease.token):
        now = "nobody" if row is None or not row.holder else f"{row.holder!r} (token {row.token})"
        raise LeaseLost(
            f"account {account}: {now} holds the trader lease, not {lease.holder!r} (token {lease.token})"
        )
    if row.expires_at <= tx.at:
        raise LeaseLost(
            f"account {account}: the lease of {lease.holder!r} expired at {row.expires_at}: renew"
        )


def set_halt(tx: Tx, scope: str, kind: HaltKind, reason: str, by: str) -> Halt:
    active = tx.session.scalar(
        select(HaltRow).where(
            HaltRow.scope == scope, HaltRow.kind == kind.value, HaltRow.cleared_at.is_(None)
        )
    )
    if active is not None:
        return _halt(active)
    if not scope:
        raise ValueError(f"a halt's scope is a strategy or {EVERYTHING!r}, not empty")
    row = HaltRow(scope=scope, kind=kind.value, reason=reason, by=by, at=tx.at)
    tx.session.add(row)
    tx.session.flush()
    tx.audit("halt", {"scope": scope, "kind": kind, "reason": reason, "by": by})
    return _halt(row)


def clear_halt(tx: Tx, scope: str, by: str) -> int:
    rows = tx.session.scalars(
        select(HaltRow).where(HaltRow.scope == scope, HaltRow.cleared_at.is_(None))
    ).all()
    for row in rows:
        row.cleared_by, row.cleared_at = by, tx.at
        tx.audit("halt_cleared", {"scope": scope, "kind": row.kind, "by": by})
    return len(rows)


def halts(session: Session, scope: str | None) -> tuple[Halt, ...]:
    query = select(HaltRow).where(HaltRow.cleared_at.is_(None)).order_by(HaltRow.at, HaltRow.id)
    if scope is not None:
        query = query.where(or_(HaltRow.scope == scope, HaltRow.scope == EVERYTHING))
    return tuple(_halt(row) for row in session.scalars(query))


def require_no_halt(session: Session, strategy: StrategyName) -> None:
    """Halted when any halt covers the strategy: all kinds stop entries."""
    for halt in halts(session, strategy):
        raise Halted(
            f"{strategy}: entries are stopped by {halt.kind} on {halt.scope!r} since {halt.at} "
            f"({halt.reason}, by {halt.by}): clear the halt first"
        )


def _halt(row: HaltRow) -> Halt:
    return Halt(row.id, row.scope, HaltKind(row.kind), row.reason, row.by, row.at)


def set_limits(tx: Tx, strategy: StrategyName | None, limits: Mapping[str, Decimal], by: str) -> None:
    if strategy is not None:
        require_strategy(tx, strategy)
    for name, value in limits.items():
        tx.session.add(RiskLimitRow(strategy=strategy, name=name, value=value, effective_from=tx.at, by=by))
    tx.audit("limits", {"strategy": strategy, "limits": dict(limits), "by": by})


def limits_at(session: Session, strategy: StrategyName | None, at: datetime) -> Mapping[str, Decimal]:
    rows = session.scalars(
        select(RiskLimitRow)
        .where(RiskLimitRow.effective_from <= require_aware(at, "at"))
        .where(or_(RiskLimitRow.strategy.is_(None), RiskLimitRow.strategy == strategy))
        .order_by(RiskLimitRow.effective_from, RiskLimitRow.id)
    ).all()
    general = {row.name: row.value for row in rows if row.strategy is None}
    own = {row.name: row.value for row in rows if row.strategy is not None}
    return general | own


def arm(tx: Tx, account: AccountId, until: datetime, by: str) -> None:
    require_account(tx.session, account)
    tx.session.add(ArmingRow(account=account, until=until, by=by, at=tx.at))
    tx.audit("armed", {"account": account, "until": until, "by": by})


def armed_until(session: Session, account: AccountId) -> datetime | None:
    return session.scalar(
        select(ArmingRow.until)
        .where(ArmingRow.account == account)
        .order_by(ArmingRow.at.desc(), ArmingRow.id.desc())
        .limit(1)
    )
