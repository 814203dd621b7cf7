"""Work one approved order: from mid toward the touch, one attempt at a time, never two at once.

A step is cancel, confirm, the gates again, and a new attempt under a new client order id: no replace
is ever trusted to be atomic, and no approval is older than the attempt that is sent on it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import timedelta
from decimal import ROUND_FLOOR, Decimal

from wsb_core.domain.orders import ApprovedOrder, Effect, Order, OrderState, Refusal
from wsb_core.domain.positions import AccountState, Holding
from wsb_core.domain.quotes import Market

from .ports import IntentView
from .recovery import Trouble
from .rules import Moment, unsupported
from .submit import Sender, cancel_and_confirm, confirm, refusal_of, submit_once
from .ticket import Walk, next_limit, walk_for

FreshMarket = Callable[[], Market | Refusal]
ReviewAgain = Callable[[Market, int], ApprovedOrder | Refusal]
APPEAR_SECONDS = (0.0, 1.0, 3.0)
"""Waits before each look for a position that is to be closed: a broker's books may lag its fills."""


@dataclass(frozen=True, slots=True)
class Worked:
    """What became of an order: every attempt, the units filled, and why it stopped short if it did."""

    attempts: tuple[IntentView, ...]
    filled: int
    refusal: Refusal | None = None

    @property
    def last(self) -> IntentView | None:
        return self.attempts[-1] if self.attempts else None


def work(approved: ApprovedOrder, to: Sender, fresh_market: FreshMarket, review_again: ReviewAgain) -> Worked:
    """Send ``approved`` and walk it until it is filled, refused, out of steps or out of time.

    Before every attempt ``fresh_market`` fetches and checks the market again, and ``review_again``
    asks risk again about the units that are left: it may approve fewer, never more. An entry that
    filled in part is kept and never topped up; what is left of an exit goes into the next attempt.
    Nothing follows an attempt whose last word is missing, nor one that the broker refused, but for
    one smaller order where buying power was wanting.

    Raises: Halted, NotArmed or LeaseLost from the send itself, and Transient or Terminal from a read
    of the account: nothing was sent then.
    """
    walk = _Walking(approved, to, fresh_market, review_again)
    refusal = walk.take_up()
    while refusal is None and walk.goes_on:
        refusal = walk.next_attempt()
    return Worked(walk.all_attempts, walk.filled, refusal or walk.shortfall())


def closable(order: Order, holdings: Iterable[Holding]) -> int:
    """Whole units of ``order``'s structure that ``holdings`` have, on the right side of every leg."""
    held = {holding.instrument: holding.quantity for holding in holdings}
    units = [held.get(leg.instrument, Decimal(0)) / leg.ratio for leg in order.structure.legs]
    return max(0, int(min(units).to_integral_value(ROUND_FLOOR)))


def affordable(approved: ApprovedOrder, account: AccountState) -> int:
    """Whole units whose loss the broker's own buying power covers; 0 when it gave no figure."""
    order = approved.order
    power = account.options_buying_power if order.structure.contracts else account.buying_power
    unit = approved.review.max_loss / approved.review.order.quantity
    if power is None or power <= 0 or not unit.is_finite() or unit <= 0:
        return 0
    return int((power / unit).to_integral_value(ROUND_FLOOR))


