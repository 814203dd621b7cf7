"""Volatility over strike and time, and the figures that are read from it.

Between expiries total variance runs straight in time on the chosen clock at constant ln(strike / forward).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

import numpy as np

from .clock import Clock, YearsTo
from .forward import ExpiryQuotes, Forward, ForwardStatus
from .smile import Smile, SmileStatus

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    Floats = NDArray[np.float64]

A_TRADING_DAY = 1.0 / 252.0
THIRTY_DAYS = 30.0 / 365.0
IV_WINDOW, IV_LEAST = 252, 126
"""Stored days that rank a volatility, and the fewest that may."""
_LEAST_BASE = 2.0 / 365.0
"""Years to an expiry before the event under which its volatility is mostly the time of day."""
_BASE_SPAN = 6.5 / 365.0
"""Years between two expiries from which their forward volatility holds a weekend as every week does."""
_EXPECTED_ABSOLUTE = math.sqrt(2.0 / math.pi)


@dataclass(frozen=True, slots=True, eq=False)
class Surface:
    """Smiles of one underlying by time, ascending. Made by ``surface``."""

    smiles: tuple[Smile, ...]
    times: Floats
    """Years to each smile's settlement on ``clock``."""
    clock: Clock

    def total_variance(self, moneyness: ArrayLike, time: ArrayLike) -> Floats:
        """Variance until ``time`` (years on ``clock``) at ln(strike / forward); arguments broadcast.

        Before the first expiry and after the last, variance runs at the pace of that expiry.

        Raises: ValueError when a time is negative or not a number.
        """
        k, t = np.broadcast_arrays(np.asarray(moneyness, dtype=float), np.asarray(time, dtype=float))
        if not (t >= 0).all():
            raise ValueError(f"time must be at least 0 years, not {t[~(t >= 0)].flat[0]}")
        at = np.searchsorted(self.times, t.ravel())
        near, far = np.maximum(at - 1, 0), np.minimum(at, len(self.times) - 1)
        flat = k.ravel()
        before, after = self._at(near, flat), self._at(far, flat)
        span = self.times[far] - self.times[near]
        outside = near == far
        share = np.where(outside, 0.0, (t.ravel() - self.times[near]) / np.where(outside, 1.0, span))
        found = np.where(
            (at == 0) | (at == len(self.times)),
            before * t.ravel() / self.times[near],
            before + share * (after - before),
        )
        return found.reshape(k.shape)

    def vol(self, moneyness: ArrayLike, years: ArrayLike, time: ArrayLike | None = None) -> Floats:
        """Annual volatility on the calendar clock, ``years`` ahead; ``time`` is the same on ``clock``.

        Raises: ValueError as ``total_variance``, when years is not positive, and when ``time`` is left out
        on a surface that does not run on the calendar clock.
        """
        ahead = np.asarray(years, dtype=np.float64)
        if not (ahead > 0).all():
            raise ValueError(f"years must be positive, not {ahead[~(ahead > 0)].flat[0]}")
        if time is None and self.clock is not Clock.CALENDAR:
            raise ValueError(f"time is needed, in years on the {self.clock} clock; see clock.years_to")
        found: Floats = np.sqrt(self.total_variance(moneyness, ahead if time is None else time) / ahead)
        return found

    def atm_vols(self) -> Floats:
        """Volatility at the forward, one a smile, on the calendar clock."""
        return np.array([float(s.vol(s.forward.forward)) for s in self.smiles])

    def _at(self, index: NDArray[np.intp], moneyness: Floats) -> Floats:
        found = np.empty_like(moneyness)
        for one in np.unique(index):
            here = index == one
            found[here] = self.smiles[one].total_variance(moneyness[here])
        return found


def surface(smiles: Sequence[Smile], times: Sequence[YearsTo]) -> Surface:
    """The surface through the ``OK`` smiles; ``times`` are theirs, all on one clock.

    Raises: ValueError when no smile is ``OK``, when clocks are mixed, or when two smiles share an instant
    (one root at a time, or AM and PM roots together).
    """
    clocks = {time.clock for time in times}
    if len(clocks) > 1:
        raise ValueError(
            f"times must be on one clock, not {sorted(clocks)}; ask clock.years_to alike for all"
        )
    kept = sorted(
        (
            (time.years, smile)
            for smile, time in zip(smiles, times, strict=True)
            if smile.status is SmileStatus.OK
        ),
        key=lambda pair: pair[0],
    )
    if not kept:
        raise ValueError("a surface needs at least one smile that is ok; look at the smiles' status")
    years = np.array([pair[0] for pair in kept])
    if (np.diff(years) <= 0).any() or years[0] <= 0:
        raise ValueError(f"smiles must settle at different instants ahead, not after {years.tolist()} years")
    return Surface(tuple(pair[1] for pair in kept), years, clocks.pop())


