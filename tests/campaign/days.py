"""One seed: a few days of a desk under a plan of faults, then recovery, then the reckoning."""

from __future__ import annotations

import traceback
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta
from decimal import Decimal
from functools import partial
from random import Random

from wsb_core.domain.calendar import NEW_YORK
from wsb_core.domain.contracts import ExerciseStyle, OptionContract
from wsb_core.domain.errors import WsbError
from wsb_core.domain.ids import Price
from wsb_core.domain.strategy import AnyStrategy
from wsb_core.exchange.hours import session_of
from wsb_core.exchange.model import CorporateAction, Reject

from . import product
from .books import an_empty_ledger
from .check import Found, Truth, reckon
from .market import ABC, XYZ, SeededFeed
from .product import ACCOUNT, CASH, STRATEGIES, Process, Running, staged
from .world import Crash, Plan, Worker, World

FIRST_DAYS = tuple(date(2024, 6, 10) + timedelta(days=n) for n in (0, 1, 2, 3, 4, 9, 10, 22, 23, 24))
"""A week with an ordinary Friday, one with a holiday, and the half day before Independence Day."""
QUIET_LOOKS = 6
RECONCILE = "reconcile"
MINUTE = timedelta(minutes=1)
BEFORE = datetime(2024, 1, 1, tzinfo=NEW_YORK)
"""Earlier than anything that a seed does."""


@dataclass(frozen=True)
class Step:
    """Something a worker starts at an instant; a person may start it again when it died."""

    at: datetime
    name: str
    do: Callable[[Running, Random], str]
    until: datetime


@dataclass
class Outcome:
    """What a seed came to."""

    seed: int
    found: Found
    orders: int
    crashes: int
    faults: Counter[tuple[str, str]]
    steps: Counter[str]
    ends: Counter[str]
    """How the runs ended: by the class of the error, or ``done``, ``skipped``, ``crashed``."""
    surprises: list[str] = field(default_factory=list)
    """Errors that no part of the product promises to raise."""
    trace: list[str] = field(default_factory=list)

    @property
    def failed(self) -> bool:
        return not self.found.clean or bool(self.surprises)


@dataclass(frozen=True)
class Scene:
    """Trouble of one kind instead of what the seed would have: to look at one guard closely.

    ``two`` workers run, of ``one_desk`` (an installation with two processes) or of two that compete;
    the second is up to ``apart`` seconds behind the first, or only reconciles while the first one walks.
    """

    plan: Plan
    two: bool = False
    one_desk: bool = True
    apart: float | None = None
    watches: bool = False


def plan_of(seed: int) -> Plan:
    """How much goes wrong in ``seed``: some have one kind of trouble, some all of them, some none."""
    draw = Random(f"plan {seed}")
    some = draw.random() < 0.5

    def rate(most: float) -> float:
        return draw.uniform(0, most) if some or draw.random() < 0.5 else 0.0

    return Plan(
        crash=rate(0.001),
        crash_on_path=rate(0.025),
        wire=rate(0.03),
        wire_on_look_up=rate(0.2),
        wire_on_path=rate(0.6),
        database=rate(0.004),
        outage=rate(0.1),
        stop=rate(0.004),
        stop_before_send=rate(0.05),
        switch=draw.choice((0.05, 0.3)),
        hidden_fills=draw.choice((0.0, 0.0, 0.0, 2.0, 20.0)),
        late_seconds=draw.choice((2.0, 30.0)),
    )


def days_of(seed: int) -> tuple[date, ...]:
    draw = Random(f"days {seed}")
    day, found = draw.choice(FIRST_DAYS), list[date]()
    many = draw.choice((1, 1, 1, 2, 2, 3))
    while len(found) < many:
        if session_of(day) is not None:
            found.append(day)
        day += timedelta(days=1)
    return tuple(found)


def a_feed_of(seed: int) -> SeededFeed:
    """The market of ``seed``, with a dividend in some and a split in a few."""
    days, draw = days_of(seed), Random(f"actions {seed}")
    name, amount, kind = draw.choice((XYZ, ABC)), draw.randint(10, 90), draw.random()
    actions: tuple[CorporateAction, ...] = ()
    if len(days) > 1 and kind < 0.2:
        actions = (CorporateAction(name, days[1], dividend=Price(Decimal(amount) / 100)),)
    elif len(days) > 1 and kind < 0.3:
        actions = (CorporateAction(name, days[1], ratio=Decimal(2)),)
    return SeededFeed(seed, days[0], actions)


