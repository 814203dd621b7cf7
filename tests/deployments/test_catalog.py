"""What is deployed: the file, the catalog and the registry agree, and cron lines meet their windows."""

from __future__ import annotations

import asyncio
import itertools
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path

import pytest
import yaml
from prefect import Flow
from prefect.flows import load_flow_from_entrypoint
from prefect.server.schemas.schedules import CronSchedule

from deployments.catalog import TIMEZONE, WORK_POOL, Schedule, catalog
from deployments.render import TARGET, render
from wsb_core.domain.calendar import NEW_YORK, Session, session_on, sessions_between
from wsb_core.domain.strategy import AnyStrategy, Slot
from wsb_core.strategies import STRATEGIES

BY_HAND = {"halt", "resume"}
"""Started by a person, at any time and beside each other: a halt never waits for another run to end."""
ROOT = Path(__file__).resolve().parents[2]
DEPLOYMENTS = {each.name: each for each in catalog()}
ENTRIES = yaml.safe_load(render())["deployments"]
# The Friday before and the Monday after each clock change of two years, and every half day of them.
CLOCK_CHANGES = (date(2025, 3, 9), date(2025, 11, 2), date(2026, 3, 8), date(2026, 11, 1))
AROUND = tuple(day for sunday in CLOCK_CHANGES for day in (sunday - timedelta(2), sunday + timedelta(1)))
HALF_DAYS = (date(2025, 7, 3), date(2025, 11, 28), date(2025, 12, 24), date(2026, 11, 27), date(2026, 12, 24))
SLOTS = [
    pytest.param(strategy, slot, id=f"{name}-{slot.name}")
    for name, strategy in STRATEGIES.items()
    for slot in strategy.cadence.slots
]
LINES = [
    pytest.param(schedule, id=f"{each.name}-{schedule.slug}")
    for each in catalog()
    for schedule in each.schedules
]


def a_session(day: date) -> Session:
    session = session_on(day)
    assert session is not None
    return session


def fires(cron: str, day: date) -> list[datetime]:
    """When Prefect itself creates runs of the cron line on that day of New York."""
    start = datetime.combine(day, time(), tzinfo=NEW_YORK)
    schedule = CronSchedule(cron=cron, timezone=TIMEZONE)
    found = asyncio.run(schedule.get_dates(n=300, start=start, end=start + timedelta(days=1)))
    return [at for at in found if at.astimezone(NEW_YORK).date() == day]


def fires_of(name: str, day: date) -> list[datetime]:
    return sorted(at for line in DEPLOYMENTS[name].schedules for at in fires(line.cron, day))


def deployment_of(strategy: AnyStrategy) -> str:
    return strategy.name.replace("_", "-")


def test_the_file_in_the_repository_is_what_the_catalog_renders_to():
    assert TARGET.read_text() == render(), "stale: run `python -m deployments.render`"


def test_every_strategy_of_the_registry_has_a_deployment_and_the_system_flows_have_theirs():
    assert (
        set(DEPLOYMENTS)
        == {deployment_of(s) for s in STRATEGIES.values()}
        | {
            "manage-positions",
            "reconcile",
            "corporate-actions",
            "earnings-calendar-refresh",
            "iv-history",
            "record-chains",
            "ingest-bars",
            "drill",
        }
        | BY_HAND
    )


def test_every_flow_file_is_deployed():
    files = {f"flows/{path.name}" for path in (ROOT / "flows").glob("*.py") if path.stem != "__init__"}

    assert {each.entrypoint.split(":")[0] for each in catalog()} == files


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry["name"])
def test_the_entrypoint_is_a_flow_that_takes_the_parameters(entry, monkeypatch):
    monkeypatch.chdir(ROOT)

    found = load_flow_from_entrypoint(entry["entrypoint"])

    assert isinstance(found, Flow)
    assert set(entry["parameters"]) <= set(found.parameters.properties)


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry["name"])
def test_a_second_run_is_cancelled_and_never_queued_behind_the_first(entry):
    alone = {"limit": 1, "collision_strategy": "CANCEL_NEW"}

    assert entry.get("concurrency_limit") == (None if entry["name"] in BY_HAND else alone)
    assert entry["work_pool"]["name"] == WORK_POOL


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry["name"])
def test_schedules_are_told_apart_by_slug_so_that_deploying_again_changes_them_in_place(entry):
    slugs = [line["slug"] for line in entry["schedules"]]

    assert len(slugs) == len(set(slugs))
    assert bool(slugs) is (entry["name"] not in BY_HAND)
    assert {line["timezone"] for line in entry["schedules"]} <= {"America/New_York"}


