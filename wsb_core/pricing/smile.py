"""The volatility smile of one expiry: quotes sorted out, and a curve without arbitrage through them.

Total variance w(k) over moneyness k = ln(strike / forward) is a raw SVI curve plus a smooth residual, because
five numbers follow neither the last days before settlement nor the W shape before an event. Both are
kept free of butterfly arbitrage by Durrleman's condition; where the residual would break it, it is smoothed
until it does not, at the worst into nothing.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import IntEnum, StrEnum
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from .european import european, implied_vol
from .forward import ExpiryQuotes, Forward, ForwardStatus
from .results import IvStatus

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    Floats = NDArray[np.float64]
    Flags = NDArray[np.bool_]
    Codes = NDArray[np.int8]
    Parameters = tuple[Floats, Floats, Floats, Floats, Floats]

_LEAST_QUOTES = 5
_OUTLIER = 6.0
"""Times the usual distance from the curve (at least half a spread) beyond which a quote is left out."""
_REFITS = 3
_STEPEST = 2.0
"""Largest slope of total variance in k far out. Source: Lee (2004)."""
_ROOM = 0.05
"""Least g of the SVI curve, so that the residual has some to bend away."""
_KNOT_STEP = 0.25
_MARGIN = 3
"""Splines beyond the last quote on each side, over which the residual dies out."""
_CHECKS = 6
"""Points per knot at which arbitrage is looked for."""
_SMOOTHINGS = 10.0 ** np.arange(-4.0, 6.5, 0.5)


class QuoteStatus(IntEnum):
    """Whether a quote speaks for the smile, and why not."""

    OK = 0
    MISSING = 1
    """A side, or the strike, is not a number."""
    CROSSED = 2
    ZERO_BID = 3
    """Nobody bids: the mid is arbitrary."""
    BELOW_INTRINSIC = 4
    AT_INTRINSIC = 5
    ABOVE_MAX = 6
    WING_END = 7
    """Beyond two zero bids in a row, further from the money."""
    IN_THE_MONEY = 8
    """The out-of-the-money side of the same strike says it better."""
    OUTLIER = 9
    """Far from where all the others put it: stale, or a typing error."""
    NO_VOL = 10
    """The solver refused the price for another reason (expired, bad input)."""


_FROM_IV = {
    IvStatus.BELOW_INTRINSIC: QuoteStatus.BELOW_INTRINSIC,
    IvStatus.AT_INTRINSIC: QuoteStatus.AT_INTRINSIC,
    IvStatus.ABOVE_MAX: QuoteStatus.ABOVE_MAX,
    IvStatus.EXPIRED: QuoteStatus.NO_VOL,
    IvStatus.BAD_INPUT: QuoteStatus.NO_VOL,
}


class QuotedVols(NamedTuple):
    """Implied volatilities of the quotes, in their order; NaN where a price has none."""

    moneyness: Floats
    """ln(strike / forward)."""
    bid: Floats
    mid: Floats
    ask: Floats
    status: Codes
    """``QuoteStatus`` of the mid."""


def quoted_vols(quotes: ExpiryQuotes, forward: Forward, *, spot: float | None = None) -> QuotedVols:
    """Volatility of every bid, mid and ask, and what each quote is good for.

    European on the forward; American on ``spot`` when it is given, with the forward's rate and yield.
    All of it is NaN and ``NO_VOL`` when the forward is not known.
    """
    strike, call = quotes.strike, np.asarray(quotes.is_call, dtype=bool)
    if forward.status is not ForwardStatus.OK:
        nothing = np.full(strike.shape, np.nan)
        status = np.full(strike.shape, QuoteStatus.NO_VOL, dtype=np.int8)
        return QuotedVols(nothing, nothing.copy(), nothing.copy(), nothing.copy(), status)
    moneyness = np.log(np.where(strike > 0, strike, np.nan) / forward.forward)
    bid, ask = (_vols(price, strike, call, forward, spot)[0] for price in (quotes.bid, quotes.ask))
    mid, codes = _vols((quotes.bid + quotes.ask) / 2.0, strike, call, forward, spot)
    status = _status(quotes, codes, moneyness, call)
    refused = np.isin(status, (QuoteStatus.MISSING, QuoteStatus.CROSSED, QuoteStatus.ZERO_BID))
    return QuotedVols(moneyness, bid, np.where(refused, np.nan, mid), ask, status)


def _vols(
    price: Floats, strike: Floats, call: Flags, forward: Forward, spot: float | None
) -> tuple[Floats, Codes]:
    if spot is None:
        # On the forward itself the yield is the rate.
        market = (forward.forward, strike, forward.years, forward.rate, forward.rate)
        return implied_vol(price, *market, call)
    from .american import implied_vol_american

    market = (spot, strike, forward.years, forward.rate, forward.dividend_yield(spot))
    return implied_vol_american(price, *market, call)


def _status(quotes: ExpiryQuotes, codes: Codes, moneyness: Floats, call: Flags) -> Codes:
    missing = np.isnan(quotes.bid) | np.isnan(quotes.ask) | np.isnan(moneyness)
    status = np.zeros(codes.shape, dtype=np.int8)
    status[np.where(call, moneyness < 0, moneyness >= 0)] = QuoteStatus.IN_THE_MONEY
    for is_call in (True, False):
        side = np.flatnonzero((call == is_call) & (status == QuoteStatus.OK))
        outward = side[np.argsort(np.abs(moneyness[side]), kind="stable")]
        none = ~(quotes.bid[outward] > 0)
        twice = np.flatnonzero(none[1:] & none[:-1])
        if twice.size:
            status[outward[twice[0] + 2 :]] = QuoteStatus.WING_END
    for code, meaning in _FROM_IV.items():
        status[codes == code] = meaning
    status[quotes.bid <= 0] = QuoteStatus.ZERO_BID
    status[quotes.bid > quotes.ask] = QuoteStatus.CROSSED
    status[missing] = QuoteStatus.MISSING
    return status


class Svi(NamedTuple):
    """Raw SVI: w(k) = a + b (rho (k - m) + sqrt((k - m)^2 + sigma^2)). Source: Gatheral (2004)."""

    a: float
    b: float
    rho: float
    m: float
    sigma: float


class _Knots(NamedTuple):
    """Cubic splines on even knots in u = arcsinh(k / scale), close at the money and wide far out."""

    scale: float
    first: float
    """The u at which the first spline begins."""
    number: int
    """How many splines; each is four knots wide."""

    def grid(self) -> Floats:
        """Moneyness at which arbitrage is looked for: at every knot, between them and a little beyond."""
        steps = np.arange(-_CHECKS, (self.number + 4) * _CHECKS + 1)
        found: Floats = self.scale * np.sinh(self.first + _KNOT_STEP / _CHECKS * steps)
        return found


class _Residual(NamedTuple):
    knots: _Knots
    weights: Floats


class SmileStatus(StrEnum):
    OK = "ok"
    NO_FORWARD = "no forward"
    EXPIRED = "expired"
    TOO_FEW_QUOTES = "too few quotes"
    """Fewer than five strikes speak for it."""
    NO_FIT = "no fit"
    """No curve without arbitrage was found."""


@dataclass(frozen=True, slots=True, eq=False)
class Smile:
    """Volatility over strike at one expiry. Only an ``OK`` smile answers; the others raise."""

    status: SmileStatus
    forward: Forward
    quoted: QuotedVols
    """As given, with ``OUTLIER`` added."""
    svi: Svi | None = None
    residual: _Residual | None = None
    low: float = math.nan
    """Moneyness of the lowest strike used; beyond it, and beyond ``high``, the curve is extrapolated."""
    high: float = math.nan
    inside: float = math.nan
    """Share of used quotes that the curve prices between bid and ask once their own pull on the residual
    is taken out (their part in the five SVI numbers stays in)."""
    error: float = math.nan
    """Median distance of the used mids from that curve, vol points."""
    least_density: float = math.nan
    """Smallest value of Durrleman's g on the checked range; at least 0 is free of butterflies."""

    @property
    def years(self) -> float:
        return self.forward.years

    @property
    def used(self) -> int:
        """Quotes the curve was fitted to."""
        return int((self.quoted.status == QuoteStatus.OK).sum())

    def total_variance(self, moneyness: ArrayLike) -> Floats:
        """Variance to settlement at ln(strike / forward).

        Raises: ValueError when the smile is not ``OK``.
        """
        return self._curve(moneyness)[0]

    def vol(self, strike: ArrayLike) -> Floats:
        """Annual volatility at ``strike`` on the clock of ``years``.

        Raises: ValueError when the smile is not ``OK`` or a strike is not positive.
        """
        strikes = np.asarray(strike, dtype=np.float64)
        if not (strikes > 0).all():
            raise ValueError(f"strike must be positive, not {strikes[~(strikes > 0)].flat[0]}")
        found: Floats = np.sqrt(self.total_variance(np.log(strikes / self.forward.forward)) / self.years)
        return found

    def density(self, moneyness: ArrayLike) -> Floats:
        """Durrleman's g, which has the sign of the implied density: negative is a butterfly for nothing.

        Raises: ValueError when the smile is not ``OK``.
        """
        k = np.asarray(moneyness, dtype=np.float64)
        return _durrleman(k, *self._curve(k))

    def _curve(self, moneyness: ArrayLike) -> tuple[Floats, Floats, Floats]:
        if self.svi is None:
            raise ValueError(f"smile has no curve: {self.status}; look at status before asking it")
        k = np.asarray(moneyness, dtype=np.float64)
        found = _svi_curve(k, self.svi)
        if self.residual is None:
            return found
        rest = _residual_curve(k, self.residual)
        return found[0] + rest[0], found[1] + rest[1], found[2] + rest[2]


