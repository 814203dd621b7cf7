"""Two at once: one row, one lease, one message, one chain. Threads and processes, both databases."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from threading import Barrier
from typing import TypeVar

import pytest

from wsb_core.domain.errors import LeaseLost
from wsb_core.domain.orders import Effect
from wsb_core.ledger import Ledger, open_ledger

from .build import ACCOUNT, LONG_CALL, NOON, RUN, Desk, approved

T = TypeVar("T")
MANY = 6


def at_once(url: str, act: Callable[[Ledger, int], T]) -> list[T]:
    """What ``act`` answers on so many ledgers of its own, all let go together."""
    start = Barrier(MANY)

    def run(number: int) -> T:
        with open_ledger(url) as ledger:
            ledger.halts()
            start.wait(30)
            return act(ledger, number)

    with ThreadPoolExecutor(MANY) as pool:
        return [task.result() for task in [pool.submit(run, n) for n in range(MANY)]]


def test_the_same_key_recorded_at_once_is_one_intent(desk: Desk, ledger_url: str):
    wish = approved(LONG_CALL)

    made = at_once(ledger_url, lambda ledger, n: ledger.record_intent(RUN, wish, lease=desk.lease, at=NOON))

    assert sum(each.created for each in made) == 1
    assert len(desk.ledger.intents()) == 1
    assert desk.ledger.verify().ok


def test_one_of_many_may_send_a_lost_order_again(desk: Desk, ledger_url: str):
    order_id = desk.intend(approved(LONG_CALL)).client_order_id
    desk.lose(order_id)

    may = at_once(ledger_url, lambda ledger, n: ledger.mark_sending(order_id, lease=desk.lease, at=desk.now))

    assert sorted(may) == [False] * (MANY - 1) + [True]


def test_one_unit_is_closed_by_one_of_many(desk: Desk, ledger_url: str):
    desk.trade(LONG_CALL, Effect.OPEN, 1, ["1.00"])

    def close(ledger: Ledger, number: int) -> str:
        wish = approved(LONG_CALL, Effect.CLOSE, slot=f"s{number}")
        return str(ledger.record_intent(RUN, wish, lease=desk.lease, at=desk.now).created)

    answers = at_once(ledger_url, close)

    assert answers.count("True") == 1
    assert len([o for o in desk.ledger.open_intents(ACCOUNT) if o.state.may_work]) == 1


def test_a_lease_goes_to_one_of_many(ledger: Ledger, ledger_url: str):
    def take(opened: Ledger, number: int) -> bool:
        try:
            opened.acquire_lease(ACCOUNT, f"worker-{number}", NOON, timedelta(minutes=1))
        except LeaseLost:
            return False
        return True

    assert sum(at_once(ledger_url, take)) == 1


def test_a_message_is_claimed_by_one_of_many(ledger: Ledger, ledger_url: str):
    for number in range(4):
        ledger.enqueue_alert(f"k{number}", "info", "t", "b", NOON)

    claimed = at_once(ledger_url, lambda opened, n: [a.id for a in opened.pending_alerts(NOON)])

    assert sorted(each for ids in claimed for each in ids) == sorted(
        {each for ids in claimed for each in ids}
    )
    assert sum(map(len, claimed)) == 4


def test_the_chain_of_many_writers_has_no_gap(ledger: Ledger, ledger_url: str):
    def write(opened: Ledger, number: int) -> None:
        for n in range(5):
            opened.audit("note", {"writer": number, "n": n}, NOON)

    at_once(ledger_url, write)

    assert ledger.verify().ok
    assert len([entry for entry in ledger.audit_log() if entry.kind == "note"]) == 5 * MANY


_PROCESS = """
import sys
from wsb_core.ledger import open_ledger
from tests.ledger.build import LONG_CALL, NOON, RUN, ACCOUNT, approved
from datetime import timedelta
ledger = open_ledger(sys.argv[1])
lease = ledger.acquire_lease(ACCOUNT, "worker-1", NOON, timedelta(days=1))
print(ledger.record_intent(RUN, approved(LONG_CALL), lease=lease, at=NOON).created)
"""


def test_fm_70_two_processes_of_one_schedule_record_one_intent(
    desk: Desk, ledger_url: str, pytestconfig: pytest.Config
):
    started = [
        subprocess.Popen(
            [sys.executable, "-c", _PROCESS, ledger_url],
            stdout=subprocess.PIPE,
            text=True,
            cwd=pytestconfig.rootpath,
        )
        for _ in range(2)
    ]
    answers = sorted(process.communicate(timeout=60)[0].strip() for process in started)

    assert answers == ["False", "True"]
    assert len(desk.ledger.intents()) == 1
