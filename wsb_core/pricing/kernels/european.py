"""European prices and Greeks in vector instructions, and the branch-free functions they are made of.

The compiler turns a loop into vector instructions when it can see that its arrays do not overlap and its
body does not branch. So ``LANES`` contracts at a time are copied into one buffer whose rows stand at constant
offsets, each stage is a short loop over rows, and a choice is a conditional expression.

``exp`` and ``log_ratio`` are written out because a call into the C library would end the vectorisation.
They reinterpret a double as its bits, without the 64-bit conversions and signed shifts that AVX2 lacks.
A comparison is turned so that NaN falls through it to the result.
"""

from __future__ import annotations

import math

import numpy as np
from numba import types

from . import inline, kernel

LANES = 64
INV_ROOT_TWO_PI = 0.3989422804014327
FARTHEST = 40.0
"""Deviations beyond which the normal density is nothing."""
TINY_DEVIATION = 1e-150
LEFT_OUT = -1.0
"""Stands for the price of a contract that the kernel does not price."""

_FRACTION = np.uint64(0x000F_FFFF_FFFF_FFFF)
_EXPONENT_OF_ONE = np.uint64(0x3FF0_0000_0000_0000)
_TWO_TO_52 = np.uint64(0x4330_0000_0000_0000)
_FRACTION_BITS = np.uint64(52)
_BIAS = np.uint64(1023)
_ROUND = 6755399441055744.0  # 1.5 * 2**52: adding it leaves the nearest integer in the lowest bits
_LOG2_E = 1.4426950408889634
_LN_2_HIGH, _LN_2_LOW = 0.693147180369123816490, 1.90821492927058770002e-10
_ROOT_TWO = 1.4142135623730951


@inline
def bits(x):  # type: ignore[no-untyped-def]
    """The 64 bits of a double as an unsigned integer."""
    return np.float64(x).view(np.uint64)


@inline
def double(n):  # type: ignore[no-untyped-def]
    """The double that these 64 bits are."""
    return np.uint64(n).view(np.float64)


@inline
def exp(x):  # type: ignore[no-untyped-def]
    """e to the x to one unit in the last place, for x from -708 to 709; garbage outside, NaN for NaN."""
    shifted = x * _LOG2_E + _ROUND
    n = shifted - _ROUND
    r = (x - n * _LN_2_HIGH) - n * _LN_2_LOW
    r2 = r * r
    r4 = r2 * r2
    # Minimax of (e^r - 1 - r) / r^2 on +-ln(2)/2; the pairs are independent, which shortens the wait.
    low = (0.5 + r * 0.16666666666666669) + r2 * (0.041666666666624164 + r * 0.008333333333330065)
    mid = (0.0013888888917196719 + r * 0.00019841269863040545) + r2 * (
        2.4801521322368692e-05 + r * 2.7557268480310024e-06
    )
    high = 2.7620075879983367e-07 + r * 2.5100375832561234e-08
    fraction = 1.0 + (r + r2 * (low + r4 * (mid + r4 * high)))
    return fraction * double((bits(shifted) + _BIAS) << _FRACTION_BITS)


@inline
def log_ratio(a, b):  # type: ignore[no-untyped-def]
    """ln(a / b) of normal positive numbers, without rounding a / b; anything, not NaN, for NaN."""
    a_bits, b_bits = bits(a), bits(b)
    a_fraction = double((a_bits & _FRACTION) | _EXPONENT_OF_ONE)
    b_fraction = double((b_bits & _FRACTION) | _EXPONENT_OF_ONE)
    a_exponent = double((a_bits >> _FRACTION_BITS) | _TWO_TO_52)
    b_exponent = double((b_bits >> _FRACTION_BITS) | _TWO_TO_52)
    above, below = a_fraction > _ROOT_TWO * b_fraction, b_fraction > _ROOT_TWO * a_fraction
    n = (a_exponent - b_exponent) + (1.0 if above else 0.0) - (1.0 if below else 0.0)
    a_near = 2.0 * a_fraction if below else a_fraction
    b_near = 2.0 * b_fraction if above else b_fraction
    # ln(a / b) = 2 atanh f; the difference is exact, so the result is relatively exact near a = b.
    f = (a_near - b_near) / (a_near + b_near)
    g = f * f
    g2 = g * g
    series = (0.666666666666667 + g * 0.39999999999899505) + g2 * (
        (0.28571428625975487 + g * 0.2222221113479508)
        + g2 * ((0.18182889125261723 + g * 0.15331721600556042) + g2 * 0.14616449685043406)
    )
    return n * _LN_2_HIGH + (2.0 * f + (f * g * series + n * _LN_2_LOW))


