"""The review: a strategy's wishes in, approved orders and refusals out."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import date, datetime
from decimal import Decimal

from wsb_core.domain.ids import Cash, Underlying
from wsb_core.domain.orders import ApprovedOrder, Effect, IntentKey, Order, Proposal, Refusal, Review
from wsb_core.domain.positions import Book
from wsb_core.domain.strategy import AnyStrategy

from .checks import CHECKS, CLOSE_CHECKS, ReviewContext, available_power, closable, in_flight, run_checks
from .limits import RiskLimits
from .sizing import NOTHING, Sizing, size

UNBOUNDED = Cash(Decimal("Infinity"))


def review(
    proposals: Sequence[Proposal],
    book: Book,
    *,
    strategy: AnyStrategy,
    limits: RiskLimits,
    key_for: Callable[[Proposal], IntentKey],
    sectors: Mapping[Underlying, str],
    session: date,
    at: datetime,
) -> tuple[tuple[ApprovedOrder, ...], tuple[Refusal, ...]]:
    """Size each proposal of ``strategy`` and hold it to every rule, in the order given.

    What was approved earlier in the batch counts as if it were filled. A refusal names the first
    rule that said no; where a smaller order would have passed, its detail suggests the quantity,
    which is for a person or a later run to ask for: it has not been approved. Closing proposals
    answer for quantity and price alone.
    """
    approved: list[ApprovedOrder] = []
    refused: list[Refusal] = []
    for proposal in proposals:
        earlier = tuple(approved)
        try:
            ctx = _context(proposal, book, strategy, limits, key_for(proposal), sectors, session, earlier)
        except Exception as error:
            # Fails closed, and alone: one proposal that cannot be sized does not stop the others.
            text = f"{type(error).__name__}: {error}"
            refused.append(
                Refusal(proposal.underlying, "review", "sizing", text, "an order that can be sized")
            )
            continue
        judged = _judge(ctx, at)
        if judged.refusal is None:
            approved.append(judged.approve(proposal.reason, proposal.facts))
        else:
            refused.append(replace(judged.refusal, detail=_suggestion(ctx, at)))
    return tuple(approved), tuple(refused)


def _context(
    proposal: Proposal,
    book: Book,
    strategy: AnyStrategy,
    limits: RiskLimits,
    key: IntentKey,
    sectors: Mapping[Underlying, str],
    session: date,
    approved: tuple[ApprovedOrder, ...],
) -> ReviewContext:
    structure, limit = proposal.structure, proposal.limit
    if proposal.effect is Effect.CLOSE:
        most = closable(book, strategy.name, structure, approved)
        sizing = Sizing(most if proposal.quantity is None else proposal.quantity, NOTHING, None)
    else:
        pending, available = in_flight(book, approved), available_power(book, structure, approved)
        sizing = size(structure, limit, book, strategy, limits, pending, available)
    # An order has at least one unit; that not even one may be traded is for the rules to say.
    quantity = max(1, sizing.quantity)
    crossing = proposal.urgent and proposal.effect is Effect.CLOSE
    order = Order(key, structure, proposal.effect, quantity, limit, may_cross=crossing)
    loss = NOTHING if proposal.effect is Effect.CLOSE else _loss(sizing, quantity)
    return ReviewContext(order, sizing, loss, book, strategy, limits, sectors, session, approved)


def _loss(sizing: Sizing, quantity: int) -> Cash:
    return UNBOUNDED if sizing.unit_loss is None else Cash(sizing.unit_loss * quantity)


def _judge(ctx: ReviewContext, at: datetime) -> Review:
    checks = CHECKS if ctx.order.effect is Effect.OPEN else CLOSE_CHECKS
    return Review(ctx.order, at, run_checks(ctx, checks), ctx.max_loss)


def _suggestion(ctx: ReviewContext, at: datetime) -> str:
    """The largest smaller quantity that every rule would let through, as text; empty when none would."""
    low, high = 0, ctx.order.quantity - 1
    while low < high:
        middle = (low + high + 1) // 2
        passes = _judge(_resized(ctx, middle), at).refusal is None
        low, high = (middle, high) if passes else (low, middle - 1)
    return f"suggested quantity {low}" if low else ""


def _resized(ctx: ReviewContext, quantity: int) -> ReviewContext:
    loss = NOTHING if ctx.order.effect is Effect.CLOSE else _loss(ctx.sizing, quantity)
    return replace(ctx, order=replace(ctx.order, quantity=quantity), max_loss=loss)
