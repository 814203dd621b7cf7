"""Work one approved order: from mid toward the touch, one attempt at a time, never two at once.

A step is cancel, confirm, and a new attempt under a new client order id: no replace is ever
trusted to be atomic.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from wsb_core.domain.orders import ApprovedOrder, Effect, OrderState, Refusal
from wsb_core.domain.quotes import Market

from .ports import IntentView
from .submit import Sender, cancel_and_confirm, confirm, submit_once
from .ticket import next_limit, walk_for


@dataclass(frozen=True, slots=True)
class Worked:
    """What became of an order: every attempt, the units filled, and why it stopped short if it did."""

    attempts: tuple[IntentView, ...]
    filled: int
    refusal: Refusal | None = None

    @property
    def last(self) -> IntentView | None:
        return self.attempts[-1] if self.attempts else None


def work(approved: ApprovedOrder, to: Sender, fresh_market: Callable[[], Market | Refusal]) -> Worked:
    """Send ``approved`` and walk it until it is filled, refused, or out of steps.

    ``fresh_market`` fetches and checks the market again before every attempt. An entry that filled
    in part is kept and never topped up; what is left of an exit goes into the next attempt. When
    the last word on an attempt is missing, nothing follows it.

    Raises: Halted or LeaseLost from the send itself.
    """
    order = approved.order
    walk = walk_for(order.effect, may_cross=order.may_cross)
    before = to.ledger.attempts(order.key)
    if before and not before[-1].state.terminal:
        before = before[:-1]
    filled = sum(intent.filled for intent in before)
    if order.effect is Effect.OPEN and filled:
        return Worked(before, filled, _short(approved, "already_filled", str(filled), "one entry a decision"))
    if filled >= order.quantity:
        return Worked(before, filled)
    done: list[IntentView] = []
    for step in range(len(before), walk.steps):
        market = fresh_market()
        if isinstance(market, Refusal):
            return Worked((*before, *done), filled, market)
        limit = next_limit(order, market, step)
        if limit is None:
            return Worked(
                (*before, *done), filled, _short(approved, "price_cap", "moved away", str(order.limit))
            )
        intent = _attempt(approved.at(limit, step + 1, order.quantity - filled), to, walk.step_seconds)
        done.append(intent)
        filled += intent.filled
        if _over(intent, order.effect, filled, order.quantity):
            break
    return Worked((*before, *done), filled, _unfilled(approved, done, filled))


def _attempt(approved: ApprovedOrder, to: Sender, seconds: float) -> IntentView:
    intent = submit_once(approved, to)
    if intent.state.terminal or intent.state in (OrderState.SENDING, OrderState.UNKNOWN):
        return intent
    intent = confirm(intent, to, seconds)
    return intent if intent.state.terminal else cancel_and_confirm(intent, to)


def _over(intent: IntentView, effect: Effect, filled: int, wanted: int) -> bool:
    unsettled = not intent.state.terminal
    refused = intent.state is OrderState.REJECTED
    return unsettled or refused or filled >= wanted or (effect is Effect.OPEN and filled > 0)


def _unfilled(approved: ApprovedOrder, done: list[IntentView], filled: int) -> Refusal | None:
    if filled:
        return None
    last = done[-1].state if done else None
    if last is OrderState.REJECTED:
        return _short(approved, "rejected", str(last), "accepted")
    if last is not None and not last.terminal:
        return _short(approved, "outcome_unknown", str(last), "the broker's answer")
    return _short(approved, "unfilled", f"{len(done)} attempts", f"limit {approved.order.limit}")


def _short(approved: ApprovedOrder, rule: str, value: str, bound: str) -> Refusal:
    return Refusal(approved.order.structure.underlying, "submit", rule, value, bound)
