"""For every suite a clean table and the way it is judged: what the damage is done to."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from functools import lru_cache

import numpy as np
import pandas as pd
from scipy.special import ndtr

from data_checks.account import account_frame, account_suite
from data_checks.bars import BarBounds, judge_bars
from data_checks.chain_history import HistoryBounds, history_frame, history_suite
from data_checks.corporate_actions import ActionBounds, action_frame, action_suite
from data_checks.earnings import EarningsBounds, earnings_frame, earnings_suite
from data_checks.gate import Checked, Suite, check
from data_checks.iv_and_smile import COLUMNS as SMILE_COLUMNS
from data_checks.iv_and_smile import SmileBounds, smile_suite
from data_checks.option_chain import ChainBounds, chain_frame, chain_suite
from data_checks.positions import PositionBounds, position_frame, position_suite
from data_checks.quotes import QuoteBounds, quote_frame, quote_suite
from data_checks.rates import TENORS, RateBounds, rate_frame, rate_suite
from data_checks.universe import UniverseBounds, universe_frame, universe_suite
from wsb_core.domain import calendar
from wsb_core.domain.contracts import Right, Share
from wsb_core.domain.events import CashDividend, EarningsDate, Renamed, ReportTime, Split, Yields
from wsb_core.domain.ids import AccountId, Cash, Price, Underlying
from wsb_core.domain.positions import Holding
from wsb_core.domain.quotes import FeedClass
from wsb_core.universes import Universe

from .frames import AT, FRESH, LAST, LOOKBACK, SESSION, account, bars, chain, contract, daily, share_quote

TEN = tuple(f"T{n}" for n in range(10))
NAMES = tuple(Underlying(f"A{chr(65 + n)}") for n in range(12))


@dataclass(frozen=True, slots=True)
class Bench:
    clean: Callable[[], pd.DataFrame]
    judge: Callable[[pd.DataFrame], Checked]


def _by(suite: Callable[[], Suite], key: str | None, most: float = 0.5) -> Callable[[pd.DataFrame], Checked]:
    return lambda frame: check(frame, suite(), at=AT, key=key, max_quarantined=most)


def _judge_bars(frame: pd.DataFrame) -> Checked:
    second = bars(daily(*TEN))
    return judge_bars(
        bars(frame), session=SESSION, lookback=LOOKBACK, at=AT, second=second, bounds=BarBounds()
    )


def _chain() -> pd.DataFrame:
    names = (Underlying("XYZ"), Underlying("ABC"))
    return chain_frame({n: chain(n) for n in names}, {n: share_quote(name=n) for n in names})


def _quotes() -> pd.DataFrame:
    mids = {name: 50 + 10 * n for n, name in enumerate(NAMES)}
    quotes = {name: share_quote(str(mid), name) for name, mid in mids.items()}
    return quote_frame(quotes, {name: mid * 1.01 for name, mid in mids.items()}, quotes)


def smile(name: str = "SPX", spot: float = 100.0, *, european: bool = True) -> pd.DataFrame:
    """Three expiries of Black (1976) prices on one smile, at rates of 5 % and dividends of 1 %."""
    rows = []
    for expiry in (date(2024, 7, 19), date(2024, 8, 16), date(2024, 9, 20)):
        settles = datetime.combine(expiry, datetime.min.time(), calendar.NEW_YORK) + timedelta(hours=16)
        years = (settles - AT) / timedelta(days=365)
        forward, discount = spot * np.exp(0.04 * years), np.exp(-0.05 * years)
        for strike in (np.arange(0.70, 1.301, 0.025) * spot).round(3):
            k = np.log(strike / forward)
            iv = 0.25 - 0.2 * k + 0.3 * k * k
            d1 = -k / (iv * years**0.5) + iv * years**0.5 / 2
            for right, sign in (("C", 1), ("P", -1)):
                value = (
                    discount
                    * sign
                    * (forward * ndtr(sign * d1) - strike * ndtr(sign * (d1 - iv * years**0.5)))
                )
                half = 0.01 + 0.01 * value
                delta = sign * ndtr(sign * d1) * discount * forward / spot
                symbol = f"{name:<6}{expiry:%y%m%d}{right}{round(strike * 1000):08d}"
                quote = (value - half if value > 2 * half else np.nan, value + half, iv, delta)
                spots = (spot - 0.01, spot + 0.01)
                rows.append((name, symbol, name, right, strike, expiry, *quote, *spots, european, False))
    frame = pd.DataFrame(rows, columns=list(SMILE_COLUMNS))
    frame["expiry"] = pd.to_datetime(frame["expiry"])
    return frame


def _smiles() -> pd.DataFrame:
    return pd.concat([smile("SPX"), smile("XSP", 50.0)], ignore_index=True)


def _earnings() -> pd.DataFrame:
    days = {
        name: [date(2023, 1, 24 + n % 4) + timedelta(days=91 * q) for q in range(8)]
        for n, name in enumerate(NAMES)
    }
    dates = {
        name: tuple(EarningsDate(name, day, ReportTime.AFTER_CLOSE, day <= SESSION, FRESH) for day in held)
        for name, held in days.items()
    }
    return earnings_frame(dates, dates)


def _actions() -> pd.DataFrame:
    found = {
        name: (
            CashDividend(name, date(2024, 3, 14), Price(Decimal("0.5")), date(2024, 4, 1), False, FRESH),
            CashDividend(name, date(2024, 6, 13), Price(Decimal("0.5")), date(2024, 7, 1), False, FRESH),
            Split(name, date(2024, 5, 20), Decimal(4), FRESH),
            Renamed(name, Underlying(f"{name}X"), date(2024, 6, 3), FRESH),
        )
        for name in NAMES
    }
    return action_frame(
        found, lambda name, day: (400.0, 101.0) if day == date(2024, 5, 20) else (100.0, 99.5)
    )


def _rates() -> pd.DataFrame:
    sessions = calendar.sessions_between(date(2024, 5, 20), LAST)
    walk = np.random.default_rng(3).normal(0, 0.03, len(sessions)).cumsum()
    curve = np.array([5.5, 5.4, 5.3, 5.0, 4.7, 4.4, 4.1, 4.0, 3.9, 4.2, 4.1])
    return rate_frame(
        [
            Yields(day, dict(zip(TENORS, (curve + move).round(2), strict=True)), FRESH)
            for day, move in zip(sessions, walk, strict=True)
        ]
    )


def _universe() -> pd.DataFrame:
    return universe_frame(Universe("test", date(2024, 6, 3), NAMES), {})


def _holdings() -> tuple[Holding, ...]:
    return (
        Holding(Share(Underlying("XYZ")), Decimal("100")),
        Holding(contract(90, Right.PUT, date(2024, 7, 19)), Decimal("-2")),
        Holding(contract(85, Right.PUT, date(2024, 7, 19)), Decimal("2")),
        Holding(contract(110, Right.CALL, date(2024, 8, 16)), Decimal("-1")),
    )


def _positions() -> pd.DataFrame:
    held = _holdings()
    return position_frame(held, Cash(Decimal("1000")), {h.instrument: h.quantity for h in held})


def _position_suite() -> Suite:
    known = {h.instrument.symbol for h in _holdings()}
    return position_suite(at=AT, known=known, bounds=PositionBounds())


def contracts() -> pd.DataFrame:
    """Twelve sessions of two underlyings' stored contracts."""
    rng = np.random.default_rng(5)
    frames = []
    for name, start in (("XYZ", 100.0), ("ABC", 50.0)):
        walk = start * np.exp(rng.normal(0, 0.01, 12).cumsum())
        for day, price in zip(calendar.sessions_between(date(2024, 6, 12), LAST), walk.round(2), strict=True):
            grid = pd.MultiIndex.from_product(
                [[date(2024, 7, 19), date(2024, 8, 16)], ["C", "P"], np.arange(0.7, 1.31, 0.05) * start],
                names=["expiry", "right", "strike"],
            )
            frame = grid.to_frame(index=False).assign(underlying=name, root=name, session=pd.Timestamp(day))
            frame["bid"] = rng.uniform(0.5, 5, len(frame)).round(2)
            frame["ask"] = frame["bid"] + 0.1
            frame["last"] = frame["bid"] + 0.05
            frame["iv"] = 0.25
            frame["volume"] = rng.integers(100, 2000, len(frame))
            frame["underlying_price"] = price
            frames.append(frame)
    found = pd.concat(frames, ignore_index=True)
    return found.assign(expiry=pd.to_datetime(found["expiry"]))


