"""European options by textbook formulas on scipy: slow, readable, and the oracle of the compiled kernels."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from .arrays import CALL, NEITHER, Batch
from .results import DAYS_A_YEAR, Greeks, ImpliedVol, IvStatus

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    Floats = NDArray[np.float64]

_ROOT_TWO_PI = 2.5066282746310002
_TIME_VALUE_ROUNDING = 2.0**-51
"""Two units in the last place: what rounding of the inputs can do to the two sides of intrinsic value."""
_WIDEST = 80.0
"""Standard deviations over the life of the option; the price is its maximum long before."""


# Numbers far beyond any market overflow on the way to the right answer.
@np.errstate(over="ignore", divide="ignore", invalid="ignore")
def european(
    spot: ArrayLike,
    strike: ArrayLike,
    years: ArrayLike,
    rate: ArrayLike,
    dividend_yield: ArrayLike,
    vol: ArrayLike,
    is_call: ArrayLike,
    *,
    second_order: bool = False,
) -> Greeks:
    """Black-Scholes-Merton price and Greeks; arguments, results and refusals of ``european.european``.

    Source: Merton (1973); golden values in tests/golden/european_mpmath.csv.
    """
    # Imported late: most commands never price an option, and scipy.special takes tens of milliseconds.
    from scipy.special import ndtr

    batch = Batch(
        is_call, spot=spot, strike=strike, years=years, rate=rate, dividend_yield=dividend_yield, vol=vol
    )
    batch.refuse_impossible()
    (s, k, t, r, q, v), flags = batch.full()
    sign = np.where(flags == NEITHER, np.nan, np.where(flags == CALL, 1.0, -1.0))
    grown, discount = np.exp(-q * t), np.exp(-r * t)
    deviation = v * np.sqrt(t)
    log_moneyness = np.log(s / k) + (r - q) * t
    alive = ~(deviation == 0)
    safe = np.where(alive, deviation, 1.0)
    # Without deviation the option is in or out for certain: d is plus or minus infinity, 0 at the money.
    certain = np.where(log_moneyness == 0, 0.0, np.copysign(np.inf, log_moneyness))
    d1 = np.where(alive, log_moneyness / safe + 0.5 * deviation, certain)
    d2 = np.where(alive, d1 - deviation, certain)
    inside1, inside2 = ndtr(sign * d1), ndtr(sign * d2)
    asset, cash = s * grown * inside1, k * discount * inside2
    density = np.where(alive, np.exp(-0.5 * np.where(alive, d1, 0.0) ** 2) / _ROOT_TWO_PI, 0.0)
    decay = np.where(alive, s * grown * density * v / (2.0 * np.sqrt(np.where(alive, t, 1.0))), 0.0)
    vega = s * grown * density * np.sqrt(t) * 0.01
    found = [
        sign * (asset - cash),
        sign * grown * inside1,
        grown * density / s / safe,
        vega,
        (sign * (q * asset - r * cash) - decay) / DAYS_A_YEAR,
        sign * t * cash * 0.01,
    ]
    if second_order:
        per_vol = np.where(alive, 1.0 / np.where(v == 0, 1.0, v), 0.0) * 0.01
        finite1, finite2 = (np.where(alive, d, 0.0) for d in (d1, d2))
        found += [-grown * density * finite2 * per_vol, vega * finite1 * finite2 * per_vol]
    unknown = np.isnan(sign + s + k + t + r + q + v)
    return Greeks(*(np.where(unknown, np.nan, array).reshape(batch.shape) for array in found))


def implied_vol(
    price: ArrayLike,
    spot: ArrayLike,
    strike: ArrayLike,
    years: ArrayLike,
    rate: ArrayLike,
    dividend_yield: ArrayLike,
    is_call: ArrayLike,
) -> ImpliedVol:
    """Volatility by Brent's method, a contract at a time; arguments and results of ``european.implied_vol``.

    Exact to about 1e-12 where the option out of the money is worth a thousandth of the spot, and less the
    less it is worth.
    """
    batch = Batch(
        is_call, price=price, spot=spot, strike=strike, years=years, rate=rate, dividend_yield=dividend_yield
    )
    columns, flags = batch.full()
    vol = np.full(batch.size, np.nan)
    status = np.empty(batch.size, np.int8)
    for i in range(batch.size):
        vol[i], status[i] = _implied([float(column[i]) for column in columns], int(flags[i]))
    return ImpliedVol(vol.reshape(batch.shape), status.reshape(batch.shape))


@np.errstate(over="ignore", divide="ignore", invalid="ignore")
def _implied(numbers: list[float], flag: int) -> tuple[float, IvStatus]:
    from scipy.optimize import brentq

    status, time_value = _status(numbers, flag)
    if status is not IvStatus.OK:
        return float("nan"), status
    _, spot, strike, years, rate, dividend_yield = numbers
    # The side out of the money has the same volatility, and no intrinsic value to lose digits to.
    out = spot * np.exp(-dividend_yield * years) < strike * np.exp(-rate * years)

    def miss(log_vol: float) -> float:
        value = european(spot, strike, years, rate, dividend_yield, np.exp(log_vol), bool(out)).price
        return float(np.log(np.maximum(value, 1e-320)) - np.log(time_value))

    # The price is at most vol * sqrt(years / 2 pi) in units of the geometric mean of the two sides.
    middle = 0.5 * (np.log(spot) - dividend_yield * years + np.log(strike) - rate * years)
    low, high = np.log(time_value) - middle - 0.5 * np.log(years), np.log(_WIDEST) - 0.5 * np.log(years)
    try:
        return float(np.exp(brentq(miss, low, high, xtol=1e-15, rtol=1e-14))), IvStatus.OK
    except ValueError:
        # A price or a leg so small or so large that its logarithm is lost: no quote is like that.
        return float("nan"), IvStatus.BAD_INPUT


def _status(numbers: list[float], flag: int) -> tuple[IvStatus, float]:
    """Whether a volatility can be found, and the price of the side out of the money."""
    price, spot, strike, years, rate, dividend_yield = numbers
    if (
        not np.isfinite(numbers).all()
        or price < 0
        or spot <= 0
        or strike <= 0
        or years < 0
        or flag == NEITHER
    ):
        return IvStatus.BAD_INPUT, 0.0
    if years == 0:
        return IvStatus.EXPIRED, 0.0
    asset, cash = spot * np.exp(-dividend_yield * years), strike * np.exp(-rate * years)
    if not (0 < asset < np.inf and 0 < cash < np.inf):
        return IvStatus.BAD_INPUT, 0.0
    most, least = (asset, cash) if flag == CALL else (cash, asset)
    intrinsic = max(most - least, 0.0)
    time_value = price - intrinsic
    if price >= most:
        return IvStatus.ABOVE_MAX, time_value
    rounding = _TIME_VALUE_ROUNDING * (asset + cash) if intrinsic > 0 else 0.0
    if abs(time_value) <= rounding:
        return IvStatus.AT_INTRINSIC, time_value
    return (IvStatus.OK if time_value > 0 else IvStatus.BELOW_INTRINSIC), time_value
