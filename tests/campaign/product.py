"""The flows of the product without Prefect's engine and without a source of data.

The tasks are the real ones, called as plain functions. Replaced are: the run's id (there is no Prefect
run), the tables shown in its UI, the wall clock of alerts, and where a walk reads the market again.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from datetime import date, datetime, timedelta
from decimal import Decimal
from functools import lru_cache
from itertools import count
from random import Random
from typing import Any, Protocol
from unittest.mock import patch

import tasks.book
import tasks.decide
import tasks.desk
import tasks.notify
import tasks.orders
import tasks.wiring
from tasks.desk import Closed, Desk
from tasks.wiring import Wiring
from wsb_core.config import Mode, Settings
from wsb_core.domain.errors import ReconciliationBreak, Transient
from wsb_core.domain.events import CorporateAction
from wsb_core.domain.ids import AccountId, Cash, RunId, StrategyName
from wsb_core.domain.orders import ApprovedOrder, Effect, IntentKey, Proposal, Refusal
from wsb_core.domain.positions import Book
from wsb_core.domain.quotes import Market
from wsb_core.domain.strategy import AnyStrategy, Cadence, Needs, Slot, Strategy, StrategyParams
from wsb_core.domain.strategy import ChainWindow as Window
from wsb_core.execution.ticket import package_quote, ticket
from wsb_core.ledger import Ledger
from wsb_core.reconcile.compare import Verdict

from .books import WatchedLedger
from .market import ABC, XYZ, SeededFeed, a_structure, market_of
from .wire import broker_over
from .world import World

ACCOUNT = AccountId("PRACTICE")
CASH = Cash(Decimal(600_000))
PARAMS = StrategyParams()
TRIES = 4
QUIET = "ledger and broker agree; 0 new fills, 0 new bookings"
"""What a reconciliation says when there is nothing left to do."""


def _nothing(*_: Any) -> Any:
    raise NotImplementedError("the campaign screens and proposes by its seed")


def _a_strategy(name: str) -> AnyStrategy:
    window = timedelta(minutes=20)
    return Strategy(
        name=StrategyName(name),
        title=name,
        summary="drill",
        params=PARAMS,
        presets={},
        universe=(XYZ, ABC),
        needs=lambda _: Needs(0, Window(0, 60)),
        screen=_nothing,
        propose=_nothing,
        manage=_nothing,
        cadence=Cadence(
            (Slot("open+30m", 30, window), Slot("open+100m", 100, window), Slot("close-40m", -40, window))
        ),
        max_risk_per_trade=0.02,
        max_open=8,
        max_per_sector=8,
        max_total_risk=0.5,
        max_new_per_session=8,
    )


STRATEGIES = tuple(_a_strategy(name) for name in ("drill_one", "drill_two"))


class Around(Protocol):
    """The world as a flow meets it: in this process, or on the other side of HTTP."""

    seed: int
    feed: SeededFeed
    verdict: Verdict | None
    alarms: list[str]
    asked: dict[IntentKey, int]

    @property
    def now(self) -> datetime: ...

    def pass_time(self, seconds: float) -> None: ...

    def latency(self) -> float: ...

    def step(self, point: str) -> None: ...

    def process(self) -> Any: ...


class Running(Protocol):
    """A process in its world, with clients of its own."""

    @property
    def world(self) -> Around: ...

    @property
    def ledger(self) -> Ledger: ...

    def begin(self, name: str) -> None: ...


class Clock:
    """The world's time; sleeping lets the others run."""

    def __init__(self, world: World) -> None:
        self._world = world

    def now(self) -> datetime:
        self._world.step("clock")
        return self._world.now

    def sleep(self, seconds: float) -> None:
        self._world.step("sleep")
        self._world.pass_time(seconds)


@lru_cache(maxsize=16)
def settings_of(trader: str, lease_seconds: int) -> Settings:
    """Settings of a practice desk: who trades, and for how long a lease lasts."""
    return Settings(
        mode=Mode.PRACTICE,
        account=ACCOUNT,
        practice_url="http://127.0.0.1:1",
        trader=trader,
        lease_seconds=lease_seconds,
        SLACK_BOT_TOKEN=None,
        SLACK_BASE_URL=None,
    )


