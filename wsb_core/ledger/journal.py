"""Runs, the checks they made, what they decided on and what they decided."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from datetime import date

from sqlalchemy import ColumnElement, bindparam, select
from sqlalchemy.orm import Session

from wsb_core.domain.checks import CheckReport, Finding, Quarantined, Severity
from wsb_core.domain.errors import LedgerError
from wsb_core.domain.ids import AccountId, ClientOrderId, RunId, StrategyName, Underlying

from .records import CheckRecord, Decided, Outcome, Run
from .store import Tx
from .tables import BlobRow, CheckRow, DecisionRow, RunInputRow, RunRow, StrategyRow

RUNNING = "running"
_runs, _strategies = RunRow.__table__, StrategyRow.__table__
_RUN = select(_runs.c.run_id).where(_runs.c.run_id == bindparam("of"))
_STRATEGY = select(_strategies.c.name).where(_strategies.c.name == bindparam("of"))


def start_run(
    tx: Tx,
    run_id: RunId,
    flow: str,
    strategy: StrategyName | None,
    session: date | None,
    slot: str | None,
    account: AccountId,
    config_hash: str,
    code_version: str,
) -> bool:
    if tx.session.get(RunRow, run_id) is not None:
        return False
    if strategy is not None:
        require_strategy(tx, strategy)
    tx.session.add(
        RunRow(
            run_id=run_id,
            flow=flow,
            strategy=strategy,
            session=session,
            slot=slot,
            account=account,
            config_hash=config_hash,
            code_version=code_version,
            started_at=tx.at,
            state=RUNNING,
            reason="",
        )
    )
    tx.audit(
        "run_started",
        {
            "run_id": run_id,
            "flow": flow,
            "strategy": strategy,
            "session": session,
            "slot": slot,
            "account": account,
            "config_hash": config_hash,
            "code_version": code_version,
        },
    )
    return True


def finish_run(tx: Tx, run_id: RunId, state: str, reason: str) -> None:
    row = tx.session.get(RunRow, run_id)
    if row is None:
        raise LedgerError(f"run {run_id}: is not in this ledger: start_run first")
    if (row.state, row.reason) == (state, reason):
        return
    row.state, row.reason, row.finished_at = state, reason, tx.at
    tx.audit("run_finished", {"run_id": run_id, "state": state, "reason": reason})


def runs(session: Session, day: date | None, flow: str | None) -> tuple[Run, ...]:
    query = select(RunRow).order_by(RunRow.started_at, RunRow.run_id)
    if day is not None:
        query = query.where(RunRow.session == day)
    if flow is not None:
        query = query.where(RunRow.flow == flow)
    return tuple(
        Run(
            run_id=RunId(row.run_id),
            flow=row.flow,
            strategy=None if row.strategy is None else StrategyName(row.strategy),
            session=row.session,
            slot=row.slot,
            account=AccountId(row.account),
            config_hash=row.config_hash,
            code_version=row.code_version,
            started_at=row.started_at,
            state=row.state,
            reason=row.reason,
            finished_at=row.finished_at,
        )
        for row in session.scalars(query)
    )


def record_check(tx: Tx, run_id: RunId, report: CheckReport) -> bool:
    require_run(tx.session, run_id)
    same = select(CheckRow.id).filter_by(
        run_id=run_id, suite=report.suite, digest=report.digest, checked_at=report.checked_at
    )
    if tx.session.scalar(same) is not None:
        return False
    findings = [
        {
            "expectation": f.expectation,
            "passed": f.passed,
            "severity": f.severity,
            "observed": f.observed,
            "bad_rows": f.bad_rows,
            "examples": [dict(example) for example in f.examples],
        }
        for f in report.findings
    ]
    quarantined = [[q.ticker, q.expectation, q.detail] for q in report.quarantined]
    tx.session.add(
        CheckRow(
            run_id=run_id,
            suite=report.suite,
            digest=report.digest,
            checked_at=report.checked_at,
            rows=report.rows,
            passed=report.passed,
            findings=findings,
            quarantined=quarantined,
        )
    )
    tx.audit(
        "check",
        {
            "run_id": run_id,
            "suite": report.suite,
            "digest": report.digest,
            "passed": report.passed,
            "failed": [f.expectation for f in report.failures],
            "quarantined": [q.ticker for q in report.quarantined],
        },
    )
    return True


def checks(session: Session, day: date | None) -> tuple[CheckRecord, ...]:
    query = select(CheckRow).order_by(CheckRow.id)
    if day is not None:
        query = query.join(RunRow, RunRow.run_id == CheckRow.run_id).where(RunRow.session == day)
    return tuple(CheckRecord(RunId(row.run_id), _report(row)) for row in session.scalars(query))


def _report(row: CheckRow) -> CheckReport:
    return CheckReport(
        suite=row.suite,
        digest=row.digest,
        checked_at=row.checked_at,
        rows=row.rows,
        findings=tuple(
            Finding(
                expectation=f["expectation"],
                passed=f["passed"],
                severity=Severity(f["severity"]),
                observed=f["observed"],
                bad_rows=f["bad_rows"],
                examples=tuple(f["examples"]),
            )
            for f in row.findings
        ),
        quarantined=tuple(Quarantined(*q) for q in row.quarantined),
    )


def record_decisions(
    tx: Tx, run_id: RunId, day: date, strategy: StrategyName, slot: str, decided: Sequence[Decided]
) -> int:
    require_run(tx.session, run_id)
    known = {_content(each) for each in _decided(tx.session, [DecisionRow.run_id == run_id])}
    new = [each for each in dict.fromkeys(map(_content, decided)) if each not in known]
    fresh = [each for each in decided if _content(each) in new]
    for each in fresh:
        tx.session.add(
            DecisionRow(
                run_id=run_id,
                session=day,
                strategy=strategy,
                slot=slot,
                underlying=each.underlying,
                outcome=each.outcome.value,
                stage=each.stage,
                rule=each.rule,
                value=each.value,
                bound=each.bound,
                detail=each.detail,
                facts=dict(each.facts),
                client_order_id=each.client_order_id,
                at=tx.at,
            )
        )
    if fresh:
        tx.audit(
            "decisions",
            {
                "run_id": run_id,
                "strategy": strategy,
                "decided": [[e.underlying, e.outcome, e.stage, e.rule, e.value, e.bound] for e in fresh],
            },
        )
    return len(fresh)


def _content(each: Decided) -> tuple[object, ...]:
    """What makes a decision the same one when a task is repeated in the same run."""
    return (
        each.underlying,
        each.outcome,
        each.stage,
        each.rule,
        each.value,
        each.bound,
        each.detail,
        each.client_order_id,
    )


def decisions(session: Session, day: date | None, strategy: StrategyName | None) -> tuple[Decided, ...]:
    where = [] if day is None else [DecisionRow.session == day]
    if strategy is not None:
        where.append(DecisionRow.strategy == strategy)
    return _decided(session, where)


def _decided(session: Session, where: Sequence[ColumnElement[bool]]) -> tuple[Decided, ...]:
    rows = session.scalars(select(DecisionRow).where(*where).order_by(DecisionRow.id))
    return tuple(
        Decided(
            underlying=Underlying(row.underlying),
            outcome=Outcome(row.outcome),
            stage=row.stage,
            rule=row.rule,
            value=row.value,
            bound=row.bound,
            detail=row.detail,
            facts=row.facts,
            client_order_id=None if row.client_order_id is None else ClientOrderId(row.client_order_id),
            run_id=RunId(row.run_id),
            session=row.session,
            strategy=StrategyName(row.strategy),
            slot=row.slot,
            at=row.at,
        )
        for row in rows
    )


def require_run(session: Session, run_id: RunId) -> None:
    if session.connection().execute(_RUN, {"of": run_id}).first() is None:
        raise LedgerError(f"run {run_id}: is not in this ledger: start_run first")


def require_strategy(tx: Tx, strategy: StrategyName) -> None:
    """See to it that the strategy has its row; other tables point at it."""
    if tx.session.connection().execute(_STRATEGY, {"of": strategy}).first() is None:
        tx.session.add(StrategyRow(name=strategy, first_seen_at=tx.at))
        tx.session.flush()


def record_inputs(tx: Tx, run_id: RunId, inputs: Mapping[str, bytes]) -> int:
    require_run(tx.session, run_id)
    known = set(tx.session.scalars(select(RunInputRow.name).where(RunInputRow.run_id == run_id)))
    fresh = {name: data for name, data in inputs.items() if name not in known}
    digests = {name: hashlib.sha256(data).hexdigest() for name, data in fresh.items()}
    for name, data in fresh.items():
        if tx.session.get(BlobRow, digests[name]) is None:
            tx.session.add(BlobRow(digest=digests[name], data=data, recorded_at=tx.at))
            tx.session.flush()
        tx.session.add(RunInputRow(run_id=run_id, name=name, digest=digests[name], recorded_at=tx.at))
    if fresh:
        tx.audit("run_inputs", {"run_id": run_id, "inputs": digests})
    return len(fresh)


def inputs(session: Session, run_id: RunId) -> Mapping[str, bytes]:
    require_run(session, run_id)
    rows = session.execute(
        select(RunInputRow.name, BlobRow.digest, BlobRow.data)
        .join(BlobRow, BlobRow.digest == RunInputRow.digest)
        .where(RunInputRow.run_id == run_id)
        .order_by(RunInputRow.name)
    ).all()
    for name, digest, data in rows:
        if hashlib.sha256(data).hexdigest() != digest:
            raise LedgerError(
                f"run {run_id}: its {name} was changed since it was recorded: verify the ledger"
            )
    return {name: data for name, _, data in rows}
