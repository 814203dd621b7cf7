"""Who may open a desk: live when armed, in its own ledger, one installation at a time. No flow runs here."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tests.execution.scripted import ManualClock
from tests.flows.stage import sqlite_url
from wsb_core.config import Mode, Settings
from wsb_core.domain.calendar import session_on
from wsb_core.domain.errors import LeaseLost, NotArmed
from wsb_core.domain.ids import AccountId, cash
from wsb_core.ledger import Ledger, open_ledger

ACCOUNT = AccountId("LIVE1")
HOUR = timedelta(hours=1)


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    with open_ledger(sqlite_url(tmp_path)) as made:
        made.init()
        made.open_account(ACCOUNT, "live", cash("10000"), ManualClock().now())
        yield made


def a_wiring(ledger: Ledger, **settings: Any) -> Any:
    """The part of a wiring that opening a desk touches."""
    told = Settings(**{"mode": Mode.LIVE, "account": ACCOUNT, "trader": "here", **settings})
    return SimpleNamespace(settings=told, ledger=ledger, account=ACCOUNT, clock=ManualClock())


def require_armed(wiring: Any, now: datetime) -> None:
    from tasks.desk import _require_armed

    _require_armed(wiring, now)


def test_live_opens_no_desk_until_it_is_armed_and_none_after_that(ledger: Ledger):
    w = a_wiring(ledger)
    now = w.clock.now()

    with pytest.raises(NotArmed, match="last arming: None"):
        require_armed(w, now)
    ledger.arm(ACCOUNT, now + HOUR, "ann", now)
    require_armed(w, now)
    with pytest.raises(NotArmed, match="is not armed"):
        require_armed(w, now + HOUR)


def test_a_live_account_is_not_traded_in_another_mode_nor_another_account_as_live(ledger: Ledger):
    paper = a_wiring(ledger, mode=Mode.PAPER)

    with pytest.raises(NotArmed, match="is a live account in this ledger and the mode is paper"):
        require_armed(paper, paper.clock.now())


@pytest.mark.parametrize(("minutes", "told"), [(61, 0), (60, 1), (5, 1)])
def test_an_arming_that_runs_out_within_the_hour_is_told_while_exits_still_go(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch, minutes: int, told: int
):
    from tasks import desk

    titles: list[str] = []
    monkeypatch.setattr(desk, "notify", lambda **words: titles.append(words["title"]))
    w = a_wiring(ledger)
    now = w.clock.now()
    ledger.arm(ACCOUNT, now + timedelta(minutes=minutes), "ann", now)

    desk._warn_of_the_end(w, now)

    assert len(titles) == told


def test_a_second_installation_waits_for_the_lease_and_gets_it_when_it_ends(ledger: Ledger):
    from tasks.desk import take_lease

    w = a_wiring(ledger, lease_wait_seconds=30)
    ledger.acquire_lease(ACCOUNT, "elsewhere", w.clock.now(), timedelta(seconds=20))

    lease = take_lease(w)

    assert (lease.holder, lease.token) == ("here", 2)


def test_it_waits_no_longer_than_it_was_told_and_names_the_holder_and_the_end(ledger: Ledger):
    from tasks.desk import take_lease

    w = a_wiring(ledger, lease_wait_seconds=7)
    began = w.clock.now()
    other = ledger.acquire_lease(ACCOUNT, "elsewhere", began, HOUR)

    with pytest.raises(LeaseLost) as told:
        take_lease(w)
    until = other.expires_at.astimezone(UTC)
    assert f"'elsewhere' holds the lease until {until}" in str(told.value)
    assert "waited 7 s" in str(told.value)
    assert w.clock.now() - began == timedelta(seconds=7)


def test_it_does_not_wait_at_all_where_that_is_wanted(ledger: Ledger):
    from tasks.desk import take_lease

    w = a_wiring(ledger, lease_wait_seconds=0)
    began = w.clock.now()
    ledger.acquire_lease(ACCOUNT, "elsewhere", began, HOUR)

    with pytest.raises(LeaseLost):
        take_lease(w)
    assert w.clock.now() == began


def test_what_goes_wrong_while_the_account_is_watched_is_told_and_raises_nothing(
    monkeypatch: pytest.MonkeyPatch,
):
    from tasks import halts

    def broken(*args: Any) -> Any:
        raise ZeroDivisionError("a rule divides by nothing")

    told: list[str] = []
    monkeypatch.setattr(halts, "wiring", lambda: None)
    monkeypatch.setattr(halts, "_look", broken)
    monkeypatch.setattr(halts, "notify", lambda **words: told.append(f"{words['severity']}: {words['what']}"))
    session = session_on(date(2024, 5, 15))
    desk: Any = SimpleNamespace(session=session, as_of=ManualClock().now(), run_id="run-1")

    answer = halts.watch_account.fn(desk, None)

    assert answer == "not watched: a rule divides by nothing"
    assert told == ["critical: ZeroDivisionError: a rule divides by nothing"]