@inline
def mills_top(z):  # type: ignore[no-untyped-def]
    """Numerator of Mills' ratio, (1 - N(z)) / n(z), for z from 0 to 40; see ``mills_bottom``."""
    z2 = z * z
    z4 = z2 * z2
    low = (1.2533141373155003 + z * 1.9438379893617463) + z2 * (1.49125172252618 + z * 0.7268200066506576)
    high = (0.2456010152945993 + z * 0.05942806643124407) + z2 * (
        0.010296146412536358 + z * 0.0012359107716322709
    )
    return low + z4 * (high + z4 * (9.398317490682044e-05 + z * 3.500184636926582e-06))


@inline
def mills_bottom(z):  # type: ignore[no-untyped-def]
    """Denominator of Mills' ratio; the quotient is right to 6e-17 before rounding, 4e-16 after.

    A minimax fit in sixty digits. All coefficients are positive, so nothing cancels.
    """
    z2 = z * z
    z4 = z2 * z2
    low = (1.0 + z * 2.348842881216677) + z2 * (2.563952196349159 + z * 1.7171964135478774)
    high = (0.783811489868011 + z * 0.25570918408095733) + z2 * (
        0.06065697723985163 + z * 0.010390129576856463
    )
    top = (0.0012394109564558482 + z * 9.398317490484431e-05) + z2 * 3.500184636936003e-06
    return low + z4 * (high + z4 * top)


# Rows of the buffer: inputs, then outputs in the order of ``Greeks``, then what stages hand on.
_S, _K, _T, _R, _Q, _V, _W = (LANES * i for i in range(7))
_OUT = LANES * 7
_PRICE, _DELTA, _GAMMA, _VEGA, _THETA, _RHO, _VANNA, _VOLGA = (_OUT + LANES * i for i in range(8))
_D1, _D2, _ROOT_T, _INV, _DENSITY, _GROWN, _DISCOUNT, _TAIL1, _TAIL2 = (LANES * i for i in range(15, 24))
_ROWS = 24


@inline
def _deviations(b):  # type: ignore[no-untyped-def]
    for i in range(LANES):
        s, k, t = b[_S + i], b[_K + i], b[_T + i]
        # Times 0: nothing, except that a NaN strike must not vanish in ``log_ratio``.
        x = log_ratio(s, k) + ((b[_R + i] - b[_Q + i]) * t + 0.0 * k)
        root_t = math.sqrt(t)
        sd = b[_V + i] * root_t
        inv = 1.0 / (s * (TINY_DEVIATION if sd < TINY_DEVIATION else sd))
        h = x * (s * inv)
        b[_D1 + i] = h + 0.5 * sd
        b[_D2 + i] = h - 0.5 * sd
        b[_ROOT_T + i] = root_t
        b[_INV + i] = inv


@inline
def _exponentials(b):  # type: ignore[no-untyped-def]
    for i in range(LANES):
        t, d1 = b[_T + i], b[_D1 + i]
        b[_GROWN + i] = exp(-b[_Q + i] * t)
        b[_DISCOUNT + i] = exp(-b[_R + i] * t)
        y = -0.5 * d1 * d1
        far = y < -708.0
        b[_DENSITY + i] = 0.0 if far else INV_ROOT_TWO_PI * exp(-708.0 if far else y)


@inline
def _tails(b):  # type: ignore[no-untyped-def]
    for i in range(LANES):
        z1, z2 = abs(b[_D1 + i]), abs(b[_D2 + i])
        z1 = FARTHEST if z1 > FARTHEST else z1
        z2 = FARTHEST if z2 > FARTHEST else z2
        bottom1, bottom2 = mills_bottom(z1), mills_bottom(z2)
        inv = 1.0 / (bottom1 * bottom2)
        b[_TAIL1 + i] = mills_top(z1) * bottom2 * inv
        b[_TAIL2 + i] = mills_top(z2) * bottom1 * inv