@dataclass(frozen=True, slots=True)
class CalendarBreak:
    """Less total variance at a later expiry than at an earlier one, same moneyness: calendar arbitrage."""

    near: float
    """Years to the earlier expiry on the surface's clock."""
    far: float
    moneyness: float
    """Where it is worst."""
    vol_points: float
    """How much the later volatility is too low there."""


def calendar_breaks(surface: Surface, tolerance: float = 0.0) -> tuple[CalendarBreak, ...]:
    """Neighbouring expiries whose total variance falls with time, where both are quoted.

    ``tolerance`` in vol points of the later expiry; nothing found is an empty tuple.
    """
    found = []
    for i in range(len(surface.smiles) - 1):
        near, far = surface.smiles[i], surface.smiles[i + 1]
        low, high = max(near.low, far.low), min(near.high, far.high)
        if low >= high:
            continue
        k = np.linspace(low, high, 101)
        later = far.total_variance(k)
        least = np.maximum(near.total_variance(k), later)
        short = 100.0 * (np.sqrt(least) - np.sqrt(later)) / math.sqrt(far.years)
        at = int(np.argmax(short))
        if short[at] > tolerance:
            times = (float(surface.times[i]), float(surface.times[i + 1]))
            found.append(CalendarBreak(*times, float(k[at]), float(short[at])))
    return tuple(found)


class FigureStatus(StrEnum):
    """Why a figure is there or is not; anything but ``OK`` comes with None."""

    OK = "ok"
    NO_BRACKET = "no expiry on both sides"
    NO_EXPIRY_AFTER = "no expiry after the event"
    NO_BASE = "no volatility without the event"
    NO_FORWARD = "no forward"
    NO_STRADDLE = "no quoted straddle near the forward"
    INSUFFICIENT_HISTORY = "insufficient history"
    NO_CURRENT_VOL = "no current volatility"


@dataclass(frozen=True, slots=True)
class ConstantMaturity:
    """At-the-money volatility at a fixed distance in time."""

    status: FigureStatus
    vol: float | None


def constant_maturity_vol(years: ArrayLike, vols: ArrayLike, target: float = THIRTY_DAYS) -> ConstantMaturity:
    """At-the-money volatility ``target`` years ahead, straight in total variance between two expiries.

    Expiries whose volatility is NaN do not count. Nothing is extrapolated: without an expiry on (or
    exactly at) both sides there is no figure.

    Raises: ValueError when shapes differ or target is not positive.
    """
    times, variances = _term_structure(years, vols)
    if not target > 0:
        raise ValueError(f"target must be positive, not {target}")
    if not times.size or not times[0] <= target <= times[-1]:
        return ConstantMaturity(FigureStatus.NO_BRACKET, None)
    return ConstantMaturity(
        FigureStatus.OK, math.sqrt(max(0.0, float(np.interp(target, times, variances))) / target)
    )


@dataclass(frozen=True, slots=True)
class EventMove:
    """What the chain expects of one announcement."""

    status: FigureStatus
    base_vol: float | None = None
    """Annual volatility without the event."""
    sigma: float | None = None
    """Standard deviation of the move, as a fraction of the price."""
    expected: float | None = None
    """Expected absolute move, as a fraction of the price."""
    share: float | None = None
    """Part of the variance to the first expiry after the event that is the event's."""


def event_move(years: ArrayLike, vols: ArrayLike, event: float) -> EventMove:
    """The move an announcement ``event`` years ahead is priced at, from at-the-money volatilities.

    Of the total variance to the first expiry after it, what a base volatility would not explain over all
    but one trading day: sigma1^2 T1 - base^2 (T1 - 1/252), at least 0. The base is the last expiry
    before the event (two days or more ahead), or else the forward volatility from the first expiry after
    it to one a week later (the last, when none is so far). The base of falling total variance is 0.

    Raises: ValueError when shapes differ or event is negative.
    """
    times, variances = _term_structure(years, vols)
    if not event >= 0:
        raise ValueError(f"event must be at least 0 years ahead, not {event}")
    after = int(np.searchsorted(times, event, side="right"))
    if after == len(times):
        return EventMove(FigureStatus.NO_EXPIRY_AFTER)
    if after > 0 and times[after - 1] >= _LEAST_BASE:
        base = float(variances[after - 1] / times[after - 1])
    elif after + 1 < len(times):
        later = min(int(np.searchsorted(times, times[after] + _BASE_SPAN)), len(times) - 1)
        gained = variances[later] - variances[after]
        base = max(0.0, float(gained / (times[later] - times[after])))
    else:
        return EventMove(FigureStatus.NO_BASE)
    total = float(variances[after])
    variance = max(0.0, total - base * max(0.0, float(times[after]) - A_TRADING_DAY))
    sigma = math.sqrt(variance)
    return EventMove(FigureStatus.OK, math.sqrt(base), sigma, _EXPECTED_ABSOLUTE * sigma, variance / total)


