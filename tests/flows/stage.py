"""A stage for whole flows: a made market with one dip in it, the practice exchange over HTTP, a ledger.

AAPL rises for ten sessions and falls hard on ``DIP``; MSFT does nothing; SPX, the index, rises slowly.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from tests.flows.slack import Slack
from wsb_core.config import Mode, Settings
from wsb_core.domain.calendar import NEW_YORK, sessions_between, shift
from wsb_core.domain.ids import AccountId, Cash, StrategyName, Underlying
from wsb_core.exchange.client import PracticeControl
from wsb_core.exchange.feed import COLUMNS, DailyBarFeed, MarketHistory
from wsb_core.ledger import Ledger
from wsb_core.strategies.wsb_dip_bot import Params

AAPL, MSFT, INDEX = Underlying("AAPL"), Underlying("MSFT"), Underlying("SPX")
DIP = date(2012, 5, 16)
FIRST, LAST = shift(DIP, -260), shift(DIP, 6)
ACCOUNT = AccountId("PRACTICE")
CASH = Cash(Decimal(300_000))
DIP_BOT = StrategyName("wsb_dip_bot")
PARAMS = Params(benchmark=INDEX, allow_unknown_iv_percentile=True, allow_unknown_earnings=True)


def a_history(dip: float = -0.06, after: float = 0.01) -> MarketHistory:
    """Daily bars of the made market; ``after`` is AAPL's daily return once the dip is over."""
    days = sessions_between(FIRST, LAST)
    moves = {
        AAPL: np.array([_aapl(day, dip, after) for day in days]),
        MSFT: np.random.default_rng(2).normal(0.0, 0.008, len(days)),
        INDEX: np.random.default_rng(3).normal(0.0006, 0.004, len(days)),
    }
    start = {AAPL: 230.0, MSFT: 30.0, INDEX: 1300.0}
    frames = []
    for name, returns in moves.items():
        close = start[name] * np.exp(np.cumsum(np.log1p(returns)))
        opened = np.concatenate(([start[name]], close[:-1])) * (1 + returns / 4)
        high, low = np.maximum(opened, close) * 1.004, np.minimum(opened, close) * 0.996
        frame = pd.DataFrame(
            np.column_stack([opened, high, low, close]).round(2), columns=["open", "high", "low", "close"]
        )
        frames.append(frame.assign(symbol=str(name), session=pd.to_datetime(list(days)), volume=20_000_000))
    return MarketHistory(
        source="made market",
        bars=pd.concat(frames, ignore_index=True).loc[:, list(COLUMNS)],
        actions=(),
        sectors={AAPL: "Information Technology", MSFT: "Information Technology"},
        benchmark=INDEX,
        rates={FIRST: 0.01},
    )


_NOISE = np.random.default_rng(1).normal(0.0003, 0.008, 400)


def _aapl(day: date, dip: float, after: float) -> float:
    if day == DIP:
        return dip
    if shift(DIP, -10) <= day < DIP:
        return 0.02
    return after if day > DIP else float(_NOISE[(day - FIRST).days % 400])


FILLS, NEVER_FILLS = 1, 2
"""Seeds of the path through the day: after 15:36 on ``DIP`` the call's ask comes down, or runs away."""


def a_feed(seed: int = FILLS, **changes: float) -> DailyBarFeed:
    return DailyBarFeed(a_history(**changes), seed=seed)


def ny(day: date, clock: str) -> datetime:
    """An instant of ``day`` in New York, ``clock`` as HH:MM."""
    hour, minute = (int(part) for part in clock.split(":"))
    return datetime(day.year, day.month, day.day, hour, minute, tzinfo=NEW_YORK)


def settings_for(url: str, ledger_url: str, slack: Slack | None = None, **more: Any) -> Settings:
    return Settings(
        **more,
        mode=Mode.PRACTICE,
        account=ACCOUNT,
        database_url=ledger_url,
        practice_url=url,
        trader="tests",
        lease_seconds=3600,
        SLACK_BOT_TOKEN="xoxb-test" if slack else None,
        SLACK_BASE_URL=slack.url if slack else None,
    )


@dataclass
class Stage:
    """Everything a flow test touches."""

    control: PracticeControl
    ledger: Ledger
    settings: Settings
    slack: Slack
    url: str

    def at(self, day: date, clock: str) -> Stage:
        """Move the simulated clock to that moment."""
        self.control.advance_to(ny(day, clock))
        return self

    def reconcile(self) -> Any:
        from flows.reconcile import reconcile

        return reconcile(return_state=True)

    def decide(self, params: Params = PARAMS, **more: Any) -> Any:
        """Run the dip bot's flow over the made universe."""
        from flows.run_strategy import FLOWS

        return FLOWS[DIP_BOT](params=params, universe=[AAPL, MSFT], return_state=True, **more)

    def manage(self) -> Any:
        from flows.manage_positions import manage_positions

        return manage_positions(return_state=True)

    def ready(self) -> Stage:
        """The dip day shortly before the close, the books opened in the morning and clean."""
        self.at(DIP, "09:20").reconcile()
        self.at(DIP, "15:30").reconcile()
        return self.at(DIP, "15:36")

    def orders_received(self) -> int:
        """POSTs of orders that reached the exchange."""
        return int(self.control.state()["orders_received"])

    def orders(self) -> int:
        """Orders that exist at the exchange."""
        return int(self.control.state()["orders"])

    def age_reconciliation(self, minutes: int) -> None:
        self.control.advance(timedelta(minutes=minutes).total_seconds())


def sqlite_url(folder: Path) -> str:
    return f"sqlite:///{folder / 'ledger.db'}"
