"""A small practice run to print: a month of sessions, five structures, every kind of row."""

from __future__ import annotations

import random
from dataclasses import replace
from datetime import date, datetime, timedelta
from decimal import Decimal
from itertools import accumulate
from typing import Any

from wsb_core.analytics.report import (
    CheckRow,
    DecisionRow,
    EquityPoint,
    Exit,
    Identity,
    Link,
    OrderRow,
    Reconciliation,
    Report,
    Source,
    Trade,
)
from wsb_core.analytics.svg import Candle
from wsb_core.domain.calendar import NEW_YORK
from wsb_core.domain.contracts import OptionContract, Right, Share
from wsb_core.domain.ids import BrokerOrderId, Cash, ClientOrderId, Price, StrategyName, Underlying
from wsb_core.domain.orders import Effect, Fill, OrderState
from wsb_core.domain.quotes import FeedClass
from wsb_core.domain.structures import Structure, StructureLeg, single

DIP_BOT = StrategyName("wsb_dip_bot")
START = date(2010, 5, 3)


def weekdays(first: date, count: int) -> tuple[date, ...]:
    days = (first + timedelta(days=n) for n in range(count * 2 + 7))
    return tuple(day for day in days if day.weekday() < 5)[:count]


SESSIONS = weekdays(START + timedelta(days=1), 20)


def at(session: date, hour: int = 15, minute: int = 40, second: int = 0) -> datetime:
    return datetime(session.year, session.month, session.day, hour, minute, second, tzinfo=NEW_YORK)


def a_contract(ticker: str, strike: str, right: Right = Right.CALL, expiry: date = date(2010, 6, 18)) -> Any:
    return OptionContract(ticker, expiry, right, Decimal(strike), Underlying(ticker))


def a_long_call(ticker: str = "AAPL", strike: str = "260") -> Structure:
    return single(a_contract(ticker, strike))


def a_vertical(ticker: str = "IBM", low: str = "125", high: str = "130") -> Structure:
    legs = (StructureLeg(a_contract(ticker, low), 1), StructureLeg(a_contract(ticker, high), -1))
    return Structure(legs)


def a_trade(structure: Structure | None = None, **changes: Any) -> Trade:
    base = Trade(
        strategy=DIP_BOT,
        structure=structure or a_long_call(),
        quantity=2,
        entry=Price(Decimal("-6.45")),
        opened_at=at(SESSIONS[2]),
        reason="up 14.2% in ten sessions, down 4.1% today",
        profit=Cash(Decimal("511.40")),
        fees=Cash(Decimal("2.60")),
        exits=(
            Exit(at(SESSIONS[4], 11, 5), 2, Price(Decimal("9.02")), "profit_target", "+40% against +35%"),
        ),
        facts={"ten-day return": "14.2%", "delta": "0.36", "days to expiry": "43"},
    )
    return replace(base, **changes)


def a_walk(start: float, count: int, seed: int, spread: float = 0.018) -> tuple[float, ...]:
    random_ = random.Random(seed)
    steps = (random_.gauss(0.0004, spread) for _ in range(count - 1))
    return tuple(accumulate(steps, lambda level, step: level * (1 + step), initial=start))


def some_candles(ticker: str, start: float, sessions: int = 70) -> tuple[Candle, ...]:
    closes = a_walk(start, sessions, len(ticker) + ord(ticker[0]))
    days = weekdays(START - timedelta(days=56), sessions)
    found = []
    for n, (day, close) in enumerate(zip(days, closes, strict=True)):
        opened = closes[n - 1] if n else close
        wide = abs(close) * 0.006
        found.append(Candle(day, opened, max(opened, close) + wide, min(opened, close) - wide, close))
    return tuple(found)