def fit_smile(quotes: ExpiryQuotes, forward: Forward, *, spot: float | None = None) -> Smile:
    """The smile through the out-of-the-money quotes, weighted by vega over spread.

    American quotes need ``spot``. A quote far from where all the others put it is left out as an
    ``OUTLIER``. Whatever is in the quotes, a smile comes back, with a status.
    """
    quoted = quoted_vols(quotes, forward, spot=spot)
    if forward.status is not ForwardStatus.OK:
        return Smile(SmileStatus.NO_FORWARD, forward, quoted)
    if forward.years == 0:
        return Smile(SmileStatus.EXPIRED, forward, quoted)
    found = _fit_without_outliers(quotes, quoted, forward)
    if isinstance(found, SmileStatus):
        return Smile(found, forward, quoted)
    used, curve = found
    k, vol = quoted.moneyness[used], quoted.mid[used]
    without = np.sqrt(np.maximum(curve.left_out, 0.0) / forward.years)
    return Smile(
        SmileStatus.OK,
        forward,
        quoted,
        curve.svi,
        curve.residual,
        float(k[0]),
        float(k[-1]),
        float(np.mean(curve.misses <= 1.0)),
        float(np.median(np.abs(without - vol)) * 100.0),
        curve.least_density,
    )


class _Fitted(NamedTuple):
    svi: Svi
    residual: _Residual | None
    left_out: Floats
    """Total variance at each quote without its own pull on the residual."""
    misses: Floats
    """Distance of ``left_out`` from the quote, in half spreads."""
    least_density: float


