"""Proposal to price: where a limit starts, how far it may be walked, and the tick it rests on."""

from __future__ import annotations

from dataclasses import dataclass, replace
from decimal import Decimal

from wsb_core.domain.ids import Price
from wsb_core.domain.orders import Effect, Order, Proposal, Refusal, order_legs
from wsb_core.domain.quotes import Market
from wsb_core.domain.structures import Structure

from .ticks import CENTS, Grid, grid_of


@dataclass(frozen=True, slots=True)
class Walk:
    """How a limit moves from mid toward the touch.

    ``reach`` is the share of the half-spread that may be given up: 0 is mid, 1 is the touch. No attempt
    is begun ``limit_seconds`` after the first one, however many steps are left.
    """

    steps: int
    step_seconds: float
    reach: Decimal
    limit_seconds: float


ENTRY_WALK = Walk(steps=4, step_seconds=30.0, reach=Decimal("0.5"), limit_seconds=180.0)
EXIT_WALK = Walk(steps=4, step_seconds=20.0, reach=Decimal(1), limit_seconds=180.0)
HARD_EXIT_WALK = Walk(steps=3, step_seconds=10.0, reach=Decimal(1), limit_seconds=180.0)


def walk_for(effect: Effect, *, may_cross: bool) -> Walk:
    """Entries give up half of the half-spread; exits go to the touch; hard-risk exits start there."""
    if effect is Effect.OPEN:
        return ENTRY_WALK
    return HARD_EXIT_WALK if may_cross else EXIT_WALK


@dataclass(frozen=True, slots=True)
class Package:
    """A structure's own quote, net and signed from the account's side (credit +, debit -)."""

    mid: Price
    touch: Price
    """What the market pays or asks for the whole package now: never better than ``mid``."""
    grid: Grid = CENTS
    """The prices that an order for it may rest on."""


def package_quote(market: Market, structure: Structure, effect: Effect) -> Package | None:
    """Net mid and touch of a whole structure; None when any leg lacks a two-sided quote."""
    instruments = [leg.instrument for leg in structure.legs]
    mids = market.prices(instruments, "mid")
    if mids is None:
        return None
    mid = touch = Decimal(0)
    for leg in order_legs(structure, effect):
        quote = market.quote(leg.instrument)
        if quote is None or quote.bid is None or quote.ask is None:
            return None
        weight = Decimal(leg.ratio * leg.instrument.multiplier) / structure.multiplier
        sign = -1 if leg.action.is_buy else 1
        mid += sign * weight * mids[leg.instrument]
        touch += sign * weight * (quote.ask if leg.action.is_buy else quote.bid)
    return Package(Price(mid), Price(touch), grid_of(structure))


def limit_at(package: Package, walk: Walk, step: int, *, may_cross: bool) -> Price:
    """The limit of step ``step`` (from 0), on the grid, never worse than the walk's cap.

    Entries and ordinary exits round in the account's favour at mid and walk down from there; an
    entry's cap rounds in its favour too, so a market a tick wide is joined and never crossed. A
    hard-risk exit starts at the touch and goes a tick through it each step, but never pays for
    what the market pays for.
    """
    half, grid = package.mid - package.touch, package.grid
    if may_cross:
        tick = grid.tick(package.touch)
        crossing = grid.round(package.touch - tick * step, favour=False)
        return Price(max(crossing, grid.low)) if package.touch > 0 else crossing
    share = walk.reach * step / max(1, walk.steps - 1)
    limit = package.mid - half * min(share, walk.reach)
    cap = grid.round(package.mid - half * walk.reach, favour=walk.reach < 1)
    return max(grid.round(limit, favour=step == 0), cap)


def worst_limit(package: Package, effect: Effect, *, may_cross: bool) -> Price:
    """The worst price the walk may reach from this quote: what risk sizes and approves."""
    walk = walk_for(effect, may_cross=may_cross)
    return limit_at(package, walk, walk.steps - 1, may_cross=may_cross)


def ticket(proposal: Proposal, market: Market, *, may_cross: bool = False) -> Proposal | Refusal:
    """The proposal at the worst price its walk may reach, or why it cannot be priced.

    A package with a missing, crossed or one-sided leg has no price, and so no order.
    """
    package = package_quote(market, proposal.structure, proposal.effect)
    if package is None:
        detail = f"{proposal.structure.symbol} has a leg without a two-sided quote"
        return Refusal(proposal.underlying, "gate", "two_sided_quote", "missing", "every leg quoted", detail)
    return replace(proposal, limit=worst_limit(package, proposal.effect, may_cross=may_cross))


def next_limit(order: Order, market: Market, step: int) -> Price | None:
    """The limit for the next attempt from the quote as it is now.

    None when the package cannot be priced, or when even the first price of the walk would be
    worse than the one that risk approved.
    """
    package = package_quote(market, order.structure, order.effect)
    if package is None:
        return None
    walk = walk_for(order.effect, may_cross=order.may_cross)
    limit = limit_at(package, walk, min(step, walk.steps - 1), may_cross=order.may_cross)
    if order.effect is Effect.CLOSE:
        return limit
    first = limit_at(package, walk, 0, may_cross=order.may_cross)
    return Price(max(limit, order.limit)) if first >= order.limit else None
