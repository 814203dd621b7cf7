"""May we: each rule is a small function of one order in its book, and says what it measured.

``CHECKS`` lists the rules of an opening order in the order in which they refuse, ``CLOSE_CHECKS``
those of a closing one: exits answer for their quantity and price, and never for the entry rules.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal

from wsb_core.domain.contracts import STANDARD_MULTIPLIER, Right
from wsb_core.domain.ids import Cash, StrategyName, Underlying
from wsb_core.domain.orders import ApprovedOrder, Effect, Order, Ruling
from wsb_core.domain.positions import Book
from wsb_core.domain.strategy import AnyStrategy
from wsb_core.domain.structures import Structure, StructureKind

from .limits import RiskLimits
from .sizing import Sizing, drawdown_scale, trade_share

UNKNOWN_SECTOR = "unknown"
"""Names without a known sector count together: they may all be the same one."""


@dataclass(frozen=True, slots=True)
class ReviewContext:
    """One order as the rules see it, with what the same batch has let through before it.

    ``max_loss`` is the whole order's, fees included; infinite when nothing bounds it.
    """

    order: Order
    sizing: Sizing
    max_loss: Cash
    book: Book
    strategy: AnyStrategy
    limits: RiskLimits
    sectors: Mapping[Underlying, str]
    session: date
    approved: tuple[ApprovedOrder, ...] = ()

    @property
    def underlying(self) -> Underlying:
        return self.order.structure.underlying


Check = Callable[[ReviewContext], Ruling]


@dataclass(frozen=True, slots=True)
class Exposure:
    """What is held, working or approved: ``max_loss`` in positive dollars, None when not bounded."""

    strategy: StrategyName | None
    structure: Structure
    max_loss: Cash | None
    opened: date | None
    """Session of the entry; None while it is not filled."""


def exposures(book: Book, approved: Iterable[ApprovedOrder]) -> tuple[Exposure, ...]:
    """Every position, every order that may open one, and the entries approved so far."""
    held = [
        Exposure(p.strategy, p.structure, _times(p.structure.max_loss(p.entry), p.quantity), p.opened_session)
        for p in book.positions
    ]
    working = [Exposure(o.strategy, o.structure, o.max_loss, None) for o in book.open_orders if o.opening]
    batch = [
        Exposure(a.order.key.strategy, a.order.structure, a.review.max_loss, None)
        for a in approved
        if a.order.effect is Effect.OPEN
    ]
    return (*held, *working, *batch)


def in_flight(book: Book, approved: Iterable[ApprovedOrder]) -> Cash:
    """Dollars that entries on their way may take: counted in full, reserved by the broker or not."""
    return _sum(exposure for exposure in exposures(book, approved) if exposure.opened is None)


def available_power(book: Book, structure: Structure, approved: Iterable[ApprovedOrder]) -> Cash | None:
    """Buying power for ``structure`` less what is in flight; None when the broker did not say."""
    account = book.account
    figure = account.options_buying_power if structure.contracts else account.buying_power
    return None if figure is None else Cash(figure - in_flight(book, approved))


def _times(loss: Cash | None, quantity: int) -> Cash | None:
    return None if loss is None else Cash(loss * quantity)


def _sum(exposures: Iterable[Exposure]) -> Cash:
    """Raises: ValueError when a loss is not bounded: then the sum is unknown, not smaller."""
    total = Decimal(0)
    for exposure in exposures:
        if exposure.max_loss is None:
            raise ValueError(f"{exposure.structure.symbol} has no bounded loss")
        total += exposure.max_loss
    return Cash(total)


def _defined(structure: Structure) -> bool:
    """Whether it counts as risk: shares, and short puts on cash set aside, are paid for instead."""
    if structure.kind in (StructureKind.SHARES, StructureKind.COVERED_CALL, StructureKind.COLLAR):
        return False
    leg = structure.legs[0]
    short_put = leg.ratio < 0 and structure.contracts[0].right is Right.PUT
    return not (structure.kind is StructureKind.SINGLE and short_put)


def _all_long(structure: Structure) -> bool:
    return bool(structure.contracts) and all(leg.ratio > 0 for leg in structure.legs)


def _equity(ctx: ReviewContext) -> Cash:
    """The lower of now and the session's open: gains of the day do not widen a limit."""
    if ctx.book.equity_at_open is None:
        raise ValueError("equity at the open is unknown")
    return Cash(min(ctx.book.account.equity, ctx.book.equity_at_open))


def _capped(ctx: ReviewContext, name: str, share: Decimal, where: Callable[[Exposure], bool]) -> Ruling:
    """Whether what is exposed already, and this order, stay within a share of equity."""
    now = _sum(e for e in exposures(ctx.book, ctx.approved) if _defined(e.structure) and where(e))
    cap = share * _equity(ctx)
    value = f"${now:,.2f} + ${ctx.max_loss:,.2f}"
    return Ruling(name, now + ctx.max_loss <= cap, value, f"<= ${cap:,.2f} ({share:.2%} of equity)")