def _fit_without_outliers(
    quotes: ExpiryQuotes, quoted: QuotedVols, forward: Forward
) -> tuple[NDArray[np.intp], _Fitted] | SmileStatus:
    """The quotes used, by moneyness, and the curve through them; outliers are marked in ``quoted``."""
    for refits in range(_REFITS + 1):
        used = np.flatnonzero(quoted.status == QuoteStatus.OK)
        if len(np.unique(quoted.moneyness[used])) < _LEAST_QUOTES:
            break
        used = used[np.argsort(quoted.moneyness[used], kind="stable")]
        spread = _spread_vols(quotes, quoted, forward, used)
        curve = _fit(quoted.moneyness[used], quoted.mid[used], spread, forward.years)
        if curve is None:
            return SmileStatus.NO_FIT
        far = _outliers(curve.misses)
        if refits == _REFITS or not far.any():
            return used, curve
        quoted.status[used[far]] = QuoteStatus.OUTLIER
    return SmileStatus.TOO_FEW_QUOTES


def _spread_vols(
    quotes: ExpiryQuotes, quoted: QuotedVols, forward: Forward, used: NDArray[np.intp]
) -> Floats:
    """Bid-ask spread of the used quotes in volatility."""
    spread = quotes.ask[used] - quotes.bid[used]
    spread = np.maximum(spread, 0.25 * np.median(spread) + 1e-6)
    vega = european(
        forward.forward,
        quotes.strike[used],
        forward.years,
        forward.rate,
        forward.rate,
        quoted.mid[used],
        True,
    ).vega
    found: Floats = 0.01 * spread / np.maximum(vega, 1e-12)
    return found


