"""A halt, proved: orders are set working on a practice exchange of its own, halted, and counted.

It runs the desk's own order path (review, intent, send, confirm, cancel) over HTTP with a ledger of its
own, touches nothing of the installation, and fails when one entry is sent after the halt.
"""

from __future__ import annotations

import json
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING

from wsb_core.brokers import open_broker
from wsb_core.config import PRACTICE_KEY
from wsb_core.control import stop_entries, working_entries
from wsb_core.domain.calendar import NEW_YORK, sessions_between
from wsb_core.domain.contracts import Share
from wsb_core.domain.errors import Halted, LedgerError, Terminal
from wsb_core.domain.halts import EVERYTHING, HaltKind
from wsb_core.domain.ids import AccountId, Cash, ClientOrderId, Price, RunId, Underlying
from wsb_core.domain.orders import ApprovedOrder, Effect, IntentKey, OrderState, Proposal
from wsb_core.domain.ports import Broker
from wsb_core.domain.positions import Book
from wsb_core.domain.structures import single
from wsb_core.execution.submit import Sender, cancel_and_confirm, confirm, submit_once
from wsb_core.ledger import Ledger, open_ledger
from wsb_core.risk import RiskLimits, review
from wsb_core.strategies import STRATEGIES

if TYPE_CHECKING:
    from wsb_core.exchange.feed import MarketHistory

ACCOUNT = AccountId("PRACTICE")
DAY = date(2024, 3, 1)
START = datetime(2024, 3, 1, 10, 0, tzinfo=NEW_YORK)
CASH = Cash(Decimal(1_000_000))
HELD = Underlying("HELD")
RUN = RunId("drill")
PRICE = 100.0
"""What a share costs."""
FAR, BUY, SELL = Price(Decimal(-50)), Price(Decimal(-105)), Price(Decimal(95))
"""What the drill bids for shares it must not get, and what it buys and sells at."""
STEP_SECONDS = 0.5
"""How long one attempt rests before the walk's next one: short, so that many attempts meet the halt."""
PATIENCE_SECONDS = 10.0
"""How long the halt may take to end what it found working."""
AFTER_SECONDS = 2.0
"""How long the workers go on trying once everything has stopped."""


@dataclass(frozen=True, slots=True)
class Drill:
    """What happened. ``late`` are entries sent after the halt, ``left`` those never seen to end."""

    kind: HaltKind
    working: int
    seconds: float
    """From the halt's commit to the moment the last entry was known to be over."""
    attempts: int
    refused: int
    late: tuple[ClientOrderId, ...]
    left: tuple[ClientOrderId, ...]
    exit_filled: bool
    ledger_ok: bool

    @property
    def problems(self) -> tuple[str, ...]:
        """Why the drill failed; empty when the halt did what it promises."""
        found = (
            (self.working == 0, "no entry was working when the halt came: nothing was proved"),
            (bool(self.late), f"sent after the halt: {_some(self.late)}"),
            (bool(self.left), f"still working after the halt: {_some(self.left)}"),
            (self.refused == 0, "no entry was refused after the halt: nobody tried"),
            (not self.exit_filled, "the halt stopped an exit"),
            (not self.ledger_ok, "the ledger does not hold together"),
        )
        return tuple(text for wrong, text in found if wrong)

    @property
    def lines(self) -> tuple[str, ...]:
        """The drill in words, a line each."""
        exit_ = "went on and filled" if self.exit_filled else "was STOPPED"
        return (
            f"halt ({self.kind}) with {self.working} entries working, after {self.attempts} sent",
            f"from the halt to the last order stopped: {self.seconds * 1000:.0f} ms",
            f"entries sent after the halt: {len(self.late)}; refused: {self.refused}; an exit {exit_}",
            *(f"FAILED: {problem}" for problem in self.problems),
            *(() if self.problems else ("the halt holds",)),
        )


def _some(ids: Sequence[str]) -> str:
    """The first of them: one is as wrong as many."""
    more = f" and {len(ids) - 3} more" if len(ids) > 3 else ""
    return ", ".join(ids[:3]) + more


class _RunningClock:
    """The exchange's day, running as fast as the wall's: how long a halt takes is a real duration."""

    def __init__(self) -> None:
        self._began = time.monotonic()

    def now(self) -> datetime:
        return START + timedelta(seconds=time.monotonic() - self._began)

    def sleep(self, seconds: float) -> None:
        time.sleep(min(seconds, STEP_SECONDS / 5))


