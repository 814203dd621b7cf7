"""Forward price and discount factor of one expiry, read from the quotes by put-call parity."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from datetime import date
from enum import StrEnum
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from wsb_core.domain.contracts import Right

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from wsb_core.domain.quotes import Chain

    Floats = NDArray[np.float64]
    Flags = NDArray[np.bool_]

RATES = (-0.05, 0.25)
"""Annual rates between which a discount factor is believed."""
_LEAST_PAIRS = 3
_NEAREST = 10
"""Pairs nearest the money that are read however near or far their strikes are."""
_BAND = 1.5
"""Standard deviations from the money within which all pairs are read."""
_CENTRE = 5
_HUBER = 1.345
_ROUNDS = 20
_SETTLED = 1e-10


class ExpiryQuotes(NamedTuple):
    """Quotes of one root and expiry in columns; dollars, NaN where a side was not quoted."""

    strike: Floats
    bid: Floats
    ask: Floats
    is_call: Flags

    @property
    def two_sided(self) -> Flags:
        """Where somebody bids and asks, not crossed; a zero bid is no bid."""
        return (self.strike > 0) & (self.bid > 0) & (self.ask >= self.bid) & np.isfinite(self.ask)


class ForwardStatus(StrEnum):
    OK = "ok"
    TOO_FEW_PAIRS = "too few pairs"
    """Fewer than three strikes have a two-sided call and put."""
    INCONSISTENT = "inconsistent"
    """Most pairs lie further from the line than their spreads: stale quotes, or not one expiry."""
    BAD_DISCOUNT = "bad discount"
    """The quotes insist on a rate outside ``RATES``: an adjusted deliverable, or American quotes."""


@dataclass(frozen=True, slots=True)
class Forward:
    """What parity says of one expiry and root. ``forward`` and ``discount`` are NaN unless ``OK``."""

    status: ForwardStatus
    years: float
    forward: float
    discount: float
    error: float
    """Standard error of ``forward``, dollars."""
    residual: float
    """Root mean square distance of the pairs from the line, weighted as fitted, dollars."""
    pairs: int
    """Strikes that were read."""
    outliers: int
    """Of these, how many counted for less than half of their weight."""

    @property
    def rate(self) -> float:
        """Continuous zero rate to settlement; 0 at settlement itself."""
        return -math.log(self.discount) / self.years if self.years > 0 else 0.0

    def dividend_yield(self, spot: float) -> float:
        """Continuous yield that carries ``spot`` to the forward: dividends and borrow fee together."""
        return self.rate - math.log(self.forward / spot) / self.years if self.years > 0 else 0.0


def expiry_quotes(chain: Chain, root: str, expiry: date) -> ExpiryQuotes:
    """The standard contracts of one root and expiry, ascending by strike; empty when there are none."""
    found = sorted(
        (q for q in chain.expiring(expiry) if q.contract.root == root and q.contract.standard),
        key=lambda q: (q.contract.strike, q.contract.right),
    )
    return ExpiryQuotes(
        np.array([float(q.contract.strike) for q in found]),
        # Offered and not bid for is a zero bid; neither is a quote that is missing.
        np.array(
            [float(q.bid) if q.bid is not None else 0.0 if q.ask is not None else math.nan for q in found]
        ),
        np.array([math.nan if q.ask is None else float(q.ask) for q in found]),
        np.array([q.contract.right is Right.CALL for q in found], dtype=bool),
    )


def implied_forward(quotes: ExpiryQuotes, years: float, *, rate: float | None = None) -> Forward:
    """Forward and discount factor of European quotes: the line C - P = discount (forward - strike).

    Mids are fitted near the money with weights 1/spread^2, robustly (Huber). With ``rate`` (continuous
    zero rate to settlement) the discount factor is known and only the forward is read; without it the slope
    is held to rates inside ``RATES``, which near settlement says more than the quotes do.

    Raises: ValueError when years is negative or not finite.
    """
    _check(years)
    pairs = _pairs(quotes)
    return _too_few(years) if pairs is None else _judged(_fit(pairs, years, rate))


def implied_forward_american(
    quotes: ExpiryQuotes, spot: float, years: float, *, rate: float | None = None, rounds: int = 3
) -> Forward:
    """As ``implied_forward`` for American quotes, whose early-exercise premium is taken off first.

    Each round reads the volatility of every quote near the money with the current forward, puts the
    European price of that volatility in its place, and reads parity again. What the dividend forecast
    would miss, the implied yield absorbs. Give ``rate`` where it is known: exercise premium and rate are
    hard to tell apart.

    Raises: ValueError as ``implied_forward``, and when spot is not positive.
    """
    # Imported here because it pulls the American engine, which European users do not need.
    from .american import implied_vol_american
    from .european import european

    _check(years)
    if not 0.0 < spot < math.inf:
        raise ValueError(f"spot must be positive and finite, not {spot}; check the quote it comes from")
    pairs = _pairs(quotes)
    if pairs is None:
        return _too_few(years)
    # Only a start: American quotes need not lie on any line.
    found = _fit(pairs, years, rate or 0.0)
    for _ in range(rounds if years > 0 else 0):
        market = (spot, pairs.strike, years, found.rate, found.dividend_yield(spot))
        sides = []
        for mid, is_call in ((pairs.call, True), (pairs.put, False)):
            vol = implied_vol_american(mid, *market, is_call).vol
            sides.append(european(*market, vol, is_call).price)
        kept = np.isfinite(sides[0]) & np.isfinite(sides[1])
        if kept.sum() < _LEAST_PAIRS:
            return _too_few(years)
        found = _fit(_Pairs(*(x[kept] for x in (pairs.strike, *sides, pairs.spread))), years, rate)
    return _judged(found)


class _Pairs(NamedTuple):
    """A call and a put of one strike each: mids, and the root of the squared spreads' sum."""

    strike: Floats
    call: Floats
    put: Floats
    spread: Floats


