"""One seed's world: the exchange, the time, the workers that share it, and the plan of what goes wrong.

Everything that a worker's process does to the outside goes through ``World.step``. There it may be ended
on the spot (``Crash``), stopped for a while, or made to wait while another worker runs. Workers are
threads of which exactly one runs at any time: who is next is the seed's choice, so a seed gives the same
run every time.
"""

from __future__ import annotations

import heapq
import threading
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import count
from random import Random
from typing import Any

from wsb_core.domain.ids import Cash
from wsb_core.domain.orders import IntentKey, Order
from wsb_core.exchange.engine import Exchange
from wsb_core.exchange.model import Settings
from wsb_core.exchange.server.venue import PRACTICE_KEYS, Venue
from wsb_core.reconcile.compare import Verdict

from .market import SeededFeed
from .wire import Answer, WireFault, answer

UNTIL_SENT = 45.0
"""A process that is stopped between its word to the ledger and its request is back within this."""
ORDER_PATH = ("POST", "mark_sending", "record_intent", "move_order", "DELETE")

SENDING = "POST /orders before"
SAID = ("record_intent after", "mark_sending after")
"""The word is given and the request not yet made: a stop there is the stop before the request."""


class Crash(BaseException):
    """The process is gone. Nothing may catch it, and nothing may be done after it."""


@dataclass(frozen=True, slots=True)
class Plan:
    """How much goes wrong. Rates are chances per step; ``quiet()`` is a run in which nothing does."""

    crash: float = 0.0
    crash_on_path: float = 0.0
    """Chance of an end at each step of the order path: intent, word, request, answer, evidence, cancel."""
    wire: float = 0.0
    wire_on_look_up: float = 0.0
    wire_on_path: float = 0.0
    database: float = 0.0
    stop: float = 0.0
    """Chance that the process is stopped for a while: swapped out, suspended, its clock jumps."""
    stop_before_send: float = 0.0
    """The same between the word to the ledger and the request."""
    switch: float = 0.0
    """Chance that another worker runs first."""
    outage: float = 0.0
    """Chance that a failed request is the first of many: nothing gets through for a while."""
    outage_seconds: float = 400.0
    outage_of: tuple[str, ...] = ("",)
    """How the requests begin that do not get through in an outage; all of them unless told otherwise."""
    kinds: tuple[WireFault, ...] = ()
    """The only faults of the wire there are; all of them when empty."""
    hidden_fills: float = 0.0
    """Seconds for which an execution is not yet among the account's activities."""
    late_seconds: float = 30.0


@dataclass
class Worker:
    """A trader's machine: one process after another."""

    name: str
    live: Callable[[Worker], None]
    wake: datetime
    go: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(0))
    desk: str = "desk-1"
    """The installation it belongs to, which is what the lease is given to."""
    leased_until: datetime | None = None
    process: Any = None
    done: bool = False
    dead: bool = False
    """This process has ended and whatever still runs of it must not reach the outside."""
    starts: int = 0


