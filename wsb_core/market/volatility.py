"""What the market's volatility of a name is now, and where it stands in its own history."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING

from wsb_core.domain.ids import Underlying
from wsb_core.domain.quotes import Chain, OptionQuote
from wsb_core.pricing.clock import years_to
from wsb_core.pricing.surface import THIRTY_DAYS, FigureStatus, IvRank, constant_maturity_vol, iv_rank

if TYPE_CHECKING:
    import pandas as pd

    from .history import HistoryStore

TENOR_DAYS = 30
_NEAR = timedelta(days=15)
"""How far from the tenor a single expiry may be and still stand for it."""
_YEAR = timedelta(days=400)
"""Holds the 252 sessions that rank a volatility."""


def thirty_day_iv(chain: Chain, spot: float, at: datetime) -> float | None:
    """At-the-money volatility 30 days ahead, annual (0.20 is 20%), from the vendor's own volatilities.

    Straight in total variance between the expiries around it. With expiries on one side alone the
    nearest one stands for it when it is within 15 days. None when the chain gives neither.
    """
    expiries, years, vols = [], [], []
    for expiry in chain.expiries():
        quotes = [quote for quote in chain.expiring(expiry).quotes if quote.contract.standard]
        roots = sorted({quote.contract.root for quote in quotes})
        vol = _at_the_money(quotes, spot)
        ahead = years_to(at, roots[-1], expiry).years if roots else 0.0
        if vol is not None and ahead > 0:
            expiries.append(expiry)
            years.append(ahead)
            vols.append(vol)
    found = constant_maturity_vol(years, vols, THIRTY_DAYS)
    if found.status is FigureStatus.OK:
        return found.vol
    target = at.date() + timedelta(days=TENOR_DAYS)
    near = [(abs(day - target), vol) for day, vol in zip(expiries, vols, strict=True)]
    apart, vol = min(near, default=(timedelta.max, 0.0))
    return vol if apart <= _NEAR else None


def _at_the_money(quotes: Sequence[OptionQuote], spot: float) -> float | None:
    """Calls and puts averaged by strike, straight between the strikes around ``spot``; None outside them."""
    by_strike: dict[float, list[float]] = {}
    for quote in quotes:
        if quote.iv is not None:
            by_strike.setdefault(float(quote.contract.strike), []).append(quote.iv)
    below = max((k for k in by_strike if k <= spot), default=None)
    above = min((k for k in by_strike if k >= spot), default=None)
    if below is None or above is None:
        return None
    low, high = (sum(by_strike[k]) / len(by_strike[k]) for k in (below, above))
    return low if below == above else low + (high - low) * (spot - below) / (above - below)


def iv_rows(vols: dict[Underlying, tuple[float, str]], session: date, at: datetime) -> pd.DataFrame:
    """Rows of the history store's table ``iv``; values are a volatility and who gave it."""
    import pandas as pd

    records = [
        {"symbol": str(name), "session": pd.Timestamp(session), "at": at, "iv": iv, "source": source}
        for name, (iv, source) in vols.items()
    ]
    return pd.DataFrame(records, columns=["symbol", "session", "at", "iv", "source"]).assign(
        tenor_days=TENOR_DAYS
    )


def iv_standing(
    store: HistoryStore, underlying: Underlying, on: date, now: float | None, as_of: datetime
) -> IvRank:
    """Rank and percentile of ``now`` among the stored sessions before ``on``."""
    rows = store.read("iv", [underlying], on - _YEAR, on - timedelta(days=1), as_of)
    rows = rows[rows["tenor_days"] == TENOR_DAYS].sort_values("session")
    return iv_rank(rows["iv"].to_numpy(), now)
