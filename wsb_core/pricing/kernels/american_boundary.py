"""The exercise boundary of an American put by Newton's method, and its slopes in volatility and rate.

Source: Andersen, Lake and Offengenden (2016), "High performance American option pricing", with three changes:
time runs as sin^2, so that both ends of the integrals are smooth; the boundary at quadrature times is a
constant matrix times its values at the collocation times; and the boundary equations are solved by full
Newton steps, whose matrix also gives the boundary's slopes.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from .american_lanes import (
    DEVIATION,
    DISCOUNT,
    FLOOR,
    G_SQUARED,
    GROWN,
    GROWTH,
    INV_DEVIATION,
    INV_ROOT,
    INV_SIGMA,
    IS_CALL,
    LAMBDA,
    LANES,
    LEAST,
    LN_B,
    LN_B_RHO,
    LN_B_SIGMA,
    LN_TOP,
    M_H,
    NOW,
    NOW_BY_RHO,
    NOW_BY_SIGMA,
    NOW_GROWN,
    NOW_SQUARE,
    NU,
    OWN_SLOPE,
    PULL,
    RATE,
    ROOM,
    ROW,
    SHIFT,
    SIGMA,
    SYSTEM,
    TOP_SLOPE,
    WORKSPACE,
    YEARS,
    YIELD,
    B,
    G,
    M,
    compiled,
    copy,
    reach,
    safe_exp,
    within,
)
from .european import INV_ROOT_TWO_PI, mills_bottom, mills_top

if TYPE_CHECKING:
    from .american_lanes import Floats, Scheme

_LEAST_RATE = 1e-12
_GUESSES = 5


@compiled
def _set_limits(w: Floats) -> None:
    """The boundary at expiry (``LN_TOP``) and how far below it lies with endless time (``ROOM``)."""
    for k in range(LANES):
        r, q, s = max(w[RATE + k], _LEAST_RATE), w[YIELD + k], w[SIGMA + k]
        w[RATE + k] = r
        w[DEVIATION + k] = s * math.sqrt(w[YEARS + k])
        w[INV_DEVIATION + k], w[INV_SIGMA + k] = 1.0 / w[DEVIATION + k], 1.0 / s
        m, nu = 2.0 * r / (s * s), 2.0 * (r - q) / (s * s) - 1.0
        root = math.sqrt(nu * nu + 4.0 * m)
        endless = -0.5 * (nu + root) if nu > 0.0 else -2.0 * m / (root - nu)
        w[M + k], w[NU + k] = m, nu
        w[LN_TOP + k] = math.log(r / q) if q > r else 0.0
        w[TOP_SLOPE + k] = (-1.0 / q if w[IS_CALL + k] else 1.0 / r) if q > r else 0.0
        w[ROOM + k] = max(w[LN_TOP + k] + math.log1p(-1.0 / endless), 1e-12)


@compiled
def _guess(w: Floats, root_time: float) -> None:
    """g at one time by the QD+ approximation (Li 2010) into ``NOW``."""
    for k in range(LANES):
        r, q, m, nu = w[RATE + k], w[YIELD + k], w[M + k], w[NU + k]
        tau = w[YEARS + k] * root_time * root_time
        discount = safe_exp(-r * tau)
        w[DISCOUNT + k], w[GROWN + k] = discount, safe_exp(-q * tau)
        x = r * tau
        short = x * (1.0 - x * (0.5 - x * (1.0 / 6.0 - x * (1.0 / 24.0 - x * (1.0 / 120.0)))))
        m_h = m / (short if x < 0.01 else 1.0 - discount)
        root = math.sqrt(nu * nu + 4.0 * m_h)
        w[M_H + k], w[INV_ROOT + k], w[LAMBDA + k] = m_h, 1.0 / root, -0.5 * (nu + root)
        deviation, inverse_room = w[DEVIATION + k] * root_time, 1.0 / w[ROOM + k]
        w[LEAST + k] = 1.0 / (1.0 / (0.3 * deviation) + inverse_room)
        # Fitted on solved boundaries; near expiry b falls by 0.638 deviations where yield exceeds rate.
        below = 0.65 + 1.5 / (1.0 + 3.0 * abs(q - r) * deviation / (x * r))
        drop = (3.0 if r >= q else below) * deviation
        w[NOW + k] = 1.0 / (1.0 / drop + inverse_room)
    for _ in range(_GUESSES):
        _guess_step(w, root_time)


@compiled
def _guess_step(w: Floats, root_time: float) -> None:
    inverse = 1.0 / root_time
    for k in range(LANES):
        s, r, q, discount, grown = w[SIGMA + k], w[RATE + k], w[YIELD + k], w[DISCOUNT + k], w[GROWN + k]
        deviation, inv_deviation = w[DEVIATION + k] * root_time, w[INV_DEVIATION + k] * inverse
        tau = w[YEARS + k] * root_time * root_time
        ln_b = w[LN_TOP + k] - w[NOW + k]
        b = safe_exp(ln_b)
        d1 = (ln_b + (r - q) * tau) * inv_deviation + 0.5 * deviation
        d2 = d1 - deviation
        density = INV_ROOT_TWO_PI * grown * safe_exp(-0.5 * d1 * d1)
        z1, z2 = reach(d1), reach(d2)
        bottom1, bottom2 = mills_bottom(z1), mills_bottom(z2)
        share = density / (bottom1 * bottom2)
        asset = within(grown, -d1, share * mills_top(z1) * bottom2)
        cash = within(discount, -d2, b * share * mills_top(z2) * bottom1)
        bent = density * inv_deviation
        slope = 1.0 - asset
        inv_held = 1.0 / (1.0 - b - cash + b * asset)
        theta = r * cash - q * b * asset - 0.5 * b * bent * s * s
        theta_slope = -q * asset - bent * (r - q + 0.5 * s * s * (1.0 - d1 * inv_deviation))
        inv_root, m_h = w[INV_ROOT + k], w[M_H + k]
        power = 2.0 / (s * s) * inv_root * inv_held
        c = discount * m_h * (1.0 - m_h * inv_root * inv_root) * inv_root - power * theta
        c_slope = -power * (theta_slope + theta * slope * inv_held)
        # Both over ``held``.
        miss = b * slope * inv_held + (w[LAMBDA + k] + c)
        steep = b * ((slope + bent - (w[LAMBDA + k] + c) * slope) * inv_held + c_slope)
        step = miss / steep
        step = step if step < 1.0 else 1.0
        step = step if step > -1.0 else -1.0
        g = w[NOW + k] + step
        g = g if g > w[LEAST + k] else w[LEAST + k]
        w[NOW + k] = g if g < w[ROOM + k] else w[ROOM + k]


@compiled
def _square(w: Floats, scheme: Scheme) -> None:
    """g squared at the collocation times, and what it is at least between them."""
    for k in range(LANES):
        least = 0.3 * w[DEVIATION + k]
        half = 0.5 * w[G + k]
        least = least if least < half else half
        w[FLOOR + k] = least * least
        for m in range(len(scheme.root_time)):
            w[G_SQUARED + m * LANES + k] = w[G + m * LANES + k] * w[G + m * LANES + k]


@compiled
def _own_terms(w: Floats, scheme: Scheme, root_time: float) -> None:
    """Begin the row of the Newton system for the time of ``NOW`` with what stands outside integrals."""
    n = len(scheme.root_time)
    step, by_sigma, by_rho = ROW + n * LANES, ROW + (n + 1) * LANES, ROW + (n + 2) * LANES
    for k in range(LANES):
        r, q, call = w[RATE + k], w[YIELD + k], w[IS_CALL + k]
        tau = w[YEARS + k] * root_time * root_time
        deviation = w[DEVIATION + k] * root_time
        inv_deviation = 1.0 / deviation
        ln_b = w[LN_TOP + k] - w[NOW + k]
        e2 = (ln_b + (r - q) * tau) * inv_deviation - 0.5 * deviation
        e1 = e2 + deviation
        b = safe_exp(ln_b)
        bell = INV_ROOT_TWO_PI * safe_exp(-r * tau - 0.5 * e2 * e2)
        z = reach(e1)
        asset = within(b * safe_exp(-q * tau), e1, bell * mills_top(z) / mills_bottom(z))
        density = bell * inv_deviation
        w[B + k] = b
        w[step + k] = -asset
        w[OWN_SLOPE + k] = -asset - density
        w[by_sigma + k] = bell * e2 * w[INV_SIGMA + k]
        w[by_rho + k] = call * tau * asset - density * (1.0 - 2.0 * call) * tau
        w[SHIFT + k] = 0.0
        for m in range(n):
            w[ROW + m * LANES + k] = 0.0


@compiled
def _node_terms(w: Floats, scheme: Scheme, i: int, j: int) -> None:
    """Add to the row of time ``i`` what quadrature node ``j`` of its smooth-fit equation gives."""
    n = len(scheme.root_time)
    step, by_sigma, by_rho = ROW + n * LANES, ROW + (n + 1) * LANES, ROW + (n + 2) * LANES
    spread = scheme.spread[i, j]
    copy(w, GROWTH + (i * scheme.sine.size + j) * LANES, NOW_GROWN)
    root_share = scheme.root_time[i] * scheme.sine[j]
    share, inverse = root_share * root_share, 1.0 / root_share
    floor = (scheme.root_time[i] * scheme.cosine[j]) ** 2
    time_weight = scheme.weight[j] * scheme.root_time[i] * root_share
    for k in range(LANES):
        w[NOW_SQUARE + k] = 0.0
        for m in range(n):
            w[NOW_SQUARE + k] += spread[m] * w[G_SQUARED + m * LANES + k]
    for k in range(LANES):
        r, q, call = w[RATE + k], w[YIELD + k], w[IS_CALL + k]
        t, dt = w[YEARS + k] * share, w[YEARS + k] * time_weight
        deviation, inv_deviation = w[DEVIATION + k] * root_share, w[INV_DEVIATION + k] * inverse
        square = w[NOW_SQUARE + k]
        least = floor * w[FLOOR + k]
        free = square > least
        g = math.sqrt(square if free else least)
        d2 = (g - w[NOW + k] + (r - q) * t) * inv_deviation - 0.5 * deviation
        d1 = d2 + deviation
        b_then = safe_exp(w[LN_TOP + k] - g)
        bell = INV_ROOT_TWO_PI * dt * safe_exp(-r * t - 0.5 * d2 * d2)
        c = bell * inv_deviation
        z = reach(d1)
        bottom = mills_bottom(z)
        inverses = 1.0 / (bottom * g)
        assets = within(dt * w[B + k] * w[NOW_GROWN + k], d1, bell * b_then * mills_top(z) * g * inverses)
        steepness = d2 * inv_deviation
        carry = q * b_then
        running = r - carry
        flow, toll = 1.0 - call, 1.0 - 2.0 * call
        w[step + k] += c * running - q * assets
        w[OWN_SLOPE + k] -= c * (running * steepness + carry) + q * assets
        w[by_sigma + k] += c * (r * (d1 * d2 - 1.0) - carry * (d2 * d2 - 1.0)) * w[INV_SIGMA + k]
        direct = flow - call * b_then - t * ((flow + toll * steepness) * running + carry * toll)
        w[by_rho + k] += c * direct - call * assets * (1.0 - q * t)
        shift = c * steepness * running
        w[SHIFT + k] += shift
        w[PULL + k] = shift * bottom * inverses if free else 0.0
    for k in range(LANES):
        for m in range(n):
            w[ROW + m * LANES + k] -= spread[m] * w[PULL + k]


@compiled
def _finish_row(w: Floats, scheme: Scheme, i: int) -> None:
    """The row in terms of g, reduced by the rows before it and stored; no pivoting, it is near triangular."""
    n = len(scheme.root_time)
    by_rho = ROW + (n + 2) * LANES
    for k in range(LANES):
        w[by_rho + k] += (w[OWN_SLOPE + k] + w[SHIFT + k]) * w[TOP_SLOPE + k]
        for m in range(n):
            own = w[OWN_SLOPE + k] if m == i else 0.0
            w[ROW + m * LANES + k] = w[ROW + m * LANES + k] * w[G + m * LANES + k] - own
    for before in range(i):
        copy(w, ROW + before * LANES, PULL)
        above = w[SYSTEM + before * (n + 3) * LANES :]
        for k in range(LANES):
            factor = w[PULL + k]
            for m in range(n + 3):
                w[ROW + m * LANES + k] -= factor * above[m * LANES + k]
    copy(w, ROW + i * LANES, PULL)
    into = w[SYSTEM + i * (n + 3) * LANES :]
    for k in range(LANES):
        inverse = 1.0 / w[PULL + k]
        for m in range(n + 3):
            into[m * LANES + k] = w[ROW + m * LANES + k] * inverse


@compiled
def _substitute(w: Floats, scheme: Scheme) -> None:
    """Back substitution: the right-hand sides of the stored rows become the solutions."""
    n = len(scheme.root_time)
    for i in range(n - 2, -1, -1):
        row = w[SYSTEM + i * (n + 3) * LANES :]
        for m in range(i + 1, n):
            solved = w[SYSTEM + (m * (n + 3) + n) * LANES :]
            for k in range(LANES):
                factor = row[m * LANES + k]
                for right in range(3):
                    row[(n + right) * LANES + k] -= factor * solved[right * LANES + k]


@compiled
def _newton(w: Floats, scheme: Scheme) -> None:
    """One Newton step on g at all collocation times; the boundary's slopes stay beside it in the system."""
    n = len(scheme.root_time)
    _square(w, scheme)
    for i in range(n):
        copy(w, G + i * LANES, NOW)
        _own_terms(w, scheme, scheme.root_time[i])
        for j in range(scheme.sine.size):
            _node_terms(w, scheme, i, j)
        _finish_row(w, scheme, i)
    _substitute(w, scheme)
    for m in range(n):
        steps = w[SYSTEM + (m * (n + 3) + n) * LANES :]
        row = w[G + m * LANES :]
        for k in range(LANES):
            g = row[k]
            moved = g - steps[k]
            # A step that is not a number (everything underflows where exercise is next to worthless) is none.
            moved = moved if moved > 0.5 * g else 0.5 * g if moved <= 0.5 * g else g
            row[k] = moved if moved < 2.0 * g else 2.0 * g