def _fit(k: Floats, vol: Floats, spread: Floats, years: float) -> _Fitted | None:
    variance = vol**2 * years
    half = vol * years * spread
    weight = (half.min() / half) ** 2
    scale = math.sqrt(float(np.median(variance[np.argsort(np.abs(k), kind="stable")[:3]])))
    ends = np.arcsinh(k[[0, -1]] / scale)
    count = max(1, math.ceil((ends[1] - ends[0]) / _KNOT_STEP)) + 2 * _MARGIN + 1
    knots = _Knots(scale, float(ends.mean()) - _KNOT_STEP * (count + 3) / 2.0, count)
    grid = knots.grid()
    svi = _fit_svi(k, variance, weight, scale, grid)
    if svi is None:
        return None
    left = variance - _svi_curve(k, svi)[0]
    weights, missed, least = _fit_residual(k, left, weight, svi, knots, grid)
    residual = None if weights is None else _Residual(knots, weights)
    return _Fitted(svi, residual, variance - missed, np.abs(missed) / half, least)


def _outliers(misses: Floats) -> Flags:
    """Quotes far out of the usual, and worse than their neighbours, which an outlier takes along."""
    limit = _OUTLIER * max(1.0, 1.4826 * float(np.median(misses)))
    edged = np.concatenate(([0.0], misses, [0.0]))
    found: Flags = (misses > limit) & (misses >= edged[:-2]) & (misses >= edged[2:])
    return found


def _svi_curve(k: Floats, svi: Svi | Parameters) -> tuple[Floats, Floats, Floats]:
    """Total variance and its two derivatives in k."""
    a, b, rho, m, sigma = svi
    away = k - m
    root = np.hypot(away, sigma)
    return a + b * (rho * away + root), b * (rho + away / root), b * (sigma / root) ** 2 / root


def _durrleman(k: Floats, w: Floats, first: Floats, second: Floats) -> Floats:
    found: Floats = (1.0 - k * first / (2.0 * w)) ** 2 - first**2 / 4.0 * (1.0 / w + 0.25) + second / 2.0
    return found


def _least(k: Floats, w: Floats, first: Floats, second: Floats) -> Floats:
    """Smallest g along the first axis; -inf where variance is not positive."""
    low = np.where(w > 0, w, np.nan)
    g = np.where(w > 0, _durrleman(k, low, first, second), -np.inf)
    found: Floats = g.min(axis=0)
    return found


