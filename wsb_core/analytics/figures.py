"""The key figures of a run as text, each with how it was made and what it means."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import TYPE_CHECKING

from . import format as fmt
from . import metrics

if TYPE_CHECKING:
    from .report import Report


@dataclass(frozen=True, slots=True)
class Figure:
    """``value`` is ready to print; ``basis`` says what it was made of; ``tone`` is gain, loss or empty."""

    label: str
    value: str
    basis: str
    definition: str
    tone: str = ""


def ruined_on(report: Report) -> date | None:
    """The first session that ended without equity; None when there was always some."""
    return next((point.session for point in report.equity if point.equity <= 0), None)


def returns_of(report: Report) -> tuple[float, ...]:
    """Daily time-weighted returns of the report's equity, the first against the initial capital.

    They end with the session on which equity was gone: after it there is nothing to measure against.
    """
    ruin = ruined_on(report)
    points = [point for point in report.equity if ruin is None or point.session <= ruin]
    return metrics.daily_returns(
        float(report.initial),
        [float(point.equity) for point in points],
        [float(point.transfer) for point in points],
    )


def key_figures(report: Report) -> tuple[Figure, ...]:
    """The figures in the order a reader asks: how much, how often right, at which rates, against what."""
    if not report.equity:
        return ()
    return (*_growth(report), *_trades(report), *_rates(report), *_benchmark(report))


def _growth(report: Report) -> tuple[Figure, ...]:
    returns = returns_of(report)
    gained = metrics.total_return(returns)
    fall = metrics.max_drawdown(returns)
    days = [report.start, *(point.session for point in report.equity)]
    ended = "recovered" if fall.recovered is not None else "not recovered"
    return (
        Figure(
            "Equity",
            fmt.money(report.equity[-1].equity),
            f"from {fmt.money(report.initial)}",
            "Cash plus the marks of open positions at the end of the last session.",
        ),
        Figure(
            "Total return",
            fmt.percent(gained, signed=True, places=2),
            f"{len(returns)} sessions",
            "Compounded daily returns from the initial capital on, deposits and withdrawals taken out.",
            _tone(gained),
        ),
        Figure(
            "Max drawdown",
            fmt.percent(fall.depth, places=2),
            f"{fall.length} sessions from {days[fall.peak]}, {ended}" if fall.depth else "no fall",
            "Deepest fall from a peak, the initial capital counted as the first peak; at session ends.",
            _tone(fall.depth),
        ),
    )


def _rates(report: Report) -> tuple[Figure, ...]:
    returns = returns_of(report)
    n = f"n = {len(returns)} daily returns"
    yearly = metrics.cagr(returns, report.start, report.end)
    return (
        Figure(
            "CAGR",
            _ratio(yearly),
            "calendar days, 365.25 to the year",
            "Compound annual growth rate; not given for spans under 365 days.",
            _tone(yearly),
        ),
        Figure(
            "Volatility",
            _ratio(metrics.volatility(returns)),
            f"{n}, 252 to the year",
            "Sample standard deviation of daily returns times the root of 252.",
        ),
        Figure(
            "Sharpe",
            _plain(metrics.sharpe(returns)),
            f"{n}, risk-free 0%",
            "Mean daily excess return over its standard deviation, times the root of 252; needs 60 returns.",
        ),
        Figure(
            "Sortino",
            _plain(metrics.sortino(returns)),
            f"{n}, risk-free 0%",
            "As Sharpe, over the root mean square of negative days, all days counted.",
        ),
        Figure(
            "VaR 95",
            _ratio(metrics.value_at_risk(returns)),
            f"{n}, historical",
            "The daily return that was undershot on one day in twenty. A loss is negative.",
        ),
        Figure(
            "Expected shortfall 95",
            _ratio(metrics.expected_shortfall(returns)),
            f"{n}, historical",
            "Mean of the days at or below VaR 95.",
        ),
    )


def _benchmark(report: Report) -> tuple[Figure, ...]:
    if not report.benchmark:
        return ()
    index = metrics.daily_returns(report.benchmark[0], report.benchmark[1:])
    returns = returns_of(report)
    found = metrics.against(returns, index[: len(returns)])
    alpha, beta = (found.alpha, found.beta) if isinstance(found, metrics.Against) else (found, found)
    name = report.benchmark_name or "an unnamed benchmark"
    gained = fmt.percent(metrics.total_return(index), signed=True, places=2)
    return (
        Figure(
            "Alpha, yearly",
            _ratio(alpha),
            f"against {name}, which made {gained}",
            "Jensen's alpha: the intercept of daily excess returns regressed on the benchmark's, times 252.",
            _tone(alpha),
        ),
        Figure("Beta", _plain(beta), f"against {name}", "Slope of the same regression."),
    )


def _trades(report: Report) -> tuple[Figure, ...]:
    closed = [trade for trade in report.trades if trade.closed and trade.profit is not None]
    profits = [float(trade.profit) for trade in closed if trade.profit is not None]
    rate = metrics.win_rate(profits)
    shown, basis = str(rate), "closed trades"
    if isinstance(rate, metrics.WinRate):
        shown = fmt.percent(rate.rate)
        interval = f"{fmt.percent(rate.low, places=0)} to {fmt.percent(rate.high, places=0)}"
        basis = f"{rate.wins} of {rate.n}; 95% interval {interval}{_needed(profits)}"
    total = sum((trade.profit for trade in closed if trade.profit is not None), Decimal(0))
    return (
        Figure(
            "Closed trades",
            fmt.quantity(len(closed)),
            f"{fmt.quantity(len(report.trades) - len(closed))} open or unmarked; "
            f"closed {fmt.money(total, signed=True)}",
            "Structures with no unit left and a known profit after fees.",
        ),
        Figure(
            "Win rate",
            shown,
            basis,
            "Closed trades with a profit above zero after fees, with the Wilson interval. Break-even is the "
            "rate at which the average win pays for the average loss.",
        ),
        Figure(
            "Profit factor",
            _plain(metrics.profit_factor(profits)),
            "after fees",
            "Sum of winning over sum of losing closed trades.",
        ),
    )


def _needed(profits: list[float]) -> str:
    wins, losses = [p for p in profits if p > 0], [-p for p in profits if p < 0]
    if not wins or not losses:
        return ""
    needed = metrics.break_even_win_rate(sum(wins) / len(wins), sum(losses) / len(losses))
    return f"; break-even {fmt.percent(needed, places=0)}"


def _ratio(value: metrics.Estimate) -> str:
    return _shown(value, lambda ratio: fmt.percent(ratio, places=2))


def _plain(value: metrics.Estimate) -> str:
    return _shown(value, fmt.number)


def _shown(value: metrics.Estimate, how: Callable[[float], str]) -> str:
    return how(value) if isinstance(value, float) else fmt.unknown(str(value))


def _tone(value: metrics.Estimate) -> str:
    if not isinstance(value, float) or value == 0:
        return ""
    return "gain" if value > 0 else "loss"