def test_the_file_names_no_path_of_this_machine():
    text = TARGET.read_text()

    assert "{{ $WSB_ROOT }}" in text
    assert str(ROOT) not in text
    assert str(Path.home()) + "/" not in text


@pytest.mark.parametrize("day", AROUND + HALF_DAYS, ids=str)
@pytest.mark.parametrize(("strategy", "slot"), SLOTS)
def test_exactly_one_run_falls_inside_the_window_with_time_left_to_start_and_decide(
    strategy: AnyStrategy, slot: Slot, day: date
):
    session = a_session(day)

    inside = [at for at in fires_of(deployment_of(strategy), day) if slot.is_open(session, at)]

    [at] = inside
    assert slot.is_open(session, at + timedelta(minutes=5))


def test_the_half_days_of_this_test_are_half_days():
    assert all(a_session(day).half_day for day in HALF_DAYS)
    assert not any(a_session(day).half_day for day in AROUND)


@pytest.mark.parametrize("line", LINES)
def test_a_cron_line_keeps_its_new_york_time_through_both_clock_changes(line: Schedule):
    times = {tuple(at.astimezone(NEW_YORK).time() for at in fires(line.cron, day)) for day in AROUND}
    before, after = (fires(line.cron, day)[0].astimezone(UTC).hour for day in AROUND[:2])

    assert len(times) == 1
    assert before - after == 1


@pytest.mark.parametrize("day", [*AROUND, *HALF_DAYS], ids=str)
def test_open_positions_are_looked_at_every_five_minutes_of_the_session(day):
    session = a_session(day)

    looks = [at for at in fires_of("manage-positions", day) if session.is_open(at)]

    assert looks[0] - session.opens < timedelta(minutes=5)
    assert session.closes - looks[-1] <= timedelta(minutes=5)
    assert max(b - a for a, b in itertools.pairwise(looks)) == timedelta(minutes=5)


@pytest.mark.parametrize("day", AROUND + HALF_DAYS, ids=str)
@pytest.mark.parametrize(("strategy", "slot"), SLOTS)
def test_a_reconciliation_comes_shortly_before_every_decision(strategy: AnyStrategy, slot: Slot, day: date):
    session = a_session(day)
    [decision] = [at for at in fires_of(deployment_of(strategy), day) if slot.is_open(session, at)]

    before = [at for at in fires_of("reconcile", day) if at < decision]

    assert decision - before[-1] <= timedelta(minutes=15)


@pytest.mark.parametrize("day", AROUND, ids=str)
def test_books_are_compared_before_the_open_and_after_the_close(day):
    session = a_session(day)
    times = fires_of("reconcile", day)

    assert any(session.opens - timedelta(minutes=10) < at < session.opens for at in times)
    assert any(session.closes < at < session.closes + timedelta(hours=1) for at in times)


@pytest.mark.parametrize("day", [*AROUND[:2], HALF_DAYS[0]], ids=str)
def test_no_two_flows_start_in_the_same_minute(day):
    """Starting several runs in one minute takes longer than that minute on a small machine."""
    by_minute: dict[datetime, set[str]] = {}
    for name in DEPLOYMENTS:
        for at in fires_of(name, day):
            by_minute.setdefault(at, set()).add(name)

    crowded = {at: names for at, names in by_minute.items() if len(names) > 1}

    assert crowded == {}


def test_no_run_is_created_on_a_weekend():
    saturday = date(2025, 11, 1)

    assert sessions_between(saturday, saturday + timedelta(days=1)) == ()
    assert all(fires_of(name, saturday) == [] for name in DEPLOYMENTS)