@dataclass(slots=True)
class _Walking:
    """The state of one walk. ``pending`` is an earlier attempt that may still have to be sent."""

    approved: ApprovedOrder
    to: Sender
    fresh_market: FreshMarket
    review_again: ReviewAgain
    attempts: list[IntentView] = field(default_factory=list)
    pending: IntentView | None = None
    most: int = 0
    resized: bool = False
    level: int | None = None

    @property
    def order(self) -> Order:
        return self.approved.order

    @property
    def opening(self) -> bool:
        return self.order.effect is Effect.OPEN

    @property
    def walk(self) -> Walk:
        return walk_for(self.order.effect, may_cross=self.order.may_cross)

    @property
    def all_attempts(self) -> tuple[IntentView, ...]:
        return (*self.attempts, self.pending) if self.pending is not None else tuple(self.attempts)

    @property
    def filled(self) -> int:
        return sum(intent.filled for intent in self.attempts)

    @property
    def goes_on(self) -> bool:
        unsettled = bool(self.attempts) and not self.attempts[-1].state.terminal
        done = self.filled >= self.order.quantity or (self.opening and self.filled > 0)
        return not unsettled and not done and len(self.attempts) < self.walk.steps

    def take_up(self) -> Refusal | None:
        """What earlier runs of this decision left: settle what works, and say when it is over."""
        self.most = self.order.quantity
        self.attempts = list(self.to.ledger.attempts(self.order.key))
        if any(intent.state is OrderState.REJECTED for intent in self.attempts):
            return self._short("rejected", "by an earlier run", "one refusal a decision")
        if self.attempts and not self.attempts[-1].state.terminal:
            last = self.attempts.pop()
            if last.broker_order_id is None or last.state is OrderState.UNKNOWN:
                self.pending = last
            else:
                self._keep(self._watched(last))
            return None
        if self.opening and self.filled:
            return self._short("already_filled", str(self.filled), "one entry a decision")
        return None

    def next_attempt(self) -> Refusal | None:
        """Everything asked again, and one order sent and followed to its end; or the first refusal."""
        ready = self._ready()
        if isinstance(ready, Refusal):
            return ready
        intent = submit_once(ready, self.to)
        self.pending = None
        in_doubt = intent.state in (OrderState.SENDING, OrderState.UNKNOWN)
        self._keep(intent if intent.state.terminal or in_doubt else self._watched(intent))
        if intent.state is OrderState.REJECTED:
            return self._after_refusal(intent)
        return None

    def shortfall(self) -> Refusal | None:
        """Why nothing was filled; None when something was."""
        last = self.all_attempts[-1].state if self.all_attempts else None
        if self.filled:
            return None
        if last is not None and not last.terminal:
            return self._short("outcome_unknown", str(last), "the broker's answer")
        return self._short("unfilled", f"{len(self.attempts)} attempts", f"limit {self.order.limit}")

    def _ready(self) -> ApprovedOrder | Refusal:
        """The next attempt with every gate passed anew, or the first that did not."""
        left = self.order.quantity - self.filled
        refusal = self._late() or self._not_there(left)
        if refusal is not None:
            return refusal
        market = self.fresh_market()
        if isinstance(market, Refusal):
            return market
        again = self.review_again(market, left)
        if isinstance(again, Refusal):
            return again
        number = len(self.attempts) + 1
        limit = next_limit(again.order, market, number - 1)
        if limit is None:
            return self._short("price_cap", "moved away", str(self.order.limit))
        quantity = min(left, self.most, again.order.quantity)
        ready = again.at(limit, number, quantity)
        return self._late() or unsupported(ready.order, self.to.rules, self._moment()) or ready

    def _late(self) -> Refusal | None:
        if not self.attempts:
            return None
        spent = self.to.clock.now() - self.attempts[0].created_at
        if spent < timedelta(seconds=self.walk.limit_seconds):
            return None
        return self._short("time_limit", f"{spent.total_seconds():.0f} s", f"{self.walk.limit_seconds:.0f} s")

    def _not_there(self, units: int) -> Refusal | None:
        """A close waits, a little, until the broker's own books show what it closes."""
        found = 0
        for wait in APPEAR_SECONDS if not self.opening else ():
            self.to.clock.sleep(wait)
            found = closable(self.order, self.to.broker.holdings())
            if found >= units:
                return None
        if self.opening:
            return None
        return self._short("not_at_the_broker", f"{found} units", f">= {units}")

    def _moment(self) -> Moment:
        if self.opening and self.order.structure.contracts and self.level is None:
            self.level = self.to.broker.account().options_level
        return Moment(self.to.clock.now(), self.level)

    def _watched(self, intent: IntentView) -> IntentView:
        intent = confirm(intent, self.to, self.walk.step_seconds)
        return intent if intent.state.terminal else cancel_and_confirm(intent, self.to)

    def _keep(self, intent: IntentView) -> None:
        self.attempts.append(intent)
        # While it is "sending", another run of the same decision is at it and will tell.
        if not intent.state.terminal and intent.state is not OrderState.SENDING:
            what = f"{intent.state} and nobody says what becomes of it"
            self.to.report(Trouble.OUTCOME_UNKNOWN, intent.order, what)

    def _after_refusal(self, intent: IntentView) -> Refusal | None:
        """None when a smaller order may follow; else why not."""
        trouble, text = refusal_of(intent, self.to)
        if trouble is Trouble.BUYING_POWER and self.opening and not self.resized:
            self.resized = True
            fits = affordable(self.approved, self.to.broker.account())
            self.most = min(fits, intent.order.quantity - 1)
            what = f"{text}; the broker's figure allows {fits} of {intent.order.quantity} units"
            self.to.report(trouble, intent.order, what)
            if self.most >= 1:
                return None
            return self._short("buying_power", f"{fits} units", f">= 1, fewer than {intent.order.quantity}")
        self.to.report(trouble, intent.order, text)
        return self._short("rejected", str(trouble), "accepted", text)

    def _short(self, rule: str, value: str, bound: str, detail: str = "") -> Refusal:
        return Refusal(self.order.structure.underlying, "submit", rule, value, bound, detail)
