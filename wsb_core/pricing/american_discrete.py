"""American options on a spot that pays known cash dividends: prices, and when to exercise for one."""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from .arrays import CALL, Batch
from .results import DAYS_A_YEAR

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import ArrayLike, NDArray

    Floats = NDArray[np.float64]

_NODES, _STEPS = 801, 400
_LEAST_DEVIATION = 1e-6
"""Volatility times root time below which the grid would be finer than doubles allow."""


class Dividend(NamedTuple):
    """One cash dividend of the underlying."""

    years: float
    """From now to the instant the spot goes ex, act/365."""
    amount: float
    """Dollars per share."""


class DividendModel(Enum):
    """What the volatility is the volatility of. The same number prices differently in the two."""

    SPOT = "spot"
    """The spot diffuses and drops by the dividend when it goes ex."""
    ESCROWED = "escrowed"
    """The spot less the dividends up to expiry, discounted at rate less yield, diffuses; forwards are those
    of ``SPOT``. Its volatility for one price is about spot / (spot - discounted dividends) times higher."""


class DiscreteAmerican(NamedTuple):
    """Per share, arrays of one shape; units and signs as in ``results.Greeks``."""

    price: Floats
    delta: Floats
    gamma: Floats
    theta: Floats
    """0 where exercising now is best."""
    exercise_now: NDArray[np.bool_]
    """Whether the option is worth no more than exercising it pays; then the short side expects assignment."""
    critical_spots: Floats
    """One more axis, over the dividends up to expiry in order: the spot from which on, into the money,
    exercise is best: for a call at the last moment with that dividend, for a put at the first without.
    NaN where no spot makes it best, and for dividends after that contract's expiry."""
    exercise_years: Floats
    """At which dividend exercise first is best if nothing else moves the spot: 0 is now, NaN at none."""


def american_discrete(
    spot: ArrayLike,
    strike: ArrayLike,
    years: ArrayLike,
    rate: ArrayLike,
    dividends: Sequence[Dividend],
    vol: ArrayLike,
    is_call: ArrayLike,
    *,
    dividend_yield: ArrayLike = 0.0,
    model: DividendModel = DividendModel.SPOT,
) -> DiscreteAmerican:
    """American price, Greeks and best exercise under one schedule of cash ``dividends``.

    The other arguments broadcast to one shape, which is returned; units as in ``european.european``.
    Dividends that have gone ex (``years`` at most 0) or go ex after a contract's expiry do not touch it.
    Errors are about 1e-5 of the spot; a contract takes milliseconds. A row with a NaN is NaN throughout.

    Raises: ValueError as ``european.european`` does, and when a dividend is negative or not finite.
    """
    batch = Batch(
        is_call, spot=spot, strike=strike, years=years, rate=rate, dividend_yield=dividend_yield, vol=vol
    )
    batch.refuse_impossible()
    when, amounts = _schedule(dividends)
    columns, sides = batch.full()
    out = np.full((5, batch.size), np.nan)
    criticals = np.full((batch.size, when.size), np.nan)
    for row in range(batch.size):
        contract = tuple(float(column[row]) for column in columns)
        if not np.isnan(contract).any() and sides[row] <= CALL:
            out[:, row] = _valued(contract, bool(sides[row]), when, amounts, model, criticals[row])
    shape = batch.shape
    price, delta, gamma, theta, moment = (values.reshape(shape) for values in out)
    return DiscreteAmerican(
        price, delta, gamma, theta, moment == 0.0, criticals.reshape(*shape, when.size), moment
    )


def _schedule(dividends: Sequence[Dividend]) -> tuple[Floats, Floats]:
    for dividend in dividends:
        if not (np.isfinite(dividend.years) and np.isfinite(dividend.amount) and dividend.amount >= 0.0):
            raise ValueError(f"a dividend needs finite years and an amount of at least 0, not {dividend}")
    coming = sorted((years, amount) for years, amount in dividends if years > 0.0)
    table = np.array(coming, dtype=np.float64).reshape(-1, 2)
    return np.ascontiguousarray(table[:, 0]), np.ascontiguousarray(table[:, 1])


def _valued(
    contract: tuple[float, ...],
    is_call: bool,
    when: Floats,
    amounts: Floats,
    model: DividendModel,
    criticals: Floats,
) -> tuple[float, float, float, float, float]:
    """Price, delta, gamma, theta and the years to best exercise of one contract."""
    spot, strike, years, rate, dividend_yield, vol = contract
    sign = 1.0 if is_call else -1.0
    intrinsic = max(sign * (spot - strike), 0.0)
    if years == 0.0:
        inside = sign if intrinsic > 0.0 else 0.0
        return intrinsic, inside, 0.0, 0.0, 0.0 if intrinsic > 0.0 else np.nan
    # Certainty is the limit of little volatility, which the grid can still resolve.
    vol = max(vol, _LEAST_DEVIATION / np.sqrt(years))
    count = int(np.searchsorted(when, years, side="right"))
    escrowed = model is DividendModel.ESCROWED
    price, delta, gamma = _kernel().value(
        spot, strike, years, rate, dividend_yield, vol, is_call,
        when[:count], amounts[:count], escrowed, _NODES, _STEPS, criticals[:count],
    )  # fmt: skip
    if intrinsic > 0.0 and price <= intrinsic + 1e-9 * strike:
        return intrinsic, sign, 0.0, 0.0, 0.0
    pending = float(amounts[:count] @ np.exp((dividend_yield - rate) * when[:count])) if escrowed else 0.0
    drifting = spot - pending
    running = rate * price - (rate - dividend_yield) * spot * delta
    theta = (running - 0.5 * vol * vol * drifting * drifting * gamma) / DAYS_A_YEAR
    return price, delta, gamma, theta, _moment(spot, sign, when[:count], amounts[:count], criticals[:count])


def _moment(spot: float, sign: float, when: Floats, amounts: Floats, criticals: Floats) -> float:
    dropped = np.cumsum(amounts)
    at = spot - (dropped - amounts if sign > 0.0 else dropped)
    best = np.flatnonzero(sign * (at - criticals) >= 0.0)
    return float(when[best[0]]) if best.size else np.nan


def _kernel() -> Any:
    # Imported late, as in ``american``.
    from .kernels import finite_difference

    return finite_difference