def _judge_history(frame: pd.DataFrame) -> Checked:
    closes = {
        (row.underlying, row.session.date()): row.underlying_price
        for row in contracts().drop_duplicates(["underlying", "session"]).itertuples()
    }
    suite = history_suite(at=AT, bounds=HistoryBounds())
    return check(history_frame(frame, closes), suite, at=AT, key="underlying", max_quarantined=0.5)


def _account() -> pd.DataFrame:
    return account_frame(account(), _holdings())


BENCHES: Mapping[str, Bench] = {
    "account": Bench(
        _account,
        _by(
            lambda: account_suite(account=AccountId("PA1"), at=AT, max_age_seconds=60.0, min_options_level=1),
            None,
        ),
    ),
    "bars": Bench(lambda: daily(*TEN), _judge_bars),
    "chain_history": Bench(contracts, _judge_history),
    "corporate_actions": Bench(
        _actions, _by(lambda: action_suite(at=AT, bounds=ActionBounds()), "underlying")
    ),
    "earnings": Bench(_earnings, _by(lambda: earnings_suite(at=AT, bounds=EarningsBounds()), "underlying")),
    "iv_and_smile": Bench(_smiles, _by(lambda: smile_suite(at=AT, bounds=SmileBounds()), "underlying")),
    "option_chain": Bench(
        _chain,
        _by(
            lambda: chain_suite(
                at=AT, max_age_seconds=30.0, required_feed=FeedClass.REALTIME, bounds=ChainBounds()
            ),
            "underlying",
        ),
    ),
    "positions": Bench(_positions, _by(_position_suite, None)),
    "quotes": Bench(
        _quotes,
        _by(
            lambda: quote_suite(
                at=AT, max_age_seconds=30.0, required_feed=FeedClass.REALTIME, bounds=QuoteBounds()
            ),
            "symbol",
        ),
    ),
    "rates": Bench(_rates, _by(lambda: rate_suite(at=AT, bounds=RateBounds()), None)),
    "universe": Bench(
        _universe,
        _by(
            lambda: universe_suite(at=AT, known=set(NAMES), size_before=len(NAMES), bounds=UniverseBounds()),
            "ticker",
        ),
    ),
}


@lru_cache
def clean(suite: str) -> pd.DataFrame:
    """The clean table of a suite; take a copy before spoiling it."""
    return BENCHES[suite].clean()
