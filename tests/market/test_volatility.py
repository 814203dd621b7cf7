"""Thirty-day volatility of a chain, and where it stands in the stored history."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pandas as pd
import pytest

from tests.builders import AAPL, AS_OF, PROVENANCE, SESSION, a_call, a_put, a_quote, at
from wsb_core.domain.calendar import shift
from wsb_core.domain.quotes import Chain
from wsb_core.market.history import HistoryStore
from wsb_core.market.volatility import iv_rows, iv_standing, thirty_day_iv
from wsb_core.pricing.surface import FigureStatus


def chain(*quotes) -> Chain:
    return Chain(AAPL, tuple(quotes), PROVENANCE)


def at_the_money(days: int, iv: float | None, strike: str = "100"):
    return a_quote(a_call(strike, SESSION + timedelta(days=days)), iv=iv)


def test_between_two_expiries_total_variance_runs_straight() -> None:
    found = thirty_day_iv(chain(at_the_money(20, 0.20), at_the_money(40, 0.40)), 100.0, AS_OF)

    near, far = 0.20**2 * 20, 0.40**2 * 40
    assert found == pytest.approx(((near + far) / 2 / 30) ** 0.5, rel=1e-3)


def test_between_two_strikes_the_volatility_of_the_spot_is_taken() -> None:
    quotes = [at_the_money(30, 0.30, "98"), at_the_money(30, 0.20, "102")]

    assert thirty_day_iv(chain(*quotes), 99.0, AS_OF) == pytest.approx(0.275)


def test_call_and_put_of_a_strike_are_averaged() -> None:
    expiry = SESSION + timedelta(days=30)
    quotes = [a_quote(a_call("100", expiry), iv=0.30), a_quote(a_put("100", expiry), iv=0.32)]

    assert thirty_day_iv(chain(*quotes), 100.0, AS_OF) == pytest.approx(0.31)


@pytest.mark.parametrize(
    ("quotes", "found"),
    [
        ([at_the_money(44, 0.25)], 0.25),
        ([at_the_money(46, 0.25)], None),
        ([at_the_money(30, None)], None),
        ([at_the_money(30, 0.25, "105")], None),
        ([], None),
    ],
    ids=["one expiry near", "one expiry far", "no volatility", "no strike below", "nothing"],
)
def test_without_expiries_on_both_sides_a_near_one_stands_or_nothing_does(quotes, found) -> None:
    assert thirty_day_iv(chain(*quotes), 100.0, AS_OF) == found


def test_the_standing_counts_stored_days_before_and_waits_for_enough(tmp_path: Path) -> None:
    store = HistoryStore(tmp_path)
    days = [shift(SESSION, -n) for n in range(130, 0, -1)]
    rows = [iv_rows({AAPL: (0.20 + n / 1000, "vendor")}, day, at(day, 15, 45)) for n, day in enumerate(days)]

    store.write("iv", pd.concat(rows[:125]), AS_OF)
    few = iv_standing(store, AAPL, SESSION, 0.25, AS_OF)
    store.write("iv", pd.concat(rows[125:]), AS_OF)
    enough = iv_standing(store, AAPL, SESSION, 0.25, AS_OF)

    assert (few.status, few.percentile) == (FigureStatus.INSUFFICIENT_HISTORY, None)
    assert enough.percentile == pytest.approx(100 * 50 / 130)
