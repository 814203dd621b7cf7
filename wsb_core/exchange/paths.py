"""The way a price goes through one session when only the daily bar is known."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

_PARKINSON = 1.6651092223153954
"""2 sqrt(ln 2): a day's range over this is its standard deviation (Parkinson, 1980)."""
_OPEN_AUCTION, _CLOSE_AUCTION = 0.02, 0.06
"""Shares of a day's volume that trade in the first and in the last minute."""


class Path(NamedTuple):
    """A session on a one-minute grid; entry ``m`` is what is known ``m`` minutes after the open."""

    price: Floats
    high: Floats
    """Highest price so far."""
    low: Floats
    """Lowest price so far."""
    volume_share: Floats
    """Share of the day's volume traded so far, 0 to 1."""


def session_path(
    open_: float, high: float, low: float, close: float, minutes: int, rng: np.random.Generator
) -> Path:
    """A path of ``minutes + 1`` prices from the open to the close that touches high and low exactly.

    It visits the extreme nearer to the open first and the other one later, at random minutes, with
    bridge noise of the day's Parkinson volatility in between, reflected at the extremes and rounded
    to cents. A bar that contradicts itself is kept inside its range: the range is from the smaller
    to the larger of high and low, and an open or close outside of it is moved to its edge.
    """
    bottom, top = min(low, high), max(low, high)
    start, end = min(max(open_, bottom), top), min(max(close, bottom), top)
    first, second = (top, bottom) if top - start <= start - bottom else (bottom, top)
    turns = np.sort(rng.choice(np.arange(1, minutes), size=2, replace=False))
    anchors = np.array([0, turns[0], turns[1], minutes])
    grid = np.arange(minutes + 1)
    skeleton = np.interp(grid, anchors, [start, first, second, end])
    step = (top - bottom) / _PARKINSON / np.sqrt(minutes)
    walk = np.concatenate(([0.0], np.cumsum(rng.standard_normal(minutes) * step)))
    noisy = skeleton + walk - np.interp(grid, anchors, walk[anchors])
    inside = np.clip(top - np.abs(top - (bottom + np.abs(noisy - bottom))), bottom, top)
    price = np.clip(np.round(inside, 2), bottom, top)
    price[anchors] = skeleton[anchors]
    return Path(price, np.maximum.accumulate(price), np.minimum.accumulate(price), cumulative_volume(minutes))


@lru_cache(maxsize=8)
def cumulative_volume(minutes: int) -> Floats:
    """Share of a day's volume traded by each minute of a session: U-shaped, with both auctions."""
    middle = (np.arange(minutes) + 0.5) / minutes
    rate = 0.6 + 1.8 * (2.0 * middle - 1.0) ** 2
    rate *= (1.0 - _OPEN_AUCTION - _CLOSE_AUCTION) / rate.sum()
    rate[0] += _OPEN_AUCTION
    rate[-1] += _CLOSE_AUCTION
    share = np.concatenate(([0.0], np.cumsum(rate)))
    share.setflags(write=False)
    return share