class Process:
    """What one process of a worker has in memory: clients of its own, and nothing from before."""

    def __init__(self, world: World, ledger_url: str, trader: str, lease_seconds: int) -> None:
        self.world = world
        self.wiring = Wiring(settings_of(trader, lease_seconds))
        self.ledger = WatchedLedger(ledger_url, world)
        broker = broker_over(world, ACCOUNT)
        submit = broker.submit

        def noted(order: Any) -> Any:
            world.sent_for[str(order.client_order_id)] = order
            return submit(order)

        broker.submit = noted  # type: ignore[method-assign]
        self.wiring.__dict__.update(
            ledger=self.ledger, broker=broker, clock=Clock(world), channels=(), history=None
        )
        self.runs = count(1)
        self.run_id = RunId("")
        self.alerts: list[str] = []

    def begin(self, name: str) -> None:
        """A new run, as each start of a flow is."""
        self.run_id = RunId(f"{name}-{next(self.world.run_numbers)}")

    def close(self) -> None:
        self.ledger.close()


class _Now:
    """Whichever process runs: what ``wiring()`` answers with."""

    def __init__(self, world: Around) -> None:
        self.__dict__["_world"] = world

    def __getattr__(self, name: str) -> Any:
        return getattr(self._world.process().wiring, name)


@contextmanager
def staged(world: Around) -> Iterator[None]:
    """The product's tasks work in ``world`` for as long as the block lasts."""

    class _WorldClock:
        def now(self) -> datetime:
            return world.now

    def run_id() -> RunId:
        found: RunId = world.process().run_id
        return found

    def fresh(desk: Desk, approved: ApprovedOrder, market: Market) -> Market | Refusal:
        return _read_again(world, approved)

    def recent_actions(store: Any, names: Any, on: date, as_of: datetime) -> tuple[CorporateAction, ...]:
        return world.feed.told_of(on)

    with ExitStack() as stack:
        stack.enter_context(patch.object(logging.getLogger("wsb"), "level", logging.CRITICAL + 1))
        # What a level lets through is remembered until some level is set.
        logging.getLogger("wsb").manager._clear_cache()  # type: ignore[attr-defined]
        stack.callback(logging.getLogger("wsb").manager._clear_cache)  # type: ignore[attr-defined]
        stack.enter_context(patch.object(tasks.wiring, "_current", [_Now(world)]))
        stack.enter_context(patch.object(tasks.desk, "run_id", run_id))
        stack.enter_context(patch.object(tasks.notify, "WallClock", _WorldClock))
        stack.enter_context(patch.object(tasks.book, "create_table_artifact", lambda *_, **__: None))
        stack.enter_context(patch.object(tasks.book, "recent_actions", recent_actions))
        stack.enter_context(patch.object(tasks.orders, "_fresh", fresh))
        stack.enter_context(patch.object(tasks.orders, "STRATEGIES", {one.name: one for one in STRATEGIES}))
        stack.enter_context(patch.object(tasks.orders, "reconcile_account", tasks.book.reconcile_account.fn))
        yield


def _read_again(world: Around, approved: ApprovedOrder) -> Market | Refusal:
    structure = approved.order.structure
    world.step("read the market")
    world.pass_time(world.latency())
    found = market_of(world.feed, structure, world.now)
    if found is None:
        return Refusal(structure.underlying, "gate", "quote_recheck", "none", "a quote")
    return found


# --- flows ------------------------------------------------------------------------------------


def _read(world: Around, task: Callable[..., Any], *args: Any) -> Any:
    """A task that may be repeated, repeated as Prefect would."""
    for again in range(TRIES):
        try:
            return task(*args)
        except Transient:
            if again == TRIES - 1:
                raise
            world.pass_time(0.5 * 2**again)
    raise AssertionError("not reached")


@contextmanager
def _crying_wolf(world: Around) -> Iterator[None]:
    """Nobody else trades in the account, so a difference that is said to be unexplained is a false alarm."""
    try:
        yield
    except ReconciliationBreak as error:
        world.alarms.append(f"{world.now:%m-%d %H:%M:%S} {error}")
        raise