def steps_of(
    seed: int,
    days: Sequence[date],
    who: str,
    scene: Scene | None = None,
    entries: tuple[int, ...] = (1, 1, 2),
) -> list[Step]:
    """What ``who`` has scheduled; a double schedule has the same decisions at almost the same time."""
    steps: list[Step] = []
    for day in days:
        session = session_of(day)
        if session is None:
            raise ValueError(f"{day} is no session")
        draw = Random(f"steps {seed} {day}")
        close = session.closes
        steps.append(_reconciling(session.opens - 10 * MINUTE))
        for _ in range(draw.choice(entries)):
            strategy = draw.choice(STRATEGIES)
            slot = draw.choice(strategy.cadence.slots)
            at = slot.starts(session) + draw.uniform(0, 5) * MINUTE
            steps.append(_reconciling(at - draw.uniform(1, 9) * MINUTE))
            steps.append(_entering(strategy, at, slot.starts(session) + slot.window))
        for _ in range(draw.choice((0, 1, 1, 2))):
            at = session.opens + draw.uniform(0.1, 0.95) * (close - session.opens)
            steps.append(Step(at, "manage", lambda process, _: product.leave(process), close))
        steps.append(_reconciling(close + 20 * MINUTE))
    if who != "A":
        steps = _of_the_second(steps, Random(f"share {seed} {who}"), scene)
    return sorted(steps, key=lambda step: step.at)


def _of_the_second(steps: Sequence[Step], draw: Random, scene: Scene | None) -> list[Step]:
    """The same decisions a little later, or somebody who looks on while the first one walks its orders."""
    watches = scene.watches if scene else draw.random() < 0.3
    if watches:
        walks = [step for step in steps if step.name != RECONCILE]
        return [_reconciling(step.at + timedelta(seconds=draw.uniform(0, 130))) for step in walks * 4]
    apart = (scene.apart if scene else None) or draw.choice((0.3, 3.0, 20.0, 300.0))
    return [
        replace(step, at=step.at + timedelta(seconds=draw.uniform(-0.1, 1) * apart))
        for step in steps
        if scene or draw.random() < 0.6
    ]


def _reconciling(at: datetime) -> Step:
    return Step(at, RECONCILE, lambda process, _: product.reconcile(process), at + timedelta(hours=1))


def _entering(strategy: AnyStrategy, at: datetime, until: datetime) -> Step:
    return Step(at, strategy.name, lambda p, draw: product.enter(p, strategy, draw), until)


