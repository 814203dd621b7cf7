"""From a signal to the broker's acknowledgement: the real client, over loopback, with everything recorded.

The practice exchange runs in a process of its own, the ledger is SQLite with every commit on the disk.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np

from tests.conftest import ROOT
from tests.execution.desk import RESTING, START, approved, seat
from wsb_core.brokers import rules_of
from wsb_core.domain.ids import ClientOrderId
from wsb_core.domain.orders import Order, OrderState
from wsb_core.execution.submit import Sender, cancel_and_confirm, submit_once
from wsb_core.ledger import open_ledger

from .harness import Figure, Job

ORDERS, WARM = 300, 20
_SERVE = """
import sys
from tests.execution.desk import START
from tests.flows.stage import CASH, a_feed
from wsb_core.exchange.engine import Exchange
from wsb_core.exchange.model import Settings
from wsb_core.exchange.server import ServerThread

with ServerThread(Exchange(a_feed(), START, Settings(starting_cash=CASH, partial_fill_every=0))) as url:
    print(url, flush=True)
    sys.stdin.read()
"""


class Running:
    """The time of the exchange's session, going on as the machine's does: no request to know it."""

    def __init__(self) -> None:
        self._began = time.monotonic()

    def now(self) -> datetime:
        return START + timedelta(seconds=time.monotonic() - self._began)

    def sleep(self, seconds: float) -> None:
        time.sleep(min(seconds, 0.01))


@contextmanager
def an_exchange() -> Iterator[str]:
    """The practice exchange in a child process; its address."""
    child = subprocess.Popen(
        [sys.executable, "-c", _SERVE], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    try:
        assert child.stdout is not None
        yield child.stdout.readline().strip()
    finally:
        child.communicate()


def one_order(number: int, to: Sender) -> tuple[float, float, float]:
    """Seconds from an approved order to the acknowledgement's arrival, to its record, and of the request."""
    order, watch = approved(RESTING, slot=f"bench-{number}"), Watch(to)
    timed = replace(to, broker=watch)
    start = time.perf_counter()
    intent = submit_once(order, timed)
    recorded = time.perf_counter()
    assert intent.state is OrderState.WORKING, intent.state
    assert cancel_and_confirm(intent, to).state is OrderState.CANCELED
    return watch.arrived - start, recorded - start, watch.arrived - watch.left


class Watch:
    """The sender's own broker, with the instants at which its request left and the answer came."""

    def __init__(self, to: Sender) -> None:
        self._broker = to.broker
        self.left = self.arrived = 0.0

    def submit(self, order: Order) -> object:
        self.left = time.perf_counter()
        try:
            return self._broker.submit(order)
        finally:
            self.arrived = time.perf_counter()

    def order_by_client_id(self, name: ClientOrderId) -> object:
        return self._broker.order_by_client_id(name)


def acknowledgements() -> Sequence[Figure]:
    with (
        tempfile.TemporaryDirectory(prefix="wsb-bench-") as folder,
        an_exchange() as url,
        open_ledger(f"sqlite:///{Path(folder) / 'ledger.db'}") as ledger,
    ):
        ledger.init()
        to = replace(seat(url, ledger), clock=Running(), rules=rules_of("alpaca"))
        for number in range(WARM):
            one_order(-1 - number, to)
        taken = np.array([one_order(number, to) for number in range(ORDERS)])
        assert ledger.verify().ok
    half, most = np.percentile(taken * 1e3, [50, 99], axis=0)
    return [
        Figure(float(half[0]), "p50; the request alone", float(half[2]), at_most=15.0),
        Figure(float(most[0]), "p99; the request alone", float(most[2]), at_most=100.0),
        Figure(float(half[1]), "p50 until the answer is on record"),
        Figure(float(most[1]), "p99 until the answer is on record"),
    ]


JOBS = (Job("execution: signal to acknowledgement", "ms", "p50 <= 15 ms, p99 <= 100 ms", acknowledgements),)
