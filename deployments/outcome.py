"""What a stretch of sessions came to: the summary, and the ledger told as a report."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

from tasks.wiring import WallClock, Wiring
from wsb_core.analytics import report as page
from wsb_core.analytics.svg import Candle
from wsb_core.domain.calendar import NEW_YORK, Session
from wsb_core.domain.ids import Cash, Underlying
from wsb_core.domain.orders import Effect
from wsb_core.domain.quotes import FeedClass
from wsb_core.exchange.client import PracticeControl
from wsb_core.exchange.feed import MarketHistory
from wsb_core.ledger import Outcome
from wsb_core.reconcile.compare import compare
from wsb_core.reconcile.sync import views

BEFORE, AFTER = 40, 5
"""Sessions shown around the window in a price chart."""


@dataclass(frozen=True, slots=True)
class Summary:
    """The figures of ``summary.json`` and the lines a person reads."""

    figures: dict[str, Any]
    outcomes: tuple[tuple[str, int], ...]
    """How many candidates ended at each rule, most frequent first."""
    caught: tuple[str, ...]
    """Data checks that stopped a run or took out a ticker, in words."""


def summarise(w: Wiring, control: PracticeControl, days: Sequence[Session], *, wall_s: float) -> Summary:
    """Count what the ledger recorded over ``days``, and compare it with the broker once more."""
    ledger, account = w.ledger, w.account
    played = {day.day for day in days}
    decisions = [d for d in ledger.decisions() if d.session in played and d.outcome is not Outcome.HELD]
    entries = [d for d in decisions if d.outcome in (Outcome.REFUSED, Outcome.ORDERED, Outcome.SELECTED)]
    filled = [i for i in ledger.intents() if i.filled]
    ours, theirs = views(w.broker, ledger, account)
    last = days[-1]
    verdict = compare(ours, theirs, today=last.day, after_close=w.clock.now() >= last.closes)
    trades = ledger.closed_trades(account)
    opening, now = ledger.equity_at_open(account, days[0].day), w.broker.account().equity
    caught = _caught(w, days)
    figures = {
        "sessions": len(days),
        "candidates": len(entries),
        "entries_filled": sum(i.order.effect is Effect.OPEN for i in filled),
        "exits_filled": sum(i.order.effect is Effect.CLOSE for i in filled),
        "risk_refusals": sum(d.stage == "review" for d in entries),
        "checks_stopped": len(caught),
        "duplicates": _duplicates(control),
        "reconciled": verdict.clean and ledger.verify().ok,
        "pnl": str(sum((t.pnl for t in trades), Decimal(0)).quantize(Decimal("0.01"))),
        "equity_change": str((now - opening).quantize(Decimal("0.01"))) if opening is not None else None,
        "wall_s": round(wall_s, 1),
    }
    outcomes = Counter(f"{d.stage}: {d.rule}" for d in entries)
    return Summary(figures, tuple(outcomes.most_common()), caught)
