"""What it costs a run to keep what it decided on."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime
from decimal import Decimal
from functools import lru_cache

import numpy as np
import pandas as pd

from wsb_core.decision import Inputs, Setting
from wsb_core.domain.calendar import sessions_between
from wsb_core.domain.checks import CheckReport, Finding, Passed, Severity
from wsb_core.domain.contracts import OptionContract, Right, Share
from wsb_core.domain.ids import AccountId, StrategyName, Underlying, cash, price
from wsb_core.domain.positions import AccountState, Book
from wsb_core.domain.quotes import Chain, Events, FeedClass, Market, OptionQuote, Provenance, Quote
from wsb_core.domain.strategy import Panel
from wsb_core.inputs import code_digests, pack
from wsb_core.market.snapshot import build_market
from wsb_core.strategies import STRATEGIES

from .harness import Figure, Job, medians

NOW, DAY = datetime(2024, 6, 24, 19, tzinfo=UTC), date(2024, 6, 24)
SOURCE = Provenance("bench", FeedClass.REALTIME, NOW)
CHAINS, QUOTES = 3, 200


def proof(suite: str) -> Passed:
    return CheckReport(suite, "d", NOW, 1, (Finding("whole", True, Severity.CRITICAL, "yes"),)).proof()


def market(name: str, panel: Panel) -> Market:
    underlying = Underlying(name)
    quotes = []
    for number in range(QUOTES):
        right = Right.CALL if number % 2 else Right.PUT
        contract = OptionContract(name, date(2024, 7, 19), right, Decimal(50 + number // 2), underlying)
        quote = Quote(contract, price("1.05"), price("1.10"), 10, 20, SOURCE)
        quotes.append(OptionQuote(quote, 0.21, 0.5, 0.01, -0.02, 0.1, 100, 20))
    return build_market(
        underlying,
        panel=panel,
        session=DAY,
        at=NOW,
        spot=Quote(Share(underlying), price("99.90"), price("100.00"), 1, 1, SOURCE),
        chain=Chain(underlying, tuple(quotes), SOURCE),
        events=Events(None),
        proofs=(proof("bars"), proof("option_chain")),
        iv_percentile=None,
    )


@lru_cache
def inputs(names: int) -> Inputs:
    days = pd.DatetimeIndex(sessions_between(date(2023, 12, 1), DAY)[-125:])
    columns = [f"S{number:03d}" for number in range(names)]
    chance = np.random.default_rng(1)
    frames = [
        pd.DataFrame(chance.normal(100, 5, (len(days), names)).round(2), index=days, columns=columns)
        for _ in range(5)
    ]
    panel = Panel(*frames)
    strategy = STRATEGIES[StrategyName("wsb_dip_bot")]
    account = AccountState(AccountId("B"), cash(1), cash(1), cash(1), None, 3, False, NOW)
    setting = Setting(AccountId("B"), DAY, "x", NOW, {}, {Underlying(name): "IT" for name in columns})
    markets = tuple(market(name, panel) for name in columns[:CHAINS])
    return Inputs(setting, strategy.name, strategy.params, panel, markets, Book(account))


def measure() -> Sequence[Figure]:
    code_digests()
    told = f"names x 125 sessions, {CHAINS} chains of {QUOTES}"
    small, large = medians(lambda: pack(inputs(30), ()), lambda: pack(inputs(500), ()), rounds=9)
    return [
        Figure(small * 1000, f"30 {told}", at_most=50.0),
        Figure(large * 1000, f"500 {told}", at_most=50.0),
    ]


JOBS = (
    Job("replay: keep the inputs of a run", "ms", "<= 50 ms", measure, lambda: (inputs(30), inputs(500))),
)
