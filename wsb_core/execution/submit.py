"""Intent, submit, confirm: an order reaches the broker once, whatever breaks in between.

The order of the steps is the promise. The intent is committed before a byte is sent; ``SENDING`` is
committed just before the request; an answer that cannot be read leaves the order ``UNKNOWN``; and
only a look-up by client order id moves it on.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from wsb_core.domain.errors import OrderRejected, OutcomeUnknown, Transient
from wsb_core.domain.ids import ClientOrderId
from wsb_core.domain.orders import ApprovedOrder, BrokerOrder, OrderState
from wsb_core.domain.ports import Broker, Clock

from .ports import IntentBook, IntentView, LeaseView

SETTLE_SECONDS = (0.5, 1.0, 2.0, 5.0)
"""Waits between look-ups: an order that was accepted shows within the sum of them."""
FRESH = timedelta(minutes=2)
"""How long after its intent an order that the broker never had may still be sent."""


@dataclass(frozen=True, slots=True)
class Sender:
    """What it takes to send: the account's broker, the ledger, the lease and a clock."""

    run_id: str
    broker: Broker
    ledger: IntentBook
    lease: LeaseView
    clock: Clock


def submit_once(approved: ApprovedOrder, to: Sender) -> IntentView:
    """Record the intent, send it once, and return it in the state that the broker's answer leaves.

    Called again for the same order (a rerun, a retry, a second worker) it sends nothing: it adopts
    what the broker has. An intent that was never sent and is no longer fresh is given up.

    Raises: Halted or LeaseLost before anything is sent.
    """
    intent = to.ledger.record_intent(to.run_id, approved, lease=to.lease, at=to.clock.now())
    if intent.state is OrderState.INTENDED:
        if _fresh(intent, to):
            return _send(intent, to)
        return _give_up(intent, to, {"intent": "it was never sent, and its decision is no longer fresh"})
    if intent.state in (OrderState.SENDING, OrderState.UNKNOWN):
        return resolve(intent, to, resend=True)
    return intent


def resolve(intent: IntentView, to: Sender, *, resend: bool) -> IntentView:
    """Ask the broker what became of an order whose outcome is not known.

    When it answers "never had it" to every look-up over the settling delays, the same id is sent
    again if ``resend`` and the decision is fresh; a decision that is no longer fresh is given up.
    While the broker cannot be asked, the order stays as it is; so does one that the broker had
    acknowledged and now denies, which is for reconciliation to report.
    """
    client_id = intent.order.client_order_id
    found = _look_up(client_id, to)
    if isinstance(found, BrokerOrder):
        return note(found, to.ledger, to.clock.now())
    now, fresh = to.ledger.intent(client_id), _fresh(intent, to)
    in_doubt = now.state in (OrderState.SENDING, OrderState.UNKNOWN)
    if found is _UNREACHABLE or not in_doubt or (fresh and not resend):
        # Another run may be between its commit and its request: absent now is not "never".
        return now
    if fresh:
        return _send(now, to, last=True)
    return _give_up(now, to, {"look_up": "the broker has no order with this client order id"})


def _fresh(intent: IntentView, to: Sender) -> bool:
    return to.clock.now() - intent.created_at <= FRESH


def _give_up(intent: IntentView, to: Sender, evidence: dict[str, str]) -> IntentView:
    client_id = intent.order.client_order_id
    to.ledger.move_order(client_id, OrderState.ABANDONED, at=to.clock.now(), evidence=evidence)
    return to.ledger.intent(client_id)


def confirm(intent: IntentView, to: Sender, seconds: float, poll: float = 5.0) -> IntentView:
    """Watch a working order for up to ``seconds``; return it as the broker last told it."""
    deadline = to.clock.now() + timedelta(seconds=seconds)
    while not intent.state.terminal:
        intent = refresh(intent, to)
        remaining = (deadline - to.clock.now()).total_seconds()
        if intent.state.terminal or remaining <= 0:
            break
        to.clock.sleep(min(poll, remaining))
    return intent


def cancel_and_confirm(intent: IntentView, to: Sender, patience: float = 30.0) -> IntentView:
    """Ask for a cancel and wait for the broker's last word; a fill may win, and then it is a fill.

    Comes back not terminal when the broker has not settled it in time: nothing may be sent in its
    place.
    """
    if intent.state.terminal or intent.broker_order_id is None:
        return intent
    try:
        to.broker.cancel(intent.broker_order_id)
    except OrderRejected:
        # Already filled or cancelled: the look-up below says which.
        return confirm(intent, to, patience, poll=1.0)
    except Transient:
        return refresh(intent, to)
    return confirm(intent, to, patience, poll=1.0)


def refresh(intent: IntentView, to: Sender) -> IntentView:
    """One look-up; the ledger moves when the broker answers, and stays when it does not."""
    try:
        found = to.broker.order_by_client_id(intent.order.client_order_id)
    except Transient:
        return intent
    return intent if found is None else note(found, to.ledger, to.clock.now())


def note(found: BrokerOrder, ledger: IntentBook, at: datetime) -> IntentView:
    """Write the broker's word on one order into the ledger."""
    ledger.move_order(
        found.client_order_id,
        found.state,
        at=at,
        evidence={"status": found.raw_status, "updated_at": found.updated_at.isoformat()},
        broker_order_id=found.broker_order_id,
        filled=found.filled,
        average=found.average,
    )
    return ledger.intent(found.client_order_id)


def _send(intent: IntentView, to: Sender, *, last: bool = False) -> IntentView:
    order = intent.order
    client_id = order.client_order_id
    if not to.ledger.mark_sending(client_id, lease=to.lease, at=to.clock.now()):
        # Another run of the same decision got here first; its request may be on the way.
        return resolve(to.ledger.intent(client_id), to, resend=False)
    try:
        answer = to.broker.submit(order)
    except OrderRejected as refused:
        evidence = {"text": refused.text, "code": str(refused.code), "status": str(refused.status)}
        to.ledger.move_order(client_id, OrderState.REJECTED, at=to.clock.now(), evidence=evidence)
        return to.ledger.intent(client_id)
    except OutcomeUnknown as unknown:
        to.ledger.move_order(
            client_id, OrderState.UNKNOWN, at=to.clock.now(), evidence={"error": str(unknown)}
        )
        return resolve(to.ledger.intent(client_id), to, resend=not last)
    return note(answer, to.ledger, to.clock.now())


class _Unreachable:
    """The broker could not be asked: neither yes nor no."""


_UNREACHABLE = _Unreachable()


def _look_up(client_id: ClientOrderId, to: Sender) -> BrokerOrder | _Unreachable | None:
    """The order; None when the broker said "not found" to every look-up; otherwise unreachable."""
    absent = 0
    for wait in SETTLE_SECONDS:
        to.clock.sleep(wait)
        try:
            found = to.broker.order_by_client_id(client_id)
        except Transient:
            continue
        if found is not None:
            return found
        absent += 1
    return None if absent == len(SETTLE_SECONDS) else _UNREACHABLE
