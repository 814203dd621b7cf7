"""American options with cash dividends by finite differences, one contract after another.

Crank-Nicolson in ln(spot) with implicit half steps after every kink in time; early exercise by operator
splitting (Ikonen and Toivanen 2004), which asks nothing of the shape of the exercise region.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from .american_lanes import compiled

if TYPE_CHECKING:
    from .american_lanes import Floats

_SMOOTHING_STEPS = 2
_WIDTH = 6.0
"""Standard deviations from the spot to the edge of the grid."""


@compiled
def _grid(spot: float, years: float, drift: float, vol: float, paid: float, nodes: int) -> Floats:
    """Spots evenly spaced in the logarithm, today's in the middle."""
    lost = -math.log(1.0 - min(paid / spot, 0.9))
    half = _WIDTH * vol * math.sqrt(years) + abs(drift) * years + lost + 1e-6
    return spot * np.exp(np.linspace(-half, half, nodes))


@compiled
def _payoff(grid: Floats, strike: float, sign: float, shift: float) -> Floats:
    return np.maximum(sign * (grid + shift - strike), 0.0)


@compiled
def _smooth_kink(values: Floats, grid: Floats, strike: float, sign: float) -> None:
    """Replace the payoff of the cells that hold the strike by the cell's mean."""
    step = math.log(grid[1] / grid[0])
    for i in range(grid.size):
        if abs(math.log(strike / grid[i])) < step:
            total = 0.0
            for part in range(32):
                spot = grid[i] * math.exp(step * ((part + 0.5) / 32.0 - 0.5))
                total += max(sign * (spot - strike), 0.0)
            values[i] = total / 32.0


@compiled
def _step(
    values: Floats, force: Floats, payoff: Floats, edges: tuple[float, float], share: float, dt: float,
    below: float, middle: float, above: float, work: Floats, right: Floats,
) -> None:  # fmt: skip
    """One step back in time, ``share`` of it implicit; ``force`` is what early exercise adds a year."""
    last = values.size - 1
    explicit, implicit = (1.0 - share) * dt, share * dt
    low, mid, high = -implicit * below, 1.0 - implicit * middle, -implicit * above
    right[0], work[0] = edges[0], 0.0
    for i in range(1, last):
        old = below * values[i - 1] + middle * values[i] + above * values[i + 1]
        inverse = 1.0 / (mid - low * work[i - 1])
        work[i] = high * inverse
        right[i] = (values[i] + explicit * old + dt * force[i] - low * right[i - 1]) * inverse
    values[0], values[last] = edges
    for i in range(last - 1, 0, -1):
        right[i] -= work[i] * (values[last] if i == last - 1 else right[i + 1])
    for i in range(1, last):
        values[i] = max(right[i] - dt * force[i], payoff[i])
        force[i] = max(force[i] + (values[i] - right[i]) / dt, 0.0)


@compiled
def _read(values: Floats, grid: Floats, spot: float) -> float:
    """Cubic interpolation in ln(spot), kept between the neighbours; at the edge the edge's value."""
    step = math.log(grid[1] / grid[0])
    place = math.log(max(spot, grid[0]) / grid[0]) / step
    i = min(max(int(place), 1), grid.size - 3)
    x = place - i
    a, b, c, d = values[i - 1], values[i], values[i + 1], values[i + 2]
    found = b + 0.5 * x * (c - a + x * (2.0 * a - 5.0 * b + 4.0 * c - d + x * (3.0 * (b - c) + d - a)))
    inside = 0.0 <= x <= 1.0
    return float(min(max(found, min(b, c)), max(b, c)) if inside else found)


@compiled
def _critical(held: Floats, payoff: Floats, grid: Floats, sign: float) -> float:
    """The spot from which on, inwards the money, exercise beats ``held``; NaN where it nowhere does."""
    start, stop, way = (0, grid.size, 1) if sign > 0.0 else (grid.size - 1, -1, -1)
    for i in range(start, stop, way):
        gain = payoff[i] - held[i]
        if payoff[i] > 0.0 and gain >= -1e-9 * grid[i]:
            before = i - way
            if before < 0 or before >= grid.size or payoff[before] <= 0.0:
                return float(grid[i])
            lack = held[before] - payoff[before]
            part = lack / (lack + gain) if lack + gain > 0.0 else 1.0
            return float(grid[before] + (grid[i] - grid[before]) * min(max(part, 0.0), 1.0))
    return math.nan