def _fit_svi(k: Floats, variance: Floats, weight: Floats, scale: float, grid: Floats) -> Svi | None:
    """Best raw SVI with no butterfly on ``grid`` and wings of slope 2 at most; None when there is none.

    For fixed m and sigma the other three solve a small constrained least-squares problem exactly, so
    only these two are searched, on a grid that closes in. Source: De Marco and Martini (2009).
    """
    best: Svi | None = None
    least = math.inf
    middle, reach = 0.0, 4.0 * scale
    log_middle, log_reach = math.log(0.7 * scale), math.log(14.0)
    even = np.linspace(-1.0, 1.0, 13)
    for _ in range(4):
        m, log_sigma = np.meshgrid(middle + reach * even, log_middle + log_reach * even)
        trial, cost = _inner(k, variance, weight, m.ravel(), np.exp(log_sigma.ravel()))
        for block in np.array_split(np.argsort(cost, kind="stable"), 8):
            a, b, rho, m, sigma = (column[block] for column in trial)
            free = _least(grid[:, None], *_svi_curve(grid[:, None], (a, b, rho, m, sigma))) >= _ROOM
            if free.any():
                at = block[np.argmax(free)]
                if cost[at] < least:
                    least = float(cost[at])
                    best = Svi(*(float(column[at]) for column in trial))
                break
        if best is None:
            return None
        middle, reach = best.m, reach / 4.0
        log_middle, log_reach = math.log(best.sigma), log_reach / 4.0
    return best


def _inner(
    k: Floats, variance: Floats, weight: Floats, m: Floats, sigma: Floats
) -> tuple[Parameters, Floats]:
    """Best a, b and rho for every m and sigma, and the weighted squares that are left.

    With y = (k - m) / sigma and r = sqrt(y^2 + 1), w = a + p (r + y) + q (r - y), and the wings' slopes
    2 p / sigma and 2 q / sigma keep p and q in a box.
    """
    share = weight / weight.sum()
    r = np.sqrt(((k - m[:, None]) / sigma[:, None]) ** 2 + 1.0)
    # Everything about y follows from moments of k; only r has to be summed for every m and sigma.
    mean_r, k_r, w_r = (r @ np.column_stack((share, share * k, share * variance))).T
    mean_k, mean_w = share @ k, share @ variance
    k_k, k_w, tt = (
        share @ (k - mean_k) ** 2,
        share @ ((k - mean_k) * variance),
        share @ (variance - mean_w) ** 2,
    )
    mean_y = (mean_k - m) / sigma
    yy, yt, yr = k_k / sigma**2, k_w / sigma, (k_r - mean_k * mean_r) / sigma
    r_r, r_t = yy + mean_y**2 + 1.0 - mean_r**2, w_r - mean_w * mean_r
    rr, ll, rl, rt, lt = r_r + yy + 2.0 * yr, r_r + yy - 2.0 * yr, r_r - yy, r_t + yt, r_t - yt
    top = sigma * _STEPEST / 2.0
    tiny = 1e-300
    det = np.maximum(rr * ll - rl * rl, tiny)
    options = [((ll * rt - rl * lt) / det, (rr * lt - rl * rt) / det)]
    for edge in (np.zeros_like(top), top):
        options.append((edge, np.clip((lt - rl * edge) / np.maximum(ll, tiny), 0.0, top)))
        options.append((np.clip((rt - rl * edge) / np.maximum(rr, tiny), 0.0, top), edge))
    p, q = (np.array(column) for column in zip(*options, strict=True))
    cost = rr * p * p + 2.0 * rl * p * q + ll * q * q - 2.0 * rt * p - 2.0 * lt * q + tt
    cost = np.where((p >= 0) & (p <= top) & (q >= 0) & (q <= top), cost, np.inf)
    at = (np.argmin(cost, axis=0), np.arange(len(m)))
    p, q, cost = p[at], q[at], cost[at]
    a = mean_w - p * (mean_r + mean_y) - q * (mean_r - mean_y)
    b = (p + q) / sigma
    rho = np.where(b > 0, (p - q) / np.maximum(p + q, tiny), 0.0)
    return (a, b, rho, m, sigma), cost


