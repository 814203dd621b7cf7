"""Halting, resuming and asking people, through the flows: what a person sees in the UI, from outside."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from tests.flows.stage import ACCOUNT, DIP, DIP_BOT, Stage, ny
from wsb_core.config import HardLossKind
from wsb_core.domain.calendar import shift
from wsb_core.domain.ids import Cash
from wsb_core.ledger import HaltKind

pytestmark = pytest.mark.prefect
NEXT = shift(DIP, 1)


@pytest.fixture(autouse=True)
def quick_polls(monkeypatch: pytest.MonkeyPatch) -> None:
    from tasks import approve

    monkeypatch.setattr(approve, "POLL_SECONDS", 1)


@contextmanager
def somebody_answers(flow: str, words: dict[str, Any]) -> Iterator[list[str]]:
    """A person who fills in the form of the next paused run of ``flow``; gives back what it asked."""
    from prefect.client.orchestration import get_client
    from prefect.client.schemas.filters import FlowFilter, FlowRunFilter

    asked: list[str] = []

    def answer() -> None:
        wanted = FlowFilter(name={"any_": [flow]})
        paused = FlowRunFilter(state={"type": {"any_": ["PAUSED"]}})
        with get_client(sync_client=True) as client:
            for _ in range(200):
                runs = client.read_flow_runs(flow_filter=wanted, flow_run_filter=paused)
                if runs and runs[0].state.state_details.run_input_keyset:
                    told = client.resume_flow_run(runs[0].id, run_input=words)
                    asked.append(f"{told.status}: {told.details}")
                    if str(told.status).endswith("ACCEPT"):
                        return
                time.sleep(0.1)

    with ThreadPoolExecutor(1) as person:
        done = person.submit(answer)
        yield asked
        done.result()


def wired_with(stage: Stage, **changes: Any) -> Any:
    from tasks.wiring import wired

    return wired(stage.settings.model_copy(update=changes))


def run_halt(**words: Any) -> Any:
    from flows.control import halt

    return halt(**{"reason": "fed day", "by": "ann", **words}, return_state=True)


def run_resume(**words: Any) -> Any:
    from flows.control import resume

    return resume(**{"by": "ann", **words}, return_state=True)


def audited(stage: Stage, kind: str) -> list[str]:
    return [entry.payload for entry in stage.ledger.audit_log() if entry.kind == kind]


def test_a_pause_from_the_ui_stops_entries_and_is_lifted_without_questions(stage: Stage):
    stage.ready()
    halted = run_halt(scope="wsb_dip_bot")
    skipped = stage.decide()

    resumed = run_resume(scope="wsb_dip_bot")
    traded = stage.decide()

    assert (halted.is_completed(), skipped.name) == (True, "Skipped")
    assert "fed day" in skipped.message
    assert resumed.message == "1 halts of wsb_dip_bot lifted by ann"
    assert traded.is_completed()
    assert len(stage.ledger.positions(ACCOUNT)) == 1
    assert [t for t in stage.slack.titles() if "Halted: wsb_dip_bot (pause) by ann" in t]


def test_flatten_closes_everything_through_the_exit_path_at_once_and_waits_for_a_person(stage: Stage):
    stage.ready().decide()
    stage.at(NEXT, "11:00")

    state = run_halt(kind="flatten")

    [trade] = stage.ledger.closed_trades(ACCOUNT)
    assert state.is_completed()
    assert stage.ledger.positions(ACCOUNT) == ()
    assert trade.exit_rule == "flatten"
    assert [(halt.kind, halt.hard) for halt in stage.ledger.halts()] == [(HaltKind.FLATTEN, True)]
    assert stage.at(NEXT, "16:20").reconcile().is_completed()


def test_a_hard_halt_is_lifted_by_the_person_who_looked_and_by_nobody_else(stage: Stage, monkeypatch):
    from flows import control

    stage.ready()
    stage.ledger.set_halt("*", "reduce_only", "books differ", "reconcile", ny(DIP, "15:00"))
    monkeypatch.setattr(control, "ANSWER_SECONDS", 3)

    nobody = run_resume(why="because I say so")
    with somebody_answers("resume", {"looked": False, "who": "bob", "why": "in a hurry"}):
        not_looked = run_resume()
    still = len(stage.ledger.halts())
    monkeypatch.setattr(control, "ANSWER_SECONDS", 60)
    with somebody_answers("resume", {"looked": True, "who": "bob", "why": "the dividend explains it"}):
        lifted = run_resume()

    assert (nobody.name, "nobody has not looked" in nobody.message) == ("Kept", True)
    assert (not_looked.name, "bob has not looked" in not_looked.message) == ("Kept", True)
    assert still == 1
    assert lifted.message == "1 halts of * lifted by bob"
    assert stage.ledger.halts() == ()
    [cleared] = audited(stage, "halt_cleared")
    assert '"by":"bob"' in cleared
    assert "the dividend explains it" in cleared


def test_a_large_entry_is_sent_after_a_yes_and_the_yes_is_on_record(stage: Stage):
    stage.ready()

    with (
        wired_with(stage, approval_above=Decimal(1000), approval_seconds=60),
        somebody_answers("wsb-dip-bot", {"approve": True, "who": "ann", "why": "fine"}),
    ):
        state = stage.decide()

    [approval] = audited(stage, "approval")
    assert state.is_completed()
    assert len(stage.ledger.positions(ACCOUNT)) == 1
    assert '"approved":true' in approval
    assert '"who":"ann"' in approval


def test_no_answer_means_no_and_a_small_entry_is_not_asked_about(stage: Stage):
    stage.ready()

    with wired_with(stage, approval_above=Decimal(1000), approval_seconds=2):
        state = stage.decide()
    unanswered = stage.orders_received()
    with wired_with(stage, approval_above=Decimal(10_000_000), approval_seconds=60):
        stage.decide()

    [row] = [d for d in stage.ledger.decisions(DIP, DIP_BOT) if d.rule == "approval"]
    [approval] = audited(stage, "approval")
    assert state.is_completed()
    assert (unanswered, row.value, row.detail) == (0, "nobody said no", "no answer in 2 s")
    assert '"approved":false' in approval
    assert len(stage.ledger.positions(ACCOUNT)) == 1


def lose(stage: Stage, share: str) -> None:
    """The next session begins at an equity of which ``share`` is lost by its first look."""
    stage.at(NEXT, "09:20").reconcile()
    now = stage.control.now()
    high = Cash((Decimal(300_000) / (1 - Decimal(share))).quantize(Decimal("0.01")))
    # Recorded before the reconciler's own: the first opening mark of a session counts.
    stage.ledger.record_mark(ACCOUNT, high, high, now - timedelta(minutes=5), "open")


def seen(stage: Stage, *clocks: str) -> None:
    """Looks of the next session at which the hard loss was there, as earlier runs left them."""
    for clock in clocks:
        row = {"rule": "daily_loss_hard", "scope": "*", "past": "yes"}
        stage.ledger.record_look(ACCOUNT, [row], ny(NEXT, clock))


def test_a_soft_loss_halts_entries_after_two_warm_looks_and_is_over_in_the_next_session(stage: Stage):
    stage.ready().decide()
    lose(stage, "0.04")

    after_each = []
    for clock, gauge in (("09:35", "NONE"), ("09:40", "SPX"), ("09:45", "SPX")):
        with wired_with(stage, market_gauge=gauge):
            stage.at(NEXT, clock).manage()
        after_each.append(len(stage.ledger.halts()))
    [halt] = stage.ledger.halts()
    spikes = [
        row for look in stage.ledger.looks(ACCOUNT, NEXT) for row in look.readings if "spike" in row["rule"]
    ]
    stage.at(shift(DIP, 2), "09:20").reconcile()
    stage.at(shift(DIP, 2), "09:35").manage()

    assert after_each == [0, 0, 1]
    assert (halt.by, halt.kind, halt.hard) == ("risk.daily_loss_soft", HaltKind.REDUCE_ONLY, False)
    assert [bool(row["value"]) for row in spikes] == [False, True, True]
    assert "NONE" in spikes[0]["detail"]
    assert sum("Halted: * (reduce_only) by risk.daily_loss_soft" in t for t in stage.slack.titles()) == 1
    assert stage.ledger.halts() == ()


def test_a_hard_loss_closes_everything_where_the_settings_want_that(stage: Stage):
    stage.ready().decide()
    lose(stage, "0.06")

    seen(stage, "09:35", "09:40")
    stage.at(NEXT, "09:45")

    with wired_with(stage, hard_loss_kind=HardLossKind.FLATTEN):
        stage.manage()

    [halt] = stage.ledger.halts()
    assert (halt.by, halt.kind, halt.hard) == ("risk.daily_loss_hard", HaltKind.FLATTEN, True)
    assert stage.ledger.positions(ACCOUNT) == ()
    assert [t.exit_rule for t in stage.ledger.closed_trades(ACCOUNT)] == ["flatten"]


def test_a_drill_that_fails_is_a_failed_run_and_a_message(stage: Stage, monkeypatch):
    from flows.drill import drill
    from tasks import drill as held
    from wsb_core.drill import Drill

    good = Drill(HaltKind.REDUCE_ONLY, 4, 0.08, 8, 80, (), (), True, True)
    monkeypatch.setattr(held, "run_drill", lambda **words: good)
    passed = drill(return_state=True)
    monkeypatch.setattr(held, "run_drill", lambda **words: replace(good, refused=0))

    failed = drill(return_state=True)

    assert (passed.is_completed(), "80 ms" in passed.message) == (True, True)
    assert (failed.is_failed(), "nobody tried" in failed.message) == (True, True)
    assert sum(title.startswith("CRITICAL: drill failed") for title in stage.slack.titles()) == 1
