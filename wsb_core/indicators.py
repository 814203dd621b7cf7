"""Indicators over wide frames: sessions down (ascending), tickers across.

Every result has the input's shape. Row t uses rows up to t and no later one. A cell is NaN while its
history is shorter than the window, and where the input itself is NaN.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import pandas as pd

SESSIONS_A_YEAR = 252


def wilder_average(values: pd.DataFrame, window: int) -> pd.DataFrame:
    """Wilder's smoothing: the plain mean of the first ``window`` values, then 1/window of each new one.

    Its memory never ends: after ten windows the seed still weighs (1 - 1/window)^(9 window), under 0.02 %.
    Source: J. Welles Wilder, "New Concepts in Technical Trading Systems" (1978).
    """
    known = values.notna()
    count = known.cumsum()
    seed = values.cumsum() / window
    seeded = values.where(count > window, seed.where(count == window))
    smooth = seeded.ewm(alpha=1 / window, adjust=False, ignore_na=True).mean()
    # The smoothing itself would carry the last average across a gap.
    return smooth.where(known)


def wilder_rsi(close: pd.DataFrame, window: int = 14) -> pd.DataFrame:
    """Relative strength index, 0 to 100, with Wilder's smoothing.

    Division by zero is settled: no losses is 100, no gains is 0, neither is 50.
    Source: Wilder (1978), as ``wilder_average``.
    """
    change = close - close.shift(1)
    gain = wilder_average(change.clip(lower=0), window)
    loss = wilder_average(-change.clip(upper=0), window)
    total = gain + loss
    return (100 * gain / total.where(total > 0)).where(total != 0, 50.0)


def average_true_range(
    high: pd.DataFrame, low: pd.DataFrame, close: pd.DataFrame, window: int = 14
) -> pd.DataFrame:
    """Wilder's average true range in dollars. The first session's true range is its high minus its low."""
    before = close.shift(1)
    # fmax skips the close that the first session does not have.
    reach = np.fmax((high - before).abs(), (low - before).abs())
    return wilder_average(np.fmax(high - low, reach).where((high - low).notna()), window)


def realised_vol(close: pd.DataFrame, window: int) -> pd.DataFrame:
    """Annualised sample deviation of the last ``window`` daily log returns; 0.20 is 20 %."""
    returns = np.log(close / close.shift(1))
    return returns.rolling(window).std(ddof=1) * np.sqrt(SESSIONS_A_YEAR)


def moving_average(values: pd.DataFrame, window: int) -> pd.DataFrame:
    """Plain mean of the last ``window`` rows, this one included."""
    return values.rolling(window).mean()


def bollinger_position(close: pd.DataFrame, window: int = 20, width: float = 2.0) -> pd.DataFrame:
    """Where the close lies between the bands: 0 on the lower, 1 on the upper, below 0 when under both.

    Bands are ``width`` population deviations from the mean, as Bollinger draws them. When they
    coincide (a flat series) the close is on the middle line: 0.5.
    """
    middle = close.rolling(window).mean()
    half = width * close.rolling(window).std(ddof=0)
    return (0.5 + (close - middle) / (2 * half.where(half > 0))).where(half != 0, 0.5)


def relative_volume(volume: pd.DataFrame, window: int = 20) -> pd.DataFrame:
    """Volume over the mean of the ``window`` sessions before it; NaN when none of them traded.

    A session in progress must come scaled to the time of day, or the ratio is too low.
    """
    usual = volume.shift(1).rolling(window).mean()
    return volume / usual.where(usual > 0)


def rise_to_high(high: pd.DataFrame, low: pd.DataFrame, window: int) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The rise into the highest high of the last ``window`` rows, and that high in dollars.

    The rise is measured from the lowest low of an earlier row of the same window: 0.20 is 20 %.
    NaN when the highest high is the window's first row, so that no low came before it. Of equal
    highs the latest counts.
    """
    top = high.shift(window - 1)
    floor = low.shift(window - 1)
    base = floor.where(floor.isna())
    for back in range(window - 2, -1, -1):
        here, under = high.shift(back), low.shift(back)
        higher = here >= top
        base = base.where(~higher, floor)
        top = top.where(~higher, here)
        floor = np.fmin(floor, under)
    whole = (high.notna() & low.notna()).rolling(window).sum() == window
    return (top / base - 1).where(whole), top.where(whole)
