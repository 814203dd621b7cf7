"""Intent, submit, confirm: an order reaches the broker once, whatever breaks in between.

The order of the steps is the promise. The intent is committed, as ``SENDING``, before a byte is sent; an
answer that cannot be read leaves the order ``UNKNOWN``; and only a look-up by client order id moves it on.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import timedelta
from enum import Enum, auto

from wsb_core.domain.errors import LedgerError, OrderRejected, OutcomeUnknown, ProviderRefused, Transient
from wsb_core.domain.orders import ApprovedOrder, BrokerOrder, OrderState
from wsb_core.domain.ports import Broker, Clock

from .ports import IntentBook, IntentView, LeaseView, Report, log_only
from .recovery import Trouble
from .rules import CAUTIOUS, BrokerRules, refused

SETTLE_SECONDS = (0.5, 1.0, 2.0, 5.0)
"""Waits between look-ups: an order that was accepted shows within the sum of them."""
CANCEL_WAITS = (0.0, 1.0, 3.0)
"""Waits before each request to cancel; repeating one is safe."""
IN_FLIGHT = timedelta(seconds=60)
"""Longer than any one request can take: until then an order that is being sent is left alone."""
FRESH = timedelta(minutes=2)
"""How long after its intent an order that the broker never had may still be sent."""


@dataclass(frozen=True, slots=True)
class Sender:
    """What it takes to send: the account's broker, what it takes, the ledger, the lease and a clock.

    ``report`` is told of every trouble on the way.
    """

    run_id: str
    broker: Broker
    ledger: IntentBook
    lease: LeaseView
    clock: Clock
    rules: BrokerRules = CAUTIOUS
    report: Report = log_only


def submit_once(approved: ApprovedOrder, to: Sender) -> IntentView:
    """Record the intent, send it once, and return it in the state that the broker's answer leaves.

    Called again for the same order (a rerun, a retry, a second worker) it adopts what the broker has.
    Only an order that the broker never had is sent again, while its decision is fresh; else it is given up.

    Raises: Halted or LeaseLost before anything is sent.
    """
    intent = to.ledger.record_intent(to.run_id, approved, lease=to.lease, at=to.clock.now())
    if intent.created:
        return _send(intent, to)
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
    found = _look_up(intent, to)
    if isinstance(found, BrokerOrder):
        return note(found, intent, to)
    now, fresh = to.ledger.intent(client_id), _fresh(intent, to)
    if found is _Word.SILENCE:
        to.report(Trouble.BROKER_UNREACHABLE, now.order, "no look-up of an order in doubt was answered")
    if found is not _Word.NEVER_HAD:
        return now
    in_doubt = now.state in (OrderState.SENDING, OrderState.UNKNOWN) and now.broker_order_id is None
    if not in_doubt or _in_flight(now, to) or (fresh and not resend):
        # Another run may be between its commit and its request: absent now is not "never".
        return now
    if not fresh:
        evidence = {"look_up": "the broker has no order with this client order id"}
        to.ledger.move_order(client_id, OrderState.ABANDONED, at=to.clock.now(), evidence=evidence)
        return to.ledger.intent(client_id)
    if to.ledger.mark_sending(client_id, lease=to.lease, at=to.clock.now()):
        return _send(now, to, last=True)
    # Another run of the same decision got here first; its request may be on the way.
    return resolve(to.ledger.intent(client_id), to, resend=False)


def _fresh(intent: IntentView, to: Sender) -> bool:
    return to.clock.now() - intent.created_at <= FRESH


def _in_flight(intent: IntentView, to: Sender) -> bool:
    """Whether the request of another run may still be on its way."""
    return intent.state is OrderState.SENDING and to.clock.now() - intent.updated_at < IN_FLIGHT


def confirm(intent: IntentView, to: Sender, seconds: float, poll: float = 5.0) -> IntentView:
    """Watch a working order for up to ``seconds``; return it as the broker last told it."""
    deadline = to.clock.now() + timedelta(seconds=seconds)
    asked = heard = 0
    while not intent.state.terminal:
        found = _ask(intent, to)
        asked, heard = asked + 1, heard + (found is not _Word.SILENCE)
        intent = note(found, intent, to) if isinstance(found, BrokerOrder) else intent
        remaining = (deadline - to.clock.now()).total_seconds()
        if intent.state.terminal or remaining <= 0:
            break
        to.clock.sleep(min(poll, remaining))
    if asked > 1 and not heard:
        what = f"{asked} look-ups in {seconds:.0f} seconds were not answered"
        to.report(Trouble.BROKER_UNREACHABLE, intent.order, what)
    return intent


def cancel_and_confirm(intent: IntentView, to: Sender, patience: float = 30.0) -> IntentView:
    """Ask for a cancel and wait for the broker's last word; a fill may win, and then it is a fill.

    Comes back not terminal when the broker has not settled it in time: nothing may be sent in its
    place.
    """
    if intent.state.terminal or intent.broker_order_id is None:
        return intent
    for wait in CANCEL_WAITS:
        to.clock.sleep(wait)
        try:
            to.broker.cancel(intent.broker_order_id)
        except (OrderRejected, ProviderRefused):
            # Already filled or cancelled, or not known any more: the look-up below says which.
            return confirm(intent, to, patience, poll=1.0)
        except Transient:
            intent = refresh(intent, to)
            if intent.state.terminal:
                return intent
        else:
            return confirm(intent, to, patience, poll=1.0)
    to.report(Trouble.BROKER_UNREACHABLE, intent.order, f"{len(CANCEL_WAITS)} cancels were not answered")
    return intent


def refresh(intent: IntentView, to: Sender) -> IntentView:
    """One look-up; the ledger moves when the broker answers, and stays when it does not."""
    found = _ask(intent, to)
    return note(found, intent, to) if isinstance(found, BrokerOrder) else intent


def note(found: BrokerOrder, intent: IntentView, to: Sender) -> IntentView:
    """Write the broker's word on one order into the ledger; the intent as it then stands.

    A status that no table has leaves the order where it may still be working, so that nothing
    follows it. A move that the ledger refuses changes nothing. Both are reported.
    """
    client_id = found.client_order_id
    if found.state in (OrderState.UNKNOWN, OrderState.REJECTED):
        found = _readable(found, to.ledger.intent(client_id), to)
    try:
        moved = to.ledger.move_order(
            client_id,
            found.state,
            at=to.clock.now(),
            evidence={"status": found.raw_status, "updated_at": found.updated_at.isoformat()},
            broker_order_id=found.broker_order_id,
            filled=found.filled,
            average=found.average,
        )
    except (ValueError, LedgerError) as refusal:
        to.report(Trouble.ILLEGAL_MOVE, intent.order, f"told {found.raw_status!r}: {refusal}")
        return to.ledger.intent(client_id)
    now = to.ledger.intent(client_id)
    if not moved and _contradicts(found, now):
        what = f"told {found.raw_status!r} with {found.filled} filled, it was {now.state} with {now.filled}"
        to.report(Trouble.ILLEGAL_MOVE, now.order, what)
    return now


def refusal_of(intent: IntentView, to: Sender) -> tuple[Trouble, str]:
    """What the broker's refusal of a rejected order means, and its words, as the ledger has them."""
    told = [e.evidence for e in to.ledger.order_events(intent.order.client_order_id)]
    evidence = next((e for e in reversed(told) if "text" in e), {})
    text = evidence.get("text", "rejected after it was taken, with no reason given")
    code = evidence.get("code", "")
    error = OrderRejected(text, code=int(code) if code.isdigit() else None)
    return refused(to.rules, error), text


