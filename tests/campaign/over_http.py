"""The same days with nothing simulated but the market: a server process, the vendor's client, kill -9.

Each run of a flow is a process of its own, forked here, talking HTTP to the practice exchange (another
process) and to a ledger on SQLite or PostgreSQL. Some are ended with SIGKILL at a moment of the seed's
choice, some run two at a time. Unlike in process, the moments depend on the machine: a seed gives the same
market, days, faults and delays, and not the same instruction at which a process dies.
"""

from __future__ import annotations

import logging
import os
import signal
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import datetime, timedelta
from functools import partial
from itertools import count
from pathlib import Path
from random import Random
from typing import Any

from tests.postgres import postgres_url
from wsb_core.brokers import open_broker
from wsb_core.domain.calendar import NEW_YORK
from wsb_core.domain.errors import Transient, WsbError
from wsb_core.domain.ids import RunId
from wsb_core.domain.orders import IntentKey
from wsb_core.exchange.client import PracticeClock, PracticeControl
from wsb_core.exchange.engine import Exchange
from wsb_core.exchange.hours import session_of
from wsb_core.exchange.model import Settings as ExchangeSettings
from wsb_core.exchange.server import run_forever
from wsb_core.ledger import open_ledger
from wsb_core.reconcile.compare import Verdict

from . import product
from .books import an_empty_ledger
from .check import Found, Truth, reckon
from .days import BEFORE, RECONCILE, Outcome, Step, a_feed_of, days_of, steps_of
from .product import ACCOUNT, CASH, staged

DEADLINE = 0.5
"""Seconds that a process waits for an answer: the stalls below are longer."""
HELD = 0.65
"""For how long a stalled request waits at the exchange's door. Simulated time must not run minutes ahead
of it: nobody can tell an order that arrives so late from one that was lost."""
KINDS: tuple[dict[str, Any], ...] = (
    {"kind": "accept_then_status", "method": "POST"},
    {"kind": "accept_then_drop", "method": "POST"},
    {"kind": "drop", "method": "POST"},
    {"kind": "html502", "method": "POST"},
    {"kind": "truncate", "method": "POST"},
    {"kind": "empty", "method": "POST"},
    {"kind": "ratelimit", "method": "POST"},
    {"kind": "stall", "method": "POST", "seconds": 0.8, "when": "after"},
    {"kind": "stall", "method": "POST", "seconds": HELD, "when": "before"},
    {"kind": "accept_then_status", "method": "DELETE"},
    {"kind": "drop", "method": "DELETE"},
    {"kind": "drop", "method": "GET"},
    {"kind": "html502", "method": "GET"},
    {"kind": "truncate", "method": "GET", "path": "(orders|positions|activities)"},
    {"kind": "empty", "method": "GET", "path": "(orders|positions|activities)"},
    {"kind": "short_page", "method": "GET", "path": "(orders|activities)"},
)


KILLED, DONE, FAILED = "killed", "done", "failed"
_FAILED = 3
_ENDS = {0: DONE, _FAILED: FAILED}


class WireWorld:
    """What a flow of the campaign asks of its world, answered by the exchange's own process."""

    def __init__(self, seed: int, control: PracticeControl) -> None:
        self.seed = seed
        self.feed = a_feed_of(seed)
        self.control = control
        self.verdict: Verdict | None = None
        self.alarms: list[str] = []
        self.asked: dict[IntentKey, int] = {}
        self.run_numbers = count(1)
        self._process: Any = None

    @property
    def now(self) -> datetime:
        return self.control.now()

    def pass_time(self, seconds: float) -> None:
        self.control.advance(seconds)

    def latency(self) -> float:
        return 0.05

    def step(self, point: str) -> None:
        """Nothing is decided here: a process is ended from outside."""

    def say(self, text: str) -> None:
        """Nobody listens."""

    def process(self) -> Any:
        return self._process


