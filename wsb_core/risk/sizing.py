"""How many: whole units from a budget, and the bets that Kelly's formula allows. Never forced up to one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import ROUND_FLOOR, Decimal
from math import isfinite, sqrt

from wsb_core.domain.contracts import OptionContract
from wsb_core.domain.ids import Cash, Price
from wsb_core.domain.positions import Book
from wsb_core.domain.strategy import AnyStrategy
from wsb_core.domain.structures import Structure

from .limits import HARD_CAP_PER_TRADE, RiskLimits

NOTHING = Cash(Decimal(0))
FEWEST_TRADES = 30
"""Below this many trades a sample says nothing about an edge, and Kelly's bet is zero."""


@dataclass(frozen=True, slots=True)
class Sizing:
    """Units that fit, and why: ``unit_loss`` is the most one unit can lose, fees included.

    ``unit_loss`` is None when the structure does not bound its loss; then nothing fits.
    """

    quantity: int
    budget: Cash
    unit_loss: Cash | None


def size(
    structure: Structure,
    limit: Price,
    book: Book,
    strategy: AnyStrategy,
    limits: RiskLimits,
    pending: Cash,
    available: Cash | None,
) -> Sizing:
    """Whole units whose loss stays within the trade's budget and within buying power.

    ``pending`` is the max loss of orders in flight and ``available`` the buying power they leave,
    None when unknown. The quantity is 0 whenever a figure is missing.
    """
    budget = trade_budget(book, strategy, limits, pending)
    loss = unit_loss(structure, limit, limits)
    if budget is None or loss is None or available is None:
        return Sizing(0, budget or NOTHING, loss)
    return Sizing(units(Cash(min(budget, available)), loss), budget, loss)


def trade_budget(book: Book, strategy: AnyStrategy, limits: RiskLimits, pending: Cash) -> Cash | None:
    """Dollars that one new structure may lose: a share of equity, less on the drawdown ladder.

    Equity is the lower of now and the session's open, less ``pending``, so that gains of the day
    and orders in flight never enlarge a trade. None when equity at the open or its peak is unknown, or
    nothing is left.
    """
    account = book.account
    if book.equity_at_open is None or book.peak_equity is None or account.equity <= 0:
        return None
    equity = min(account.equity, book.equity_at_open) - pending
    scale = drawdown_scale(account.equity, book.peak_equity, limits)
    return Cash(max(Decimal(0), equity * trade_share(strategy, limits) * scale))


def trade_share(strategy: AnyStrategy, limits: RiskLimits) -> Decimal:
    """The strictest of the strategy's own share, the limit in force and the hard cap."""
    own = Decimal(str(strategy.max_risk_per_trade))
    return min(own, limits.max_loss_per_trade, HARD_CAP_PER_TRADE)


def drawdown_scale(equity: Cash, peak: Cash, limits: RiskLimits) -> Decimal:
    """How much of the usual size is allowed this far below the peak: 1, less, or 0 at the stop."""
    fall = 1 - equity / max(peak, equity)
    if fall >= limits.drawdown_stop:
        return Decimal(0)
    if fall >= limits.drawdown_halve:
        return limits.halved_size
    return limits.reduced_size if fall >= limits.drawdown_reduce else Decimal(1)


def unit_loss(structure: Structure, limit: Price, limits: RiskLimits) -> Cash | None:
    """The most one unit opened at ``limit`` can lose, with fees; None when nothing bounds it.

    A structure that cannot lose is mispriced, not free: that is None as well.
    """
    loss = structure.max_loss(limit)
    if loss is None or loss <= 0:
        return None
    contracts = sum(abs(leg.ratio) for leg in structure.legs if isinstance(leg.instrument, OptionContract))
    return Cash(loss + limits.fees_per_contract * contracts)


def units(budget: Cash, loss: Cash) -> int:
    """Whole units of ``loss`` dollars that fit in ``budget``; 0 when not even one does."""
    if loss <= 0 or budget <= 0:
        return 0
    return int((budget / loss).to_integral_value(ROUND_FLOOR))


def kelly_at_risk(win_rate: float, win: float, loss: float) -> float:
    """Share of equity to lose if the bet loses: p - q/b with b = win/loss, and 0 without an edge.

    ``win`` and ``loss`` are positive shares of the position: 1.5 wins one and a half times it.
    Source: Kelly (1956); the same number as (p W - q L)/W.
    """
    if not (0 <= win_rate <= 1 and win > 0 and loss > 0):
        return 0.0
    return max(0.0, win_rate - (1 - win_rate) * loss / win)


def kelly_position(win_rate: float, win: float, loss: float) -> float:
    """Share of equity to put into the position, p/L - q/W: above 1 it would have to be borrowed."""
    return kelly_at_risk(win_rate, win, loss) / loss if loss > 0 else 0.0


def kelly_of_trades(returns: Sequence[float]) -> float:
    """Share of equity in each position that would have grown the account fastest over ``returns``.

    ``returns`` are profits as shares of the position, -1 is all of it lost. 0 below
    ``FEWEST_TRADES``, when the mean is not positive, or when any return is not a number. A sample
    that never lost has no optimum: 0 as well.
    Source: maximises mean log(1 + f r), whose slope falls in f; its zero is found by bisection.
    """
    known = all(map(isfinite, returns))
    if not known or len(returns) < FEWEST_TRADES or sum(returns) <= 0 or min(returns) >= 0:
        return 0.0
    low, high = 0.0, 1 / -min(returns)
    for _ in range(60):
        middle = (low + high) / 2
        slope = sum(r / (1 + middle * r) for r in returns)
        low, high = (middle, high) if slope > 0 else (low, middle)
    return low


def win_rate_floor(wins: int, trades: int, deviations: float = 1.645) -> float:
    """Lower bound of a win rate, one-sided 95 % by default; 0 below ``FEWEST_TRADES``.

    Source: Wilson (1927) score interval.
    """
    if trades < FEWEST_TRADES or not 0 <= wins <= trades:
        return 0.0
    rate, square = wins / trades, deviations**2
    centre = rate + square / (2 * trades)
    spread = deviations * sqrt(rate * (1 - rate) / trades + square / (4 * trades**2))
    return max(0.0, (centre - spread) / (1 + square / trades))


def kelly_contracts(
    equity: Cash, at_risk: float, fraction: float, premium: Price, loss: float, multiplier: int = 100
) -> int:
    """Contracts that lose ``fraction`` of Kelly's ``at_risk`` of equity when the bet loses.

    ``premium`` is positive dollars per share and ``loss`` the share of it that a losing trade costs.
    """
    if not (isfinite(at_risk) and at_risk > 0 and fraction > 0 and loss > 0):
        return 0
    budget = equity * Decimal(str(at_risk)) * Decimal(str(fraction))
    return units(Cash(budget), Cash(premium * multiplier * Decimal(str(loss))))
