"""Acts on trouble with orders as the table in ``wsb_core/execution/recovery.py`` says: row, halt, alert."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from datetime import datetime

from tasks.desk import Desk
from tasks.notify import notify, run_link
from tasks.wiring import Wiring, wiring
from wsb_core.brokers import rules_of
from wsb_core.domain.errors import Transient, WsbError
from wsb_core.domain.halts import EVERYTHING, HaltKind
from wsb_core.domain.ids import StrategyName
from wsb_core.domain.orders import Order
from wsb_core.execution.recovery import HOLD_FOR, RECOVERY, Remedy, Trouble
from wsb_core.execution.submit import Sender
from wsb_core.ledger import Halt

BY = "recovery"
log = logging.getLogger("wsb.recovery")


def act(
    desk: Desk, trouble: Trouble, *, strategy: StrategyName | None, what: str, order: Order | None = None
) -> None:
    """Write the row, set the halt and queue the alert that the table has for ``trouble``. Never raises.

    A halt of a strategy that is not known is one of everything.
    """
    w, row = wiring(), RECOVERY[trouble]
    about = order.client_order_id if order is not None else strategy or desk.account
    now, key = _now(w, desk), f"{BY}:{trouble}:{about}:{desk.run_id}"
    did = row.remedy.value
    try:
        w.ledger.audit(
            BY,
            {
                "trouble": trouble,
                "remedy": row.remedy.name,
                "run_id": desk.run_id,
                "account": desk.account,
                "strategy": strategy,
                "client_order_id": None if order is None else order.client_order_id,
                "what": what,
            },
            now,
        )
        if row.remedy.halt is not None:
            own = row.remedy is Remedy.HALT_STRATEGY and strategy is not None
            scope = str(strategy) if own else EVERYTHING
            halt = w.ledger.set_halt(scope, row.remedy.halt, f"{trouble}: {what}"[:500], BY, now)
            if row.remedy is Remedy.HOLD:
                # One outage is one message, however many orders meet it.
                key = f"{BY}:{trouble}:{halt.at.isoformat()}"
    except WsbError as error:
        log.exception("%s on %s could not be recorded", trouble, about)
        did = f"could not write it to the ledger ({type(error).__name__}); meant to: {did}"
    notify(
        key=key,
        severity=row.severity,
        title=f"{trouble.replace('_', ' ')}: {strategy or desk.account}",
        what=f"{about}: {what} ({row.sign})",
        did=did,
        do=row.do,
        link=run_link(desk.run_id),
    )


@dataclass
class Reporter:
    """Execution's ``Report`` for one run: acts once on each trouble with each order."""

    desk: Desk
    told: set[tuple[str, str]] = field(default_factory=set)

    def __call__(self, trouble: Trouble, order: Order, what: str) -> None:
        if (trouble, order.client_order_id) in self.told:
            return
        self.told.add((trouble, order.client_order_id))
        act(self.desk, trouble, strategy=order.key.strategy, what=what, order=order)


def sender(w: Wiring, desk: Desk) -> Sender:
    """Everything it takes to send an order from this desk, and to tell of trouble on the way."""
    return Sender(desk.run_id, w.broker, w.ledger, desk.lease, w.clock, rules_of(), Reporter(desk))


def holds(w: Wiring) -> tuple[Halt, ...]:
    """Holds in force: while there is one nothing is sent."""
    return tuple(halt for halt in w.ledger.halts(EVERYTHING) if halt.kind is HaltKind.HOLD)


def resume_sending(desk: Desk, now: datetime) -> bool:
    """Lift the hold that recovery set, once it is old enough and a clean reconciliation came after it.

    Returns whether anything was lifted. A hold that a person set is left to that person.
    """
    w = wiring()
    own = [hold for hold in holds(w) if hold.by == BY]
    last = w.ledger.last_reconciliation(desk.account)
    if not own or last is None or not last.clean:
        return False
    if any(now - hold.at < HOLD_FOR or last.at < hold.at for hold in own):
        return False
    w.ledger.audit(BY, {"remedy": "RESUME", "run_id": desk.run_id, "account": desk.account}, now)
    w.ledger.clear_halt(EVERYTHING, BY, now, kind=HaltKind.HOLD, set_by=BY)
    notify(
        key=f"{BY}:resumed:{own[0].at.isoformat()}",
        severity="info",
        title="The broker answers again: orders go out",
        what=f"Nothing was sent since {own[0].at:%H:%M:%S} UTC ({own[0].reason}).",
        did="Lifted the hold after a clean reconciliation.",
        link=run_link(desk.run_id),
    )
    return True


def _now(w: Wiring, desk: Desk) -> datetime:
    try:
        return w.clock.now()
    except Transient:
        # The practice exchange keeps the time there: when it does not answer, the run's own start counts.
        return desk.as_of
