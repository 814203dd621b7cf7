"""Clean tables for the checks, and small ways to spoil them."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from math import exp

import numpy as np
import pandas as pd

from wsb_core.domain import calendar
from wsb_core.domain.contracts import OptionContract, Right, Share
from wsb_core.domain.ids import AccountId, Cash, Price, Underlying
from wsb_core.domain.ports import Bars
from wsb_core.domain.positions import AccountState
from wsb_core.domain.quotes import Chain, FeedClass, OptionQuote, Provenance, Quote

SESSION = date(2024, 7, 1)
LAST = date(2024, 6, 28)
LOOKBACK = 60
AT = datetime(2024, 7, 1, 19, 30, tzinfo=UTC)
FRESH = Provenance("test", FeedClass.REALTIME, AT - timedelta(seconds=2))


def daily(*symbols: str, first: date = date(2024, 3, 1), last: date = LAST) -> pd.DataFrame:
    """Random walks of 1 % a day with everything in order."""
    days = pd.to_datetime(list(calendar.sessions_between(first, last)))
    frames = []
    for seed, symbol in enumerate(symbols):
        walk = np.random.default_rng(seed).normal(0, 0.01, len(days)).cumsum()
        close = 100 * np.exp(walk)
        frames.append(
            pd.DataFrame(
                {
                    "symbol": symbol,
                    "session": days,
                    "open": close * 1.002,
                    "high": close * 1.01,
                    "low": close * 0.99,
                    "close": close,
                    "volume": 1e6 + seed,
                }
            )
        )
    return pd.concat(frames, ignore_index=True)


def bars(frame: pd.DataFrame, **changes: object) -> Bars:
    return Bars(**{"frame": frame, "adjusted": True, "provenance": FRESH, **changes})


def contract(strike: float, right: Right, expiry: date, name: str = "XYZ") -> OptionContract:
    return OptionContract(name, expiry, right, Decimal(str(strike)), Underlying(name))


def share_quote(mid: str = "100", name: str = "XYZ", provenance: Provenance = FRESH) -> Quote:
    half = Decimal("0.01")
    spot = Decimal(mid)
    return Quote(Share(Underlying(name)), Price(spot - half), Price(spot + half), 10, 10, provenance)


def chain(name: str = "XYZ", spot: float = 100.0, provenance: Provenance = FRESH) -> Chain:
    """Ten strikes, both rights, two expiries; values convex and in parity at a rate of zero."""
    quotes = []
    for expiry, wide in ((date(2024, 7, 19), 4.0), (date(2024, 8, 16), 7.0)):
        for strike in range(82, 122, 4):
            for right in Right:
                value = _value(spot - strike if right is Right.CALL else strike - spot, wide)
                mid = Decimal(f"{value:.2f}")
                quote = Quote(
                    contract(strike, right, expiry, name),
                    Price(mid - Decimal("0.03")),
                    Price(mid + Decimal("0.03")),
                    5,
                    5,
                    provenance,
                )
                share = 1 / (1 + exp(-(spot - strike) / wide))
                delta = share if right is Right.CALL else share - 1
                quotes.append(OptionQuote(quote, iv=0.25, delta=delta, open_interest=100))
    return Chain(Underlying(name), tuple(quotes), provenance)


def _value(intrinsic: float, wide: float) -> float:
    """A soft maximum: value(x) - value(-x) = x exactly, so calls and puts agree."""
    return wide * float(np.logaddexp(0.0, intrinsic / wide)) + 0.05


def account(**changes: object) -> AccountState:
    figures = {
        "account": AccountId("PA1"),
        "equity": Cash(Decimal("100000")),
        "cash": Cash(Decimal("60000")),
        "buying_power": Cash(Decimal("120000")),
        "options_buying_power": Cash(Decimal("60000")),
        "options_level": 3,
        "blocked": False,
        "as_of": AT - timedelta(seconds=1),
    }
    return AccountState(**{**figures, **changes})
