"""European implied volatility in vector instructions: a close guess, two steps of fourth order, a check.

With F the forward, x = |ln(F / K)| and s = vol * sqrt(years), the option out of the money is worth, in units
of the discounted sqrt(F K),

    b(s) = n(h, t) * (M(h - t) - M(h + t)),   n(h, t) = exp(-(h^2 + t^2) / 2) / sqrt(2 pi)

where h = x / s, t = s / 2, M is Mills' ratio and n(h, t) the derivative of b: every derivative of ln b comes
from the one difference. That difference is taken three ways, so that no digits are lost: as a Taylor series
in t where both ratios nearly agree; as it stands; and, above the inflection h = t, from what the price lacks
to its maximum, n(h, t) * (M(t - h) + M(t + h)).

The guess inverts Bachelier's model, a function of one variable, and corrects it to lognormal. Lanes that are
not done after two steps (s above 2 or |x| above 5, mostly) get more, one by one; what does not settle, or is
too extreme, is left to the textbook solver, which keeps the root between bounds.

Source: Jaeckel, "Let's Be Rational" (2015) and "Implied normal volatility" (2017), whose normalised price,
objective functions and order of iteration these are; the guess and the fits are our own.
"""

from __future__ import annotations

import math

import numpy as np
from numba import types

from wsb_core.pricing.results import IvStatus

from . import inline, kernel
from .european import (
    INV_ROOT_TWO_PI,
    LANES,
    exp,
    load,
    load_sign,
    log_ratio,
    mills_bottom,
    mills_top,
)

LEFT_OUT = -1
"""Status of a contract that the kernel does not solve."""
_OK, _AT_INTRINSIC, _BELOW_INTRINSIC, _ABOVE_MAX, _EXPIRED, _BAD_INPUT = (
    float(status) for status in IvStatus
)
_ROUNDING = 2.0**-51
"""Two units in the last place: what rounding of the inputs can do to the two sides of intrinsic value."""
_TAYLOR_BELOW = 0.8
_STEP_DONE = 1e-4
"""A relative step of this size leaves an error of its fourth power."""

# Rows of the buffer: inputs, then the normalised problem, then the answer.
_P, _S, _K, _T, _R, _Q, _W = (LANES * i for i in range(7))
_X, _VALUE, _LACKS, _SIGMA, _STEP, _STATUS, _GAP, _SCALE = (LANES * i for i in range(7, 15))
_ROWS = 15


@inline
def _normalise(b):  # type: ignore[no-untyped-def]
    for i in range(LANES):
        p, s, k, t, w = b[_P + i], b[_S + i], b[_K + i], b[_T + i], b[_W + i]
        asset, cash = s * exp(-b[_Q + i] * t), k * exp(-b[_R + i] * t)
        x = log_ratio(s, k) + (b[_R + i] - b[_Q + i]) * t
        most = asset if w > 0.0 else cash
        gap = abs(asset - cash)
        # By parity the other side has the same volatility: only time value is kept.
        inside = w * x > 0.0
        value = p - gap if inside else p
        scale = math.sqrt(asset) * math.sqrt(cash)
        b[_X + i], b[_GAP + i], b[_SCALE + i] = abs(x), gap, scale
        b[_VALUE + i], b[_LACKS + i] = value / scale, (most - p) / scale
        status = _BELOW_INTRINSIC if value < 0.0 else _OK
        status = _AT_INTRINSIC if abs(value) <= (_ROUNDING * (asset + cash) if inside else 0.0) else status
        b[_STATUS + i] = _ABOVE_MAX if p >= most else status


