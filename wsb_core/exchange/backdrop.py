"""What options are modelled from: an underlying's history before a session, and its volatility smile."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING

import numpy as np

from wsb_core.domain.calendar import Session
from wsb_core.domain.contracts import root_of
from wsb_core.domain.ids import Underlying

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

_LEAST_HISTORY = 20
"""Returns below which there is no volatility to model from, and so no options."""


@dataclass(frozen=True, slots=True, eq=False)
class Backdrop:
    """What is known of an underlying before a session opens: all that its options are modelled from.

    Prices are in the shares of this session (adjusted for the splits up to it).
    """

    underlying: Underlying
    session: Session
    days: NDArray[np.datetime64]
    high: Floats
    low: Floats
    previous_close: float
    dollar_volume: float
    """Average dollars traded a day."""
    rate: float
    dividend_yield: float
    splits: tuple[tuple[date, float], ...]
    is_index: bool
    weeklies: bool
    seed: int
    level: float
    """At-the-money volatility before the day's move."""

    @property
    def root(self) -> str:
        return "SPXW" if self.underlying == "SPX" else root_of(self.underlying)

    @property
    def daily_vol(self) -> float:
        return self.level / float(np.sqrt(252.0))


def backdrop(
    *,
    underlying: Underlying,
    session: Session,
    days: NDArray[np.datetime64],
    high: Floats,
    low: Floats,
    close: Floats,
    dollar_volume: float,
    rate: float,
    dividends: float,
    splits: tuple[tuple[date, float], ...],
    is_index: bool,
    weeklies: bool,
    seed: int,
) -> Backdrop | None:
    """The backdrop of ``session`` from the bars before it; None while history is too short to model from.

    ``dividends`` is what was paid per share in the last year: it is taken to go on as a yield.
    """
    good = close[np.isfinite(close) & (close > 0)]
    if len(good) <= _LEAST_HISTORY:
        return None
    last = float(good[-1])
    return Backdrop(
        underlying=underlying,
        session=session,
        days=days,
        high=high,
        low=low,
        previous_close=last,
        dollar_volume=dollar_volume,
        rate=rate,
        dividend_yield=dividends / last,
        splits=splits,
        is_index=is_index,
        weeklies=weeklies,
        seed=seed,
        level=_level(good, is_index),
    )


_PREMIUM = {True: 1.20, False: 1.10}
"""Implied over realised volatility, index and single name: assumed, in the range usually reported."""
_MOVE_BETA = {True: 4.0, False: 1.5}
"""Relative rise of volatility for a relative fall of the spot since the previous close: assumed."""
_LEVEL_RANGE = (0.10, 1.50)
_SMILE_DAYS = np.array([7.5, 15.0, 30.0, 58.0, 98.0, 160.0, 300.0])
_INDEX_TERM = np.array([0.89, 0.88, 0.88, 0.89, 0.90, 0.93, 0.94]) / 0.88
_INDEX_LEAN = np.array([-0.382, -0.450, -0.515, -0.592, -0.634, -0.656, -0.671])
_INDEX_BEND = np.array([0.578, 0.717, 0.794, 0.862, 0.905, 0.941, 0.918])
"""At-the-money term, and the smile's slope (rho eta) and curvature (eta), by days to expiry: fitted to
the medians of SPXW 2019-04-25 to 06-28 at the 25- and 10-delta strikes."""
_STOCK_LEAN, _STOCK_BEND = -0.088, 0.51
"""The same for single names, any expiry: fitted to the 25-delta strikes of AAPL, JPM, NVDA and TSLA,
20-45 days, June and July 2026."""


def _level(close: Floats, is_index: bool) -> float:
    returns = np.diff(np.log(close[-253:]))
    blend = 0.5 * _ewma_variance(returns, 21) + 0.5 * _ewma_variance(returns, 60)
    return float(np.clip(_PREMIUM[is_index] * np.sqrt(252.0 * blend), *_LEVEL_RANGE))


def _ewma_variance(returns: Floats, span: int) -> float:
    weights = (1.0 - 2.0 / (span + 1.0)) ** np.arange(len(returns) - 1, -1, -1)
    return float(np.average(returns * returns, weights=weights))


def atm_vol(market: Backdrop, spot: float, years: float) -> float:
    """At-the-money-forward volatility with ``years`` to expiry, after the day's move to ``spot``."""
    move = spot / market.previous_close - 1.0
    reaction = float(np.clip(1.0 - _MOVE_BETA[market.is_index] * move, 0.7, 1.5))
    term = float(np.interp(np.sqrt(years * 365.0), np.sqrt(_SMILE_DAYS), _INDEX_TERM))
    return market.level * reaction * (term if market.is_index else 1.0)


def smile(market: Backdrop, atm: float, years: float, log_moneyness: Floats) -> Floats:
    """Volatility at ``log_moneyness`` = ln(strike / forward): one smile for calls and puts.

    A slice of the SSVI surface, which admits no butterfly arbitrage while
    eta sqrt(theta) (1 + |rho|) < 4 and eta^2 (1 + |rho|) <= 4, as it is here.
    Source: Gatheral and Jacquier, "Arbitrage-free SVI volatility surfaces" (2014).
    """
    lean, bend = _STOCK_LEAN, _STOCK_BEND
    if market.is_index:
        root = np.sqrt(years * 365.0)
        lean = float(np.interp(root, np.sqrt(_SMILE_DAYS), _INDEX_LEAN))
        bend = float(np.interp(root, np.sqrt(_SMILE_DAYS), _INDEX_BEND))
    rho = lean / bend
    x = log_moneyness / (atm * np.sqrt(years))
    squared: Floats = 0.5 * (1.0 + lean * x + np.sqrt((bend * x + rho) ** 2 + 1.0 - rho * rho))
    return atm * np.sqrt(squared)