def _pairs(quotes: ExpiryQuotes) -> _Pairs | None:
    """Pairs near the money; None when there are too few to say where that is."""
    both = quotes.two_sided
    columns = []
    for side in (both & quotes.is_call, both & ~quotes.is_call):
        strike, at = np.unique(quotes.strike[side], return_index=True)
        columns.append((strike, quotes.bid[side][at], quotes.ask[side][at]))
    (calls, call_bid, call_ask), (puts, put_bid, put_ask) = columns
    strike, c, p = np.intersect1d(calls, puts, assume_unique=True, return_indices=True)
    if len(strike) < _LEAST_PAIRS:
        return None
    call, put = (call_bid[c] + call_ask[c]) / 2.0, (put_bid[p] + put_ask[p]) / 2.0
    spread = np.hypot(call_ask[c] - call_bid[c], put_ask[p] - put_bid[p])
    nearest = np.argsort(np.abs(call - put), kind="stable")[:_CENTRE]
    # The middle of several, because the strike that looks nearest may have a stale side.
    centre = float(np.median((strike + call - put)[nearest]))
    deviation = 1.25 * float(np.median((call + put)[nearest])) / centre
    distance = np.abs(np.log(strike / centre)) if centre > 0 else np.abs(call - put)
    cut = max(_BAND * deviation, float(np.sort(distance)[min(_NEAREST, len(strike)) - 1]))
    near = distance <= cut
    spread = np.maximum(spread, 0.25 * np.median(spread[near]) + 1e-9)
    return _Pairs(strike[near], call[near], put[near], spread[near])


def _fit(pairs: _Pairs, years: float, rate: float | None) -> Forward:
    difference = pairs.call - pairs.put
    centre = float(np.median(pairs.strike + difference))
    away = pairs.strike - centre
    low, high = (math.exp(-r * years) for r in ((RATES[1], RATES[0]) if rate is None else (rate, rate)))
    plain = 1.0 / pairs.spread**2
    trust = np.ones_like(plain)
    level = slope = math.nan
    for _ in range(_ROUNDS):
        weight = plain * trust
        before = level
        level, slope, free = _line(away, difference, weight, low, high)
        left = difference - level + slope * away
        scale = max(1.4826 * float(np.median(np.abs(left) / pairs.spread)), 0.01)
        trust = 1.0 / np.maximum(1.0, np.abs(left) / (pairs.spread * scale * _HUBER))
        if abs(level - before) <= _SETTLED * centre:
            break
    weight = plain * trust
    error = scale / math.sqrt(float(weight.sum())) / slope
    residual = math.sqrt(float(np.average(left**2, weights=weight)))
    status = ForwardStatus.OK
    slack = 4.0 / math.sqrt(float((plain * away**2).sum()))
    if rate is None and not low - slack <= free <= high + slack:
        status = ForwardStatus.BAD_DISCOUNT
    elif np.median(np.abs(left) / pairs.spread) > 1.0:
        status = ForwardStatus.INCONSISTENT
    outliers = int((trust < 0.5).sum())
    return Forward(status, years, centre + level / slope, slope, error, residual, len(away), outliers)


def _line(
    away: Floats, difference: Floats, weight: Floats, low: float, high: float
) -> tuple[float, float, float]:
    """Level at the centre of the weighted line, its fall per strike held in a range, and its free fall."""
    middle, mean = np.average(away, weights=weight), np.average(difference, weights=weight)
    across = float(np.sum(weight * (away - middle) ** 2))
    free = -float(np.sum(weight * (away - middle) * (difference - mean))) / across
    slope = min(max(free, low), high)
    return float(mean + slope * middle), slope, free


def _judged(found: Forward) -> Forward:
    if found.status is ForwardStatus.OK:
        return found
    return replace(found, forward=math.nan, discount=math.nan, error=math.nan)


def _too_few(years: float) -> Forward:
    return Forward(ForwardStatus.TOO_FEW_PAIRS, years, *(math.nan,) * 4, 0, 0)


def _check(years: float) -> None:
    if not 0.0 <= years < math.inf:
        raise ValueError(f"years must be a number of at least 0, not {years}; see clock.years_to")
