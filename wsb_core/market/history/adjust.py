"""Prices in today's shares, and with dividends kept: from traded prices and known corporate actions."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import TYPE_CHECKING

import numpy as np

from wsb_core.domain.errors import DataQualityError

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Days = NDArray[np.datetime64]

_OLDEST_CLOSE = np.timedelta64(10, "D")
PRICES = ("open", "high", "low", "close")


class Adjustment(StrEnum):
    """What prices are adjusted for. A row of the last session is as traded in each of them."""

    RAW = "raw"
    SPLITS = "splits"
    ALL = "all"
    """Splits and cash dividends: changes are returns with each dividend reinvested before its ex-date."""


class Unadjustable(DataQualityError):
    """Bars whose dividends contradict their prices, or have none; ``reasons`` by symbol."""

    def __init__(self, reasons: Mapping[str, str]) -> None:
        super().__init__("; ".join(reasons.values()))
        self.reasons = reasons


def adjusted_bars(
    bars: pd.DataFrame, closes: pd.DataFrame, splits: pd.DataFrame, dividends: pd.DataFrame | None
) -> pd.DataFrame:
    """Bars times the factor of every later ex-date: 1/ratio for a split, 1 - D/P for a dividend.

    P is the last traded close before the ex-date, in the shares of the ex-date, out of ``closes`` (daily
    and traded, from the first session of ``bars`` on). Volume is divided by the factor of the splits alone.
    All frames are sorted by symbol and day. No event may lie after the instant that is looked from.

    Raises: Unadjustable for a dividend that is not smaller than the price before it, or that has no close
    within ten days before it.
    Source: Yahoo, "What is the adjusted close?" (whose example is a test). Vendors that reinvest at the close
    of the ex-date differ by D/P times that day's return.
    """
    traded = _series(closes, "session", "close")
    ratios = _series(splits, "ex_date", "ratio")
    amounts = {} if dividends is None else _series(dividends, "ex_date", "amount")
    starts = _blocks(bars["symbol"].to_numpy())
    days = bars["session"].to_numpy()
    price = np.ones(len(bars))
    shares = np.ones(len(bars))
    reasons = {}
    for symbol, (start, end) in starts.items():
        if symbol not in ratios and symbol not in amounts:
            continue
        block = slice(start, end)
        split_days, split_ratios = ratios.get(symbol, _NONE)
        shares[block] = _after(days[block], split_days, split_ratios)
        price[block] = 1 / shares[block]
        if symbol in amounts:
            paid = _after_first(days[start], amounts[symbol])
            try:
                ex_days, factors = _dividend_factors(
                    symbol, paid, traded.get(symbol, _NONE), split_days, split_ratios
                )
            except DataQualityError as error:
                reasons[symbol] = str(error)
                continue
            price[block] *= _after(days[block], ex_days, factors)
    if reasons:
        raise Unadjustable(reasons)
    changed = {name: bars[name] * price for name in PRICES}
    return bars.assign(**changed, volume=bars["volume"] * shares)


def _dividend_factors(
    symbol: str,
    events: tuple[Days, Floats],
    closes: tuple[Days, Floats],
    split_days: Days,
    split_ratios: Floats,
) -> tuple[Days, Floats]:
    """Ex-dates and 1 - D/P; dividends of one day are added up."""
    ex_days, where = np.unique(events[0], return_inverse=True)
    paid = np.bincount(where, weights=events[1], minlength=len(ex_days))
    sessions, traded = closes
    before = np.searchsorted(sessions, ex_days) - 1
    for day, at in zip(ex_days, before, strict=True):
        if at < 0 or day - sessions[at] > _OLDEST_CLOSE:
            raise DataQualityError(
                f"daily: {symbol} has no close in the ten days before its dividend of "
                f"{day.astype('datetime64[D]')}; write those bars, or read adjusted for splits alone"
            )
    # A split between the last close and the ex-date (often the same day) changes the shares P is in.
    turned = _after(sessions[before], split_days, split_ratios) / _after(ex_days, split_days, split_ratios)
    factors = 1 - paid * turned / traded[before]
    if (factors <= 0).any():
        at = int(np.argmax(factors <= 0))
        raise DataQualityError(
            f"dividends: {symbol} pays {paid[at]:g} on {ex_days[at].astype('datetime64[D]')}, not less than "
            f"its close before, {traded[before[at]]:g}; correct the dividend, the close or the split"
        )
    return ex_days, factors


def _after_first(first: np.datetime64, events: tuple[Days, Floats]) -> tuple[Days, Floats]:
    """The events that change a price of ``first``."""
    later = events[0] > first
    return events[0][later], events[1][later]


def _after(days: Days, ex_days: Days, factors: Floats) -> Floats:
    """For each day the product of the factors whose ex-date is later; ``ex_days`` ascend."""
    later = np.append(np.cumprod(factors[::-1])[::-1], 1.0)
    product: Floats = later[np.searchsorted(ex_days, days, side="right")]
    return product


_NONE = (np.empty(0, dtype="datetime64[ns]"), np.empty(0))


def _series(frame: pd.DataFrame, day: str, value: str) -> Mapping[str, tuple[Days, Floats]]:
    """Days and values by symbol, of a frame that is sorted by both."""
    days, values = frame[day].to_numpy(), frame[value].to_numpy()
    blocks = _blocks(frame["symbol"].to_numpy())
    return {symbol: (days[start:end], values[start:end]) for symbol, (start, end) in blocks.items()}


def _blocks(symbols: NDArray[np.object_]) -> Mapping[str, tuple[int, int]]:
    """First row and the one after the last of every symbol of a frame that is sorted by symbol."""
    if not len(symbols):
        return {}
    edges = np.flatnonzero(symbols[1:] != symbols[:-1]) + 1
    starts = [0, *edges.tolist()]
    return {str(symbols[a]): (a, b) for a, b in zip(starts, [*starts[1:], len(symbols)], strict=True)}