def _readable(found: BrokerOrder, now: IntentView, to: Sender) -> BrokerOrder:
    """``found`` in a state that the ledger can follow, and a report where the broker's own is none."""
    told = f"status {found.raw_status!r} of an order that is {now.state}"
    if found.state is OrderState.REJECTED:
        if now.state not in (OrderState.PARTIALLY_FILLED, OrderState.PENDING_CANCEL):
            return found
        # Refused after it had worked: what was filled stays, and the rest is off.
        to.report(Trouble.ILLEGAL_MOVE, now.order, told)
        return replace(found, state=OrderState.CANCELED)
    to.report(Trouble.UNKNOWN_STATUS, now.order, told)
    if now.state is OrderState.SENDING:
        return found
    # The broker has it, whatever it does with it.
    return replace(found, state=OrderState.WORKING if now.state is OrderState.ABANDONED else now.state)


def _contradicts(found: BrokerOrder, now: IntentView) -> bool:
    """Whether two last words differ. An answer from before the last word is merely old."""
    both = found.state.terminal and now.state.terminal and now.state is not OrderState.ABANDONED
    return both and (found.state, found.filled) != (now.state, now.filled)


def _send(intent: IntentView, to: Sender, *, last: bool = False) -> IntentView:
    order = intent.order
    client_id = order.client_order_id
    try:
        answer = to.broker.submit(order)
    except OrderRejected as no:
        evidence = {"text": no.text, "code": str(no.code), "status": str(no.status)}
        to.ledger.move_order(client_id, OrderState.REJECTED, at=to.clock.now(), evidence=evidence)
        return to.ledger.intent(client_id)
    except OutcomeUnknown as unknown:
        evidence = {"error": str(unknown)}
        with suppress(ValueError):
            # Another run may have looked it up by now, and what the broker told it stands.
            to.ledger.move_order(client_id, OrderState.UNKNOWN, at=to.clock.now(), evidence=evidence)
        return resolve(to.ledger.intent(client_id), to, resend=not last)
    return note(answer, intent, to)


_UNHEARD = (Transient, ProviderRefused)
"""A look-up that ends in one of these says nothing about the order, a refusal of the request included."""


class _Word(Enum):
    """What the look-ups said when none of them brought the order."""

    NEVER_HAD = auto()
    """The broker said so every time."""
    UNSURE = auto()
    """Some were answered with "not found", some were not answered."""
    SILENCE = auto()
    """None was answered."""


def _ask(intent: IntentView, to: Sender) -> BrokerOrder | _Word:
    try:
        found = to.broker.order_by_client_id(intent.order.client_order_id)
    except _UNHEARD:
        return _Word.SILENCE
    return _Word.NEVER_HAD if found is None else found


def _look_up(intent: IntentView, to: Sender) -> BrokerOrder | _Word:
    """The order, or what all the look-ups over the settling delays say instead."""
    words = []
    for wait in SETTLE_SECONDS:
        to.clock.sleep(wait)
        found = _ask(intent, to)
        if isinstance(found, BrokerOrder):
            return found
        words.append(found)
    if len(set(words)) == 1:
        return words[0]
    return _Word.UNSURE