@dataclass
class _Floor:
    """What the workers share."""

    url: str
    ledger_url: str
    clock: _RunningClock
    over: threading.Event = field(default_factory=threading.Event)
    halted: threading.Event = field(default_factory=threading.Event)
    refused: list[str] = field(default_factory=list)
    errors: list[BaseException] = field(default_factory=list)

    @contextmanager
    def seat(self) -> Iterator[Sender]:
        """What one worker sends with: a connection to the ledger and to the broker of its own."""
        with open_ledger(self.ledger_url) as ledger:
            lease = ledger.acquire_lease(ACCOUNT, "drill", self.clock.now(), timedelta(hours=1))
            yield Sender(RUN, _broker(self.url), ledger, lease, self.clock)


def run_drill(
    *, workers: int = 4, kind: HaltKind = HaltKind.REDUCE_ONLY, database_url: str | None = None
) -> Drill:
    """Halt ``workers`` that are walking their orders, and say what happened after.

    The ledger is a file that is thrown away, or an empty one at ``database_url``.
    Raises: LedgerError when that one is in use; Terminal when the drill itself could not be held.
    """
    # The exchange is loaded for a drill alone: it is no part of what the command line needs.
    from wsb_core.exchange.engine import Exchange
    from wsb_core.exchange.feed import DailyBarFeed
    from wsb_core.exchange.model import Settings
    from wsb_core.exchange.server import ServerThread

    names = [Underlying(f"DRILL{number}") for number in range(workers)]
    exchange = Exchange(
        DailyBarFeed(_market([HELD, *names])), START, Settings(starting_cash=CASH, partial_fill_every=0)
    )
    with ExitStack() as stack:
        url = stack.enter_context(ServerThread(exchange))
        if database_url is None:
            folder = stack.enter_context(tempfile.TemporaryDirectory())
            database_url = f"sqlite:///{Path(folder) / 'drill.db'}"
        ledger = stack.enter_context(open_ledger(database_url))
        _begin(ledger)
        return _hold(_Floor(url, database_url, _RunningClock()), ledger, names, kind)


def _hold(floor: _Floor, ledger: Ledger, names: Sequence[Underlying], kind: HaltKind) -> Drill:
    with floor.seat() as to:
        entries = _approved(to.broker, names, FAR)
        _buy_to_hold(ledger, to)
        threads = [threading.Thread(target=_walk, args=(floor, entry), daemon=True) for entry in entries]
        for thread in threads:
            thread.start()
        try:
            # Every worker in the middle of its walk: the halt meets orders at rest and orders on their way.
            _wait(lambda: _attempts(ledger) >= 2 * len(names) and _all_working(ledger, names), floor)
            working = len(working_entries(ledger, ACCOUNT, EVERYTHING))
            ledger.set_halt(EVERYTHING, kind, "drill", "drill", floor.clock.now())
            began = time.perf_counter()
            floor.halted.set()
            stopped = stop_entries(ledger, to.broker, floor.clock, ACCOUNT, EVERYTHING, PATIENCE_SECONDS)
            seconds = time.perf_counter() - began
            left = {*stopped.left, *(order.client_order_id for order in to.broker.open_orders())}
            _wait(lambda: len(floor.refused) >= len(names), floor, PATIENCE_SECONDS, fail=False)
            exit_filled = _sell_what_is_held(ledger, to)
            time.sleep(AFTER_SECONDS)
        finally:
            floor.over.set()
            for thread in threads:
                thread.join(30)
        if floor.errors:
            raise Terminal(f"the drill's own workers broke: {floor.errors[0]}") from floor.errors[0]
    return Drill(
        kind,
        working,
        seconds,
        _attempts(ledger),
        len(floor.refused),
        _sent_after_the_halt(ledger),
        tuple(sorted(left)),
        exit_filled,
        ledger.verify().ok,
    )


def _walk(floor: _Floor, approved: ApprovedOrder) -> None:
    """One worker: attempt after attempt, as a walk makes them, for as long as the drill lasts."""
    attempt = 1
    try:
        with floor.seat() as to:
            while not floor.over.is_set():
                try:
                    intent = submit_once(approved.at(approved.order.limit, attempt), to)
                except Halted as halted:
                    floor.refused.append(str(halted))
                    floor.over.wait(STEP_SECONDS / 5)
                    continue
                if not intent.state.terminal:
                    intent = confirm(intent, to, STEP_SECONDS, poll=STEP_SECONDS / 5)
                if not intent.state.terminal:
                    cancel_and_confirm(intent, to)
                attempt += 1
    except BaseException as error:  # told by the thread that waits for this one
        floor.errors.append(error)


def _attempts(ledger: Ledger) -> int:
    return sum(intent.order.key.underlying != HELD for intent in ledger.intents())


def _all_working(ledger: Ledger, names: Sequence[Underlying]) -> bool:
    return len(working_entries(ledger, ACCOUNT, EVERYTHING)) == len(names)


