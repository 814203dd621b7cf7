"""Figures of performance, each with its definition, and a value that says why when there is none.

Returns are fractions per session (0.01 is 1%); losses are negative. 252 sessions a year. A NaN is refused
everywhere: a missing day is a fault of the input, not a day without change.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from statistics import NormalDist

SESSIONS_A_YEAR = 252
DAYS_A_YEAR = 365.25
ENOUGH_RETURNS = 60
"""Fewer daily returns than this give no ratio and no tail worth printing."""
ENOUGH_DAYS = 365
"""A shorter span is not annualised: three good weeks are not a yearly rate."""
_SAME = 1e-12


@dataclass(frozen=True, slots=True)
class NotEnough:
    """There are ``n`` observations and the figure needs ``needed``."""

    n: int
    needed: int
    unit: str = "returns"

    def __str__(self) -> str:
        return f"not enough data: {self.n} {self.unit}, needs {self.needed}"


@dataclass(frozen=True, slots=True)
class Undefined:
    """The formula has no value on this input, whatever its length."""

    reason: str

    def __str__(self) -> str:
        return self.reason


Estimate = float | NotEnough | Undefined


@dataclass(frozen=True, slots=True)
class Drawdown:
    """The deepest fall from a peak. Indices count from 0, the initial capital.

    ``depth`` is zero or negative (-0.25 is a quarter lost); ``length`` counts sessions from the peak
    until the peak was seen again, or to the end when ``recovered`` is None.
    """

    depth: float
    peak: int
    trough: int
    recovered: int | None
    length: int


@dataclass(frozen=True, slots=True)
class WinRate:
    """``wins`` of ``n`` closed trades, with the 95% Wilson interval from ``low`` to ``high``."""

    wins: int
    n: int
    low: float
    high: float

    @property
    def rate(self) -> float:
        return self.wins / self.n


@dataclass(frozen=True, slots=True)
class Against:
    """A strategy against a benchmark, by regression of daily excess returns; ``alpha`` per year."""

    alpha: float
    beta: float
    information_ratio: Estimate


def daily_returns(
    initial: float, equity: Sequence[float], transfers: Sequence[float] | None = None
) -> tuple[float, ...]:
    """Return of each session, the first against the initial capital.

    ``transfers`` is the money paid in (+) or out (-) during each session: it is taken out, so the chain of
    returns is time-weighted.

    Raises: ValueError for NaN, for equity that is not positive before the last day, or unequal lengths.
    """
    values = _finite((initial, *equity), "equity")
    moved = _finite(transfers, "transfers") if transfers is not None else (0.0,) * len(equity)
    if len(moved) != len(equity):
        raise ValueError(
            f"transfers has {len(moved)} entries for {len(equity)} of equity: pass one a session"
        )
    bad = next((i for i, value in enumerate(values[:-1]) if value <= 0), None)
    if bad is not None:
        raise ValueError(f"equity[{bad}] is {values[bad]}: a return needs positive equity before it")
    return tuple((values[i + 1] - moved[i]) / values[i] - 1 for i in range(len(equity)))


def total_return(returns: Sequence[float]) -> float:
    """Compounded return of the whole span; 0 for no session."""
    return math.prod(1 + r for r in _finite(returns)) - 1


def cagr(returns: Sequence[float], start: date, end: date) -> Estimate:
    """Compound annual growth rate over calendar days, 365.25 to the year.

    ``start`` is the day of the initial capital (the session before the first return).
    """
    days = (end - start).days
    if days < ENOUGH_DAYS:
        return NotEnough(max(days, 0), ENOUGH_DAYS, "calendar days")
    growth = 1 + total_return(returns)
    if growth <= 0:
        return -1.0
    return float(growth ** (DAYS_A_YEAR / days) - 1)


def volatility(returns: Sequence[float]) -> Estimate:
    """Sample standard deviation of daily returns (n - 1) x sqrt(252)."""
    values = _finite(returns)
    if len(values) < ENOUGH_RETURNS:
        return NotEnough(len(values), ENOUGH_RETURNS)
    return _deviation(values) * math.sqrt(SESSIONS_A_YEAR)


def sharpe(returns: Sequence[float], risk_free: float = 0.0) -> Estimate:
    """Mean daily excess return over its standard deviation (n - 1) x sqrt(252).

    ``risk_free`` is a yearly rate, taken off each day as its 252nd root. No correction for
    autocorrelation. Source: Sharpe, "The Sharpe Ratio", 1994.
    """
    values = _finite(returns)
    if len(values) < ENOUGH_RETURNS:
        return NotEnough(len(values), ENOUGH_RETURNS)
    excess = _excess(values, risk_free)
    deviation = _deviation(excess)
    if deviation < _SAME:
        return Undefined("returns do not vary")
    return _mean(excess) / deviation * math.sqrt(SESSIONS_A_YEAR)


def sortino(returns: Sequence[float], risk_free: float = 0.0) -> Estimate:
    """Mean daily excess return over its downside deviation x sqrt(252).

    The downside deviation is the root of the mean of squared negative excess returns over *all* days.
    Source: Sortino and Price, 1994.
    """
    values = _finite(returns)
    if len(values) < ENOUGH_RETURNS:
        return NotEnough(len(values), ENOUGH_RETURNS)
    excess = _excess(values, risk_free)
    downside = math.sqrt(math.fsum(min(r, 0.0) ** 2 for r in excess) / len(excess))
    if downside < _SAME:
        return Undefined("no day below the risk-free rate")
    return _mean(excess) / downside * math.sqrt(SESSIONS_A_YEAR)


def max_drawdown(returns: Sequence[float]) -> Drawdown:
    """The deepest fall, the initial capital counted as the first peak; the earliest when equal."""
    levels = [1.0]
    for r in _finite(returns):
        levels.append(levels[-1] * (1 + r))
    peak, found = 0, (0.0, 0, 0)
    for i, level in enumerate(levels):
        if level >= levels[peak]:
            peak = i
        depth = level / levels[peak] - 1
        if depth < found[0]:
            found = (depth, peak, i)
    depth, top, trough = found
    if depth == 0:
        return Drawdown(0.0, 0, 0, 0, 0)
    recovered = next((i for i in range(trough, len(levels)) if levels[i] >= levels[top]), None)
    end = recovered if recovered is not None else len(levels) - 1
    return Drawdown(depth, top, trough, recovered, end - top)


def underwater(returns: Sequence[float]) -> tuple[float, ...]:
    """Fall from the highest level so far after each session (zero or negative)."""
    level = peak = 1.0
    found = []
    for r in _finite(returns):
        level *= 1 + r
        peak = max(peak, level)
        found.append(level / peak - 1)
    return tuple(found)


def win_rate(profits: Sequence[float]) -> WinRate | NotEnough:
    """Share of closed trades with a profit above zero after fees; break-even is not a win.

    Source of the interval: Wilson, 1927, at 95% without continuity correction.
    """
    values = _finite(profits, "profits")
    n = len(values)
    if n == 0:
        return NotEnough(0, 1, "closed trades")
    wins = sum(value > 0 for value in values)
    z = NormalDist().inv_cdf(0.975)
    share, scale = wins / n, 1 + z * z / n
    centre = (share + z * z / (2 * n)) / scale
    half = z * math.sqrt(share * (1 - share) / n + z * z / (4 * n * n)) / scale
    return WinRate(wins, n, max(0.0, centre - half), min(1.0, centre + half))


def profit_factor(profits: Sequence[float]) -> Estimate:
    """Sum of winning over sum of losing closed trades, both positive, after fees."""
    values = _finite(profits, "profits")
    if not values:
        return NotEnough(0, 1, "closed trades")
    lost = -math.fsum(value for value in values if value < 0)
    if lost == 0:
        return Undefined("no losing trade")
    return math.fsum(value for value in values if value > 0) / lost


def break_even_win_rate(gain: float, loss: float) -> float:
    """Share of wins that pays for the losses, before costs, given the average size of each (positive).

    Raises: ValueError unless both are positive.
    """
    if not (gain > 0 and loss > 0):
        raise ValueError(f"gain and loss must be positive sizes, not {gain} and {loss}")
    return loss / (gain + loss)


def value_at_risk(returns: Sequence[float], tail: float = 0.05) -> Estimate:
    """The daily return that was undershot on ``tail`` of the days: historical, linear between two days.

    A loss is negative: -0.018 says that one day in twenty lost 1.8% or more.
    """
    values = sorted(_finite(returns))
    if len(values) < ENOUGH_RETURNS:
        return NotEnough(len(values), ENOUGH_RETURNS)
    place = (len(values) - 1) * tail
    low = math.floor(place)
    high = min(low + 1, len(values) - 1)
    return values[low] + (values[high] - values[low]) * (place - low)


def expected_shortfall(returns: Sequence[float], tail: float = 0.05) -> Estimate:
    """Mean of the days at or below the historical value at risk; a loss is negative."""
    values = sorted(_finite(returns))
    if len(values) < ENOUGH_RETURNS:
        return NotEnough(len(values), ENOUGH_RETURNS)
    return _mean(values[: math.floor((len(values) - 1) * tail) + 1])


def against(
    returns: Sequence[float], benchmark: Sequence[float], risk_free: float = 0.0
) -> Against | NotEnough | Undefined:
    """Jensen's alpha and beta against a total-return benchmark on the same sessions.

    alpha = (mean excess - beta x mean benchmark excess) x 252; the information ratio is the mean
    active return over its standard deviation x sqrt(252). Source: Jensen, 1968.

    Raises: ValueError when the two are not the same length.
    """
    own, other = _finite(returns), _finite(benchmark, "benchmark")
    if len(own) != len(other):
        raise ValueError(f"benchmark has {len(other)} returns for {len(own)}: pass the same sessions")
    if len(own) < ENOUGH_RETURNS:
        return NotEnough(len(own), ENOUGH_RETURNS)
    own, other = _excess(own, risk_free), _excess(other, risk_free)
    mean_own, mean_other = _mean(own), _mean(other)
    variance = math.fsum((b - mean_other) ** 2 for b in other)
    if variance < _SAME**2:
        return Undefined("the benchmark does not vary")
    covariance = math.fsum((a - mean_own) * (b - mean_other) for a, b in zip(own, other, strict=True))
    beta = covariance / variance
    active = tuple(a - b for a, b in zip(own, other, strict=True))
    error = _deviation(active)
    ratio: Estimate = Undefined("it never differs from the benchmark")
    if error >= _SAME:
        ratio = _mean(active) / error * math.sqrt(SESSIONS_A_YEAR)
    return Against((mean_own - beta * mean_other) * SESSIONS_A_YEAR, beta, ratio)


def _finite(values: Sequence[float], name: str = "returns") -> tuple[float, ...]:
    for i, value in enumerate(values):
        if not math.isfinite(value):
            raise ValueError(f"{name}[{i}] is {value}: fill or drop the session before measuring it")
    return tuple(float(value) for value in values)


def _mean(values: Sequence[float]) -> float:
    return math.fsum(values) / len(values)


def _deviation(values: Sequence[float]) -> float:
    mean = _mean(values)
    return math.sqrt(math.fsum((value - mean) ** 2 for value in values) / (len(values) - 1))


def _excess(values: Sequence[float], risk_free: float) -> tuple[float, ...]:
    daily = (1 + risk_free) ** (1 / SESSIONS_A_YEAR) - 1
    return tuple(value - daily for value in values)