def _mine(ctx: ReviewContext) -> tuple[Exposure, ...]:
    return tuple(e for e in exposures(ctx.book, ctx.approved) if e.strategy == ctx.strategy.name)


def _sector(ctx: ReviewContext, underlying: Underlying) -> str:
    return ctx.sectors.get(underlying, UNKNOWN_SECTOR)


# --- the account ---


def account_active(ctx: ReviewContext) -> Ruling:
    blocked = ctx.book.account.blocked
    return Ruling("account_active", not blocked, "blocked" if blocked else "active", "active")


def options_level(ctx: ReviewContext) -> Ruling:
    """Level 1 covers what is secured, 2 long options, 3 spreads. Unknown refuses options."""
    structure, level = ctx.order.structure, ctx.book.account.options_level
    if not structure.contracts:
        needed = 0
    elif not _defined(structure):
        needed = 1
    else:
        needed = 2 if len(structure.legs) == 1 else 3
    allowed = needed == 0 or (level is not None and level >= needed)
    return Ruling("options_level", allowed, "unknown" if level is None else str(level), f">= {needed}")


def equity_known(ctx: ReviewContext) -> Ruling:
    book = ctx.book
    known = book.equity_at_open is not None and book.peak_equity is not None and book.account.equity > 0
    value = f"now {book.account.equity}, open {book.equity_at_open}, peak {book.peak_equity}"
    return Ruling("equity_known", known, value, "positive now, known at the open and at its peak")


def daily_loss(ctx: ReviewContext) -> Ruling:
    """The soft limit stops entries; past the hard one the account has to be halted as well."""
    opened = ctx.book.equity_at_open
    if opened is None or opened <= 0:
        return Ruling("daily_loss", False, "unknown", f"< {ctx.limits.daily_loss_soft:.2%}")
    loss = 1 - ctx.book.account.equity / opened
    hard = " (past the hard limit: halt)" if loss >= ctx.limits.daily_loss_hard else ""
    bound = f"< {ctx.limits.daily_loss_soft:.2%} since the open"
    return Ruling("daily_loss", loss < ctx.limits.daily_loss_soft, f"{loss:.2%}{hard}", bound)


def drawdown(ctx: ReviewContext) -> Ruling:
    peak, equity = ctx.book.peak_equity, ctx.book.account.equity
    bound = f"< {ctx.limits.drawdown_stop:.2%} below the peak"
    if peak is None:
        return Ruling("drawdown", False, "unknown", bound)
    allowed = drawdown_scale(equity, peak, ctx.limits) > 0
    return Ruling("drawdown", allowed, f"{1 - equity / max(peak, equity):.2%}", bound)


# --- the instrument and the price ---


def standard_contracts(ctx: ReviewContext) -> Ruling:
    """Adjusted contracts deliver something else than 100 shares: held to the end, never opened."""
    odd = [c for c in ctx.order.structure.contracts if not c.standard or c.multiplier != STANDARD_MULTIPLIER]
    value = ", ".join(c.symbol.strip() for c in odd) or "standard"
    return Ruling("standard_contracts", not odd, value, "standard, 100 shares each")


def expiry_ahead(ctx: ReviewContext) -> Ruling:
    expiries = [contract.expiry for contract in ctx.order.structure.contracts]
    value = str(min(expiries)) if expiries else "no expiry"
    return Ruling("expiry_ahead", all(e >= ctx.session for e in expiries), value, f">= {ctx.session}")


def bounded_loss(ctx: ReviewContext) -> Ruling:
    loss = ctx.sizing.unit_loss
    known = loss is not None and loss.is_finite()
    return Ruling(
        "bounded_loss", known, f"${loss:,.2f} a unit" if loss is not None else "none", "above $0, bounded"
    )


# --- duplicates ---


def one_per_underlying(ctx: ReviewContext) -> Ruling:
    found = sum(e.structure.underlying == ctx.underlying for e in _mine(ctx))
    return Ruling("one_per_underlying", found == 0, f"{found} in {ctx.underlying}", "none held or pending")


def no_working_order(ctx: ReviewContext) -> Ruling:
    """Of any strategy, either side: a broker takes opposite orders on one contract for a wash trade."""
    wanted = {leg.instrument for leg in ctx.order.structure.legs}
    working = [o.client_order_id for o in ctx.book.working_on(wanted)]
    batch = [a.order.client_order_id for a in ctx.approved if wanted & {x.instrument for x in a.order.legs}]
    found = ", ".join((*working, *batch)) or "none"
    return Ruling("no_working_order", found == "none", found, "no other order on the same contracts")


# --- how many ---


def buying_power(ctx: ReviewContext) -> Ruling:
    left = available_power(ctx.book, ctx.order.structure, ctx.approved)
    if left is None:
        return Ruling("buying_power", False, "unknown", f">= ${ctx.max_loss:,.2f}")
    return Ruling("buying_power", ctx.max_loss <= left, f"${left:,.2f}", f">= ${ctx.max_loss:,.2f}")