@inline
def _greeks(b):  # type: ignore[no-untyped-def]
    for i in range(LANES):
        s, v, w, d1, d2 = b[_S + i], b[_V + i], b[_W + i], b[_D1 + i], b[_D2 + i]
        root_t, inv, grown = b[_ROOT_T + i], b[_INV + i], b[_GROWN + i]
        # One density serves both tails: spot * n(d1) * growth = strike * n(d2) * discount.
        density = grown * b[_DENSITY + i]
        tail1, tail2 = density * b[_TAIL1 + i], s * (density * b[_TAIL2 + i])
        inside = grown - tail1 if w * d1 > 0.0 else tail1
        cash = b[_K + i] * b[_DISCOUNT + i] - tail2 if w * d2 > 0.0 else tail2
        asset = s * inside
        price = w * (asset - cash)
        # Without deviation there is no curvature; w * w is 1, or NaN where call or put is not known.
        density = w * w * (0.0 if v * root_t == 0.0 else density)
        inv_sd = s * inv
        vega = s * density * root_t * 0.01
        decay = 0.5 * s * density * v * v * inv_sd
        per_vol = root_t * inv_sd * 0.01
        b[_PRICE + i] = 0.0 if price <= 0.0 else price
        b[_DELTA + i] = w * inside
        b[_GAMMA + i] = density * inv
        b[_VEGA + i] = vega
        b[_THETA + i] = (w * (b[_Q + i] * asset - b[_R + i] * cash) - decay) * (1.0 / 365.0)
        b[_RHO + i] = w * root_t * root_t * cash * 0.01
        b[_VANNA + i] = -density * d2 * per_vol
        b[_VOLGA + i] = vega * d1 * d2 * per_vol


@inline
def _leave_out(b, count):  # type: ignore[no-untyped-def]
    """Mark which of ``count`` contracts are impossible, or too extreme for the stages above; how many."""
    found = 0
    for i in range(count):
        s, k, t, v = b[_S + i], b[_K + i], b[_T + i], b[_V + i]
        rates = max(abs(b[_R + i]), abs(b[_Q + i])) * t
        size = (s < 1e-150) | (k < 1e-150) | (s > 1e150) | (k > 1e150)
        odd = size | (t < 0.0) | (v < 0.0) | (t > 1e50) | (v > 1e50) | (rates > 200.0)
        b[_PRICE + i] = LEFT_OUT if odd else b[_PRICE + i]
        found += odd
    return found


@inline
def load(b, row, column, start, count):  # type: ignore[no-untyped-def]
    """Put ``count`` numbers of ``column`` into ``row`` of the buffer; a column of length 1 fills it."""
    if column.size == 1:
        for i in range(LANES):
            b[row + i] = column[0]
    else:
        # An index into a slice is never negative; of ``start + i`` the compiler would not know that.
        part = column[start : start + count]
        for i in range(count):
            b[row + i] = part[i]


@inline
def load_sign(b, row, is_call, start, count):  # type: ignore[no-untyped-def]
    """As ``load``: 1 for a call, -1 for a put, NaN where it is not known."""
    if is_call.size == 1:
        for i in range(LANES):
            b[row + i] = _sign(is_call[0])
    else:
        part = is_call[start : start + count]
        for i in range(count):
            b[row + i] = _sign(part[i])


@inline
def _sign(flag):  # type: ignore[no-untyped-def]
    return 1.0 if flag == 1 else -1.0 if flag == 0 else math.nan


_FLOATS = types.Array(types.float64, 1, "C", readonly=True)
_FLAGS = types.Array(types.int8, 1, "C", readonly=True)
_SIGNATURE = types.int64(*[_FLOATS] * 6, _FLAGS, types.float64[:, ::1], types.int64, types.int64)


@kernel(_SIGNATURE)
def greeks(spot, strike, years, rate, dividend_yield, vol, is_call, out, first, count):  # type: ignore[no-untyped-def]
    """Fill columns ``first`` to ``first + count`` of ``out``; returns how many have the price ``LEFT_OUT``.

    Rows of ``out`` are the fields of ``results.Greeks``, with or without the second-order ones. Inputs
    are as long as ``count``, or of length 1.
    """
    b = np.ones(_ROWS * LANES)
    left_out = 0
    for start in range(0, count, LANES):
        n = min(LANES, count - start)
        load(b, _S, spot, start, n)
        load(b, _K, strike, start, n)
        load(b, _T, years, start, n)
        load(b, _R, rate, start, n)
        load(b, _Q, dividend_yield, start, n)
        load(b, _V, vol, start, n)
        load_sign(b, _W, is_call, start, n)
        _deviations(b)
        _exponentials(b)
        _tails(b)
        _greeks(b)
        left_out += _leave_out(b, n)
        for row in range(out.shape[0]):
            line, part = out[row, first + start : first + start + n], b[_OUT + row * LANES :]
            for i in range(n):
                line[i] = part[i]
    return left_out
