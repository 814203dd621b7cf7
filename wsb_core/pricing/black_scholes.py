"""European option prices and Greeks on a spot that pays a continuous yield."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    Floats = NDArray[np.float64]

DAYS_A_YEAR = 365.0
_ROOT_TWO_PI = 2.5066282746310002


class Greeks(NamedTuple):
    """Per share. Arrays of one shape; every Greek has the sign of a long position."""

    price: Floats
    delta: Floats
    """Dollars per dollar of spot; puts negative."""
    gamma: Floats
    """Change of delta per dollar of spot."""
    vega: Floats
    """Dollars per vol point (0.01 of volatility)."""
    theta: Floats
    """Dollars per calendar day that passes; negative when time costs."""
    rho: Floats
    """Dollars per percentage point (0.01) of rate."""


def european(
    spot: ArrayLike,
    strike: ArrayLike,
    years: ArrayLike,
    rate: ArrayLike,
    dividend_yield: ArrayLike,
    vol: ArrayLike,
    is_call: ArrayLike,
) -> Greeks:
    """Black-Scholes-Merton price and Greeks; arguments broadcast to one shape.

    ``spot`` and ``strike`` in dollars, ``years`` act/365, ``rate`` and ``dividend_yield`` continuous
    (0.05 is 5%), ``vol`` annual (0.2 is 20%). With no time or no volatility left the price is the
    discounted intrinsic value of the forward, and gamma and vega are 0.

    Raises: ValueError when a spot or strike is not positive, or years or vol is negative or not a number.
    Source: Merton (1973); golden values in tests/golden/european_mpmath.csv.
    """
    # Imported late: most commands never price an option, and scipy.special takes tens of milliseconds.
    from scipy.special import ndtr

    s, k, t, r, q, v = _checked(spot, strike, years, rate, dividend_yield, vol)
    sign = np.where(np.asarray(is_call, dtype=bool), 1.0, -1.0)
    grown, discount = np.exp(-q * t), np.exp(-r * t)
    deviation = v * np.sqrt(t)
    log_moneyness = np.log(s / k) + (r - q) * t
    alive = deviation > 0
    safe = np.where(alive, deviation, 1.0)
    # Without deviation the option is in or out for certain: d is plus or minus infinity, 0 at the money.
    certain = np.where(log_moneyness == 0, 0.0, np.copysign(np.inf, log_moneyness))
    d1 = np.where(alive, log_moneyness / safe + 0.5 * deviation, certain)
    d2 = np.where(alive, d1 - deviation, certain)
    inside1, inside2 = ndtr(sign * d1), ndtr(sign * d2)
    asset, cash = s * grown * inside1, k * discount * inside2
    density = np.where(alive, np.exp(-0.5 * np.where(alive, d1, 0.0) ** 2) / _ROOT_TWO_PI, 0.0)
    decay = np.where(alive, s * grown * density * v / (2.0 * np.sqrt(np.where(alive, t, 1.0))), 0.0)
    return Greeks(
        price=sign * (asset - cash),
        delta=sign * grown * inside1,
        gamma=grown * density / (s * safe),
        vega=s * grown * density * np.sqrt(t) * 0.01,
        theta=(sign * (q * asset - r * cash) - decay) / DAYS_A_YEAR,
        rho=sign * t * cash * 0.01,
    )


def _checked(*values: ArrayLike) -> list[Floats]:
    arrays = np.broadcast_arrays(*(np.asarray(value, dtype=np.float64) for value in values))
    for name, array, low in zip(
        ("spot", "strike", "years", "vol"), (*arrays[:3], arrays[5]), (True, True, False, False), strict=True
    ):
        wrong = ~(array > 0) if low else ~(array >= 0)
        if wrong.any():
            bound = "positive" if low else "at least 0"
            raise ValueError(f"{name} must be {bound}, not {array[wrong].flat[0]}; check the input prices")
    return list(arrays)