def an_order(**changes: Any) -> OrderRow:
    base = OrderRow(
        client_order_id=ClientOrderId("wsb-20100506-8c1f2a90d3b4e5f6a7b8c9d0-1"),
        strategy=DIP_BOT,
        structure=a_long_call(),
        effect=Effect.OPEN,
        quantity=2,
        limit=Price(Decimal("-6.45")),
        state=OrderState.FILLED,
        filled=2,
        average=Price(Decimal("-6.45")),
        recorded_at=at(SESSIONS[2]),
    )
    return replace(base, **changes)


def a_fill(**changes: Any) -> Fill:
    base = Fill(
        execution_id="x-1",
        client_order_id=ClientOrderId("wsb-20100506-8c1f2a90d3b4e5f6a7b8c9d0-1"),
        broker_order_id=BrokerOrderId("b-1"),
        instrument=a_contract("AAPL", "260"),
        quantity=Decimal(2),
        price=Price(Decimal("6.45")),
        at=at(SESSIONS[2], 15, 40, 3),
    )
    return replace(base, **changes)


def a_decision(**changes: Any) -> DecisionRow:
    base = DecisionRow(
        SESSIONS[2], DIP_BOT, Underlying("MSFT"), "refused", "screen", "above_50_day_mean", "28.14", "> 29.51"
    )
    return replace(base, **changes)


def some_decisions() -> tuple[DecisionRow, ...]:
    return (
        a_decision(),
        a_decision(underlying=Underlying("AAPL"), outcome="ordered", stage="", rule="", value="", bound=""),
        a_decision(
            session=SESSIONS[3],
            underlying=Underlying("GOOG"),
            stage="review",
            rule="budget",
            value="$1,870.00",
            bound="$1,000.00",
            detail="one contract costs more than 1% of equity",
        ),
        a_decision(
            session=SESSIONS[5],
            underlying=Underlying("ORCL"),
            stage="propose",
            rule="spread",
            value="nan",
            bound="10%",
            detail="no two-sided quote at the 0.35 delta",
        ),
        a_decision(session=SESSIONS[7], underlying=Underlying("INTC")),
        a_decision(
            session=SESSIONS[8],
            underlying=Underlying("IBM"),
            outcome="ordered",
            stage="",
            rule="",
            value="",
            bound="",
        ),
        a_decision(
            session=SESSIONS[9],
            underlying=Underlying("HPQ"),
            stage="review",
            rule="two_per_sector",
            value="3",
            bound="2",
        ),
    )


def some_checks() -> tuple[CheckRow, ...]:
    return (
        CheckRow(
            SESSIONS[3],
            "bars",
            "low_not_above_close",
            "WMT quarantined",
            "low 54.20 above close 53.98",
            1,
            ("symbol WMT, session 2010-05-07, low 54.20, close 53.98",),
        ),
        CheckRow(SESSIONS[6], "option_chain", "quote_age", "warning", "oldest quote 19 s against 15 s"),
    )


def some_orders() -> tuple[OrderRow, ...]:
    return (
        an_order(),
        an_order(
            effect=Effect.CLOSE,
            limit=Price(Decimal("9.00")),
            average=Price(Decimal("9.02")),
            recorded_at=at(SESSIONS[4], 11, 5),
            client_order_id=ClientOrderId("wsb-20100510-11aa-1"),
        ),
        an_order(
            structure=a_vertical(),
            quantity=3,
            filled=0,
            average=None,
            state=OrderState.REJECTED,
            recorded_at=at(SESSIONS[8]),
            client_order_id=ClientOrderId("wsb-20100514-22bb-1"),
            broker_text="insufficient options buying power",
        ),
        an_order(
            structure=a_vertical(),
            quantity=3,
            filled=3,
            limit=Price(Decimal("-1.85")),
            average=Price(Decimal("-1.8333")),
            recorded_at=at(SESSIONS[8], 15, 42),
            client_order_id=ClientOrderId("wsb-20100514-22bb-2"),
        ),
    )