@inline
def _judge(b):  # type: ignore[no-untyped-def]
    """Whether there is anything to solve, and whether the kernel can."""
    for i in range(LANES):
        p, s, k, t, w = b[_P + i], b[_S + i], b[_K + i], b[_T + i], b[_W + i]
        r, q, status = abs(b[_R + i]), abs(b[_Q + i]), b[_STATUS + i]
        fits = (s > 1e-150) & (k > 1e-150) & (s < 1e150) & (k < 1e150) & (r * t < 200.0) & (q * t < 200.0)
        fits &= (b[_VALUE + i] > 1e-300) | (status != _OK)
        status = status if fits else float(LEFT_OUT)
        status = _EXPIRED if t == 0.0 else status
        known = (p >= 0.0) & (s > 0.0) & (k > 0.0) & (t >= 0.0) & (w * w == 1.0)
        finite = (p < math.inf) & (s < math.inf) & (k < math.inf) & (t < math.inf)
        finite &= (r < math.inf) & (q < math.inf)
        b[_STATUS + i] = status if known & finite else _BAD_INPUT


@inline
def _guess(b):  # type: ignore[no-untyped-def]
    """Bachelier's deviations from the money, fitted in ln(1 + 0.8 gap / value) to 1e-3; then lognormal."""
    for i in range(LANES):
        value, x = b[_VALUE + i], b[_X + i]
        gap = b[_GAP + i] / b[_SCALE + i]
        near = 1e-9 * value
        gap, x = near if gap < near else gap, near if x < near else x
        w = log_ratio(value + 0.8 * gap, value)
        u = w / math.sqrt(w + 1.0)
        top = 1.0 + u * (0.31349095932118765 + u * (0.09486942473231337 + u * 0.07081718589620607))
        bottom = 0.4983329472729886 + u * (
            0.35321327276587716 + u * (0.09732927445476165 + u * 0.10099738103770146)
        )
        s = x * top / (u * bottom)
        v = s * s * (1.0 / 24.0)
        lognormal = 1.0 - v - 1.5 * v * v
        b[_SIGMA + i] = s / (0.2 if lognormal < 0.2 else lognormal)


@inline
def _taylor(h, t):  # type: ignore[no-untyped-def]
    """(M(h - t) - M(h + t)) / (2 t), to 1e-16 of its value at h = 0, for t up to 0.4.

    The odd derivatives of Mills' ratio obey Y[n + 2] = (2 n + 1 + h^2) Y[n] - n (n - 1) Y[n - 2].
    """
    h2, t2 = h * h, t * t
    y1 = 1.0 - h * (mills_top(h) / mills_bottom(h))
    y3 = t2 * (1.0 / 6.0) * ((3.0 + h2) * y1 - 1.0)
    y5 = t2 * (1.0 / 20.0) * ((7.0 + h2) * y3 - t2 * y1)
    y7 = t2 * (1.0 / 42.0) * ((11.0 + h2) * y5 - t2 * y3)
    y9 = t2 * (1.0 / 72.0) * ((15.0 + h2) * y7 - t2 * y5)
    y11 = t2 * (1.0 / 110.0) * ((19.0 + h2) * y9 - t2 * y7)
    y13 = t2 * (1.0 / 156.0) * ((23.0 + h2) * y11 - t2 * y9)
    y15 = t2 * (1.0 / 210.0) * ((27.0 + h2) * y13 - t2 * y11)
    y17 = t2 * (1.0 / 272.0) * ((31.0 + h2) * y15 - t2 * y13)
    y19 = t2 * (1.0 / 342.0) * ((35.0 + h2) * y17 - t2 * y15)
    return y1 + (y3 + (y5 + (y7 + (y9 + (y11 + (y13 + (y15 + (y17 + y19))))))))