class World:
    """The exchange and everyone at it, in simulated time."""

    def __init__(self, seed: int, start: datetime, feed: SeededFeed, cash: Cash, plan: Plan) -> None:
        self.seed, self.plan, self.feed = seed, plan, feed
        self.draw = Random(f"faults {seed}")
        every = Random(f"fills {seed}").choice((0, 2, 3, 5))
        settings = Settings(starting_cash=cash, partial_fill_every=every, seed=seed)
        self.exchange = Exchange(feed, start, settings)
        self.venue = Venue(self.exchange, PRACTICE_KEYS)
        self.workers: list[Worker] = []
        self.current: Worker | None = None
        self.crashes = 0
        self.steps: Counter[str] = Counter()
        self.faults: Counter[tuple[str, str]] = Counter()
        self.trace: list[str] | None = None
        self.sent_for: dict[str, Order] = {}
        """Orders that were handed to an adapter, by client order id: what each send was meant as."""
        self.asked: dict[IntentKey, int] = {}
        """The most units that an exit was for, by its decision."""
        self.run_numbers = count(1)
        self.verdict: Verdict | None = None
        """What the newest reconciliation found."""
        self.alarms: list[str] = []
        """Differences that were said to be unexplained, on the way."""
        self.alone: Any = None
        """The process that runs while no worker does."""
        self._out_until = start
        self._events: list[tuple[datetime, int, Callable[[], object]]] = []
        self._numbers = count()
        self._ended = threading.Semaphore(0)
        self._failure: BaseException | None = None

    # --- time ---------------------------------------------------------------------------------

    @property
    def now(self) -> datetime:
        return self.exchange.now

    @property
    def late_seconds(self) -> float:
        return self.plan.late_seconds

    def latency(self) -> float:
        return self.draw.uniform(0.005, 0.12)

    def later(self, seconds: float, do: Callable[[], object]) -> None:
        """Have ``do`` happen so many seconds from now, whoever runs then."""
        self.at(self.now + timedelta(seconds=seconds), do)

    def at(self, when: datetime, do: Callable[[], object]) -> None:
        heapq.heappush(self._events, (when, next(self._numbers), do))

    def pass_time(self, seconds: float) -> None:
        """The running worker waits; others run meanwhile, and the market goes on."""
        self._wait_until(self.now + timedelta(seconds=seconds))

    def advance(self, to: datetime) -> None:
        """Move time, with everything that was to happen on the way."""
        while self._events and self._events[0][0] <= to:
            when, _, do = heapq.heappop(self._events)
            self.exchange.advance(max(when, self.now))
            do()
        if to > self.now:
            self.exchange.advance(to)

    # --- workers ------------------------------------------------------------------------------

    def process(self) -> Any:
        """The process that runs now."""
        return self.alone if self.current is None else self.current.process

    def run(self, *workers: Worker) -> None:
        """Let ``workers`` live to their end, one at a time. Raises what any of them raised."""
        self.workers = list(workers)
        threads = [threading.Thread(target=self._live, args=(one,), daemon=True) for one in workers]
        for thread in threads:
            thread.start()
        self._hand_over()
        self._ended.acquire()
        for thread in threads:
            thread.join()
        self.workers, self.current = [], None
        if self._failure is not None:
            raise self._failure

    def _live(self, worker: Worker) -> None:
        worker.go.acquire()
        try:
            worker.live(worker)
        except BaseException as error:
            self._failure = self._failure or error
        worker.done = True
        self._hand_over()

    def _hand_over(self) -> None:
        """Choose who runs next, move time to when that is, and let it."""
        waiting = [one for one in self.workers if not one.done]
        if not waiting:
            self._ended.release()
            return
        first = min(one.wake for one in waiting)
        ready = [one for one in waiting if one.wake == first or one.wake <= self.now]
        chosen = ready[0] if len(ready) == 1 else self.draw.choice(ready)
        try:
            self.advance(max(self.now, chosen.wake))
        except BaseException as error:
            self._failure = self._failure or error
        self.current = chosen
        chosen.go.release()

    def _wait_until(self, when: datetime) -> None:
        me = self.current
        if me is None:
            self.advance(when)
            return
        me.wake = when
        others = [one for one in self.workers if one is not me and not one.done]
        if all(one.wake > when for one in others):
            self.advance(when)
            return
        self._hand_over()
        me.go.acquire()

    # --- what goes wrong ----------------------------------------------------------------------

    def step(self, point: str) -> None:
        """A worker is about to do, or has just done, something to the outside."""
        me, plan = self.current, self.plan
        if me is None:
            return
        if me.dead:
            raise Crash(point)
        self.steps[point] += 1
        on_path = any(part in point for part in ORDER_PATH)
        roll = self.draw.random()
        if roll < (plan.crash_on_path if on_path else plan.crash):
            self.crashes += 1
            self.faulted(point, "crash")
            me.dead = True
            raise Crash(point)
        if "in transaction" in point:
            return
        sending = point == SENDING
        chance = max(plan.stop, plan.stop_before_send) if sending else plan.stop
        if self.draw.random() < (0.0 if point in SAID else chance):
            most = self._until_sent(me) if sending else self.draw.choice((20.0, 200.0, 900.0))
            self.faulted(point, "stopped")
            self.pass_time(self.draw.uniform(1, most))
        elif self.draw.random() < plan.switch:
            self._wait_until(self.now)

    def _until_sent(self, me: Worker) -> float:
        """The longest stop between the word to the ledger and the request.

        Nobody can defend against a request that leaves after its sender was given up: other processes of
        the same installation wait a minute, those of another one until the lease has run out.
        """
        alone = all(one is me or one.desk != me.desk for one in self.workers)
        held = 0.0 if me.leased_until is None else (me.leased_until - self.now).total_seconds()
        return max(UNTIL_SENT, held - 20.0) if alone else UNTIL_SENT

    def database_fails(self, point: str) -> bool:
        fails = self.current is not None and self.draw.random() < self.plan.database
        if fails:
            self.faulted(point, "database")
        return fails

    def wire_fault(self, step: str, choice: tuple[WireFault, ...]) -> WireFault | None:
        """What goes wrong with this request; mostly nothing."""
        if self.current is None:
            return None
        out = self.now < self._out_until and step.startswith(self.plan.outage_of)
        if out and self.draw.random() < 0.9:
            self.faulted(step, "outage")
            return self.draw.choice((WireFault.LOST, WireFault.REFUSED_502))
        if self.draw.random() >= self._wire_rate(step):
            return None
        fault = self.draw.choice([one for one in choice if one in (self.plan.kinds or choice)])
        self.faulted(step, fault.value)
        if self.draw.random() < self.plan.outage:
            self._out_until = self.now + timedelta(seconds=self.draw.uniform(5, self.plan.outage_seconds))
        return fault

    def _wire_rate(self, step: str) -> float:
        if not step.startswith("GET"):
            return self.plan.wire_on_path
        return self.plan.wire_on_look_up if "by_client_order_id" in step else self.plan.wire

    def faulted(self, point: str, what: str) -> None:
        self.faults[point, what] += 1
        self.say(f"FAULT {what} at {point}")

    def say(self, text: str) -> None:
        if self.trace is not None:
            who = "-" if self.current is None else f"{self.current.name}#{self.current.starts}"
            self.trace.append(f"{self.now:%m-%d %H:%M:%S.%f} {who:<6} {text}")

    # --- the exchange's door ------------------------------------------------------------------

    def arrive(self, method: str, path: str, query: Mapping[str, str], body: str) -> Answer:
        """A request reaches the exchange."""
        told = answer(self.venue, method, path, query, body)
        if method != "GET" and self.trace is not None:
            self.say(f"{method} {path} {body} -> {told.status} {told.text[:160]}")
        if self.plan.hidden_fills and "/account/activities" in path:
            told = self._without_new_fills(told)
        return told

    def _without_new_fills(self, told: Answer) -> Answer:
        import json

        if told.status != 200:
            return told
        since = (self.now - timedelta(seconds=self.plan.hidden_fills)).isoformat()
        rows: list[Any] = json.loads(told.text)
        shown = [r for r in rows if r["activity_type"] != "FILL" or r["transaction_time"][:19] < since[:19]]
        return told if len(shown) == len(rows) else Answer(200, json.dumps(shown))
