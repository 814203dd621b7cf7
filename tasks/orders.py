"""Orders out: each approved order is recorded, sent once, worked and confirmed. Never retried by Prefect."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from datetime import timedelta

from prefect import task

from tasks.book import read_book, reconcile_account
from tasks.checks import judge_chains
from tasks.decide import review_batch
from tasks.desk import Desk
from tasks.market import read_chains
from tasks.recovery import act, holds, resume_sending, sender
from tasks.retry import ONCE
from tasks.wiring import Wiring, wiring
from wsb_core.domain.errors import DataQualityError, Halted, ProviderRefused, Transient
from wsb_core.domain.orders import ApprovedOrder, Effect, Proposal, Refusal
from wsb_core.domain.quotes import Market
from wsb_core.domain.strategy import ChainWindow
from wsb_core.execution.recovery import HOLD_FOR, Trouble, classify
from wsb_core.execution.submit import Sender
from wsb_core.execution.working import Worked, work
from wsb_core.ledger import DuplicateOrder, ReduceOnlyViolation
from wsb_core.strategies import STRATEGIES


@dataclass(frozen=True, slots=True)
class Placed:
    """One approved order and what became of it."""

    approved: ApprovedOrder
    worked: Worked


@task(**ONCE)
def place_orders(
    desk: Desk, approved: Sequence[ApprovedOrder], markets: Sequence[Market]
) -> tuple[Placed, ...]:
    """Work every approved order in turn.

    An entry whose outcome is unknown stops the entries after it; one exit never stops another. What
    goes wrong is classed, recorded and acted on by the table of ``wsb_core/execution/recovery.py``.
    Repeating this task sends nothing twice: each attempt has its intent in the ledger.

    Raises: the first error that no class of trouble foresees, or that forbids sending at all, once
    every order has had its turn.
    """
    w = wiring()
    _look_after_hold(w, desk)
    to = sender(w, desk)
    by_name = {market.underlying: market for market in markets}
    placed: list[Placed] = []
    errors: list[Exception] = []
    for order in approved:
        worked = _work_one(desk, order, by_name[order.order.structure.underlying], to, errors)
        placed.append(Placed(order, worked))
        if worked.filled:
            _take_fills(w, desk)
        last = worked.last
        if order.order.effect is Effect.OPEN and last is not None and not last.state.terminal:
            break
    if errors:
        raise errors[0]
    return tuple(placed)


def _look_after_hold(w: Wiring, desk: Desk) -> None:
    """Lift a hold whose time is over when the books agree; they are compared now if nobody has since."""
    held, now = holds(w), w.clock.now()
    if not held or now - held[-1].at < HOLD_FOR or resume_sending(desk, now):
        return
    reconcile_account(desk)
    resume_sending(desk, w.clock.now())


def _work_one(
    desk: Desk, approved: ApprovedOrder, market: Market, to: Sender, errors: list[Exception]
) -> Worked:
    order = approved.order
    held = holds(wiring())
    if held:
        return Worked((), 0, _gate(approved, "halt", f"hold: {held[0].reason}", "no hold on orders"))
    try:
        return work(
            approved,
            to,
            lambda: _fresh(desk, approved, market),
            lambda fresh, left: _again(desk, approved, left),
        )
    except Halted as halted:
        return _left(approved, to, _gate(approved, "halt", str(halted), "no halt on entries"))
    except (DuplicateOrder, ReduceOnlyViolation) as refused:
        return _left(approved, to, _gate(approved, "ledger", type(refused).__name__, str(refused)))
    except Exception as error:
        trouble = classify(error)
        what = f"{type(error).__name__}: {error}"
        act(desk, trouble, strategy=order.key.strategy, what=what, order=order)
        if trouble in (Trouble.UNKNOWN_ERROR, Trouble.NOT_ALLOWED):
            errors.append(error)
        return _left(approved, to, _gate(approved, str(trouble), what, "no error"))


def _left(approved: ApprovedOrder, to: Sender, refusal: Refusal) -> Worked:
    """What there is of an order whose work was broken off."""
    attempts = to.ledger.attempts(approved.order.key)
    return Worked(attempts, sum(intent.filled for intent in attempts), refusal)


def _gate(approved: ApprovedOrder, rule: str, value: str, bound: str, detail: str = "") -> Refusal:
    return Refusal(approved.order.structure.underlying, "gate", rule, value, bound, detail)


def _fresh(desk: Desk, approved: ApprovedOrder, market: Market) -> Market | Refusal:
    """The market again, fetched and checked as the first time, or why it cannot be used."""
    contracts = approved.order.structure.contracts
    dtes = [contract.dte(desk.session.day) for contract in contracts]
    window = ChainWindow(min(dtes), max(dtes), tuple({contract.right for contract in contracts}))
    try:
        # An exit takes the quotes there are, and takes them first; an entry wants them confirmed.
        entry = approved.order.effect is Effect.OPEN
        with nullcontext() if entry else wiring().data.urgent():
            quoted = read_chains([market.underlying], window, desk.session.day, entry=entry)
        judged = judge_chains(desk, quoted)
    except (Transient, DataQualityError, ProviderRefused) as error:
        what = f"{type(error).__name__}: {error}"
        strategy = approved.order.key.strategy
        act(desk, Trouble.DATA_FAILING, strategy=strategy, what=what, order=approved.order)
        return _gate(approved, "quote_recheck", type(error).__name__, "a clean quote", str(error))
    return judged.market(market)


def _again(desk: Desk, approved: ApprovedOrder, left: int) -> ApprovedOrder | Refusal:
    """Risk's answer as of now to the ``left`` units of a decision; the lease is renewed for the next step."""
    w, order = wiring(), approved.order
    now = w.clock.now()
    if not desk.session.is_open(now):
        return _gate(approved, "session", f"{now:%H:%M} UTC", f"before {desk.session.closes:%H:%M} New York")
    w.ledger.renew_lease(desk.lease, now, timedelta(seconds=w.settings.lease_seconds))
    attempts = w.ledger.attempts(order.key)
    if any(intent.filled for intent in attempts):
        _take_fills(w, desk)
    own = {intent.order.client_order_id for intent in attempts}
    book = read_book(w, desk)
    others = tuple(o for o in book.open_orders if o.client_order_id not in own)
    wish = Proposal(
        structure=order.structure,
        effect=order.effect,
        limit=order.limit,
        reason=approved.reason,
        facts=approved.facts,
        quantity=left if order.effect is Effect.CLOSE else None,
        urgent=order.may_cross,
    )
    strategy = STRATEGIES[order.key.strategy]
    orders, refused = review_batch(desk, strategy, [wish], replace(book, open_orders=others))
    return orders[0] if orders else refused[0]


def _take_fills(w: Wiring, desk: Desk) -> None:
    """The run's executions into the ledger; what cannot be read now is taken over by the next sync."""
    try:
        fills = w.broker.fills(desk.as_of)
    except Transient as error:
        what = f"the run's fills could not be read: {error}"
        act(desk, Trouble.BROKER_UNREACHABLE, strategy=None, what=what)
        return
    w.ledger.record_fills(desk.account, fills, w.clock.now())