class Campaign:
    """One seed, to be run once."""

    def __init__(self, seed: int, *, trace: bool = False, scene: Scene | None = None) -> None:
        self.seed = seed
        self.days = days_of(seed)
        draw = Random(f"desk {seed}")
        feed = a_feed_of(seed)
        start = datetime.combine(self.days[0], datetime.min.time(), NEW_YORK) + timedelta(hours=9)
        self.world = World(seed, start, feed, CASH, scene.plan if scene else plan_of(seed))
        if trace:
            self.world.trace = []
        self.lease_seconds = draw.choice((120, 600, 3600))
        self.two = scene.two if scene else draw.random() < 0.4
        self.one_desk = scene.one_desk if scene else draw.random() < 0.5
        self.scene = scene
        self.ends: Counter[str] = Counter()
        self.surprises: list[str] = []
        self.url = ""

    def run(self) -> Outcome:
        with an_empty_ledger() as self.url, staged(self.world):
            workers = [Worker("A", self._live, self.world.now)]
            if self.two:
                desk = "desk-1" if self.one_desk else "desk-2"
                workers.append(Worker("B", self._live, self.world.now, desk=desk))
            self._nights()
            self.world.run(*workers)
            found = self._recover()
        world = self.world
        return Outcome(
            seed=self.seed,
            found=found,
            orders=len(world.exchange.orders()),
            crashes=world.crashes,
            faults=world.faults,
            steps=world.steps,
            ends=self.ends,
            surprises=self.surprises,
            trace=world.trace or [],
        )

    # --- the days -----------------------------------------------------------------------------

    def _nights(self) -> None:
        """Short contracts are assigned on some evenings, in part or whole."""
        for day in self.days:
            draw = Random(f"night {self.seed} {day}")
            if draw.random() < 0.5:
                at = datetime.combine(day, datetime.min.time(), NEW_YORK) + timedelta(hours=20)
                self.world.at(at, partial(self._assign, draw))

    def _assign(self, draw: Random) -> None:
        exchange = self.world.exchange
        for row in exchange.positions():
            contract = row.instrument
            if not isinstance(contract, OptionContract) or row.quantity >= 0 or draw.random() < 0.4:
                continue
            if contract.style is ExerciseStyle.EUROPEAN:
                continue
            try:
                exchange.assign(contract, draw.randint(1, int(-row.quantity)))
            except Reject as no:
                self.world.say(f"no assignment of {contract.symbol}: {no}")
            else:
                self.world.say(f"assigned {contract.symbol}")

    # --- a worker -----------------------------------------------------------------------------

    def _live(self, worker: Worker) -> None:
        world = self.world
        for number, step in enumerate(steps_of(self.seed, self.days, worker.name, self.scene)):
            world._wait_until(max(step.at, world.now))
            for again in range(4):
                draw = Random(f"run {self.seed} {step.name} {step.at:%d} {number if again > 1 else 0}")
                if not self._once(worker, step, draw) or world.now > step.until:
                    break

    def _once(self, worker: Worker, step: Step, draw: Random) -> bool:
        """Whether it died and somebody starts it again."""
        world = self.world
        if worker.process is None:
            worker.starts += 1
            worker.process = Process(world, self.url, worker.desk, self.lease_seconds)
        try:
            if world.draw.random() < 0.7:
                product.look_after_halts(worker.process)
            told = step.do(worker.process, draw)
            self.ends["skipped" if told.startswith("skipped") else "done"] += 1
            world.say(f"{step.name}: {told}")
        except Crash:
            self.ends["crashed"] += 1
            worker.process.close()
            worker.process, worker.dead = None, False
            world.pass_time(world.draw.choice((1.0, 5.0, 30.0, 70.0, 150.0, 700.0)))
            return world.draw.random() < 0.8
        except WsbError as error:
            self.ends[type(error).__name__] += 1
            world.say(f"{step.name}: {type(error).__name__}: {error}")
            # Without a reconciliation before the open there is no trading that day: a person tries again.
            return world.draw.random() < (0.9 if step.name == RECONCILE else 0.3)
        except Exception as error:
            self._surprised(step.name, error)
        return False

    # --- recovery -----------------------------------------------------------------------------

    def _recover(self) -> Found:
        """The next morning: a new process reconciles until nothing is new any more."""
        world = self.world
        day = world.now.astimezone(NEW_YORK).date() + timedelta(days=1)
        while session_of(day) is None:
            day += timedelta(days=1)
        morning = datetime.combine(day, datetime.min.time(), NEW_YORK) + timedelta(hours=8)
        world.advance(max(morning, world.now))
        world.plan = Plan()
        world.alone = process = Process(world, self.url, "desk-1", self.lease_seconds)
        try:
            for _ in range(QUIET_LOOKS):
                told = self._look(process)
                world.say(f"recovery: {told}")
                world.advance(world.now + timedelta(minutes=3))
                if told == product.QUIET:
                    break
            truth = Truth.told_by(process.wiring.broker, BEFORE)
            found = reckon(truth, process.ledger, ACCOUNT, world.sent_for, world.verdict, world.asked)
            found.unexplained += [f"false alarm: {line}" for line in world.alarms]
            return found
        except Exception as error:
            self._surprised("recovery", error)
            return Found()
        finally:
            process.close()

    def _look(self, process: Process) -> str:
        try:
            return product.reconcile(process)
        except WsbError as error:
            return f"{type(error).__name__}: {error}"

    def _surprised(self, where: str, error: Exception) -> None:
        self.ends[type(error).__name__] += 1
        self.surprises.append(f"{where}: {''.join(traceback.format_exception(error))[-1500:]}")


def run_seed(seed: int, *, trace: bool = False, scene: Scene | None = None) -> Outcome:
    """The whole of one seed."""
    return Campaign(seed, trace=trace, scene=scene).run()