def some_trades() -> tuple[Trade, ...]:
    return (
        a_trade(),
        a_trade(
            a_long_call("INTC", "22"),
            quantity=6,
            entry=Price(Decimal("-0.83")),
            opened_at=at(SESSIONS[5]),
            profit=Cash(Decimal("-217.80")),
            fees=Cash(Decimal("7.80")),
            exits=(Exit(at(SESSIONS[7], 15, 45), 6, Price(Decimal("0.48")), "time_stop", "two sessions"),),
        ),
        a_trade(
            a_vertical(),
            quantity=3,
            entry=Price(Decimal("-1.8333")),
            opened_at=at(SESSIONS[8], 15, 42),
            profit=Cash(Decimal("164.10")),
            fees=Cash(Decimal("5.90")),
            exits=(
                Exit(at(SESSIONS[9], 10, 10), 1, Price(Decimal("2.60")), "half_target"),
                Exit(at(SESSIONS[10], 15, 45), 2, Price(Decimal("2.30")), "time_stop"),
            ),
        ),
        a_trade(
            single(Share(Underlying("HPQ"))),
            quantity=40,
            entry=Price(Decimal("-46.31")),
            opened_at=at(SESSIONS[16]),
            profit=Cash(Decimal("22.00")),
            fees=None,
            exits=(),
            facts={},
        ),
    )


def a_report(**changes: Any) -> Report:
    gains = (
        "0",
        "0",
        "-38.20",
        "240.10",
        "511.40",
        "402.00",
        "310.50",
        "293.60",
        "270.00",
        "344.10",
        "457.70",
        "457.70",
        "457.70",
        "457.70",
        "457.70",
        "457.70",
        "440.10",
        "452.20",
        "471.90",
        "479.70",
    )
    initial = Decimal(100_000)
    points = (EquityPoint(s, Cash(initial + Decimal(g))) for s, g in zip(SESSIONS, gains, strict=True))
    cash = {
        name: Cash(Decimal(text))
        for name, text in (
            ("equity_change", "479.70"),
            ("realised", "474.00"),
            ("open_change", "22.00"),
            ("fees", "16.30"),
        )
    }
    base = Report(
        title="Dip bot, practice run over May 2010",
        mode="practice",
        made_at=datetime(2026, 11, 21, 9, 30, tzinfo=NEW_YORK),
        start=START,
        initial=Cash(initial),
        equity=tuple(points),
        reconciliation=Reconciliation(True, at(SESSIONS[-1], 16, 20)),
        identity=Identity(**cash),
        sources=(
            Source(
                "shares",
                "bokeh-sampledata 2026.1",
                FeedClass.REPLAYED,
                START,
                SESSIONS[-1],
                4120,
                "9f8e7d6c5b4a39281706",
            ),
            Source(
                "chains",
                "Black-Scholes surface from 60-day volatility",
                FeedClass.MODELLED,
                START,
                SESSIONS[-1],
                51840,
                note="spreads from a table by delta and price",
            ),
        ),
        trades=some_trades(),
        decisions=some_decisions(),
        funnel=(
            ("universe", 412),
            ("data ok", 398),
            ("screened", 23),
            ("proposed", 9),
            ("approved", 5),
            ("filled", 4),
        ),
        checks=some_checks(),
        orders=some_orders(),
        fills=(
            a_fill(),
            a_fill(
                execution_id="x-2", quantity=Decimal(-2), price=Price(Decimal("9.02")), client_order_id=None
            ),
        ),
        candles={
            Underlying(t): some_candles(t, p)
            for t, p in (("AAPL", 235.0), ("INTC", 22.4), ("IBM", 124.0), ("HPQ", 49.0))
        },
        parameters={"preset": "default", "delta": "0.35", "max hold": "2 sessions", "sector cap": "None"},
        links=(Link("Run in Prefect", "http://127.0.0.1:4200/runs/flow-run/1"),),
        warnings=("3 of 23 candidates had no earnings date: entries on them were refused.",),
    )
    return replace(base, **changes)
