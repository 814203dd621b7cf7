"""Ledger and broker, brought together and compared."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from typing import Any

from prefect import task
from prefect.artifacts import create_table_artifact

from tasks.desk import Desk
from tasks.notify import notify
from tasks.recovery import resume_sending, sender
from tasks.retry import ONCE, READ
from tasks.wiring import Wiring, wiring
from wsb_core.domain.contracts import Instrument
from wsb_core.domain.errors import ReconciliationBreak
from wsb_core.domain.halts import EVERYTHING, HaltKind
from wsb_core.domain.ids import StrategyName, Underlying
from wsb_core.domain.orders import BrokerOrder
from wsb_core.domain.positions import AccountState, Book, Position
from wsb_core.execution.submit import resolve
from wsb_core.market.actions import recent_actions
from wsb_core.reconcile.compare import Break, Verdict, View, attributed, compare, persistent
from wsb_core.reconcile.explain import Told
from wsb_core.reconcile.strangers import liquidated
from wsb_core.reconcile.sync import FIRST_LOOK, Synced, sync, views

SECOND_READ_SECONDS = 5.0
BY = "reconcile"


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
    synced, verdict = _looked_twice(w, desk, lambda found: bool(found.breaks))
    account = w.broker.account()
    now = w.clock.now()
    w.ledger.record_mark(desk.account, account.equity, account.cash, now, _mark_kind(desk, now))
    w.ledger.record_reconciliation(desk.account, now, verdict.clean, [b.row() for b in verdict.breaks])
    return Reconciled(synced, verdict, account)


@task(**ONCE)
def act_on_breaks(desk: Desk, found: Reconciled) -> None:
    """Halt entries and raise the alarm when something stays unexplained; never trade it away.

    Entries stop for the one strategy that a difference concerns, and for all where that cannot be told.
    Raises: ReconciliationBreak with a line for every unexplained difference.
    """
    rows = [b.row() for b in found.verdict.breaks]
    nothing = [{"kind": "no difference", "key": "-", "ours": "-", "theirs": "-", "explained_by": "-"}]
    create_table_artifact(
        rows or nothing, key="reconciliation", description=f"{desk.account} at {desk.as_of}"
    )
    _tell_of_rows(desk, found.synced)
    w = wiring()
    if found.verdict.clean:
        resume_sending(desk, w.clock.now())
        return
    for scope in sorted({b.scope for b in found.verdict.unexplained}):
        text = _in_words([b for b in found.verdict.unexplained if b.scope == scope])
        w.ledger.set_halt(
            scope, HaltKind.REDUCE_ONLY, f"unexplained reconciliation: {text}", BY, w.clock.now()
        )
    raise ReconciliationBreak(f"{desk.account}: {_in_words(found.verdict.unexplained)}")


@task(**READ)
def load_book(desk: Desk, strategy: StrategyName | None = None) -> Book:
    """What the account holds, with ledger and broker in agreement on what concerns ``strategy``.

    Raises: ReconciliationBreak when two reads in a row disagree on anything unexplained.
    """
    w = wiring()
    _, verdict = _looked_twice(w, desk, lambda found: not found.clean)
    against = [b for b in verdict.unexplained if strategy is None or b.scope in (EVERYTHING, strategy)]
    if against:
        raise ReconciliationBreak(f"{desk.account}: {_in_words(against)}")
    return read_book(w, desk)


def _in_words(breaks: Sequence[Break]) -> str:
    """A line for each: ours, theirs, the difference, whom it concerns and what was looked at."""
    return "\n".join(
        f"{b.kind} {b.key}: ledger {b.ours}, broker {b.theirs}"
        + (f", difference {b.difference}" if b.difference else "")
        + (f", of {b.scope}" if b.scope != EVERYTHING else "")
        + (f"; looked at {b.looked_at}" if b.looked_at else "")
        for b in breaks
    )


def _tell_of_rows(desk: Desk, synced: Synced) -> None:
    for row in synced.assigned:
        name = "" if row.instrument is None else row.instrument.symbol.strip()
        notify(
            key=f"assigned:{desk.account}:{row.activity_id}",
            severity="critical",
            title=f"Assigned before expiry: {abs(row.quantity):f} of {name}",
            what=f"The broker booked it on {row.booked_on}, with the shares at the strike.",
            did="Booked both; what is left of the structure is shown as what it still is.",
            do="Look at the legs that are left: nothing here closes or exercises them by itself.",
        )
    for row in synced.strange:
        what = "" if row.instrument is None else f" of {row.quantity} {row.instrument.symbol.strip()}"
        notify(
            key=f"booked:{desk.account}:{row.activity_id}",
            severity="warning",
            title=f"The broker booked a row of a kind that is not known here: {row.raw_kind}",
            what=f"{row.raw_kind}{what}, {row.cash} dollars, on {row.booked_on}: {row.description}",
            did="Took it into the books as it is.",
            do="Look at what it did to the positions and their strategies.",
        )


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


def _looked_twice(w: Wiring, desk: Desk, again: Callable[[Verdict], bool]) -> tuple[Synced, Verdict]:
    """The broker's news and the verdict; a second look a moment later where ``again`` asks for one."""
    synced = _sync(w, desk)
    verdict = _verdict(w, desk)
    if again(verdict):
        w.clock.sleep(SECOND_READ_SECONDS)
        second = _sync(w, desk)
        synced = replace(
            second, fills=synced.fills + second.fills, adopted=(*synced.adopted, *second.adopted)
        )
        verdict = persistent(verdict, _verdict(w, desk))
    return synced, verdict


