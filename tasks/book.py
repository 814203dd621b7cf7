"""Ledger and broker, brought together and compared."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from typing import Any

from prefect import task
from prefect.artifacts import create_table_artifact

from tasks.desk import Desk
from tasks.notify import notify
from tasks.retry import ONCE, READ
from tasks.wiring import Wiring, wiring
from wsb_core.domain.contracts import Instrument
from wsb_core.domain.errors import ReconciliationBreak
from wsb_core.domain.positions import AccountState, Book, Position
from wsb_core.execution.submit import Sender, resolve
from wsb_core.reconcile.compare import Verdict, compare, persistent
from wsb_core.reconcile.sync import FIRST_LOOK, Synced, sync, views

SECOND_READ_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class Reconciled:
    """One reconciliation: what was new, what differed."""

    synced: Synced
    verdict: Verdict
    account: AccountState

    @property
    def summary(self) -> str:
        new = f"{self.synced.fills} new fills, {self.synced.activities} new bookings"
        if not self.verdict.breaks:
            return f"ledger and broker agree; {new}"
        explained = len(self.verdict.breaks) - len(self.verdict.unexplained)
        return f"{explained} explained and {len(self.verdict.unexplained)} unexplained differences; {new}"


@task(**READ)
def reconcile_account(desk: Desk) -> Reconciled:
    """Take over the broker's news, compare both sides, and record the verdict.

    Reads only at the broker, so it may be repeated. A difference counts when two reads in a row
    see it.
    """
    w = wiring()
    synced = _sync(w, desk)
    verdict = _verdict(w, desk)
    if verdict.breaks:
        w.clock.sleep(SECOND_READ_SECONDS)
        synced = _sync(w, desk)
        verdict = persistent(verdict, _verdict(w, desk))
    account = w.broker.account()
    now = w.clock.now()
    w.ledger.record_mark(desk.account, account.equity, account.cash, now, _mark_kind(desk, now))
    breaks = [
        {f: str(getattr(b, f)) for f in ("kind", "key", "ours", "theirs", "explained_by")}
        for b in verdict.breaks
    ]
    w.ledger.record_reconciliation(desk.account, now, verdict.clean, breaks)
    return Reconciled(synced, verdict, account)


@task(**ONCE)
def act_on_breaks(desk: Desk, found: Reconciled) -> None:
    """Halt entries and raise the alarm when something stays unexplained; never trade it away.

    Raises: ReconciliationBreak naming every unexplained difference.
    """
    rows = [
        {
            "what": str(b.kind),
            "key": b.key,
            "ledger": b.ours,
            "broker": b.theirs,
            "explained by": b.explained_by or "NOTHING",
        }
        for b in found.verdict.breaks
    ]
    nothing = [{"what": "no difference", "key": "-", "ledger": "-", "broker": "-", "explained by": "-"}]
    create_table_artifact(
        rows or nothing, key="reconciliation", description=f"{desk.account} at {desk.as_of}"
    )
    if found.verdict.clean:
        return
    w = wiring()
    text = "; ".join(
        f"{b.kind} {b.key}: ledger {b.ours}, broker {b.theirs}" for b in found.verdict.unexplained
    )
    w.ledger.set_halt("*", "reduce_only", f"unexplained reconciliation: {text}", "reconcile", w.clock.now())
    raise ReconciliationBreak(f"{desk.account}: {text}")


@task(**READ)
def load_book(desk: Desk) -> Book:
    """What the account holds, with ledger and broker in agreement.

    Raises: ReconciliationBreak when two reads in a row disagree on anything unexplained.
    """
    w = wiring()
    _sync(w, desk)
    verdict = _verdict(w, desk)
    if not verdict.clean:
        w.clock.sleep(SECOND_READ_SECONDS)
        _sync(w, desk)
        verdict = persistent(verdict, _verdict(w, desk))
    if not verdict.clean:
        text = "; ".join(f"{b.kind} {b.key}: ledger {b.ours}, broker {b.theirs}" for b in verdict.unexplained)
        raise ReconciliationBreak(f"{desk.account}: {text}")
    return read_book(w, desk)


@task(**READ)
def load_book_for_exits(desk: Desk) -> Book:
    """What may be closed: positions whose every leg the broker holds, whatever else may differ.

    A difference stops entries, never an exit; but nothing is closed that is not there.
    """
    w = wiring()
    _sync(w, desk)
    there = {holding.instrument: holding.quantity for holding in w.broker.holdings()}
    book = read_book(w, desk)
    covered = tuple(p for p in book.positions if _covered(p, there))
    for position in book.positions:
        if position in covered:
            continue
        notify(
            key=f"uncovered:{desk.session.day}:{position.structure.symbol}",
            severity="critical",
            title=f"{position.underlying}: the broker does not hold what the ledger holds",
            what=f"{position.quantity} x {position.structure.symbol} is not at the broker in full.",
            did="Left it alone: nothing is closed that is not there.",
            do="Run the reconciler and read its table.",
        )
    return replace(book, positions=covered)


def _covered(position: Position, there: Mapping[Instrument, Decimal]) -> bool:
    for leg in position.structure.legs:
        held, wanted = there.get(leg.instrument, Decimal(0)), leg.ratio * position.quantity
        if held * wanted <= 0 or abs(held) < abs(wanted):
            return False
    return True


def read_book(w: Wiring, desk: Desk) -> Book:
    """The book as ledger and broker have it now."""
    return Book(
        account=w.broker.account(),
        positions=w.ledger.positions(desk.account),
        open_orders=w.ledger.open_orders(desk.account),
        equity_at_open=w.ledger.equity_at_open(desk.account, desk.session.day),
        peak_equity=w.ledger.peak_equity(desk.account),
        as_of=w.clock.now(),
    )


def sender(w: Wiring, desk: Desk) -> Sender:
    """Everything it takes to send an order from this desk."""
    return Sender(desk.run_id, w.broker, w.ledger, desk.lease, w.clock)


def _sync(w: Wiring, desk: Desk) -> Synced:
    last = w.ledger.last_reconciliation(desk.account)
    to = sender(w, desk)

    def settle(intent: Any) -> Any:
        return resolve(intent, to, resend=False)

    since = last.at if last is not None else FIRST_LOOK
    synced = sync(w.broker, w.ledger, account=desk.account, since=since, at=w.clock.now(), settle=settle)
    opened = w.ledger.opened_at(desk.account) or FIRST_LOOK
    strangers = [o for o in synced.adopted if o.state.may_work or o.updated_at >= opened]
    for order in strangers:
        # Once filled it agrees with the books again: only the halt makes a person look first.
        why = f"order {order.client_order_id} at the broker was not sent by us"
        w.ledger.set_halt("*", "reduce_only", why, "reconcile", w.clock.now())
        notify(
            key=f"adopted:{order.broker_order_id}",
            severity="critical",
            title="Order at the broker that we did not send",
            what=f"{order.client_order_id} ({order.raw_status}) was found in {desk.account}.",
            did="Took it into the ledger, flagged, and halted entries; exits go on.",
            do="Find out who sent it, then clear the halt.",
        )
    return synced


def _verdict(w: Wiring, desk: Desk) -> Verdict:
    ours, theirs = views(w.broker, w.ledger, desk.account)
    now = w.clock.now()
    return compare(ours, theirs, today=desk.session.day, after_close=now >= desk.session.closes)


def _mark_kind(desk: Desk, now: datetime) -> str:
    if now < desk.session.opens:
        return "open"
    return "close" if now >= desk.session.closes else "intraday"