class WireProcess:
    """A process's clients, all real."""

    def __init__(self, world: WireWorld, url: str, ledger_url: str, trader: str) -> None:
        from tasks.wiring import Wiring

        told = product.settings_of(trader, 3600)
        settings = told.model_copy(
            update={"practice_url": url, "database_url": ledger_url, "deadline_seconds": DEADLINE}
        )
        self.world = world
        self.wiring = Wiring(settings)
        self.ledger = open_ledger(ledger_url)
        broker = open_broker(**settings.broker_access())
        clock = PracticeClock(world.control)
        self.wiring.__dict__.update(ledger=self.ledger, broker=broker, clock=clock, channels=(), history=None)
        self.run_id = RunId("")
        world._process = self

    def begin(self, name: str) -> None:
        self.run_id = RunId(f"{name}-{os.getpid()}-{next(self.world.run_numbers)}")


@contextmanager
def forked(do: Callable[[], None]) -> Iterator[int]:
    """The pid of a child process that runs ``do``; ended with SIGKILL when the block ends."""
    pid = os.fork()
    if pid == 0:
        # A child must never come back into the parent's stack.
        try:
            do()
            os._exit(0)
        except BaseException:
            traceback.print_exc()
            os._exit(1)
    try:
        yield pid
    finally:
        _end(pid)


def _end(pid: int) -> int:
    """Kill the child if it is there, and its wait status."""
    try:
        os.kill(pid, signal.SIGKILL)
        return os.waitpid(pid, 0)[1]
    except (ProcessLookupError, ChildProcessError):
        return 0


def _told(pipe: int, text: str) -> None:
    os.write(pipe, text.encode())


