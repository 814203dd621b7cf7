"""What the halt rules are told of the market and of the day's orders. No flow runs here."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from types import SimpleNamespace
from typing import Any

import pandas as pd
import pytest

from tests.execution.scripted import ManualClock
from wsb_core.domain.calendar import sessions_between, shift
from wsb_core.domain.errors import ProviderUnavailable
from wsb_core.domain.orders import OrderState
from wsb_core.risk.halts import Tally

DAY = date(2024, 5, 15)
NOW = ManualClock().now()


class Data:
    """Days that range from 99 to 101 with a million shares, and today."""

    def __init__(self, today: dict[str, float] | None, days: int = 21) -> None:
        self.today_bar, self.days = today, days

    def bars(self, names: Any, first: date, last: date) -> Any:
        days = sessions_between(first, last)[-self.days :]
        rows = [
            {
                "symbol": "SPY",
                "session": pd.Timestamp(d),
                "high": 101.0,
                "low": 99.0,
                "close": 100.0,
                "volume": 1e6,
            }
            for d in reversed(days)
        ]
        return SimpleNamespace(frame=pd.DataFrame(rows))

    def today(self, names: Any) -> Any:
        return SimpleNamespace(frame=pd.DataFrame([self.today_bar] if self.today_bar else []))


class Lost(Data):
    def bars(self, names: Any, first: date, last: date) -> Any:
        raise ProviderUnavailable("no source has it")


def gauge_of(data: Data) -> Any:
    from tasks import halts

    session = SimpleNamespace(
        day=DAY, opens=NOW.replace(hour=9, minute=30), closes=NOW.replace(hour=16, minute=0)
    )
    wiring: Any = SimpleNamespace(
        settings=SimpleNamespace(market_gauge="SPY"),
        data=data,
        clock=SimpleNamespace(now=lambda: NOW.replace(hour=12, minute=45)),
    )
    desk: Any = SimpleNamespace(session=session)
    return halts._gauge(wiring, desk)


TODAY = {"high": 100.5, "low": 94.0, "close": 95.0, "volume": 2e6}


def test_the_days_range_counts_from_the_close_before_and_volume_to_the_time_of_day():
    gauge, unknown = gauge_of(Data(TODAY))

    assert unknown == ""
    assert (gauge.days, gauge.reach, gauge.usual_reach) == (20, Decimal("0.065"), Decimal("0.02"))
    assert (gauge.volume, gauge.usual_volume) == (Decimal(2_000_000), Decimal(1_000_000))
    assert gauge.volume_due == Decimal("0.53")


def test_a_gap_from_the_close_before_is_part_of_the_range():
    gauge, _ = gauge_of(Data({**TODAY, "high": 96.0, "low": 95.5}))

    assert gauge.reach == Decimal("0.045")


def test_a_short_history_is_told_with_its_length():
    gauge, _ = gauge_of(Data(TODAY, days=5))

    assert gauge.days == 4


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (Lost(TODAY), "SPY: no source has it"),
        (Data(None), "SPY: no bars of it"),
        (Data(TODAY, days=1), "SPY: one day of history"),
    ],
)
def test_a_market_that_is_not_known_is_no_calm_one(data: Data, why: str):
    assert gauge_of(data) == (None, why)


def test_orders_are_bad_when_refused_or_unanswered_and_count_only_once_sent():
    from tasks import halts

    def intent(state: OrderState) -> Any:
        return SimpleNamespace(state=state, order=SimpleNamespace(key=SimpleNamespace(strategy="dip")))

    states = ["filled", "rejected", "unknown", "canceled", "abandoned"]

    assert halts._tallies([intent(OrderState(s)) for s in states]) == {"dip": Tally(sent=4, bad=2)}


def test_the_history_that_is_asked_for_has_one_close_more_than_ranges():
    assert len(sessions_between(shift(DAY, -21), shift(DAY, -1))) == 21