@compiled
def _boundary_at(w: Floats, scheme: Scheme, j: int) -> None:
    """ln b and its slopes at a node of the price."""
    n = len(scheme.root_time)
    spread, floor = scheme.price_spread[j], scheme.price_cosine[j] ** 2
    for k in range(LANES):
        square = by_sigma = by_rho = 0.0
        for m in range(n):
            at = m * LANES + k
            slopes = SYSTEM + (m * (n + 3) + n + 1) * LANES + k
            square += spread[m] * w[G_SQUARED + at]
            by_sigma += spread[m] * w[G + at] * w[slopes]
            by_rho += spread[m] * w[G + at] * w[slopes + LANES]
        least = floor * w[FLOOR + k]
        free = square > least
        g = math.sqrt(square if free else least)
        pull = 1.0 / g if free else 0.0
        w[NOW + k] = w[LN_TOP + k] - g
        w[NOW_BY_SIGMA + k] = by_sigma * pull
        w[NOW_BY_RHO + k] = by_rho * pull + w[TOP_SLOPE + k]


@compiled
def _solve_lanes(w: Floats, scheme: Scheme) -> None:
    """From SIGMA, RATE, YIELD, YEARS and IS_CALL to the rows LN_B, LN_B_SIGMA and LN_B_RHO.

    The boundary of the put; RHO is the rate of the market, hence the yield of that put for a call.
    """
    nodes = scheme.sine.size
    _set_limits(w)
    for i in range(len(scheme.root_time)):
        _guess(w, scheme.root_time[i])
        copy(w, NOW, G + i * LANES)
        for j in range(nodes):
            share = (scheme.root_time[i] * scheme.sine[j]) ** 2
            for k in range(LANES):
                w[NOW_GROWN + k] = safe_exp(-w[YIELD + k] * w[YEARS + k] * share)
            copy(w, NOW_GROWN, GROWTH + (i * nodes + j) * LANES)
    for _ in range(scheme.newton):
        _newton(w, scheme)
    _square(w, scheme)
    for j in range(scheme.price_cosine.size):
        _boundary_at(w, scheme, j)
        copy(w, NOW, LN_B + j * LANES)
        copy(w, NOW_BY_SIGMA, LN_B_SIGMA + j * LANES)
        copy(w, NOW_BY_RHO, LN_B_RHO + j * LANES)


@compiled
def solve_boundaries(puts: Floats, scheme: Scheme) -> Floats:
    """Boundaries of many puts: [put, node of the price, ln b or its slope in volatility or rate].

    ``puts`` has rows of volatility, rate, yield, years, and 1 for a put that stands for a call.
    """
    w = np.zeros(WORKSPACE)
    many, nodes = puts.shape[1], scheme.price_cosine.size
    table = np.empty((many, nodes, 3))
    for start in range(0, many, LANES):
        count = min(LANES, many - start)
        for k in range(LANES):
            i = start + min(k, count - 1)
            w[SIGMA + k], w[RATE + k], w[YIELD + k] = puts[0, i], puts[1, i], puts[2, i]
            w[YEARS + k], w[IS_CALL + k] = puts[3, i], puts[4, i]
        _solve_lanes(w, scheme)
        for k in range(count):
            for j in range(nodes):
                at = j * LANES + k
                table[start + k, j, 0] = w[LN_B + at]
                table[start + k, j, 1] = w[LN_B_SIGMA + at]
                table[start + k, j, 2] = w[LN_B_RHO + at]
    return table