@dataclass(frozen=True, slots=True)
class ImpliedMove:
    """What the at-the-money straddle costs: the expected absolute move until settlement."""

    status: FigureStatus
    strikes: tuple[float, ...] = ()
    """The strike at the forward, or the two around it."""
    price: float | None = None
    """Of the straddle at the forward, mid, dollars per share."""
    move: float | None = None
    """The same undiscounted, as a fraction of the forward: about 0.8 sigma sqrt(T)."""


def implied_move(quotes: ExpiryQuotes, forward: Forward, most_spread: float = 0.25) -> ImpliedMove:
    """The straddle at the forward, straight between the two common strikes around it.

    Call and put of a strike both need a bid and a spread of at most ``most_spread`` of their straddle's
    mid. Where only one side of the forward has such a strike it must be within a tenth of the move.
    """
    if forward.status is not ForwardStatus.OK:
        return ImpliedMove(FigureStatus.NO_FORWARD)
    strike, mid = _straddles(quotes, most_spread)
    if not strike.size:
        return ImpliedMove(FigureStatus.NO_STRADDLE)
    below, above = strike[strike <= forward.forward], strike[strike >= forward.forward]
    if below.size and above.size:
        around = sorted({float(below[-1]), float(above[0])})
    else:
        around = [float(strike[np.argmin(np.abs(strike - forward.forward))])]
    prices = np.interp(around, strike, mid)
    price = float(np.interp(forward.forward, around, prices))
    if len(around) == 1 and abs(around[0] - forward.forward) > 0.1 * price:
        return ImpliedMove(FigureStatus.NO_STRADDLE)
    return ImpliedMove(FigureStatus.OK, tuple(around), price, price / (forward.discount * forward.forward))


def _straddles(quotes: ExpiryQuotes, most_spread: float) -> tuple[Floats, Floats]:
    """Strikes with a usable call and put, ascending, and the straddles' mids."""
    good, call = quotes.two_sided, np.asarray(quotes.is_call, dtype=bool)
    sides = [(good & side).nonzero()[0] for side in (call, ~call)]
    strike, c, p = np.intersect1d(quotes.strike[sides[0]], quotes.strike[sides[1]], return_indices=True)
    calls, puts = sides[0][c], sides[1][p]
    mid = (quotes.bid[calls] + quotes.ask[calls] + quotes.bid[puts] + quotes.ask[puts]) / 2.0
    spread = quotes.ask[calls] - quotes.bid[calls] + quotes.ask[puts] - quotes.bid[puts]
    tight = spread <= most_spread * mid
    return strike[tight], mid[tight]


@dataclass(frozen=True, slots=True)
class IvRank:
    """Where today's volatility stands in its own history, 0 to 100; None unless ``OK``."""

    status: FigureStatus
    days: int
    """Stored days that were compared with."""
    rank: float | None = None
    """(now - lowest) / (highest - lowest); None also when the history is flat."""
    percentile: float | None = None
    """Share of days with a lower volatility."""


def iv_rank(
    history: ArrayLike, now: float | None, *, window: int = IV_WINDOW, least: int = IV_LEAST
) -> IvRank:
    """Rank and percentile of ``now`` among the last ``window`` days of ``history``, oldest first.

    ``history`` holds one constant-maturity volatility a session before today's, NaN where none was stored;
    NaN days are not compared with. A volatility beyond the history ranks 0 or 100. Fewer than ``least``
    days give no number at all.

    Raises: ValueError when window or least is not positive.
    """
    if not 0 < least <= window:
        raise ValueError(f"least must be positive and at most window ({window}), not {least}")
    stored = np.asarray(history, dtype=np.float64).ravel()[-window:]
    stored = stored[np.isfinite(stored)]
    if len(stored) < least:
        return IvRank(FigureStatus.INSUFFICIENT_HISTORY, len(stored))
    if now is None or not math.isfinite(now):
        return IvRank(FigureStatus.NO_CURRENT_VOL, len(stored))
    low, high = float(stored.min()), float(stored.max())
    rank = 100.0 * min(max((now - low) / (high - low), 0.0), 1.0) if high > low else None
    return IvRank(FigureStatus.OK, len(stored), rank, 100.0 * float(np.mean(stored < now)))


def _term_structure(years: ArrayLike, vols: ArrayLike) -> tuple[Floats, Floats]:
    """Years ahead, ascending, and total variance, where both are known."""
    times, sigma = np.asarray(years, dtype=np.float64), np.asarray(vols, dtype=np.float64)
    if times.shape != sigma.shape or times.ndim != 1:
        raise ValueError(f"years {times.shape} and vols {sigma.shape} must be one row of one length")
    known = np.isfinite(sigma) & (times > 0)
    times, sigma = times[known], sigma[known]
    order = np.argsort(times, kind="stable")
    return times[order], sigma[order] ** 2 * times[order]
