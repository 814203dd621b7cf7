"""kill -9: a trader dies at the worst moments, and the books still come out right."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.conftest import ROOT
from tests.execution.desk import MARKETABLE, POST, RESTING, Desk, approved
from tests.flows.stage import ACCOUNT, sqlite_url
from wsb_core.domain.orders import OrderState
from wsb_core.execution.submit import FRESH, IN_FLIGHT, submit_once

CHILD = Path(__file__).with_name("child.py")


@contextmanager
def a_trader(desk: Desk, folder: Path, limit: str, *more: str) -> Iterator[subprocess.Popen[str]]:
    """A child process that submits, killed with SIGKILL at the latest when the block ends."""
    command = [sys.executable, str(CHILD), desk.url, sqlite_url(folder), limit, *more]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    child = subprocess.Popen(
        command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    try:
        yield child
    finally:
        child.kill()
        child.communicate()


def eventually(what: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not what():
        assert time.monotonic() < deadline, "it never came to be"
        time.sleep(0.02)


def kill(child: subprocess.Popen[str]) -> int:
    os.kill(child.pid, signal.SIGKILL)
    return child.wait(timeout=10)


def accepted_and_killed(desk: Desk, folder: Path, limit: str) -> int:
    """The exchange takes the order, the trader waits for the answer and dies; its exit code."""
    desk.control.fault("stall", when="after", seconds=30, **POST)
    with a_trader(desk, folder, limit) as child:
        eventually(lambda: desk.control.state()["orders_accepted"] == 1)
        return kill(child)


@pytest.mark.parametrize(("limit", "state"), [(MARKETABLE, OrderState.FILLED), (RESTING, OrderState.WORKING)])
def test_killed_after_the_exchange_took_the_order_the_next_sync_finds_it(
    desk: Desk, tmp_path: Path, limit: str, state: OrderState
) -> None:
    order = approved(limit)
    died = accepted_and_killed(desk, tmp_path, limit)
    before = desk.intent(order).state

    synced = desk.sync()

    assert (died, before) == (-signal.SIGKILL, OrderState.SENDING)
    assert desk.intent(order).state is state
    assert synced.adopted == ()
    assert desk.ids() == [order.order.client_order_id]
    assert desk.ledger.holdings(ACCOUNT) == desk.sender.broker.holdings()


def test_killed_after_the_exchange_took_the_order_a_rerun_adopts_it_and_sends_nothing(
    desk: Desk, tmp_path: Path
) -> None:
    order = approved(MARKETABLE)
    accepted_and_killed(desk, tmp_path, MARKETABLE)

    again = submit_once(order, desk.sender)

    assert again.state is OrderState.FILLED
    assert desk.sends(order) == 1
    assert desk.ids() == [order.order.client_order_id]


def test_killed_before_anything_was_sent_the_intent_is_given_up_and_no_order_exists(
    desk: Desk, tmp_path: Path
) -> None:
    order = approved(MARKETABLE)
    with a_trader(desk, tmp_path, MARKETABLE, "before-sending") as child:
        assert child.stdout is not None
        child.stdout.readline()
        kill(child)
    before = desk.intent(order).state
    desk.sync()
    young = desk.intent(order).state
    desk.control.advance(FRESH.total_seconds() + 1)

    desk.sync()

    assert (before, young) == (OrderState.SENDING, OrderState.SENDING)
    assert desk.intent(order).state is OrderState.ABANDONED
    assert desk.control.state()["orders_received"] == 0


def test_killed_before_anything_was_sent_a_rerun_a_minute_later_sends_the_one_order(
    desk: Desk, tmp_path: Path
) -> None:
    order = approved(MARKETABLE)
    with a_trader(desk, tmp_path, MARKETABLE, "before-sending") as child:
        assert child.stdout is not None
        child.stdout.readline()
        kill(child)
    prompt = submit_once(order, desk.sender)
    desk.control.advance(IN_FLIGHT.total_seconds())

    again = submit_once(order, desk.sender)

    assert (prompt.state, again.state) == (OrderState.SENDING, OrderState.FILLED)
    assert desk.ids() == [order.order.client_order_id]
