"""What may be done, and by whom: leases, halts, looks, limits, arming."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any

from sqlalchemy import bindparam, or_, select
from sqlalchemy.orm import Session

from wsb_core.domain.calendar import NEW_YORK
from wsb_core.domain.errors import Halted, LeaseLost, NotArmed
from wsb_core.domain.halts import EVERYTHING, HaltKind
from wsb_core.domain.ids import AccountId, StrategyName
from wsb_core.domain.orders import Effect
from wsb_core.domain.quotes import require_aware

from .books import require_account
from .journal import require_strategy
from .records import Halt, HardHalt, Lease, StoredLook
from .store import Tx
from .tables import ArmingRow, HaltRow, LeaseRow, LookRow, RiskLimitRow

LIVE = "live"
# Asked on the way of every order: as plain statements they take a third of the time.
_leases, _halts = LeaseRow.__table__, HaltRow.__table__
_LEASE = select(_leases).where(_leases.c.account == bindparam("of"))
_HALTS = select(_halts).where(_halts.c.cleared_at.is_(None)).order_by(_halts.c.at, _halts.c.id)
_COVERING = _HALTS.where(_halts.c.scope.in_([bindparam("of"), EVERYTHING]))


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


def renew_lease(tx: Tx, lease: Lease, ttl: timedelta) -> Lease:
    row = tx.session.get(LeaseRow, lease.account)
    if row is None or (row.holder, row.token) != (lease.holder, lease.token):
        raise _taken(lease, row)
    # Run out and taken by nobody is still ours: a newer holder would have a newer token.
    row.expires_at = max(row.expires_at, tx.at + ttl)
    renewed = replace(lease, expires_at=row.expires_at)
    tx.audit("lease", {"account": lease.account, "token": lease.token, "until": row.expires_at})
    return renewed


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
    row = tx.session.connection().execute(_LEASE, {"of": account}).first()
    if row is None or (row.holder, row.token) != (lease.holder, lease.token):
        raise _taken(lease, row)
    if row.expires_at <= tx.at:
        raise LeaseLost(
            f"account {account}: the lease of {lease.holder!r} expired at {row.expires_at}: renew"
        )


def _taken(lease: Lease, row: Any) -> LeaseLost:
    now = "nobody" if row is None or not row.holder else f"{row.holder!r} (token {row.token})"
    return LeaseLost(
        f"account {lease.account}: {now} holds the trader lease, not {lease.holder!r} (token {lease.token})"
    )


def set_halt(tx: Tx, scope: str, kind: HaltKind, reason: str, by: str, hard: bool | None) -> Halt:
    if not scope:
        raise ValueError(f"a halt's scope is a strategy or {EVERYTHING!r}, not empty")
    heavy = kind.hard if hard is None else hard
    active = next(iter(_active(tx.session, scope, kind, by)), None)
    if active is not None:
        if heavy and not active.hard:
            active.hard = True
            tx.audit("halt_hardened", {"scope": scope, "kind": kind, "reason": reason, "by": by})
        return _halt(active)
    row = HaltRow(scope=scope, kind=kind.value, reason=reason, by=by, at=tx.at, hard=heavy, cleared_why="")
    tx.session.add(row)
    tx.session.flush()
    tx.audit("halt", {"scope": scope, "kind": kind, "reason": reason, "by": by, "hard": heavy})
    return _halt(row)


def clear_halt(tx: Tx, scope: str, by: str, kind: HaltKind | None, set_by: str | None, why: str) -> int:
    rows = _active(tx.session, scope, kind, set_by)
    hard = [row for row in rows if row.hard]
    if hard and not why.strip():
        listed = "; ".join(f"{row.kind} by {row.by} ({row.reason})" for row in hard)
        raise HardHalt(
            f"{scope}: {listed}: look at the positions and the books, then say why it may be lifted"
        )
    for row in rows:
        row.cleared_by, row.cleared_at, row.cleared_why = by, tx.at, why
        tx.audit(
            "halt_cleared",
            {"scope": scope, "kind": row.kind, "set_by": row.by, "hard": row.hard, "by": by, "why": why},
        )
    return len(rows)


def _active(session: Session, scope: str, kind: HaltKind | None, by: str | None) -> Sequence[HaltRow]:
    query = select(HaltRow).where(HaltRow.scope == scope, HaltRow.cleared_at.is_(None))
    if kind is not None:
        query = query.where(HaltRow.kind == kind.value)
    if by is not None:
        query = query.where(HaltRow.by == by)
    return session.scalars(query.order_by(HaltRow.at, HaltRow.id)).all()


def halts(session: Session, scope: str | None) -> tuple[Halt, ...]:
    connection = session.connection()
    found = connection.execute(_HALTS) if scope is None else connection.execute(_COVERING, {"of": scope})
    return tuple(
        Halt(row.id, row.scope, HaltKind(row.kind), row.reason, row.set_by, row.at, row.hard) for row in found
    )


def require_no_halt(session: Session, strategy: StrategyName, effect: Effect) -> None:
    """Halted when a halt covers the strategy: any kind stops an entry, and only a hold stops an exit."""
    for halt in halts(session, strategy):
        if effect is Effect.OPEN or halt.kind is HaltKind.HOLD:
            what = "entries are" if effect is Effect.OPEN else "every order is"
            raise Halted(
                f"{strategy}: {what} stopped by {halt.kind} on {halt.scope!r} since {halt.at} "
                f"({halt.reason}, by {halt.by}): clear the halt first"
            )


def _halt(row: HaltRow) -> Halt:
    return Halt(row.id, row.scope, HaltKind(row.kind), row.reason, row.by, row.at, row.hard)


def record_look(tx: Tx, account: AccountId, readings: Sequence[Mapping[str, str]]) -> None:
    require_account(tx.session, account)
    day, listed = tx.at.astimezone(NEW_YORK).date(), [dict(each) for each in readings]
    tx.session.add(LookRow(account=account, at=tx.at, session=day, readings=listed))
    tx.audit("look", {"account": account, "readings": listed})


def looks(session: Session, account: AccountId, day: date) -> tuple[StoredLook, ...]:
    rows = session.scalars(
        select(LookRow)
        .where(LookRow.account == account, LookRow.session == day)
        .order_by(LookRow.at, LookRow.id)
    )
    return tuple(StoredLook(row.at, tuple(row.readings)) for row in rows)


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


def require_armed(tx: Tx, account: AccountId) -> None:
    """NotArmed unless the account is no live one, or its last arming has not run out."""
    if require_account(tx.session, account).mode != LIVE:
        return
    until = armed_until(tx.session, account)
    if until is None or until <= tx.at:
        raise NotArmed(f"live trading of {account} is not armed (last arming: {until}): wsb arm")


def armed_until(session: Session, account: AccountId) -> datetime | None:
    return session.scalar(
        select(ArmingRow.until)
        .where(ArmingRow.account == account)
        .order_by(ArmingRow.at.desc(), ArmingRow.id.desc())
        .limit(1)
    )