def _sync(w: Wiring, desk: Desk) -> Synced:
    last = w.ledger.last_reconciliation(desk.account)
    to = sender(w, desk)

    def settle(intent: Any) -> Any:
        return resolve(intent, to, resend=False)

    since = last.at if last is not None else FIRST_LOOK
    return sync(
        w.broker,
        w.ledger,
        account=desk.account,
        since=since,
        at=w.clock.now(),
        settle=settle,
        stranger=lambda order: _met(w, desk, order),
    )


def _met(w: Wiring, desk: Desk, order: BrokerOrder) -> None:
    """Halt and tell of an order that nobody here sent; once filled only the halt makes a person look.

    What was there before the account came to this ledger is its history and no news.
    """
    opened = w.ledger.opened_at(desk.account) or FIRST_LOOK
    if not order.state.may_work and order.updated_at < opened:
        return
    owners = liquidated(order, w.ledger.positions(desk.account), desk.session)
    why = f"order {order.client_order_id} at the broker was not sent by us"
    if owners:
        why = f"order {order.client_order_id} of the broker closed what expires today"
    for scope in owners or (EVERYTHING,):
        w.ledger.set_halt(scope, HaltKind.REDUCE_ONLY, why, BY, w.clock.now())
    legs = ", ".join(f"{leg.action} {leg.ratio} {leg.instrument.symbol.strip()}" for leg in order.legs)
    who = ", ".join(owners) if owners else "every strategy"
    notify(
        key=f"adopted:{order.broker_order_id}",
        severity="critical",
        title="The broker closed an expiring position"
        if owners
        else "Order at the broker that we did not send",
        what=f"{order.client_order_id} ({order.raw_status}; {legs}) was found in {desk.account}.",
        did=f"Took it into the ledger, flagged, and halted entries of {who}; exits go on.",
        do="Look at what is left of the position."
        if owners
        else "Find out who sent it, then clear the halt.",
    )


def _verdict(w: Wiring, desk: Desk) -> Verdict:
    """Both views compared; only where they differ is anything more asked for that may explain it."""
    ours, theirs = views(w.broker, w.ledger, desk.account)
    after_close = w.clock.now() >= desk.session.closes
    found = compare(ours, theirs, today=desk.session.day, after_close=after_close)
    if not found.breaks:
        return found
    actions = recent_actions(w.history, _names(ours, theirs), desk.session.day, desk.as_of)
    explained = compare(
        ours,
        theirs,
        today=desk.session.day,
        after_close=after_close,
        actions=actions,
        unbooked=[Told(each.order, each.moves, each.cash) for each in w.ledger.unbooked(desk.account)],
        traded=w.ledger.fills(desk.account) if actions else (),
    )
    if explained.clean:
        return explained
    return attributed(explained, w.ledger.positions(desk.account), w.ledger.open_orders(desk.account))


def _names(*sides: View) -> set[Underlying]:
    return {holding.instrument.underlying for side in sides for holding in side.holdings}


def _mark_kind(desk: Desk, now: datetime) -> str:
    if now < desk.session.opens:
        return "open"
    return "close" if now >= desk.session.closes else "intraday"