def _sent_after_the_halt(ledger: Ledger) -> tuple[ClientOrderId, ...]:
    """Entries whose sending was committed after the halt was, by the order of the audit chain."""
    entries = {i.client_order_id for i in ledger.intents() if i.order.effect is Effect.OPEN}
    late, halted = [], False
    for entry in ledger.audit_log():
        halted = halted or entry.kind == "halt"
        if halted and entry.kind in ("intent", "request"):
            told = json.loads(entry.payload)["client_order_id"]
            if told in entries:
                late.append(ClientOrderId(told))
    return tuple(late)


def _buy_to_hold(ledger: Ledger, to: Sender) -> None:
    [order] = _approved(to.broker, [HELD], BUY)
    bought = confirm(submit_once(order, to), to, 10.0, poll=0.1)
    if bought.state is not OrderState.FILLED:
        raise Terminal(f"the drill could not buy what its exit sells: {bought.state}")
    ledger.record_fills(ACCOUNT, to.broker.fills(START), to.clock.now())


def _sell_what_is_held(ledger: Ledger, to: Sender) -> bool:
    """Whether a close goes through under the halt."""
    [position] = ledger.positions(ACCOUNT)
    proposal = Proposal(position.structure, Effect.CLOSE, SELL, "drill", quantity=position.quantity)
    book = replace(_book(to.broker), positions=(position,))
    try:
        [order] = _reviewed(book, [proposal])
        sold = confirm(submit_once(order, to), to, 10.0, poll=0.1)
    except Halted:
        return False
    ledger.record_fills(ACCOUNT, to.broker.fills(START), to.clock.now())
    return sold.state is OrderState.FILLED


def _approved(broker: Broker, names: Sequence[Underlying], limit: Price) -> tuple[ApprovedOrder, ...]:
    proposals = [Proposal(single(Share(name)), Effect.OPEN, limit, "drill") for name in names]
    return _reviewed(_book(broker), proposals)


def _reviewed(book: Book, proposals: Sequence[Proposal]) -> tuple[ApprovedOrder, ...]:
    """Through the same review as every order; a strategy's own counts are set out of the way."""
    many = len(proposals) + 1
    real = next(iter(STRATEGIES.values()))
    strategy = replace(real, max_open=many, max_new_per_session=many, max_per_sector=many, max_total_risk=1.0)
    approved, refused = review(
        proposals,
        book,
        strategy=strategy,
        limits=RiskLimits(),
        key_for=lambda p: IntentKey(ACCOUNT, real.name, DAY, "drill", p.underlying, str(p.effect)),
        sectors={proposal.underlying: str(proposal.underlying) for proposal in proposals},
        session=DAY,
        at=START,
    )
    if refused:
        raise Terminal(f"the drill's own order was refused: {refused[0].rule} {refused[0].value}")
    return approved


def _book(broker: Broker) -> Book:
    account = broker.account()
    return Book(account, equity_at_open=account.equity, peak_equity=account.equity, as_of=START)


def _begin(ledger: Ledger) -> None:
    ledger.init()
    if ledger.opened_at(ACCOUNT) is not None:
        raise LedgerError("the drill needs a ledger of its own: this one is in use")
    ledger.open_account(ACCOUNT, "practice", CASH, START)
    ledger.start_run(
        RUN,
        flow="drill",
        strategy=None,
        session=DAY,
        slot="drill",
        account=ACCOUNT,
        config_hash="drill",
        code_version="drill",
        at=START,
    )


def _broker(url: str) -> Broker:
    key, secret = PRACTICE_KEY
    return open_broker(account=ACCOUNT, mode="practice", base_url=url, key=key, secret=secret)


def _wait(until: Callable[[], bool], floor: _Floor, seconds: float = 20.0, *, fail: bool = True) -> None:
    deadline = time.monotonic() + seconds
    while not until() and not floor.errors:
        if time.monotonic() > deadline:
            if fail:
                raise Terminal(f"the drill's orders were not working after {seconds:.0f} seconds")
            return
        time.sleep(0.02)


def _market(names: Sequence[Underlying]) -> MarketHistory:
    """Thirty quiet sessions of made bars at one price, the drill's own the last."""
    import pandas as pd

    from wsb_core.exchange.feed import MarketHistory

    days = sessions_between(DAY - timedelta(days=45), DAY)
    bar = {
        "open": PRICE,
        "high": PRICE * 1.005,
        "low": PRICE * 0.995,
        "close": PRICE,
        "volume": 20_000_000,
    }
    rows = [{"symbol": str(name), "session": pd.Timestamp(day), **bar} for name in names for day in days]
    return MarketHistory("made for the drill", pd.DataFrame(rows), (), {}, None, {days[0]: 0.02})
