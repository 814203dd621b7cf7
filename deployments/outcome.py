"""What a stretch of sessions came to: the summary, and the ledger told as a report."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any

from tasks.wiring import WallClock, Wiring
from wsb_core import desk
from wsb_core.analytics import report as page
from wsb_core.analytics.svg import Candle
from wsb_core.domain.activities import ActivityKind
from wsb_core.domain.calendar import Session
from wsb_core.domain.ids import Cash, Underlying
from wsb_core.domain.orders import Effect
from wsb_core.domain.quotes import FeedClass
from wsb_core.exchange.feed import MarketHistory
from wsb_core.ledger import Decided, Outcome
from wsb_core.reconcile.compare import compare
from wsb_core.reconcile.sync import views

BEFORE, AFTER = 30, 4
"""Sessions shown around the window in a price chart."""
CENT = Decimal("0.01")


@dataclass(frozen=True, slots=True)
class Summary:
    """The figures of ``summary.json``, and what a person wants to know beside them."""

    figures: dict[str, Any]
    outcomes: tuple[tuple[str, int], ...]
    """How many candidates ended at each rule, most frequent first."""
    caught: tuple[str, ...]
    """Data checks that stopped a run or took out a ticker, in words."""


def summarise(w: Wiring, days: Sequence[Session], *, wall_s: float) -> Summary:
    """Count what the ledger recorded over ``days``, and compare it with the broker once more."""
    ledger, account = w.ledger, w.account
    candidates = _candidates(w, days)
    filled = [intent for intent in ledger.intents() if intent.filled]
    ours, theirs = views(w.broker, ledger, account)
    last = days[-1]
    verdict = compare(ours, theirs, today=last.day, after_close=w.clock.now() >= last.closes)
    change = _equity_change(w, days)
    realised = sum((trade.pnl for trade in ledger.closed_trades(account)), Decimal(0))
    caught = _caught(w, days)
    figures = {
        "sessions": len(days),
        "candidates": len(candidates),
        "entries_filled": sum(intent.order.effect is Effect.OPEN for intent in filled),
        "exits_filled": sum(intent.order.effect is Effect.CLOSE for intent in filled),
        "risk_refusals": sum(row.stage == "review" for row in candidates),
        "checks_stopped": len(caught),
        "duplicates": _duplicates(w, days),
        "reconciled": verdict.clean and ledger.verify().ok,
        "pnl": str(realised.quantize(CENT)),
        "equity_change": None if change is None else str(change.quantize(CENT)),
        "wall_s": round(wall_s, 1),
    }
    outcomes = Counter(f"{row.stage}: {row.rule}" for row in candidates)
    return Summary(figures, tuple(outcomes.most_common()), caught)


def build_report(
    w: Wiring,
    history: MarketHistory,
    days: Sequence[Session],
    *,
    title: str,
    ui: str,
    parameters: dict[str, str],
) -> page.Report:
    """The page of a finished demo."""
    ledger, account = w.ledger, w.account
    played = [day.day for day in days]
    opening = ledger.equity_at_open(account, played[0])
    closing = ledger.equity_at_close(account)
    trades = desk.trades(ledger, account)
    return page.Report(
        title=title,
        mode="practice",
        made_at=WallClock().now(),
        start=played[0],
        initial=opening if opening is not None else w.broker.account().equity,
        equity=tuple(page.EquityPoint(day, closing[day]) for day in played if day in closing),
        reconciliation=_reconciliation(w),
        identity=_identity(w, days),
        sources=_sources(history, played),
        trades=trades,
        decisions=desk.decision_rows(ledger, held=False),
        funnel=_funnel(w, days),
        checks=desk.check_failures(ledger, played),
        orders=desk.order_rows(ledger),
        fills=ledger.fills(account),
        candles={name: _candles(history, name, played) for name in {trade.underlying for trade in trades}},
        parameters=parameters,
        links=(page.Link("the runs in Prefect's UI", f"{ui}/runs"),),
        warnings=tuple(f"known of this data: {note}" for note in history.notes),
    )


def _candidates(w: Wiring, days: Sequence[Session]) -> list[Decided]:
    played = {day.day for day in days}
    wanted = (Outcome.REFUSED, Outcome.ORDERED, Outcome.SELECTED)
    return [
        row
        for row in w.ledger.decisions()
        if row.session in played and row.outcome in wanted and row.stage != "manage"
    ]


def _equity_change(w: Wiring, days: Sequence[Session]) -> Decimal | None:
    opening = w.ledger.equity_at_open(w.account, days[0].day)
    return None if opening is None else Decimal(w.broker.account().equity - opening)


def _identity(w: Wiring, days: Sequence[Session]) -> page.Identity | None:
    """Where the change of equity came from; None while something is held, which the ledger does not mark."""
    change = _equity_change(w, days)
    if change is None or w.ledger.positions(w.account):
        return None
    fills = w.ledger.fills(w.account)
    traded = sum((-fill.quantity * fill.price * fill.instrument.multiplier for fill in fills), Decimal(0))
    booked = w.ledger.activities(w.account)
    fees = sum((-row.cash for row in booked if row.kind is ActivityKind.FEE), Decimal(0))
    other = sum(
        (row.cash for row in booked if row.kind not in (ActivityKind.FEE, ActivityKind.FILL)), Decimal(0)
    )
    return page.Identity(Cash(change), Cash(traded), Cash(Decimal(0)), Cash(fees), Cash(other))


def _duplicates(w: Wiring, days: Sequence[Session]) -> int:
    """Orders at the broker that the ledger never intended, and entries filled twice for one decision."""
    known = {intent.client_order_id for intent in w.ledger.intents()}
    strangers = [o for o in w.broker.orders_since(days[0].opens) if o.client_order_id not in known]
    entries = Counter(
        (key.strategy, key.session, key.slot, key.underlying)
        for intent in w.ledger.intents()
        if intent.filled and intent.order.effect is Effect.OPEN
        for key in (intent.order.key,)
    )
    return len(strangers) + sum(count - 1 for count in entries.values())


def _caught(w: Wiring, days: Sequence[Session]) -> tuple[str, ...]:
    """Each fault once, however many runs met it."""
    seen: dict[str, str] = {}
    for row in desk.check_failures(w.ledger, [day.day for day in days]):
        if row.effect != "warning":
            seen.setdefault(
                f"{row.suite}: {row.expectation}, {row.effect} ({row.observed})", str(row.session)
            )
    return tuple(f"{session} {text}" for text, session in seen.items())


def _funnel(w: Wiring, days: Sequence[Session]) -> tuple[tuple[str, int], ...]:
    rows = _candidates(w, days)
    order = ("check", "screen", "propose", "gate", "review", "submit", "filled")
    left = len(rows)
    steps = [("candidates", left)]
    for stage in order[:-1]:
        left -= sum(row.stage == stage for row in rows)
        steps.append((f"past {stage}", left))
    return tuple(steps)


def _reconciliation(w: Wiring) -> page.Reconciliation:
    last = w.ledger.last_reconciliation(w.account)
    if last is None:
        return page.Reconciliation(None)
    unexplained = [b for b in last.breaks if b["halts"] == "yes"]
    return page.Reconciliation(last.clean, last.at, tuple(f"{b['kind']} {b['key']}" for b in unexplained))


def _sources(history: MarketHistory, played: Sequence[date]) -> tuple[page.Source, ...]:
    first, last = played[0], played[-1]
    return (
        page.Source("shares", history.source, FeedClass.REPLAYED, first, last, len(history.bars)),
        page.Source("chains", "modelled from the shares' own volatility", FeedClass.MODELLED, first, last),
        page.Source("earnings", "HistoricalEarningsData", FeedClass.REPLAYED, first, last),
    )


def _candles(history: MarketHistory, underlying: Underlying, played: Sequence[date]) -> tuple[Candle, ...]:
    rows = history.bars[history.bars["symbol"] == underlying].sort_values("session")
    days = [stamp.date() for stamp in rows["session"]]
    first = sum(day < played[0] for day in days) - BEFORE
    last = sum(day <= played[-1] for day in days) + AFTER
    return tuple(
        Candle(row.session.date(), row.open, row.high, row.low, row.close)
        for row in rows.iloc[max(0, first) : last].itertuples(index=False)
    )
