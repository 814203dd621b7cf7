"""What a person is asked in the middle of a run. No answer in time is a no."""

from __future__ import annotations

import logging
import threading
from collections.abc import Sequence
from contextvars import copy_context
from typing import TypeVar
from uuid import UUID

from prefect.exceptions import FlowPauseTimeout
from prefect.flow_runs import pause_flow_run
from prefect.input import RunInput
from pydantic import Field

from tasks.desk import Desk, run_id
from tasks.notify import notify, run_link
from tasks.wiring import wiring
from wsb_core.analytics.format import money
from wsb_core.domain.orders import ApprovedOrder, Effect, Refusal
from wsb_core.risk.approval import notional

log = logging.getLogger("wsb.approve")
POLL_SECONDS = 2
GRACE_SECONDS = 60
"""How much later than we ourselves the server gives up on a pause."""
NOBODY = "nobody"


class Approval(RunInput):
    """Whether the orders listed above may be sent."""

    approve: bool = Field(False, title="Send these orders")
    who: str = Field(min_length=2, title="Your name")
    why: str = Field("", title="Why, for the record")


class Release(RunInput):
    """Whether a hard halt may be lifted."""

    looked: bool = Field(False, title="I have looked at the positions")
    who: str = Field(min_length=2, title="Your name")
    why: str = Field(min_length=5, title="Why it may be lifted, for the record")


Answer = TypeVar("Answer", Approval, Release)


def ask_person(question: type[Answer], text: str, seconds: int, key: str, no: Answer) -> Answer:
    """Pause this run until somebody fills in the form under *Resume*; ``no`` when nobody did in time.

    The run answers itself when the time is over: a pause that the server sees run out ends the whole run.
    """
    notify(
        key=f"asked:{run_id()}:{key}",
        severity="critical",
        title="A person is asked",
        what=text,
        did=f"Paused the run. No answer within {seconds} seconds means no.",
        do="Open the run, press Resume, and fill in the form.",
        link=run_link(run_id()),
    )
    # A thread of its own does not know which server this run talks to unless it is told.
    timer = threading.Timer(seconds, copy_context().run, (_resume, UUID(run_id()), no))
    timer.daemon = True
    timer.start()
    try:
        form = question.with_initial_data(description=text)
        return pause_flow_run(
            wait_for_input=form, timeout=seconds + GRACE_SECONDS, poll_interval=POLL_SECONDS, key=key
        )
    except FlowPauseTimeout:
        return no
    finally:
        timer.cancel()


def _resume(run: UUID, answer: RunInput) -> None:
    from prefect.client.orchestration import get_client

    try:
        with get_client(sync_client=True) as client:
            # Refused, and nothing changed, when a person was quicker.
            client.resume_flow_run(run, run_input=answer.model_dump())
    except Exception:
        log.exception("run %s could not be told that nobody answered", run)


def ask_approval(
    desk: Desk, orders: Sequence[ApprovedOrder]
) -> tuple[tuple[ApprovedOrder, ...], tuple[Refusal, ...]]:
    """Orders that may be sent, and those that a person did not let through.

    Entries above ``approval_above`` dollars of notional are asked about, all in one form; exits never
    are. The answer, or that there was none, is kept in the ledger before anything is sent.
    """
    w = wiring()
    bound = w.settings.approval_above
    large = [
        order
        for order in orders
        if bound is not None and order.order.effect is Effect.OPEN and notional(order.order) > bound
    ]
    if not large:
        return tuple(orders), ()
    listed = "\n".join(
        f"- {o.order.quantity} x {o.order.structure.symbol}, notional {money(notional(o.order))}, "
        f"at most {money(o.review.max_loss)} to lose: {o.reason}"
        for o in large
    )
    text = f"Orders above {money(bound)} of notional in {desk.account}:\n\n{listed}"
    seconds = w.settings.approval_seconds
    no = Approval(approve=False, who=NOBODY, why=f"no answer in {seconds} s")
    answer = ask_person(Approval, text, seconds, "approval", no)
    for order in large:
        w.ledger.audit(
            "approval",
            {
                "run_id": desk.run_id,
                "client_order_id": order.order.client_order_id,
                "notional": notional(order.order),
                "approved": answer.approve,
                "who": answer.who,
                "why": answer.why,
            },
            w.clock.now(),
        )
    if answer.approve:
        return tuple(orders), ()
    refused = tuple(
        Refusal(
            o.order.structure.underlying,
            "gate",
            "approval",
            f"{answer.who} said no",
            f"a yes above {money(bound)}",
            answer.why,
        )
        for o in large
    )
    return tuple(order for order in orders if order not in large), refused