def fits_budget(ctx: ReviewContext) -> Ruling:
    """Not even one unit fits: the trade is left alone, never rounded up."""
    loss = ctx.sizing.unit_loss
    value = "unknown" if loss is None else f"${loss:,.2f} a unit"
    return Ruling("fits_budget", ctx.sizing.quantity >= 1, value, f"<= ${ctx.sizing.budget:,.2f}")


def trade_loss(ctx: ReviewContext) -> Ruling:
    share = trade_share(ctx.strategy, ctx.limits)
    cap = share * _equity(ctx)
    bound = f"<= ${cap:,.2f} ({share:.2%} of equity)"
    return Ruling("trade_loss", ctx.max_loss <= cap, f"${ctx.max_loss:,.2f}", bound)


# --- what is open already ---


def open_count(ctx: ReviewContext) -> Ruling:
    found, most = len(_mine(ctx)), ctx.strategy.max_open
    return Ruling("open_count", found < most, f"{found} open or pending", f"< {most}")


def sector_count(ctx: ReviewContext) -> Ruling:
    sector, most = _sector(ctx, ctx.underlying), ctx.strategy.max_per_sector
    found = sum(_sector(ctx, e.structure.underlying) == sector for e in _mine(ctx))
    return Ruling("sector_count", found < most, f"{found} in {sector}", f"< {most}")


def new_this_session(ctx: ReviewContext) -> Ruling:
    found = sum(e.opened in (None, ctx.session) for e in _mine(ctx))
    most = ctx.strategy.max_new_per_session
    return Ruling("new_this_session", found < most, f"{found} entered or pending", f"< {most}")


def strategy_risk(ctx: ReviewContext) -> Ruling:
    share = Decimal(str(ctx.strategy.max_total_risk))
    return _capped(ctx, "strategy_risk", share, lambda e: e.strategy == ctx.strategy.name)


def underlying_risk(ctx: ReviewContext) -> Ruling:
    share = ctx.limits.underlying_max_loss
    return _capped(ctx, "underlying_risk", share, lambda e: e.structure.underlying == ctx.underlying)


def sector_risk(ctx: ReviewContext) -> Ruling:
    sector = _sector(ctx, ctx.underlying)
    share = ctx.limits.sector_max_loss
    return _capped(ctx, "sector_risk", share, lambda e: _sector(ctx, e.structure.underlying) == sector)


def premium_at_risk(ctx: ReviewContext) -> Ruling:
    """Long options can lose all they cost; an order with a short leg adds nothing here."""
    name, share = "premium_at_risk", ctx.limits.premium_at_risk
    if not _all_long(ctx.order.structure):
        return Ruling(name, True, "not long options only", f"<= {share:.2%} of equity")
    return _capped(ctx, name, share, lambda e: _all_long(e.structure))


def total_risk(ctx: ReviewContext) -> Ruling:
    return _capped(ctx, "total_risk", ctx.limits.total_defined_risk, lambda e: True)


CHECKS: tuple[Check, ...] = (
    account_active,
    options_level,
    equity_known,
    daily_loss,
    drawdown,
    standard_contracts,
    expiry_ahead,
    bounded_loss,
    one_per_underlying,
    no_working_order,
    buying_power,
    fits_budget,
    trade_loss,
    open_count,
    sector_count,
    new_this_session,
    strategy_risk,
    underlying_risk,
    sector_risk,
    premium_at_risk,
    total_risk,
)


# --- exits ---


def closable(
    book: Book, strategy: StrategyName, structure: Structure, approved: Iterable[ApprovedOrder]
) -> int:
    """Units that can still be closed: held, less those that a closing order already asks for."""
    key = structure.symbol
    held = sum(p.quantity for p in book.held(strategy) if p.structure.symbol == key)
    working = sum(o.quantity for o in book.open_orders if not o.opening and o.structure.symbol == key)
    batch = sum(
        a.order.quantity
        for a in approved
        if a.order.effect is Effect.CLOSE and a.order.structure.symbol == key
    )
    return held - working - batch


def only_what_is_held(ctx: ReviewContext) -> Ruling:
    """A close larger than the holding would open the other side."""
    most = closable(ctx.book, ctx.strategy.name, ctx.order.structure, ctx.approved)
    return Ruling("only_what_is_held", ctx.order.quantity <= most, str(ctx.order.quantity), f"<= {most}")


def priced(ctx: ReviewContext) -> Ruling:
    limit = ctx.order.limit
    return Ruling("priced", limit.is_finite(), str(limit), "a finite price")


CLOSE_CHECKS: tuple[Check, ...] = (only_what_is_held, priced)


def run_checks(ctx: ReviewContext, checks: Iterable[Check]) -> tuple[Ruling, ...]:
    """The ruling of every rule. One that cannot be evaluated refuses."""
    return tuple(_ruling(check, ctx) for check in checks)


def _ruling(check: Check, ctx: ReviewContext) -> Ruling:
    try:
        return check(ctx)
    except Exception as error:
        name = getattr(check, "__name__", repr(check))
        return Ruling(name, False, f"{type(error).__name__}: {error}", "a rule that can be evaluated")