def _fit_residual(
    k: Floats, left: Floats, weight: Floats, svi: Svi, knots: _Knots, grid: Floats
) -> tuple[Floats | None, Floats, float]:
    """What SVI leaves, as smooth as foretells each quote best from the others and arbitrage allows.

    Returns the splines' weights (None for no residual), how far each quote is from where the others
    put it, and the smallest g. Source: penalised splines, Eilers and Marx (1996).
    """
    splines = _splines(k, knots)[0]
    bends = np.diff(np.eye(knots.number + 4), 2, axis=0)[:, 2:-2]
    # Zeros are held beyond both ends, so the penalty has full rank and the residual dies out.
    whiten = np.linalg.inv(np.linalg.cholesky(bends.T @ bends)).T
    even = weight / weight.mean()
    seen, turn = np.linalg.eigh(whiten.T @ (splines.T @ (even[:, None] * splines)) @ whiten)
    basis = whiten @ turn
    at_quotes = splines @ basis
    shrink = 1.0 / (np.maximum(seen, 0.0)[:, None] + _SMOOTHINGS)
    solutions = basis @ (shrink * (at_quotes.T @ (even * left))[:, None])
    leverage = even[:, None] * (at_quotes**2 @ shrink)
    misses = (left[:, None] - splines @ solutions) / np.maximum(1.0 - leverage, 1e-9)
    # The last column is no residual at all: SVI alone, which is free of arbitrage.
    solutions = np.column_stack((solutions, np.zeros(knots.number)))
    misses = np.column_stack((misses, left))
    plain = _svi_curve(grid, svi)
    rest = [table @ solutions for table in _splines(grid, knots)]
    least = _least(grid[:, None], *(x[:, None] + z for x, z in zip(plain, rest, strict=True)))
    score = (even[:, None] * misses**2).sum(axis=0)
    chosen = int(np.argmin(np.where(least >= 0.0, score, np.inf)))
    weights = None if chosen == len(_SMOOTHINGS) else solutions[:, chosen]
    return weights, misses[:, chosen], float(least[chosen])


def _splines(k: Floats, knots: _Knots) -> tuple[Floats, Floats, Floats]:
    """The splines and their two derivatives in k: one row a point, one column a spline."""
    x = k / knots.scale
    place = (np.arcsinh(x) - knots.first) / _KNOT_STEP
    whole = np.floor(place)
    f = place - whole
    pieces = (
        ((1 - f) ** 3 / 6, (3 * f**3 - 6 * f**2 + 4) / 6, (1 + 3 * f + 3 * f**2 - 3 * f**3) / 6, f**3 / 6),
        (-((1 - f) ** 2) / 2, (3 * f**2 - 4 * f) / 2, (1 + 2 * f - 3 * f**2) / 2, f**2 / 2),
        (1 - f, 3 * f - 2, 1 - 3 * f, f),
    )
    value, slope, bend = (np.zeros((len(k), knots.number)) for _ in range(3))
    rows = np.arange(len(k))
    for offset in range(4):
        column = whole + offset - 3
        here = (column >= 0) & (column < knots.number)
        at = (rows[here], column[here].astype(np.intp))
        for table, weights in zip((value, slope, bend), pieces, strict=True):
            table[at] = weights[offset][here]
    root = np.sqrt(1.0 + x * x)
    inner = (1.0 / (knots.scale * root * _KNOT_STEP))[:, None]
    outer = (-x / (knots.scale**2 * root**3 * _KNOT_STEP))[:, None]
    return value, slope * inner, bend * inner**2 + slope * outer


def _residual_curve(k: Floats, residual: _Residual) -> tuple[Floats, Floats, Floats]:
    value, slope, bend = (table @ residual.weights for table in _splines(k.ravel(), residual.knots))
    return value.reshape(k.shape), slope.reshape(k.shape), bend.reshape(k.shape)