@compiled
def _march(
    values: Floats, grid: Floats, strike: float, sign: float, rates: tuple[float, float], vol: float,
    left: float, span: float, count: int, shift: float,
) -> None:  # fmt: skip
    """Carry ``values`` back over ``span`` years that no dividend interrupts; ``left`` years remained before.

    ``shift`` is the present value, then, of what the spot pays later and the grid leaves out.
    """
    rate, dividend_yield = rates
    dx, last = math.log(grid[1] / grid[0]), grid.size - 1
    drift, spread = rate - dividend_yield - 0.5 * vol * vol, vol * vol / (dx * dx)
    below, middle, above = 0.5 * (spread - drift / dx), -spread - rate, 0.5 * (spread + drift / dx)
    force, work, right = np.zeros(grid.size), np.empty(grid.size), np.empty(grid.size)
    done = 0.0
    for step in range(count + _SMOOTHING_STEPS):
        smooth = step < 2 * _SMOOTHING_STEPS
        dt = span / count * (0.5 if smooth else 1.0)
        done += dt
        ahead = shift * math.exp((dividend_yield - rate) * done)
        payoff = _payoff(grid, strike, sign, ahead)
        cash, grown = strike * math.exp(-rate * (left + done)), math.exp(-dividend_yield * (left + done))
        low, high = sign * (grid[0] * grown - cash), sign * (grid[last] * grown - cash)
        edges = (max(payoff[0], low), max(payoff[last], high))
        _step(values, force, payoff, edges, 1.0 if smooth else 0.5, dt, below, middle, above, work, right)


@compiled
def _pay(
    values: Floats, grid: Floats, strike: float, sign: float, amount: float, shift: float, escrowed: bool
) -> float:
    """Step back over a dividend; returns the spot from which on, into the money, exercise is best there.

    A call is exercised just before the spot goes ex, a put just after.
    """
    after = _payoff(grid, strike, sign, shift)
    found = _critical(values, after, grid, sign) + shift
    before = _payoff(grid, strike, sign, shift + amount) if escrowed else _payoff(grid, strike, sign, 0.0)
    if not escrowed:
        held = np.empty(grid.size)
        for i in range(grid.size):
            held[i] = _read(values, grid, grid[i] - amount)
        values[:] = held
    if sign > 0.0:
        found = _critical(values, before, grid, sign) + (shift + amount if escrowed else 0.0)
    for i in range(grid.size):
        values[i] = max(values[i], before[i])
    return found


@compiled
def value(
    spot: float, strike: float, years: float, rate: float, dividend_yield: float, vol: float, is_call: bool,
    when: Floats, amounts: Floats, escrowed: bool, nodes: int, steps: int, criticals: Floats,
) -> tuple[float, float, float]:  # fmt: skip
    """Price, delta and gamma; fills ``criticals``, one for each dividend (see ``_pay``).

    ``when`` (years, ascending, all above 0 and up to ``years``) and ``amounts`` are the cash dividends.
    Escrowed: the spot less what has to be held of it today for the dividends diffuses; otherwise the spot
    itself does, and drops by what is paid.
    """
    sign = 1.0 if is_call else -1.0
    pending = (amounts * np.exp((dividend_yield - rate) * when)).sum() if escrowed else 0.0
    start = max(spot - pending, 1e-6 * spot)
    drift = rate - dividend_yield - 0.5 * vol * vol
    grid = _grid(start, years, drift, vol, 0.0 if escrowed else amounts.sum(), nodes)
    values = _payoff(grid, strike, sign, 0.0)
    _smooth_kink(values, grid, strike, sign)
    now, shift = years, 0.0
    for m in range(when.size, -1, -1):
        until = when[m - 1] if m else 0.0
        if now > until:
            count = max(round(steps * (now - until) / years), 8)
            rates, left = (rate, dividend_yield), years - now
            _march(values, grid, strike, sign, rates, vol, left, now - until, count, shift)
            shift *= math.exp((dividend_yield - rate) * (now - until))
        if m:
            criticals[m - 1] = _pay(values, grid, strike, sign, amounts[m - 1], shift, escrowed)
            shift += amounts[m - 1] if escrowed else 0.0
        now = until
    at, dx = nodes // 2, math.log(grid[1] / grid[0])
    first = (values[at + 1] - values[at - 1]) / (2.0 * dx)
    second = (values[at + 1] - 2.0 * values[at] + values[at - 1]) / (dx * dx)
    return float(values[at]), first / start, (second - first) / (start * start)