def look_after_halts(process: Running) -> None:
    """A person comes by, and lets go on what was halted a while ago."""
    ledger, now = process.ledger, process.world.now
    for halt in ledger.halts():
        if now - halt.at >= timedelta(minutes=6):
            ledger.clear_halt(halt.scope, "a person", now, why="looked at the positions")


def reconcile(process: Running) -> str:
    """As flows/reconcile.py."""
    process.begin("reconcile")
    desk = tasks.desk.open_books.fn("reconcile")
    found = _read(process.world, tasks.book.reconcile_account.fn, desk)
    process.world.verdict = found.verdict
    with _crying_wolf(process.world):
        tasks.book.act_on_breaks.fn(desk, found)
    return str(found.summary)


def enter(process: Running, strategy: AnyStrategy, draw: Random) -> str:
    """As flows/run_strategy.py from the screened candidates on: one structure a name, chosen by ``draw``."""
    process.begin(strategy.name)
    world = process.world
    desk = tasks.desk.open_desk.fn(strategy.name, strategy, PARAMS)
    if isinstance(desk, Closed):
        return f"skipped: {desk.reason}"
    with _crying_wolf(world):
        book = _read(world, tasks.book.load_book.fn, desk, strategy.name)
    proposals, markets = [], []
    for name in draw.choice(((XYZ,), (ABC,), (XYZ, ABC))):
        structure = a_structure(draw, name, desk.session.day)
        market = market_of(world.feed, structure, world.now)
        if market is None:
            continue
        quoted = package_quote(market, structure, Effect.OPEN)
        if quoted is None:
            continue
        wish = Proposal(structure, Effect.OPEN, quoted.mid, "drill", {"seed": str(world.seed)})
        priced = ticket(wish, market)
        if isinstance(priced, Proposal):
            proposals.append(priced)
            markets.append(market)
    orders, refused = tasks.decide.review_orders.fn(desk, strategy, proposals, book)
    return _placed(desk, orders, markets, refused)


def leave(process: Running) -> str:
    """As flows/manage_positions.py: what is closed, how much and how urgently is the seed's choice."""
    process.begin("manage-positions")
    world = process.world
    desk = tasks.desk.open_exit_desk.fn("manage-positions")
    if isinstance(desk, Closed):
        return f"skipped: {desk.reason}"
    book: Book = _read(world, tasks.book.load_book_for_exits.fn, desk)
    orders, markets = list[ApprovedOrder](), list[Market]()
    for position in book.positions:
        # The same exit asked for again, by a rerun or by another worker, is for the same part.
        part = Random(f"exit {world.seed} {desk.slot} {position.strategy} {position.structure.symbol}")
        if part.random() < 0.25:
            continue
        market = market_of(world.feed, position.structure, world.now)
        package = package_quote(market, position.structure, Effect.CLOSE) if market else None
        closing = any(o.structure == position.structure and not o.opening for o in book.open_orders)
        if market is None or package is None or closing:
            continue
        quantity = position.quantity if part.random() < 0.6 else max(1, position.quantity // 2)
        strategy = next(s for s in STRATEGIES if s.name == position.strategy)
        wish = Proposal(
            position.structure, Effect.CLOSE, package.touch, "drill", {}, quantity, part.random() < 0.3
        )
        approved, _ = tasks.decide.review_batch(desk, strategy, [wish], book)
        orders.extend(approved)
        markets.append(market)
        for key, units in ((one.order.key, one.order.quantity) for one in approved):
            world.asked[key] = max(units, world.asked.get(key, 0))
    return _placed(desk, orders, markets, ())


def _placed(
    desk: Desk, orders: Sequence[ApprovedOrder], markets: Sequence[Market], refused: Sequence[Refusal]
) -> str:
    placed = tasks.orders.place_orders.fn(desk, tuple(orders), tuple(markets))
    filled = sum(one.worked.filled > 0 for one in placed)
    why = ",".join(sorted({r.rule for r in refused}))
    return f"{len(orders)} approved, {len(placed)} placed, {filled} filled; refused {why}"
