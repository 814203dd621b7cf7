"""American option prices by the Leisen-Reimer binomial tree, many contracts at a time."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from .results import DAYS_A_YEAR

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    Floats = NDArray[np.float64]

_FAR = 12.0
"""Standard deviations beyond which an option is in or out for certain and the tree degenerates."""


class AmericanGreeks(NamedTuple):
    """Per share, one entry a contract; units as in ``black_scholes.Greeks``."""

    price: Floats
    delta: Floats
    gamma: Floats
    theta: Floats
    """Dollars per calendar day; 0 where exercising now is best."""


def american(
    spot: ArrayLike,
    strike: ArrayLike,
    years: ArrayLike,
    rate: ArrayLike,
    dividend_yield: ArrayLike,
    vol: ArrayLike,
    is_call: ArrayLike,
    steps: int = 101,
) -> AmericanGreeks:
    """American price and Greeks from one tree each; arguments broadcast to one dimension.

    Units as in ``black_scholes.european``. The error shrinks with the square of ``steps``, which is
    odd: about 0.003 dollars root mean square on a spot of 100 at 101 steps.

    Raises: ValueError when a spot, strike, years or vol is not positive, or ``steps`` is even or under 3.
    Source: Leisen and Reimer (1996), Peizer-Pratt inversion 2; theta from the pricing equation.
    """
    if steps < 3 or steps % 2 == 0:
        raise ValueError(f"steps must be odd and at least 3, not {steps}; take {steps + 1}")
    raw = (spot, strike, years, rate, dividend_yield, vol)
    s, k, t, r, q, v = np.broadcast_arrays(*(np.atleast_1d(np.asarray(x, dtype=np.float64)) for x in raw))
    for name, array in (("spot", s), ("strike", k), ("years", t), ("vol", v)):
        if not (array > 0).all():
            raise ValueError(f"{name} must be positive, not {array[~(array > 0)][0]}")
    sign = np.broadcast_to(np.where(np.asarray(is_call, dtype=bool), 1.0, -1.0), s.shape)
    deviation = v * np.sqrt(t)
    d2 = (np.log(s / k) + (r - q) * t) / deviation - 0.5 * deviation
    far = (np.abs(d2) > _FAR) | (np.abs(d2 + deviation) > _FAR)
    d2 = np.clip(d2, -_FAR, _FAR)
    up, down, chance, discount = _lattice(d2, deviation, t / steps, r, q, steps)
    price, delta, gamma = _roll_back(s, k, sign, up, down, chance, discount, steps)
    exercised = price <= sign * (s - k) + 1e-12
    running = r * price - (r - q) * s * delta - 0.5 * v * v * s * s * gamma
    theta = np.where(exercised, 0.0, running / DAYS_A_YEAR)
    return _certain(AmericanGreeks(price, delta, gamma, theta), far, s, k, t, r, q, sign)


def _lattice(
    d2: Floats, deviation: Floats, step: Floats, r: Floats, q: Floats, steps: int
) -> tuple[Floats, Floats, Floats, Floats]:
    chance, weighted = _peizer_pratt(d2, steps), _peizer_pratt(d2 + deviation, steps)
    growth = np.exp((r - q) * step)
    up = growth * weighted / chance
    down = growth * (1.0 - weighted) / (1.0 - chance)
    return up, down, chance, np.exp(-r * step)


def _peizer_pratt(z: Floats, steps: int) -> Floats:
    scaled = z / (steps + 1.0 / 3.0 + 0.1 / (steps + 1.0))
    tail = -np.expm1(-scaled * scaled * (steps + 1.0 / 6.0))
    found: Floats = 0.5 + np.copysign(0.5 * np.sqrt(tail), z)
    return found


def _roll_back(
    s: Floats,
    k: Floats,
    sign: Floats,
    up: Floats,
    down: Floats,
    chance: Floats,
    discount: Floats,
    steps: int,
) -> tuple[Floats, Floats, Floats]:
    # Rows are nodes and columns contracts, so that every step works on one contiguous block.
    rises = np.arange(steps + 1, dtype=np.float64)[:, None]
    spots = s * down ** (steps - rises) * up**rises
    values = np.maximum(sign * (spots - k), 0.0)
    rise, fall, back = discount * chance, discount * (1.0 - chance), 1.0 / down
    delta = gamma = np.zeros_like(s)
    for last in range(steps, 0, -1):
        # Row j of the earlier step stands where row j stood, one fall undone.
        spots = spots[:last] * back
        values = np.maximum(rise * values[1:] + fall * values[:-1], sign * (spots - k))
        if last == 3:
            slopes = (values[1:] - values[:-1]) / (spots[1:] - spots[:-1])
            gamma = (slopes[1] - slopes[0]) / (0.5 * (spots[2] - spots[0]))
        elif last == 2:
            delta = (values[1] - values[0]) / (spots[1] - spots[0])
    return values[0], delta, gamma


def _certain(
    tree: AmericanGreeks,
    far: NDArray[np.bool_],
    s: Floats,
    k: Floats,
    t: Floats,
    r: Floats,
    q: Floats,
    sign: Floats,
) -> AmericanGreeks:
    """``tree`` with the contracts ``far`` from the money priced as forwards, or exercised now."""
    if not far.any():
        return tree
    later = np.maximum(sign * (s * np.exp(-q * t) - k * np.exp(-r * t)), 0.0)
    now = np.maximum(sign * (s - k), 0.0)
    waits = later > now
    delta = np.where(waits, sign * np.exp(-q * t), np.where(now > 0, sign, 0.0))
    cost = np.where(waits, sign * (q * s * np.exp(-q * t) - r * k * np.exp(-r * t)) / DAYS_A_YEAR, 0.0)
    return AmericanGreeks(
        np.where(far, np.maximum(later, now), tree.price),
        np.where(far, delta, tree.delta),
        np.where(far, 0.0, tree.gamma),
        np.where(far, cost, tree.theta),
    )
