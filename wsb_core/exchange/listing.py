"""Which option contracts are listed: expiries, and strikes that stay listed until they expire."""

from __future__ import annotations

from bisect import bisect_left, insort
from datetime import date, timedelta
from decimal import Decimal
from functools import lru_cache

import numpy as np

from wsb_core.domain.calendar import last_session_on_or_before
from wsb_core.domain.contracts import ExerciseStyle, OptionContract, Right

from .backdrop import Backdrop

_MONTHLY_LIFE, _QUARTERLY_LIFE, _JANUARY_LIFE, _WEEKLY_LIFE = 190, 375, 930, 36
"""Calendar days before expiry at which a series is listed."""
_RECENT = 30
"""Calendar days before a series is listed whose prices choose its first strikes."""
_WIDTH = {True: (0.70, 1.20), False: (0.65, 1.50)}
_GRID = ((5.0, 0.5), (50.0, 1.0), (200.0, 2.5), (500.0, 5.0), (float("inf"), 10.0))
_INDEX_GRID = ((float("inf"), 5.0),)
_COARSE_FROM = 270
"""Days to expiry above which only every second strike is listed."""


def third_friday(year: int, month: int) -> date:
    """Friday of the third week; the monthly series last trades on it, or on the session before."""
    first = date(year, month, 1)
    return first + timedelta(days=(4 - first.weekday()) % 7 + 14)


def expiries(market: Backdrop) -> tuple[date, ...]:
    """Last trading days of the listed series, ascending.

    Monthlies (third Fridays) of the next half year, quarterlies of the next year, Januaries of the
    next two and a half, and with ``weeklies`` the next five Fridays. A holiday moves to the session before.
    """
    return _expiries(market.session.day, market.weeklies)


@lru_cache(maxsize=512)
def _expiries(on: date, weeklies: bool) -> tuple[date, ...]:
    return tuple(sorted(_listing_dates(on, weeklies)))


@lru_cache(maxsize=512)
def _listing_dates(on: date, weeklies: bool) -> dict[date, date]:
    """Listed expiries and the day from which each has been listed."""
    found: dict[date, date] = {}
    fridays = [on + timedelta(days=(4 - on.weekday()) % 7 + 7 * week) for week in range(6)]
    for friday in fridays if weeklies else ():
        found[_last_trading_day(friday)] = friday - timedelta(days=_WEEKLY_LIFE)
    for ahead in range(32):
        year, month = divmod(on.year * 12 + on.month - 1 + ahead, 12)
        friday = third_friday(year, month + 1)
        life = _MONTHLY_LIFE
        if month == 0:
            life = _JANUARY_LIFE
        elif month % 3 == 2:
            life = _QUARTERLY_LIFE
        found[_last_trading_day(friday)] = friday - timedelta(days=life)
    return {expiry: since for expiry, since in found.items() if since <= on <= expiry}


@lru_cache(maxsize=1024)
def _last_trading_day(friday: date) -> date:
    try:
        return last_session_on_or_before(friday)
    except ValueError:
        # Beyond the calendar's span nobody knows the holidays yet.
        return friday


def contracts(market: Backdrop, expiry: date) -> tuple[OptionContract, ...]:
    """Listed contracts of one expiry, by strike and right; none when that expiry is not listed.

    Strikes lie on a fixed grid around every price from a month before the series was listed to the
    session before this one: a strike that is listed stays listed until it expires.
    """
    since = _listing_dates(market.session.day, market.weeklies).get(expiry)
    if since is None:
        return ()
    found = _strikes(market, since, (expiry - market.session.day).days > _COARSE_FROM)
    return tuple(_contract(market, expiry, right, strike) for strike in found for right in Right)


def is_listed(market: Backdrop, contract: OptionContract) -> bool:
    """Whether exactly this contract is listed in this session."""
    since = _listing_dates(market.session.day, market.weeklies).get(contract.expiry)
    if since is None:
        return False
    listed_strikes = _strikes(market, since, (contract.expiry - market.session.day).days > _COARSE_FROM)
    at = bisect_left(listed_strikes, contract.strike)
    if at == len(listed_strikes) or listed_strikes[at] != contract.strike:
        return False
    return contract == _contract(market, contract.expiry, contract.right, contract.strike)


def _contract(market: Backdrop, expiry: date, right: Right, strike: Decimal) -> OptionContract:
    style = ExerciseStyle.EUROPEAN if market.is_index else ExerciseStyle.AMERICAN
    return OptionContract(market.root, expiry, right, strike, market.underlying, style=style)


def _strikes(market: Backdrop, since: date, coarse: bool) -> list[Decimal]:
    start = int(np.searchsorted(market.days, np.datetime64(since - timedelta(days=_RECENT))))
    # A young history still has its last bar to start from.
    start = min(start, len(market.days) - 1)
    low, high = float(np.nanmin(market.low[start:])), float(np.nanmax(market.high[start:]))
    under, over = _WIDTH[market.is_index]
    found = [Decimal(m) / 1000 for m in _rungs(low * under, high * over, market.is_index, coarse)]
    for ex, ratio in market.splits:
        if ex > since:
            # What was listed in the old shares goes on, divided by the split.
            for mills in _rungs(low * under * ratio, high * over * ratio, market.is_index, coarse):
                old = (Decimal(mills) / 1000 / Decimal(str(ratio))).quantize(Decimal("0.01"))
                at = bisect_left(found, old)
                if old > 0 and (at == len(found) or found[at] != old):
                    insort(found, old)
    return found


@lru_cache(maxsize=4096)
def _rungs(low: float, high: float, is_index: bool, coarse: bool) -> tuple[int, ...]:
    """Strikes from ``low`` to ``high`` in thousandths of a dollar, ascending."""
    found: list[int] = []
    bottom = 0.0
    for top, step in _INDEX_GRID if is_index else _GRID:
        step = step * 2 if coarse else step
        first = max(bottom, low, step)
        edge = min(top, high)
        rung = np.ceil(first / step) * step
        found += [round(x * 1000) for x in np.arange(rung, edge + 1e-9, step)]
        bottom = top
    return tuple(sorted(set(found)))
