"""Halts: set, lifted and told of by people; and what the desk sets and lifts by itself."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Sequence
from decimal import Decimal
from itertools import pairwise

from prefect import task

from tasks.desk import Desk, run_id
from tasks.notify import notify, run_link
from tasks.retry import ONCE
from tasks.wiring import Wiring, wiring
from wsb_core.control import ALL, stop_entries
from wsb_core.domain.activities import ActivityKind
from wsb_core.domain.calendar import shift
from wsb_core.domain.errors import WsbError
from wsb_core.domain.halts import EVERYTHING, HaltKind
from wsb_core.domain.ids import Cash, StrategyName, Underlying
from wsb_core.domain.orders import OrderState
from wsb_core.domain.positions import AccountState
from wsb_core.ledger import Halt, Intent
from wsb_core.market.snapshot import volume_fraction
from wsb_core.risk import RiskLimits
from wsb_core.risk.halts import (
    USUAL_DAYS,
    Gauge,
    Reading,
    Tally,
    Vitals,
    confirmed,
    measure,
    over,
)

log = logging.getLogger("wsb.halts")
_BAD = (OrderState.REJECTED, OrderState.UNKNOWN)


# --- by a person ---


def scope_of(name: str) -> str:
    """``all`` in the ledger's word; a strategy's name as it is."""
    return EVERYTHING if name == ALL else name


@task(**ONCE)
def set_halt(scope: str, kind: HaltKind, reason: str, by: str) -> str:
    """Halt, then cancel the entries that were working; a sentence that says what was done."""
    w = wiring()
    made = w.ledger.set_halt(scope, kind, reason, by, w.clock.now())
    return _stop(w, made, reason)


@task(**ONCE)
def halts_on(scope: str) -> tuple[Halt, ...]:
    """Halts in force on exactly this scope."""
    return tuple(halt for halt in wiring().ledger.halts() if halt.scope == scope)


@task(**ONCE)
def lift_halts(scope: str, by: str, why: str) -> str:
    """Clear them all and tell; the ledger refuses a hard one without a ``why``."""
    w = wiring()
    lifted = w.ledger.clear_halt(scope, by, w.clock.now(), why=why)
    text = f"{lifted} halts of {scope} lifted by {by}"
    notify(
        key=f"resumed:{run_id()}",
        severity="warning",
        title=f"Resumed: {scope}",
        what=f"{text}: {why or 'no words'}",
    )
    return text


# --- by itself ---


@task(**ONCE)
def watch_account(desk: Desk, account: AccountState) -> str:
    """One look with every halt rule, kept in the ledger; halts what two looks in a row want halted.

    Soft halts of an earlier session whose cause is gone are lifted. Whatever goes wrong in here is told
    and stops nothing: exits come after it.
    """
    w = wiring()
    if not desk.session.is_open(desk.as_of):
        return "market closed: no look"
    try:
        return _look(w, desk, account)
    except Exception as error:
        log.exception("the account could not be watched")
        notify(
            key=f"watch:{desk.session.day}:{type(error).__name__}",
            severity="critical",
            title="The automatic halts could not be evaluated",
            what=f"{type(error).__name__}: {error}",
            did="Set no halt; exits and the limits of each entry work as before.",
            do="Read the run; until it is repaired nothing halts the desk by itself.",
            link=run_link(desk.run_id),
        )
        return f"not watched: {error}"


def _look(w: Wiring, desk: Desk, account: AccountState) -> str:
    now, day = w.clock.now(), desk.session.day
    readings = measure(_vitals(w, desk, account), _limits(w, desk))
    earlier = w.ledger.looks(desk.account, day)
    w.ledger.record_look(desk.account, [reading.row() for reading in readings], now)
    active = w.ledger.halts()
    for reading in confirmed(readings, earlier, now):
        _act(w, desk, reading, active)
    for halt in over(active, readings, day):
        w.ledger.clear_halt(halt.scope, halt.by, now, set_by=halt.by)
        text = f"{halt.by} is within its bound again in a new session; it was set at {halt.at} UTC."
        notify(
            key=f"lifted:{halt.scope}:{halt.by}:{halt.at.isoformat()}",
            severity="info",
            title=f"Resumed: {halt.scope}",
            what=text,
        )
    return "; ".join(r.text for r in readings if r.past or r.value is None) or "all within bounds"


def _act(w: Wiring, desk: Desk, reading: Reading, active: Sequence[Halt]) -> None:
    if reading.kind is None:
        notify(
            key=f"{reading.rule}:{desk.session.day}",
            severity="warning",
            title=f"{reading.rule.replace('_', ' ')}",
            what=reading.text,
            did="New orders are sized smaller.",
            link=run_link(desk.run_id),
        )
        return
    if any(halt.by == reading.by and halt.scope == reading.scope for halt in active):
        return
    made = w.ledger.set_halt(
        reading.scope, reading.kind, reading.text, reading.by, w.clock.now(), hard=reading.hard
    )
    _stop(w, made, reading.text)


def _stop(w: Wiring, halt: Halt, reason: str) -> str:
    """End the working entries that ``halt`` covers, and tell of it."""
    try:
        told = stop_entries(w.ledger, w.broker, w.clock, w.account, halt.scope).text
    except WsbError as error:
        told = f"working entries could not be cancelled ({error}): their runs cancel them themselves"
    close = " Everything in scope is closed by the exit flow." if halt.kind is HaltKind.FLATTEN else ""
    person = "look at the positions and the books, then resume with your reason" if halt.hard else "resume"
    notify(
        key=f"halt:{halt.id}:{halt.at.isoformat()}",
        severity="critical" if halt.hard else "warning",
        title=f"Halted: {halt.scope} ({halt.kind}) by {halt.by}",
        what=reason,
        did=f"Entries stop; {told}.{close} Exits go on.",
        do=f"When it is over: {person} (wsb resume, or the flow resume).",
        link=run_link(run_id()),
    )
    return f"halted {halt.scope} ({halt.kind}); {told}"


# --- what the rules look at ---


def _limits(w: Wiring, desk: Desk) -> RiskLimits:
    return RiskLimits.model_validate(dict(w.ledger.limits(None, desk.as_of)))


def _vitals(w: Wiring, desk: Desk, account: AccountState) -> Vitals:
    day, now = desk.session.day, w.clock.now()
    intents = w.ledger.intents(day)
    last = w.ledger.last_reconciliation(desk.account)
    gauge, unknown = _gauge(w, desk)
    return Vitals(
        at=now,
        equity=account.equity,
        equity_at_open=w.ledger.equity_at_open(desk.account, day),
        peak_equity=w.ledger.peak_equity(desk.account),
        paid_in=_paid_in(w, desk),
        exposed=bool(
            any(intent.filled for intent in intents)
            or w.ledger.open_orders(desk.account)
            or w.ledger.holdings(desk.account)
        ),
        books_agree=last is not None and last.clean,
        hard_loss=HaltKind(w.settings.hard_loss_kind.value),
        market=gauge,
        market_unknown=unknown,
        orders=_tallies(intents),
    )


def _paid_in(w: Wiring, desk: Desk) -> Cash:
    rows = w.ledger.activities(desk.account)
    return Cash(
        sum(
            (row.cash for row in rows if row.kind is ActivityKind.CASH and row.booked_on == desk.session.day),
            start=Decimal(0),
        )
    )


def _tallies(intents: Sequence[Intent]) -> dict[StrategyName, Tally]:
    sent: Counter[StrategyName] = Counter()
    bad: Counter[StrategyName] = Counter()
    for intent in intents:
        sent[intent.order.key.strategy] += intent.state is not OrderState.ABANDONED
        bad[intent.order.key.strategy] += intent.state in _BAD
    return {strategy: Tally(sent[strategy], bad[strategy]) for strategy in sent}


def _gauge(w: Wiring, desk: Desk) -> tuple[Gauge | None, str]:
    """The market's day so far against its usual one; None, and why, when its bars were not given."""
    name, day = Underlying(w.settings.market_gauge), desk.session.day
    try:
        # One session more: a true range needs the close before it.
        history = w.data.bars([name], shift(day, -USUAL_DAYS - 1), shift(day, -1)).frame
        today = w.data.today([name]).frame
    except WsbError as error:
        return None, f"{name}: {error}"
    if not len(history) or not len(today):
        return None, f"{name}: no bars of it"
    bars = [*history.sort_values("session").itertuples(), next(today.itertuples())]
    reaches = [
        (max(bar.high, before.close) - min(bar.low, before.close)) / before.close
        for before, bar in pairwise(bars)
    ]
    usual, volumes = reaches[:-1], [bar.volume for bar in bars[1:-1]]
    days = len(usual)
    if not days:
        return None, f"{name}: one day of history"
    return (
        Gauge(
            days=days,
            reach=_number(reaches[-1]),
            usual_reach=_number(sum(usual) / days),
            volume=_number(bars[-1].volume),
            usual_volume=_number(sum(volumes) / days),
            volume_due=_number(volume_fraction(desk.session, w.clock.now())),
        ),
        "",
    )


def _number(value: float) -> Decimal:
    return Decimal(str(round(float(value), 8)))