@inline
def _step(s, x, value, lacks):  # type: ignore[no-untyped-def]
    """The step, relative to ``s``, to where the price is met; NaN where the price at ``s`` is beyond doubles.

    Householder's method of fourth order on ln b, or, above the inflection, on the logarithm of what is
    lacking. All derivatives are scaled by powers of ``s``.
    """
    inv = 1.0 / s
    h, t = x * inv, 0.5 * s
    y = -0.5 * (h * h + t * t)
    far = y < -707.0
    near, wide = abs(h - t), h + t
    bottom1, bottom2 = mills_bottom(near), mills_bottom(wide)
    both = inv / (bottom1 * bottom2)
    first, second = mills_top(near) * bottom2 * both, mills_top(wide) * bottom1 * both
    small = (s < _TAYLOR_BELOW) & (x < 2.0)
    upper = (h < t) & ~small
    plain, series = (first + second if upper else first - second), _taylor(h, t)
    slope = series if small else plain
    density = INV_ROOT_TWO_PI * exp(-707.0 if far else y)
    target, sign = (lacks if upper else value), (-1.0 if upper else 1.0)
    miss = log_ratio(density * slope * s, target) * sign
    # (ln b)' = 1 / (slope s), and b'' / b' = (h^2 - t^2) / s.
    d = sign / slope
    a = h * h - t * t
    second_order = a - d
    third_order = a * a - 3.0 * h * h - t * t - 3.0 * a * d + 2.0 * d * d
    n = math.nan if far else -slope * miss
    return n * (1.0 + 0.5 * second_order * n) / (1.0 + n * (second_order + third_order * n * (1.0 / 6.0)))


@inline
def _improve(b):  # type: ignore[no-untyped-def]
    for i in range(LANES):
        s = b[_SIGMA + i]
        step = _step(s, b[_X + i], b[_VALUE + i], b[_LACKS + i])
        b[_STEP + i] = step
        b[_SIGMA + i] = s + s * step


@inline
def _settle(x, value, lacks, s):  # type: ignore[no-untyped-def]
    """More of the same steps for one contract; NaN when they do not come to rest."""
    for _ in range(20):
        step = _step(s, x, value, lacks)
        s += s * step
        if abs(step) < _STEP_DONE:
            return s
    return math.nan


@inline
def _store(b, vol, status):  # type: ignore[no-untyped-def]
    left_out = 0
    for i in range(vol.size):
        found, annual = b[_STATUS + i], b[_SIGMA + i] / math.sqrt(b[_T + i])
        found = found if (found != _OK) | ((annual > 0.0) & (annual < math.inf)) else float(LEFT_OUT)
        left_out += found == LEFT_OUT
        status[i] = np.int8(found)
        vol[i] = annual if found == _OK else math.nan
    return left_out


_FLOATS = types.Array(types.float64, 1, "C", readonly=True)
_FLAGS = types.Array(types.int8, 1, "C", readonly=True)
_SIGNATURE = types.int64(
    *[_FLOATS] * 6, _FLAGS, types.float64[::1], types.int8[::1], types.int64, types.int64
)


@kernel(_SIGNATURE)
def implied(price, spot, strike, years, rate, dividend_yield, is_call, vol, status, first, count):  # type: ignore[no-untyped-def]
    """Fill ``vol`` and ``status`` from ``first``; returns how many have the status ``LEFT_OUT``.

    Inputs are as long as ``count``, or of length 1.
    """
    b = np.ones(_ROWS * LANES)
    left_out = 0
    for start in range(0, count, LANES):
        n = min(LANES, count - start)
        load(b, _P, price, start, n)
        load(b, _S, spot, start, n)
        load(b, _K, strike, start, n)
        load(b, _T, years, start, n)
        load(b, _R, rate, start, n)
        load(b, _Q, dividend_yield, start, n)
        load_sign(b, _W, is_call, start, n)
        _normalise(b)
        _judge(b)
        _guess(b)
        _improve(b)
        _improve(b)
        for i in range(n):
            if b[_STATUS + i] == _OK and not abs(b[_STEP + i]) < _STEP_DONE:
                b[_SIGMA + i] = _settle(b[_X + i], b[_VALUE + i], b[_LACKS + i], b[_SIGMA + i])
        here = slice(first + start, first + start + n)
        left_out += _store(b, vol[here], status[here])
    return left_out