class OverHttp:
    """One seed over the wire."""

    def __init__(self, seed: int, ledger_url: str, log: Path) -> None:
        self.seed, self.ledger_url, self.log = seed, ledger_url, log
        self.draw = Random(f"wire {seed}")
        self.url = ""
        self.crashes = 0
        self.ends: Counter[str] = Counter()
        self.faults: Counter[tuple[str, str]] = Counter()

    def run(self) -> Outcome:
        told, tell = os.pipe()
        with forked(lambda: self._serve(tell)):
            os.close(tell)
            self.url = os.read(told, 200).decode()
            os.close(told)
            self.control = PracticeControl(self.url, deadline_seconds=60)
            for day in days_of(self.seed)[:1]:
                for step in steps_of(self.seed, (day,), "A", entries=(2, 3)):
                    self._step(step)
            found = self._recover()
            orders = int(self.control.state()["orders"])
        text = self.log.read_text() if self.log.exists() else ""
        return Outcome(
            seed=self.seed,
            found=found,
            orders=orders,
            crashes=self.crashes,
            faults=self.faults,
            steps=Counter(),
            ends=self.ends,
            surprises=[text[-1500:]] if text else [],
        )

    def _serve(self, tell: int) -> None:
        # A client that is killed in the middle of a request is an error to the server, and meant here.
        logging.getLogger("aiohttp.server").setLevel(logging.CRITICAL)
        day = days_of(self.seed)[0]
        start = datetime.combine(day, datetime.min.time(), NEW_YORK) + timedelta(hours=9)
        every = Random(f"fills {self.seed}").choice((0, 2, 3, 5))
        settings = ExchangeSettings(starting_cash=CASH, partial_fill_every=every, seed=self.seed)
        exchange = Exchange(a_feed_of(self.seed), start, settings)
        run_forever(exchange, ready=lambda url: _told(tell, url))

    # --- runs of flows ------------------------------------------------------------------------

    def _step(self, step: Step) -> None:
        """One scheduled run, or two of them at once; killed or not, and started again when killed."""
        now = self.control.now()
        if step.at > now:
            self.control.advance_to(step.at)
        for again in range(3):
            held = self._trouble()
            run = partial(self._flow, step, again)
            with ExitStack() as stack:
                pids = [stack.enter_context(forked(run)) for _ in range(self.draw.choice((1, 1, 1, 2)))]
                ended = self._watch(pids, spare=step.name == RECONCILE and again > 0)
            self.control.clear_faults()
            if held:
                time.sleep(HELD)
            left = self.draw.random() < 0.15
            if step.name == RECONCILE:
                # Without one before the open there is no trading that day: a person tries again.
                if not ended & {KILLED, FAILED}:
                    return
            elif left or KILLED not in ended:
                return

    def _trouble(self) -> bool:
        """Arm what goes wrong next; whether a request may be held back."""
        held = False
        for _ in range(self.draw.choice((0, 1, 1, 2, 3))):
            fault = dict(self.draw.choice(KINDS))
            fault["nth"] = self.draw.randint(1, 2 if fault["method"] == "POST" else 12)
            self.faults[fault["method"], fault["kind"]] += 1
            self.control.fault(**fault)
            held = held or fault.get("when") == "before"
        return held

    def _watch(self, pids: list[int], *, spare: bool) -> set[str]:
        """Wait for the processes, one of which may be killed; how they ended."""
        victim = None if spare or self.draw.random() < 0.4 else self.draw.choice(pids)
        due = self._moment()
        ended, left = set[str](), list(pids)
        while left:
            for pid in tuple(left):
                done, status = os.waitpid(pid, os.WNOHANG)
                if done:
                    left.remove(pid)
                    name = KILLED if os.WIFSIGNALED(status) else _ENDS.get(os.WEXITSTATUS(status), "surprise")
                    self.ends[name] += 1
                    ended.add(name)
            if victim in left and due():
                os.kill(victim, signal.SIGKILL)
                self.crashes += 1
                victim = None
            time.sleep(0.002)
        return ended

    def _moment(self) -> Callable[[], bool]:
        """When a process is killed: after a time, or around an order of its reaching the exchange."""
        seconds = self.draw.choice((0.02, 0.2, 1.0, 3.0)) * self.draw.random()
        ends = time.monotonic() + seconds
        if self.draw.random() < 0.4:
            return lambda: time.monotonic() > ends
        wanted = self._received() + self.draw.randint(1, 3)
        wait = self.draw.choice((0.0, 0.0, 0.005, 0.05, 0.3))
        seen: list[float] = []

        def due() -> bool:
            if not seen and self._received() >= wanted:
                seen.append(time.monotonic())
            return bool(seen) and time.monotonic() >= seen[0] + wait

        return due

    def _received(self) -> int:
        return int(self.control.state()["orders_received"])

    def _flow(self, step: Step, again: int) -> None:
        world = WireWorld(self.seed, PracticeControl(self.url, deadline_seconds=60))
        with staged(world):
            process = WireProcess(world, self.url, self.ledger_url, "desk-1")
            try:
                product.look_after_halts(process)
                step.do(process, Random(f"run {self.seed} {step.name} {step.at:%d%H} {again > 1}"))
            except WsbError:
                # The run failed, as runs do under faults; what it left is for the next one.
                os._exit(_FAILED)
            except Exception:
                self.log.write_text(traceback.format_exc())
                raise

    # --- recovery -----------------------------------------------------------------------------

    def _recover(self) -> Found:
        self.control.clear_faults()
        day = self.control.now().astimezone(NEW_YORK).date() + timedelta(days=1)
        while session_of(day) is None:
            day += timedelta(days=1)
        self.control.advance_to(datetime.combine(day, datetime.min.time(), NEW_YORK) + timedelta(hours=8))
        world = WireWorld(self.seed, self.control)
        with staged(world):
            process = WireProcess(world, self.url, self.ledger_url, "desk-1")
            with process.ledger:
                for _ in range(6):
                    try:
                        told = product.reconcile(process)
                    except WsbError as error:
                        told = f"{type(error).__name__}: {error}"
                    self.control.advance(180)
                    if told == product.QUIET:
                        break
                ledger, broker = process.ledger, process.wiring.broker
                meant = {str(one.client_order_id): one.order for one in ledger.intents()}
                truth = Truth.told_by(broker, BEFORE)
                return reckon(truth, ledger, ACCOUNT, meant, world.verdict)


@contextmanager
def a_ledger(database: str) -> Iterator[str]:
    """The URL of an empty ledger on ``sqlite`` or ``postgres``."""
    with an_empty_ledger() if database == "sqlite" else postgres_url() as url:
        yield url


def run_seed(seed: int, database: str = "sqlite") -> Outcome:
    """The whole of one seed over the wire."""
    import tempfile

    with a_ledger(database) as url, tempfile.TemporaryDirectory() as folder:
        try:
            return OverHttp(seed, url, Path(folder) / "surprise").run()
        except Transient as error:
            raise RuntimeError(f"seed {seed}: the exchange itself failed: {error}") from error
