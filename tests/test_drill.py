"""The drill proves a halt, on both databases, and fails when the halt stops nothing."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from tests.postgres import postgres_url
from wsb_core import drill
from wsb_core.domain.errors import LedgerError
from wsb_core.domain.halts import HaltKind
from wsb_core.drill import Drill, run_drill
from wsb_core.ledger import orders


@pytest.fixture(autouse=True)
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(drill, "AFTER_SECONDS", 0.8)
    monkeypatch.setattr(drill, "PATIENCE_SECONDS", 2.0)


@pytest.fixture
def empty_postgres() -> Iterator[str]:
    with postgres_url(migrated=False) as url:
        yield url


def test_fm_18_a_halt_ends_what_works_and_nothing_is_sent_after_it():
    held = run_drill(workers=3)

    assert held.problems == ()
    assert (held.working, held.late, held.left, held.exit_filled) == (3, (), (), True)
    assert held.attempts >= 6
    assert held.refused >= 3
    assert 0 < held.seconds < drill.PATIENCE_SECONDS


def test_fm_18_the_same_on_postgresql(empty_postgres: str):
    held = run_drill(workers=3, kind=HaltKind.PAUSE, database_url=empty_postgres)

    assert held.problems == ()
    assert held.working == 3


def not_checked(*args: Any) -> None:
    """A halt that is written down and never read."""


def test_the_drill_fails_when_the_order_path_does_not_read_the_halt(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(orders, "require_no_halt", not_checked)

    held = run_drill(workers=2)

    assert held.late != ()
    assert any("sent after the halt" in problem for problem in held.problems)


def test_the_drill_fails_when_working_entries_are_left_to_rest(monkeypatch: pytest.MonkeyPatch):
    from wsb_core.control import Stopped

    monkeypatch.setattr(drill, "stop_entries", lambda *args: Stopped())

    held = run_drill(workers=2)

    assert any("still working after the halt" in problem for problem in held.problems)


def test_a_ledger_in_use_is_not_drilled_on(empty_postgres: str):
    run_drill(workers=1, database_url=empty_postgres)

    with pytest.raises(LedgerError, match="a ledger of its own"):
        run_drill(workers=1, database_url=empty_postgres)


FINE = Drill(HaltKind.PAUSE, 4, 0.1, 9, 12, (), (), True, True)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"working": 0}, "nothing was proved"),
        ({"refused": 0}, "nobody tried"),
        ({"exit_filled": False}, "stopped an exit"),
        ({"ledger_ok": False}, "does not hold together"),
        ({"left": ("a", "b", "c", "d")}, "a, b, c and 1 more"),
    ],
)
def test_each_thing_that_a_halt_promises_can_fail_the_drill(changes: dict[str, Any], said: str):
    broken = replace(FINE, **changes)

    assert FINE.problems == ()
    assert said in broken.problems[0]
    assert f"FAILED: {broken.problems[0]}" in broken.lines
